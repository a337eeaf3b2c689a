/** The words of advice, from the key and the numbers that the bridge sends; of a key that this page does not know, the bridge's own. */

import type { Advice } from "../model/analysis/advice";
import type { Measurement } from "../model/wire";
import { sentText, t } from ".";
import { fieldName, sentence } from "./sentence";

/** What to do, and why. */
export function tipText(advice: Advice, table: readonly Measurement[]): string {
  const { key, field, parameters, message } = advice;
  const template = sentText(key);
  return (template && sentence(template, advice, { field: fieldName(field, table) }, parameters)) || message;
}

/** Whose limit it is; null for a limit of one's own. */
export function sourceText({ standard }: Advice): string | null {
  const source = standard === null ? null : sentText(standard);
  return source === null ? null : t("advice.source", { source });
}
