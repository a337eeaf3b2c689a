import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { useApp, useStore } from "../app/context";
import type { AuthSession } from "../auth/session";
import type { IconName } from "../components/icon";
import { Icon } from "../components/icon";
import { AccountMenu } from "../components/layout/account-menu";
import { AlarmBanner, useBannerAlarms } from "../components/layout/alarm-banner";
import { AlarmBell, AlarmSpeech } from "../components/layout/alarm-bell";
import { ConnectionBanner, ConnectionStatus, HealthBanner, NoticeBanner } from "../components/layout/connection-status";
import { Footer } from "../components/layout/footer";
import { Logo } from "../components/layout/logo";
import { lazy } from "../components/lazy";
import { ThemeToggle } from "../components/theme";
import { t } from "../i18n";
import { allowedTabs, mayAdminister } from "../model/admin/sections";
import type { Route } from "../model/route";
import { hrefOf, parseRoute } from "../model/route";
import { OverviewPage } from "./overview";

const DevicePage = lazy(async () => (await import("./device")).DevicePage);
const FeedPage = lazy(async () => (await import("./feed")).FeedPage);
const DiscoveryPage = lazy(async () => (await import("./discovery")).DiscoveryPage);
const AlarmsPage = lazy(async () => (await import("./alarms")).AlarmsPage);
const HealthPage = lazy(async () => (await import("./health")).HealthPage);
const AdminPage = lazy(async () => (await import("./admin/admin")).AdminPage);
const AuditPage = lazy(async () => (await import("./audit")).AuditPage);

const route = signal<Route>(parseRoute(location.hash));
addEventListener("hashchange", () => (route.value = parseRoute(location.hash)));

/** The frame around every page. */
export function Shell(): JSX.Element {
  const { session } = useApp();
  const current = route.value;
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) {
      scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [hrefOf(current)]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{t("app.skip")}</a>
      <header class="bar" data-logged-in={session.state.value.kind === "loggedIn"}>
        <a class="brand" href="#/"><Logo /><span>{t("app.name")}</span></a>
        <Navigation current={current} />
        <div class="tools">
          <AlarmBell isCurrent={current.page === "alarms"} />
          <ConnectionStatus />
          <ThemeToggle />
          <AccountMenu session={session} />
        </div>
      </header>
      <AlarmSpeech />
      <div class="banners">
        <AlarmBanner isBrief={current.page === "alarms" && current.tab === "standing"} />
        <ConnectionBanner />
        <HealthBanner />
        <NoticeBanner />
      </div>
      <main id="main" tabIndex={-1} ref={main}>
        <Page route={current} />
      </main>
      <Footer />
      <Title current={current} />
    </>
  );
}

function Page({ route }: { route: Route }): JSX.Element {
  switch (route.page) {
    case "overview":
      return <OverviewPage />;
    case "device":
      return <DevicePage key={route.id} id={route.id} />;
    case "feed":
      return <FeedPage key={route.device} device={route.device} />;
    case "discovery":
      return <GuardedDiscoveryPage />;
    case "alarms":
      return <AlarmsPage tab={route.tab} />;
    case "health":
      return <HealthPage />;
    case "admin":
      return <AdminPage tab={route.tab} />;
    case "audit":
      return <GuardedAuditPage />;
    case "notFound":
      return <NotFound text={t("app.notFound")} />;
  }
}

function GuardedAuditPage(): JSX.Element {
  const { session } = useApp();
  if (mayAdminister(session)) return <AuditPage />;
  return <NotFound text={t(session.state.value.kind === "open" ? "app.notFound" : "audit.forbidden")} />;
}

function GuardedDiscoveryPage(): JSX.Element {
  const { session } = useApp();
  return mayDiscover(session) ? <DiscoveryPage /> : <NotFound text={t("discovery.forbidden")} />;
}

/** Topics belong to any device, so restricted users do not see them. */
function mayDiscover(session: AuthSession): boolean {
  return session.can("manage") && session.seesAllDevices;
}

function NotFound({ text }: { text: string }): JSX.Element {
  return (
    <div class="waiting">
      <h1>{text}</h1>
      <p><a href="#/">{t("app.back")}</a></p>
    </div>
  );
}

type NavigationItem = readonly [Route, IconName & Route["page"]];

function navigationItems(session: AuthSession): readonly NavigationItem[] {
  return [
    [{ page: "overview" }, "overview"],
    [{ page: "feed", device: "" }, "feed"],
    ...(mayDiscover(session) ? [[{ page: "discovery" }, "discovery"] as const] : []),
    [{ page: "health" }, "health"],
    ...(allowedTabs(session).length > 0 ? [[{ page: "admin", tab: null }, "admin"] as const] : []),
  ];
}

function Navigation({ current }: { current: Route }): JSX.Element {
  const items = navigationItems(useApp().session);
  return (
    <nav aria-label={t("nav.label")}>
      {items.map(([target, name]) => (
        <a key={name} href={hrefOf(target)} aria-current={isCurrent(target, current) ? "page" : undefined}>
          <Icon name={name} />
          <span>{t(`nav.${name}`)}</span>
        </a>
      ))}
    </nav>
  );
}

/** The audit log is among the views of admins. */
function isCurrent(target: Route, current: Route): boolean {
  return current.page === target.page || (target.page === "admin" && current.page === "audit");
}

/** The document title: the page, and an alarm, because the title is all that is visible of a background tab. */
function Title({ current }: { current: Route }): null {
  const store = useStore();
  const alarms = useBannerAlarms();
  const page =
    current.page === "device" ? store.device(current.id)?.name ?? current.id : current.page === "notFound" ? "" : t(`nav.${current.page}`);
  const title = [alarms.length > 0 ? `(!) ${t("app.title.alarm")}` : "", page, t("app.name")].filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
  return null;
}
