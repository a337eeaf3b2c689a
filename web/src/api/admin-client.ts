import type { Key, MadeKeys, NewKey, Person, Scope } from "../model/admin/accounts";
import { parseKey, parseKeys, parseMadeKeys, parsePeople, scopeBody } from "../model/admin/accounts";
import type { FormatProposals, Retention } from "../model/admin/storage";
import { parseProposals, parseRetention } from "../model/admin/storage";
import { field, number, text } from "../model/json";
import type { ApiClient } from "./client";

/** As long as the bridge needs at most to clear a full quarantine. */
const CLEAR_TIMEOUT_MS = 70_000;
const MAX_KEY_LENGTH = 200;

export interface CreatedKey {
  readonly key: Key;
  /** Shown once. */
  readonly secret: string;
}

export interface PersonChanges {
  readonly role?: string;
  readonly scope?: Scope;
  readonly password?: string;
  readonly disabled?: boolean;
}

/** Filters of rejected messages; none is all. */
export interface RejectedFilter {
  readonly code?: string;
  readonly field?: string;
  readonly source?: string;
  readonly id?: string;
}

/** What admins do. Every call throws `ApiError` when refused. */
export class AdminClient {
  readonly #api: ApiClient;

  constructor(api: ApiClient) {
    this.#api = api;
  }

  async people(): Promise<Person[]> {
    return parsePeople(await this.#api.send("GET", "api/v1/users"));
  }

  async addPerson(name: string, password: string, role: string, scope: Scope): Promise<void> {
    await this.#api.send("POST", "api/v1/users", { name, password, role, ...(scope === null ? {} : scopeBody(scope)) });
  }

  async changePerson(name: string, { scope, ...changes }: PersonChanges): Promise<MadeKeys> {
    const limits = changes.role === "admin" ? { channels: null } : {}; // an admin has none
    const body = { ...changes, ...limits, ...(scope === undefined ? {} : scopeBody(scope)) };
    return parseMadeKeys(await this.#api.send("PATCH", `api/v1/users/${encodeURIComponent(name)}`, body));
  }

  async removePerson(name: string): Promise<MadeKeys> {
    return parseMadeKeys(await this.#api.send("DELETE", `api/v1/users/${encodeURIComponent(name)}`));
  }

  async keys(): Promise<Key[]> {
    return parseKeys(await this.#api.send("GET", "api/v1/keys"));
  }

  async addKey({ name, isOfDevice, rights, scope, days }: NewKey): Promise<CreatedKey> {
    const limits = isOfDevice ? { device: true } : { rights, ...(scope === null ? {} : scopeBody(scope)) };
    return created(await this.#api.send("POST", "api/v1/keys", { name, ...limits, ...(days === null ? {} : { days }) }));
  }

  async rotateKey(id: string): Promise<CreatedKey> {
    return created(await this.#api.send("POST", `api/v1/keys/${encodeURIComponent(id)}/rotate`));
  }

  async revokeKey(id: string): Promise<void> {
    await this.#api.send("DELETE", `api/v1/keys/${encodeURIComponent(id)}`);
  }

  async removeDevice(id: string): Promise<void> {
    await this.#api.send("DELETE", `api/v1/devices/${encodeURIComponent(id)}`);
  }

  async addSubscription(body: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#api.send("POST", "api/v1/subscriptions", body);
  }

  async retention(): Promise<Retention> {
    return parseRetention(await this.#api.send("GET", "api/v1/retention"));
  }

  /** Returns how many were removed. */
  async clearQuarantine(filter: RejectedFilter): Promise<number> {
    const query = new URLSearchParams({ ...filter });
    if (query.size === 0) query.set("all", "true");
    return number(field(await this.#api.send("DELETE", `api/v1/rejected?${query}`, undefined, CLEAR_TIMEOUT_MS), "removed")) ?? 0;
  }

  async proposals(id: string): Promise<FormatProposals> {
    return parseProposals(await this.#api.send("GET", `api/v1/rejected/${encodeURIComponent(id)}/proposals`, undefined, CLEAR_TIMEOUT_MS));
  }
}

function created(body: unknown): CreatedKey {
  return { key: parseKey(body), secret: text(field(body, "key"), MAX_KEY_LENGTH) };
}
