import { computed, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { useApp, useStore } from "../app/context";
import { scrollWhenTallEnough } from "../app/scroll";
import { viewAddress } from "../app/view-state";
import type { AuthSession } from "../auth/session";
import type { IconName } from "../components/icon";
import { Icon } from "../components/icon";
import { AccountMenu } from "../components/layout/account-menu";
import { AlarmBanner, useBannerAlarms } from "../components/layout/alarm-banner";
import { AlarmBell, AlarmSpeech } from "../components/layout/alarm-bell";
import { ConnectionBanner, ConnectionStatus, NoticeBanner, StatusSpeech, TroubleBanner } from "../components/layout/connection-status";
import { Footer } from "../components/layout/footer";
import { Logo } from "../components/layout/logo";
import { ShareButton } from "../components/layout/share-button";
import { SharedBanner } from "../components/layout/shared-banner";
import { UnitsMenu } from "../components/layout/units-menu";
import { PrintLine } from "../components/layout/print-line";
import { lazy } from "../components/lazy";
import { ThemeToggle } from "../components/theme";
import { fieldLabel, t } from "../i18n";
import { setBridgeUnits } from "../i18n/units";
import { allowedTabs, mayAdminister } from "../model/admin/sections";
import { findingSeverity } from "../model/bridge/health";
import type { Route } from "../model/route";
import { hrefOf, parseRoute } from "../model/route";
import { OverviewPage } from "./overview";

const DevicePage = lazy(async () => (await import("./device")).DevicePage);
const ComparePage = lazy(async () => (await import("./compare")).ComparePage);
const MeasurementPage = lazy(async () => (await import("./compare")).MeasurementPage);
const FeedPage = lazy(async () => (await import("./feed")).FeedPage);
const DiscoveryPage = lazy(async () => (await import("./discovery")).DiscoveryPage);
const AlarmsPage = lazy(async () => (await import("./alarms")).AlarmsPage);
const HealthPage = lazy(async () => (await import("./health")).HealthPage);
const AdminPage = lazy(async () => (await import("./admin/admin")).AdminPage);
const LinksPage = lazy(async () => (await import("./links")).LinksPage);
const AuditPage = lazy(async () => (await import("./audit")).AuditPage);

const address = viewAddress();
const route = computed<Route>(() => parseRoute(address.path.value));
history.scrollRestoration = "manual"; // the browser would scroll before the page is rendered

/** The frame around every page. */
export function Shell(): JSX.Element {
  const { session, store } = useApp();
  const current = route.value;
  const main = useRef<HTMLElement>(null);
  const { number, scrollY } = address.arrival.value;
  const path = address.path.value;
  const shown = useRef("");
  useEffect(() => {
    const [isFirst, isOther] = [shown.current === "", shown.current !== path];
    shown.current = path;
    if (isOther && !isFirst) main.current?.focus({ preventScroll: true });
    if (scrollY !== null) return scrollWhenTallEnough(scrollY);
    if (isOther && !isFirst) scrollTo(0, 0);
    return undefined;
  }, [number, path]);
  useSignalEffect(() => setBridgeUnits(store.table.value));
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{t("app.skip")}</a>
      <header class="bar" data-logged-in={session.state.value.kind === "loggedIn"}>
        <a class="brand" href="#/"><Logo /><span>{t("app.name")}</span></a>
        <Navigation current={current} />
        <PrintLine />
        <div class="tools">
          {session.sharedView === null && <AlarmBell isCurrent={current.page === "alarms"} />}
          <ConnectionStatus />
          {session.sharedView === null && <ShareButton route={current} />}
          <ThemeToggle />
          <AccountMenu session={session} />
        </div>
      </header>
      <AlarmSpeech />
      <StatusSpeech />
      <div class="banners">
        <AlarmBanner isBrief={current.page === "alarms" && current.tab === "standing"} />
        <TroubleBanner isBrief={current.page === "health"} />
        <ConnectionBanner />
        <SharedBanner session={session} />
        <NoticeBanner />
      </div>
      <main id="main" tabIndex={-1} ref={main}>
        <Page route={current} />
      </main>
      <Footer><UnitsMenu /></Footer>
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
    case "compare":
      return <ComparePage />;
    case "measurement":
      return <MeasurementPage key={route.name} name={route.name} />;
    case "feed":
      return <FeedPage />;
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
    case "links":
      return <GuardedLinksPage />;
    case "notFound":
      return <NotFound text={t("app.notFound")} />;
  }
}

function GuardedAuditPage(): JSX.Element {
  const { session } = useApp();
  if (mayAdminister(session)) return <AuditPage />;
  return <NotFound text={t(session.state.value.kind === "open" ? "app.notFound" : "audit.forbidden")} />;
}

function GuardedLinksPage(): JSX.Element {
  const { session } = useApp();
  if (mayAdminister(session)) return <LinksPage />;
  return <NotFound text={t(session.state.value.kind === "open" ? "app.notFound" : "links.forbidden")} />;
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
    [{ page: "compare" }, "compare"],
    [{ page: "feed" }, "feed"],
    ...(mayDiscover(session) ? [[{ page: "discovery" }, "discovery"] as const] : []),
    ...(session.sharedView === null ? [[{ page: "health" }, "health"] as const] : []),
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
          {name === "health" && <TroubleBadge />}
        </a>
      ))}
    </nav>
  );
}

/** The audit log and public links are among the views of admins. */
function isCurrent(target: Route, current: Route): boolean {
  return current.page === target.page || (target.page === "admin" && (current.page === "audit" || current.page === "links"));
}

/** The number of troubles of the bridge, beside the name of the page that explains them. */
function TroubleBadge(): JSX.Element | null {
  const troubles = useStore().troubles.value;
  const count = troubles.length;
  if (count === 0) return null;
  const priority = troubles.some((one) => findingSeverity(one) === "alarm") ? "high" : "medium";
  return (
    <>
      <span class="badge" data-priority={priority} aria-hidden="true">{count}</span>
      <span class="visually-hidden">{t("health.findings", { count })}</span>
    </>
  );
}

/** The document title: the page, and an alarm, because the title is all that is visible of a background tab. */
function Title({ current }: { current: Route }): null {
  const store = useStore();
  const alarms = useBannerAlarms();
  const measurement = current.page === "measurement" ? store.table.value.find(({ name }) => name === current.name) : undefined;
  const page = titleOf(current, store.device(current.page === "device" ? current.id : "")?.name, measurement && fieldLabel(measurement));
  const title = [alarms.length > 0 ? `(!) ${t("app.title.alarm")}` : "", page, t("app.name")].filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
  return null;
}

function titleOf(current: Route, device: string | undefined, measurement: string | undefined): string {
  switch (current.page) {
    case "device":
      return device ?? current.id;
    case "measurement":
      return measurement ?? current.name;
    case "notFound":
      return "";
    default:
      return t(`nav.${current.page}`);
  }
}
