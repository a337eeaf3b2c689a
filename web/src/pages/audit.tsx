import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { useApp, useStore } from "../app/context";
import { useViewState } from "../app/view-state";
import { Cell, Records } from "../components/admin/records";
import { errorText } from "../components/error-text";
import type { IconName } from "../components/icon";
import { Icon } from "../components/icon";
import { formats, t } from "../i18n";
import type { AuditEvent, AuditEventPage, AuditQuery, Outcome } from "../model/audit";
import { AUDIT_ACTIONS, asAuditAction, outcomeOf } from "../model/audit";
import { choiceParam, textParam } from "../model/view-param";
import { AdminTabs } from "./admin/tabs";
import "../style/audit.css";

const DEBOUNCE_MS = 300;
const ACTION = choiceParam("action", ["", ...AUDIT_ACTIONS], "", { remember: false });
const ACTOR = textParam("actor", { remember: false });
const TARGET = textParam("target", { remember: false });
const ICONS: Readonly<Record<Outcome, IconName>> = { done: "check", refused: "warning", delayed: "queued" };

/** The audit log, for admins; the bridge refuses it to others. */
export function AuditPage(): JSX.Element {
  const { api } = useApp();
  const page = useSignal<AuditEventPage | null>(null);
  const [action, setAction] = useViewState(ACTION);
  const [actor, setActor] = useViewState(ACTOR);
  const [target, setTarget] = useViewState(TARGET);
  const isLoading = useSignal(false);
  const error = useSignal("");
  const newestRequest = useRef(0);

  /** A response to an older request is discarded. */
  const load = async (requested: AuditQuery): Promise<void> => {
    const request = ++newestRequest.current;
    isLoading.value = true;
    error.value = "";
    try {
      const loaded = await api.audit(requested);
      if (request !== newestRequest.current) return;
      const earlier = requested.before === null ? [] : page.value?.events ?? [];
      page.value = { ...loaded, events: [...earlier, ...loaded.events] };
    } catch (failure) {
      if (request === newestRequest.current) error.value = t("audit.failed", { error: errorText(failure) });
    }
    if (request === newestRequest.current) isLoading.value = false;
  };
  const query: AuditQuery = { action, actor, target, before: null };
  const isFirst = useRef(true);
  useEffect(() => {
    const timer = setTimeout(() => void load(query), isFirst.current ? 0 : DEBOUNCE_MS);
    isFirst.current = false;
    return () => clearTimeout(timer);
  }, [action, actor, target]);

  const events = page.value?.events ?? [];
  const next = page.value?.next ?? null;
  return (
    <div class="admin audit">
      <header>
        <h1>{t("audit.title")}</h1>
        <AdminTabs current="audit" />
      </header>
      <p class="muted">{t("audit.intro")}</p>
      <div class="controls">
        <label>
          <span>{t("audit.action")}</span>
          <select value={action} onChange={(event) => setAction(asAuditAction(event.currentTarget.value) ?? "")}>
            <option value="">{t("audit.any")}</option>
            {AUDIT_ACTIONS.map((action) => <option key={action} value={action}>{t(`action.${action}`)}</option>)}
          </select>
        </label>
        <FilterField label={t("audit.actor")} text={actor} onChange={setActor} />
        <FilterField label={t("audit.target")} text={target} onChange={setTarget} />
        <button type="button" disabled={isLoading.value} onClick={() => void load(query)}>{t("audit.refresh")}</button>
      </div>
      {error.value && <p class="error" role="alert">{error.value}</p>}
      {page.value === null && !error.value && <p class="waiting">{t("app.loading")}</p>}
      {page.value !== null && events.length === 0 && <p class="waiting" role="status">{t("audit.none")}</p>}
      {events.length > 0 && <Events events={events} />}
      {next !== null && (
        <button type="button" class="older" disabled={isLoading.value} onClick={() => void load({ ...query, before: next })}>
          {t(isLoading.value ? "app.loading" : "audit.older")}
        </button>
      )}
    </div>
  );
}

interface FilterFieldProps {
  readonly label: string;
  readonly text: string;
  readonly onChange: (text: string) => void;
}

function FilterField({ label, text, onChange }: FilterFieldProps): JSX.Element {
  return (
    <label>
      <span>{label}</span>
      <input type="search" maxLength={200} autoCapitalize="none" autoComplete="off" spellcheck={false} placeholder={t("audit.exactMatch")}
        value={text} onInput={(event) => onChange(event.currentTarget.value)} />
    </label>
  );
}

function Events({ events }: { events: readonly AuditEvent[] }): JSX.Element {
  const columns = ["audit.time", "audit.actor", "audit.action", "audit.target", "audit.address", "audit.outcome"] as const;
  return (
    <Records label={t("audit.title")} columns={columns.map((name) => t(name))}>
      {events.map((one) => <Row key={one.id} event={one} />)}
    </Records>
  );
}

function Row({ event }: { event: AuditEvent }): JSX.Element {
  const { now } = useStore();
  const name = asAuditAction(event.action);
  const outcome = outcomeOf(event.action);
  const isAnonymous = event.actorKind === "anyone";
  return (
    <tr role="row" data-outcome={outcome}>
      <Cell name={t("audit.time")} class="name"><time dateTime={new Date(event.at).toISOString()} title={formats.value.full(event.at)}>{formats.value.moment(event.at, now.peek())}</time></Cell>
      <Cell name={t("audit.actor")}>
        {isAnonymous ? <span class="muted">{t("audit.anonymous")}</span> : <span>{event.actor}{event.actorKind !== "person" && <span class="muted small"> {actorKindText(event.actorKind)}</span>}</span>}
      </Cell>
      <Cell name={t("audit.action")} class="wide">
        <p>{name ? t(`action.${name}`) : event.action}{event.count > 1 && <span class="muted"> {t("audit.times", { count: event.count })}</span>}</p>
        {event.details.length > 0 && <p class="muted small">{event.details.map(([key, value]) => (key === "why" ? value : `${key}: ${value}`)).join(", ")}</p>}
      </Cell>
      <Cell name={t("audit.target")} class="code">{event.target}</Cell>
      <Cell name={t("audit.address")} class="code">{event.address}</Cell>
      <Cell name={t("audit.outcome")} class="result"><span><Icon name={ICONS[outcome]} /> {t(`audit.outcome.${outcome}`)}</span></Cell>
    </tr>
  );
}

function actorKindText(kind: string): string {
  return kind === "program" || kind === "device" || kind === "external" || kind === "link" ? t(`audit.kind.${kind}`) : kind;
}
