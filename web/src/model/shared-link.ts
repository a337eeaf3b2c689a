/** Links that show a view without a login. Admins make and revoke them. */

import { field, list, text, time } from "./json";

export const DAYS = [1, 7, 30, 90, 365] as const;
export const DEFAULT_DAYS = 7;
/** The bridge limits a link to at most so many devices and sites. */
export const MAX_SCOPE_NAMES = 32;
export const MAX_TITLE_LENGTH = 100;
const MAX_VIEW_LENGTH = 1000;

export interface SharedLink {
  readonly id: string;
  readonly title: string;
  /** The fragment of the address. */
  readonly view: string;
  readonly devices: readonly string[];
  readonly sites: readonly string[];
  readonly createdAt: number | null;
  readonly expires: number | null;
  /** Who made it, such as `person:admin`. */
  readonly by: string;
}

export interface NewSharedLink {
  readonly title: string;
  readonly view: string;
  readonly devices: readonly string[];
  readonly sites: readonly string[];
  readonly days: number;
}

export interface LinkScope {
  readonly devices: readonly string[];
  readonly sites: readonly string[];
}

/** What a link must name to show these devices: the devices, or their sites if they are too many. Null if neither fits. */
export function scopeFor(devices: readonly { readonly id: string; readonly site: string }[]): LinkScope | null {
  if (devices.length === 0) return null;
  if (devices.length <= MAX_SCOPE_NAMES) return { devices: devices.map(({ id }) => id), sites: [] };
  const sites = [...new Set(devices.map(({ site }) => site))];
  return sites.includes("") || sites.length > MAX_SCOPE_NAMES ? null : { devices: [], sites };
}

export function parseSharedLinks(body: unknown): SharedLink[] {
  return list(field(body, "links")).flatMap((one) => {
    const id = text(field(one, "id"));
    const names = (kind: string): string[] => list(field(field(one, "scope"), kind)).map((name) => text(name)).filter(Boolean);
    if (!id) return [];
    const view = text(field(one, "view"), MAX_VIEW_LENGTH);
    return [{
      id,
      title: text(field(one, "title")),
      view: view.startsWith("#/") ? view : "#/",
      devices: names("devices"),
      sites: names("sites"),
      createdAt: time(field(one, "createdAt")),
      expires: time(field(one, "expires")),
      by: text(field(one, "by")),
    }];
  });
}
