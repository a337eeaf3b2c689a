import type { JSX } from "preact";

import { ageText, fieldLabel, t, valueText } from "../../i18n";
import { concernsOf } from "../../model/devices/issues";
import type { Device } from "../../model/devices/device";
import type { Headline } from "../../model/devices/primary-values";
import { HEADLINES, headlines } from "../../model/devices/primary-values";
import type { Ranked } from "../../model/devices/ranking";
import { link } from "../../model/route";
import { direction } from "../../model/history/trend";
import { Age } from "../age";
import { Concerns } from "./issue-list";
import { useApp, useDevice } from "../../app/context";
import { PresenceMark } from "./presence";
import { useSeen } from "../use-visible";
import { useHours, useTrend } from "./use-history";
import { Sparkline, usePoints } from "../charts/sparkline";
import { Verdict } from "./level";

/** One device at a glance. Out of sight it is its name alone, which finding and screen readers need. */
export function Card({ ranked }: { ranked: Ranked }): JSX.Element {
  const { device, severity } = ranked;
  const [root, isSeen] = useSeen<HTMLLIElement>();
  const rows = Math.ceil(headlines(device, useApp().table.value).length / 2);
  return (
    <li class="card" ref={root} style={{ "--rows": rows }} data-severity={severity} data-presence={device.presence}>
      <h3><a href={link({ view: "device", id: device.id })}>{device.name}</a></h3>
      {isSeen && <CardBody device={device} />}
    </li>
  );
}

function CardBody({ device }: { device: Device }): JSX.Element {
  const app = useApp();
  useDevice(device);
  const table = app.table.value;
  useTrend(device);
  useHours(device);
  const shown = headlines(device, table);
  const left = device.entries.size - shown.length;
  const concerns = concernsOf(device);
  const { worst } = app.meaning(device); // that some of it is well is no word for a device with a concern
  return (
    <>
      <p class="state">
        <PresenceMark device={device} />
        {device.measuredAt !== null && <Age at={device.measuredAt} />}
      </p>
      {shown.length === 0 && <p class="nothing">{t("device.noReading")}</p>}
      <dl class="values">
        {shown.map((headline) => <HeadlineValue key={headline.measurement.name} device={device} headline={headline} />)}
      </dl>
      <footer>
        <div class="words">
          <Concerns concerns={concerns} table={table} now={app.now.peek()} most={2} />
          {worst && (worst.level > 0 || concerns.length === 0) && <Verdict judged={worst} />}
        </div>
        {left > 0 && shown.length === HEADLINES && <span class="more">{t("device.more", { count: left })}</span>}
      </footer>
    </>
  );
}

function HeadlineValue({ device, headline }: { device: Device; headline: Headline }): JSX.Element {
  const app = useApp();
  const { measurement, entry } = headline;
  const isLagging = device.isLagging(entry);
  const points = usePoints(app.trends.of(device.id, measurement.name), app.bridgeNow());
  const trend = direction(measurement.name, points);
  return (
    <div class="value" data-flagged={entry.flag !== "" && !isLagging}>
      <dt>{fieldLabel(measurement)}</dt>
      <dd>
        <span class="figure">{valueText(entry.value, measurement.name)}</span>
        {entry.value !== null && measurement.unit && <span class="unit"> {measurement.unit}</span>}
        {trend && <span class="unseen">, {t(`device.trend.${trend}`)}</span>}
        {isLagging && <span class="aged"> {t("value.aged", { age: ageText(app.now.peek() - entry.measuredAt) })}</span>}
      </dd>
      <Sparkline field={measurement.name} points={points} />
    </div>
  );
}
