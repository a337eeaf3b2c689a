import { describe, expect, test } from "vitest";

import type { Alarm } from "../alarms/alarm";
import type { AlarmKnowledge } from "../alarms/book";
import { AlarmBook } from "../alarms/book";
import { NOON, alarm, device, judged, reading, reportOn } from "../testing";
import type { Device } from "./device";
import { AssessmentReports } from "./device-assessment";
import { HeadlineWriter } from "./headline";
import { HOLD_MS, Ranking } from "./ranking";

const GOOD = judged("index.co2", 0);
const STALE = judged("index.co2", 2);
const BAD = judged("index.co2", 3);

/** A house whose devices can be judged anew. */
class House {
  readonly #devices: Device[] = [];
  readonly #reports = new AssessmentReports();
  readonly #ranking = new Ranking();
  readonly #writer = new HeadlineWriter();
  #book = new AlarmBook();
  #knowledge: AlarmKnowledge = "known";

  add(id: string, assessments: readonly unknown[] | null, over: Record<string, unknown> = {}): this {
    const lastReading = reading(1, { co2: 600 }, { deviceId: id });
    this.#devices.push(device(id, { status: "online", lastReading, ...over }));
    return assessments === null ? this : this.judge(id, NOON, ...assessments);
  }

  judge(id: string, at: number, ...assessments: readonly unknown[]): this {
    this.#reports.put(reportOn(id, at, ...assessments));
    return this;
  }

  alarms(...alarms: readonly Alarm[]): this {
    this.#book = new AlarmBook();
    this.#book.replace(alarms);
    return this;
  }

  knows(knowledge: AlarmKnowledge): this {
    this.#knowledge = knowledge;
    return this;
  }

  headline(now = NOON) {
    const pressing = this.#book.pressing();
    const ranked = this.#devices.map((one) => this.#ranking.of(one, this.#reports.of(one, now), now, pressing.get(one.id) ?? null));
    const { severity, statements } = this.#writer.of(ranked, { alarms: this.#book.sorted(), knowledge: this.#knowledge }, now);
    return [severity, ...statements.map((one) => ("count" in one ? `${one.kind} ${one.count}` : one.kind))];
  }
}

describe("the headline", () => {
  test("says that all is well only when every device is online, fresh and judged at its best level", () => {
    expect(new House().add("a", [GOOD]).add("b", [GOOD, judged("index.tvoc", 0)]).headline()).toEqual(["none", "well"]);
  });

  test.each([
    ["was never judged", null, {}],
    ["has a value that still needs hours", [GOOD, { ...GOOD, key: "index.aqi.co", level: null, value: null, hoursNeeded: 5 }], {}],
    ["is at the second best level", [judged("index.tvoc", 1, { field: "tvoc" })], {}],
    ["has sent nothing yet", [GOOD], { lastReading: null }],
    ["is of unknown presence", [GOOD], { status: null }],
  ])("says no more than that there is no alarm when a device %s", (_, assessments, over) => {
    expect(new House().add("a", [GOOD]).add("b", assessments, over).headline()).toEqual(["none", "noAlarm"]);
  });

  test("does not say that all is well once a device is not heard of", () => {
    expect(new House().add("a", [GOOD]).headline(NOON + 3_600_000)).toEqual(["none", "noAlarm"]);
  });

  test("asks nothing of a device that speaks through its parts", () => {
    const house = new House().add("cold.probe1", [GOOD], { partOf: "cold" }).add("cold", null, { lastReading: null });
    expect(house.headline()).toEqual(["none", "well"]);
  });

  test("counts rooms that want air, not their devices, and devices without a room by themselves", () => {
    const school = { site: "School", room: "Room 1" };
    const house = new House().add("a", [BAD], school).add("b", [STALE], school).add("c", [STALE], { site: "Home", room: "Room 1" }).add("d", [STALE]);
    expect(house.headline()).toEqual(["warning", "air 3"]);
    expect(new House().add("a", [STALE]).headline()).toEqual(["notice", "air 1"]);
  });

  test("counts silent devices", () => {
    expect(new House().add("a", [GOOD]).add("b", [], { status: "offline" }).headline()).toEqual(["warning", "silent 1"]);
  });

  test("is a notice for what is neither stale air nor worth a warning", () => {
    expect(new House().add("a", [judged("index.aqi.pm25.day", 2, { field: "pm25" })]).headline()).toEqual(["notice", "noAlarm"]);
  });

  test("counts the bridge's alarms by priority, first what is urgent, then what needs attention, stale air, silence and the rest", () => {
    const house = new House()
      .add("air", [BAD])
      .add("silent", [], { status: "offline" })
      .add("co", [judged("index.co.now", 3, { field: "coPpm" })])
      .add("gas", [judged("index.lel.ch4", 5, { field: "ch4Ppm", order: 6 })])
      .alarms(
        alarm("1", { deviceId: "gas" }),
        alarm("2", { deviceId: "gas", priority: "high" }),
        alarm("3", { deviceId: "silent", priority: "medium", rule: "no-data" }),
        alarm("4", { deviceId: "air", priority: "low", rule: "co2-air" }),
      );
    expect(house.headline()).toEqual(["alarm", "critical 1", "high 1", "medium 1", "attention 1", "air 1", "silent 1", "low 1"]);
  });

  test("does not count what an operator has shelved, or another alarm says better", () => {
    const house = new House().add("a", [GOOD]).alarms(alarm("1", { shelvedUntil: "2026-01-15T13:00:00.000Z" }), alarm("2", { suppressedBy: "co-dose" }));
    expect(house.headline()).toEqual(["none", "well"]);
  });

  test("asks for attention to a hazard that is no alarm, such as one that nobody turned on", () => {
    expect(new House().add("gas", [judged("index.lel.ch4", 5, { field: "ch4Ppm", order: 6 })]).headline()).toEqual(["warning", "attention 1"]);
  });

  test("is an alarm until somebody acknowledges what is over, and a notice while that is to be reset", () => {
    const house = new House().add("a", [GOOD]);
    expect(house.alarms(alarm("1", { deviceId: "a", state: "returned" })).headline()).toEqual(["alarm", "critical 1"]);
    expect(house.alarms(alarm("1", { deviceId: "a", state: "latched" })).headline()).toEqual(["notice", "critical 1"]);
  });

  test("does not say that there is no alarm before it knows", () => {
    const house = new House().add("a", [GOOD]);
    expect(house.knows("unknown").headline()).toEqual(["none", "alarmsUnknown"]);
    expect(house.knows("hidden").headline()).toEqual(["none", "well"]);
    expect(house.knows("catchingUp").headline()).toEqual(["none", "alarmsCatchingUp"]);
    expect(house.alarms(alarm("1")).headline()).toEqual(["alarm", "critical 1", "alarmsCatchingUp"]);
    expect(house.alarms().knows("known").headline()).toEqual(["none", "well"]);
  });

  test("does not flip within seconds, except that an alarm begins and ends at once", () => {
    const house = new House().add("a", [GOOD]);
    expect(house.headline()).toEqual(["none", "well"]);
    house.judge("a", NOON + 1000, STALE);
    expect(house.headline(NOON + 1000)).toEqual(["notice", "air 1"]);
    house.judge("a", NOON + 2000, GOOD);
    expect(house.headline(NOON + 2000)).toEqual(["notice", "air 1"]);
    expect(house.headline(NOON + 1000 + HOLD_MS)).toEqual(["none", "well"]);
    expect(house.alarms(alarm("1", { deviceId: "a" })).headline(NOON + 20_000)[0]).toBe("alarm");
    expect(house.alarms().headline(NOON + 21_000)[0]).not.toBe("alarm");
  });
});
