import { signal } from "@preact/signals";

import type { Left, Me, Right, Token } from "./identity";
import { LEFT, MISSING, renewAfter, setupIn, whyLeft } from "./identity";
import { Auth } from "./auth-api";
import { Refusal } from "../api/client";
import { inTurn } from "./session-lock";
import type { Said } from "./tab-channel";
import { Windows } from "./tab-channel";

const ASK_AGAIN_MS = 2000;
/** The bridge counts the life of a token in whole seconds, and so do cookies. */
const ROUGHLY_MS = 2000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Somebody logged in, and the browser kept nothing of it. */
export class Forgotten extends Error {}

/** Whether the page may be drawn, and for whom. */
export type Door =
  | { readonly kind: "asking" }
  /** The bridge does not answer, or cannot tell. */
  | { readonly kind: "silent" }
  /** Whoever comes may do everything. */
  | { readonly kind: "open" }
  | { readonly kind: "in"; readonly me: Me }
  /** Who was in is told why he is not any more. */
  | { readonly kind: "out"; readonly left: Left | null }
  /** There is no user yet, and somebody came by the link that makes the first. */
  | { readonly kind: "setup"; readonly secret: string };

/** Who looks, and that he may go on looking: asks, logs in, renews before time is over, and leaves when the bridge says so. */
export class Access {
  readonly door = signal<Door>({ kind: "asking" });
  readonly #auth: Auth;
  readonly #windows: Windows;
  readonly #hearing = new Set<(token: Token) => void>();
  #token: Token | null = null;
  /** How long the token was good when it came, and until when, by our clock. */
  #length = 0;
  #until = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #admitting: Promise<boolean> | null = null;

  constructor(base: URL) {
    this.#auth = new Auth(base);
    this.#windows = new Windows(base, (said) => this.#hear(said));
    addEventListener("hashchange", () => this.#setUpByLink());
  }

  /** Until the bridge has said who we are. */
  async begin(): Promise<void> {
    while (this.door.peek().kind === "asking" || this.door.peek().kind === "silent") {
      try {
        await this.#learn();
      } catch (error) {
        if (error instanceof Refusal && error.status === 401) await this.#comeBack(error.code);
        else this.door.value = { kind: "silent" };
      }
      if (this.door.peek().kind === "silent") await new Promise((rested) => setTimeout(rested, ASK_AGAIN_MS));
    }
  }

  may(right: Right): boolean {
    const door = this.door.value;
    return door.kind === "open" || (door.kind === "in" && door.me.rights.has(right));
  }

  /** Of all devices: what tells of some without naming them is for those who see all. */
  get mayAll(): boolean {
    const door = this.door.value;
    return door.kind === "open" || (door.kind === "in" && !door.me.bounded);
  }

  /** To be shown where a browser sends no cookie along; null where nobody needs to. */
  get token(): string | null {
    return this.#token !== null && Date.now() < this.#until ? this.#token.text : null;
  }

  /** Throws `Refusal` and `Forgotten`. */
  async login(name: string, password: string): Promise<void> {
    await this.#enter(await this.#auth.login(name, password));
  }

  /** Throws `Refusal` and `Forgotten`. */
  async setUp(secret: string, password: string): Promise<void> {
    await this.#enter(await this.#auth.setUp(secret, password));
  }

  /** The link is of no use any more. */
  forgetLink(): void {
    this.door.value = { kind: "out", left: null };
  }

  /** Throws where the bridge does not answer: then nobody is logged out. */
  async logout(): Promise<void> {
    await this.#auth.logout();
    this.#windows.say({ kind: "out" });
    this.#leave("out");
  }

  /** Calls with every token that is newer, for connections that are open. */
  onToken(hear: (token: Token) => void): void {
    this.#hearing.add(hear);
  }

  /** The bridge warned a connection; whoever has just renewed was warned of what is short by nature. */
  expiring(seconds: number): void {
    if (seconds * 1000 <= this.#length / 2) void this.admit();
  }

  /** The bridge does not know us, or will not for long: whether it does now. If it does not, this page is left. */
  admit(): Promise<boolean> {
    this.#admitting ??= this.#admit().finally(() => (this.#admitting = null));
    return this.#admitting;
  }

  async #admit(): Promise<boolean> {
    const { kind } = this.door.peek();
    if (kind === "open") this.#leave(null); // it is not any more
    if (kind !== "in") return false;
    const before = this.#token;
    try {
      return await inTurn(async () => this.#token !== before || (await this.#renew()));
    } catch {
      this.#renewAfter(ASK_AGAIN_MS * 5);
      return false;
    }
  }

  /** Throws where nobody can tell at the moment. */
  async #renew(): Promise<boolean> {
    try {
      const token = await this.#auth.renew();
      this.#take(token);
      const door = this.door.peek();
      if (door.kind === "in") this.#windows.say({ kind: "renewed", name: door.me.name, token });
      return true;
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      return this.#stay(error.code);
    }
  }

  /** What renews was refused; what we show may be good nevertheless, for a while. */
  async #stay(renewal: string): Promise<boolean> {
    const isOver = Date.now() >= this.#until - ROUGHLY_MS;
    try {
      await this.#learn();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      this.#leave(whyLeft(error.code, renewal, isOver));
      return false;
    }
  }

  /** Nobody by the token; perhaps by what renews it. Else somebody has to log in. */
  async #comeBack(code: string): Promise<void> {
    try {
      this.#take(await inTurn(() => this.#auth.renew()));
      await this.#learn();
    } catch (error) {
      if (!(error instanceof Refusal) || error.status >= 500) {
        this.door.value = { kind: "silent" };
        return;
      }
      const isNew = code === MISSING && (error.status !== 401 || error.code === MISSING);
      this.door.value = { kind: "out", left: leftBefore() ?? (isNew ? null : whyLeft(code, error.code, false)) };
      this.#setUpByLink();
    }
  }

  async #learn(): Promise<void> {
    const { me, at } = await this.#auth.me();
    const door = this.door.peek();
    if (door.kind === "in" && door.me.name !== me.name) {
      this.#leave(null); // somebody else logged in, in another window
      return;
    }
    this.door.value = me.required ? { kind: "in", me } : { kind: "open" };
    leftBefore();
    if (me.required && me.expires !== null) this.#last(me.expires - at);
  }

  async #enter(token: Token): Promise<void> {
    this.#take(token);
    await this.#learn().catch((error: unknown) => {
      throw error instanceof Refusal && error.status === 401 ? new Forgotten() : error;
    });
    this.#windows.say({ kind: "in" });
  }

  #take(token: Token): void {
    this.#token = token;
    this.#last(token.seconds * 1000);
    for (const hear of this.#hearing) hear(token);
  }

  #last(milliseconds: number): void {
    this.#length = milliseconds;
    this.#until = Date.now() + milliseconds;
    this.#renewAfter(renewAfter(milliseconds, Math.random()));
  }

  #renewAfter(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.admit(), Math.min(milliseconds, LONGEST_TIMER_MS));
  }

  #hear(said: Said): void {
    const door = this.door.peek();
    if (said.kind === "renewed" && door.kind === "in" && door.me.name === said.name) this.#take(said.token);
    else if (said.kind === "out" && door.kind === "in") this.#leave("out");
    else if (said.kind === "in" && (door.kind === "out" || door.kind === "in")) void this.#learn().catch(() => undefined);
  }

  /** All that this page knows goes with it; why is told by the next. */
  #leave(left: Left | null): void {
    clearTimeout(this.#timer);
    history.replaceState({ left }, "");
    this.door.value = { kind: "asking" };
    location.reload();
  }

  /** The link's secret does not stay in the address. */
  #setUpByLink(): void {
    const secret = setupIn(location.hash);
    if (secret === null || this.door.peek().kind !== "out") return;
    history.replaceState(null, "", "#/");
    this.door.value = { kind: "setup", secret };
  }
}

/** Said once. */
function leftBefore(): Left | null {
  const state: unknown = history.state;
  const left = typeof state === "object" && state !== null && "left" in state ? LEFT.find((one) => one === state.left) : undefined;
  if (left !== undefined) history.replaceState(null, "");
  return left ?? null;
}
