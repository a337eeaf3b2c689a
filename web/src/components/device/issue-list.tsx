import type { JSX } from "preact";

import { fieldLabel, flagText, formats, t } from "../../i18n";
import type { Issue, Severity } from "../../model/devices/issues";
import type { Measurement } from "../../model/wire";
import type { IconName } from "../icon";
import { Icon } from "../icon";

const ICONS: Readonly<Record<Issue["kind"], IconName>> = {
  flame: "flame",
  offline: "offline",
  quality: "warning",
  battery: "notice",
  clock: "notice",
};

export function issueText(issue: Issue, table: readonly Measurement[], now: number): string {
  switch (issue.kind) {
    case "flame":
      return t("issue.flame");
    case "offline":
      return issue.since === null ? t("issue.offline") : t("issue.offline.since", { time: formats.value.moment(issue.since, now) });
    case "quality": {
      const measurement = table.find(({ name }) => name === issue.field);
      return t("issue.quality", { field: measurement ? fieldLabel(measurement) : issue.field, flag: flagText(issue.flag, issue.field) });
    }
    case "battery":
      return t("issue.battery", { percent: formats.value.number(issue.percent) });
    case "clock":
      return t("issue.clock", { flag: flagText(issue.flag) });
  }
}

interface IssueListProps {
  readonly issues: readonly Issue[];
  readonly table: readonly Measurement[];
  readonly now: number;
  readonly limit?: number;
}

/** Each kind has its own icon, so that the list can be read without colours. */
export function IssueList({ issues, table, now, limit = Number.POSITIVE_INFINITY }: IssueListProps): JSX.Element | null {
  if (issues.length === 0) return null;
  const hidden = issues.length - limit;
  return (
    <ul class="issues">
      {issues.slice(0, limit).map((issue) => (
        <li key={issue.kind + ("field" in issue ? issue.field : "")} data-severity={issue.severity satisfies Severity}>
          <Icon name={ICONS[issue.kind]} />
          <span>{issueText(issue, table, now)}</span>
        </li>
      ))}
      {hidden > 0 && <li class="remaining">{t("issue.more", { count: hidden })}</li>}
    </ul>
  );
}
