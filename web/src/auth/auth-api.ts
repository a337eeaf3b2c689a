import { readJson } from "../api/client";
import type { AccessToken, Identity, SharedView } from "./identity";
import { parseIdentity, parseSharedView, parseToken } from "./identity";

const TIMEOUT_MS = 10_000;

/** The calls under `/auth`. The session's cookies are not readable by scripts. Every call throws `ApiError` when refused. */
export class AuthApi {
  readonly #base: URL;

  constructor(base: URL) {
    this.#base = base;
  }

  /** The identity of this browser, and the bridge's time. */
  async me(): Promise<{ readonly identity: Identity; readonly at: number }> {
    const response = await this.#fetch("GET", "me");
    const at = Date.parse(response.headers.get("Date") ?? "");
    return { identity: parseIdentity(await readJson(response)), at: Number.isNaN(at) ? Date.now() : at };
  }

  async login(username: string, password: string): Promise<AccessToken> {
    return parseToken(await readJson(await this.#fetch("POST", "login", { username, password })));
  }

  /** Creates the first admin with the one-time token of the setup link. */
  async setUp(token: string, password: string): Promise<AccessToken> {
    return parseToken(await readJson(await this.#fetch("POST", "setup", { token, password })));
  }

  async refresh(): Promise<AccessToken> {
    return parseToken(await readJson(await this.#fetch("POST", "refresh", {})));
  }

  /** Exchanges the token of a shared link. */
  async openLink(token: string): Promise<{ readonly view: SharedView; readonly token: AccessToken }> {
    const body = await readJson(await this.#fetch("POST", "link", { token }));
    return { view: parseSharedView(body), token: parseToken(body) };
  }

  async logout(): Promise<void> {
    await readJson(await this.#fetch("POST", "logout", {}));
  }

  /** Changes the user's own password. Their other sessions end. */
  async changePassword(current: string, changed: string): Promise<void> {
    await readJson(await this.#fetch("POST", "password", { current, new: changed }));
  }

  #fetch(method: string, name: string, body?: unknown): Promise<Response> {
    return fetch(new URL(`auth/${name}`, this.#base), {
      method,
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
  }
}
