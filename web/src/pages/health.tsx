import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import type { App } from "../app/app";
import { formats, t } from "../i18n";
import type { Account, Finding, Known, Quarantine, RejectedMessage } from "../model/bridge/health";
import { OUTCOMES, Rates, difference, findings, gravity, sum } from "../model/bridge/health";
import { label, total } from "../model/bridge/metrics";
import { Age } from "../components/age";
import { useApp } from "../app/context";
import { errorText } from "../components/error-text";
import { Icon } from "../components/icon";
import "../style/health.css";

const EVERY_MS = 2000;
const QUARANTINE_EVERY = 5; // of those

/** Asks the bridge how it is, as long as somebody looks. */
class HealthWatch {
  readonly known: Signal<Known | null> = signal(null);
  readonly rates = new Rates();
  /** What was rejected may be of any device. */
  readonly mayManage: boolean;
  readonly #app: App;
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(app: App) {
    this.#app = app;
    this.mayManage = app.access.may("manage") && app.access.mayAll;
    void this.#run();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  async readQuarantine(): Promise<Quarantine | null> {
    return this.#app.http.quarantine().catch(() => this.known.peek()?.quarantine ?? null);
  }

  async #run(): Promise<void> {
    if (!document.hidden) await this.#read();
    if (!this.#isOver) this.#timer = setTimeout(() => void this.#run(), EVERY_MS);
  }

  /** What does not come stays as it was: a page that forgets what it knew helps nobody. */
  async #read(): Promise<void> {
    const { http } = this.#app;
    const before = this.known.peek();
    const isQuarantineDue = this.mayManage && this.#turn++ % QUARANTINE_EVERY === 0;
    const [status, parts, metrics, quarantine] = await Promise.all([
      http.status().catch(() => null),
      http.parts().catch(() => null),
      http.metrics().catch(() => null),
      isQuarantineDue ? this.readQuarantine() : before?.quarantine ?? null,
    ]);
    if (status) this.rates.add(status.accounts, performance.now());
    this.known.value = {
      answers: status !== null,
      parts: parts ?? before?.parts ?? [],
      status: status ?? before?.status ?? null,
      metrics: metrics ?? before?.metrics ?? null,
      quarantine: quarantine ?? before?.quarantine ?? null,
    };
  }
}

export function HealthView(): JSX.Element {
  const app = useApp();
  const watch = useMemo(() => new HealthWatch(app), [app]);
  useEffect(() => () => watch.close(), [watch]);
  const known = watch.known.value;
  if (known === null) return <p class="waiting">{t("app.loading")}</p>;
  return (
    <div class="health">
      <Verdict found={findings(known, app.bridgeNow())} />
      <Ledger accounts={known.status?.accounts ?? []} rates={watch.rates} />
      <div class="pair">
        <Parts known={known} />
        <Clients known={known} />
      </div>
      {watch.mayManage ? <Rejected watch={watch} quarantine={known.quarantine} /> : <NotYours />}
    </div>
  );
}

function Verdict({ found }: { found: readonly Finding[] }): JSX.Element {
  const isWell = found.every((one) => gravity(one) === "notice");
  return (
    <header class="summary" data-severity={isWell ? "none" : found[0] && gravity(found[0])}>
      <h1>
        <Icon name={isWell ? "check" : "warning"} />
        {isWell ? t("health.well") : t("health.wrong", { count: found.filter((one) => gravity(one) !== "notice").length })}
      </h1>
      {found.length === 0 && <p>{t("health.well.more")}</p>}
      <ul class="findings">
        {found.map((one) => (
          <li key={one.kind} data-severity={gravity(one)}>
            <Icon name={gravity(one) === "notice" ? "notice" : "warning"} />
            <div>
              <p class="what">{findingText(one)}</p>
              <p>{t(`finding.${one.kind}.do`)}</p>
            </div>
          </li>
        ))}
      </ul>
    </header>
  );
}

function findingText(finding: Finding): string {
  switch (finding.kind) {
    case "silent":
      return t("finding.silent");
    case "broker":
    case "store":
      return t(`finding.${finding.kind}`, { reason: finding.reason });
    case "part":
      return t("finding.part", { name: finding.name, reason: finding.reason });
    case "sum":
      return t("finding.sum", { source: finding.source, difference: finding.difference });
    case "rejected":
      return t("finding.rejected", { reason: finding.reason });
    default:
      return t(`finding.${finding.kind}`, { count: finding.count });
  }
}

/** received = stored + duplicate + rejected + dropped + waiting, written as the sum it is. */
function Ledger({ accounts, rates }: { accounts: readonly Account[]; rates: Rates }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="ledger-title">
      <h2 id="ledger-title">{t("health.ledger")}</h2>
      {accounts.length === 0 ? (
        <p class="quiet">{t("health.ledger.empty")}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="ledger-title">
          <table class="ledger" role="table">
            <caption>{t("health.ledger.more")}</caption>
            <thead>
              <tr>
                <th scope="col">{t("health.source")}</th>
                <th scope="col">{t("health.rate")}</th>
                <th scope="col">{t("health.received")}</th>
                {OUTCOMES.map((name, place) => <th scope="col" key={name}><span class="operator">{place === 0 ? "=" : "+"}</span> {t(`health.${name}`)}</th>)}
                <th scope="col">{t("health.sum")}</th>
              </tr>
            </thead>
            <tbody>{accounts.map((account) => <Line key={account.source} account={account} rate={rates.of(account.source)} />)}</tbody>
            {accounts.length > 1 && (
              <tfoot><Line account={{ ...sum(accounts), source: t("health.source.all") }} rate={accounts.reduce((all, { source }) => all + (rates.of(source) ?? 0), 0)} /></tfoot>
            )}
          </table>
        </div>
      )}
    </section>
  );
}

function Line({ account, rate }: { account: Account; rate: number | null }): JSX.Element {
  const missing = difference(account);
  return (
    <tr role="row">
      <th scope="row" role="rowheader">{account.source}</th>
      <td role="cell" data-name={t("health.rate")}>{rate === null ? "–" : formats.value.rate(rate)}</td>
      <td role="cell" data-name={t("health.received")}>{formats.value.count(account.received)}</td>
      {OUTCOMES.map((name, place) => (
        <td role="cell" key={name} data-name={`${place === 0 ? "=" : "+"} ${t(`health.${name}`)}`} data-empty={account[name] === 0}>
          {formats.value.count(account[name])}
        </td>
      ))}
      <td role="cell" data-name={t("health.sum")} class={missing === 0 ? "sums" : "error"}>
        {missing === 0 ? <><Icon name="check" /><span>{t("health.sum.yes")}</span></> : t("health.sum.no", { count: missing })}
      </td>
    </tr>
  );
}

function Parts({ known }: { known: Known }): JSX.Element {
  const version = known.metrics ? label(known.metrics, "bridge_build_info", "version") : "";
  return (
    <section class="panel parts" aria-labelledby="parts-title">
      <h2 id="parts-title">{t("health.parts")}</h2>
      <dl>
        {known.parts.map(({ name, up, reason }) => (
          <div key={name} data-up={up}>
            <dt>{name === "mqtt" || name === "store" ? t(`health.part.${name}`) : name}</dt>
            <dd>
              <Icon name={up ? "check" : "warning"} /> {t(up ? "health.part.up" : "health.part.down")}
              {reason && <p class="small">{reason}</p>}
            </dd>
          </div>
        ))}
      </dl>
      {version && <p class="quiet small">{t("health.version", { version })}</p>}
    </section>
  );
}

function Clients({ known: { metrics, status } }: { known: Known }): JSX.Element {
  const of = (name: string): string => (metrics ? formats.value.count(total(metrics, name)) : "–");
  const figures: readonly (readonly [string, string])[] = [
    [t("health.clients.connected"), status?.clients == null ? "–" : formats.value.count(status.clients)],
    [t("health.clients.slow"), of("bridge_clients_slow")],
    [t("health.clients.delivered"), of("bridge_records_delivered_total")],
    [t("health.clients.missed"), of("bridge_records_missed_total")],
  ];
  return (
    <section class="panel clients" aria-labelledby="clients-title">
      <h2 id="clients-title">{t("health.clients")}</h2>
      <dl>{figures.map(([name, figure]) => <div key={name}><dt>{name}</dt><dd>{figure}</dd></div>)}</dl>
    </section>
  );
}

function NotYours(): JSX.Element {
  return (
    <section class="panel rejected" aria-labelledby="rejected-title">
      <h2 id="rejected-title">{t("health.rejected.title")}</h2>
      <p class="quiet">{t("health.rejected.notYours")}</p>
    </section>
  );
}

function Rejected({ watch, quarantine }: { watch: HealthWatch; quarantine: Quarantine | null }): JSX.Element {
  const app = useApp();
  const state = useMemo(() => signal<string | null>(null), []);
  const isTrying = useMemo(() => signal(false), []);
  const retry = async (): Promise<void> => {
    isTrying.value = true;
    state.value = await app.http.retry().then(
      (retried) => t("health.retried", retried),
      (error: unknown) => t("health.retry.failed", { error: errorText(error) }),
    );
    isTrying.value = false;
    const found = await watch.readQuarantine();
    if (watch.known.value) watch.known.value = { ...watch.known.value, quarantine: found };
  };
  const isEmpty = !quarantine || quarantine.groups.length === 0;
  return (
    <section class="panel rejected" aria-labelledby="rejected-title">
      <header>
        <h2 id="rejected-title">{t("health.rejected.title")}</h2>
        {!isEmpty && <button type="button" disabled={isTrying.value} onClick={() => void retry()}>{t(isTrying.value ? "health.retrying" : "health.retry")}</button>}
      </header>
      <p class="small" role="status">{state.value}</p>
      {isEmpty ? (
        <p class="quiet">{t("health.rejected.none")}</p>
      ) : (
        <>
          <div class="scroll" tabIndex={0} role="group" aria-label={t("health.rejected.groups")}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{t("health.rejected.reason")}</th>
                  <th scope="col">{t("health.rejected.count")}</th>
                  <th scope="col">{t("health.rejected.last")}</th>
                </tr>
              </thead>
              <tbody>
                {quarantine.groups.map((one) => (
                  <tr key={`${one.code} ${one.field}`}>
                    <td class="reason">{one.reason}</td>
                    <td>{formats.value.count(one.count)}</td>
                    <td>{one.newest === null ? "" : <Age at={one.newest} />}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <h3>{t("health.rejected.newest")}</h3>
          <ol>{quarantine.messages.map((message) => <Message key={message.id} message={message} />)}</ol>
        </>
      )}
    </section>
  );
}

function Message({ message }: { message: RejectedMessage }): JSX.Element {
  return (
    <li>
      <details>
        <summary>
          <span class="code">{message.topic || message.source}</span>
          <span class="why">{message.reason}</span>
          {message.receivedAt !== null && <Age at={message.receivedAt} />}
        </summary>
        <pre tabIndex={0} aria-label={t("health.rejected.raw")}>{message.payload || t("health.rejected.empty")}</pre>
        {message.binary && message.payload && <p class="quiet small">{t("health.rejected.binary")}</p>}
      </details>
    </li>
  );
}
