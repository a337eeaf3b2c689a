import { batch, signal } from "@preact/signals";

import type { PushFailure, PushState, PushStatus } from "../model/push";
import { isSameKey, keyBytes, pushState } from "../model/push";
import { loadPreference, savePreference } from "./preferences";

/** Who turned it on in this browser. */
const KEY = "sensor-bridge.push";
const WITHOUT_LOGIN = "*";
/** A browser that registers no service worker, as one that blocks storage, never becomes ready. */
const WORKER_TIMEOUT_MS = 10_000;
const UNSUBSCRIBE_TIMEOUT_MS = 3000;

export interface PushApi {
  push(): Promise<PushStatus>;
  subscribePush(subscription: PushSubscriptionJSON): Promise<string>;
  unsubscribePush(id: string): Promise<void>;
}

/** The parts of the browser that are needed, replaceable in tests. */
export interface PushBrowser {
  readonly isSecure: boolean;
  readonly isSupported: boolean;
  readonly permission: NotificationPermission;
  requestPermission(): Promise<NotificationPermission>;
  /** Rejects if the page has no service worker. */
  manager(): Promise<PushManager>;
  owner: string | null;
  onPermissionChange(listener: () => void): void;
}

/** Subscribes this browser to the bridge's notifications and says whether it is, and why not. */
export class BrowserPush {
  readonly state = signal<PushState>("checking");
  readonly failure = signal<PushFailure | null>(null);
  readonly isBusy = signal(false);
  readonly #api: PushApi;
  readonly #browser: PushBrowser;
  readonly #user: () => string | null;
  #id = "";

  /** `user` returns the name of who is logged in, null without a login. */
  constructor(api: PushApi, user: () => string | null, browser: PushBrowser = thisBrowser()) {
    this.#api = api;
    this.#user = user;
    this.#browser = browser;
    browser.onPermissionChange(() => void this.refresh());
  }

  /** Whether it was turned on in this browser, by anyone. */
  get isWanted(): boolean {
    return this.#browser.owner !== null;
  }

  /** Finds out the state. A subscription of this user is sent to the bridge again, which may have lost it. */
  refresh(): Promise<void> {
    return this.#exclusively(async () => {
      const { isSecure, isSupported } = this.#browser;
      if (!isSecure || !isSupported) return this.#show(null, null);
      const { readiness, publicKey } = await this.#api.push();
      if (readiness !== "ready" || this.#browser.permission === "denied") return this.#show(readiness, null);
      const manager = await this.#manager();
      const subscription = await manager.getSubscription();
      if (subscription !== null && this.#isOwn) await this.#subscribe(manager, subscription, publicKey);
      this.#show(readiness, subscription !== null);
    });
  }

  /** To be called from a press: asks for the permission, and subscribes. */
  enable(): Promise<void> {
    return this.#exclusively(async () => {
      const permission = await this.#browser.requestPermission();
      if (permission === "default") this.failure.value = { kind: "dismissed" };
      if (permission !== "granted") return this.#show("ready", permission === "denied" ? null : false);
      const { readiness, publicKey } = await this.#api.push();
      if (readiness !== "ready") return this.#show(readiness, null);
      const manager = await this.#manager();
      await this.#subscribe(manager, await manager.getSubscription(), publicKey);
      this.#browser.owner = this.#name;
      this.#show(readiness, true);
    });
  }

  /** The bridge is told as well; where that fails, the push service tells it that the subscription has ended. */
  disable(): Promise<void> {
    return this.#exclusively(async () => {
      await this.forget();
      const id = this.#id;
      this.#id = "";
      if (id) await this.#api.unsubscribePush(id).catch(() => undefined);
      this.#show("ready", false);
    });
  }

  /** Ends the subscription in this browser alone. Never rejects. */
  async forget(): Promise<void> {
    if (!this.isWanted || !this.#browser.isSupported) return;
    this.#browser.owner = null;
    await within(UNSUBSCRIBE_TIMEOUT_MS, this.#unsubscribe()).catch(() => undefined);
  }

  async #unsubscribe(): Promise<void> {
    const subscription = await (await this.#browser.manager()).getSubscription();
    await subscription?.unsubscribe();
  }

  /** A subscription of another user, or for another key, as after the bridge lost its own, is replaced. */
  async #subscribe(manager: PushManager, subscription: PushSubscription | null, publicKey: string): Promise<void> {
    const applicationServerKey = keyBytes(publicKey);
    let current = subscription;
    if (current !== null && !(this.#isOwn && isSameKey(current.options.applicationServerKey, applicationServerKey))) {
      await current.unsubscribe();
      current = null;
    }
    try {
      current ??= await manager.subscribe({ userVisibleOnly: true, applicationServerKey });
    } catch (error) {
      throw new SubscribeError(error);
    }
    try {
      this.#id = await this.#api.subscribePush(current.toJSON());
    } catch (error) {
      if (subscription !== current) await current.unsubscribe().catch(() => undefined); // not known to the bridge
      throw error;
    }
  }

  #manager(): Promise<PushManager> {
    return this.#browser.manager().catch((error: unknown) => Promise.reject(new SubscribeError(error)));
  }

  get #name(): string {
    return this.#user() ?? WITHOUT_LOGIN;
  }

  get #isOwn(): boolean {
    return this.#browser.owner === this.#name;
  }

  #show(readiness: PushStatus["readiness"] | null, isSubscribed: boolean | null): void {
    const { isSecure, isSupported, permission } = this.#browser;
    this.state.value = pushState({ isSecure, isSupported, permission, readiness, isSubscribed, isOwn: this.#isOwn });
  }

  async #exclusively(job: () => Promise<void>): Promise<void> {
    if (this.isBusy.peek()) return;
    batch(() => {
      this.isBusy.value = true;
      this.failure.value = null;
    });
    try {
      await job();
    } catch (error) {
      const isOfBrowser = error instanceof SubscribeError;
      this.failure.value = isOfBrowser ? { kind: "subscribe", error: error.cause } : { kind: "bridge", error };
      this.#show("ready", isOfBrowser ? false : null);
    } finally {
      this.isBusy.value = false;
    }
  }
}

class SubscribeError extends Error {
  constructor(cause: unknown) {
    super("not subscribed", { cause });
  }
}

function thisBrowser(): PushBrowser {
  let lastOwner = ""; // where localStorage is blocked
  return {
    isSecure: isSecureContext,
    isSupported: "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis,
    get permission() {
      return Notification.permission;
    },
    requestPermission: () => Notification.requestPermission(),
    manager: async () => (await within(WORKER_TIMEOUT_MS, navigator.serviceWorker.ready)).pushManager,
    get owner() {
      return (loadPreference(KEY) ?? lastOwner) || null;
    },
    set owner(name) {
      lastOwner = name ?? "";
      savePreference(KEY, lastOwner);
    },
    onPermissionChange: (listener) => {
      const query = navigator.permissions?.query({ name: "notifications" }); // not every browser knows the name
      query?.then((status) => status.addEventListener("change", listener)).catch(() => undefined);
    },
  };
}

/** Rejects after so many milliseconds. */
function within<Result>(milliseconds: number, job: Promise<Result>): Promise<Result> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${milliseconds / 1000} s`)), milliseconds);
  });
  return Promise.race([job, late]);
}
