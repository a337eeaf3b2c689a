import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { copyText } from "../components/clipboard";
import { Icon } from "../components/icon";
import { AccountMenu } from "../components/layout/account-menu";
import { Footer } from "../components/layout/footer";
import { Logo } from "../components/layout/logo";
import { ThemeToggle } from "../components/theme";
import { formats, t } from "../i18n";
import type { TransportChoice } from "./connection";
import { ACK_TIMEOUT_MS, TRANSPORTS } from "./connection";
import { Latency } from "./latency";
import type { Acknowledgement, ReceivedEvent, Tester } from "./tester";
import "../style/tester.css";

const MAX_SHOWN = 40;
const CONFIRMATION_MS = 2000;

/** The events that a client may send, each with an example body. */
const EXAMPLES = {
  subscribe: { devices: ["kitchen"], every: "1s" },
  unsubscribe: {},
  sendCommand: { device: "esp01", command: "servo1", value: "90", queue: true, expires: 600 },
} as const;
type EventName = keyof typeof EXAMPLES;

export function TesterPage({ tester }: { tester: Tester }): JSX.Element {
  const title = `${t("tester.title")} · ${t("app.name")}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <>
      <header class="bar">
        <a class="brand" href="./"><Logo />{t("app.name")}</a>
        <div class="tools"><ThemeToggle /><AccountMenu session={tester.session} /></div>
      </header>
      <main class="tester" tabIndex={-1}>
        <header>
          <a class="back" href="./"><Icon name="back" />{t("app.back")}</a>
          <h1>{t("tester.title")}</h1>
          <p class="muted">{t("tester.intro")}</p>
        </header>
        <div class="side">
          <ConnectionPanel tester={tester} />
          <LatencyPanel tester={tester} />
          <SendPanel tester={tester} />
        </div>
        <Events tester={tester} />
      </main>
      <Footer />
    </>
  );
}

function ConnectionPanel({ tester }: { tester: Tester }): JSX.Element {
  const transport = useSignal<TransportChoice>("any");
  const state = tester.state.value;
  const isClosed = state.kind === "closed";
  const text = state.kind === "open" ? t("tester.state.open", { transport: state.transport }) : t(`tester.state.${state.kind}`);
  return (
    <section class="panel" aria-labelledby="connection-title">
      <h2 id="connection-title">{t("tester.connection")}</h2>
      <p class="state" role="status" data-open={state.kind === "open"}>{text}</p>
      {state.kind === "open" && <p class="muted small">{t("tester.state.id")} <span class="code">{state.id}</span></p>}
      {isClosed && state.reason && <p class="error small">{state.reason}</p>}
      <label>
        <span>{t("tester.transport")}</span>
        <select value={transport.value} onChange={(event) => (transport.value = event.currentTarget.value as TransportChoice)}>
          {(Object.keys(TRANSPORTS) as TransportChoice[]).map((name) => <option key={name} value={name}>{t(`tester.transport.${name}`)}</option>)}
        </select>
      </label>
      <div class="buttons">
        <button type="button" class={isClosed ? "primary" : ""} onClick={() => tester.open(transport.value)}>{t("tester.connect")}</button>
        <button type="button" disabled={isClosed} onClick={() => tester.close()}>{t("tester.disconnect")}</button>
      </div>
    </section>
  );
}

function LatencyPanel({ tester }: { tester: Tester }): JSX.Element {
  tester.latencyVersion.value;
  const rows = [
    [t("tester.latency.ping"), tester.roundTrip.figures],
    [t("tester.latency.sent"), tester.delivery.figures],
    [t("tester.latency.measured"), tester.endToEnd.figures],
  ] as const;
  return (
    <section class="panel latency" aria-labelledby="latency-title">
      <h2 id="latency-title">{t("tester.latency")}</h2>
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">{t("tester.latency.newest")}</th>
            <th scope="col">{t("tester.latency.median")}</th>
            <th scope="col">{t("tester.latency.highest")}</th>
          </tr>
        </thead>
        <tbody>{rows.map(([name, figures]) => <LatencyRow key={name} name={name} figures={figures} />)}</tbody>
      </table>
      <p class="muted small">{t("tester.latency.note", { count: Latency.MAX_SAMPLES })}</p>
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

function SendPanel({ tester }: { tester: Tester }): JSX.Element {
  const event = useSignal<EventName>("subscribe");
  const body = useSignal(pretty(EXAMPLES.subscribe));
  const error = useSignal("");
  const acknowledgement = useSignal<Acknowledgement | null>(null);
  const choose = (name: EventName): void => {
    event.value = name;
    body.value = pretty(EXAMPLES[name]);
  };
  const send = async (submitted: SubmitEvent): Promise<void> => {
    submitted.preventDefault();
    acknowledgement.value = null;
    error.value = "";
    try {
      const parsed: unknown = JSON.parse(body.value);
      acknowledgement.value = await tester.emit(event.value, parsed);
    } catch (failure) {
      error.value = t("tester.invalidJson", { error: failure instanceof Error ? failure.message : String(failure) });
    }
  };
  return (
    <section class="panel" aria-labelledby="send-title">
      <h2 id="send-title">{t("tester.send")}</h2>
      <form onSubmit={(submitted) => void send(submitted)}>
        <label>
          <span>{t("tester.event")}</span>
          <select value={event.value} onChange={(changed) => choose(changed.currentTarget.value as EventName)}>
            {Object.keys(EXAMPLES).map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        <label>
          <span>{t("tester.body")}</span>
          <textarea class="code" rows={8} spellcheck={false} autoCapitalize="none" value={body.value} onInput={(changed) => (body.value = changed.currentTarget.value)} />
        </label>
        {error.value && <p class="error small" role="alert">{error.value}</p>}
        <button type="submit" class="primary" disabled={tester.state.value.kind !== "open"}>{t("command.send")}</button>
      </form>
      <div role="status">{acknowledgement.value && <AnswerPanel acknowledgement={acknowledgement.value} />}</div>
    </section>
  );
}

function AnswerPanel({ acknowledgement }: { acknowledgement: Acknowledgement }): JSX.Element {
  if (acknowledgement === "timeout") return <p class="error small">{t("tester.timeout", { time: formats.value.duration(ACK_TIMEOUT_MS) })}</p>;
  const text = pretty(acknowledgement.answer);
  return (
    <div class="answer">
      <header>
        <p class="muted small">{t("tester.acknowledged", { time: formats.value.milliseconds(acknowledgement.milliseconds) })}</p>
        <CopyButton text={text} />
      </header>
      <pre tabIndex={0}>{text}</pre>
    </div>
  );
}

function Events({ tester }: { tester: Tester }): JSX.Element {
  const eventFilter = useSignal("");
  const paused = useSignal<readonly ReceivedEvent[] | null>(null);
  const shown = useComputed(() => {
    const all = paused.value ?? tester.events.value;
    return all.filter(({ event }) => eventFilter.value === "" || event === eventFilter.value).slice(0, MAX_SHOWN);
  });
  return (
    <section class="events" aria-labelledby="events-title">
      <header>
        <h2 id="events-title">{t("tester.events")}</h2>
        <p class="muted small">{t("tester.events.count", { count: tester.eventCount.value })}</p>
        <div class="controls">
          <select aria-label={t("tester.event")} value={eventFilter.value} onChange={(event) => (eventFilter.value = event.currentTarget.value)}>
            <option value="">{t("tester.events.any")}</option>
            {tester.eventNames.value.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
          <button type="button" aria-pressed={paused.value !== null} onClick={() => (paused.value = paused.value === null ? tester.events.peek() : null)}>
            <Icon name={paused.value === null ? "pause" : "play"} />
            {t(paused.value === null ? "feed.pause" : "feed.resume")}
          </button>
          <button type="button" onClick={() => tester.clear()}>{t("tester.events.clear")}</button>
          <CopyButton text={() => pretty(shown.peek().map(({ event, body }) => ({ event, body })))} />
        </div>
      </header>
      {shown.value.length === 0 ? <p class="waiting">{t("tester.events.none")}</p> : <ol>{shown.value.map((one) => <EventRow key={one.number} received={one} />)}</ol>}
    </section>
  );
}

function EventRow({ received }: { received: ReceivedEvent }): JSX.Element {
  const isOpen = useSignal(false);
  return (
    <li>
      <details onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
        <summary>
          <time dateTime={new Date(received.at).toISOString()}>{formats.value.moment(received.at, received.at)}</time>
          <span class="name">{received.event}</span>
          <span class="code">{JSON.stringify(received.body)}</span>
        </summary>
        {isOpen.value && (
          <div class="expanded">
            <pre tabIndex={0}>{pretty(received.body)}</pre>
            <CopyButton text={pretty(received.body)} />
          </div>
        )}
      </details>
    </li>
  );
}

function CopyButton({ text }: { text: string | (() => string) }): JSX.Element {
  const confirmation = useSignal<"tester.copied" | "feed.copyFailed" | null>(null);
  const copy = async (): Promise<void> => {
    const isCopied = await copyText(typeof text === "string" ? text : text());
    confirmation.value = isCopied ? "tester.copied" : "feed.copyFailed";
    setTimeout(() => (confirmation.value = null), CONFIRMATION_MS);
  };
  return (
    <button type="button" onClick={() => void copy()}>
      <Icon name="copy" />
      <span role="status">{t(confirmation.value ?? "tester.copy")}</span>
    </button>
  );
}

function pretty(body: unknown): string {
  return JSON.stringify(body, null, 2) ?? "";
}
