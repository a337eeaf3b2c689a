/** The description of the API (OpenAPI 3.1) as its page shows it: one operation for each route, with its aliases. */

import { entries, field, list, text } from "../json";

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly isRequired: boolean;
  readonly description: string;
  readonly schema: unknown;
}

export interface Body {
  readonly media: string;
  readonly schema: unknown;
}

export interface Answer {
  readonly status: string;
  readonly description: string;
  readonly body: Body | null;
}

export interface Operation {
  readonly id: string;
  /** In upper case. */
  readonly method: string;
  readonly path: string;
  /** Other methods and paths that do the same, such as `PUT /api/v1/sensors/{id}`. */
  readonly aliases: readonly string[];
  readonly summary: string;
  /** The right that is needed where access is required; null for none, or for any login. */
  readonly permission: string | null;
  /** Whether a login is needed where access is required. */
  readonly isGuarded: boolean;
  readonly parameters: readonly Parameter[];
  readonly bodies: readonly Body[];
  readonly answers: readonly Answer[];
}

export interface Section {
  readonly name: string;
  readonly operations: readonly Operation[];
}

export interface Description {
  readonly version: string;
  readonly sections: readonly Section[];
  readonly schemas: ReadonlyMap<string, unknown>;
}

const METHODS = ["get", "post", "put", "patch", "delete"] as const;
const PLACES = ["path", "query", "header"] as const;
const REFERENCE = "#/components/schemas/";

export function parseDescription(body: unknown): Description {
  const sections = new Map<string, Operation[]>();
  const aliases = new Map<string, string[]>();
  const all = entries(field(body, "paths")).flatMap(([path, methods]) =>
    METHODS.flatMap((method) => {
      const operation = field(methods, method);
      return operation === undefined ? [] : [{ path, method: method.toUpperCase(), operation }];
    }),
  );
  for (const { path, method, operation } of all) {
    const original = text(field(operation, "x-alias-of"));
    if (original) aliases.set(original, [...(aliases.get(original) ?? []), `${method} ${path}`]);
  }
  for (const { path, method, operation } of all) {
    if (text(field(operation, "x-alias-of"))) continue;
    const tag = text(list(field(operation, "tags"))[0]) || "api";
    const section = sections.get(tag) ?? [];
    section.push(parseOperation(method, path, operation, aliases.get(`${method} ${path}`) ?? []));
    sections.set(tag, section);
  }
  return {
    version: text(field(field(body, "info"), "version")),
    sections: [...sections].map(([name, operations]) => ({ name, operations })).sort((a, b) => a.name.localeCompare(b.name)),
    schemas: new Map(entries(field(field(body, "components"), "schemas"))),
  };
}

/** The operations that have each word in their method, paths or summary. */
export function searchOperations(sections: readonly Section[], searched: string): Section[] {
  const words = searched.toLowerCase().split(/\s+/).filter(Boolean);
  return sections.flatMap(({ name, operations }) => {
    const found = operations.filter(({ method, path, aliases, summary }) => {
      const content = [name, method, path, ...aliases, summary].join("\n").toLowerCase();
      return words.every((word) => content.includes(word));
    });
    return found.length === 0 ? [] : [{ name, operations: found }];
  });
}

/** The name of the schema that a schema refers to; null if it is none. */
export function referenced(schema: unknown): string | null {
  const reference = text(field(schema, "$ref"));
  return reference.startsWith(REFERENCE) ? reference.slice(REFERENCE.length) : null;
}

/** A type in a few words: `integer, 1 to 100`, `list of Record`, `"all" or "standing"`. */
export function typeText(schema: unknown): string {
  const name = referenced(schema);
  if (name !== null) return name;
  const options = [...list(field(schema, "anyOf")), ...list(field(schema, "oneOf"))];
  if (options.length > 0) return [...new Set(options.map(typeText))].join(" or ");
  const values = field(schema, "enum") ?? (field(schema, "const") === undefined ? undefined : [field(schema, "const")]);
  if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(" or ");
  const type = text(field(schema, "type"));
  if (type === "array") return `list of ${typeText(field(schema, "items"))}`;
  if (type === "object" && field(schema, "properties") === undefined && isRecord(field(schema, "additionalProperties"))) {
    return `object of ${typeText(field(schema, "additionalProperties"))}`;
  }
  return [type || "any", boundsText(schema), text(field(schema, "format"))].filter(Boolean).join(", ");
}

export interface Property {
  readonly name: string;
  readonly isRequired: boolean;
  readonly description: string;
  readonly schema: unknown;
}

/** The properties of an object; empty for any other schema. */
export function propertiesOf(schema: unknown): Property[] {
  const required = new Set(list(field(schema, "required")));
  return entries(field(schema, "properties")).map(([name, property]) => ({
    name,
    isRequired: required.has(name),
    description: text(field(property, "description"), 600),
    schema: property,
  }));
}

/** The named schemas in a schema, itself or inside of lists and alternatives. */
export function namesIn(schema: unknown): string[] {
  const name = referenced(schema);
  if (name !== null) return [name];
  const inside = [...list(field(schema, "anyOf")), ...list(field(schema, "oneOf")), field(schema, "items"), field(schema, "additionalProperties")];
  return [...new Set(inside.filter(isRecord).flatMap(namesIn))];
}

const MAX_DEPTH = 4;

/** A value that fits a schema, with what is required: the start of a body. */
export function exampleOf(schema: unknown, schemas: ReadonlyMap<string, unknown>, depth = 0): unknown {
  const name = referenced(schema);
  if (name !== null) return depth > MAX_DEPTH ? {} : exampleOf(schemas.get(name), schemas, depth + 1);
  const given = list(field(schema, "examples"))[0] ?? field(schema, "default") ?? field(schema, "const") ?? list(field(schema, "enum"))[0];
  if (given !== undefined) return given;
  const option = [...list(field(schema, "anyOf")), ...list(field(schema, "oneOf"))][0];
  if (option !== undefined) return exampleOf(option, schemas, depth + 1);
  switch (text(field(schema, "type"))) {
    case "object":
      return Object.fromEntries(propertiesOf(schema).filter((one) => one.isRequired).map((one) => [one.name, exampleOf(one.schema, schemas, depth + 1)]));
    case "array":
      return depth > MAX_DEPTH ? [] : [exampleOf(field(schema, "items"), schemas, depth + 1)];
    case "integer":
    case "number":
      return field(schema, "minimum") ?? 0;
    case "boolean":
      return false;
    case "string":
      return "";
    default:
      return {};
  }
}

function parseOperation(method: string, path: string, operation: unknown, aliases: readonly string[]): Operation {
  return {
    id: text(field(operation, "operationId")) || `${method} ${path}`,
    method,
    path,
    aliases,
    summary: text(field(operation, "summary"), 600),
    permission: text(field(operation, "x-permission")) || null,
    isGuarded: list(field(operation, "security")).length > 0,
    parameters: list(field(operation, "parameters")).flatMap((one) => parseParameter(one) ?? []),
    bodies: bodiesOf(field(operation, "requestBody")),
    answers: entries(field(operation, "responses")).map(([status, answer]) => ({
      status,
      description: text(field(answer, "description"), 600),
      body: bodiesOf(answer)[0] ?? null,
    })),
  };
}

function parseParameter(body: unknown): Parameter | null {
  const place = PLACES.find((one) => one === field(body, "in"));
  const name = text(field(body, "name"));
  if (place === undefined || !name) return null;
  return { name, in: place, isRequired: field(body, "required") === true, description: text(field(body, "description"), 600), schema: field(body, "schema") };
}

function bodiesOf(body: unknown): Body[] {
  return entries(field(body, "content")).map(([media, content]) => ({ media, schema: field(content, "schema") }));
}

function boundsText(schema: unknown): string {
  const bound = (...names: string[]): unknown => names.map((name) => field(schema, name)).find((value) => typeof value === "number");
  const [low, high] = [bound("minimum", "exclusiveMinimum"), bound("maximum", "exclusiveMaximum")];
  if (low !== undefined && high !== undefined) return `${String(low)} to ${String(high)}`;
  if (low !== undefined) return `at least ${String(low)}`;
  if (high !== undefined) return `at most ${String(high)}`;
  const longest = bound("maxLength");
  return longest === undefined ? "" : `at most ${String(longest)} characters`;
}

function isRecord(body: unknown): body is Record<string, unknown> {
  return typeof body === "object" && body !== null && !Array.isArray(body);
}
