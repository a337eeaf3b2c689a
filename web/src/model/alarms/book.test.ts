import { describe, expect, test } from "vitest";

import { alarm } from "../testing";
import { AlarmBook, MAX_ALARMS } from "./book";

const ids = (book: AlarmBook) => book.sorted().map(({ id }) => id).sort();
const loaded = (...alarms: ReturnType<typeof alarm>[]) => {
  const book = new AlarmBook();
  book.endLoad(book.beginLoad(), alarms, false);
  return book;
};

describe("the alarms that stand", () => {
  test("are unknown until they are loaded", () => {
    const book = new AlarmBook();
    expect(book.knowledge).toBe("unknown");
    book.endLoad(book.beginLoad(), [], true);
    expect(book.knowledge).toBe("catchingUp");
    book.endLoad(book.beginLoad(), [], false);
    expect(book.knowledge).toBe("known");
  });

  test("are those of the newest load, and events change them", () => {
    const book = loaded(alarm("1"), alarm("2"));
    book.apply(alarm("3"));
    book.apply(alarm("1", { state: "normal" }));
    expect(ids(book)).toEqual(["2", "3"]);
    book.endLoad(book.beginLoad(), [alarm("3")], false);
    expect(ids(book)).toEqual(["3"]);
    book.replace([alarm("4")]);
    expect(ids(book)).toEqual(["4"]);
  });

  test("are not set back by a load that was asked for before an event", () => {
    const book = loaded(alarm("1"), alarm("2"));
    const load = book.beginLoad();
    book.apply(alarm("1", { state: "normal" }));
    book.apply(alarm("3"));
    book.endLoad(load, [alarm("1"), alarm("2")], false);
    expect(ids(book)).toEqual(["2", "3"]);
  });

  test("are not set back by a load that was asked for before the connection told them", () => {
    const book = loaded(alarm("1"));
    const load = book.beginLoad();
    book.replace([alarm("2")]);
    book.endLoad(load, [alarm("1")], false);
    expect(ids(book)).toEqual(["2"]);
  });

  test("stay as they are when a load fails", () => {
    const book = loaded(alarm("1"));
    book.abandonLoad(book.beginLoad());
    expect(ids(book)).toEqual(["1"]);
  });

  test("are bounded, and urgent ones take the place of others", () => {
    const book = loaded(...Array.from({ length: MAX_ALARMS }, (_, number) => alarm(`low${number}`, { priority: "low" })));
    book.apply(alarm("more", { priority: "low" }));
    book.apply(alarm("urgent"));
    expect(book.sorted()).toHaveLength(MAX_ALARMS);
    expect(book.sorted()[0]?.id).toBe("urgent");
    expect(ids(book)).not.toContain("more");
  });

  test("give each device its most urgent priority, hidden and ended ones left out", () => {
    const book = loaded(
      alarm("1", { priority: "medium" }),
      alarm("2", { priority: "high" }),
      alarm("3", { deviceId: "attic", outOfService: true }),
      alarm("4", { deviceId: "hall", state: "returned" }),
      alarm("5", { deviceId: null }),
    );
    expect([...book.pressing()]).toEqual([["kitchen", "high"]]);
    expect([...book.takeChangedDevices()].sort()).toEqual(["attic", "hall", "kitchen"]);
    expect(book.takeChangedDevices().size).toBe(0);
  });
});

describe("news", () => {
  test("are urgent alarms that began to call after the first load", () => {
    const book = loaded(alarm("old"));
    expect(book.takeNews()).toEqual([]);
    book.apply(alarm("new"));
    book.apply(alarm("quiet", { suppressedBy: "co-dose" }));
    book.apply(alarm("medium", { priority: "medium" }));
    book.apply(alarm("seen", { state: "acknowledged" }));
    expect(book.takeNews().map(({ id }) => id)).toEqual(["new"]);
    expect(book.takeNews()).toEqual([]);
  });

  test("are told once, and again when an alarm is unacknowledged anew or no longer shelved", () => {
    const book = loaded(alarm("1", { state: "acknowledged" }), alarm("2", { shelvedUntil: "2026-01-15T13:00:00.000Z" }));
    book.apply(alarm("1"));
    book.apply(alarm("1", { value: 250 }));
    book.apply(alarm("2"));
    expect(book.takeNews().map(({ id }) => id)).toEqual(["1", "2"]);
  });

  test("are dropped when the alarm is acknowledged before anybody was told", () => {
    const book = loaded();
    book.apply(alarm("1"));
    book.apply(alarm("1", { state: "acknowledged" }));
    expect(book.takeNews()).toEqual([]);
  });

  test("come with a later load too, for pages that poll", () => {
    const book = loaded();
    book.endLoad(book.beginLoad(), [alarm("1")], false);
    expect(book.takeNews().map(({ id }) => id)).toEqual(["1"]);
  });
});

test("a change is told once", () => {
  const book = loaded(alarm("1"));
  expect([book.takeChange(), book.takeChange()]).toEqual([true, false]);
  book.apply(alarm("ended", { state: "normal" }));
  expect(book.takeChange()).toBe(true);
});
