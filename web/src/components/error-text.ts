import { ApiError } from "../api/client";
import { t } from "../i18n";
import { reasonText } from "../i18n/reason-text";

/** The page's own text for missing permissions, else the bridge's, by key where it has keys. */
export function errorText(error: unknown): string {
  if (error instanceof ApiError && error.status === 403) return t("auth.forbidden");
  if (error instanceof ApiError && error.reasons.length > 0) return error.reasons.map(reasonText).join("; ");
  return error instanceof Error ? error.message : String(error);
}
