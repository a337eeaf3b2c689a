import type { JSX } from "preact";

import { useDevice, useStore } from "../../app/context";
import { t } from "../../i18n";
import type { Device } from "../../model/devices/device";

export function PresenceBadge({ device, isVisible }: { device: Device; isVisible?: boolean }): JSX.Element {
  useDevice(device, isVisible);
  if (device.isRetired) return <span class="presence" data-presence="unknown">{t("device.retired")}</span>;
  const presence = device.presence(useStore().bridgeNow());
  const text = presence === "online" && device.status !== null && device.status !== "online" ? device.status : t(`device.${presence}`);
  return <span class="presence" data-presence={presence}>{text}</span>;
}
