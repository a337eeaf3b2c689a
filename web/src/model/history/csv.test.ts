import { expect, test } from "vitest";

import { conversionOf } from "../units";
import { csvText, fileName, inert } from "./csv";

const CELSIUS = conversionOf("temperature", { temperature: "°C", pressure: "hPa", gases: "ppb" }, "°C");
const FAHRENHEIT = conversionOf("temperature", { temperature: "°F", pressure: "hPa", gases: "ppb" }, "°C");
const columns = { times: [60, 90, 120], mean: [20, null, 21.5], min: [19, null, 21], max: [21, null, 22] };
const span = { from: 0, to: 200_000 };

test("columns begin as those of an export, with units in the header, and gaps have no row", () => {
  const text = csvText("temperature", CELSIUS, [{ device: "a,b", name: 'The "hall"', room: "Ground floor", columns }], span);
  expect(text).toBe(
    "\uFEFFtime,device,name,room,temperature (°C),temperature min (°C),temperature max (°C)\n" +
      '1970-01-01T00:01:00.000Z,"a,b","The ""hall""",Ground floor,20,19,21\n' +
      '1970-01-01T00:02:00.000Z,"a,b","The ""hall""",Ground floor,21.5,21,22\n',
  );
});

test("values are in the unit that the page shows, and rows of all series are by time", () => {
  const later = { times: [100], mean: [10], min: [10], max: [10] };
  const lines = csvText("temperature", FAHRENHEIT, [{ device: "a", name: "", room: "", columns }, { device: "b", name: "", room: "", columns: later }], { from: 70_000, to: 200_000 }).split("\n");
  expect(lines.slice(1, 3)).toEqual(["1970-01-01T00:01:40.000Z,b,,,50,50,50", "1970-01-01T00:02:00.000Z,a,,,70.7,69.8,71.6"]);
  expect(lines[0]).toContain("temperature (°F)");
});

test("no spreadsheet evaluates a name", () => {
  const hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"];
  for (const name of hostile) {
    expect(inert(name)).toBe(`'${name}`);
    const text = csvText("co2", { unit: "ppm", scale: 1, offset: 0 }, [{ device: name, name, room: name, columns }], span);
    expect(text.split(/,|\n(?=\d)/).filter((cell) => /^"?[=+@\t\r-]/.test(cell))).toEqual([]);
  }
  expect(inert("Büro = 1")).toBe("Büro = 1");
});

test("the file's name tells device, measurement and range, and is safe on every system", () => {
  const range = { from: new Date(2026, 10, 29, 8, 5).getTime(), to: new Date(2026, 10, 30, 8, 5).getTime() };
  expect(fileName("Büro/..\\2: Ost", "co2", range, "csv")).toBe("Büro-..-2-Ost-co2-2026-11-29T0805-2026-11-30T0805.csv");
  expect(fileName("...", "co2", range, "png")).toMatch(/^chart-co2-/);
});
