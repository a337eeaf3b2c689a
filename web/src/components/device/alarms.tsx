import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { AlarmOperator } from "../../app/alarm-operator";
import { useApp } from "../../app/context";
import { t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { ActionBar } from "../alarms/action-bar";
import { AlarmItem } from "../alarms/alarm-item";
import { errorText } from "../error-text";
import "../../style/alarms.css";

/** The alarms that stand at the device, hidden ones included. Empty without any. */
export function DeviceAlarmPanel({ device }: { device: Device }): JSX.Element | null {
  const app = useApp();
  const operator = useMemo(() => new AlarmOperator(app, errorText), [device]);
  const alarms = useComputed(() => app.store.alarms.value.filter(({ deviceId }) => deviceId === device.id)).value;
  if (alarms.length === 0 && operator.refused.value.length === 0) return null;
  return (
    <section class="panel device-alarms" aria-labelledby="device-alarms-title">
      <h2 id="device-alarms-title">{t("alarms.title")}</h2>
      <ul class="alarm-items">{alarms.map((one) => <AlarmItem key={one.id} alarm={one} operator={operator} showsDevice={false} />)}</ul>
      <ActionBar alarms={alarms} operator={operator} />
    </section>
  );
}
