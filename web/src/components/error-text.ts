import { t } from "../i18n";
import { Refusal } from "../api/client";

/** What went wrong, as a sentence: in the page's words where it is about who may do what, else in the bridge's. */
export function errorText(error: unknown): string {
  if (error instanceof Refusal && error.status === 403) return t("access.refused");
  return error instanceof Error ? error.message : String(error);
}
