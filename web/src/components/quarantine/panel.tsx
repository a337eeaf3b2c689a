import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import type { RejectedFilter } from "../../api/admin-client";
import { AdminClient } from "../../api/admin-client";
import { useApp } from "../../app/context";
import type { HealthPoller } from "../../app/health-poller";
import { formats, t } from "../../i18n";
import { reasonOf } from "../../i18n/reason-text";
import type { Quarantine, RejectedGroup, RejectedMessage } from "../../model/bridge/health";
import { sourcesOf } from "../../model/bridge/health";
import { Cell, Records } from "../admin/records";
import { Age } from "../age";
import { ConfirmDialog } from "../dialog";
import { errorText } from "../error-text";
import { lazy } from "../lazy";

const ProposalPanel = lazy(async () => (await import("./proposals")).ProposalPanel);

/** What is to be cleared, how many messages that are (null: unknown), and what it is called. */
interface Clearing {
  readonly filter: RejectedFilter;
  readonly count: number | null;
  readonly what: string;
}

interface Actions {
  /** All messages, or one. */
  readonly retry: (id?: string) => Promise<void>;
  readonly clear: (clearing: Clearing) => void;
}

/** The rejected messages, for those who may manage the bridge: retry, clear, and find what would read them. */
export function QuarantinePanel({ poller, quarantine }: { readonly poller: HealthPoller; readonly quarantine: Quarantine | null }): JSX.Element {
  const { api } = useApp();
  const admin = useMemo(() => new AdminClient(api), [api]);
  const result = useSignal("");
  const isRetrying = useSignal(false);
  const clearing = useSignal<Clearing | null>(null);
  const reload = async (): Promise<void> => {
    const loaded = await poller.loadQuarantine();
    if (poller.snapshot.value) poller.snapshot.value = { ...poller.snapshot.value, quarantine: loaded };
  };
  const retry = async (id?: string): Promise<void> => {
    isRetrying.value = true;
    result.value = await api.retryQuarantine(id).then(
      (counts) => t("health.retried", counts),
      (error: unknown) => t("health.retry.failed", { error: errorText(error) }),
    );
    isRetrying.value = false;
    await reload();
  };
  const confirm = async (): Promise<void> => {
    const removed = await admin.clearQuarantine(clearing.value?.filter ?? {});
    clearing.value = null;
    result.value = t("quarantine.cleared", { count: removed });
    await reload();
  };
  const actions: Actions = { retry, clear: (chosen) => (clearing.value = chosen) };
  const isEmpty = !quarantine || quarantine.groups.length === 0;
  return (
    <section class="panel rejected" aria-labelledby="rejected-title">
      <header>
        <h2 id="rejected-title">{t("health.rejected.title")}</h2>
        {!isEmpty && (
          <div class="buttons">
            <button type="button" disabled={isRetrying.value} onClick={() => void retry()}>{t(isRetrying.value ? "health.retrying" : "health.retry")}</button>
            <button type="button" onClick={() => actions.clear({ filter: {}, count: countOf(quarantine.groups), what: t("quarantine.all") })}>{t("quarantine.clearAll")}</button>
          </div>
        )}
      </header>
      <p class="small" role="status">{result.value}</p>
      {isEmpty ? <p class="muted">{t("health.rejected.none")}</p> : <Contents quarantine={quarantine} actions={actions} isRetrying={isRetrying.value} />}
      {clearing.value && (
        <ConfirmDialog title={t("quarantine.clear.title", { what: clearing.value.what })} action={t("quarantine.clear")} onConfirm={confirm} onClose={() => (clearing.value = null)}>
          {clearing.value.count !== null && <p>{t("quarantine.clear.count", { count: clearing.value.count })}</p>}
          <p>{t("quarantine.clear.more")}</p>
        </ConfirmDialog>
      )}
    </section>
  );
}

function countOf(groups: readonly RejectedGroup[]): number {
  return groups.reduce((sum, { count }) => sum + count, 0);
}

interface ContentsProps {
  readonly quarantine: Quarantine;
  readonly actions: Actions;
  readonly isRetrying: boolean;
}

function Contents({ quarantine: { groups, messages }, actions, isRetrying }: ContentsProps): JSX.Element {
  const sources = sourcesOf(messages);
  return (
    <>
      <Records label={t("health.rejected.groups")} columns={[t("health.rejected.reason"), t("health.rejected.count"), t("health.rejected.last"), t("admin.actions")]}>
        {groups.map((one) => (
          <tr role="row" key={`${one.code} ${one.field}`}>
            <Cell name={t("health.rejected.reason")} class="name">{reasonOf(one)}</Cell>
            <Cell name={t("health.rejected.count")}>{formats.value.count(one.count)}</Cell>
            <Cell name={t("health.rejected.last")}>{one.newest !== null && <Age at={one.newest} />}</Cell>
            <Cell name={t("admin.actions")} class="actions">
              <button type="button" aria-label={`${t("quarantine.clear")}: ${reasonOf(one)}`}
                onClick={() => actions.clear({ filter: { code: one.code, field: one.field }, count: one.count, what: reasonOf(one) })}>
                {t("quarantine.clear")}
              </button>
            </Cell>
          </tr>
        ))}
      </Records>
      {sources.length > 1 && (
        <p class="by-source">
          <span class="muted small">{t("quarantine.bySource")}</span>
          {sources.map((source) => (
            <button key={source} type="button" class="text-button" aria-label={`${t("quarantine.clear")}: ${source}`}
              onClick={() => actions.clear({ filter: { source }, count: null, what: source })}>
              {source}
            </button>
          ))}
        </p>
      )}
      <h3>{t("health.rejected.newest")}</h3>
      <ol>{messages.map((message) => <Message key={message.id} message={message} actions={actions} isRetrying={isRetrying} />)}</ol>
    </>
  );
}

interface MessageProps {
  readonly message: RejectedMessage;
  readonly actions: Actions;
  readonly isRetrying: boolean;
}

function Message({ message, actions, isRetrying }: MessageProps): JSX.Element {
  const isAsked = useSignal(false);
  const { id, topic, source, receivedAt, payload, binary } = message;
  return (
    <li>
      <details>
        <summary>
          <span class="code">{topic || source}</span>
          <span class="message-reason">{reasonOf(message)}</span>
          {receivedAt !== null && <Age at={receivedAt} />}
        </summary>
        <pre tabIndex={0} aria-label={t("health.rejected.payload")}>{payload || t("health.rejected.empty")}</pre>
        {binary && payload && <p class="muted small">{t("health.rejected.binary")}</p>}
        <div class="buttons">
          <button type="button" aria-expanded={isAsked.value} onClick={() => (isAsked.value = !isAsked.value)}>{t("quarantine.ask")}</button>
          <button type="button" disabled={isRetrying} onClick={() => void actions.retry(id)}>{t("quarantine.retryOne")}</button>
          <button type="button" onClick={() => actions.clear({ filter: { id }, count: 1, what: topic || source })}>{t("quarantine.clearOne")}</button>
        </div>
        {isAsked.value && <ProposalPanel id={id} onApplied={() => actions.retry(id)} />}
      </details>
    </li>
  );
}
