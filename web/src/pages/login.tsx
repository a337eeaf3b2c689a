import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX, RefObject } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";

import { ApiError } from "../api/client";
import { loadPreference, savePreference } from "../app/preferences";
import type { SessionEnd, SetupLink } from "../auth/identity";
import { PASSWORD_LENGTH } from "../auth/identity";
import type { AuthSession, AuthState } from "../auth/session";
import { CookiesBlockedError } from "../auth/session";
import { errorText as requestErrorText } from "../components/error-text";
import { Footer } from "../components/layout/footer";
import { Logo } from "../components/layout/logo";
import { ThemeToggle } from "../components/theme";
import { formats, t } from "../i18n";
import "../style/login.css";

const ERROR_ID = "login-error";
const REASON_ID = "session-end";
const HINT_ID = "password-hint";
/** The name of the first admin, in the browser that created it, until somebody else logs in there. */
const ADMIN_NAME_KEY = "sensor-bridge.admin-name";

type LoginState = Extract<AuthState, { kind: "loggedOut" | "setup" }>;

/** The login form, or with a setup link the form that creates the first admin. */
export function LoginPage({ session, state }: { session: AuthSession; state: LoginState }): JSX.Element {
  const title = `${t(state.kind === "setup" ? "auth.setup.title" : "auth.login")} · ${t("app.name")}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <>
      <header class="bar">
        <p class="brand"><Logo />{t("app.name")}</p>
        <div class="tools"><ThemeToggle /></div>
      </header>
      <main class="login" tabIndex={-1}>
        {state.kind === "setup" ? <SetupForm session={session} link={state.link} /> : <LoginForm session={session} reason={state.reason} />}
      </main>
      <Footer />
    </>
  );
}

function LoginForm({ session, reason }: { session: AuthSession; reason: SessionEnd | null }): JSX.Element {
  const suggestedName = useMemo(() => loadPreference(ADMIN_NAME_KEY) ?? "", []);
  const submission = useSubmission(async (form) => {
    const given = String(form.get("username"));
    await session.login(given, String(form.get("password")));
    if (given !== suggestedName) savePreference(ADMIN_NAME_KEY, "");
  });
  const isInvalid = hasStatus(submission.error.value, 401);
  const name = useInitialFocus<HTMLInputElement>(!suggestedName);
  return (
    <Form submission={submission} title={t("auth.login")} label={t("auth.login")}>
      {reason && <p id={REASON_ID} class="session-end" data-reason={reason}>{t(`auth.ended.${reason}`)}</p>}
      <label>
        <span>{t("auth.name")}</span>
        <input name="username" ref={name} defaultValue={suggestedName} required maxLength={64} autoComplete="username" autoCapitalize="none" spellcheck={false}
          aria-invalid={isInvalid} aria-describedby={isInvalid ? ERROR_ID : reason ? REASON_ID : undefined} />
      </label>
      <PasswordField autoComplete="current-password" isInvalid={isInvalid} hasInitialFocus={Boolean(suggestedName)} />
    </Form>
  );
}

function SetupForm({ session, link }: { session: AuthSession; link: SetupLink }): JSX.Element {
  const suggestName = (): void => savePreference(ADMIN_NAME_KEY, link.userName);
  const submission = useSubmission(async (form) => {
    await session.setUp(link.token, String(form.get("password")));
    suggestName();
  });
  const isInvalid = hasStatus(submission.error.value, 422);
  if (hasStatus(submission.error.value, 401)) return <ExpiredLink onDismiss={() => { suggestName(); session.discardSetupLink(); }} />;
  return (
    <Form submission={submission} title={t("auth.setup.title")} label={t("auth.setup.submit")}>
      <p class="muted">{t("auth.setup.intro")}</p>
      {link.userName && (
        <label>
          <span>{t("auth.name")}</span>
          <input name="username" readOnly value={link.userName} autoComplete="username" />
        </label>
      )}
      <PasswordField autoComplete="new-password" minLength={PASSWORD_LENGTH.min} isInvalid={isInvalid} hint={passwordHint()} hasInitialFocus />
    </Form>
  );
}

function ExpiredLink({ onDismiss }: { onDismiss: () => void }): JSX.Element {
  const button = useInitialFocus<HTMLButtonElement>();
  return (
    <section class="panel" aria-labelledby="login-title">
      <h1 id="login-title">{t("auth.setup.title")}</h1>
      <p class="error" role="alert">{t("auth.setup.expired")}</p>
      <button type="button" class="primary" ref={button} onClick={onDismiss}>{t("auth.login")}</button>
    </section>
  );
}

/** Browsers honour `autofocus` only once per page load. */
function useInitialFocus<T extends HTMLElement>(isWanted = true): RefObject<T | null> {
  const element = useRef<T>(null);
  useEffect(() => {
    if (isWanted) element.current?.focus();
  }, []);
  return element;
}

interface Submission {
  readonly form: { current: HTMLFormElement | null };
  readonly isBusy: Signal<boolean>;
  /** The error of the last attempt, or null. */
  readonly error: Signal<unknown>;
  /** Seconds until the next attempt is allowed. */
  readonly wait: Signal<number>;
  readonly submit: (event: SubmitEvent) => void;
}

function useSubmission(send: (form: FormData) => Promise<void>): Submission {
  const form = useRef<HTMLFormElement>(null);
  const [isBusy, error, wait] = [useSignal(false), useSignal<unknown>(null), useSignal(0)];
  const isWaiting = wait.value > 0;
  useEffect(() => {
    if (!isWaiting) return undefined;
    const countdown = setInterval(() => {
      if (--wait.value === 0) error.value = null;
    }, 1000);
    return () => clearInterval(countdown);
  }, [isWaiting]);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!form.current || isBusy.value || wait.value > 0) return;
    isBusy.value = true;
    error.value = null;
    send(new FormData(form.current)).catch((thrown: unknown) => {
      isBusy.value = false;
      error.value = thrown;
      wait.value = hasStatus(thrown, 429) ? thrown.retryAfterSeconds : 0;
      form.current?.querySelector<HTMLInputElement>("[name=password]")?.select();
    });
  };
  return { form, isBusy, error, wait, submit };
}

interface FormProps {
  readonly submission: Submission;
  readonly title: string;
  readonly label: string;
  readonly children: ComponentChildren;
}

function Form({ submission: { form, isBusy, error, wait, submit }, title, label, children }: FormProps): JSX.Element {
  return (
    <form class="panel" ref={form} onSubmit={submit} aria-labelledby="login-title">
      <h1 id="login-title">{title}</h1>
      {children}
      {error.value !== null && <p id={ERROR_ID} class="error" role="alert">{errorText(error.value)}</p>}
      <button type="submit" class="primary" disabled={isBusy.value || wait.value > 0}>
        {wait.value > 0 ? t("auth.retryIn", { time: formats.value.duration(wait.value * 1000) }) : isBusy.value ? t("auth.busy") : label}
      </button>
    </form>
  );
}

interface PasswordFieldProps {
  readonly autoComplete: "current-password" | "new-password";
  readonly isInvalid: boolean;
  readonly minLength?: number;
  readonly hint?: string;
  readonly hasInitialFocus?: boolean;
}

function PasswordField({ autoComplete, isInvalid, minLength = 1, hint = "", hasInitialFocus = false }: PasswordFieldProps): JSX.Element {
  const isShown = useSignal(false);
  const input = useInitialFocus<HTMLInputElement>(hasInitialFocus);
  const type = isShown.value ? "text" : "password";
  const describedBy = [hint && HINT_ID, isInvalid && ERROR_ID].filter(Boolean).join(" ");
  return (
    <>
      <label>
        <span>{t("auth.password")}</span>
        <input name="password" ref={input} type={type as "password" /* Preact's types allow no union here */} required minLength={minLength} maxLength={PASSWORD_LENGTH.max}
          autoComplete={autoComplete} autoCapitalize="none" spellcheck={false}
          aria-invalid={isInvalid} aria-describedby={describedBy || undefined} />
      </label>
      {hint && <p id={HINT_ID} class="muted small">{hint}</p>}
      <label class="check">
        <input type="checkbox" checked={isShown.value} onChange={(event) => (isShown.value = event.currentTarget.checked)} />
        <span>{t("auth.password.show")}</span>
      </label>
    </>
  );
}

function hasStatus(error: unknown, status: number): error is ApiError {
  return error instanceof ApiError && error.status === status;
}

function passwordHint(): string {
  return t("auth.password.hint", PASSWORD_LENGTH);
}

function errorText(error: unknown): string {
  if (error instanceof CookiesBlockedError) return t("auth.cookiesBlocked");
  if (!(error instanceof ApiError)) return t("finding.unreachable");
  switch (error.status) {
    case 401:
      return t(error.code === "disabled" ? "auth.disabled" : "auth.invalid");
    case 422:
      return passwordHint();
    case 429:
      return t("auth.throttled", { time: formats.value.duration(error.retryAfterSeconds * 1000) });
    case 503:
      return t("auth.unavailable");
    default:
      return requestErrorText(error);
  }
}
