import { describe, expect, it } from "vitest";

import type { RankedDevice } from "../devices/ranking";
import { device } from "../testing";
import { DEFAULT_SECONDS, parseWallOptions } from "./options";
import { entryScript } from "./page-version";
import { Rotation } from "./rotation";
import { MAX_TILES, valuesPerTile, wallPages } from "./wall-pages";

const EVERYTHING = { site: null, rooms: [] };
const NONE: ReadonlySet<string> = new Set();

describe("the options in the address", () => {
  it("are absent without wall mode", () => {
    expect(parseWallOptions("")).toBeNull();
    expect(parseWallOptions("?every=20")).toBeNull();
  });

  it("have defaults", () => {
    expect(parseWallOptions("?wall")).toEqual({ intervalMs: 1000 * DEFAULT_SECONDS, site: null, rooms: [], theme: null });
  });

  it("are read with their bounds", () => {
    expect(parseWallOptions("?wall&every=30&site=Home&room=Kitchen&room=Hall&theme=light")).toEqual({
      intervalMs: 30_000, site: "Home", rooms: ["Kitchen", "Hall"], theme: "light",
    });
    const seconds = (every: string): number | undefined => parseWallOptions(`?wall&every=${every}`)?.intervalMs;
    expect([seconds("1"), seconds("99999"), seconds("-3"), seconds("soon"), seconds("1e3"), seconds("999999999")]).toEqual([5000, 3_600_000, 15_000, 15_000, 15_000, 15_000]);
    expect(parseWallOptions("?wall&theme=pink&site=")).toMatchObject({ theme: null, site: null });
  });
});

describe("the pages of the wall", () => {
  it("are rooms in the order of their names, devices without a location last", () => {
    const pages = wallPages([ranked("x", "", ""), ranked("b", "Home", "Kitchen"), ranked("a", "Home", "Hall"), ranked("c", "Annexe", "Lab")], EVERYTHING);
    expect(pages.map(({ site, room }) => [site, room])).toEqual([["Annexe", "Lab"], ["Home", "Hall"], ["Home", "Kitchen"], ["", ""]]);
  });

  it("keep their order when values change", () => {
    const order = (scores: readonly number[]): string[] => wallPages([ranked("a", "", "A", scores[0]), ranked("b", "", "B", scores[1])], EVERYTHING).map(({ room }) => room);
    expect(order([0, 9])).toEqual(order([9, 0]));
  });

  it("split a room with many devices evenly, the worst first", () => {
    const devices = Array.from({ length: MAX_TILES + 1 }, (_, index) => ranked(`d${index}`, "Home", "Hall", index));
    const pages = wallPages(devices, EVERYTHING);
    expect(pages.map(({ part, parts, devices: shown }) => [part, parts, shown.length])).toEqual([[1, 2, 4], [2, 2, 3]]);
    expect(pages[0]?.devices[0]?.device.id).toBe(`d${MAX_TILES}`);
    expect(new Set(pages.map(({ key }) => key)).size).toBe(2);
  });

  it("are those of a site and of some rooms only", () => {
    const all = [ranked("a", "Home", "Hall"), ranked("b", "Home", "Kitchen"), ranked("c", "Annexe", "Hall")];
    expect(wallPages(all, { site: "Home", rooms: [] })).toHaveLength(2);
    expect(wallPages(all, { site: "Home", rooms: ["Hall"] }).map(({ devices }) => devices[0]?.device.id)).toEqual(["a"]);
    expect(wallPages(all, { site: "Nowhere", rooms: [] })).toEqual([]);
  });

  it("show fewer values of many devices", () => {
    expect([1, 2, 4, 5, 6].map(valuesPerTile)).toEqual([6, 4, 4, 2, 2]);
  });
});

describe("the rotation", () => {
  it("shows one page after the other, and begins anew", () => {
    const rotation = new Rotation(15_000);
    const shown = [0, 5, 15, 29, 30, 45].map((second) => rotation.step(1000 * second, ["a", "b", "c"], NONE));
    expect(shown).toEqual(["a", "a", "b", "b", "c", "a"]);
  });

  it("shows a page with an alarm at once, also while paused, and holds it", () => {
    const rotation = new Rotation(15_000);
    rotation.step(0, ["a", "b", "c"], NONE);
    rotation.isPaused = true;
    expect(rotation.step(1000, ["a", "b", "c"], new Set(["c"]))).toBe("c");
    expect(rotation.step(600_000, ["a", "b", "c"], new Set(["c"]))).toBe("c");
    rotation.isPaused = false;
    expect(rotation.step(600_001, ["a", "b", "c"], NONE)).toBe("c");
    expect(rotation.step(615_000, ["a", "b", "c"], NONE)).toBe("a");
  });

  it("takes turns between pages with alarms", () => {
    const rotation = new Rotation(10_000);
    const held = new Set(["a", "c"]);
    expect([0, 10, 20, 30].map((second) => rotation.step(1000 * second, ["a", "b", "c"], held))).toEqual(["a", "c", "a", "c"]);
  });

  it("stays where it is while paused", () => {
    const rotation = new Rotation(10_000);
    rotation.step(0, ["a", "b"], NONE);
    rotation.isPaused = true;
    expect(rotation.step(100_000, ["a", "b"], NONE)).toBe("a");
    rotation.isPaused = false;
    expect(rotation.step(100_001, ["a", "b"], NONE)).toBe("b");
  });

  it("shows what a person chose for one interval, then what is held", () => {
    const rotation = new Rotation(10_000);
    const held = new Set(["a"]);
    rotation.step(0, ["a", "b", "c"], held);
    rotation.move(-1, 1000, ["a", "b", "c"]);
    expect(rotation.step(2000, ["a", "b", "c"], held)).toBe("c");
    expect(rotation.step(11_000, ["a", "b", "c"], held)).toBe("a");
  });

  it("goes on from where a page was that is there no longer", () => {
    const rotation = new Rotation(10_000);
    rotation.step(0, ["a", "b", "c"], NONE);
    rotation.step(10_000, ["a", "b", "c"], NONE);
    expect(rotation.step(11_000, ["a", "c"], NONE)).toBe("c");
    expect(rotation.step(12_000, [], NONE)).toBeNull();
    expect(rotation.step(13_000, ["z"], NONE)).toBe("z");
  });

  it("goes on after the clock was set back", () => {
    const rotation = new Rotation(10_000);
    rotation.step(1_000_000, ["a", "b"], NONE);
    rotation.step(0, ["a", "b"], NONE);
    expect(rotation.step(10_000, ["a", "b"], NONE)).toBe("b");
  });
});

describe("the version of the page", () => {
  it("is the name of its entry script", () => {
    expect(entryScript('<script type="module" crossorigin src="./assets/index-C1x_2.js"></script>')).toBe("index-C1x_2.js");
    expect(entryScript('<script type="module" src="https://bridge/page/assets/index-B.js"></script>')).toBe("index-B.js");
  });

  it("is unknown while developing, and for another page", () => {
    expect(entryScript('<script type="module" src="/src/main.tsx"></script>')).toBeNull();
    expect(entryScript("<h1>502 Bad Gateway</h1>")).toBeNull();
  });
});

function ranked(id: string, site: string, room: string, score = 0): RankedDevice {
  return { device: device(id, { site, room }), severity: "none", score, presence: "online", condition: {} as RankedDevice["condition"], alarm: null };
}
