import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { App } from "../app/app";
import { t } from "../i18n";
import type { Route } from "../model/route";
import { link, parseRoute } from "../model/route";
import { Account } from "../components/layout/account-menu";
import { AlarmBanner, useAlarms } from "../components/layout/alarm-banner";
import { useApp } from "../app/context";
import { Foot } from "../components/layout/footer";
import type { IconName } from "../components/icon";
import { Icon } from "../components/icon";
import { lazy } from "../components/lazy";
import { LinkLine, LinkMark, NoticeLine } from "../components/layout/connection-status";
import { Mark } from "../components/layout/logo";
import { ThemeButton } from "../components/theme";
import { Overview } from "./overview";

const DeviceView = lazy(async () => (await import("./device")).DeviceView);
const FeedView = lazy(async () => (await import("./feed")).FeedView);
const HealthView = lazy(async () => (await import("./health")).HealthView);
const AuditView = lazy(async () => (await import("./audit")).AuditView);

const route = signal<Route>(parseRoute(location.hash));
addEventListener("hashchange", () => (route.value = parseRoute(location.hash)));

/** The frame around every view. */
export function Shell(): JSX.Element {
  const { access } = useApp();
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
      <header class="bar" data-crowded={access.door.value.kind === "in"}>
        <a class="brand" href="#/"><Mark /><span>{t("app.name")}</span></a>
        <Nav here={here} />
        <div class="tools">
          <LinkMark />
          <ThemeButton />
          <Account access={access} />
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
    case "audit":
      return <Audit />;
    case "nowhere":
      return <Nowhere text={t("app.nowhere")} />;
  }
}

function Audit(): JSX.Element {
  const app = useApp();
  if (isForAdmins(app)) return <AuditView />;
  return <Nowhere text={t(app.access.door.value.kind === "open" ? "app.nowhere" : "audit.notYours")} />;
}

function Nowhere({ text }: { text: string }): JSX.Element {
  return (
    <div class="waiting">
      <h1>{text}</h1>
      <p><a href="#/">{t("app.back")}</a></p>
    </div>
  );
}

/** While access is open nobody is known, so nothing that anybody does is written down. */
function isForAdmins({ access }: App): boolean {
  return access.door.value.kind === "in" && access.may("administer");
}

type Place = readonly [Route, IconName & Route["view"]];
const PLACES: readonly Place[] = [
  [{ view: "overview" }, "overview"],
  [{ view: "feed", device: "" }, "feed"],
  [{ view: "health" }, "health"],
];
const ADMINS_PLACES: readonly Place[] = [...PLACES, [{ view: "audit" }, "audit"]];

function Nav({ here }: { here: Route }): JSX.Element {
  const places = isForAdmins(useApp()) ? ADMINS_PLACES : PLACES;
  return (
    <nav aria-label={t("nav.label")}>
      {places.map(([place, name]) => (
        <a key={name} href={link(place)} aria-current={here.view === place.view ? "page" : undefined}>
          <Icon name={name} />
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
