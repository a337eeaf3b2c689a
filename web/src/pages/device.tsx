import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { formats, t } from "../i18n";
import { concernsOf } from "../model/devices/issues";
import type { Device } from "../model/devices/device";
import { LENGTHS, live, pan, zoom } from "../model/history/time-range";
import { link } from "../model/route";
import { Age } from "../components/age";
import { Charts } from "../components/charts/charts";
import { Commands } from "../components/device/commands";
import { Concerns } from "../components/device/issue-list";
import { useApp, useDevice } from "../app/context";
import { Facts } from "../components/device/details";
import { Icon } from "../components/icon";
import { MeaningPanel } from "../components/device/assessments";
import { PresenceMark } from "../components/device/presence";
import { Ranges } from "../components/charts/range-picker";
import { Verdict } from "../components/device/level";
import { DeviceHistory } from "../app/device-history";
import "../style/device.css";

export function DeviceView({ id }: { id: string }): JSX.Element {
  const app = useApp();
  app.ranked.value; // it may come, or go
  const device = app.device(id);
  if (device) return <Detail device={device} />;
  return (
    <div class="waiting">
      <h1>{t(app.loaded.value ? "detail.unknown" : "app.loading")}</h1>
      <p class="code">{id}</p>
      <p><a href="#/">{t("app.back")}</a></p>
    </div>
  );
}

function Detail({ device }: { device: Device }): JSX.Element {
  const app = useApp();
  const history = useMemo(() => new DeviceHistory(app, device.id), [device]);
  useEffect(() => () => history.close(), [history]);
  useDevice(device);
  const { judgements, worst } = app.meaning(device);
  return (
    <article class="device">
      <header>
        <a class="back" href="#/"><Icon name="back" />{t("detail.back")}</a>
        <h1>{device.name}</h1>
        <div class="under">
          <p class="state">
            <PresenceMark device={device} />
            {device.measuredAt !== null && <Age at={device.measuredAt} />}
            <span>{[device.record?.site, device.record?.room].filter(Boolean).join(" / ")}</span>
          </p>
          <p class="jumps">
            {judgements.length > 0 && <Jump to="meaning" label={t("meaning.title")} />}
            <Jump to="commands" label={t("command.title")} />
            <Jump to="about" label={t("facts.title")} />
            <a href={link({ view: "feed", device: device.id })}>{t("feed.title")}</a>
          </p>
        </div>
        {worst && worst.level > 0 && <Verdict judged={worst} />}
        <Concerns concerns={concernsOf(device)} table={app.table.value} now={app.now.peek()} />
      </header>
      <section class="history" aria-label={t("chart.region")} tabIndex={0} onKeyDown={(event) => keyed(event, history, app.bridgeNow())}>
        <Ranges history={history} />
        <HistoryState history={history} />
        <Charts device={device} history={history} />
        <p class="quiet small help mouse">{t("chart.help")}</p>
        <p class="quiet small help touch">{t("chart.help.touch")}</p>
      </section>
      <MeaningPanel device={device} />
      <div class="side">
        <Commands device={device} />
        <Facts device={device} />
      </div>
    </article>
  );
}

/** To what stands below the charts where there is no room beside them. The address is the router's, so not by that. */
function Jump({ to, label }: { to: string; label: string }): JSX.Element {
  return <button type="button" class="text-button jump" onClick={() => document.getElementById(to)?.scrollIntoView()}>{label}</button>;
}

function HistoryState({ history }: { history: DeviceHistory }): JSX.Element {
  const loading = history.loading.value;
  const step = formats.value.duration(history.history.value.step);
  if (loading.state === "failed") return <p class="error small" role="alert">{t("chart.failed", { error: loading.error })}</p>;
  const text = loading.state === "reading" ? t("chart.loading") : t("chart.legend", { step });
  return <p class="quiet small">{text}</p>;
}

/** What can be done with the pointer, by keys. */
function keyed(event: KeyboardEvent, history: DeviceHistory, now: number): void {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  const range = history.range.peek();
  const length = range.live ? range.length : range.span.to - range.span.from;
  const after = {
    ArrowLeft: () => pan(range, -0.25, now),
    ArrowRight: () => pan(range, 0.25, now),
    "+": () => zoom(range, 0.5, now),
    "=": () => zoom(range, 0.5, now),
    "-": () => zoom(range, 2, now),
    End: () => live(length),
    Home: () => live(LENGTHS["1y"]),
  }[event.key];
  if (!after) return;
  event.preventDefault();
  history.range.value = after();
}
