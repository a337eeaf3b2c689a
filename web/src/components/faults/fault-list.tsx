import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import type { AnomalyQuery } from "../../api/client";
import { AnomalyList } from "../../app/anomaly-list";
import { useApp } from "../../app/context";
import type { PagedList } from "../../app/paged-list";
import { t } from "../../i18n";
import type { Anomaly } from "../../model/analysis/anomaly";
import { errorText } from "../error-text";
import { FaultItem } from "./fault-item";
import "../../style/faults.css";

export type Faults = PagedList<Anomaly, AnomalyQuery>;

/** Anomalies of all devices or of one, kept up to date while the component is mounted. */
export function useFaults({ state, device }: AnomalyQuery): Faults {
  const app = useApp();
  const faults = useMemo(() => new AnomalyList(app, device === undefined ? { state } : { state, device }), [state, device]);
  useEffect(() => () => faults.close(), [faults]);
  return faults.list;
}

interface FaultItemsProps {
  readonly faults: Faults;
  readonly items: readonly Anomaly[];
  readonly showsDevice: boolean;
  readonly onMarked?: () => void;
}

export function FaultItems({ faults, items, showsDevice, onMarked }: FaultItemsProps): JSX.Element {
  const marked = (): void => {
    faults.refresh();
    onMarked?.();
  };
  return <ul class="fault-items">{items.map((one) => <FaultItem key={one.id} anomaly={one} showsDevice={showsDevice} onMarked={marked} />)}</ul>;
}

/** What went wrong with loading, and the next page. */
export function FaultPaging({ faults }: { readonly faults: Faults }): JSX.Element {
  const error = faults.error.value;
  return (
    <>
      {error !== null && <p class="error small" role="alert">{t("fault.failed", { error: errorText(error) })}</p>}
      {faults.listed.value?.next != null && (
        <button type="button" class="older" disabled={faults.isLoading.value} onClick={() => void faults.loadOlder()}>{t("alarms.older")}</button>
      )}
    </>
  );
}
