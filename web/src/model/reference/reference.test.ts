import { describe, expect, it } from "vitest";

import type { Operation } from "./description";
import { exampleOf, namesIn, parseDescription, propertiesOf, searchOperations, typeText } from "./description";
import { curlOf, missingValues, requestOf } from "./request";

const BASE = new URL("http://bridge:3000/page/");

const DOCUMENT = {
  info: { version: "1.2.3" },
  paths: {
    "/health": { get: { operationId: "get_health", tags: ["health"], summary: "Whether it works", security: [], responses: {} } },
    "/api/v1/devices/{id}": {
      patch: {
        operationId: "patch_device", tags: ["devices"], summary: "Change a device", security: [{ token: [] }], "x-permission": "manage",
        parameters: [
          { name: "id", in: "path", required: true, schema: { type: "string" } },
          { name: "limit", in: "query", required: false, description: "how many", schema: { type: "integer", minimum: 1, maximum: 100 } },
        ],
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Changes" } } } },
        responses: { 200: { description: "done", content: { "application/json": { schema: { $ref: "#/components/schemas/Device" } } } }, 404: { description: "not found" } },
      },
      put: { tags: ["devices"], summary: "Change a device", "x-alias-of": "PATCH /api/v1/devices/{id}", responses: {} },
    },
    "/api/v1/sensors/{id}": { patch: { tags: ["devices"], summary: "Change a device", "x-alias-of": "PATCH /api/v1/devices/{id}", responses: {} } },
  },
  components: { schemas: { Changes: { type: "object", required: ["name"], properties: { name: { type: "string", description: "for people" }, room: { type: "string" } } }, Device: { type: "object" } } },
};

const described = parseDescription(DOCUMENT);
const change = described.sections[0]?.operations[0] as Operation;

describe("the description", () => {
  it("has one operation for each route, with its aliases", () => {
    expect(described.version).toBe("1.2.3");
    expect(described.sections.map(({ name, operations }) => [name, operations.length])).toEqual([["devices", 1], ["health", 1]]);
    expect(change).toMatchObject({ id: "patch_device", method: "PATCH", permission: "manage", isGuarded: true });
    expect(change.aliases).toEqual(["PUT /api/v1/devices/{id}", "PATCH /api/v1/sensors/{id}"]);
    expect(change.answers).toEqual([
      { status: "200", description: "done", body: { media: "application/json", schema: { $ref: "#/components/schemas/Device" } } },
      { status: "404", description: "not found", body: null },
    ]);
  });

  it("is empty for anything else", () => {
    for (const body of [null, [], "no", { paths: { "/x": null } }]) expect(parseDescription(body).sections).toEqual([]);
  });

  it("is searched by words, also for aliases", () => {
    const paths = (words: string): string[] => searchOperations(described.sections, words).flatMap(({ operations }) => operations.map(({ path }) => path));
    expect(paths("")).toHaveLength(2);
    expect(paths("sensors CHANGE")).toEqual(["/api/v1/devices/{id}"]);
    expect(paths("sensors health")).toEqual([]);
  });
});

describe("a schema", () => {
  it("is a type in a few words", () => {
    expect(typeText({ $ref: "#/components/schemas/Device" })).toBe("Device");
    expect(typeText({ type: "integer", minimum: 1, maximum: 100 })).toBe("integer, 1 to 100");
    expect(typeText({ type: "number", minimum: 0 })).toBe("number, at least 0");
    expect(typeText({ type: "array", items: { type: "string" } })).toBe("list of string");
    expect(typeText({ anyOf: [{ type: "string", format: "date-time" }, { type: "null" }] })).toBe("string, date-time or null");
    expect(typeText({ enum: ["all", "ended"] })).toBe('"all" or "ended"');
    expect(typeText({ type: "object", additionalProperties: { type: "number" } })).toBe("object of number");
    expect(typeText({})).toBe("any");
  });

  it("names other schemas", () => {
    expect(namesIn({ anyOf: [{ $ref: "#/components/schemas/A" }, { type: "array", items: { $ref: "#/components/schemas/B" } }] })).toEqual(["A", "B"]);
  });

  it("has properties and an example with those that are required", () => {
    const schema = described.schemas.get("Changes");
    expect(propertiesOf(schema).map(({ name, isRequired }) => [name, isRequired])).toEqual([["name", true], ["room", false]]);
    expect(exampleOf({ $ref: "#/components/schemas/Changes" }, described.schemas)).toEqual({ name: "" });
  });

  it("that contains itself has an example too", () => {
    const tree = { type: "object", required: ["child"], properties: { child: { $ref: "#/components/schemas/Tree" } } };
    expect(JSON.stringify(exampleOf(tree, new Map([["Tree", tree]]))).length).toBeLessThan(100);
  });
});

describe("a request", () => {
  const form = { values: new Map([["id", "a/b c"], ["limit", ""]]), media: "application/json", body: '{"name": "it\'s"}' };

  it("has encoded values, and leaves out what is empty", () => {
    expect(requestOf(change, form)).toEqual({ method: "PATCH", path: "api/v1/devices/a%2Fb%20c", headers: { "Content-Type": "application/json" }, body: form.body });
    expect(requestOf(change, { ...form, values: new Map([["id", "x"], ["limit", "1\n2"]]) }).path).toBe("api/v1/devices/x?limit=1&limit=2");
  });

  it("is not sent without what is required", () => {
    expect(missingValues(change, form)).toEqual([]);
    expect(missingValues(change, { ...form, values: new Map() })).toEqual(["id"]);
  });

  it("is a command for a shell", () => {
    expect(curlOf(requestOf(change, form), BASE)).toBe(
      `curl -fsS -X PATCH -H 'Content-Type: application/json' -d '{"name": "it'\\''s"}' 'http://bridge:3000/page/api/v1/devices/a%2Fb%20c'`,
    );
  });
});
