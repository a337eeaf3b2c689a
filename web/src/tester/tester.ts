import { signal } from "@preact/signals";

import type { AuthSession } from "../auth/session";
import { field, text, time } from "../model/json";
import type { TransportChoice } from "./connection";
import { TestConnection } from "./connection";
import { Latency } from "./latency";

const PING_INTERVAL_MS = 2000;
const PAINT_INTERVAL_MS = 250;
const MAX_EVENTS = 100;

export interface ReceivedEvent {
  readonly number: number;
  readonly at: number;
  readonly event: string;
  readonly body: unknown;
}

export type TesterState =
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "connecting" }
  | { readonly kind: "open"; readonly id: string; readonly transport: string };

export type Acknowledgement = { readonly answer: unknown; readonly milliseconds: number } | "timeout";

/** The state of the test page: one connection, the events it receives, and latencies. */
export class Tester {
  readonly state = signal<TesterState>({ kind: "closed", reason: "" });
  /** Newest first; updated at most four times a second. */
  readonly events = signal<readonly ReceivedEvent[]>([]);
  readonly eventNames = signal<readonly string[]>([]);
  readonly eventCount = signal(0);
  /** Grows with every change of the latencies. */
  readonly latencyVersion = signal(0);
  readonly roundTrip = new Latency();
  /** From the bridge's clock to ours. */
  readonly delivery = new Latency();
  /** From the device's clock (the bridge's if it has none) to ours. */
  readonly endToEnd = new Latency();

  readonly session: AuthSession;
  readonly #connection: TestConnection;
  #events: ReceivedEvent[] = [];
  #eventCount = 0;
  #isPaintScheduled = false;

  constructor(base: URL, session: AuthSession) {
    this.session = session;
    this.#connection = new TestConnection(
      base,
      {
        onOpen: (id, transport) => (this.state.value = { kind: "open", id, transport }),
        onClose: (reason) => (this.state.value = { kind: "closed", reason }),
        onEvent: (event, body) => this.#onEvent(event, body),
        onUnauthorized: () => void session.reauthenticate(),
      },
      () => session.token,
    );
    session.onToken((token) => void this.emit("refresh", { token: token.text }));
    this.open("any");
    setInterval(() => void this.#ping(), PING_INTERVAL_MS);
  }

  open(transport: TransportChoice): void {
    this.#connection.open(transport);
    this.state.value = { kind: "connecting" };
  }

  close(): void {
    this.#connection.close();
  }

  async emit(event: string, body: unknown): Promise<Acknowledgement> {
    const start = performance.now();
    try {
      return { answer: await this.#connection.emit(event, body), milliseconds: performance.now() - start };
    } catch {
      return "timeout";
    }
  }

  clear(): void {
    this.#events = [];
    this.#paint();
  }

  #onEvent(event: string, body: unknown): void {
    const at = Date.now();
    this.#events.unshift({ number: ++this.#eventCount, at, event, body });
    if (this.#events.length > MAX_EVENTS) this.#events.pop();
    if (event === "sensorData") this.#measure(body, at);
    if (this.#isPaintScheduled) return;
    this.#isPaintScheduled = true;
    setTimeout(() => this.#paint(), PAINT_INTERVAL_MS);
  }

  #measure(body: unknown, at: number): void {
    const [sentAt, measuredAt] = [time(field(body, "timestamp")), time(text(field(field(body, "data"), "timestamp")))];
    if (sentAt !== null) this.delivery.add(at - sentAt);
    if (measuredAt !== null) this.endToEnd.add(at - measuredAt);
  }

  #paint(): void {
    this.#isPaintScheduled = false;
    this.events.value = [...this.#events];
    this.eventCount.value = this.#eventCount;
    const names = [...new Set([...this.eventNames.peek(), ...this.#events.map(({ event }) => event)])].sort();
    if (names.length > this.eventNames.peek().length) this.eventNames.value = names;
    this.latencyVersion.value++;
  }

  /** The bridge acknowledges every event, including unknown ones. */
  async #ping(): Promise<void> {
    if (this.state.peek().kind !== "open" || document.hidden) return;
    const acknowledgement = await this.emit("ping", {});
    if (acknowledgement === "timeout") return;
    this.roundTrip.add(acknowledgement.milliseconds);
    this.latencyVersion.value++;
  }
}
