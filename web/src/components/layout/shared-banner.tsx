import type { JSX } from "preact";

import type { AuthSession } from "../../auth/session";
import { formats, t } from "../../i18n";

/** Says that a shared link opened the page, and how long it works. */
export function SharedBanner({ session }: { session: AuthSession }): JSX.Element | null {
  const view = session.sharedView;
  if (view === null) return null;
  return (
    <div class="banner shared">
      <p><strong>{view.title}</strong> · {view.until !== null && t("shared.until", { time: formats.value.full(view.until) })}</p>
    </div>
  );
}
