import type { JSX } from "preact";
import { useRef } from "preact/hooks";

import { useDevice, useStore } from "../../app/context";
import { useViewState } from "../../app/view-state";
import { fieldLabel, t, unitText, valueText } from "../../i18n";
import type { Sort } from "../../model/devices/device-table";
import { FIXED_COLUMNS, WORST_FIRST, formatSort, measurementColumns, parseSort, pressed, sortDevices } from "../../model/devices/device-table";
import { isWorrying } from "../../model/devices/judgement";
import type { Judgement } from "../../model/devices/judgement";
import type { RankedDevice } from "../../model/devices/ranking";
import { hrefOf } from "../../model/route";
import { viewParam } from "../../model/view-param";
import type { Measurement } from "../../model/wire";
import "../../style/device-table.css";
import { Age } from "../age";
import { ValueSymbol } from "../device/card";
import { StateSummary } from "../device/state-summary";
import { useVisible } from "../use-visible";

const SORT = viewParam<Sort>("sort", WORST_FIRST, { parse: parseSort, format: formatSort });
/** Their order changes with names, rooms and ranks only, of which the page is told. */
const STEADY: ReadonlySet<string> = new Set(["device", "room", "state"]);

/** All devices in a row each, with a column for each measurement that occurs. */
export function DeviceTable({ ranked }: { readonly ranked: readonly RankedDevice[] }): JSX.Element {
  const store = useStore();
  const [sort, setSort] = useViewState(SORT);
  if (!STEADY.has(sort.column)) store.calm.value; // values change all the time; rows that jump with each cannot be read
  const columns = useColumns(ranked);
  const sorted = sortDevices(ranked, sort);
  const header = (column: string, label: string, unit = ""): JSX.Element => (
    <Header key={column} column={column} label={label} unit={unit} sort={sort} onSort={(next) => setSort(next)} />
  );
  return (
    <div class="device-table" role="group" aria-label={t("table.label")} tabIndex={0}>
      <table role="table" style={{ "--measurements": columns.length }}>
        <caption class="visually-hidden">{t("table.label")}</caption>
        <thead role="rowgroup">
          <tr role="row">
            {header("device", t("table.device"))}
            {header("room", t("table.room"))}
            {header("state", t("table.state"))}
            {columns.map((one) => header(one.name, fieldLabel(one), one.unit && unitText(one.name, one.unit)))}
            {header("age", t("table.age"))}
          </tr>
        </thead>
        <tbody role="rowgroup">{sorted.map((one) => <Row key={one.device.id} ranked={one} columns={columns} />)}</tbody>
      </table>
    </div>
  );
}

/** The same array while the columns are the same, so that rows are not rendered again. */
function useColumns(ranked: readonly RankedDevice[]): readonly Measurement[] {
  const { table, calm } = useStore();
  const known = useRef<readonly Measurement[]>([]);
  calm.value; // a device may send another measurement
  const columns = measurementColumns(ranked.map(({ device }) => device), table.value);
  if (columns.length !== known.current.length || columns.some((one, index) => one !== known.current[index])) known.current = columns;
  return known.current;
}

interface HeaderProps {
  readonly column: string;
  readonly label: string;
  readonly unit: string;
  readonly sort: Sort;
  readonly onSort: (sort: Sort) => void;
}

function Header({ column, label, unit, sort, onSort }: HeaderProps): JSX.Element {
  const isSorted = column === sort.column;
  const direction = sort.isDescending ? "descending" : "ascending";
  const isText = FIXED_COLUMNS.some((one) => one === column && one !== "age");
  return (
    <th role="columnheader" scope="col" data-text={isText} aria-sort={isSorted ? direction : undefined}>
      <button type="button" title={label} onClick={() => onSort(pressed(column, sort))}>
        <span class="label">{label}{isSorted && <span aria-hidden="true"> {sort.isDescending ? "↓" : "↑"}</span>}</span>
        {unit && <span class="unit">{unit}</span>}
      </button>
    </th>
  );
}

interface RowProps {
  readonly ranked: RankedDevice;
  readonly columns: readonly Measurement[];
}

/** Off screen a row is rendered only every half minute. */
function Row({ ranked, columns }: RowProps): JSX.Element {
  const { device, severity, presence } = ranked;
  const [root, isVisible] = useVisible<HTMLTableRowElement>();
  const store = useStore();
  useDevice(device, isVisible);
  const judged = store.judgements(device);
  const { site, room } = device.record ?? {};
  return (
    <tr role="row" ref={root} data-severity={severity} data-presence={presence}>
      <th role="rowheader" scope="row"><a href={hrefOf({ page: "device", id: device.id })} title={device.name}>{device.name}</a></th>
      <td role="cell" data-text="true" class="muted"><span>{[site, room].filter(Boolean).join(" / ")}</span></td>
      <td role="cell" data-text="true"><StateSummary ranked={ranked} isVisible={isVisible} /></td>
      {columns.map(({ name }) => <Cell key={name} ranked={ranked} field={name} judgement={judged.get(name)} />)}
      <td role="cell" class="muted">{device.measuredAt !== null && <Age at={device.measuredAt} isLive={isVisible} />}</td>
    </tr>
  );
}

interface CellProps {
  readonly ranked: RankedDevice;
  readonly field: string;
  readonly judgement: Judgement | undefined;
}

function Cell({ ranked: { device }, field, judgement }: CellProps): JSX.Element {
  const entry = device.entries.get(field);
  if (entry === undefined) return <td role="cell" />;
  const isOld = device.isStale(entry) || !device.isFreshSince(entry.measuredAt, useStore().bridgeNow());
  const severity = isOld ? "none" : judgement?.severity ?? "none";
  return (
    <td role="cell" class="value" data-severity={severity} data-old={isOld}>
      {isWorrying(severity) && <ValueSymbol judgement={judgement} />}
      <span class="figure">{valueText(entry.value, field)}</span>
    </td>
  );
}
