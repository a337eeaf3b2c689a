import { ApiError } from "../api/client";
import { t } from "../i18n";

/** The page's own text for missing permissions, else the bridge's. */
export function errorText(error: unknown): string {
  if (error instanceof ApiError && error.status === 403) return t("auth.forbidden");
  return error instanceof Error ? error.message : String(error);
}
