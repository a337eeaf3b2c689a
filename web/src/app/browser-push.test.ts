import { beforeEach, describe, expect, test } from "vitest";

import { ApiError } from "../api/client";
import type { PushReadiness } from "../model/push";
import { keyBytes } from "../model/push";
import type { PushBrowser } from "./browser-push";
import { BrowserPush } from "./browser-push";

const KEY = "BAEC";

/** A browser and a bridge that remember what was asked of them. */
class Bench {
  readonly asked: string[] = [];
  readiness: PushReadiness = "ready";
  user: string | null = "ada";
  answer: NotificationPermission = "granted";
  current: PushSubscription | null = null;
  fault: { at: string; error: Error } | null = null;
  readonly browser: PushBrowser = {
    isSecure: true,
    isSupported: true,
    permission: "default",
    requestPermission: async () => (this.#ask("permission"), this.set({ permission: this.answer }), this.answer),
    manager: async () => {
      this.#ask("worker");
      return { getSubscription: async () => this.current, subscribe: this.#subscribe } as unknown as PushManager;
    },
    owner: null,
    onPermissionChange: (listener) => (this.onPermissionChange = listener),
  };
  onPermissionChange = (): void => undefined;
  readonly push = new BrowserPush(
    {
      push: async () => (this.#ask("key"), { publicKey: KEY, readiness: this.readiness }),
      subscribePush: async ({ endpoint }) => (this.#ask(`post ${endpoint}`), "5d0f"),
      unsubscribePush: async (id) => this.#ask(`delete ${id}`),
    },
    () => this.user,
    this.browser,
  );

  set(changes: Partial<PushBrowser>): void {
    Object.assign(this.browser, changes);
  }

  subscription(endpoint: string, key = KEY): PushSubscription {
    const unsubscribe = async (): Promise<boolean> => (this.#ask(`end ${endpoint}`), (this.current = null), true);
    const options = { applicationServerKey: keyBytes(key).buffer };
    return { options, toJSON: () => ({ endpoint }), unsubscribe } as unknown as PushSubscription;
  }

  get state(): string {
    return this.push.state.value;
  }

  readonly #subscribe = async (): Promise<PushSubscription> => {
    this.#ask("subscribe");
    this.current = this.subscription("new");
    return this.current;
  };

  #ask(what: string): void {
    this.asked.push(what);
    if (this.fault?.at === what) throw this.fault.error;
  }
}

let bench: Bench;
beforeEach(() => (bench = new Bench()));

describe("turning it on", () => {
  test("asks for the permission, subscribes and tells the bridge, in this order and only then", async () => {
    await bench.push.refresh();
    expect([bench.state, bench.asked]).toEqual(["off", ["key", "worker"]]);
    bench.asked.length = 0;
    await bench.push.enable();
    expect([bench.state, bench.asked]).toEqual(["on", ["permission", "key", "worker", "subscribe", "post new"]]);
    expect(bench.browser.owner).toBe("ada");
  });

  test.each([
    ["default", "off", "dismissed"],
    ["denied", "blocked", undefined],
  ] as const)("is refused by the permission %s", async (answer, state, failure) => {
    bench.answer = answer;
    await bench.push.enable();
    expect([bench.state, bench.push.failure.value?.kind, bench.asked]).toEqual([state, failure, ["permission"]]);
  });

  test("fails with the browser's words if its push service does", async () => {
    bench.fault = { at: "subscribe", error: new DOMException("Registration failed - push service error", "AbortError") };
    await bench.push.enable();
    expect([bench.state, bench.push.failure.value]).toEqual(["off", { kind: "subscribe", error: bench.fault.error }]);
    expect(bench.browser.owner).toBeNull();
  });

  test("fails with the bridge's words, and ends the subscription that the bridge does not know", async () => {
    bench.fault = { at: "post new", error: new ApiError(422, "endpoint: must be an https:// URL of a push service") };
    await bench.push.enable();
    expect([bench.state, bench.push.failure.value]).toEqual(["unknown", { kind: "bridge", error: bench.fault.error }]);
    expect([bench.asked.at(-1), bench.current]).toEqual(["end new", null]);
  });

  test("replaces the subscription of another user", async () => {
    bench.set({ permission: "granted", owner: "bob" });
    bench.current = bench.subscription("bobs");
    await bench.push.refresh();
    expect(bench.state).toBe("other-user");
    await bench.push.enable();
    expect(bench.asked.slice(-3)).toEqual(["end bobs", "subscribe", "post new"]);
    expect([bench.state, bench.browser.owner]).toEqual(["on", "ada"]);
  });
});

describe("a subscription of the user", () => {
  beforeEach(() => {
    bench.set({ permission: "granted", owner: "ada" });
    bench.current = bench.subscription("mine");
  });

  test("is sent to the bridge again", async () => {
    await bench.push.refresh();
    expect([bench.state, bench.asked]).toEqual(["on", ["key", "worker", "post mine"]]);
  });

  test("is replaced if the bridge has another key now", async () => {
    bench.current = bench.subscription("mine", "BAED");
    await bench.push.refresh();
    expect([bench.state, bench.asked.slice(2)]).toEqual(["on", ["end mine", "subscribe", "post new"]]);
  });

  test("is ended in the browser and at the bridge, even if that does not answer", async () => {
    await bench.push.refresh();
    bench.fault = { at: "delete 5d0f", error: new TypeError("Failed to fetch") };
    await bench.push.disable();
    expect([bench.state, bench.push.failure.value, bench.asked.slice(-2)]).toEqual(["off", null, ["end mine", "delete 5d0f"]]);
    expect(bench.push.isWanted).toBe(false);
  });

  test("ends with the login", async () => {
    await bench.push.forget();
    expect([bench.current, bench.asked, bench.push.isWanted]).toEqual([null, ["worker", "end mine"], false]);
  });

  test("is of nobody known while the bridge does not answer", async () => {
    bench.fault = { at: "key", error: new TypeError("Failed to fetch") };
    await bench.push.refresh();
    expect([bench.state, bench.push.failure.value?.kind]).toEqual(["unknown", "bridge"]);
  });

  test("is blocked as soon as the user takes the permission away", async () => {
    await bench.push.refresh();
    bench.set({ permission: "denied" });
    bench.onPermissionChange();
    await expect.poll(() => bench.state).toBe("blocked");
  });
});

test("without https nothing is asked", async () => {
  bench.set({ isSecure: false, isSupported: false });
  await bench.push.refresh();
  expect([bench.state, bench.asked]).toEqual(["insecure", []]);
});

test("without a login the browser is of whoever uses it", async () => {
  bench.user = null;
  await bench.push.enable();
  await bench.push.refresh();
  expect(bench.state).toBe("on");
});
