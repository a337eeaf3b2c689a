import { field, list, text, time } from "./wire";

export type CommandState = "queued" | "sent" | "confirmed" | "failed" | "expired";

export interface Command {
  readonly id: string;
  readonly command: string;
  readonly value: string | null;
  readonly state: CommandState;
  readonly createdAt: number;
  readonly changedAt: number;
  readonly expiresAt: number;
  readonly error: string | null;
}

/** What is asked for. `expires` is in seconds: until then it may wait for a device that is offline, if `queue`. */
export interface CommandRequest {
  readonly device: string;
  readonly command: string;
  readonly value?: string;
  readonly queue?: boolean;
  readonly expires?: number;
  /** Of the page's own, so that asking again asks for the same. */
  readonly id: string;
}

export type Answer = { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly error: string; readonly offline: boolean };

const OFFLINE = "device offline";
const STATES: readonly CommandState[] = ["queued", "sent", "confirmed", "failed", "expired"];

export function parseCommand(body: unknown): Command | null {
  const state = STATES.find((one) => one === field(body, "state"));
  const [id, command] = [text(field(body, "id")), text(field(body, "command"))];
  const [createdAt, changedAt, expiresAt] = ["createdAt", "changedAt", "expiresAt"].map((name) => time(field(body, name)));
  if (!id || !command || state === undefined || createdAt == null || expiresAt == null) return null;
  const value = field(body, "value");
  return {
    id,
    command,
    value: value == null ? null : text(typeof value === "string" ? value : JSON.stringify(value)),
    state,
    createdAt,
    changedAt: changedAt ?? createdAt,
    expiresAt,
    error: text(field(body, "error")) || null,
  };
}

export function parseCommands(body: unknown): Command[] {
  return list(field(body, "commands")).flatMap((one) => parseCommand(one) ?? []);
}

/** The answer to `sendCommand`. */
export function parseAnswer(body: unknown): Answer {
  const command = field(body, "ok") === true ? parseCommand(body) : null;
  return command ? { ok: true, command } : refused(text(field(body, "error")));
}

export function refused(error: string): Answer {
  return { ok: false, error, offline: error === OFFLINE };
}

/** Nothing more can happen to it. A sent one may never be confirmed: nobody waits for that past its time. */
export function isSettled({ state, expiresAt }: Command, now: number): boolean {
  return state === "sent" ? now > expiresAt : state !== "queued";
}

/** `news` put into the list: newest first, each command once. */
export function merged(commands: readonly Command[], news: readonly Command[]): Command[] {
  const all = new Map([...commands, ...news].map((one) => [one.id, one]));
  return [...all.values()].sort((a, b) => b.createdAt - a.createdAt);
}
