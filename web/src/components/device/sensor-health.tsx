import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { t } from "../../i18n";
import { byNewestEnd } from "../../model/analysis/anomaly";
import type { Faults } from "../faults/fault-list";
import { FaultItems, FaultPaging } from "../faults/fault-list";

const RECENT = 3;

interface SensorHealthProps {
  readonly standing: Faults;
  readonly all: Faults;
}

/** The faults of the device's sensors that stand, and below them those that ended. Empty without any. */
export function SensorHealth({ standing, all }: SensorHealthProps): JSX.Element | null {
  const shown = useSignal(RECENT);
  const faults = standing.listed.value?.items ?? [];
  const ended = (all.listed.value?.items ?? []).filter(({ state }) => state !== "standing").sort(byNewestEnd);
  const more = ended.length - shown.value;
  if (faults.length === 0 && ended.length === 0 && standing.error.value === null) return null;
  return (
    <section class="panel sensor-health" id="sensor-health" aria-labelledby="sensor-health-title">
      <h2 id="sensor-health-title">{t("fault.title")}</h2>
      {faults.length === 0 && standing.listed.value !== null && <p class="muted">{t("fault.none")}</p>}
      <FaultItems faults={standing} items={faults} showsDevice={false} onMarked={() => all.refresh()} />
      <FaultPaging faults={standing} />
      {ended.length > 0 && (
        <>
          <h3 class="ended">{t("fault.ended")}</h3>
          <FaultItems faults={all} items={ended.slice(0, shown.value)} showsDevice={false} />
          {more > 0 && <button type="button" class="text-button" onClick={() => (shown.value = Number.POSITIVE_INFINITY)}>{t("alarms.more", { count: more })}</button>}
        </>
      )}
    </section>
  );
}
