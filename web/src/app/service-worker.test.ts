import { readFileSync } from "node:fs";

import { beforeEach, describe, expect, test } from "vitest";

const SOURCE = readFileSync(new URL("../../public/sw.js", import.meta.url), "utf8");
const SCOPE = "https://bridge.example/air/";

interface Shown {
  readonly title: string;
  readonly options: NotificationOptions & { renotify: boolean };
}

/** Runs the service worker with a browser that records. */
class Worker {
  readonly shown: Shown[] = [];
  readonly opened: string[] = [];
  readonly requests: [url: string, init: RequestInit | undefined][] = [];
  pages: { url: string; focused: boolean; focus(): Promise<void>; navigate(to: string): Promise<void> }[] = [];
  status = 201;
  readonly #handlers = new Map<string, (event: unknown) => void>();

  constructor(language = "en-GB") {
    const registration = {
      scope: SCOPE,
      showNotification: async (title: string, options: Shown["options"]) => this.shown.push({ title, options }),
      pushManager: {
        subscribe: async (options: PushSubscriptionOptionsInit) => ({ endpoint: "new", key: options.applicationServerKey }),
      },
    };
    const clients = { matchAll: async () => this.pages, openWindow: async (url: string) => this.opened.push(url) };
    const addEventListener = (name: string, handler: (event: unknown) => void): unknown => this.#handlers.set(name, handler);
    const self = { registration, clients, addEventListener };
    new Function("self", "navigator", "fetch", SOURCE)(self, { language }, this.#fetch);
  }

  async dispatch(name: string, event: object = {}): Promise<void> {
    let work: unknown;
    this.#handlers.get(name)?.({ ...event, waitUntil: (job: unknown) => (work = job) });
    expect(work).toBeInstanceOf(Promise);
    await work;
  }

  push(text: string | null): Promise<void> {
    return this.dispatch("push", { data: text === null ? null : { json: () => JSON.parse(text) as unknown } });
  }

  addPage(url: string, focused = false): void {
    const open = async (what: string): Promise<void> => void this.opened.push(what);
    this.pages.push({ url, focused, focus: () => open(`focus ${url}`), navigate: open });
  }

  readonly #fetch = async (url: string, init?: RequestInit): Promise<unknown> => {
    this.requests.push([url, init]);
    return { ok: this.status < 300, json: async () => ({ publicKey: "BAEC" }) };
  };
}

let worker: Worker;
beforeEach(() => (worker = new Worker()));

describe("a message", () => {
  const message = {
    title: "CRITICAL: Carbon monoxide 212 ppm",
    body: "Leave.\nNot a life-safety device.",
    kind: "raised",
    priority: "critical",
    tag: "g1",
    number: 1,
    alarm: "a1",
  };

  test("is shown; a critical one stays until somebody reacts, and repeats replace it and sound again", async () => {
    await worker.push(JSON.stringify(message));
    const options = { body: message.body, tag: "g1", icon: "icon-192.png", renotify: true, requireInteraction: true };
    expect(worker.shown).toEqual([{ title: message.title, options }]);
  });

  test("of another priority does not stay", async () => {
    await worker.push(JSON.stringify({ ...message, priority: "high" }));
    expect(worker.shown[0]?.options).toMatchObject({ renotify: true, requireInteraction: false });
  });

  test("that it is over replaces the alarm without a sound", async () => {
    await worker.push(JSON.stringify({ ...message, kind: "cleared" }));
    expect(worker.shown[0]?.options).toMatchObject({ tag: "g1", renotify: false, requireInteraction: false });
  });

  const unreadable = [null, "not JSON", "null", "[]", "7", '{"title": 5, "body": {}, "tag": ""}'];
  test.each(unreadable)("that cannot be read is shown in general words: %j", async (text) => {
    await worker.push(text);
    const options = { tag: "alarm", requireInteraction: false };
    expect(worker.shown).toMatchObject([{ title: "An alarm has changed", options }]);
    expect(worker.shown[0]?.options.body).toContain("Not a life-safety device.");
  });

  test("that is too long is cut", async () => {
    await worker.push(JSON.stringify({ title: "t".repeat(5000), body: "b".repeat(5000), tag: "g".repeat(5000) }));
    const { title, options } = worker.shown[0] ?? {};
    expect([title?.length, options?.body?.length, options?.tag?.length]).toEqual([300, 4000, 100]);
  });

  test.each([
    ["ru", "Тревога изменилась"],
    ["es-MX", "Una alarma ha cambiado"],
    ["fr", "Une alarme a changé"],
    ["de-AT", "Ein Alarm hat sich geändert"],
    ["it", "An alarm has changed"],
  ])("in %s is %s", async (language, title) => {
    worker = new Worker(language);
    await worker.push(null);
    expect(worker.shown[0]?.title).toBe(title);
  });
});

describe("a press on a notification", () => {
  const notification = { close: () => worker.opened.push("close") };
  const press = (): Promise<void> => worker.dispatch("notificationclick", { notification });

  test("opens the alarms if no page of the dashboard is open", async () => {
    worker.addPage(`${SCOPE}test`);
    worker.addPage("https://bridge.example/");
    await press();
    expect(worker.opened).toEqual(["close", `${SCOPE}#/alarms`]);
  });

  test("shows the alarms in the page that is in use", async () => {
    worker.addPage(`${SCOPE}#/feed`);
    worker.addPage(`${SCOPE}?x#/`, true);
    await press();
    expect(worker.opened).toEqual(["close", `focus ${SCOPE}?x#/`, `${SCOPE}#/alarms`]);
  });
});

describe("a subscription that the browser ended", () => {
  test("is made again and sent to the bridge", async () => {
    await worker.dispatch("pushsubscriptionchange");
    expect(worker.requests.map(([url]) => url)).toEqual([`${SCOPE}api/v1/push`, `${SCOPE}api/v1/push/subscriptions`]);
    expect(worker.requests[1]?.[1]).toMatchObject({ method: "POST", body: '{"endpoint":"new","key":"BAEC"}' });
    expect(worker.shown).toEqual([]);
  });

  test("is sent as the browser renewed it", async () => {
    await worker.dispatch("pushsubscriptionchange", { newSubscription: { endpoint: "renewed" } });
    expect(worker.requests[1]?.[1]?.body).toBe('{"endpoint":"renewed"}');
  });

  test("is mentioned if the bridge does not take it, as after the login has expired", async () => {
    worker.status = 401;
    await worker.dispatch("pushsubscriptionchange");
    expect(worker.shown).toMatchObject([{ title: "This browser is no longer notified", options: { tag: "subscription" } }]);
  });
});
