import { describe, expect, test } from "vitest";

import { NOON, device, judged, reading, record, reportOn } from "../testing";
import type { Device } from "./device";
import { AssessmentReports } from "./device-assessment";
import { issuesOf, severityOf } from "./issues";
import type { StatusFilter } from "./ranking";
import { HOLD_MS, Ranking, countDevices, groupByRoom, matches } from "./ranking";

const NOT_ASSESSED = new AssessmentReports().of(device("a"), NOON);
const flame = (seq: number, burning: boolean, retained = false) => reading(seq, { flameDetected: burning }, { retained });

describe("issues", () => {
  test("are empty for a healthy device", () => {
    expect(issuesOf(device("a", { status: "online", lastReading: reading(1, { temperature: 20, battery: 90 }) }))).toEqual([]);
  });

  test("keep a flame alarm until a reading clears it, even while the device is offline", () => {
    const burning = device("a", { status: "offline", lastReading: flame(1, true) });
    expect(severityOf(issuesOf(burning))).toBe("alarm");
    burning.applyReading(flame(2, false));
    expect(severityOf(issuesOf(burning))).toBe("warning");
  });

  test("ignore a flame in a retained reading", () => {
    expect(issuesOf(device("a", { status: "online", lastReading: flame(1, true, true) }))).toEqual([]);
  });

  test("list a flag, a low battery and a wrong clock, most severe first", () => {
    const quality = new Map([["humidity", "outside 0..100, clamped"], ["timestamp", "not a time"]]);
    const issues = issuesOf(device("a", { lastReading: reading(1, { humidity: 100, battery: 9 }, { quality }) }));
    expect(issues.map(({ kind }) => kind)).toEqual(["quality", "battery", "clock"]);
  });

  test("drop a stale flag", () => {
    const one = device("a", { lastReading: reading(1, { humidity: 100 }, { quality: new Map([["humidity", "outside 0..100"]]) }) });
    one.applyReading(reading(2, { temperature: 20 }, { measuredAt: NOON + 600_000 }));
    expect(issuesOf(one)).toEqual([]);
  });
});

describe("the ranking", () => {
  const reports = new AssessmentReports();
  const rankOf = (ranking: Ranking, one: Device, now: number) => ranking.of(one, reports.of(one, now), now);
  const ranked = (...devices: Device[]) => {
    const ranking = new Ranking();
    return devices.map((one) => rankOf(ranking, one, NOON));
  };

  test.each([["critical", "alarm"], ["high", "alarm"], ["medium", "warning"], ["low", "notice"], [null, "none"]] as const)(
    "makes a device with a %s alarm one of severity %s",
    (priority, severity) => {
      expect(new Ranking().of(device("a"), NOT_ASSESSED, NOON, priority)).toMatchObject({ severity, alarm: priority });
    },
  );

  test("puts the room with the worst device first, then the worst device, then sorts by name with numbers in order", () => {
    const groups = groupByRoom(
      ranked(
        device("k10", { site: "Home", room: "Kitchen" }),
        device("k9", { site: "Home", room: "Kitchen" }),
        device("nowhere"),
        device("b1", { site: "Works", room: "Boiler" }),
        device("b2", { site: "Works", room: "Boiler", lastReading: flame(1, true) }),
        device("attic", { site: "Home", room: "Attic" }),
      ),
    );
    expect(groups.map(({ room, devices }) => [room, devices.map((one) => one.device.id)])).toEqual([
      ["Boiler", ["b2", "b1"]],
      ["Attic", ["attic"]],
      ["Kitchen", ["k9", "k10"]],
      ["", ["nowhere"]],
    ]);
  });

  test("sorts devices of equal severity by their worst assessment", () => {
    const air = (id: string, level: number) => {
      reports.put(reportOn(id, NOON, judged("index.co2", level)));
      return device(id, { status: "online" });
    };
    const [room] = groupByRoom(ranked(air("a", 0), air("b", 2), air("c", 3), device("d", { status: "offline" })));
    expect(room?.devices.map((one) => [one.device.id, one.severity])).toEqual([["c", "warning"], ["d", "warning"], ["b", "notice"], ["a", "none"]]);
  });

  test("raises the score at once and lowers it after a while, while the severity follows at once", () => {
    const ranking = new Ranking();
    const one = device("a", { status: "online" });
    const at = (now: number) => {
      const { severity, score } = rankOf(ranking, one, now);
      return [severity, score];
    };
    expect(at(NOON)).toEqual(["none", 0]);
    one.applyReading(flame(1, true));
    const [severity, burning] = at(NOON + 1);
    expect([severity, Number(burning) > 0]).toEqual(["alarm", true]);
    one.applyReading(flame(2, false));
    expect(at(NOON + HOLD_MS)).toEqual(["none", burning]);
    expect(at(NOON + HOLD_MS + 1)).toEqual(["none", 0]);
  });

  test("counts and filters use the current state", () => {
    const all = ranked(
      device("a", { status: "online", name: "HourlyWindow", site: "Home" }),
      device("b", { status: "offline" }),
      device("c", { status: "online", lastReading: flame(1, true) }),
    );
    expect(countDevices(all)).toEqual({ all: 3, online: 2, offline: 1, attention: 2, alarms: 1 });
    const found = (text: string, status: StatusFilter) => all.filter((one) => matches(one, { text, status })).map((one) => one.device.id);
    expect(found("", "attention")).toEqual(["b", "c"]);
    expect(found("", "offline")).toEqual(["b"]);
    expect(found(" home WIND", "all")).toEqual(["a"]);
    expect(found("home roof", "all")).toEqual([]);
  });
});

test("a renamed device is found by its new name", () => {
  const one = device("a", { name: "Old" });
  one.applyRecord(record("a", { name: "New" }));
  expect(matches(new Ranking().of(one, NOT_ASSESSED, NOON), { text: "new", status: "all" })).toBe(true);
});

test("a search finds an id in any spelling of Unicode", () => {
  const one = new Ranking().of(device("Küche/ÉTÉ"), NOT_ASSESSED, NOON);
  for (const text of ["küche", "KU\u0308CHE", "e\u0301te\u0301"]) expect(matches(one, { text, status: "all" })).toBe(true);
});
