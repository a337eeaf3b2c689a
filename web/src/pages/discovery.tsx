import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";

import { useApp, useStore } from "../app/context";
import { errorText } from "../components/error-text";
import { Icon } from "../components/icon";
import { fieldLabel, formats, quantityText, t } from "../i18n";
import type { Discovery, FoundDevice, SubscriptionItem, TopicFinding } from "../model/bridge/discovery";
import "../style/discovery.css";

const SECONDS = 30;
const POLL_MS = 1500;
const MAX_DEVICES = 5;

/** Topics that carry readings, and the subscriptions: for those who may manage the bridge. */
export function DiscoveryPage(): JSX.Element {
  const { api } = useApp();
  const survey = useSignal<Discovery | null>(null);
  const subscriptions = useSignal<readonly SubscriptionItem[]>([]);
  const error = useSignal("");

  const attempt = async (action: () => Promise<unknown>): Promise<void> => {
    error.value = "";
    try {
      await action();
    } catch (failure) {
      error.value = errorText(failure);
    }
  };
  const load = (): Promise<void> =>
    attempt(async () => {
      [survey.value, subscriptions.value] = await Promise.all([api.discovery(), api.subscriptions()]);
    });
  const start = (): Promise<void> => attempt(async () => (survey.value = await api.startDiscovery(SECONDS)));
  const add = (finding: TopicFinding): Promise<void> =>
    attempt(async () => {
      await api.addSubscription(finding.pattern, finding.format);
      await load();
    });
  const remove = (id: string): Promise<void> =>
    attempt(async () => {
      await api.removeSubscription(id);
      await load();
    });
  useEffect(() => void load(), []);
  const isListening = survey.value?.state === "listening";
  useEffect(() => {
    if (!isListening) return;
    const timer = setInterval(() => void load(), POLL_MS);
    return () => clearInterval(timer);
  }, [isListening]);

  return (
    <div class="discovery">
      <header>
        <h1>{t("discovery.title")}</h1>
        <p class="muted">{t("discovery.intro")}</p>
        <button type="button" disabled={isListening} onClick={() => void start()}>
          <Icon name="search" />
          {t(isListening ? "discovery.listening" : "discovery.start", { seconds: SECONDS })}
        </button>
        <p class="small" role="status">{survey.value === null ? "" : statusText(survey.value)}</p>
      </header>
      {error.value && <p class="error" role="alert">{error.value}</p>}
      {survey.value !== null && <Findings survey={survey.value} onAdd={add} />}
      <Subscriptions items={subscriptions} onRemove={remove} />
    </div>
  );
}

function statusText({ state, reason, messages, topics, dropped }: Discovery): string {
  if (state === "idle") return "";
  const heard = t("discovery.heard", { messages: formats.value.count(messages), topics: formats.value.count(topics) });
  const parts = [heard, ...(dropped > 0 ? [t("discovery.dropped", { count: dropped })] : []), ...(reason ? [reason] : [])];
  return parts.join(" ");
}

type Change<T> = (of: T) => Promise<void>;

function Findings({ survey, onAdd }: { survey: Discovery; onAdd: Change<TopicFinding> }): JSX.Element {
  const open = survey.findings.filter((one) => one.state === "new" || one.state === "announced");
  const subscribed = survey.findings.filter((one) => one.state === "subscribed");
  const others = survey.findings.filter((one) => one.state === "none");
  return (
    <>
      <Group title={t("discovery.new")} hint={open.length === 0 ? t("discovery.new.none") : ""}>
        {open.map((one) => <Card key={keyOf(one)} finding={one} onAdd={onAdd} />)}
      </Group>
      {subscribed.length > 0 && <Group title={t("discovery.subscribed")}>{subscribed.map((one) => <Card key={keyOf(one)} finding={one} />)}</Group>}
      {others.length > 0 && (
        <details class="panel">
          <summary>{t("discovery.others", { count: others.reduce((sum, one) => sum + one.topicCount, 0) })}</summary>
          {others.map((one) => <Card key={keyOf(one)} finding={one} />)}
        </details>
      )}
    </>
  );
}

function keyOf(finding: TopicFinding): string {
  return [finding.state, finding.pattern, finding.format, finding.family, finding.reason].join("\n");
}

function Group({ title, hint = "", children }: { title: string; hint?: string; children: ComponentChildren }): JSX.Element {
  return (
    <section class="panel">
      <h2>{title}</h2>
      {hint && <p class="muted">{hint}</p>}
      {children}
    </section>
  );
}

function Card({ finding, onAdd }: { finding: TopicFinding; onAdd?: Change<TopicFinding> }): JSX.Element {
  const isAdding = useSignal(false);
  const add = async (): Promise<void> => {
    isAdding.value = true;
    await onAdd?.(finding);
    isAdding.value = false;
  };
  const more = finding.deviceCount - Math.min(finding.devices.length, MAX_DEVICES);
  return (
    <article class="finding">
      <div>
        <h3 class="code">{finding.pattern || finding.topics[0]}</h3>
        {finding.family && <p class="muted small">{finding.family}</p>}
        {(!finding.pattern || finding.topicCount > 1) && <Topics finding={finding} />}
      </div>
      <div>
        {finding.devices.slice(0, MAX_DEVICES).map((one) => <FoundValues key={one.id} device={one} units={finding.units} />)}
        {more > 0 && <p class="muted small">{t("discovery.moreDevices", { count: more })}</p>}
        {finding.reason && <p class="small">{finding.reason}</p>}
        {finding.notTaken.length > 0 && (
          <p class="muted small">{t("discovery.notTaken")}: {finding.notTaken.map(([key, reason]) => `${key} (${reason})`).join(", ")}</p>
        )}
        {finding.alsoMatches > 0 && <p class="small">{t("discovery.alsoMatches", { count: finding.alsoMatches })}</p>}
        {finding.state === "announced" && <p class="small">{t("discovery.announced")}</p>}
      </div>
      {finding.state === "new" && onAdd && (
        <button type="button" disabled={isAdding.value} onClick={() => void add()} aria-label={`${t("discovery.add")}: ${finding.pattern}`}>
          {t("discovery.add")}
        </button>
      )}
    </article>
  );
}

function Topics({ finding }: { finding: TopicFinding }): JSX.Element {
  const rest = finding.topicCount - finding.topics.length;
  return (
    <ul class="topics small">
      {finding.topics.map((topic) => <li key={topic} class="code">{topic}</li>)}
      {rest > 0 && <li class="muted">{t("discovery.moreTopics", { count: rest })}</li>}
    </ul>
  );
}

function FoundValues({ device, units }: { device: FoundDevice; units: TopicFinding["units"] }): JSX.Element {
  const table = useStore().table.value;
  const shown = device.values.map(([name, value]) => {
    const measurement = table.find((one) => one.name === name);
    const quantity = typeof value === "string" ? `${value} ${units[name] ?? ""}` : quantityText(value, name, units[name] ?? "");
    return `${measurement ? fieldLabel(measurement) : name} ${quantity}`.trim();
  });
  return <p><strong>{device.id}</strong>: {shown.join(", ")}</p>;
}

function Subscriptions({ items, onRemove }: { items: Signal<readonly SubscriptionItem[]>; onRemove: Change<string> }): JSX.Element {
  return (
    <section class="panel subscriptions" aria-labelledby="subscriptions-title">
      <h2 id="subscriptions-title">{t("discovery.subscriptions")}</h2>
      <ul>
        {items.value.map((one) => (
          <li key={one.id ?? `file ${one.pattern}`}>
            <span class="code">{one.pattern}</span>
            <span class="muted small">{one.kind === "readings" ? one.format : one.kind}</span>
            {one.refused && <span class="error small">{t("discovery.refused", { reason: one.refused })}</span>}
            {one.id === null ? (
              <span class="muted small">{t("discovery.inFile")}</span>
            ) : (
              <button type="button" onClick={() => void onRemove(one.id ?? "")} aria-label={`${t("discovery.remove")}: ${one.pattern}`}>{t("discovery.remove")}</button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
