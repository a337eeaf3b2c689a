import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { AdminClient } from "../../api/admin-client";
import { useApp } from "../../app/context";
import { Cell, Records } from "../../components/admin/records";
import { useAction } from "../../components/use-action";
import { formats, t } from "../../i18n";
import type { HeldKind, Retention } from "../../model/admin/storage";

/** What the store holds, and for how long. It is changed in the settings. */
export function RetentionPage(): JSX.Element {
  const { api } = useApp();
  const admin = useMemo(() => new AdminClient(api), [api]);
  const retention = useSignal<Retention | null>(null);
  const { error, run } = useAction();
  useEffect(() => void run(async () => (retention.value = await admin.retention())), []);
  if (error.value) return <p class="error" role="alert">{error.value}</p>;
  if (retention.value === null) return <p class="waiting">{t("app.loading")}</p>;
  const { kinds, sizeBytes, store } = retention.value;
  return (
    <>
      <div class="intro"><p class="muted">{t("retention.intro")}</p></div>
      {sizeBytes !== null && <p class="size"><strong>{formats.value.bytes(sizeBytes)}</strong> <span class="muted">{t("retention.size", { store })}</span></p>}
      <Records label={t("admin.tab.retention")} columns={[t("retention.what"), t("retention.count"), t("retention.oldest"), t("retention.kept"), t("retention.limit"), t("retention.setting")]}>
        {kinds.map((one) => <Row key={one.kind} kind={one} />)}
      </Records>
      <p class="muted small">{t("retention.change")}</p>
    </>
  );
}

function Row({ kind: { kind, count, oldest, days, limit, settings } }: { readonly kind: HeldKind }): JSX.Element {
  return (
    <tr role="row">
      <Cell name={t("retention.what")} class="name"><strong>{t(`retention.${kind}`)}</strong></Cell>
      <Cell name={t("retention.count")} class="figure">{count === null ? t("value.none") : formats.value.count(count)}</Cell>
      <Cell name={t("retention.oldest")}>{oldest === null ? t("value.none") : formats.value.day(oldest)}</Cell>
      <Cell name={t("retention.kept")}>{days === null ? t(limit === null ? "retention.forever" : "value.none") : t("keys.days", { count: days })}</Cell>
      <Cell name={t("retention.limit")} class="figure">{limit === null ? t("value.none") : formats.value.count(limit)}</Cell>
      <Cell name={t("retention.setting")} class="code">{settings.map((one) => <span key={one}>{one}</span>)}</Cell>
    </tr>
  );
}
