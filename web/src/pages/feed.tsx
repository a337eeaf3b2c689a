import { untracked, useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { useStore } from "../app/context";
import { useViewState, viewSignal } from "../app/view-state";
import { copyText } from "../components/clipboard";
import { Icon } from "../components/icon";
import { ageText, fieldLabel, flagText, formats, quantityText, t } from "../i18n";
import type { FeedItem, Gap } from "../model/feed";
import { FEED_LENGTH, cursorTime, filterFeed, groupFeed, isGap, newestPerDevice, toRecord } from "../model/feed";
import { hrefOf } from "../model/route";
import { flagParam, textParam } from "../model/view-param";
import type { Measurement, Reading } from "../model/wire";
import "../style/feed.css";

const MAX_ROWS = 60;
const MAX_BUSY_ROWS = 20; // when busy, every row is new each second, and 60 rows take a frame of 67 ms
const ROWS_PER_DEVICE = 5;
const CONFIRMATION_MS = 3000;
const DEVICE = textParam("device", { remember: false });
const FIELD = textParam("field", { remember: false });
const GROUPED = flagParam("grouped");
const PAUSED = flagParam("paused", { remember: false });

/** The newest readings, newest first, on request by device. While paused it stays unchanged and counts new readings. */
export function FeedPage(): JSX.Element {
  const store = useStore();
  const [device, setDevice] = useViewState(DEVICE);
  const [field, setField] = useViewState(FIELD);
  const grouped = viewSignal(GROUPED);
  const isPaused = viewSignal(PAUSED);
  const paused = useComputed<readonly FeedItem[] | null>(() => (isPaused.value && store.loaded.value ? untracked(() => [...store.feed.items]) : null));
  const confirmation = useSignal("");
  const items = useComputed(() => {
    store.feedVersion.value;
    const limit = paused.value === null && store.feedIsBusy.value ? MAX_BUSY_ROWS : MAX_ROWS;
    const found = filterFeed(paused.value ?? store.feed.items, { device: viewSignal(DEVICE).value, field: viewSignal(FIELD).value }, grouped.value ? FEED_LENGTH : limit);
    return grouped.value ? newestPerDevice(found, ROWS_PER_DEVICE, limit) : found;
  });
  const copy = async (found: readonly FeedItem[]): Promise<void> => {
    const records = found.flatMap((item) => (isGap(item) ? [] : [toRecord(item)]));
    const text = JSON.stringify(records.length === 1 ? records[0] : records, null, 2);
    const copied = await copyText(text);
    confirmation.value = copied ? t("feed.copied", { count: records.length }) : t("feed.copyFailed");
    setTimeout(() => (confirmation.value = ""), CONFIRMATION_MS);
  };
  const table = store.table.value;
  const name = (id: string): string => store.device(id)?.name ?? id;
  return (
    <div class="feed">
      <header>
        <h1>{t("feed.title")}</h1>
        <div class="controls">
          <label>
            <span>{t("feed.device")}</span>
            <input type="search" list="feed-devices" placeholder={t("feed.device.any")} value={device} onInput={(event) => setDevice(event.currentTarget.value)} />
          </label>
          <DeviceNames />
          <label>
            <span>{t("feed.field")}</span>
            <select value={field} onChange={(event) => setField(event.currentTarget.value)}>
              <option value="">{t("feed.field.any")}</option>
              {table.map((one) => <option key={one.name} value={one.name}>{fieldLabel(one)}</option>)}
            </select>
          </label>
          <button type="button" aria-pressed={grouped.value} onClick={() => (grouped.value = !grouped.value)}>
            <Icon name="overview" />
            {t("feed.group")}
          </button>
          <button type="button" aria-pressed={isPaused.value} onClick={() => (isPaused.value = !isPaused.value)}>
            <Icon name={isPaused.value ? "play" : "pause"} />
            {t(isPaused.value ? "feed.resume" : "feed.pause")}
          </button>
          <button type="button" disabled={items.value.length === 0} onClick={() => void copy(items.value)}>
            <Icon name="copy" />
            {t("feed.copyAll")}
          </button>
        </div>
        <p class="muted small" role="status">{confirmation.value}</p>
        {paused.value !== null && <PausedNotice items={paused.value} />}
      </header>
      {items.value.length === 0 ? (
        <p class="waiting">{t(store.feed.items.length === 0 ? "feed.empty" : "feed.none")}</p>
      ) : grouped.value ? (
        <Groups items={items.value} name={name} table={table} field={field} onCopy={copy} />
      ) : (
        <ol>
          {items.value.map((item) =>
            isGap(item) ? <GapRow key={item.id} gap={item} /> : <Row key={item.id} reading={item} name={name(item.deviceId)} table={table} field={field} onCopy={copy} />,
          )}
        </ol>
      )}
    </div>
  );
}

interface GroupsProps extends Omit<RowProps, "reading" | "name"> {
  readonly items: readonly FeedItem[];
  readonly name: (id: string) => string;
}

function Groups({ items, name, ...row }: GroupsProps): JSX.Element {
  const gaps = items.filter(isGap);
  return (
    <>
      {gaps.length > 0 && <ol>{gaps.map((gap) => <GapRow key={gap.id} gap={gap} />)}</ol>}
      {groupFeed(items).map(({ deviceId, readings }) => (
        <section key={deviceId} class="group">
          <h2><a href={hrefOf({ page: "device", id: deviceId })}>{name(deviceId)}</a></h2>
          <ol>{readings.map((reading) => <Row key={reading.id} reading={reading} name={name(deviceId)} {...row} />)}</ol>
        </section>
      ))}
    </>
  );
}

/** A component of its own, so that 500 options are not compared at each paint of the feed. */
function DeviceNames(): JSX.Element {
  const store = useStore();
  return <datalist id="feed-devices">{store.ranked.value.map(({ device }) => <option key={device.id} value={device.id}>{device.name}</option>)}</datalist>;
}

function PausedNotice({ items }: { items: readonly FeedItem[] }): JSX.Element {
  const store = useStore();
  store.feedVersion.value;
  const newest = items[0]?.seq ?? 0;
  const count = store.feed.items.filter(({ seq }) => seq > newest).length;
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
  const { now } = useStore();
  const age = now.peek() - reading.measuredAt;
  return (
    <li class="row">
      <time dateTime={new Date(reading.measuredAt).toISOString()} title={formats.value.full(reading.measuredAt)}>
        {formats.value.moment(reading.measuredAt, now.peek())}
      </time>
      <a href={hrefOf({ page: "device", id: reading.deviceId })}>{name}</a>
      <ul>
        {table.filter((one) => reading.values.has(one.name) || reading.quality.has(one.name)).map((one) => <Field key={one.name} measurement={one} reading={reading} isMatched={one.name === field} />)}
        {reading.retained && <li class="muted">{t("feed.retained")}, {ageText(age)}</li>}
        {reading.quality.has("timestamp") && <li class="flagged">{t("issue.clock", { flag: flagText(reading.quality.get("timestamp") ?? "") })}</li>}
      </ul>
      <button type="button" class="icon-button" aria-label={t("feed.copy")} title={t("feed.copy")} onClick={() => void onCopy([reading])}>
        <Icon name="copy" />
      </button>
    </li>
  );
}

function Field({ measurement, reading, isMatched }: { measurement: Measurement; reading: Reading; isMatched: boolean }): JSX.Element {
  const value = reading.values.get(measurement.name);
  const flag = reading.quality.get(measurement.name);
  return (
    <li class={isMatched ? "matched" : flag ? "flagged" : undefined}>
      <span>{fieldLabel(measurement)}</span>
      {[value === undefined ? "" : ` ${quantityText(value, measurement.name, measurement.unit)}`, flag ? ` (${flagText(flag, measurement.name)})` : ""].join("")}
    </li>
  );
}

function GapRow({ gap }: { gap: Gap }): JSX.Element {
  const { now } = useStore();
  const [from, to] = [gap.from, gap.seq].map((cursor) => formats.value.moment(cursorTime(cursor), now.peek()));
  const between = { from: from ?? "", to: to ?? "" };
  return (
    <li class="gap">
      <Icon name="warning" />
      {gap.missed === null ? t("feed.gap.some", between) : t("feed.gap", { ...between, count: gap.missed })}
    </li>
  );
}
