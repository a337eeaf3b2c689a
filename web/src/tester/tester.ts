import { signal } from "@preact/signals";

import type { Access } from "../auth/session";
import { Latency } from "./latency";
import { field, text, time } from "../model/wire";
import type { Transport } from "./connection";
import { RawConnection } from "./connection";

const PING_EVERY_MS = 2000;
const PAINT_MS = 250;
const KEPT = 100;

export interface Heard {
  readonly number: number;
  readonly at: number;
  readonly event: string;
  readonly body: unknown;
}

export type TrialState =
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "connecting" }
  | { readonly kind: "open"; readonly id: string; readonly transport: string };

export type Answered = { readonly answer: unknown; readonly milliseconds: number } | "none";

/** All that an open test page is: one connection, what it hears, and how long things take. */
export class Trial {
  readonly state = signal<TrialState>({ kind: "closed", reason: "" });
  /** Newest first; painted a few times a second, however fast they come. */
  readonly events = signal<readonly Heard[]>([]);
  readonly names = signal<readonly string[]>([]);
  readonly count = signal(0);
  /** Counts the changes of the three. */
  readonly measured = signal(0);
  readonly roundTrip = new Latency();
  /** By the bridge's clock and ours. */
  readonly sent = new Latency();
  /** By the device's clock, or the bridge's where the device has none, and ours. */
  readonly taken = new Latency();

  readonly access: Access;
  readonly #connection: RawConnection;
  #heard: Heard[] = [];
  #count = 0;
  #isPainting = false;

  constructor(base: URL, access: Access) {
    this.access = access;
    this.#connection = new RawConnection(
      base,
      {
        opened: (id, transport) => (this.state.value = { kind: "open", id, transport }),
        closed: (reason) => (this.state.value = { kind: "closed", reason }),
        heard: (event, body) => this.#hear(event, body),
        unknown: () => void access.admit(),
      },
      () => access.token,
    );
    access.onToken((token) => void this.ask("refresh", { token: token.text }));
    this.open("any");
    setInterval(() => void this.#ping(), PING_EVERY_MS);
  }

  open(transport: Transport): void {
    this.#connection.open(transport);
    this.state.value = { kind: "connecting" };
  }

  close(): void {
    this.#connection.close();
  }

  async ask(event: string, body: unknown): Promise<Answered> {
    const from = performance.now();
    try {
      return { answer: await this.#connection.ask(event, body), milliseconds: performance.now() - from };
    } catch {
      return "none";
    }
  }

  clear(): void {
    this.#heard = [];
    this.#paint();
  }

  #hear(event: string, body: unknown): void {
    const at = Date.now();
    this.#heard.unshift({ number: ++this.#count, at, event, body });
    if (this.#heard.length > KEPT) this.#heard.pop();
    if (event === "sensorData") this.#measure(body, at);
    if (this.#isPainting) return;
    this.#isPainting = true;
    setTimeout(() => this.#paint(), PAINT_MS);
  }

  #measure(body: unknown, at: number): void {
    const [sentAt, takenAt] = [time(field(body, "timestamp")), time(text(field(field(body, "data"), "timestamp")))];
    if (sentAt !== null) this.sent.add(at - sentAt);
    if (takenAt !== null) this.taken.add(at - takenAt);
  }

  #paint(): void {
    this.#isPainting = false;
    this.events.value = [...this.#heard];
    this.count.value = this.#count;
    const names = [...new Set([...this.names.peek(), ...this.#heard.map(({ event }) => event)])].sort();
    if (names.length > this.names.peek().length) this.names.value = names;
    this.measured.value++;
  }

  /** Any event is answered, one that the bridge does not know by saying so. */
  async #ping(): Promise<void> {
    if (this.state.peek().kind !== "open" || document.hidden) return;
    const answered = await this.ask("ping", {});
    if (answered === "none") return;
    this.roundTrip.add(answered.milliseconds);
    this.measured.value++;
  }
}
