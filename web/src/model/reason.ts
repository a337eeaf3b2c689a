/** Reasons that the bridge sends: a text in English, and where it has one, the key by which the page says it in its language. */

import { field, text } from "./json";

export interface Cause {
  readonly key: string;
  /** By the placeholder of the text. A parameter may be a reason itself. */
  readonly parameters: ReadonlyMap<string, string | Reason>;
}

export interface Reason {
  readonly text: string;
  readonly cause?: Cause;
}

const MAX_LENGTH = 1000;
const MAX_PARAMETERS = 8;
/** A reason within a reason within a reason. */
const MAX_DEPTH = 3;

/** The cause that is beside a reason, as a member to be spread into what has the reason; nothing without one. */
export function causeIn(body: unknown, name = "cause", depth = MAX_DEPTH): { readonly cause?: Cause } {
  const cause = field(body, name);
  const key = text(field(cause, "key"));
  if (!key || depth === 0) return {};
  const parameters = Object.entries(field(cause, "parameters") ?? {}).slice(0, MAX_PARAMETERS);
  return { cause: { key, parameters: new Map(parameters.map(([one, value]) => [one, parameter(value, depth)])) } };
}

function parameter(value: unknown, depth: number): string | Reason {
  if (typeof value === "string") return text(value, MAX_LENGTH);
  return { text: text(field(value, "text"), MAX_LENGTH), ...causeIn({ cause: value }, "cause", depth - 1) };
}
