import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { AuthSession } from "../auth/session";
import { PERMISSIONS } from "../auth/identity";
import { copyText } from "../components/clipboard";
import { Icon } from "../components/icon";
import { formats, t } from "../i18n";
import type { Operation } from "../model/reference/description";
import { exampleOf } from "../model/reference/description";
import type { ApiRequest, FilledForm } from "../model/reference/request";
import { curlOf, missingValues, requestOf } from "../model/reference/request";

const TIMEOUT_MS = 30_000;
/** Longer answers are cut: a browser takes seconds to render a megabyte. */
const MAX_SHOWN = 100_000;
const UNAUTHORIZED = 401;
const SHOWN_HEADERS = ["content-type", "location", "retry-after", "etag", "link"];

interface Answer {
  readonly status: string;
  readonly isOk: boolean;
  readonly milliseconds: number;
  readonly headers: string;
  readonly text: string;
  readonly isCut: boolean;
}

interface TryFormProps {
  readonly operation: Operation;
  readonly schemas: ReadonlyMap<string, unknown>;
  readonly base: URL;
  readonly session: AuthSession;
}

/** Sends a request to this bridge, with the cookie of the session. */
export function TryForm({ operation, schemas, base, session }: TryFormProps): JSX.Element {
  const [first] = operation.bodies;
  const form = useSignal<FilledForm>({
    values: new Map(),
    media: first?.media ?? "",
    body: first === undefined ? "" : exampleText(first.media, first.schema, schemas),
  });
  const answer = useSignal<Answer | null>(null);
  const error = useSignal("");
  const isBusy = useSignal(false);
  const hasCopied = useSignal(false);
  const change = (changed: Partial<FilledForm>): void => {
    form.value = { ...form.value, ...changed };
    hasCopied.value = false;
  };
  const chooseMedia = (media: string): void => change({ media, body: exampleText(media, operation.bodies.find((one) => one.media === media)?.schema, schemas) });
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const missing = missingValues(operation, form.value);
    answer.value = null;
    error.value = missing.length > 0 ? t("reference.missing", { names: formats.value.list(missing) }) : "";
    if (missing.length > 0) return;
    isBusy.value = true;
    try {
      answer.value = await send(requestOf(operation, form.value), base, session);
    } catch (failure) {
      error.value = failure instanceof DOMException && failure.name === "TimeoutError" ? t("reference.timeout", { time: formats.value.duration(TIMEOUT_MS) }) : t("finding.unreachable");
    } finally {
      isBusy.value = false;
    }
  };
  const copy = async (): Promise<void> => {
    hasCopied.value = await copyText(curlOf(requestOf(operation, form.value), base));
  };
  const name = `${operation.method} ${operation.path}`;
  return (
    <form class="try" noValidate aria-label={`${t("reference.try")}: ${name}`} onSubmit={(event) => void submit(event)}>
      <h3>{t("reference.try")}</h3>
      <RightsNote operation={operation} session={session} />
      {operation.parameters.map((one) => (
        <label key={one.in + one.name}>
          <span><code>{one.name}</code>{one.isRequired && ` ${t("reference.required")}`}</span>
          <input autoCapitalize="none" autoComplete="off" spellcheck={false} value={form.value.values.get(one.name) ?? ""} onInput={(event) => change({ values: new Map([...form.value.values, [one.name, event.currentTarget.value]]) })} />
        </label>
      ))}
      {operation.bodies.length > 1 && (
        <label>
          <span>Content-Type</span>
          <select value={form.value.media} onChange={(event) => chooseMedia(event.currentTarget.value)}>
            {operation.bodies.map(({ media }) => <option key={media}>{media}</option>)}
          </select>
        </label>
      )}
      {first && (
        <label class="body">
          <span>{t("reference.body")}</span>
          <textarea class="code" rows={6} spellcheck={false} autoCapitalize="none" value={form.value.body} onInput={(event) => change({ body: event.currentTarget.value })} />
        </label>
      )}
      <div class="buttons">
        <button type="submit" class="primary" disabled={isBusy.value}>{t("reference.send", { method: operation.method })}</button>
        <button type="button" onClick={() => void copy()}><Icon name="copy" /><span role="status">{t(hasCopied.value ? "tester.copied" : "reference.curl")}</span></button>
      </div>
      {error.value && <p class="error small" role="alert">{error.value}</p>}
      <div role="status">{answer.value && <AnswerPanel answer={answer.value} />}</div>
    </form>
  );
}

/** Says so if the bridge will refuse the request, or if the request changes something. */
function RightsNote({ operation: { method, permission, isGuarded }, session }: { readonly operation: Operation; readonly session: AuthSession }): JSX.Element | null {
  const { kind } = session.state.value;
  const right = PERMISSIONS.find((one) => one === permission);
  if (isGuarded && (kind === "loggedOut" || kind === "setup")) return <p class="rights small" data-state="loggedOut"><Icon name="warning" /><span>{t("reference.rights.loggedOut")} <a href="../">{t("auth.login")}</a></span></p>;
  if (right !== undefined && kind === "loggedIn" && !session.can(right)) return <p class="rights small" data-state="loggedOut"><Icon name="warning" /><span>{t("reference.rights.lacking", { right })}</span></p>;
  return method === "GET" ? null : <p class="small muted">{t("reference.changes")}</p>;
}

function AnswerPanel({ answer }: { readonly answer: Answer }): JSX.Element {
  return (
    <div class="answer" data-ok={answer.isOk}>
      <p><strong>{answer.status}</strong> <span class="muted small">{formats.value.milliseconds(answer.milliseconds)}</span></p>
      {answer.headers && <pre class="small muted" tabIndex={0}>{answer.headers}</pre>}
      {answer.text && <pre tabIndex={0}>{answer.text}</pre>}
      {answer.isCut && <p class="muted small">{t("reference.cut", { limit: MAX_SHOWN })}</p>}
    </div>
  );
}

/** A 401 renews the session once, as the dashboard does. */
async function send(request: ApiRequest, base: URL, session: AuthSession): Promise<Answer> {
  const started = performance.now();
  let response = await sendOnce(request, base);
  if (response.status === UNAUTHORIZED && session.state.peek().kind === "loggedIn" && (await session.reauthenticate())) response = await sendOnce(request, base);
  const text = await response.text();
  const type = response.headers.get("Content-Type") ?? "";
  const shown = type.includes("json") ? pretty(text) : text;
  return {
    status: `${response.status} ${response.statusText}`.trim(),
    isOk: response.ok,
    milliseconds: performance.now() - started,
    headers: SHOWN_HEADERS.flatMap((name) => (response.headers.has(name) ? [`${name}: ${response.headers.get(name)}`] : [])).join("\n"),
    text: shown.slice(0, MAX_SHOWN),
    isCut: shown.length > MAX_SHOWN,
  };
}

function sendOnce({ method, path, headers, body }: ApiRequest, base: URL): Promise<Response> {
  return fetch(new URL(path, base), { method, headers, cache: "no-store", redirect: "follow", signal: AbortSignal.timeout(TIMEOUT_MS), ...(body === null ? {} : { body }) });
}

function exampleText(media: string, schema: unknown, schemas: ReadonlyMap<string, unknown>): string {
  const example = exampleOf(schema, schemas);
  if (media.includes("json")) return JSON.stringify(example, null, 2);
  if (media === "application/x-www-form-urlencoded" && typeof example === "object" && example !== null) return new URLSearchParams(example as Record<string, string>).toString();
  return "";
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
