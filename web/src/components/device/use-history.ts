import { useEffect } from "preact/hooks";

import { hasHours } from "../../model/devices/assessment";
import type { Device } from "../../model/devices/device";
import { useApp } from "../../app/context";

/** While it is drawn, the device's last hour is read, and read anew when something was missed. */
export function useTrend(device: Device): void {
  const app = useApp();
  const [healed, table] = [app.healed.value, app.table.value];
  useEffect(() => app.wantTrend(device), [device, healed, table]);
}

/** While it is drawn, each hour that has ended is read, for what is judged by hours. */
export function useHours(device: Device): void {
  const app = useApp();
  const [healed, table, hour, isMeasured] = [app.healed.value, app.table.value, app.hour.value, hasHours(device)];
  useEffect(() => app.wantHours(device), [device, healed, table, hour, isMeasured]);
}
