import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Access, Door } from "../auth/session";
import { Forgotten } from "../auth/session";
import { formats, t } from "../i18n";
import type { Left } from "../auth/identity";
import { Refusal } from "../api/client";
import { Foot } from "../components/layout/footer";
import { Mark } from "../components/layout/logo";
import { ThemeButton } from "../components/theme";
import "../style/login.css";

const ERROR = "login-error";
const PASSWORD_LENGTHS = [10, 256] as const;

type Closed = Extract<Door, { kind: "out" | "setup" }>;

/** Before the page: who comes says who he is, or makes the first admin. */
export function Login({ access, door }: { access: Access; door: Closed }): JSX.Element {
  const isFirst = door.kind === "setup";
  const title = `${t(isFirst ? "access.first.title" : "access.login")} · ${t("app.name")}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <>
      <header class="bar">
        <p class="brand"><Mark />{t("app.name")}</p>
        <div class="tools"><ThemeButton /></div>
      </header>
      <main class="login" tabIndex={-1}>
        {isFirst ? <FirstAdmin access={access} secret={door.secret} /> : <LogIn access={access} left={door.left} />}
      </main>
      <Foot />
    </>
  );
}

function LogIn({ access, left }: { access: Access; left: Left | null }): JSX.Element {
  const entry = useEntry((said) => access.login(String(said.get("username")), String(said.get("password"))));
  const isWrong = refusedWith(entry.error.value, 401);
  const name = useFocus<HTMLInputElement>();
  return (
    <Entry entry={entry} title={t("access.login")} label={t("access.login")}>
      {left && <p id="left" class="left" data-left={left}>{t(`access.left.${left}`)}</p>}
      <label>
        <span>{t("access.name")}</span>
        <input name="username" ref={name} required maxLength={64} autoComplete="username" autoCapitalize="none" spellcheck={false}
          aria-invalid={isWrong} aria-describedby={isWrong ? ERROR : left ? "left" : undefined} />
      </label>
      <Password autoComplete="current-password" isWrong={isWrong} />
    </Entry>
  );
}

/** Where there is no user yet, by the link that the bridge printed. */
function FirstAdmin({ access, secret }: { access: Access; secret: string }): JSX.Element {
  const entry = useEntry((said) => access.setUp(secret, String(said.get("password"))));
  const [fewest, most] = PASSWORD_LENGTHS;
  const isWrong = refusedWith(entry.error.value, 422);
  if (refusedWith(entry.error.value, 401)) return <Used onGone={() => access.forgetLink()} />;
  return (
    <Entry entry={entry} title={t("access.first.title")} label={t("access.first.do")}>
      <p class="quiet">{t("access.first.lead")}</p>
      <Password autoComplete="new-password" fewest={fewest} isWrong={isWrong} hint={t("access.password.hint", { fewest, most })} isFirst />
    </Entry>
  );
}

function Used({ onGone }: { onGone: () => void }): JSX.Element {
  const button = useFocus<HTMLButtonElement>();
  return (
    <section class="panel" aria-labelledby="login-title">
      <h1 id="login-title">{t("access.first.title")}</h1>
      <p class="error" role="alert">{t("access.first.used")}</p>
      <button type="button" class="primary" ref={button} onClick={onGone}>{t("access.login")}</button>
    </section>
  );
}

/** Where somebody begins. A browser heeds `autofocus` once a page. */
function useFocus<T extends HTMLElement>(isWanted = true): RefObject<T | null> {
  const part = useRef<T>(null);
  useEffect(() => {
    if (isWanted) part.current?.focus();
  }, []);
  return part;
}

interface Entering {
  readonly form: { current: HTMLFormElement | null };
  readonly isBusy: Signal<boolean>;
  /** What was thrown; null: nothing was. */
  readonly error: Signal<unknown>;
  /** In seconds, before the next attempt. */
  readonly wait: Signal<number>;
  readonly submit: (event: SubmitEvent) => void;
}

function useEntry(enter: (said: FormData) => Promise<void>): Entering {
  const form = useRef<HTMLFormElement>(null);
  const [isBusy, error, wait] = [useSignal(false), useSignal<unknown>(null), useSignal(0)];
  const isWaiting = wait.value > 0;
  useEffect(() => {
    if (!isWaiting) return undefined;
    const counting = setInterval(() => {
      if (--wait.value === 0) error.value = null;
    }, 1000);
    return () => clearInterval(counting);
  }, [isWaiting]);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!form.current || isBusy.value || wait.value > 0) return;
    isBusy.value = true;
    error.value = null;
    enter(new FormData(form.current)).catch((thrown: unknown) => {
      isBusy.value = false;
      error.value = thrown;
      wait.value = refusedWith(thrown, 429) ? thrown.waitSeconds : 0;
      form.current?.querySelector<HTMLInputElement>("[name=password]")?.select();
    });
  };
  return { form, isBusy, error, wait, submit };
}

interface EntryProps {
  readonly entry: Entering;
  readonly title: string;
  readonly label: string;
  readonly children: ComponentChildren;
}

function Entry({ entry: { form, isBusy, error, wait, submit }, title, label, children }: EntryProps): JSX.Element {
  return (
    <form class="panel" ref={form} onSubmit={submit} aria-labelledby="login-title">
      <h1 id="login-title">{title}</h1>
      {children}
      {error.value !== null && <p id={ERROR} class="error" role="alert">{hurdleText(error.value)}</p>}
      <button type="submit" class="primary" disabled={isBusy.value || wait.value > 0}>
        {wait.value > 0 ? t("access.wait.left", { time: formats.value.duration(wait.value * 1000) }) : isBusy.value ? t("access.busy") : label}
      </button>
    </form>
  );
}

interface PasswordProps {
  readonly autoComplete: "current-password" | "new-password";
  readonly isWrong: boolean;
  readonly fewest?: number;
  readonly hint?: string;
  /** Nothing stands before it. */
  readonly isFirst?: boolean;
}

function Password({ autoComplete, isWrong, fewest = 1, hint = "", isFirst = false }: PasswordProps): JSX.Element {
  const isShown = useSignal(false);
  const field = useFocus<HTMLInputElement>(isFirst);
  const type = isShown.value ? "text" : "password";
  const described = [hint && "password-hint", isWrong && ERROR].filter(Boolean).join(" ");
  return (
    <>
      <label>
        <span>{t("access.password")}</span>
        <input name="password" ref={field} type={type as "password" /* Preact knows no field that is both */} required minLength={fewest} maxLength={PASSWORD_LENGTHS[1]}
          autoComplete={autoComplete} autoCapitalize="none" spellcheck={false}
          aria-invalid={isWrong} aria-describedby={described || undefined} />
      </label>
      {hint && <p id="password-hint" class="quiet small">{hint}</p>}
      <label class="check">
        <input type="checkbox" checked={isShown.value} onChange={(event) => (isShown.value = event.currentTarget.checked)} />
        <span>{t("access.password.show")}</span>
      </label>
    </>
  );
}

function refusedWith(error: unknown, status: number): error is Refusal {
  return error instanceof Refusal && error.status === status;
}

function hurdleText(error: unknown): string {
  if (error instanceof Forgotten) return t("access.cookies");
  if (!(error instanceof Refusal)) return t("finding.silent");
  switch (error.status) {
    case 401:
      return t("access.wrong");
    case 422:
      return t("access.password.hint", { fewest: PASSWORD_LENGTHS[0], most: PASSWORD_LENGTHS[1] });
    case 429:
      return t("access.wait", { time: formats.value.duration(error.waitSeconds * 1000) });
    case 503:
      return t("access.notNow");
    default:
      return error.message;
  }
}
