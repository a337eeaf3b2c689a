/** A request of the API's page: the address, headers and body that a filled form means. */

import type { Operation } from "./description";

export interface FilledForm {
  /** By the name of the parameter; absent or empty ones are left out. */
  readonly values: ReadonlyMap<string, string>;
  readonly media: string;
  readonly body: string;
}

export interface ApiRequest {
  readonly method: string;
  /** Relative to the bridge's root, such as `api/v1/readings?limit=2`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** The names of required parameters without a value. */
export function missingValues(operation: Operation, { values }: FilledForm): string[] {
  return operation.parameters.filter(({ name, isRequired }) => isRequired && !values.get(name)).map(({ name }) => name);
}

/** A value with commas or line breaks stays one; a list is one value for each line. */
export function requestOf(operation: Operation, { values, media, body }: FilledForm): ApiRequest {
  const given = operation.parameters.flatMap((parameter) => {
    const value = values.get(parameter.name) ?? "";
    return value === "" ? [] : [{ ...parameter, value }];
  });
  const path = given.filter((one) => one.in === "path").reduce((sum, { name, value }) => sum.replace(`{${name}}`, encodeURIComponent(value)), operation.path);
  const query = new URLSearchParams();
  for (const { name, value } of given.filter((one) => one.in === "query")) for (const one of value.split("\n")) query.append(name, one);
  const headers = Object.fromEntries(given.filter((one) => one.in === "header").map(({ name, value }) => [name, value]));
  const hasBody = operation.bodies.length > 0;
  return {
    method: operation.method,
    path: path.replace(/^\//, "") + (query.size > 0 ? `?${query}` : ""),
    headers: hasBody ? { ...headers, "Content-Type": media } : headers,
    body: hasBody ? body : null,
  };
}

/** The same request as a command for a shell. Credentials are for the reader to add. */
export function curlOf({ method, path, headers, body }: ApiRequest, base: URL): string {
  const parts = ["curl -fsS", ...(method === "GET" ? [] : [`-X ${method}`])];
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== null) parts.push(`-d ${quoted(body)}`);
  return [...parts, quoted(new URL(path, base).href)].join(" ");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
