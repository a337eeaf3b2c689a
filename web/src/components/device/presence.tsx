import type { JSX } from "preact";

import { t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { useDevice } from "../../app/context";

/** A filled dot, an empty one, or a dash; and the word. */
export function PresenceMark({ device }: { device: Device }): JSX.Element {
  useDevice(device);
  const { presence, status } = device;
  const word = status !== null && status !== presence ? status : t(`device.${presence}`);
  return <span class="presence" data-presence={presence}>{word}</span>;
}
