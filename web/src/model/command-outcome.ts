import { parseRoute } from "./route";

const REFUSALS = ["missing", "offline", "unknown", "invalid", "full", "unavailable"] as const;
export type Refusal = (typeof REFUSALS)[number];

/** What became of a command that was sent by form, as the bridge's redirect says in the address of the page. */
export type CommandOutcome = { readonly kind: "sent"; readonly device: string; readonly id: string } | { readonly kind: "refused"; readonly reason: Refusal };

/** `search` and `hash` are those of the address. The command itself is loaded by its id: an address may say anything. */
export function parseOutcome(search: string, hash: string): CommandOutcome | null {
  const query = new URLSearchParams(search);
  const route = parseRoute(hash);
  const id = query.get("sent");
  if (id && route.page === "device") return { kind: "sent", device: route.id, id };
  const reason = REFUSALS.find((one) => one === query.get("refused"));
  return reason === undefined ? null : { kind: "refused", reason };
}
