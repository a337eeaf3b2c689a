import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { formats, t } from "../i18n";
import type { Act, AuditPage, AuditQuery } from "../model/audit";
import { ACTS, asActName, outcomeOf } from "../model/audit";
import { useApp } from "../app/context";
import { errorText } from "../components/error-text";
import type { IconName } from "../components/icon";
import { Icon } from "../components/icon";
import "../style/audit.css";

const TYPED_MS = 300;
const ANYTHING: AuditQuery = { act: "", by: "", about: "", before: null };
const ICONS: Readonly<Record<ReturnType<typeof outcomeOf>, IconName>> = { done: "check", refused: "warning", delayed: "queued" };

/** Who did what, the newest first. For admins; the bridge refuses others. */
export function AuditView(): JSX.Element {
  const app = useApp();
  const page = useSignal<AuditPage | null>(null);
  const asked = useSignal<AuditQuery>(ANYTHING);
  const isReading = useSignal(false);
  const error = useSignal("");
  const turn = useRef(0);

  /** What comes late to another question is nobody's answer. */
  const read = async (query: AuditQuery): Promise<void> => {
    const mine = ++turn.current;
    isReading.value = true;
    error.value = "";
    try {
      const found = await app.http.audit(query);
      if (mine !== turn.current) return;
      const before = query.before === null ? [] : page.value?.acts ?? [];
      page.value = { ...found, acts: [...before, ...found.acts] };
    } catch (failure) {
      if (mine === turn.current) error.value = t("audit.failed", { error: errorText(failure) });
    }
    if (mine === turn.current) isReading.value = false;
  };
  const typing = useRef<ReturnType<typeof setTimeout>>(undefined);
  const ask = (change: Partial<AuditQuery>): void => {
    asked.value = { ...asked.value, ...change };
    clearTimeout(typing.current);
    typing.current = setTimeout(() => void read(asked.value), TYPED_MS);
  };
  useEffect(() => {
    void read(asked.value);
    return () => clearTimeout(typing.current);
  }, []);

  const acts = page.value?.acts ?? [];
  const next = page.value?.next ?? null;
  return (
    <div class="audit">
      <header>
        <h1>{t("audit.title")}</h1>
        <p class="quiet">{t("audit.lead")}</p>
        <div class="controls">
          <label>
            <span>{t("audit.act")}</span>
            <select value={asked.value.act} onChange={(event) => ask({ act: event.currentTarget.value })}>
              <option value="">{t("audit.any")}</option>
              {ACTS.map((act) => <option key={act} value={act}>{t(`act.${act}`)}</option>)}
            </select>
          </label>
          <Sought label={t("audit.by")} onSought={(by) => ask({ by })} />
          <Sought label={t("audit.about")} onSought={(about) => ask({ about })} />
          <button type="button" disabled={isReading.value} onClick={() => void read(asked.value)}>{t("audit.again")}</button>
        </div>
      </header>
      {error.value && <p class="error" role="alert">{error.value}</p>}
      {page.value === null && !error.value && <p class="waiting">{t("app.loading")}</p>}
      {page.value !== null && acts.length === 0 && <p class="waiting" role="status">{t("audit.none")}</p>}
      {acts.length > 0 && <Acts acts={acts} />}
      {next !== null && (
        <button type="button" class="older" disabled={isReading.value} onClick={() => void read({ ...asked.value, before: next })}>
          {t(isReading.value ? "app.loading" : "audit.older")}
        </button>
      )}
    </div>
  );
}

function Sought({ label, onSought }: { label: string; onSought: (text: string) => void }): JSX.Element {
  return (
    <label>
      <span>{label}</span>
      <input type="search" maxLength={200} autoCapitalize="none" autoComplete="off" spellcheck={false} placeholder={t("audit.exactly")}
        onInput={(event) => onSought(event.currentTarget.value)} />
    </label>
  );
}

function Acts({ acts }: { acts: readonly Act[] }): JSX.Element {
  const columns = ["audit.time", "audit.by", "audit.act", "audit.about", "audit.address", "audit.outcome"] as const;
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={t("audit.title")}>
      <table class="acts" role="table">
        <thead><tr>{columns.map((name) => <th key={name} scope="col">{t(name)}</th>)}</tr></thead>
        <tbody>{acts.map((one) => <Row key={one.id} one={one} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ one }: { one: Act }): JSX.Element {
  const { now } = useApp();
  const name = asActName(one.act);
  const outcome = outcomeOf(one.act);
  const isNobody = one.kind === "anyone";
  return (
    <tr role="row" data-outcome={outcome}>
      <td role="cell" class="when"><time dateTime={new Date(one.at).toISOString()} title={formats.value.full(one.at)}>{formats.value.moment(one.at, now.peek())}</time></td>
      <td role="cell" data-name={t("audit.by")}>
        {isNobody ? <span class="quiet">{t("audit.nobody")}</span> : <>{one.by}{one.kind !== "person" && <span class="quiet small"> {kindText(one.kind)}</span>}</>}
      </td>
      <td role="cell" data-name={t("audit.act")}>
        <p>{name ? t(`act.${name}`) : one.act}{one.times > 1 && <span class="quiet"> {t("audit.times", { count: one.times })}</span>}</p>
        {one.more.length > 0 && <p class="quiet small">{one.more.map(([key, said]) => (key === "why" ? said : `${key}: ${said}`)).join(", ")}</p>}
      </td>
      <td role="cell" data-name={t("audit.about")} class="code">{one.about}</td>
      <td role="cell" data-name={t("audit.address")} class="code">{one.address}</td>
      <td role="cell" data-name={t("audit.outcome")} class="outcome"><span><Icon name={ICONS[outcome]} /> {t(`audit.outcome.${outcome}`)}</span></td>
    </tr>
  );
}

function kindText(kind: string): string {
  return kind === "program" || kind === "device" || kind === "external" ? t(`audit.kind.${kind}`) : kind;
}
