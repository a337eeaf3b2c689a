import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { t } from "../../i18n";
import { severityOfPriority } from "../../model/alarms/alarm";
import { severityOfOrder } from "../../model/devices/device-assessment";
import { issuesOf, severityRank } from "../../model/devices/issues";
import type { RankedDevice } from "../../model/devices/ranking";
import { Icon } from "../icon";
import { IssueList } from "./issue-list";
import { LevelBadge } from "./level";
import { PresenceBadge } from "./presence";

interface StateSummaryProps {
  readonly ranked: RankedDevice;
  readonly isVisible?: boolean;
}

/** The worst that is known of a device, in a few words: an alarm, an issue or an assessment; else whether it is online. */
export function StateSummary({ ranked: { device, alarm }, isVisible }: StateSummaryProps): JSX.Element {
  const store = useStore();
  const [issue] = issuesOf(device);
  const { worst } = store.assessment(device);
  const ofIssue = issue === undefined ? -1 : severityRank(issue.severity);
  const ofAir = worst === null || worst.level === 0 ? -1 : severityRank(severityOfOrder(worst.order));
  const severity = severityOfPriority(alarm);
  if (alarm !== null && severityRank(severity) > Math.max(ofIssue, ofAir)) {
    return (
      <p class="level" data-severity={severity}>
        <Icon name="alarms" />
        <span class="level-name">{t("room.value", { label: t("app.title.alarm"), value: t(`alarm.priority.${alarm}`) })}</span>
      </p>
    );
  }
  if (issue !== undefined && ofIssue >= ofAir) return <IssueList issues={[issue]} table={store.table.value} now={store.now.peek()} />;
  if (worst !== null) return <LevelBadge assessment={worst} />;
  return <PresenceBadge device={device} isVisible={isVisible ?? true} />;
}
