/** What a person chose on a page, in the query of the address's fragment: `#/device/x?range=24h&compare=a,b`. */

/** A choice that the address carries. Declare it once, as a constant of its module: hooks compare it by identity. */
export interface ViewParam<T> {
  /** The key in the query; unique on its page. */
  readonly name: string;
  /** Omitted from the address. */
  readonly fallback: T;
  /** Null for text that is not a value of it, or out of bounds: the fallback is used. */
  readonly parse: (text: string) => T | null;
  readonly format: (value: T) => string;
  /** `push` adds an entry to the browser's history, where a person would expect "back" to undo the choice. */
  readonly history: "replace" | "push";
  /** Whether this browser remembers the value for an address without parameters. */
  readonly isRemembered: (value: T) => boolean;
}

export interface ParamOptions<T> {
  readonly push?: boolean;
  /** Default true. */
  readonly remember?: boolean | ((value: T) => boolean);
}

const MAX_QUERY_LENGTH = 4000;
const MAX_TEXT_LENGTH = 200;

export function viewParam<T>(
  name: string,
  fallback: T,
  codec: Pick<ViewParam<T>, "parse" | "format">,
  { push = false, remember = true }: ParamOptions<T> = {},
): ViewParam<T> {
  const isRemembered = typeof remember === "function" ? remember : () => remember;
  return { name, fallback, ...codec, history: push ? "push" : "replace", isRemembered };
}

/** One of several values. */
export function choiceParam<const V extends string>(
  name: string,
  values: readonly V[],
  fallback: NoInfer<V>,
  options?: ParamOptions<NoInfer<V>>,
): ViewParam<V> {
  return viewParam<V>(name, fallback, { parse: (text) => values.find((one) => one === text) ?? null, format: (value) => value }, options);
}

export function flagParam(name: string, options?: ParamOptions<boolean>): ViewParam<boolean> {
  return viewParam(name, false, { parse: (text) => text === "1", format: (value) => (value ? "1" : "0") }, options);
}

/** A text, empty by default; longer ones are cut. */
export function textParam(name: string, { maxLength = MAX_TEXT_LENGTH, ...options }: ParamOptions<string> & { readonly maxLength?: number } = {}): ViewParam<string> {
  const cut = (text: string): string => text.slice(0, maxLength);
  return viewParam(name, "", { parse: cut, format: cut }, options);
}

/** A number from `min` to `max`. */
export function numberParam(name: string, fallback: number, min: number, max: number, options?: ParamOptions<number>): ViewParam<number> {
  const parse = (text: string): number | null => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    return value >= min && value <= max ? value : null;
  };
  return viewParam(name, fallback, { parse, format: String }, options);
}

/** Different texts, none by default, in the order chosen: at most `maxItems`; more are cut. */
export function listParam(name: string, maxItems: number, options?: ParamOptions<readonly string[]>): ViewParam<readonly string[]> {
  const parse = (text: string): readonly string[] => bounded(text.split(",").map(unescaped), maxItems);
  const format = (items: readonly string[]): string => bounded(items, maxItems).map(escaped).join(",");
  return viewParam<readonly string[]>(name, [], { parse, format }, options);
}

function bounded(items: readonly string[], maxItems: number): readonly string[] {
  return [...new Set(items.filter((one) => one !== "" && one.length <= MAX_TEXT_LENGTH))].slice(0, maxItems);
}

function escaped(item: string): string {
  return item.replace(/[%,]/g, encodeURIComponent);
}

function unescaped(item: string): string {
  return item.replace(/%(25|2C)/gi, decodeURIComponent);
}

/** A fragment's path, such as `#/device/x`, and its query. `query` is null without a `?`: nothing was chosen there. */
export interface Fragment {
  readonly path: string;
  readonly query: string | null;
}

/** An overlong query counts as none. */
export function parseFragment(hash: string): Fragment {
  const at = hash.indexOf("?");
  if (at < 0) return { path: hash, query: null };
  const query = hash.slice(at + 1);
  return { path: hash.slice(0, at), query: query.length > MAX_QUERY_LENGTH ? null : query };
}

export function formatFragment({ path, query }: Fragment): string {
  return query === null ? path : `${path || "#/"}?${query}`;
}

/** The page that a path belongs to, for which choices are remembered: `device` for every device. */
export function pageOf(path: string): string {
  return path.replace(/^#?\/?/, "").split("/", 1)[0] || "overview";
}

/** The text of a parameter; null where it is missing. */
export function readParam(query: string | null, name: string): string | null {
  return new URLSearchParams(query ?? "").get(name);
}

/** The query with a parameter changed, or removed by null. The others stay. Null when none is left. */
export function writeParam(query: string | null, name: string, text: string | null): string | null {
  const pairs = [...new URLSearchParams(query ?? "")].filter(([key]) => key !== name);
  if (text !== null) pairs.push([name, text]);
  return pairs.length === 0 ? null : pairs.map(([key, value]) => (value === "" ? encoded(key) : `${encoded(key)}=${encoded(value)}`)).join("&");
}

/** What a fragment needs no escape for stays readable. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(/%(2C|3A|2F|40|20)/g, (escape) => (escape === "%20" ? "+" : decodeURIComponent(escape)));
}

/** The value in a query; the fallback where it is missing or nonsense. */
export function valueIn<T>(param: ViewParam<T>, query: string | null): T {
  const text = readParam(query, param.name);
  return (text === null ? null : param.parse(text)) ?? param.fallback;
}

/** The text of a value in a query; null for the fallback, which is omitted. */
export function textOf<T>(param: ViewParam<T>, value: T): string | null {
  const text = param.format(value);
  return text === param.format(param.fallback) ? null : text;
}
