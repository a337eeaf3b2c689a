/** What is wrong with the bridge, and what to do, in words. */

import type { Finding } from "../model/bridge/health";
import { t } from ".";
import { reasonOf } from "./reason-text";

export function findingText(finding: Finding): string {
  switch (finding.kind) {
    case "unreachable":
    case "noData":
    case "broker":
    case "store":
      return t(`finding.${finding.kind}`);
    case "component":
      return t("finding.component", { name: finding.name });
    case "ledger":
      return t("finding.ledger", { source: finding.source, difference: finding.difference });
    case "rejected":
      return t("finding.rejected", { reason: reasonOf(finding) });
    default:
      return t(`finding.${finding.kind}`, { count: finding.count });
  }
}

/** Why, in the words of the bridge where it knows more; empty where the text says all. */
export function findingReason(finding: Finding): string {
  if (finding.kind === "noData") return t("finding.noData.reason");
  return finding.kind === "broker" || finding.kind === "store" || finding.kind === "component" ? reasonOf(finding) : "";
}

export function findingAction({ kind }: Finding): string {
  return t(`finding.${kind}.action`);
}

/** When it began; null when unknown, or when it has no beginning. */
export function findingSince(finding: Finding): number | null {
  return "since" in finding ? finding.since : null;
}
