/** Notes of people about moments at devices, as the bridge stores them. */

import { field, list, text, time } from "./json";

export interface Note {
  readonly id: string;
  readonly deviceId: string;
  /** Null: about all measurements. */
  readonly field: string | null;
  readonly at: number;
  readonly text: string;
  readonly by: string;
}

export interface NewNote {
  readonly device: string;
  readonly field: string | null;
  readonly at: number;
  readonly text: string;
}

export const NOTE_LENGTH = 500;

export function parseNotes(body: unknown): Note[] {
  return list(field(body, "notes")).flatMap((one) => parseNote(one) ?? []);
}

export function parseNote(body: unknown): Note | null {
  const [id, deviceId, words, at] = [text(field(body, "id")), text(field(body, "device"), 1000), text(field(body, "text"), NOTE_LENGTH), time(field(body, "at"))];
  if (!id || !deviceId || !words || at === null) return null;
  return { id, deviceId, field: text(field(body, "field")) || null, at, text: words, by: text(field(body, "by")) };
}
