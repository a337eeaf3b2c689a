import type { Command, CommandRequest } from "../model/command";
import { parseCommand, parseCommands, parseAnswer, refused } from "../model/command";
import type { Answer } from "../model/command";
import type { AuditPage, AuditQuery } from "../model/audit";
import { parseAudit, queryOf } from "../model/audit";
import type { Part, Quarantine, Status } from "../model/bridge/health";
import { parseParts, parseQuarantine, parseStatus } from "../model/bridge/health";
import type { Metrics } from "../model/bridge/metrics";
import { parseMetrics } from "../model/bridge/metrics";
import type { Span } from "../model/history/time-range";
import { every } from "../model/history/time-range";
import type { Bucket, DeviceRecord, Measurement, Reading } from "../model/wire";
import { field, number, parseBuckets, parseDevice, parseDevices, parseMeasurements, parseReadings, text } from "../model/wire";

const DEADLINE_MS = 10_000;
const HISTORY_DEADLINE_MS = 60_000;
const MOST_DEVICES = 2000;
const MOST_BUCKETS = 10_000;

/** What the bridge refused, in its words. */
export class Refusal extends Error {
  readonly status: number;
  /** For programs: which token was refused how. */
  readonly code: string;
  /** How long to wait before asking again, where that was said. */
  readonly waitSeconds: number;

  constructor(status: number, detail: string, code = "", waitSeconds = 0) {
    super(detail);
    this.status = status;
    this.code = code;
    this.waitSeconds = waitSeconds;
  }
}

/** What was answered, of JSON; throws what was refused. */
export async function answered(response: Response): Promise<unknown> {
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer;
  const detail = text(field(answer, "detail")) || `${response.status} ${response.statusText}`;
  throw new Refusal(response.status, detail, text(field(answer, "code")), Number(response.headers.get("Retry-After")) || 0);
}

export interface HistoryQuery extends Span {
  readonly devices: readonly string[];
  readonly step: number;
  readonly fields: readonly string[];
}

export interface Page {
  readonly readings: readonly Reading[];
  readonly next: number | null;
}

type Asked = [method: string, path: string, body?: unknown, deadline?: number, signal?: AbortSignal];

/** What is said of a device; null takes it away. */
export type Amendment = Readonly<Record<string, string | number | null>>;

/**
 * The bridge's HTTP calls, beside this page wherever that is served. `onClock` hears the bridge's time with every answer. `admit`
 * is asked when the bridge does not know who we are: whether it does now, so that it is worth asking again.
 */
export class Http {
  readonly #base: URL;
  readonly #onClock: (bridgeNow: number) => void;
  readonly #admit: () => Promise<boolean>;

  constructor(base: URL, onClock: (bridgeNow: number) => void, admit: () => Promise<boolean>) {
    this.#base = base;
    this.#onClock = onClock;
    this.#admit = admit;
  }

  async measurements(): Promise<Measurement[]> {
    return parseMeasurements(await this.#get("api/v1/measurements"));
  }

  async devices(table: readonly Measurement[]): Promise<DeviceRecord[]> {
    return parseDevices(await this.#get(`api/v1/devices?limit=${MOST_DEVICES}`), table);
  }

  async device(id: string, table: readonly Measurement[]): Promise<DeviceRecord | null> {
    return parseDevice(await this.#get(devicePath(id)), table);
  }

  async amend(id: string, amendment: Amendment, table: readonly Measurement[]): Promise<DeviceRecord | null> {
    return parseDevice(await this.#ask("PATCH", devicePath(id), amendment), table);
  }

  /** Readings after a cursor, in cursor order. */
  async after(cursor: number, limit: number, table: readonly Measurement[]): Promise<Page> {
    const body = await this.#get(`api/v1/readings?since=${cursor}&limit=${limit}`);
    return { readings: parseReadings(body, table), next: number(field(body, "next")) };
  }

  async history({ devices, from, to, step, fields }: HistoryQuery, signal?: AbortSignal): Promise<Bucket[]> {
    const query = new URLSearchParams(devices.map((id) => ["device", id]));
    query.set("from", new Date(Math.floor(from / step) * step).toISOString());
    query.set("to", new Date(to).toISOString());
    query.set("every", every(step));
    query.set("limit", String(MOST_BUCKETS));
    query.set("fields", fields.join(","));
    return parseBuckets(await this.#get(`api/v1/readings?${query}`, HISTORY_DEADLINE_MS, signal), fields);
  }

  async commands(id: string): Promise<Command[]> {
    return parseCommands(await this.#get(`${devicePath(id)}/commands?limit=20`));
  }

  async command(request: CommandRequest): Promise<Answer> {
    try {
      const { device, ...body } = request;
      const command = parseCommand(await this.#ask("POST", `${devicePath(device)}/commands`, body));
      return command ? { ok: true, command } : parseAnswer(null);
    } catch (error) {
      if (error instanceof Refusal) return refused(error.message);
      throw error;
    }
  }

  async status(): Promise<Status> {
    return parseStatus(await this.#get("websocket/status"));
  }

  /** Also when some of them fail, which is answered with 503. */
  async parts(): Promise<Part[]> {
    const response = await this.#fetch("GET", "health");
    return parseParts(await response.json());
  }

  async metrics(): Promise<Metrics> {
    return parseMetrics(await (await this.#fetch("GET", "metrics")).text());
  }

  async quarantine(): Promise<Quarantine> {
    return parseQuarantine(await this.#get("api/v1/rejected?limit=50"));
  }

  /** Who did what, the newest first. */
  async audit(query: AuditQuery): Promise<AuditPage> {
    return parseAudit(await this.#get(`api/v1/audit?${queryOf(query)}`));
  }

  async retry(): Promise<{ stored: number; duplicate: number; bad: number }> {
    const body = await this.#ask("POST", "api/v1/rejected/retry", undefined, HISTORY_DEADLINE_MS);
    const of = (name: string): number => number(field(body, name)) ?? 0;
    const bad = field(body, "bad");
    const still = Array.isArray(bad) ? bad.reduce<number>((sum, one) => sum + (number(field(one, "count")) ?? 0), 0) : 0;
    return { stored: of("stored"), duplicate: of("duplicate"), bad: still };
  }

  #get(path: string, deadline = DEADLINE_MS, signal?: AbortSignal): Promise<unknown> {
    return this.#ask("GET", path, undefined, deadline, signal);
  }

  async #ask(method: string, path: string, body?: unknown, deadline = DEADLINE_MS, signal?: AbortSignal): Promise<unknown> {
    return answered(await this.#fetch(method, path, body, deadline, signal));
  }

  async #fetch(...asked: Asked): Promise<Response> {
    const response = await this.#once(...asked);
    return response.status === 401 && (await this.#admit()) ? this.#once(...asked) : response;
  }

  async #once(...[method, path, body, deadline = DEADLINE_MS, signal]: Asked): Promise<Response> {
    const signals = [AbortSignal.timeout(deadline), ...(signal ? [signal] : [])];
    const response = await fetch(new URL(path, this.#base), {
      method,
      cache: "no-store",
      signal: AbortSignal.any(signals),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
    const bridgeNow = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(bridgeNow)) this.#onClock(bridgeNow);
    return response;
  }
}

function devicePath(id: string): string {
  return `api/v1/devices/${encodeURIComponent(id)}`;
}
