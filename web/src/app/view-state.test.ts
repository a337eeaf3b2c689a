import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { choiceParam, textParam, viewParam } from "../model/view-param";
import type { Preferences } from "./view-state";
import { ViewAddress } from "./view-state";

const VIEW = choiceParam("view", ["cards", "table"], "cards", { push: true });
const SORT = choiceParam("sort", ["worst", "name"], "worst");
const SEARCH = textParam("q", { remember: false });

interface Entry {
  hash: string;
  state: unknown;
}

/** A window's history: links, "back" and "forward", and what scripts write. */
class Browser {
  scrollY = 0;
  writes = 0;
  readonly location = { hash: "" };
  #entries: Entry[] = [];
  #index = 0;
  readonly #listeners: (() => void)[] = [];
  readonly history = {
    state: null as unknown,
    replaceState: (state: unknown, _: string, url?: string | URL | null) => this.#write(this.#index, state, url),
    pushState: (state: unknown, _: string, url?: string | URL | null) => this.#write(this.#index + 1, state, url),
    back: () => this.go(-1),
  };

  constructor(hash: string) {
    this.#entries = [{ hash, state: null }];
    this.location.hash = hash;
  }

  addEventListener(type: string, listener: () => void): void {
    if (type === "popstate") this.#listeners.push(listener);
  }

  follow(hash: string): void {
    this.#write(this.#index + 1, null, hash);
    this.#arrive();
  }

  go(by: number): void {
    this.#index += by;
    this.#arrive();
  }

  #write(index: number, state: unknown, url?: string | URL | null): void {
    this.writes++;
    const hash = url == null ? this.location.hash : String(url);
    if (index > this.#index) this.#entries.length = index;
    this.#entries[index] = { hash, state };
    this.#index = index;
    [this.location.hash, this.history.state] = [hash, state];
  }

  #arrive(): void {
    const entry = this.#entries[this.#index];
    if (!entry) return;
    [this.location.hash, this.history.state] = [entry.hash, entry.state];
    for (const listener of this.#listeners) listener();
  }
}

function memory(): Preferences & { readonly texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return { texts, load: (key) => texts.get(key) ?? null, save: (key, value) => void texts.set(key, value) };
}

function open(hash: string, preferences = memory()): { browser: Browser; address: ViewAddress } {
  const browser = new Browser(hash);
  return { browser, address: new ViewAddress(browser, preferences) };
}

describe("the address", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("takes what was chosen, and omits what was not", () => {
    const { browser, address } = open("#/");
    address.signal(SORT).value = "name";
    expect(browser.location.hash).toBe("#/?sort=name");
    vi.advanceTimersByTime(1000);
    address.signal(SORT).value = "worst";
    vi.advanceTimersByTime(1000);
    expect(browser.location.hash).toBe("#/");
    expect(address.forOthers()).toBe("#/?");
  });

  test("restores what was remembered where nothing is chosen, for the same page only", () => {
    const preferences = memory();
    open("#/device/a", preferences).address.signal(SORT).value = "name";
    const { browser, address } = open("#/device/b", preferences);
    expect(address.signal(SORT).value).toBe("name");
    expect(browser.location.hash).toBe("#/device/b?sort=name");
    expect(open("#/", preferences).address.signal(SORT).value).toBe("worst");
  });

  test("with parameters wins over what was remembered, and does not change it", () => {
    const preferences = memory();
    open("#/", preferences).address.signal(SORT).value = "name";
    expect(open("#/?view=table", preferences).address.signal(SORT).value).toBe("worst");
    expect(open("#/?", preferences).address.signal(SORT).value).toBe("worst");
    expect(open("#/", preferences).address.signal(SORT).value).toBe("name");
  });

  test("does not remember what is not to be remembered", () => {
    const preferences = memory();
    open("#/", preferences).address.signal(SEARCH).value = "kitchen";
    expect(open("#/", preferences).address.signal(SEARCH).value).toBe("");
  });

  test("of a pushed choice is left with back, although it is remembered", () => {
    const { browser, address } = open("#/");
    address.signal(VIEW).value = "table";
    expect(browser.location.hash).toBe("#/?view=table");
    browser.go(-1);
    expect(address.signal(VIEW).value).toBe("cards");
    browser.go(1);
    expect(address.signal(VIEW).value).toBe("table");
  });

  test("restores the choices and the scroll position of a history entry", () => {
    const { browser, address } = open("#/?q=kitchen");
    browser.scrollY = 700;
    browser.follow("#/device/a");
    expect(address.arrival.value.scrollY).toBeNull();
    browser.scrollY = 0;
    expect(address.goBackTo("#/feed")).toBe(false);
    expect(address.goBackTo("#/")).toBe(true);
    expect(address.signal(SEARCH).value).toBe("kitchen");
    expect(address.arrival.value.scrollY).toBe(700);
  });

  test("is written a few times a second while a gesture changes it, at last with the last value", () => {
    const { browser, address } = open("#/");
    const before = browser.writes;
    for (let step = 0; step < 300; step++) {
      address.signal(SEARCH).value = `text ${step}`;
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(1000);
    expect(browser.writes - before).toBeLessThan(20);
    expect(browser.location.hash).toBe("#/?q=text+299");
    expect(address.signal(SEARCH).value).toBe("text 299");
  });

  test("may round a value that a gesture sets", () => {
    const { browser, address } = open("#/");
    const zoom = address.signal(viewParam("zoom", 1, { parse: Number, format: (value) => value.toFixed(0) }));
    for (let step = 0; step < 10; step++) zoom.value += 0.1;
    expect(zoom.value).toBeCloseTo(2);
    address.flush();
    expect(browser.location.hash).toBe("#/?zoom=2");
    browser.follow("#/?zoom=1");
    expect(zoom.value).toBe(1);
  });

  test("keeps the token of a shared link on every page", () => {
    const preferences = memory();
    open("#/feed", preferences).address.signal(SORT).value = "name";
    const { browser, address } = open("#/device/a?link=sbl_1", preferences);
    browser.follow("#/feed");
    expect(browser.location.hash).toBe("#/feed?sort=name&link=sbl_1");
    browser.follow("#/?q=x");
    expect(browser.location.hash).toBe("#/?q=x&link=sbl_1");
    expect(address.signal(SEARCH).value).toBe("x");
    browser.go(-2);
    expect(browser.location.hash).toBe("#/device/a?link=sbl_1");
  });

  test("of the first admin's link is left alone", () => {
    const preferences = memory();
    open("#/", preferences).address.signal(SORT).value = "name";
    const { browser } = open("#setup=abc&user=admin", preferences);
    expect(browser.location.hash).toBe("#setup=abc&user=admin");
  });

  test("keeps the state of other code in its entry", () => {
    const { browser, address } = open("#/");
    browser.history.replaceState({ setup: "x" }, "");
    address.signal(SORT).value = "name";
    expect(browser.history.state).toMatchObject({ setup: "x" });
  });
});
