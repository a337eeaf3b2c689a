import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { t } from "../i18n";
import type { Route } from "../model/route";
import { link, parseRoute } from "../model/route";
import { AlarmBanner, useAlarms } from "../parts/alarm";
import { useApp } from "../parts/context";
import type { IconName } from "../parts/icon";
import { Icon } from "../parts/icon";
import { LanguageChoice } from "../parts/language";
import { lazy } from "../parts/lazy";
import { LinkLine, LinkMark, NoticeLine } from "../parts/link";
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

function Foot(): JSX.Element {
  return (
    <footer class="foot">
      <p>{t("app.disclaimer")}</p>
      <ul aria-label={t("foot.label")}>
        <li><a href="test">{t("foot.test")}</a></li>
        <li><a href="examples/">{t("foot.examples")}</a></li>
        <li><a href="api/docs">{t("foot.docs")}</a></li>
      </ul>
      <LanguageChoice />
    </footer>
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

function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M5 21.5h22M7.5 21.5a8.5 8.5 0 0 1 17 0M16 13v8.5M11 14.6v6.9M21 14.6v6.9" />
    </svg>
  );
}
