import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { useApp } from "../app/context";
import { Wall } from "../app/wall";
import { Icon } from "../components/icon";
import { AlarmSpeech } from "../components/layout/alarm-bell";
import { ConnectionBanner, ConnectionStatus, StatusSpeech, TroubleBanner } from "../components/layout/connection-status";
import { WallAlarms } from "../components/wall/alarms";
import { Clock } from "../components/wall/clock";
import { WallControls, toggleFullScreen } from "../components/wall/controls";
import { Tile } from "../components/wall/tile";
import { t } from "../i18n";
import type { WallOptions } from "../model/wall/options";
import type { WallPage as Shown } from "../model/wall/wall-pages";
import { valuesPerTile } from "../model/wall/wall-pages";
import "../style/wall.css";

/** How long the controls are shown after somebody touched the page. */
const CONTROLS_MS = 6000;

interface WallPageProps {
  readonly base: URL;
  readonly options: WallOptions;
}

/** One room at a time, in type that can be read from three metres. */
export function WallPage({ base, options }: WallPageProps): JSX.Element {
  const app = useApp();
  const { store } = app;
  const wall = useMemo(() => new Wall(app, base, options), []);
  useEffect(() => wall.start(), []);
  const isUsed = useControls(wall);
  const current = wall.current.value;
  const title = `${t("wall.title")} · ${t("app.name")}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <div class="wall" data-used={isUsed} data-connected={store.connection.value.open} onClick={(event) => onTap(event.target)}>
      <AlarmSpeech />
      <StatusSpeech />
      <header>
        <h1>{current ? <Place page={current} /> : t("app.name")}</h1>
        <ConnectionStatus />
        <Clock />
      </header>
      <WallAlarms />
      <div class="banners">
        <ConnectionBanner />
        <TroubleBanner isBrief />
      </div>
      <main tabIndex={-1}>
        {current ? <Tiles key={current.key} page={current} /> : <p class="waiting">{t(store.loaded.value ? "wall.empty" : "overview.unknown")}</p>}
      </main>
      <footer>
        <Position wall={wall} />
        <WallControls wall={wall} />
      </footer>
    </div>
  );
}

function Place({ page: { site, room, part, parts } }: { readonly page: Shown }): JSX.Element {
  return (
    <>
      {site && room && <span class="site">{site} </span>}
      <span>{room || site || t("overview.noLocation")}</span>
      {parts > 1 && <span class="site"> {part}/{parts}</span>}
    </>
  );
}

function Tiles({ page: { devices } }: { readonly page: Shown }): JSX.Element {
  return (
    <ul class="wall-tiles" data-count={devices.length}>
      {devices.map((ranked) => <Tile key={ranked.device.id} ranked={ranked} limit={valuesPerTile(devices.length)} />)}
    </ul>
  );
}

/** Which of the rooms is shown, and why it stays. */
function Position({ wall }: { readonly wall: Wall }): JSX.Element {
  const [pages, current] = [wall.pages.value, wall.current.value];
  const reason = wall.isHeld.value ? "held" : wall.isPaused.value ? "paused" : null;
  return (
    <p class="wall-position">
      {pages.length > 1 && current && <span>{t("wall.position", { number: pages.indexOf(current) + 1, total: pages.length })}</span>}
      {reason && <span class="reason" data-reason={reason}><Icon name={reason === "held" ? "warning" : "pause"} />{t(`wall.${reason}`)}</span>}
    </p>
  );
}

/** Whether somebody uses the page: at first, and for a while after each movement. Handles the keys, too. */
function useControls(wall: Wall): boolean {
  const isUsed = useSignal(true);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const use = (): void => {
      clearTimeout(timer);
      isUsed.value = true;
      timer = setTimeout(() => (isUsed.value = false), CONTROLS_MS);
    };
    const onKey = (event: KeyboardEvent): void => {
      use();
      if (!event.altKey && !event.ctrlKey && !event.metaKey && !isControl(event.target) && onWallKey(wall, event.key)) event.preventDefault();
    };
    use();
    addEventListener("pointermove", use, { passive: true });
    addEventListener("pointerdown", use, { passive: true });
    addEventListener("keydown", onKey);
    return () => {
      clearTimeout(timer);
      removeEventListener("pointermove", use);
      removeEventListener("pointerdown", use);
      removeEventListener("keydown", onKey);
    };
  }, []);
  return isUsed.value;
}

/** Returns whether the key means something. */
function onWallKey(wall: Wall, key: string): boolean {
  if (key === "ArrowRight" || key === "ArrowLeft") wall.move(key === "ArrowRight" ? 1 : -1);
  else if (key === " ") wall.togglePause();
  else if (key === "f" || key === "F") toggleFullScreen();
  else return false;
  return true;
}

function onTap(target: EventTarget | null): void {
  if (document.fullscreenElement === null && !isControl(target)) toggleFullScreen();
}

function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("a, button, input, select") !== null;
}
