"""Notifications of the browser (Web Push) and the notice about the rules file, in the view Alarms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, expect
from pydantic import SecretStr

from bridge.alarms.rules_file.notify_settings import NotifySettings
from bridge.notify.merging import compose
from bridge.notify.planning import plan
from bridge.notify.web_push import push_content
from bridge.settings import AccessSettings, HttpSettings, StoreSettings
from bridge.settings.alarms import AlarmsSettings
from bridge.stores import open_store
from tests.access.parts import PASSWORD, Guarded, access_settings
from tests.access.test_push import TARGET
from tests.access.test_push import browser as subscription
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.notify.alarms import START, raised
from tests.page.conftest import LANGUAGES, expect_no_overflow, log_in
from tests.page.test_accessibility import violations
from tests.servers import until

ON = "This browser notifies you, also while the page is closed. Not a life-safety device."
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 860}

SUBSCRIBED = """
const made = (key) => ({
  options: { applicationServerKey: key.buffer },
  toJSON: () => (SUBSCRIPTION),
  unsubscribe: async () => (localStorage.removeItem("subscribed"), true),
});
PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
  localStorage.setItem("subscribed", applicationServerKey.join());
  return made(applicationServerKey);
};
PushManager.prototype.getSubscription = async () => {
  const key = localStorage.getItem("subscribed");
  return key ? made(Uint8Array.from(key.split(","), Number)) : null;
};
"""
"""Chromium subscribes at a push service of Google alone; this is its answer."""


class Alarmed:
    """A running bridge with a rules file."""

    def __init__(self, base: str, rules: Path, store_url: str) -> None:
        self.base = base
        self.rules = rules
        self._store_url = store_url

    async def users(self) -> list[str]:
        """Return the user of each stored subscription."""
        async with open_store(StoreSettings(url=SecretStr(self._store_url))) as store:
            return [one.user for one in await store.push.all(10)]

    @asynccontextmanager
    async def context(self, browser: Browser, *, granted: bool = True, **options: Any) -> AsyncIterator[BrowserContext]:
        """A browser with the permission to notify, and a push service."""
        context = await browser.new_context(base_url=self.base, **options)
        if granted:
            await context.grant_permissions(["notifications"], origin=self.base)
        await context.add_init_script(SUBSCRIBED.replace("SUBSCRIPTION", orjson.dumps(subscription()).decode()))
        yield context
        await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_browser() -> AsyncIterator[Browser]:
    """One that shows notifications."""
    async with chromium(whole=True) as browser:
        yield browser


@asynccontextmanager
async def alarmed(
    start_bridge: StartBridge,
    broker_url: str,
    folder: Path,
    rules: str = TARGET,
    access: AccessSettings | None = None,
    **http: Any,
) -> AsyncIterator[Alarmed]:
    file, store_url = folder / "alarms.toml", f"sqlite:///{folder}/bridge.db"
    file.write_text(rules)
    async with start_bridge(
        broker_url,
        store_url,
        alarms=AlarmsSettings(file=file),
        access=access or AccessSettings(),
        http=HttpSettings.model_validate({"port": 0, **http}),
    ) as bridge:
        yield Alarmed(f"http://127.0.0.1:{bridge.port}", file, store_url)


@pytest_asyncio.fixture(loop_scope="session")
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Alarmed]:
    async with alarmed(start_bridge, broker_url, tmp_path) as bridge:
        yield bridge


async def opened(context: BrowserContext, address: str = "/#/alarms") -> Page:
    page = await context.new_page()
    await page.goto(address)
    return page


def button(page: Page) -> Any:
    return page.locator("button.push")


def note(page: Page) -> Any:
    return page.locator(".push-note")


async def test_browser_is_subscribed_by_a_press_and_stays_so_until_it_is_turned_off(bridge: Alarmed, browser: Browser) -> None:
    async with bridge.context(browser) as context:
        await context.add_init_script(
            "const ask = Notification.requestPermission.bind(Notification);"
            "Notification.requestPermission = () => (document.documentElement.dataset.asked = 'yes', ask());"
        )
        page = await opened(context)
        await expect(button(page)).to_have_text("Notify this browser")
        await expect(page.locator("html[data-asked]")).to_have_count(0)
        await button(page).click()
        await expect(note(page)).to_have_text(ON)
        await expect(page.locator("html[data-asked]")).to_have_count(1)
        assert await bridge.users() == [""]
        await page.reload()
        await expect(button(page)).to_have_text("Stop notifying this browser")
        assert await bridge.users() == [""]
        await button(page).click()
        await expect(button(page)).to_have_text("Notify this browser")
        await until(lambda: no_users(bridge), 20, "the subscription to be removed")


async def no_users(bridge: Alarmed) -> bool:
    return await bridge.users() == []


async def test_subscription_is_of_the_user_and_ends_when_they_log_out(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, browser: Browser
) -> None:
    access = access_settings(admin_password=SecretStr(PASSWORD))
    async with alarmed(start_bridge, broker_url, tmp_path, access=access) as bridge, bridge.context(browser) as context:
        page = await opened(context)
        await log_in(page, "admin", PASSWORD)
        await button(page).click()
        await expect(note(page)).to_have_text(ON)
        assert await bridge.users() == ["admin"]
        await page.locator(".account summary").click()
        await page.get_by_role("button", name="Log out").click()
        await log_in(page, "admin", PASSWORD)
        await expect(button(page)).to_have_text("Notify this browser")
        assert await page.evaluate("localStorage.getItem('subscribed')") is None


async def test_failure_of_the_push_service_is_shown_and_can_be_tried_again(bridge: Alarmed, browser: Browser) -> None:
    context = await browser.new_context(base_url=bridge.base)
    await context.grant_permissions(["notifications"], origin=bridge.base)
    page = await opened(context)
    await button(page).click()
    await expect(note(page)).to_have_text(re.compile("^The browser could not subscribe to notifications: Registration failed"))
    await expect(button(page)).to_have_text("Notify this browser")
    await expect(button(page)).to_be_enabled()
    assert await bridge.users() == []


async def test_refusal_of_the_bridge_is_shown_in_its_words(bridge: Alarmed, browser: Browser) -> None:
    async with bridge.context(browser) as context:
        elsewhere = orjson.dumps(subscription(host="push.example.org")).decode()
        await context.add_init_script(SUBSCRIBED.replace("SUBSCRIPTION", elsewhere))
        page = await opened(context)
        await button(page).click()
        await expect(note(page)).to_contain_text("must be an https:// URL of a push service")
        await expect(button(page)).to_have_text("Notify this browser")


async def test_blocked_browser_is_told_what_to_do_and_page_follows_the_permission(bridge: Alarmed, browser: Browser) -> None:
    async with bridge.context(browser, granted=False) as context:
        page = await opened(context)
        await set_permission(page, "denied")
        await expect(note(page)).to_have_text(
            "Notifications are blocked. Allow them for this site in the settings of the browser."
        )
        await expect(button(page)).to_have_count(0)
        await set_permission(page, "granted")
        await expect(button(page)).to_have_text("Notify this browser")


async def set_permission(page: Page, setting: str) -> None:
    """Do what a user does in the settings of the browser."""
    debugger = await page.context.new_cdp_session(page)
    target = await debugger.send("Target.getTargetInfo")
    given = {"permission": {"name": "notifications"}, "setting": setting, "origin": page.url.partition("/#")[0]}
    await debugger.send("Browser.setPermission", given | {"browserContextId": target["targetInfo"]["browserContextId"]})


async def test_bridge_without_a_target_for_browsers_says_how_to_add_one(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, browser: Browser
) -> None:
    async with alarmed(start_bridge, broker_url, tmp_path, "") as bridge, bridge.context(browser) as context:
        page = await opened(context)
        await expect(note(page)).to_have_text(
            "No browser is notified: the rules file of the bridge needs a target with push = true."
        )
        await expect(button(page)).to_have_count(0)


async def test_page_without_https_says_that_it_needs_it(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with (
        alarmed(start_bridge, broker_url, tmp_path, hosts=["bridge.test"]) as bridge,
        chromium("--host-resolver-rules=MAP bridge.test 127.0.0.1") as browser,
    ):
        context = await browser.new_context(base_url=bridge.base.replace("127.0.0.1", "bridge.test"))
        page = await opened(context)
        await expect(note(page)).to_have_text("This browser cannot be notified: that needs https, or the address localhost.")


async def test_user_of_an_identity_provider_is_told_why_no_browser_is_notified(browser: Browser, made: Guarded) -> None:
    token = {"Authorization": f"Bearer {made.tokens['their boss']}"}
    context = await browser.new_context(base_url=made.base, extra_http_headers=token)
    page = await opened(context)
    await expect(note(page)).to_contain_text("your account is of an identity provider")
    await expect(button(page)).to_have_count(0)


async def test_message_of_the_bridge_is_shown_by_the_service_worker_and_a_press_on_it_opens_the_alarms(
    bridge: Alarmed, browser: Browser
) -> None:
    async with bridge.context(browser) as context:
        page = await opened(context, "/#/feed")
        await page.evaluate("window.isSamePage = true; navigator.serviceWorker.ready.then(() => null)")
        await page.wait_for_function("navigator.serviceWorker.controller?.state === 'activated'")
        debugger = await context.new_cdp_session(page)
        known: list[str] = []
        debugger.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda event: known.extend(one["registrationId"] for one in event["registrations"]),
        )
        await debugger.send("ServiceWorker.enable")
        await until(lambda: known, 20, "the service worker")
        browsers = NotifySettings(name="browsers", push=True)
        content = push_content(compose(plan([raised("kitchen")], [browsers], START))).decode()
        shown: list[tuple[int, list[Any]]] = []
        for data, count in ((content, 1), (content, 1), ("not JSON", 2)):
            before = max((at for at, _ in shown), default=0)
            sent = {"origin": bridge.base, "registrationId": known[0], "data": data}

            async def is_shown(count: int = count, before: int = before) -> bool:
                """A notification that replaces another is absent for a moment."""
                shown[:] = await page.evaluate(SHOWN)
                return len(shown) == count and max(at for at, _ in shown) > before

            await until_delivered(debugger, sent, is_shown)
        (_, alarm), (_, unreadable) = shown
        assert alarm == ["CRITICAL: Carbon monoxide 212 ppm at kitchen", True, "Not a life-safety device."]
        assert unreadable == ["An alarm has changed", False, "Open the page to see it. Not a life-safety device."]
        [worker] = context.service_workers
        await worker.evaluate(
            "async () => { const [notification] = await registration.getNotifications();"
            "  dispatchEvent(new NotificationEvent('notificationclick', { notification })); }"
        )
        await expect(page.get_by_role("heading", level=1)).to_have_text("Alarms")
        assert await page.evaluate("isSamePage")
        await until(lambda: number_shown(page, 1), 20, "one notification")


SHOWN = """
navigator.serviceWorker.ready.then((worker) => worker.getNotifications()).then((all) => all.map(
  (one) => [one.timestamp, [one.title, one.requireInteraction, one.body.split("\\n").at(-1)]]))
"""
"""When each notification was shown, and what it says."""


async def until_delivered(debugger: CDPSession, sent: dict[str, Any], is_shown: Callable[[], Awaitable[bool]]) -> None:
    """Deliver a message again if it is not shown, as a push service does: Chromium drops some that come by its debugger."""
    for seconds in (3, 6, 12):
        await debugger.send("ServiceWorker.deliverPushMessage", sent)
        with suppress(AssertionError):
            return await until(is_shown, seconds, "the message")
    raise AssertionError(f"not shown: {sent['data']}")


async def number_shown(page: Page, number: int) -> bool:
    return len(await page.evaluate(SHOWN)) == number


# --- the rules file ----------------------------------------------------------------------------------------------------

MISTAKES = {
    "en": "The rules file has an error; the previous rules stay in force:",
    "ru": "В файле правил есть ошибка; действуют прежние правила:",
    "es": "El archivo de reglas tiene un error; siguen en vigor las reglas anteriores:",
    "fr": "Le fichier de règles contient une erreur ; les règles précédentes restent en vigueur :",
    "de": "Die Regeldatei enthält einen Fehler; die bisherigen Regeln gelten weiter:",
}


async def test_mistakes_of_the_rules_file_are_shown_until_it_is_read_again_without(bridge: Alarmed, browser: Browser) -> None:
    async with bridge.context(browser) as context:
        page = await opened(context)
        await expect(button(page)).to_be_visible()
        await expect(page.locator(".rules-file")).to_have_count(0)
        bridge.rules.write_text("[rules.freezer]\nfield = 'temperature'\nabvoe = -15\n" + TARGET.replace("contact", "contcat"))
        assert (await context.request.post("/api/v1/alarms/rules/reload", data="")).status == 422
        await page.reload()
        notice = page.locator(".rules-file")
        await expect(notice.locator("p")).to_have_text(MISTAKES["en"])
        for words in (str(bridge.rules), "rules.freezer", "abvoe", "contcat"):
            await expect(notice.locator("pre")).to_contain_text(words)
        read_again = notice.get_by_role("button", name="Read the file again")
        bridge.rules.write_text("profile = 'hoem'\n")
        await read_again.click()
        await expect(notice.locator("pre")).to_contain_text("hoem")
        bridge.rules.write_text(TARGET)
        await read_again.click()
        await expect(notice).to_have_count(0)


async def test_only_those_who_manage_can_read_the_rules_file_again(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, browser: Browser
) -> None:
    access = access_settings(admin_password=SecretStr(PASSWORD))
    async with alarmed(start_bridge, broker_url, tmp_path, access=access) as bridge:
        bridge.rules.write_text("abvoe = 1\n")
        for name, may in (("admin", True), ("ann", False)):
            async with bridge.context(browser) as context:
                page = await opened(context)
                await log_in(page, name, PASSWORD)
                if may:
                    await expect(button(page)).to_be_visible()
                    user = {"name": "ann", "password": PASSWORD, "role": "viewer"}
                    headers = {"Origin": bridge.base}
                    assert (await context.request.post("/api/v1/users", data=user, headers=headers)).status == 201
                    assert (await context.request.post("/api/v1/alarms/rules/reload", headers=headers)).status == 422
                    await page.reload()
                await expect(page.locator(".rules-file pre")).to_contain_text("abvoe")
                await expect(page.locator(".rules-file button")).to_have_count(int(may))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_notes_and_switches_are_accessible_and_fit_a_phone(bridge: Alarmed, browser: Browser, language: str) -> None:
    for size in (PHONE, DESKTOP):
        async with bridge.context(browser, locale=language, viewport=size) as context:
            bridge.rules.write_text("abvoe = 1\n")
            assert (await context.request.post("/api/v1/alarms/rules/reload", data="")).status == 422
            page = await opened(context)
            await expect(page.locator(".rules-file p")).to_have_text(MISTAKES[language])
            await button(page).click()
            await expect(note(page).locator("p")).to_be_visible()
            assert await violations(page) == []
            await expect_no_overflow(page)
