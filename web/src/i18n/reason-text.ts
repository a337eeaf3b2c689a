/** The words of a reason: in the language of the page by its key; of a key that this page does not know, the bridge's own. */

import type { Cause, Reason } from "../model/reason";
import { fieldLabel, flagText, sentText, t } from ".";

export function reasonText({ text, cause }: Reason): string {
  const template = cause === undefined ? null : sentText(`reason.${cause.key}`);
  if (cause === undefined || template === null) return text;
  let isComplete = true;
  const said = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = cause.parameters.get(name);
    isComplete &&= value !== undefined;
    if (value === undefined) return "";
    if (typeof value !== "string") return reasonText(value);
    return name === "faults" ? faultsText(value) : value;
  });
  return isComplete ? said : text;
}

/** Of something that has a reason, with its cause beside it. */
export function reasonOf({ reason, cause }: { readonly reason: string; readonly cause?: Cause }): string {
  return reasonText({ text: reason, ...(cause ? { cause } : {}) });
}

export function errorOf({ error, cause }: { readonly error: string | null; readonly cause?: Cause }): string {
  return reasonText({ text: error ?? "", ...(cause ? { cause } : {}) });
}

/** Faults of fields, as "co2 is not a number, humidity is outside -5..105". */
function faultsText(faults: string): string {
  const one = (fault: string): string => {
    const [, name = "", flag = ""] = /^(\w+) is (.+)$/s.exec(fault) ?? [];
    if (!name) return fault;
    const measurement = { name, label: name, unit: "", low: null, high: null };
    return t("issue.quality", { field: fieldLabel(measurement), flag: flagText(flag, name) });
  };
  return faults.split(/, (?=\w+ is )/).map(one).join(", ");
}
