import { describe, expect, test } from "vitest";

import { concernsOf, severityOf } from "./issues";
import type { Device } from "./device";
import { meaningOf } from "./assessment";
import { CALM_MS, Standings, count, group, matches } from "./ranking";
import { NOON, device, reading, record } from "../testing";

const flame = (seq: number, isBurning: boolean, retained = false) => reading(seq, { flameDetected: isBurning }, { retained });

describe("what is the matter with a device", () => {
  test("nothing, when all is well", () => {
    expect(concernsOf(device("a", { status: "online", lastReading: reading(1, { temperature: 20, battery: 90 }) }))).toEqual([]);
  });

  test("a flame is an alarm until a reading says otherwise, also when the device is gone", () => {
    const burning = device("a", { status: "offline", lastReading: flame(1, true) });
    expect(severityOf(concernsOf(burning))).toBe("alarm");
    burning.hear(flame(2, false));
    expect(severityOf(concernsOf(burning))).toBe("warning");
  });

  test("a reading that the broker kept raises no alarm", () => {
    expect(concernsOf(device("a", { status: "online", lastReading: flame(1, true, true) }))).toEqual([]);
  });

  test("a flag, a low battery and a wrong clock, the gravest first", () => {
    const quality = new Map([["humidity", "outside 0..100, clamped"], ["timestamp", "not a time"]]);
    const concerns = concernsOf(device("a", { lastReading: reading(1, { humidity: 100, battery: 9 }, { quality }) }));
    expect(concerns.map(({ kind }) => kind)).toEqual(["quality", "battery", "clock"]);
  });

  test("a flag that the device has not repeated for long is past", () => {
    const one = device("a", { lastReading: reading(1, { humidity: 100 }, { quality: new Map([["humidity", "outside 0..100"]]) }) });
    one.hear(reading(2, { temperature: 20 }, { measuredAt: NOON + 600_000 }));
    expect(concernsOf(one)).toEqual([]);
  });
});

describe("the order of things", () => {
  const standingOf = (standings: Standings, one: Device, now: number) => standings.of(one, meaningOf(one, {}, now).order, now);
  const ranked = (...devices: Device[]) => {
    const standings = new Standings();
    return devices.map((one) => standingOf(standings, one, NOON));
  };

  test("the place with the worst device first, the worst device first in it, then by name as people count", () => {
    const groups = group(
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

  test("among devices of a kind, those whose values mean more come first", () => {
    const air = (id: string, co2: number) => device(id, { status: "online", lastReading: reading(1, { co2 }, { deviceId: id }) });
    const [place] = group(ranked(air("a", 600), air("b", 1200), air("c", 2500), device("d", { status: "offline" })));
    expect(place?.devices.map((one) => [one.device.id, one.severity])).toEqual([["c", "warning"], ["d", "warning"], ["b", "notice"], ["a", "none"]]);
  });

  test("worse counts at once, better only after a while, but is said at once", () => {
    const standings = new Standings();
    const one = device("a", { status: "online" });
    const at = (now: number) => {
      const { severity, standing } = standingOf(standings, one, now);
      return [severity, standing];
    };
    expect(at(NOON)).toEqual(["none", 0]);
    one.hear(flame(1, true));
    const [severity, burning] = at(NOON + 1);
    expect([severity, Number(burning) > 0]).toEqual(["alarm", true]);
    one.hear(flame(2, false));
    expect(at(NOON + CALM_MS)).toEqual(["none", burning]);
    expect(at(NOON + CALM_MS + 1)).toEqual(["none", 0]);
  });

  test("counts and filters go by what is so now", () => {
    const all = ranked(
      device("a", { status: "online", name: "Window", site: "Home" }),
      device("b", { status: "offline" }),
      device("c", { status: "online", lastReading: flame(1, true) }),
    );
    expect(count(all)).toEqual({ all: 3, online: 2, offline: 1, attention: 2, alarms: 1 });
    const found = (text: string, show: "all" | "attention" | "offline") => all.filter((one) => matches(one, { text, show })).map((one) => one.device.id);
    expect(found("", "attention")).toEqual(["b", "c"]);
    expect(found("", "offline")).toEqual(["b"]);
    expect(found(" home WIND", "all")).toEqual(["a"]);
    expect(found("home roof", "all")).toEqual([]);
  });
});

test("a device that was renamed is found by its new name", () => {
  const one = device("a", { name: "Old" });
  one.know(record("a", { name: "New" }));
  expect(matches(new Standings().of(one, -1, NOON), { text: "new", show: "all" })).toBe(true);
});
