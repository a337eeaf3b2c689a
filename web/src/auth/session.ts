import { signal } from "@preact/signals";

import { ApiError } from "../api/client";
import { field, text } from "../model/json";
import { AuthApi } from "./auth-api";
import type { AccessToken, Identity, Permission, SessionEnd, SetupLink, SharedView } from "./identity";
import { MISSING_TOKEN, SESSION_ENDS, renewalDelay, sessionEndReason, setupLinkIn, sharedLinkIn } from "./identity";
import { withSessionLock } from "./session-lock";
import type { TabMessage } from "./tab-channel";
import { TabChannel } from "./tab-channel";

const RETRY_MS = 2000;
const RENEWAL_RETRY_MS = 10_000;
/** The bridge and cookies count lifetimes in whole seconds. */
const ROUNDING_MS = 2000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The login succeeded, but the browser did not keep its cookies. */
export class CookiesBlockedError extends Error {}

/** Whether the page may be shown, and to whom. */
export type AuthState =
  | { readonly kind: "checking" }
  /** The bridge does not respond, or cannot check credentials. */
  | { readonly kind: "unavailable" }
  /** The bridge requires no authentication. */
  | { readonly kind: "open" }
  | { readonly kind: "loggedIn"; readonly identity: Identity }
  /** Opened by a shared link, without a login. */
  | { readonly kind: "shared"; readonly view: SharedView }
  /** The link in the address has expired, was revoked, or never was one. */
  | { readonly kind: "linkEnded"; readonly hasExpired: boolean }
  /** `reason` is null without an earlier session. */
  | { readonly kind: "loggedOut"; readonly reason: SessionEnd | null }
  /** Opened by the setup link, while there is no user yet. */
  | { readonly kind: "setup"; readonly link: SetupLink };

/** The user's session: checks it, logs in and out, renews it before it expires, and ends it when the bridge revokes it. */
export class AuthSession {
  readonly state = signal<AuthState>({ kind: "checking" });
  readonly #api: AuthApi;
  readonly #tabs: TabChannel;
  readonly #tokenListeners = new Set<(token: AccessToken) => void>();
  /** Called when the user has logged out in this tab, before the page is loaded again. */
  onLogout: () => Promise<void> = () => Promise.resolve();
  #token: AccessToken | null = null;
  #lifetimeMs = 0;
  /** By this browser's clock. */
  #expiresAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reauthenticating: Promise<boolean> | null = null;
  /** The token of the shared link in the address. */
  readonly #link = sharedLinkIn(location.hash);

  constructor(base: URL) {
    this.#api = new AuthApi(base);
    this.#tabs = new TabChannel(base, (message) => this.#onMessage(message));
    addEventListener("hashchange", () => {
      const link = sharedLinkIn(location.hash);
      if (link !== null && link !== this.#link) location.reload();
      this.#useSetupLink();
    });
  }

  /** Resolves once the bridge has answered who is logged in. */
  async start(): Promise<void> {
    while (this.state.peek().kind === "checking" || this.state.peek().kind === "unavailable") {
      try {
        await (this.#link === null ? this.#loadIdentity() : this.#openLink(this.#link));
      } catch (error) {
        if (error instanceof ApiError && error.status === 401 && this.#link === null) await this.#restore(error.code);
        else this.state.value = { kind: "unavailable" };
      }
      this.#useSetupLink();
      if (this.state.peek().kind === "unavailable") await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  can(permission: Permission): boolean {
    const state = this.state.value;
    if (state.kind === "shared") return permission === "see";
    return state.kind === "open" || (state.kind === "loggedIn" && state.identity.permissions.has(permission));
  }

  /** Null without a login. */
  get userName(): string | null {
    const state = this.state.value;
    return state.kind === "loggedIn" ? state.identity.name : null;
  }

  /** Null unless a shared link opened the page. */
  get sharedView(): SharedView | null {
    const state = this.state.value;
    return state.kind === "shared" ? state.view : null;
  }

  /** For requests that must not use the cookie: it may be of a user who has opened a shared link. */
  get bearer(): string | null {
    return this.state.peek().kind === "shared" ? this.token ?? "" : null;
  }

  /** Required for data that is not tied to a device. */
  get seesAllDevices(): boolean {
    const state = this.state.value;
    return state.kind === "open" || (state.kind === "loggedIn" && !state.identity.restricted);
  }

  /** For connections on which the browser sends no cookie; null without a valid token. */
  get token(): string | null {
    return this.#token !== null && Date.now() < this.#expiresAt ? this.#token.text : null;
  }

  /** Throws `ApiError` and `CookiesBlockedError`. */
  async login(name: string, password: string): Promise<void> {
    await this.#completeLogin(await this.#api.login(name, password));
  }

  /** Throws `ApiError` and `CookiesBlockedError`. */
  async setUp(token: string, password: string): Promise<void> {
    await this.#completeLogin(await this.#api.setUp(token, password));
    history.replaceState(null, "");
  }

  discardSetupLink(): void {
    history.replaceState(null, "");
    this.state.value = { kind: "loggedOut", reason: null };
  }

  /** Throws when the bridge does not respond; the session then continues. */
  async logout(): Promise<void> {
    await this.#api.logout();
    this.#tabs.send({ kind: "loggedOut" });
    await this.onLogout();
    this.#end("logout");
  }

  /** Throws `ApiError`; this session continues. */
  async changePassword(current: string, changed: string): Promise<void> {
    await this.#api.changePassword(current, changed);
  }

  /** Calls `listener` with every new token, to be used on open connections. */
  onToken(listener: (token: AccessToken) => void): void {
    this.#tokenListeners.add(listener);
  }

  /** The bridge warned a connection. Ignored for a token that was just renewed and simply has a short lifetime. */
  onExpiring(seconds: number): void {
    if (seconds * 1000 <= this.#lifetimeMs / 2) void this.reauthenticate();
  }

  /** The credentials were refused or expire soon. True if they are valid again; otherwise the session ends. */
  reauthenticate(): Promise<boolean> {
    this.#reauthenticating ??= this.#reauthenticate().finally(() => (this.#reauthenticating = null));
    return this.#reauthenticating;
  }

  async #reauthenticate(): Promise<boolean> {
    const { kind } = this.state.peek();
    if (kind === "open") this.#end(null); // authentication has become required
    if (kind === "shared" && this.#link !== null) return this.#renewLink(this.#link);
    if (kind !== "loggedIn") return false;
    const before = this.#token;
    try {
      return await withSessionLock(async () => this.#token !== before || (await this.#renew()));
    } catch {
      this.#scheduleRenewal(RENEWAL_RETRY_MS);
      return false;
    }
  }

  /** While access is open there are no shared links, and everything is shown. Throws when the bridge cannot tell at the moment. */
  async #openLink(link: string): Promise<void> {
    try {
      const { view, token } = await this.#api.openLink(link);
      this.state.value = { kind: "shared", view };
      this.#setToken(token);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 403) await this.#loadIdentity();
      else if (error.status === 400 || error.status === 401) this.state.value = { kind: "linkEnded", hasExpired: error.code === "expired" };
      else throw error;
    }
  }

  async #renewLink(link: string): Promise<boolean> {
    try {
      this.#setToken((await this.#api.openLink(link)).token);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.#end(null);
      else this.#scheduleRenewal(RENEWAL_RETRY_MS);
      return false;
    }
  }

  /** Throws when the bridge cannot tell at the moment. */
  async #renew(): Promise<boolean> {
    try {
      const token = await this.#api.refresh();
      this.#setToken(token);
      const state = this.state.peek();
      if (state.kind === "loggedIn") this.#tabs.send({ kind: "renewed", name: state.identity.name, token });
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      return this.#checkAccessToken(error.code);
    }
  }

  /** The refresh token was refused; the access token may still be valid for a while. */
  async #checkAccessToken(refreshCode: string): Promise<boolean> {
    const hasExpired = Date.now() >= this.#expiresAt - ROUNDING_MS;
    try {
      await this.#loadIdentity();
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      this.#end(sessionEndReason(error.code, refreshCode, hasExpired));
      return false;
    }
  }

  /** The access token was refused; tries the refresh token, else requires a login. */
  async #restore(accessCode: string): Promise<void> {
    try {
      this.#setToken(await withSessionLock(() => this.#api.refresh()));
      await this.#loadIdentity();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500) {
        this.state.value = { kind: "unavailable" };
        return;
      }
      const isFirstVisit = accessCode === MISSING_TOKEN && (error.status !== 401 || error.code === MISSING_TOKEN);
      const reason = takeStoredReason() ?? (isFirstVisit ? null : sessionEndReason(accessCode, error.code, false));
      this.state.value = { kind: "loggedOut", reason };
    }
  }

  async #loadIdentity(): Promise<void> {
    const { identity, at } = await this.#api.me();
    const state = this.state.peek();
    if (state.kind === "loggedIn" && state.identity.name !== identity.name) {
      this.#end(null); // another user logged in, in another tab
      return;
    }
    this.state.value = identity.required ? { kind: "loggedIn", identity } : { kind: "open" };
    takeStoredReason();
    if (identity.required && identity.expires !== null) this.#setLifetime(identity.expires - at);
  }

  async #completeLogin(token: AccessToken): Promise<void> {
    this.#setToken(token);
    await this.#loadIdentity().catch((error: unknown) => {
      throw error instanceof ApiError && error.status === 401 ? new CookiesBlockedError() : error;
    });
    this.#tabs.send({ kind: "loggedIn" });
  }

  #setToken(token: AccessToken): void {
    this.#token = token;
    this.#setLifetime(token.seconds * 1000);
    for (const listener of this.#tokenListeners) listener(token);
  }

  #setLifetime(milliseconds: number): void {
    this.#lifetimeMs = milliseconds;
    this.#expiresAt = Date.now() + milliseconds;
    this.#scheduleRenewal(renewalDelay(milliseconds, Math.random()));
  }

  #scheduleRenewal(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.reauthenticate(), Math.min(milliseconds, MAX_TIMER_MS));
  }

  #onMessage(message: TabMessage): void {
    const state = this.state.peek();
    if (message.kind === "renewed" && state.kind === "loggedIn" && state.identity.name === message.name) this.#setToken(message.token);
    else if (message.kind === "loggedOut" && state.kind === "loggedIn") this.#end("logout");
    else if (message.kind === "loggedIn" && (state.kind === "loggedOut" || state.kind === "loggedIn")) {
      void this.#loadIdentity().catch(() => undefined);
    }
  }

  /** Reloads, so that no data of this session stays in memory. The next load shows the reason. */
  #end(reason: SessionEnd | null): void {
    clearTimeout(this.#timer);
    history.replaceState({ reason }, "");
    this.state.value = { kind: "checking" };
    location.reload();
  }

  /** Removes the token from the address, and keeps it in the history's state: the form survives a reload. */
  #useSetupLink(): void {
    const { kind } = this.state.peek();
    if (kind === "checking" || kind === "unavailable") return;
    const inAddress = setupLinkIn(location.hash);
    const link = kind === "loggedOut" ? inAddress ?? storedSetupLink() : null;
    if (inAddress) history.replaceState(link && { setup: link }, "", "#/");
    if (link) this.state.value = { kind: "setup", link };
  }
}

function storedSetupLink(): SetupLink | null {
  const link = field(history.state, "setup");
  const token = text(field(link, "token"));
  return token ? { token, userName: text(field(link, "userName")) } : null;
}

/** The reason stored by `#end` before the reload; removed, so that it is shown once. */
function takeStoredReason(): SessionEnd | null {
  const state: unknown = history.state;
  const isStored = typeof state === "object" && state !== null && "reason" in state;
  const reason = isStored ? SESSION_ENDS.find((one) => one === state.reason) : undefined;
  if (reason !== undefined) history.replaceState(null, "");
  return reason ?? null;
}
