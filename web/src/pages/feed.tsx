import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { ageText, fieldLabel, flawText, formats, t, valueText } from "../i18n";
import type { FeedItem, Gap } from "../model/feed";
import { asRecord, chosen, cursorTime, isGap } from "../model/feed";
import { link } from "../model/route";
import type { Measurement, Reading } from "../model/wire";
import { useApp } from "../app/context";
import { copyText } from "../components/clipboard";
import { Icon } from "../components/icon";
import "../style/feed.css";

const SHOWN = 60;
const SHOWN_IN_A_RUSH = 20; // every row is new each second: 60 of them are a frame of 67 ms
const SAID_MS = 3000;

/** The newest readings, newest on top. Paused, it stands still and counts what came since. */
export function FeedView({ device }: { device: string }): JSX.Element {
  const app = useApp();
  const filter = useSignal({ device, field: "" });
  const held = useSignal<readonly FeedItem[] | null>(null);
  const said = useSignal("");
  const items = useComputed(() => {
    app.feedVersion.value;
    const most = held.value === null && app.feedRushes.value ? SHOWN_IN_A_RUSH : SHOWN;
    return chosen(held.value ?? app.feed.items, filter.value, most);
  });
  const copy = async (found: readonly FeedItem[]): Promise<void> => {
    const records = found.flatMap((item) => (isGap(item) ? [] : [asRecord(item)]));
    const text = JSON.stringify(records.length === 1 ? records[0] : records, null, 2);
    const copied = await copyText(text);
    said.value = copied ? t("feed.copied", { count: records.length }) : t("feed.notCopied");
    setTimeout(() => (said.value = ""), SAID_MS);
  };
  const table = app.table.value;
  const name = (id: string): string => app.device(id)?.name ?? id;
  return (
    <div class="feed">
      <header>
        <h1>{t("feed.title")}</h1>
        <div class="controls">
          <label>
            <span>{t("feed.device")}</span>
            <input type="search" list="feed-devices" placeholder={t("feed.device.any")} value={filter.value.device} onInput={(event) => (filter.value = { ...filter.value, device: event.currentTarget.value })} />
          </label>
          <DeviceNames />
          <label>
            <span>{t("feed.field")}</span>
            <select value={filter.value.field} onChange={(event) => (filter.value = { ...filter.value, field: event.currentTarget.value })}>
              <option value="">{t("feed.field.any")}</option>
              {table.map((one) => <option key={one.name} value={one.name}>{fieldLabel(one)}</option>)}
            </select>
          </label>
          <button type="button" aria-pressed={held.value !== null} onClick={() => (held.value = held.value === null ? [...app.feed.items] : null)}>
            <Icon name={held.value === null ? "pause" : "play"} />
            {t(held.value === null ? "feed.pause" : "feed.resume")}
          </button>
          <button type="button" disabled={items.value.length === 0} onClick={() => void copy(items.value)}>
            <Icon name="copy" />
            {t("feed.copyAll")}
          </button>
        </div>
        <p class="quiet small" role="status">{said.value}</p>
        {held.value !== null && <Paused held={held.value} />}
      </header>
      {items.value.length === 0 ? (
        <p class="waiting">{t(app.feed.items.length === 0 ? "feed.empty" : "feed.none")}</p>
      ) : (
        <ol>
          {items.value.map((item) =>
            isGap(item) ? <GapRow key={item.id} gap={item} /> : <Row key={item.id} reading={item} name={name(item.deviceId)} table={table} field={filter.value.field} onCopy={copy} />,
          )}
        </ol>
      )}
    </div>
  );
}

/** Apart, so that 500 names are not compared for each paint of the feed. */
function DeviceNames(): JSX.Element {
  const app = useApp();
  return <datalist id="feed-devices">{app.ranked.value.map(({ device }) => <option key={device.id} value={device.id}>{device.name}</option>)}</datalist>;
}

function Paused({ held }: { held: readonly FeedItem[] }): JSX.Element {
  const app = useApp();
  app.feedVersion.value;
  const newest = held[0]?.seq ?? 0;
  const count = app.feed.items.filter(({ seq }) => seq > newest).length;
  return <p class="paused"><Icon name="pause" />{t("feed.paused", { count })}</p>;
}

interface RowProps {
  readonly reading: Reading;
  readonly name: string;
  readonly table: readonly Measurement[];
  readonly field: string;
  readonly onCopy: (items: readonly FeedItem[]) => Promise<void>;
}

function Row({ reading, name, table, field, onCopy }: RowProps): JSX.Element {
  const { now } = useApp();
  const late = now.peek() - reading.measuredAt;
  return (
    <li class="row">
      <time dateTime={new Date(reading.measuredAt).toISOString()} title={formats.value.full(reading.measuredAt)}>
        {formats.value.moment(reading.measuredAt, now.peek())}
      </time>
      <a href={link({ view: "device", id: reading.deviceId })}>{name}</a>
      <ul>
        {table.filter((one) => reading.values.has(one.name) || reading.quality.has(one.name)).map((one) => <Field key={one.name} measurement={one} reading={reading} isSought={one.name === field} />)}
        {reading.retained && <li class="quiet">{t("feed.retained")}, {ageText(late)}</li>}
        {reading.quality.has("timestamp") && <li class="flawed">{t("concern.clock", { flaw: flawText(reading.quality.get("timestamp") ?? "") })}</li>}
      </ul>
      <button type="button" class="quiet-button" aria-label={t("feed.copy")} title={t("feed.copy")} onClick={() => void onCopy([reading])}>
        <Icon name="copy" />
      </button>
    </li>
  );
}

function Field({ measurement, reading, isSought }: { measurement: Measurement; reading: Reading; isSought: boolean }): JSX.Element {
  const value = reading.values.get(measurement.name);
  const flaw = reading.quality.get(measurement.name);
  return (
    <li class={isSought ? "sought" : flaw ? "flawed" : undefined}>
      <span>{fieldLabel(measurement)}</span>
      {[value === undefined ? "" : ` ${valueText(value, measurement.name)}`, value !== undefined && measurement.unit ? ` ${measurement.unit}` : "", flaw ? ` (${flawText(flaw)})` : ""].join("")}
    </li>
  );
}

function GapRow({ gap }: { gap: Gap }): JSX.Element {
  const { now } = useApp();
  const [from, to] = [gap.from, gap.seq].map((cursor) => formats.value.moment(cursorTime(cursor), now.peek()));
  const between = { from: from ?? "", to: to ?? "" };
  return (
    <li class="gap">
      <Icon name="warning" />
      {gap.missed === null ? t("feed.gap.some", between) : t("feed.gap", { ...between, count: gap.missed })}
    </li>
  );
}
