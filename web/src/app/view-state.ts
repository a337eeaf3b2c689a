import type { ReadonlySignal } from "@preact/signals";
import { batch, computed, signal } from "@preact/signals";

import type { Fragment, ViewParam } from "../model/view-param";
import { LINK, formatFragment, pageOf, parseFragment, readParam, textOf, writeParam } from "../model/view-param";
import { loadPreference, savePreference } from "./preferences";

/**
 * Browsers refuse more than about a hundred changes of the address in half a minute, and gestures on charts make sixty a second:
 * after `WRITES_AT_ONCE` changes, the address follows in this interval.
 */
const WRITE_INTERVAL_MS = 400;
const WRITES_AT_ONCE = 10;
const STORAGE = "sensor-bridge.view";
/** The key in the state of a history entry that says that the entry is known, and its number. */
const ENTRY = "viewEntry";
/** Beside it, where the page was scrolled to when it was unloaded. */
const SCROLL = "viewScroll";
const MAX_ENTRIES = 100;

/** What is needed of `window`. */
export interface AddressWindow {
  readonly location: { readonly hash: string };
  readonly history: Pick<History, "state" | "pushState" | "replaceState" | "back">;
  readonly scrollY: number;
  addEventListener(type: "popstate" | "pagehide" | "click", listener: () => void, options?: { capture: boolean }): void;
}

export interface Preferences {
  readonly load: (key: string) => string | null;
  readonly save: (key: string, value: string) => void;
}

/** How the current history entry was reached: by "back" or "forward" with the scroll position that it had, or anew. */
export interface Arrival {
  /** From 1, growing along the history. */
  readonly number: number;
  readonly scrollY: number | null;
}

/**
 * The fragment of the address: a path and what the user chose there. A new history entry without a query gets the choices that this
 * browser remembers for its page. An existing entry keeps its own, so that "back" undoes a choice.
 */
export class ViewAddress {
  readonly fragment = signal<Fragment>({ path: "", query: null });
  readonly path = computed(() => this.fragment.value.path);
  readonly query = computed(() => this.fragment.value.query);
  readonly arrival = signal<Arrival>({ number: 0, scrollY: null });
  readonly #window: AddressWindow;
  readonly #preferences: Preferences;
  /** By number of the entry, the newest last. */
  readonly #left = new Map<number, { readonly path: string; readonly scrollY: number }>();
  readonly #signals = new WeakMap<object, unknown>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** As it was written or read last. */
  #hash = "";
  /** Changes that may be written now, as of `#countedAt`. */
  #writes = WRITES_AT_ONCE;
  #countedAt = 0;

  constructor(window: AddressWindow, preferences: Preferences = { load: loadPreference, save: savePreference }) {
    this.#window = window;
    this.#preferences = preferences;
    window.addEventListener("popstate", () => this.#arrive());
    window.addEventListener("click", () => this.flush(), { capture: true }); // before a link is followed
    window.addEventListener("pagehide", () => this.#keepScroll());
    this.#arrive();
  }

  /** The value of a parameter as a signal; it changes with the address, and writing it changes the address. */
  signal<T>(param: ViewParam<T>): ViewSignal<T> {
    const known = this.#signals.get(param);
    if (known) return known as ViewSignal<T>;
    const created = new ViewSignal(this, param);
    this.#signals.set(param, created);
    return created;
  }

  /** Changes the address as the parameter says, or as `history` says, and what this browser remembers. */
  set<T>(param: ViewParam<T>, value: T, history: "replace" | "push" = param.history): void {
    const { path, query } = this.#current();
    const text = textOf(param, value);
    if (param.isRemembered(value)) this.#remember(path, param.name, text);
    if (readParam(query, param.name) === text) return;
    const fragment = { path, query: writeParam(query, param.name, text) };
    if (history === "push") {
      this.flush();
      this.#leave();
      this.fragment.value = fragment;
      this.#write("pushState", this.arrival.peek().number + 1);
      this.arrival.value = { number: this.arrival.peek().number + 1, scrollY: null };
      return;
    }
    this.fragment.value = fragment;
    if (this.#timer !== undefined) return;
    const now = performance.now();
    this.#writes = Math.min(WRITES_AT_ONCE, this.#writes + (now - this.#countedAt) / WRITE_INTERVAL_MS);
    this.#countedAt = now;
    this.#timer = setTimeout(() => this.flush(), Math.max(0, (1 - this.#writes) * WRITE_INTERVAL_MS));
    if (this.#writes >= 1) this.flush();
  }

  /** Goes back if the previous history entry has this path, which restores its choices and scroll position; else returns false. */
  goBackTo(path: string): boolean {
    if (this.#left.get(this.arrival.peek().number - 1)?.path !== path) return false;
    this.#window.history.back();
    return true;
  }

  /** The fragment for other people: with a query, even an empty one, because their browser remembers other choices. */
  forOthers(): string {
    const { path, query } = this.fragment.peek();
    return formatFragment({ path, query: query ?? "" });
  }

  /** Writes a change that waits. */
  flush(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writes--;
    this.#write("replaceState");
  }

  #write(method: "pushState" | "replaceState", number = this.arrival.peek().number): void {
    const state: unknown = this.#window.history.state;
    const others = method === "replaceState" && typeof state === "object" ? state : {};
    try {
      this.#window.history[method]({ ...others, [ENTRY]: number }, "", formatFragment(this.fragment.peek()));
    } catch {
      // too many changes in a short time: the next one is written
    }
    this.#hash = this.#window.location.hash;
  }

  /** Other code may have replaced the address. */
  #current(): Fragment {
    const { hash } = this.#window.location;
    return hash === this.#hash ? this.fragment.peek() : parseFragment(hash);
  }

  #arrive(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const previous = this.arrival.peek().number;
    if (previous > 0) this.#leave();
    this.#hash = this.#window.location.hash;
    const parsed = parseFragment(this.#hash);
    const fragment = { ...parsed, path: parsed.path || "#/" };
    const known = numberIn(this.#window.history.state, ENTRY);
    if (known !== null) {
      this.fragment.value = fragment;
      this.arrival.value = { number: known, scrollY: this.#left.get(known)?.scrollY ?? numberIn(this.#window.history.state, SCROLL) };
      return;
    }
    const isPage = fragment.path.startsWith("#/");
    const remembered = fragment.query === null && isPage ? this.#preferences.load(storageKey(fragment.path)) : null;
    const query = remembered ? parseFragment(`#/?${remembered}`).query : fragment.query;
    const link = readParam(this.fragment.peek().query, LINK);
    const isLinked = link === null || readParam(query, LINK) !== null;
    this.fragment.value = { path: fragment.path, query: isLinked ? query : writeParam(query, LINK, link) };
    if (isPage) this.#write("replaceState", previous + 1);
    this.arrival.value = { number: previous + 1, scrollY: null };
  }

  #keepScroll(): void {
    this.flush();
    const state: unknown = this.#window.history.state;
    if (typeof state === "object" && numberIn(state, ENTRY) !== null) this.#window.history.replaceState({ ...state, [SCROLL]: this.#window.scrollY }, "");
  }

  #leave(): void {
    const { number } = this.arrival.peek();
    this.#left.delete(number);
    this.#left.set(number, { path: this.fragment.peek().path, scrollY: this.#window.scrollY });
    for (const oldest of this.#left.keys()) {
      if (this.#left.size <= MAX_ENTRIES) break;
      this.#left.delete(oldest);
    }
  }

  #remember(path: string, name: string, text: string | null): void {
    const key = storageKey(path);
    const before = this.#preferences.load(key);
    const after = writeParam(before, name, text) ?? "";
    if (after !== (before ?? "")) this.#preferences.save(key, after);
  }
}

export class ViewSignal<T> {
  readonly #address: ViewAddress;
  readonly #param: ViewParam<T>;
  /** As it was set: its text in the address may be rounded, which would stop slow gestures. */
  readonly #exact = signal<{ readonly text: string | null; readonly value: T } | null>(null);
  readonly #value: ReadonlySignal<T>;

  constructor(address: ViewAddress, param: ViewParam<T>) {
    this.#address = address;
    this.#param = param;
    const text = computed(() => readParam(address.query.value, param.name));
    this.#value = computed(() => {
      const exact = this.#exact.value;
      if (exact !== null && exact.text === text.value) return exact.value;
      return (text.value === null ? null : param.parse(text.value)) ?? param.fallback;
    });
  }

  get value(): T {
    return this.#value.value;
  }

  set value(value: T) {
    this.set(value);
  }

  peek(): T {
    return this.#value.peek();
  }

  /** Calls back now and whenever the value changes; returns what ends that. */
  subscribe(onChange: (value: T) => void): () => void {
    return this.#value.subscribe(onChange);
  }

  readonly set = (value: T, history?: "replace" | "push"): void =>
    batch(() => {
      this.#exact.value = { text: textOf(this.#param, value), value };
      this.#address.set(this.#param, value, history);
    });
}

let address: ViewAddress | null = null;

/** The address of this page. Created on first use, because tests of models have no `window`. */
export function viewAddress(): ViewAddress {
  return (address ??= new ViewAddress(window));
}

/** As a state of the component, kept in the address: `const [range, setRange] = useViewState(RANGE)`. */
export function useViewState<T>(param: ViewParam<T>): readonly [T, ViewSignal<T>["set"]] {
  const bound = viewAddress().signal(param);
  return [bound.value, bound.set];
}

/** The same outside of components, and for those that take a signal. */
export function viewSignal<T>(param: ViewParam<T>): ViewSignal<T> {
  return viewAddress().signal(param);
}

function storageKey(path: string): string {
  return `${STORAGE}.${pageOf(path)}`;
}

function numberIn(state: unknown, key: string): number | null {
  const number: unknown = typeof state === "object" && state !== null ? Reflect.get(state, key) : null;
  return typeof number === "number" ? number : null;
}
