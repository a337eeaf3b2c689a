import type { Measurement, Reading } from "./wire";
import { field, number, parseLatest, parseMeasurements } from "./wire";

const DEADLINE_MS = 10_000;

/** The bridge's HTTP calls. `onClock` hears the bridge's time with every answer. */
export class Api {
  readonly #onClock: (bridgeNow: number) => void;

  constructor(onClock: (bridgeNow: number) => void) {
    this.#onClock = onClock;
  }

  async measurements(): Promise<Measurement[]> {
    return parseMeasurements(await this.#get("/api/v1/measurements"));
  }

  async latest(table: readonly Measurement[]): Promise<Reading[]> {
    return parseLatest(await this.#get("/api/v1/readings/latest"), table);
  }

  async clients(): Promise<number | null> {
    return number(field(await this.#get("/websocket/status"), "connectedClients"));
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) });
    if (!response.ok) throw new Error(`GET ${path}: ${response.status}`);
    const bridgeNow = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(bridgeNow)) this.#onClock(bridgeNow);
    return response.json();
  }
}
