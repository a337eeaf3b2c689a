/** Whether readings flow, judged by the rhythm of the devices that send them. */

/** A device as far as its rhythm is concerned. */
export interface Sender {
  /** When the bridge received a reading of it last; null before the first. */
  readonly receivedAt: number | null;
  /** The expected or learned time between readings; null when unknown. */
  readonly intervalMs: number | null;
}

/**
 * `none`: no device has ever sent. `quiet`: nothing has arrived for a while, and no device has a rhythm by which something should.
 * `silent`: something should have arrived. `since` is when the newest reading was received.
 */
export type DataFlow = { readonly kind: "none" } | { readonly kind: "flowing" } | { readonly kind: "quiet" | "silent"; readonly since: number };

const MISSED_INTERVALS = 3;
/** A shorter silence worries nobody, whatever the rhythm. */
export const MIN_SILENCE_MS = 60_000;
/** Without any rhythm, data this old is no longer called flowing. */
export const QUIET_AFTER_MS = 10 * 60_000;

/**
 * Data is silent when nothing has been received since the newest reading although most of the devices that were sending then, and
 * have a rhythm, have missed three of their intervals, or a minute if that is longer. So neither one device that fails nor a
 * fleet that sends once an hour counts as silence, and devices that failed long ago have no say.
 */
export function dataFlow(senders: Iterable<Sender>, now: number): DataFlow {
  const heard = [...senders].flatMap(({ receivedAt, intervalMs }) => (receivedAt === null ? [] : [{ at: Math.min(receivedAt, now), intervalMs }]));
  if (heard.length === 0) return { kind: "none" };
  const since = heard.reduce((newest, { at }) => Math.max(newest, at), 0);
  const rhythmic = heard.flatMap(({ at, intervalMs }) => (intervalMs === null ? [] : [at + Math.max(MISSED_INTERVALS * intervalMs, MIN_SILENCE_MS)]));
  const due = rhythmic.filter((deadline) => deadline >= since);
  if (due.length === 0) return now - since > QUIET_AFTER_MS ? { kind: "quiet", since } : { kind: "flowing" };
  const overdue = due.filter((deadline) => deadline < now);
  return overdue.length * 2 > due.length ? { kind: "silent", since } : { kind: "flowing" };
}
