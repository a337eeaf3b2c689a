import { field, list, text, time } from "./json";
import type { Cause } from "./reason";
import { causeIn } from "./reason";

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
  /** Of the error. */
  readonly cause?: Cause;
}

/** With `queue`, the command waits up to `expires` seconds for an offline device. */
export interface CommandRequest {
  readonly device: string;
  readonly command: string;
  readonly value?: string;
  readonly queue?: boolean;
  readonly expires?: number;
  /** Chosen by the page, so that a retry is the same command. */
  readonly id: string;
}

export type CommandResult = { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly error: string; readonly cause?: Cause; readonly offline: boolean };

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
    ...causeIn(body),
  };
}

export function parseCommands(body: unknown): Command[] {
  return list(field(body, "commands")).flatMap((one) => parseCommand(one) ?? []);
}

/** The acknowledgement of `sendCommand`. */
export function parseCommandResult(body: unknown): CommandResult {
  const command = field(body, "ok") === true ? parseCommand(body) : null;
  return command ? { ok: true, command } : failedCommand(text(field(body, "error")), causeIn(body).cause);
}

export function failedCommand(error: string, cause?: Cause): CommandResult {
  return { ok: false, error, ...(cause ? { cause } : {}), offline: error === OFFLINE };
}

/** Whether the state is final. A sent command that was not confirmed before it expired counts as final. */
export function isSettled({ state, expiresAt }: Command, now: number): boolean {
  return state === "sent" ? now > expiresAt : state !== "queued";
}

/** Newest first; `updates` replace commands with the same id. */
export function mergeCommands(commands: readonly Command[], updates: readonly Command[]): Command[] {
  const all = new Map([...commands, ...updates].map((one) => [one.id, one]));
  return [...all.values()].sort((a, b) => b.createdAt - a.createdAt);
}
