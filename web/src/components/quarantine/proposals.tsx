import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { AdminClient } from "../../api/admin-client";
import { useApp, useStore } from "../../app/context";
import { fieldLabel, quantityText, t, valueText } from "../../i18n";
import type { FormatProposal, FormatProposals } from "../../model/admin/storage";
import { obstacleOf } from "../../model/admin/storage";
import { copyText } from "../clipboard";
import { Icon } from "../icon";
import { useAction } from "../use-action";

interface Props {
  readonly id: string;
  /** Retries the message. */
  readonly onApplied: () => Promise<void>;
}

/** How each format would read a rejected message, the best first: to be copied, or applied. */
export function ProposalPanel({ id, onApplied }: Props): JSX.Element {
  const { api } = useApp();
  const admin = useMemo(() => new AdminClient(api), [api]);
  const found = useSignal<FormatProposals | null>(null);
  const loading = useAction();
  const applying = useAction();
  useEffect(() => void loading.run(async () => (found.value = await admin.proposals(id))), [id]);
  const apply = ({ pattern, format, fields }: FormatProposal): Promise<boolean> =>
    applying.run(async () => {
      await admin.addSubscription({ pattern, format, ...(format === "mapping" ? { fields } : {}) });
      await onApplied();
    });
  if (loading.error.value) return <p class="error" role="alert">{loading.error.value}</p>;
  if (found.value === null) return <p class="muted" role="status">{t("app.loading")}</p>;
  const { proposals, unreadable, subscription } = found.value;
  const obstacle = obstacleOf(found.value);
  return (
    <div class="proposals" role="group" aria-label={t("quarantine.ask")}>
      {proposals.length === 0 && <p role="status">{t("quarantine.unreadable")}</p>}
      {applying.error.value && <p class="error" role="alert">{applying.error.value}</p>}
      {proposals.map((one) => (
        <Proposal key={`${one.format} ${one.pattern}`} proposal={one} isBusy={applying.isBusy.value} onApply={obstacle === null ? () => void apply(one) : null} />
      ))}
      {proposals.length > 0 && obstacle === "noTopic" && <p class="muted small">{t("quarantine.obstacle.noTopic")}</p>}
      {proposals.length > 0 && obstacle === "inFile" && <p class="muted small">{t("quarantine.obstacle.inFile", { pattern: subscription?.pattern ?? "" })}</p>}
      {proposals.length > 0 && obstacle === "stored" && <p class="muted small">{t("quarantine.obstacle.stored", { pattern: subscription?.pattern ?? "" })}</p>}
      {unreadable.length > 0 && (
        <details>
          <summary>{t("quarantine.others", { count: unreadable.length })}</summary>
          <ul>{unreadable.map(([format, reason]) => <li key={format}><strong>{format}</strong>: {reason}</li>)}</ul>
        </details>
      )}
    </div>
  );
}

interface ProposalProps {
  readonly proposal: FormatProposal;
  readonly isBusy: boolean;
  /** Null if it cannot be applied from here. */
  readonly onApply: (() => void) | null;
}

function Proposal({ proposal: { isBest, format, setting, readings, readingCount }, isBusy, onApply }: ProposalProps): JSX.Element {
  const { table } = useStore();
  const said = useSignal("");
  const copy = async (): Promise<void> => {
    said.value = t((await copyText(setting)) ? "tester.copied" : "feed.copyFailed");
  };
  const text = (name: string, value: number | boolean): string => {
    const measurement = table.value.find((one) => one.name === name);
    return measurement ? `${fieldLabel(measurement)} ${quantityText(value, name, measurement.unit)}` : `${name} ${valueText(value, name)}`;
  };
  return (
    <div class="proposal" data-best={isBest}>
      <p><strong>{format}</strong>{isBest && <span class="tag"><Icon name="check" />{t("quarantine.best")}</span>}</p>
      <ul>
        {readings.map(({ deviceId, values, notTaken }, index) => (
          <li key={`${deviceId} ${index}`}>
            <span class="code">{deviceId}</span>: {values.map(([name, value]) => text(name, value)).join(", ")}
            {notTaken.length > 0 && <p class="muted small">{t("quarantine.notTaken", { keys: notTaken.map(([key]) => key).join(", ") })}</p>}
          </li>
        ))}
        {readingCount > readings.length && <li class="muted">{t("device.more", { count: readingCount - readings.length })}</li>}
      </ul>
      <pre tabIndex={0} aria-label={t("quarantine.setting")}>{setting}</pre>
      <div class="buttons">
        <button type="button" onClick={() => void copy()}><Icon name="copy" />{t("tester.copy")}</button>
        {onApply && <button type="button" class="primary" disabled={isBusy} onClick={onApply}>{t("quarantine.apply")}</button>}
        <span class="small" role="status">{said.value}</span>
      </div>
    </div>
  );
}
