import type { JSX } from "preact";

import { useDevice } from "../../app/context";
import { t } from "../../i18n";
import type { Device } from "../../model/devices/device";

/** The status in the device's own words. While the device is offline it is what the status was. */
export function ReportedStatus({ device, isVisible }: { device: Device; isVisible?: boolean }): JSX.Element | null {
  useDevice(device, isVisible);
  const status = device.record?.state.get("status");
  if (!status) return null;
  const isOver = device.isOffline;
  return <span class="reported" data-over={isOver}>{isOver ? t("device.was", { status }) : status}</span>;
}
