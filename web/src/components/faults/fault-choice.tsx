import type { JSX } from "preact";

import { t } from "../../i18n";

/** Whether a list has alarms, faults of sensors, or both. */
export type FaultFilter = "all" | "alarms" | "faults";

interface FaultChoiceProps<Filter extends FaultFilter> {
  readonly filters: readonly Filter[];
  readonly filter: { value: Filter };
}

function filterText(filter: FaultFilter): string {
  return t(`fault.filter.${filter}`);
}

export function FaultChoice<Filter extends FaultFilter>({ filters, filter }: FaultChoiceProps<Filter>): JSX.Element {
  return (
    <div>
      <div class="choices" role="group" aria-label={t("fault.filter")}>
        {filters.map((one) => <button type="button" key={one} aria-pressed={filter.value === one} onClick={() => (filter.value = one)}>{filterText(one)}</button>)}
      </div>
    </div>
  );
}
