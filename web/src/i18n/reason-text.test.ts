import { beforeEach, expect, test } from "vitest";

import { ApiError } from "../api/client";
import { errorText } from "../components/error-text";
import { setLanguage } from ".";
import { reasonText } from "./reason-text";

const LIST = { text: "a list", cause: { key: "type.list", parameters: new Map() } };
const NOT_OBJECT = { text: "not a JSON object but a list", cause: { key: "payload.notObject", parameters: new Map([["type", LIST]]) } };

beforeEach(() => setLanguage("en"));

test.each([
  ["en", "not a JSON object but a list"],
  ["de", "kein JSON-Objekt, sondern eine Liste"],
  ["fr", "pas un objet JSON, mais une liste"],
  ["es", "no es un objeto JSON, sino una lista"],
  ["ru", "не объект JSON, а список"],
] as const)("a reason is said in %s", async (language, said) => {
  await setLanguage(language);
  expect(reasonText(NOT_OBJECT)).toBe(said);
});

test("the bridge's text stands in for a key or a parameter that is not known", async () => {
  await setLanguage("de");
  expect(reasonText({ text: "as it is" })).toBe("as it is");
  expect(reasonText({ text: "new", cause: { key: "of.tomorrow", parameters: new Map() } })).toBe("new");
  expect(reasonText({ text: "old", cause: { key: "payload.notObject", parameters: new Map() } })).toBe("old");
});

test("an error of the bridge is said by its reasons", async () => {
  await setLanguage("de");
  const detail = { text: "device offline", cause: { key: "command.offline", parameters: new Map() } };
  expect(errorText(new ApiError(409, detail.text, "", 0, [detail]))).toBe("Gerät offline");
  expect(errorText(new ApiError(500, "no cause"))).toBe("no cause");
});
