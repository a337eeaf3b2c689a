import type { AlarmAction, RefusedAction } from "../model/alarms/actions";
import { parseRefused } from "../model/alarms/actions";
import type { Alarm, AlarmPage, Priority } from "../model/alarms/alarm";
import { parseAlarm, parseAlarmPage } from "../model/alarms/alarm";
import type { AlarmDetail } from "../model/alarms/detail";
import { parseAlarmDetail } from "../model/alarms/detail";
import type { AlarmKpis } from "../model/alarms/kpis";
import { parseKpis } from "../model/alarms/kpis";
import type { AlarmRule } from "../model/alarms/rules";
import { parseRules, parseRulesFileError } from "../model/alarms/rules";
import type { AdvicePage } from "../model/analysis/advice";
import { parseAdvicePage } from "../model/analysis/advice";
import type { Anomaly, AnomalyPage, AnomalyState } from "../model/analysis/anomaly";
import { parseAnomaly, parseAnomalyPage } from "../model/analysis/anomaly";
import type { Prediction } from "../model/analysis/prediction";
import { parsePredictions } from "../model/analysis/prediction";
import type { AuditEventPage, AuditQuery } from "../model/audit";
import { auditSearch, parseAudit } from "../model/audit";
import type { Discovery, SubscriptionItem } from "../model/bridge/discovery";
import { parseDiscovery, parseSubscriptions } from "../model/bridge/discovery";
import type { ComponentStatus, Quarantine, Status } from "../model/bridge/health";
import { parseComponents, parseQuarantine, parseStatus } from "../model/bridge/health";
import type { Metrics } from "../model/bridge/metrics";
import { parseMetrics } from "../model/bridge/metrics";
import type { Command, CommandRequest, CommandResult } from "../model/command";
import { failedCommand, parseCommand, parseCommandResult, parseCommands } from "../model/command";
import type { AirScale, AssessmentReport } from "../model/devices/assessment";
import { parseReports } from "../model/devices/assessment";
import type { DeviceDetail, DeviceIgnoredKeys, ExtraRecord } from "../model/devices/device-detail";
import { parseDetail, parseExtraRecords, parseIgnoredKeysPage } from "../model/devices/device-detail";
import { bucketStart, timeZoneOf } from "../model/history/bucket-start";
import type { TimeSpan } from "../model/history/time-range";
import { stepText } from "../model/history/time-range";
import { field, list, number, text } from "../model/json";
import type { NewNote, Note } from "../model/notes";
import { parseNotes } from "../model/notes";
import type { PushStatus } from "../model/push";
import { parsePushStatus } from "../model/push";
import type { Reason } from "../model/reason";
import { causeIn } from "../model/reason";
import type { NewSharedLink, SharedLink } from "../model/shared-link";
import { parseSharedLinks } from "../model/shared-link";
import type { Standard } from "../model/standards";
import { parseStandards } from "../model/standards";
import type { Bucket, DeviceRecord, Measurement, Reading } from "../model/wire";
import { parseBuckets, parseDevice, parseDevices, parseMeasurements, parseReadings } from "../model/wire";

const TIMEOUT_MS = 10_000;
const HISTORY_TIMEOUT_MS = 60_000;
const MAX_DEVICES = 2000;
const MAX_BUCKETS = 10_000;
const MAX_EXTRA_RECORDS = 2000;
const ALARM_PAGE_SIZE = 500;
const MAX_ALARM_PAGES = 20;
const LISTED_ALARMS = 50;
const LISTED_ANOMALIES = 50;
const ADVICE_PAGE_SIZE = 100;
const NOT_FOUND = 404;
const FORBIDDEN = 403;
const MAX_REASON_LENGTH = 1000;
/** What a shared link shows. */
const SHARED_PATHS = /^(api\/v1\/(readings|measurements|assessments|standards|predictions|devices)\b(?!.*\/commands)|health$)/;

/** An error response. The message is the bridge's own. */
export class ApiError extends Error {
  readonly status: number;
  /** Machine-readable, such as how a token was refused; empty without one. */
  readonly code: string;
  /** From `Retry-After`; 0 without one. */
  readonly retryAfterSeconds: number;
  /** The same as the message, with keys; empty if some of it has none. */
  readonly reasons: readonly Reason[];

  constructor(status: number, detail: string, code = "", retryAfterSeconds = 0, reasons: readonly Reason[] = []) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
    this.reasons = reasons;
  }
}

/** The JSON body of a successful response; throws `ApiError` for any other. */
export async function readJson(response: Response): Promise<unknown> {
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body;
  const detail = text(field(body, "detail")) || `${response.status} ${response.statusText}`;
  throw new ApiError(response.status, detail, text(field(body, "code")), Number(response.headers.get("Retry-After")) || 0, reasonsOf(body, detail));
}

/** Of the detail, else of each mistake in the request. */
function reasonsOf(body: unknown, detail: string): Reason[] {
  const whole: Reason = { text: detail, ...causeIn(body) };
  if (whole.cause !== undefined) return [whole];
  const mistakes = list(field(body, "errors")).map((one): Reason => ({ text: text(field(one, "message"), MAX_REASON_LENGTH), ...causeIn(one) }));
  return mistakes.every(({ cause }) => cause !== undefined) ? mistakes : [];
}

export interface HistoryQuery extends TimeSpan {
  readonly devices: readonly string[];
  /** Bucket width in milliseconds. */
  readonly step: number;
  readonly fields: readonly string[];
}

/** What is left out does not limit. */
export interface AlarmQuery {
  readonly state: "standing" | "shelved" | "ended" | "all";
  readonly device?: string;
  readonly priority?: Priority | "";
  readonly span?: TimeSpan;
  readonly before?: string | null;
  readonly limit?: number;
}

/** What is left out does not limit. */
export interface AnomalyQuery {
  readonly state: AnomalyState | "all";
  readonly device?: string;
  readonly before?: string | null;
}

export interface AlarmChange {
  readonly comment?: string;
  /** For shelving. */
  readonly seconds?: number;
}

export interface ReadingPage {
  readonly readings: readonly Reading[];
  /** The cursor of the next page; null after the last. */
  readonly next: number | null;
}

/** Changed device properties; null clears one. */
export type DevicePatch = Readonly<Record<string, string | number | boolean | null>>;

type RequestParts = [method: string, path: string, body?: unknown, timeout?: number, signal?: AbortSignal];

/**
 * The bridge's HTTP API, relative to the page's own address. `onClock` receives the bridge's time with every response.
 * `reauthenticate` is called after a 401; if it resolves to true, the request is repeated once.
 */
export class ApiClient {
  readonly #base: URL;
  readonly #onClock: (bridgeNow: number) => void;
  readonly #reauthenticate: () => Promise<boolean>;
  readonly #bearer: () => string | null;

  /** `bearer` is the token of a shared view, sent with every request; null: the browser sends its cookie. */
  constructor(base: URL, onClock: (bridgeNow: number) => void, reauthenticate: () => Promise<boolean>, bearer: () => string | null = () => null) {
    this.#base = base;
    this.#onClock = onClock;
    this.#reauthenticate = reauthenticate;
    this.#bearer = bearer;
  }

  async measurements(): Promise<Measurement[]> {
    return parseMeasurements(await this.#get("api/v1/measurements"));
  }

  async devices(table: readonly Measurement[]): Promise<DeviceRecord[]> {
    return parseDevices(await this.#get(`api/v1/devices?limit=${MAX_DEVICES}`), table);
  }

  async deviceDetail(id: string): Promise<DeviceDetail> {
    return parseDetail(await this.#get(devicePath(id)));
  }

  /** The bridge's assessments of these devices, or of all; by its own index unless one is given. */
  async assessments(devices: readonly string[] = [], scale: AirScale | null = null): Promise<AssessmentReport[]> {
    const query = new URLSearchParams(devices.map((id) => ["device", id]));
    if (scale !== null) query.set("scale", scale);
    return parseReports(await this.#get(`api/v1/assessments?${query}`));
  }

  /** The classes of the standards, by the bridge's own index unless one is given; none of an older bridge. */
  async standards(scale: AirScale | null = null): Promise<Standard[]> {
    return parseStandards(await this.#getIfServed(`api/v1/standards${scale === null ? "" : `?scale=${scale}`}`));
  }

  /** Of one device, in the span; none of an older bridge. */
  async notes(device: string, span: TimeSpan): Promise<Note[]> {
    const query = new URLSearchParams({ device });
    appendSpan(query, span);
    return parseNotes(await this.#getIfServed(`api/v1/notes?${query}`));
  }

  async addNote({ at, ...note }: NewNote): Promise<void> {
    await this.#request("POST", "api/v1/notes", { ...note, at: new Date(at).toISOString() });
  }

  async removeNote(id: string): Promise<void> {
    await this.#request("DELETE", `api/v1/notes/${encodeURIComponent(id)}`);
  }

  /** The values that are no measurement, of the newest readings before `to`; null: before now. */
  async extraRecords(id: string, to: number | null): Promise<ExtraRecord[]> {
    const query = new URLSearchParams({ device: id, fields: "extra", limit: String(MAX_EXTRA_RECORDS) });
    if (to !== null) query.set("to", new Date(to).toISOString());
    return parseExtraRecords(await this.#get(`api/v1/readings?${query}`, HISTORY_TIMEOUT_MS));
  }

  async ignoredKeys(): Promise<DeviceIgnoredKeys[]> {
    return parseIgnoredKeysPage(await this.#get("api/v1/ignored-keys?limit=100"));
  }

  async updateDevice(id: string, patch: DevicePatch, table: readonly Measurement[]): Promise<DeviceRecord | null> {
    return parseDevice(await this.#request("PATCH", devicePath(id), patch), table);
  }

  /** Readings after a cursor, in cursor order. */
  async readingsAfter(cursor: number, limit: number, table: readonly Measurement[]): Promise<ReadingPage> {
    const body = await this.#get(`api/v1/readings?since=${cursor}&limit=${limit}`);
    return { readings: parseReadings(body, table), next: number(field(body, "next")) };
  }

  async history({ devices, from, to, step, fields }: HistoryQuery, signal?: AbortSignal): Promise<Bucket[]> {
    const query = new URLSearchParams(devices.map((id) => ["device", id]));
    query.set("from", new Date(bucketStart(from, step)).toISOString());
    query.set("to", new Date(to).toISOString());
    query.set("every", stepText(step));
    const zone = timeZoneOf(step);
    if (zone !== null) query.set("timezone", zone);
    query.set("limit", String(MAX_BUCKETS));
    query.set("fields", fields.join(","));
    return parseBuckets(await this.#get(`api/v1/readings?${query}`, HISTORY_TIMEOUT_MS, signal), fields);
  }

  async commands(id: string): Promise<Command[]> {
    return parseCommands(await this.#get(`${devicePath(id)}/commands?limit=20`));
  }

  async sendCommand(request: CommandRequest): Promise<CommandResult> {
    try {
      const { device, ...body } = request;
      const command = parseCommand(await this.#request("POST", `${devicePath(device)}/commands`, body));
      return command ? { ok: true, command } : parseCommandResult(null);
    } catch (error) {
      if (error instanceof ApiError) return failedCommand(error.message, error.reasons[0]?.cause);
      throw error;
    }
  }

  async sharedLinks(): Promise<SharedLink[]> {
    return parseSharedLinks(await this.#get("api/v1/links"));
  }

  /** Returns the token of the link, which the bridge tells only once. */
  async addSharedLink(link: NewSharedLink): Promise<string> {
    return text(field(await this.#request("POST", "api/v1/links", link), "token"));
  }

  async revokeSharedLink(id: string): Promise<void> {
    await this.#request("DELETE", `api/v1/links/${encodeURIComponent(id)}`);
  }

  async status(): Promise<Status> {
    return parseStatus(await this.#get("websocket/status"));
  }

  /** Also parses a 503 response, which means that some components fail. */
  async components(): Promise<ComponentStatus[]> {
    const response = await this.#fetch("GET", "health");
    return parseComponents(await response.json());
  }

  async metrics(): Promise<Metrics> {
    return parseMetrics(await (await this.#fetch("GET", "metrics")).text());
  }

  async quarantine(): Promise<Quarantine> {
    return parseQuarantine(await this.#get("api/v1/rejected?limit=50"));
  }

  /** All messages, or one. */
  async retryQuarantine(id = ""): Promise<{ stored: number; duplicate: number; bad: number }> {
    const body = await this.#request("POST", id ? `api/v1/rejected/retry?${new URLSearchParams({ id })}` : "api/v1/rejected/retry", undefined, HISTORY_TIMEOUT_MS);
    const count = (name: string): number => number(field(body, name)) ?? 0;
    const groups = field(body, "bad");
    const bad = Array.isArray(groups) ? groups.reduce<number>((sum, one) => sum + (number(field(one, "count")) ?? 0), 0) : 0;
    return { stored: count("stored"), duplicate: count("duplicate"), bad };
  }

  /** All that stand, at most as many as the page can show. */
  async standingAlarms(): Promise<Omit<AlarmPage, "next">> {
    const alarms: Alarm[] = [];
    let before: string | null = null;
    for (let number = 0; number < MAX_ALARM_PAGES; number++) {
      const page: AlarmPage = await this.alarms({ state: "standing", before, limit: ALARM_PAGE_SIZE });
      alarms.push(...page.alarms);
      before = page.next;
      if (before === null) return { alarms, isCatchingUp: page.isCatchingUp };
    }
    return { alarms, isCatchingUp: false };
  }

  /** Newest first. */
  async alarms({ state, device, priority, span, before, limit = LISTED_ALARMS }: AlarmQuery): Promise<AlarmPage> {
    const query = new URLSearchParams({ state, limit: String(limit) });
    if (device !== undefined) query.set("device", device);
    if (priority) query.set("priority", priority);
    if (span) appendSpan(query, span);
    if (before != null) query.set("before", before);
    return parseAlarmPage(await this.#get(`api/v1/alarms?${query}`));
  }

  async alarmDetail(id: string): Promise<AlarmDetail> {
    return parseAlarmDetail(await this.#get(alarmPath(id)));
  }

  /** Returns the alarm after the change; null if the bridge's answer cannot be read. */
  async changeAlarm(id: string, action: AlarmAction, change: AlarmChange): Promise<Alarm | null> {
    return parseAlarm(field(await this.#request("POST", `${alarmPath(id)}/${action}`, change), "alarm"));
  }

  /** Returns those that were refused; at most `MAX_AT_ONCE` at once. */
  async acknowledgeAlarms(ids: readonly string[], comment?: string): Promise<RefusedAction[]> {
    return parseRefused(await this.#request("POST", "api/v1/alarms/acknowledge", { ids, ...(comment ? { comment } : {}) }));
  }

  async alarmRules(): Promise<AlarmRule[]> {
    return parseRules(await this.#get("api/v1/alarms/rules"));
  }

  /** Why the rules file was not followed when it was read last; empty if it was. */
  async rulesFileError(): Promise<string> {
    return parseRulesFileError(await this.#get("api/v1/alarms/rules"));
  }

  /** Throws `ApiError` 422 if the file has mistakes. */
  async reloadRules(): Promise<void> {
    await this.#request("POST", "api/v1/alarms/rules/reload");
  }

  async push(): Promise<PushStatus> {
    return parsePushStatus(await this.#get("api/v1/push"));
  }

  /** Returns the id of the subscription. */
  async subscribePush(subscription: PushSubscriptionJSON): Promise<string> {
    return text(field(await this.#request("POST", "api/v1/push/subscriptions", subscription), "id"));
  }

  async unsubscribePush(id: string): Promise<void> {
    await this.#request("DELETE", `api/v1/push/subscriptions/${encodeURIComponent(id)}`);
  }

  async alarmKpis(span: TimeSpan): Promise<AlarmKpis | null> {
    const query = new URLSearchParams();
    appendSpan(query, span);
    return parseKpis(await this.#get(`api/v1/alarms/stats?${query}`, HISTORY_TIMEOUT_MS));
  }

  /** Of one device. */
  async predictions(device: string): Promise<Prediction[]> {
    return parsePredictions(await this.#getIfServed(`api/v1/predictions?${new URLSearchParams({ device })}`));
  }

  /** Newest first. */
  async anomalies({ state, device, before }: AnomalyQuery): Promise<AnomalyPage> {
    const query = new URLSearchParams({ state, limit: String(LISTED_ANOMALIES) });
    if (device !== undefined) query.set("device", device);
    if (before != null) query.set("before", before);
    return parseAnomalyPage(await this.#getIfServed(`api/v1/anomalies?${query}`));
  }

  /** Returns the anomaly after the change; null if the bridge's answer cannot be read. */
  async markAnomalyWrong(id: string, comment: string): Promise<Anomaly | null> {
    return parseAnomaly(await this.#request("POST", `api/v1/anomalies/${encodeURIComponent(id)}/wrong`, comment ? { comment } : {}));
  }

  /** Newest first. */
  async advice(before: string | null): Promise<AdvicePage> {
    const query = new URLSearchParams({ limit: String(ADVICE_PAGE_SIZE), ...(before === null ? {} : { before }) });
    return parseAdvicePage(await this.#getIfServed(`api/v1/actions?${query}`));
  }

  /** Newest first. */
  async audit(query: AuditQuery): Promise<AuditEventPage> {
    return parseAudit(await this.#get(`api/v1/audit?${auditSearch(query)}`));
  }

  /** The last survey of the broker's topics; while it listens, the results so far. */
  async discovery(): Promise<Discovery> {
    return parseDiscovery(await this.#get("api/v1/discovery"));
  }

  async startDiscovery(seconds: number): Promise<Discovery> {
    return parseDiscovery(await this.#request("POST", "api/v1/discovery", { seconds }));
  }

  async subscriptions(): Promise<SubscriptionItem[]> {
    return parseSubscriptions(await this.#get("api/v1/subscriptions"));
  }

  async addSubscription(pattern: string, format: string): Promise<void> {
    await this.#request("POST", "api/v1/subscriptions", { pattern, format });
  }

  async removeSubscription(id: string): Promise<void> {
    await this.#request("DELETE", `api/v1/subscriptions/${encodeURIComponent(id)}`);
  }

  /** For what has a client of its own, which is loaded later. */
  send(method: string, path: string, body?: unknown, timeout = TIMEOUT_MS): Promise<unknown> {
    return this.#request(method, path, body, timeout);
  }

  #get(path: string, timeout = TIMEOUT_MS, signal?: AbortSignal): Promise<unknown> {
    return this.#request("GET", path, undefined, timeout, signal);
  }

  /** Null where the bridge does not have the path: an older one, or one that does not analyse. */
  async #getIfServed(path: string): Promise<unknown> {
    if (this.#isHidden(path)) return null;
    try {
      return await this.#get(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === NOT_FOUND) return null;
      throw error;
    }
  }

  async #request(method: string, path: string, body?: unknown, timeout = TIMEOUT_MS, signal?: AbortSignal): Promise<unknown> {
    return readJson(await this.#fetch(method, path, body, timeout, signal));
  }

  async #fetch(...parts: RequestParts): Promise<Response> {
    const response = await this.#fetchOnce(...parts);
    return response.status === 401 && (await this.#reauthenticate()) ? this.#fetchOnce(...parts) : response;
  }

  /** Whether a shared view does not have it: the bridge would refuse each request, and record that. */
  #isHidden(path: string): boolean {
    return this.#bearer() !== null && !SHARED_PATHS.test(path);
  }

  async #fetchOnce(...[method, path, body, timeout = TIMEOUT_MS, signal]: RequestParts): Promise<Response> {
    if (this.#isHidden(path)) throw new ApiError(FORBIDDEN, "this is not part of what the link shows");
    const bearer = this.#bearer();
    const signals = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
    const response = await fetch(new URL(path, this.#base), {
      method,
      cache: "no-store",
      signal: AbortSignal.any(signals),
      headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const bridgeNow = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(bridgeNow)) this.#onClock(bridgeNow);
    return response;
  }
}

function alarmPath(id: string): string {
  return `api/v1/alarms/${encodeURIComponent(id)}`;
}

function appendSpan(query: URLSearchParams, { from, to }: TimeSpan): void {
  query.set("from", new Date(from).toISOString());
  query.set("to", new Date(to).toISOString());
}

function devicePath(id: string): string {
  return `api/v1/devices/${encodeURIComponent(id)}`;
}
