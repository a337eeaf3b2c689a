import type { Me, Token } from "./identity";
import { parseMe, parseToken } from "./identity";
import { answered } from "../api/client";

const DEADLINE_MS = 10_000;

/** Logging in, staying, leaving: the calls. What opens doors stays in cookies, which no script reads. Refused, they throw. */
export class Auth {
  readonly #base: URL;

  constructor(base: URL) {
    this.#base = base;
  }

  /** Who we are, and the bridge's time when it said so. */
  async me(): Promise<{ readonly me: Me; readonly at: number }> {
    const response = await this.#fetch("GET", "me");
    const at = Date.parse(response.headers.get("Date") ?? "");
    return { me: parseMe(await answered(response)), at: Number.isNaN(at) ? Date.now() : at };
  }

  async login(username: string, password: string): Promise<Token> {
    return parseToken(await answered(await this.#fetch("POST", "login", { username, password })));
  }

  async setUp(token: string, password: string): Promise<Token> {
    return parseToken(await answered(await this.#fetch("POST", "setup", { token, password })));
  }

  async renew(): Promise<Token> {
    return parseToken(await answered(await this.#fetch("POST", "refresh", {})));
  }

  async logout(): Promise<void> {
    await answered(await this.#fetch("POST", "logout", {}));
  }

  #fetch(method: string, name: string, body?: unknown): Promise<Response> {
    return fetch(new URL(`auth/${name}`, this.#base), {
      method,
      cache: "no-store",
      signal: AbortSignal.timeout(DEADLINE_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
  }
}
