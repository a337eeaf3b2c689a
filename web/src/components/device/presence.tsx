import type { JSX } from "preact";

import { useDevice } from "../../app/context";
import { t } from "../../i18n";
import type { Device } from "../../model/devices/device";

export function PresenceBadge({ device }: { device: Device }): JSX.Element {
  useDevice(device);
  const { presence, status } = device;
  if (device.isRetired) return <span class="presence" data-presence="unknown">{t("device.retired")}</span>;
  const text = status !== null && status !== presence ? status : t(`device.${presence}`);
  return <span class="presence" data-presence={presence}>{text}</span>;
}
