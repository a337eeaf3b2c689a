import { expect, test } from "vitest";

import type { Command } from "../command";
import type { Note } from "../notes";
import { parseNote, parseNotes } from "../notes";
import { MAX_ANNOTATIONS, annotationsFor, annotationsOf } from "./annotations";

const note = (n: number, field: string | null = null): Note => ({ id: `${n}`, deviceId: "a", field, at: n, text: "opened", by: "ana" });
const command: Command = { id: "c", command: "on", value: null, state: "sent", createdAt: 15, changedAt: 15, expiresAt: 99, error: null };

test("marks are by time, within the span, and of their measurement or of all", () => {
  const marks = annotationsOf([], [command], [note(20, "co2"), note(10), note(31)], { from: 5, to: 30 });
  expect(marks.map(({ kind, at }) => [kind, at])).toEqual([["note", 10], ["command", 15], ["note", 20]]);
  expect(annotationsFor(marks, "noise").map(({ at }) => at)).toEqual([10, 15]);
});

test("of too many marks the latest are kept", () => {
  const notes = Array.from({ length: MAX_ANNOTATIONS + 5 }, (_, n) => note(n));
  const marks = annotationsOf([], [], notes, { from: 0, to: 1000 });
  expect([marks.length, marks[0]?.at]).toEqual([MAX_ANNOTATIONS, 5]);
});

test("a note without text, time or device is no note", () => {
  const good = { id: "1", device: "a", field: null, at: "2026-01-31T12:00:00.000Z", text: "x", by: "ana" };
  expect(parseNote(good)).toMatchObject({ deviceId: "a", field: null, at: Date.UTC(2026, 0, 31, 12) });
  expect(parseNotes({ notes: [{ ...good, text: "" }, { ...good, at: "soon" }, { ...good, device: 1 }, null] })).toEqual([]);
});
