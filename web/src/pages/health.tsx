import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { useApp } from "../app/context";
import { HealthPoller } from "../app/health-poller";
import { extraText } from "../components/device/also-sends";
import { Icon } from "../components/icon";
import { Since } from "../components/layout/connection-status";
import { QuarantinePanel } from "../components/quarantine/panel";
import { formats, t } from "../i18n";
import { findingAction, findingReason, findingText } from "../i18n/finding-text";
import { reasonOf } from "../i18n/reason-text";
import type { Finding, HealthSnapshot, LedgerLine, Rates } from "../model/bridge/health";
import { OUTCOMES, difference, findingSeverity, findings, totalOf } from "../model/bridge/health";
import { label, total } from "../model/bridge/metrics";
import type { DeviceIgnoredKeys } from "../model/devices/device-detail";
import { hrefOf } from "../model/route";
import "../style/health.css";

export function HealthPage(): JSX.Element {
  const app = useApp();
  const { store } = app;
  const poller = useMemo(() => new HealthPoller(app), [app]);
  useEffect(() => () => poller.close(), [poller]);
  const snapshot = poller.snapshot.value;
  if (snapshot === null) return <p class="waiting">{t("app.loading")}</p>;
  return (
    <div class="health">
      <Summary found={findings(snapshot, store.flow.value, store.bridgeNow())} />
      <Ledger ledger={snapshot.status?.ledger ?? []} rates={poller.rates} />
      <div class="pair">
        <Components snapshot={snapshot} />
        <Clients snapshot={snapshot} />
      </div>
      <IgnoredKeysPanel devices={snapshot.ignoredKeys} />
      {poller.seesQuarantine ? <QuarantinePanel poller={poller} quarantine={snapshot.quarantine} /> : <QuarantineForbidden />}
    </div>
  );
}

function Summary({ found }: { found: readonly Finding[] }): JSX.Element {
  const isHealthy = found.every((one) => findingSeverity(one) === "notice");
  return (
    <header class="summary" data-severity={isHealthy ? "none" : found[0] && findingSeverity(found[0])}>
      <h1>
        <Icon name={isHealthy ? "check" : "warning"} />
        {isHealthy ? t("health.ok") : t("health.findings", { count: found.filter((one) => findingSeverity(one) !== "notice").length })}
      </h1>
      {found.length === 0 && <p>{t("health.ok.more")}</p>}
      <ul class="findings">
        {found.map((one) => (
          <li key={one.kind} data-severity={findingSeverity(one)}>
            <Icon name={findingSeverity(one) === "notice" ? "notice" : "warning"} />
            <div>
              <p class="what">{findingText(one)} <Since finding={one} /></p>
              {findingReason(one) && <p>{findingReason(one)}</p>}
              <p>{findingAction(one)}</p>
            </div>
          </li>
        ))}
      </ul>
    </header>
  );
}

/** One row per source: received = stored + duplicate + rejected + ignored + dropped + waiting. */
function Ledger({ ledger, rates }: { ledger: readonly LedgerLine[]; rates: Rates }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="ledger-title">
      <h2 id="ledger-title">{t("health.ledger")}</h2>
      {ledger.length === 0 ? (
        <p class="muted">{t("health.ledger.empty")}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="ledger-title">
          <table class="ledger" role="table">
            <caption>{t("health.ledger.more")}</caption>
            <thead>
              <tr>
                <th scope="col">{t("health.source")}</th>
                <th scope="col">{t("health.rate")}</th>
                <th scope="col">{t("health.received")}</th>
                {OUTCOMES.map((name, index) => <th scope="col" key={name}><span class="operator">{index === 0 ? "=" : "+"}</span> {t(`health.${name}`)}</th>)}
                <th scope="col">{t("health.sum")}</th>
                <th scope="col">{t("health.readings")}</th>
              </tr>
            </thead>
            <tbody>{ledger.map((line) => <Line key={line.source} line={line} rate={rates.of(line.source)} />)}</tbody>
            {ledger.length > 1 && (
              <tfoot><Line line={{ ...totalOf(ledger), source: t("health.source.all") }} rate={ledger.reduce((all, { source }) => all + (rates.of(source) ?? 0), 0)} /></tfoot>
            )}
          </table>
        </div>
      )}
    </section>
  );
}

function Line({ line, rate }: { line: LedgerLine; rate: number | null }): JSX.Element {
  const missing = difference(line);
  return (
    <tr role="row">
      <th scope="row" role="rowheader">{line.source}</th>
      <td role="cell" data-name={t("health.rate")}>{rate === null ? "–" : formats.value.rate(rate)}</td>
      <td role="cell" data-name={t("health.received")}>{formats.value.count(line.received)}</td>
      {OUTCOMES.map((name, index) => (
        <td role="cell" key={name} data-name={`${index === 0 ? "=" : "+"} ${t(`health.${name}`)}`} data-empty={line[name] === 0}>
          {formats.value.count(line[name])}
        </td>
      ))}
      <td role="cell" data-name={t("health.sum")} class={missing === 0 ? "balanced" : "error"}>
        {missing === 0 ? <><Icon name="check" /><span>{t("health.sum.yes")}</span></> : t("health.sum.no", { count: missing })}
      </td>
      <td role="cell" class="readings" data-name={t("health.readings")}>{formats.value.count(line.readings)}</td>
    </tr>
  );
}

function Components({ snapshot: { metrics, components } }: { snapshot: HealthSnapshot }): JSX.Element {
  const version = metrics ? label(metrics, "bridge_build_info", "version") : "";
  return (
    <section class="panel components" aria-labelledby="components-title">
      <h2 id="components-title">{t("health.components")}</h2>
      <dl>
        {components.map(({ name, up, ...why }) => (
          <div key={name} data-up={up}>
            <dt>{name === "mqtt" || name === "store" ? t(`health.component.${name}`) : name}</dt>
            <dd>
              <Icon name={up ? "check" : "warning"} /> {t(up ? "health.component.up" : "health.component.down")}
              {why.reason && <p class="small">{reasonOf(why)}</p>}
            </dd>
          </div>
        ))}
      </dl>
      {version && <p class="muted small">{t("health.version", { version })}</p>}
    </section>
  );
}

function Clients({ snapshot: { metrics, status } }: { snapshot: HealthSnapshot }): JSX.Element {
  const totalText = (name: string): string => (metrics ? formats.value.count(total(metrics, name)) : "–");
  const figures: readonly (readonly [string, string])[] = [
    [t("health.clients.connected"), status?.clients == null ? "–" : formats.value.count(status.clients)],
    [t("health.clients.slow"), totalText("bridge_clients_slow")],
    [t("health.clients.delivered"), totalText("bridge_records_delivered_total")],
    [t("health.clients.missed"), totalText("bridge_records_missed_total")],
  ];
  return (
    <section class="panel clients" aria-labelledby="clients-title">
      <h2 id="clients-title">{t("health.clients")}</h2>
      <dl>{figures.map(([name, figure]) => <div key={name}><dt>{name}</dt><dd>{figure}</dd></div>)}</dl>
    </section>
  );
}

/** Keys of messages that are not taken as measurements, by device. */
function IgnoredKeysPanel({ devices }: { devices: readonly DeviceIgnoredKeys[] }): JSX.Element {
  const { store } = useApp();
  return (
    <section class="panel ignored-keys" aria-labelledby="ignored-title">
      <h2 id="ignored-title">{t("health.ignoredKeys")}</h2>
      <p class="muted small">{t(devices.length === 0 ? "health.ignoredKeys.none" : "alsoSends.more")}</p>
      {devices.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="ignored-title">
          <table>
            <thead>
              <tr>
                <th scope="col">{t("health.ignoredKeys.device")}</th>
                <th scope="col">{t("alsoSends.key")}</th>
                <th scope="col">{t("alsoSends.value")}</th>
                <th scope="col">{t("alsoSends.reason")}</th>
              </tr>
            </thead>
            <tbody>
              {devices.flatMap(({ deviceId, keys }) =>
                keys.map((one, index) => (
                  <tr key={`${deviceId} ${one.key}`}>
                    <td>{index === 0 && <a href={hrefOf({ page: "device", id: deviceId })}>{store.device(deviceId)?.name ?? deviceId}</a>}</td>
                    <td class="code">{one.key}</td>
                    <td>{one.lastValue === null ? t("value.none") : extraText(one.lastValue)}</td>
                    <td>{reasonOf(one)}</td>
                  </tr>
                )),
              )}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function QuarantineForbidden(): JSX.Element {
  return (
    <section class="panel rejected" aria-labelledby="rejected-title">
      <h2 id="rejected-title">{t("health.rejected.title")}</h2>
      <p class="muted">{t("health.rejected.forbidden")}</p>
    </section>
  );
}
