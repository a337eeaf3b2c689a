/** The words of a sensor's fault, from the key and the numbers that the bridge sends; of a key that this page does not know, the bridge's own. */

import type { Anomaly } from "../model/analysis/anomaly";
import { shown } from "../model/units";
import type { Measurement } from "../model/wire";
import { differenceText, formats, boundText, sentText, t } from ".";
import { fieldName, sentence } from "./sentence";
import { shownAs } from "./units";

/** What is wrong, in a sentence. `neighbour` is the name of the neighbour. */
export function faultText(anomaly: Anomaly, table: readonly Measurement[], neighbour: string): string {
  const template = sentText(anomaly.key);
  const label = (name: string): string => fieldName(name, table);
  const words = { field: label(anomaly.field), fields: formats.value.list(anomaly.fields.map(label)), neighbour };
  return (template && sentence(template, anomaly, words, anomaly.parameters)) || anomaly.message || anomaly.key;
}

/** A kind that this page does not know has none. */
export function kindText({ kind }: Anomaly): string | null {
  return kind === null ? null : t(`fault.kind.${kind}`);
}

/** How it ended; null while it stands. */
export function endText({ state, outcome, markedBy }: Anomaly): string | null {
  if (state === "standing") return null;
  if (state === "wrong") return markedBy === null ? t("fault.state.wrong") : t("fault.state.wrongBy", { name: markedBy });
  return t(outcome === "accepted" ? "fault.state.accepted" : "fault.state.ended");
}

/** The limit by which it was found; null where the bridge has sent none. */
export function limitText({ kind, key, parameters, field, unit }: Anomaly): string | null {
  const has = (...names: string[]): boolean => names.every((name) => parameters.has(name));
  const figure = (name: string): string => formats.value.number(parameters.get(name) ?? 0);
  if (has("limitHours", "longestHours")) return t("fault.limit.still", { hours: figure("limitHours"), longest: figure("longestHours") });
  if (kind === "saturated" && has("minutes", "readings")) return t("fault.limit.saturated", { minutes: figure("minutes"), readings: figure("readings") });
  if (kind === "spike" && has("limit")) return t("fault.limit.spike", { limit: figure("limit") });
  if (kind === "drift" && has("limit", "sum")) return t("fault.limit.drift", { limit: figure("limit"), sum: figure("sum") });
  if ((kind === "step" || key === "anomaly.crossJump") && has("natural")) return t("fault.limit.jump", { natural: differenceText(parameters.get("natural") ?? 0, field, unit) });
  return has("low", "high") ? t("fault.limit.range", { low: formats.value.number(shown(parameters.get("low") ?? 0, shownAs(field, unit))), high: boundText(parameters.get("high") ?? 0, field, unit) }) : null;
}
