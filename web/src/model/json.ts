/** Checked reads of untrusted JSON: a value of the wrong type reads as missing. */

const MAX_TEXT_LENGTH = 200;

export function field(body: unknown, name: string): unknown {
  if (typeof body !== "object" || body === null || !Object.hasOwn(body, name)) return undefined;
  return (body as Record<string, unknown>)[name];
}

export function text(value: unknown, maxLength = MAX_TEXT_LENGTH): string {
  return typeof value === "string" ? value.slice(0, maxLength) : "";
}

export function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function time(value: unknown): number | null {
  const milliseconds = Date.parse(text(value));
  return Number.isNaN(milliseconds) ? null : milliseconds;
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function entries(body: unknown): [string, unknown][] {
  return typeof body === "object" && body !== null && !Array.isArray(body) ? Object.entries(body) : [];
}
