import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import type { Wall } from "../../app/wall";
import { t } from "../../i18n";
import { Icon } from "../icon";
import { SoundButton } from "../layout/sound-button";

/** Whether the page fills the screen, as far as the browser tells. */
export function useFullScreen(): boolean {
  const isFull = useSignal(document.fullscreenElement !== null);
  useEffect(() => {
    const update = (): void => {
      isFull.value = document.fullscreenElement !== null;
    };
    document.addEventListener("fullscreenchange", update);
    return () => document.removeEventListener("fullscreenchange", update);
  }, []);
  return isFull.value;
}

export function toggleFullScreen(): void {
  if (!document.fullscreenEnabled) return;
  const change = document.fullscreenElement === null ? document.documentElement.requestFullscreen({ navigationUI: "hide" }) : document.exitFullscreen();
  void change.catch(() => undefined);
}

/** Shown while somebody uses the page. */
export function WallControls({ wall }: { readonly wall: Wall }): JSX.Element {
  const isFull = useFullScreen();
  const isPaused = wall.isPaused.value;
  const hasSeveral = wall.pages.value.length > 1;
  const lock = wall.lock.state.value;
  return (
    <div class="wall-controls" role="toolbar" aria-label={t("wall.controls")}>
      {hasSeveral && <button type="button" onClick={() => wall.move(-1)}><Icon name="back" />{t("wall.previous")}</button>}
      {hasSeveral && (
        <button type="button" aria-pressed={isPaused} onClick={() => wall.togglePause()}>
          <Icon name={isPaused ? "play" : "pause"} />
          {t(isPaused ? "wall.resume" : "wall.pause")}
        </button>
      )}
      {hasSeveral && <button type="button" onClick={() => wall.move(1)}><Icon name="forward" />{t("wall.next")}</button>}
      <SoundButton />
      {document.fullscreenEnabled && <button type="button" onClick={toggleFullScreen}>{t(isFull ? "wall.window" : "wall.fullScreen")}</button>}
      <a href="./#/"><Icon name="overview" />{t("wall.leave")}</a>
      {lock !== "off" && <p class="lock" data-state={lock}>{t(`wall.lock.${lock}`)}</p>}
    </div>
  );
}
