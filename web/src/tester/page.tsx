import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { formats, t } from "../i18n";
import { Latency } from "./latency";
import type { Transport } from "./connection";
import { ANSWER_MS, TRANSPORTS } from "./connection";
import { Account } from "../components/layout/account-menu";
import { copyText } from "../components/clipboard";
import { Foot } from "../components/layout/footer";
import { Icon } from "../components/icon";
import { Mark } from "../components/layout/logo";
import { ThemeButton } from "../components/theme";
import type { Answered, Heard, Trial } from "./tester";
import "../style/tester.css";

const SHOWN = 40;
const SAID_MS = 2000;

/** What may be said, each with a body to begin with. */
const EXAMPLES = {
  subscribe: { devices: ["kitchen"], every: "1s" },
  unsubscribe: {},
  sendCommand: { device: "esp01", command: "servo1", value: "90", queue: true, expires: 600 },
} as const;
type Said = keyof typeof EXAMPLES;

export function TrialView({ trial }: { trial: Trial }): JSX.Element {
  const title = `${t("test.title")} · ${t("app.name")}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <>
      <header class="bar">
        <a class="brand" href="./"><Mark />{t("app.name")}</a>
        <div class="tools"><ThemeButton /><Account access={trial.access} /></div>
      </header>
      <main class="trial" tabIndex={-1}>
        <header>
          <a class="back" href="./"><Icon name="back" />{t("app.back")}</a>
          <h1>{t("test.title")}</h1>
          <p class="quiet">{t("test.lead")}</p>
        </header>
        <div class="side">
          <ConnectionPanel trial={trial} />
          <LatencyPanel trial={trial} />
          <SendPanel trial={trial} />
        </div>
        <Events trial={trial} />
      </main>
      <Foot />
    </>
  );
}

function ConnectionPanel({ trial }: { trial: Trial }): JSX.Element {
  const transport = useSignal<Transport>("any");
  const state = trial.state.value;
  const isClosed = state.kind === "closed";
  const text = state.kind === "open" ? t("test.state.open", { transport: state.transport }) : t(`test.state.${state.kind}`);
  return (
    <section class="panel" aria-labelledby="connection-title">
      <h2 id="connection-title">{t("test.connection")}</h2>
      <p class="state" role="status" data-open={state.kind === "open"}>{text}</p>
      {state.kind === "open" && <p class="quiet small">{t("test.state.id")} <span class="code">{state.id}</span></p>}
      {isClosed && state.reason && <p class="error small">{state.reason}</p>}
      <label>
        <span>{t("test.transport")}</span>
        <select value={transport.value} onChange={(event) => (transport.value = event.currentTarget.value as Transport)}>
          {(Object.keys(TRANSPORTS) as Transport[]).map((name) => <option key={name} value={name}>{t(`test.transport.${name}`)}</option>)}
        </select>
      </label>
      <div class="buttons">
        <button type="button" class={isClosed ? "primary" : ""} onClick={() => trial.open(transport.value)}>{t("test.connect")}</button>
        <button type="button" disabled={isClosed} onClick={() => trial.close()}>{t("test.disconnect")}</button>
      </div>
    </section>
  );
}

function LatencyPanel({ trial }: { trial: Trial }): JSX.Element {
  trial.measured.value;
  const rows = [
    [t("test.latency.ping"), trial.roundTrip.figures],
    [t("test.latency.sent"), trial.sent.figures],
    [t("test.latency.measured"), trial.taken.figures],
  ] as const;
  return (
    <section class="panel latency" aria-labelledby="latency-title">
      <h2 id="latency-title">{t("test.latency")}</h2>
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">{t("test.latency.newest")}</th>
            <th scope="col">{t("test.latency.median")}</th>
            <th scope="col">{t("test.latency.highest")}</th>
          </tr>
        </thead>
        <tbody>{rows.map(([name, figures]) => <LatencyRow key={name} name={name} figures={figures} />)}</tbody>
      </table>
      <p class="quiet small">{t("test.latency.note", { count: Latency.KEPT })}</p>
    </section>
  );
}

function LatencyRow({ name, figures }: { name: string; figures: Latency["figures"] }): JSX.Element {
  const text = (milliseconds: number | undefined): string => (milliseconds === undefined ? t("value.none") : formats.value.milliseconds(milliseconds));
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{text(figures?.newest)}</td>
      <td>{text(figures?.median)}</td>
      <td>{text(figures?.highest)}</td>
    </tr>
  );
}

function SendPanel({ trial }: { trial: Trial }): JSX.Element {
  const event = useSignal<Said>("subscribe");
  const body = useSignal(pretty(EXAMPLES.subscribe));
  const error = useSignal("");
  const answered = useSignal<Answered | null>(null);
  const choose = (name: Said): void => {
    event.value = name;
    body.value = pretty(EXAMPLES[name]);
  };
  const send = async (submitted: SubmitEvent): Promise<void> => {
    submitted.preventDefault();
    answered.value = null;
    error.value = "";
    try {
      const parsed: unknown = JSON.parse(body.value);
      answered.value = await trial.ask(event.value, parsed);
    } catch (failure) {
      error.value = t("test.notJson", { error: failure instanceof Error ? failure.message : String(failure) });
    }
  };
  return (
    <section class="panel" aria-labelledby="send-title">
      <h2 id="send-title">{t("test.send")}</h2>
      <form onSubmit={(submitted) => void send(submitted)}>
        <label>
          <span>{t("test.event")}</span>
          <select value={event.value} onChange={(changed) => choose(changed.currentTarget.value as Said)}>
            {Object.keys(EXAMPLES).map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        <label>
          <span>{t("test.body")}</span>
          <textarea class="code" rows={8} spellcheck={false} autoCapitalize="none" value={body.value} onInput={(changed) => (body.value = changed.currentTarget.value)} />
        </label>
        {error.value && <p class="error small" role="alert">{error.value}</p>}
        <button type="submit" class="primary" disabled={trial.state.value.kind !== "open"}>{t("command.send")}</button>
      </form>
      <div role="status">{answered.value && <Answer answered={answered.value} />}</div>
    </section>
  );
}

function Answer({ answered }: { answered: Answered }): JSX.Element {
  if (answered === "none") return <p class="error small">{t("test.noAnswer", { time: formats.value.duration(ANSWER_MS) })}</p>;
  const text = pretty(answered.answer);
  return (
    <div class="answer">
      <header>
        <p class="quiet small">{t("test.answer", { time: formats.value.milliseconds(answered.milliseconds) })}</p>
        <CopyButton text={text} />
      </header>
      <pre tabIndex={0}>{text}</pre>
    </div>
  );
}

function Events({ trial }: { trial: Trial }): JSX.Element {
  const wanted = useSignal("");
  const held = useSignal<readonly Heard[] | null>(null);
  const shown = useComputed(() => {
    const all = held.value ?? trial.events.value;
    return all.filter(({ event }) => wanted.value === "" || event === wanted.value).slice(0, SHOWN);
  });
  return (
    <section class="events" aria-labelledby="events-title">
      <header>
        <h2 id="events-title">{t("test.events")}</h2>
        <p class="quiet small">{t("test.events.count", { count: trial.count.value })}</p>
        <div class="controls">
          <select aria-label={t("test.event")} value={wanted.value} onChange={(event) => (wanted.value = event.currentTarget.value)}>
            <option value="">{t("test.events.any")}</option>
            {trial.names.value.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
          <button type="button" aria-pressed={held.value !== null} onClick={() => (held.value = held.value === null ? trial.events.peek() : null)}>
            <Icon name={held.value === null ? "pause" : "play"} />
            {t(held.value === null ? "feed.pause" : "feed.resume")}
          </button>
          <button type="button" onClick={() => trial.clear()}>{t("test.events.clear")}</button>
          <CopyButton text={() => pretty(shown.peek().map(({ event, body }) => ({ event, body })))} />
        </div>
      </header>
      {shown.value.length === 0 ? <p class="waiting">{t("test.events.none")}</p> : <ol>{shown.value.map((one) => <EventRow key={one.number} heard={one} />)}</ol>}
    </section>
  );
}

function EventRow({ heard }: { heard: Heard }): JSX.Element {
  const isOpen = useSignal(false);
  return (
    <li>
      <details onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
        <summary>
          <time dateTime={new Date(heard.at).toISOString()}>{formats.value.moment(heard.at, heard.at)}</time>
          <span class="name">{heard.event}</span>
          <span class="code">{JSON.stringify(heard.body)}</span>
        </summary>
        {isOpen.value && (
          <div class="whole">
            <pre tabIndex={0}>{pretty(heard.body)}</pre>
            <CopyButton text={pretty(heard.body)} />
          </div>
        )}
      </details>
    </li>
  );
}

function CopyButton({ text }: { text: string | (() => string) }): JSX.Element {
  const said = useSignal<"test.copied" | "feed.notCopied" | null>(null);
  const copy = async (): Promise<void> => {
    const isCopied = await copyText(typeof text === "string" ? text : text());
    said.value = isCopied ? "test.copied" : "feed.notCopied";
    setTimeout(() => (said.value = null), SAID_MS);
  };
  return (
    <button type="button" onClick={() => void copy()}>
      <Icon name="copy" />
      <span role="status">{t(said.value ?? "test.copy")}</span>
    </button>
  );
}

function pretty(body: unknown): string {
  return JSON.stringify(body, null, 2) ?? "";
}
