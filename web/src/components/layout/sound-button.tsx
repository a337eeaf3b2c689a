import type { JSX } from "preact";

import { useApp } from "../../app/context";
import { t } from "../../i18n";
import { Icon } from "../icon";

/** Turns the sound of alarms on and off, in this browser. */
export function SoundButton(): JSX.Element {
  const { sound } = useApp();
  const state = sound.state.value;
  return (
    <button type="button" class="sound" aria-pressed={state !== "off"} data-state={state} onClick={() => sound.toggle()}>
      <Icon name={state === "on" ? "soundOn" : "soundOff"} />
      {t(`alarm.sound.${state}`)}
    </button>
  );
}
