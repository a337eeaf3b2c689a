import type { JSX } from "preact";

import { isCollapsed, setCollapsed } from "../../app/collapsed-rooms";
import { useStore } from "../../app/context";
import { fieldLabel, quantityText, t } from "../../i18n";
import { severityRank } from "../../model/devices/issues";
import type { RoomGroup } from "../../model/devices/ranking";
import { roomMean } from "../../model/devices/room-summary";
import { Card } from "../device/card";
import { StateSummary } from "../device/state-summary";
import { Icon } from "../icon";

interface RoomProps {
  readonly group: RoomGroup;
  /** Whether it is the only group: then it has a heading only if it has a name. */
  readonly isOnly: boolean;
  /** Whether devices are searched: then none is hidden. */
  readonly isFiltered: boolean;
}

/** The cards of one room under its heading, which collapses them. */
export function Room({ group, isOnly, isFiltered }: RoomProps): JSX.Element {
  const { site, room, devices } = group;
  const title = room || site || t("overview.noLocation");
  const hasHeading = Boolean(site || room) || !isOnly;
  const isOpen = isFiltered || !hasHeading || !isCollapsed(group);
  const attention = devices.filter(({ severity }) => severityRank(severity) >= severityRank("warning")).length;
  return (
    <section class="room" style={{ "--count": isOpen ? devices.length : 1 }} data-open={isOpen} aria-label={[site, title].filter(Boolean).join(", ")}>
      {hasHeading && (
        <header>
          <h2>
            <button type="button" aria-expanded={isOpen} disabled={isFiltered} onClick={() => setCollapsed(group, isOpen)}>
              <Icon name="forward" />
              {site && room && <span class="site">{site}</span>}
              <span>{title}</span>
              <span class="number">{devices.length}</span>
              {attention > 0 && <span class="visually-hidden">{t("overview.attention", { count: attention })}</span>}
            </button>
          </h2>
          {(!isOpen || devices.length > 1) && <RoomSummary group={group} />}
        </header>
      )}
      {isOpen && <ul class="cards">{devices.map((ranked) => <Card key={ranked.device.id} ranked={ranked} />)}</ul>}
    </section>
  );
}

/** The worst device's state, and the mean of the main measurement. */
function RoomSummary({ group: { devices } }: { readonly group: RoomGroup }): JSX.Element {
  const store = useStore();
  store.calm.value; // values change all the time
  const mean = roomMean(devices, store.table.value, store.bridgeNow());
  const [worst] = devices;
  return (
    <div class="room-summary">
      {worst && <StateSummary ranked={worst} />}
      {mean && (
        <p>
          {t(mean.count > 1 ? "room.mean" : "room.value", {
            label: fieldLabel(mean.measurement),
            value: quantityText(mean.value, mean.measurement.name, mean.measurement.unit),
          })}
        </p>
      )}
    </div>
  );
}
