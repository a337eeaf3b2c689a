import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { t } from "../i18n";
import type { Route } from "../model/route";
import { link, parseRoute } from "../model/route";
import { AlarmBanner, useAlarms } from "../parts/alarm";
import { useApp } from "../parts/context";
import { Foot } from "../parts/foot";
import type { IconName } from "../parts/icon";
import { Icon } from "../parts/icon";
import { lazy } from "../parts/lazy";
import { LinkLine, LinkMark, NoticeLine } from "../parts/link";
import { Mark } from "../parts/mark";
import { ThemeButton } from "../parts/theme";
import { Overview } from "./overview";

const DeviceView = lazy(async () => (await import("./device")).DeviceView);
const FeedView = lazy(async () => (await import("./feed")).FeedView);
const HealthView = lazy(async () => (await import("./health")).HealthView);

const route = signal<Route>(parseRoute(location.hash));
addEventListener("hashchange", () => (route.value = parseRoute(location.hash)));

/** The frame around every view. */
export function Shell(): JSX.Element {
  const here = route.value;
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) {
      scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [link(here)]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{t("app.skip")}</a>
      <header class="bar">
        <a class="brand" href="#/"><Mark />{t("app.name")}</a>
        <Nav here={here} />
        <div class="tools">
          <LinkMark />
          <ThemeButton />
        </div>
      </header>
      <div class="lines">
        <AlarmBanner />
        <LinkLine />
        <NoticeLine />
      </div>
      <main id="main" tabIndex={-1} ref={main}>
        <View route={here} />
      </main>
      <Foot />
      <Title here={here} />
    </>
  );
}

function View({ route }: { route: Route }): JSX.Element {
  switch (route.view) {
    case "overview":
      return <Overview />;
    case "device":
      return <DeviceView key={route.id} id={route.id} />;
    case "feed":
      return <FeedView key={route.device} device={route.device} />;
    case "health":
      return <HealthView />;
    case "nowhere":
      return (
        <div class="waiting">
          <h1>{t("app.nowhere")}</h1>
          <p><a href="#/">{t("app.back")}</a></p>
        </div>
      );
  }
}

const PLACES: readonly (readonly [Route, IconName, "overview" | "feed" | "health"])[] = [
  [{ view: "overview" }, "overview", "overview"],
  [{ view: "feed", device: "" }, "feed", "feed"],
  [{ view: "health" }, "health", "health"],
];

function Nav({ here }: { here: Route }): JSX.Element {
  return (
    <nav aria-label={t("nav.label")}>
      {PLACES.map(([place, icon, name]) => (
        <a key={name} href={link(place)} aria-current={here.view === place.view ? "page" : undefined}>
          <Icon name={icon} />
          <span>{t(`nav.${name}`)}</span>
        </a>
      ))}
    </nav>
  );
}

/** Where one is, and an alarm wherever one is: the title is all that is seen of a page in the background. */
function Title({ here }: { here: Route }): null {
  const app = useApp();
  const alarms = useAlarms();
  const place = here.view === "device" ? app.device(here.id)?.name ?? here.id : here.view === "nowhere" ? "" : t(`nav.${here.view}`);
  const title = [alarms.length > 0 ? `(!) ${t("app.title.alarm")}` : "", place, t("app.name")].filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
  return null;
}
