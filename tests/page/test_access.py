"""The page with authentication: login, renewal, logout, roles, and the audit log."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect
from pydantic import SecretStr

from bridge.app import Bridge
from bridge.settings import HttpSettings
from tests.access.parts import PASSWORD, Guarded, access_settings
from tests.conftest import StartBridge
from tests.page.conftest import LANGUAGES, expect_no_overflow, log_in
from tests.page.test_accessibility import violations
from tests.servers import until

DAY_SECONDS = 86_400
PAGES = (
    "#/", "#/device/hall", "#/feed", "#/discovery", "#/alarms", "#/health", "#/audit", "#/admin", "test", "api/docs",
    "offline.html", "examples/", "examples/socketio.html", "examples/topics.html", "examples/channels.html",
    "examples/device.html",
)  # fmt: skip


@asynccontextmanager
async def browser_context(browser: Browser, base: str, **context: Any) -> AsyncIterator[Page]:
    """A separate browser context on the login page. The test fails on JavaScript errors and policy violations."""
    apart = await browser.new_context(base_url=base, **context)
    wrong: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)

    apart.on("page", watch)
    page = await apart.new_page()
    await page.goto("/")
    try:
        yield page
    finally:
        await apart.close()
    assert wrong == []


async def expect_logged_in(page: Page, who: str, status: str = "Live") -> None:
    await expect(page.locator(".account summary")).to_have_accessible_name(f"Logged in as {who}")
    await expect(page.locator(".connection")).to_have_text(status)


async def log_out(page: Page) -> None:
    await page.locator(".account summary").click()
    await page.get_by_role("button", name="Log out").click()


async def test_login_and_logout_apply_to_every_tab(browser: Browser, made: Guarded) -> None:
    async with browser_context(browser, made.base) as page:
        await expect(page).to_have_title("Log in · Sensor Bridge")
        await expect(page.get_by_label("Name")).to_be_focused()
        button, alert = page.get_by_role("button", name="Log in"), page.get_by_role("alert")
        await page.route("**/auth/me", lambda route: route.fulfill(status=401, body="{}"))
        await log_in(page, "viewer", PASSWORD)
        await expect(alert).to_contain_text("cookies")
        await page.unroute("**/auth/me")
        await log_in(page, "viewer", "a wrong password")
        await expect(alert).to_have_text("Wrong name or password.")
        await expect(page.get_by_label("Password", exact=True)).to_be_focused()

        async def has_to_wait() -> bool:
            async with page.expect_response("**/auth/login") as answer:
                await button.click()
            return int((await answer.value).headers.get("retry-after", "0")) >= 4  # long enough to be seen

        await until(has_to_wait, what="a refusal of the login")
        await expect(alert).to_contain_text("Too many attempts")
        await expect(page.get_by_role("button", name="Try again in")).to_be_disabled()
        await expect(button).to_be_enabled()
        await log_in(page, "viewer", PASSWORD)
        await expect_logged_in(page, "viewer, viewer")
        await expect(page.locator("main")).to_be_focused()
        await expect(page.locator(".card")).to_have_count(5)
        await page.goto("/#/device/hall")
        await page.reload()
        await expect_logged_in(page, "viewer, viewer")
        another = await page.context.new_page()
        await another.goto("/test")
        await expect(another.locator(".state")).to_have_text("Connected by websocket")
        await log_out(page)
        for one in (page, another):
            await expect(one.locator(".session-end")).to_have_text("You are logged out.")
        assert [one["name"] for one in await page.context.cookies()] == []
        await log_in(page, "viewer", PASSWORD)
        await expect(page.get_by_role("heading", level=1)).to_have_text("hall")
        await expect(another.locator(".state")).to_have_text("Connected by websocket")


async def test_each_role_sees_only_the_controls_it_may_use(browser: Browser, made: Guarded) -> None:
    navigation = ["Overview", "Compare", "Feed", "Health"]
    send = "Send"

    async with browser_context(browser, made.base) as page:
        await log_in(page, "viewer", PASSWORD)
        await expect(page.locator("nav a")).to_have_text(navigation)
        await page.goto("/#/device/hall")
        await expect(page.locator(".commands")).to_contain_text("requires the operator")
        await expect(page.get_by_role("button", name=re.compile(f"{send}|Edit"))).to_have_count(0)
        await page.goto("/#/health")
        await expect(page.locator(".rejected")).to_contain_text("only admins")
        await page.goto("/#/audit")
        await expect(page.get_by_role("heading", level=1)).to_have_text("The audit log is for admins only.")
        _, found = await made.as_("admin", "GET", "/api/v1/audit?by=viewer&act=refused")
        assert found["acts"] == []

        assert (await made.as_("admin", "PATCH", "/api/v1/users/viewer", {"role": "operator"}))[0] == 200
        await expect(page.locator(".session-end")).to_contain_text("your account was changed")
        await log_in(page, "viewer", PASSWORD)
        await expect_logged_in(page, "viewer, operator")
        await page.goto("/#/device/hall")
        await page.get_by_role("combobox", name="Command").fill("on")
        await page.get_by_role("button", name=send).click()
        await page.get_by_role("button", name="Queue command").click()
        await expect(page.locator(".commands li")).to_contain_text("queued")
        await expect(page.get_by_role("button", name="Edit")).to_have_count(0)

    async with browser_context(browser, made.base) as page:
        await log_in(page, "one", PASSWORD)
        await expect(page.locator(".card h3")).to_have_text(["hall"])
        await page.locator(".account summary").click()
        await expect(page.locator(".account .menu")).to_contain_text("Limited to some devices and sites.")
        await page.keyboard.press("Escape")
        await expect(page.locator(".account .menu")).to_be_hidden()

    async with browser_context(browser, made.base) as page:
        await log_in(page, "admin", PASSWORD)
        await expect(page.locator("nav a")).to_have_text(["Overview", "Compare", "Feed", "Add", "Health", "Admin"])
        await page.goto("/#/device/hall")
        await page.get_by_role("button", name="Edit").click()
        await page.route(re.compile("/api/v1/devices/hall$"), lambda route: route.fulfill(status=403, body="{}"))
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert")).to_have_text("Not saved: You do not have permission to do this. Ask an admin.")


async def test_admin_pages_and_filters_the_audit_log(browser: Browser, made: Guarded) -> None:
    for number in range(60):
        assert (await made.as_("admin", "POST", "/api/v1/devices", {"id": f"room-{number}"}))[0] == 201
    await made.as_("viewer", "GET", "/api/v1/users")
    await until(lambda: audit_events(made, "?by=viewer&act=refused"), what="the last event in the audit log")
    async with browser_context(browser, made.base) as page:
        await log_in(page, "admin", PASSWORD)
        await page.get_by_role("link", name="Admin").click()
        await page.get_by_role("link", name="Audit").click()
        rows = page.locator(".records tbody tr")
        await expect(rows).to_have_count(50)
        await page.get_by_role("button", name="Older").click()
        await expect(rows.nth(70)).to_be_attached()
        shown = await rows.locator("td:nth-child(4)").all_text_contents()
        added = [one for one in shown if one.startswith("room-")]
        assert added == [f"room-{number}" for number in reversed(range(60))]
        await page.get_by_label("Action").first.select_option("Request refused")
        await page.get_by_label("Actor").fill("viewer")
        await expect(rows.locator("td")).to_have_text(
            [
                re.compile(r"\d\d:\d\d"),
                "viewer",
                re.compile("^Request refusedthis needs the right to administer"),
                "GET /api/v1/users",
                "127.0.0.1",
                re.compile("refused"),
            ]
        )
        await page.get_by_label("Target").fill("nothing like it")
        await expect(page.locator(".audit")).to_contain_text("No matching events")


async def test_session_is_renewed_on_open_connections_of_all_tabs_until_it_expires(
    browser: Browser, start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    """Tokens last 8 s, shorter than the settings allow, in a session of 28 s. Using a refresh token twice would end it.

    A token is renewed 2 s before its end or sooner: a machine that stands still for longer would end its connections.
    """
    short = {"token_seconds": 8.0, "refresh_days": 28 / DAY_SECONDS}
    access = access_settings(admin_password=SecretStr(PASSWORD)).model_copy(update=short)
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", access=access) as bridge,
        browser_context(browser, base_of(bridge)) as page,
    ):
        sockets: list[str] = []
        renewals: list[int] = []
        another = await page.context.new_page()
        for one in (page, another):
            one.on("websocket", lambda socket: sockets.append(socket.url))
            one.on("response", lambda answer: renewals.append(answer.status) if "/auth/refresh" in answer.url else None)
        await log_in(page, "admin", PASSWORD)
        await expect_logged_in(page, "admin, admin", "No data yet")
        await another.goto("/test")
        await until(lambda: renewals.count(200) >= 2 and len(sockets) == 2, what="two renewals with two tabs open")
        await post(bridge, deviceId="kitchen", temperature=21.5)
        await expect(page.locator(".card")).to_contain_text("21.5")
        await expect(another.locator(".events li").filter(has_text="sensorData")).to_be_visible()
        assert len(sockets) == 2
        for one in (page, another):
            await expect(one.locator(".session-end")).to_have_text("Your session has expired. Log in again to continue.")


async def test_open_page_asks_for_a_login_after_the_bridge_restarts_with_authentication(
    browser: Browser, start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int
) -> None:
    store, http = f"sqlite:///{tmp_path}/bridge.db", HttpSettings(port=port)
    async with start_bridge(broker_url, store, http=http) as bridge:
        context = await browser.new_context(base_url=base_of(bridge))
        page = await context.new_page()
        await page.goto("/#/feed")
        await expect(page.locator(".connection")).to_have_text("No data yet")
        await expect(page.locator(".account")).to_have_count(0)
    access = access_settings(admin_password=SecretStr(PASSWORD))
    async with start_bridge(broker_url, store, http=http, access=access):
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        await log_in(page, "admin", PASSWORD)
        await expect_logged_in(page, "admin, admin", "No data yet")
        await expect(page).to_have_title("Feed · Sensor Bridge")
        await context.close()


def base_of(bridge: Bridge) -> str:
    return f"http://127.0.0.1:{bridge.port}"


async def post(bridge: Bridge, **reading: object) -> None:
    given = {"username": "admin", "password": PASSWORD, "cookies": False}
    async with aiohttp.ClientSession(base_of(bridge)) as session:
        async with session.post("/auth/login", json=given) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post("/api/v1/readings", json=reading, headers=headers) as answer:
            assert answer.status == 201


async def test_setup_link_creates_the_first_admin_once(
    browser: Browser, start_bridge: StartBridge, broker_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", access=access_settings()) as bridge:
        (link,) = re.findall(r"/(#setup=\S+)", capsys.readouterr().err)
        async with browser_context(browser, base_of(bridge)) as page:
            await page.goto(f"/{link}")
            await expect(page.get_by_role("heading", name="Create the first admin")).to_be_visible()
            assert "setup" not in page.url
            await page.reload()
            await expect(page.get_by_label("Name", exact=True)).to_have_value("admin")
            password = page.get_by_label("Password", exact=True)
            await password.fill("short")
            await page.get_by_role("button", name="Set password").click()
            assert await password.evaluate("field => field.validity.tooShort")
            await page.get_by_label("Show password").check()
            await expect(password).to_have_attribute("type", "text")
            await password.fill(PASSWORD)
            await page.get_by_role("button", name="Set password").click()
            await expect_overview(page)
            await page.reload()
            await expect_overview(page)
            await page.goto("about:blank")
            await page.goto(f"/{link}")
            await expect_overview(page)
            assert "setup" not in page.url
            await log_out(page)
            await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
            await expect(page.get_by_label("Name", exact=True)).to_have_value("admin")
            await expect(page.get_by_label("Password", exact=True)).to_be_focused()
        async with browser_context(browser, base_of(bridge)) as page:
            await page.goto(f"/{link}")
            await page.get_by_label("Password", exact=True).fill("another password")
            await page.get_by_role("button", name="Set password").click()
            await expect(page.get_by_role("alert")).to_contain_text("This link has already been used")
            await page.get_by_role("button", name="Log in").click()
            await log_in(page, "admin", PASSWORD)
            await expect_logged_in(page, "admin, admin", "No data yet")


async def expect_overview(page: Page) -> None:
    await expect_logged_in(page, "admin, admin", "No data yet")
    await expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    assert page.url.endswith("/#/")


async def test_axe_finds_no_serious_violation_on_login_and_audit_pages(browser: Browser, made: Guarded) -> None:
    await made.as_("viewer", "GET", "/api/v1/users")
    async with browser_context(browser, made.base) as page:
        await expect(page.locator("main h1")).to_be_visible()
        assert await violations(page) == []
        await log_in(page, "admin", "a wrong password")
        await expect(page.get_by_role("alert")).to_be_visible()
        assert await violations(page) == []
        await log_in(page, "admin", PASSWORD)
        await page.get_by_role("link", name="Admin").click()
        await page.get_by_role("link", name="Audit").click()
        await page.locator(".account summary").click()
        await expect(page.locator(".records tr").first).to_be_visible()
        assert await violations(page) == []


async def audit_events(made: Guarded, query: str = "") -> list[Any]:
    """The audit log; an event appears in it within a second."""
    _, found = await made.as_("admin", "GET", f"/api/v1/audit{query}")
    return list(found["acts"])


@pytest.mark.parametrize("language", LANGUAGES)
async def test_login_and_audit_pages_fit_a_phone_in_every_language(browser: Browser, made: Guarded, language: str) -> None:
    async with browser_context(browser, made.base, locale=language, viewport={"width": 360, "height": 780}) as page:
        await expect(page.locator("main h1")).to_be_visible()
        await expect_no_overflow(page)
        await log_in(page, "admin", PASSWORD)
        await until(lambda: audit_events(made), what="an event in the audit log")
        await page.locator("nav a").last.click()
        await page.locator(".tabs a").last.click()
        await page.locator(".account summary").click()
        await expect(page.locator(".records tbody tr").first).to_be_visible()
        await expect_no_overflow(page)


async def test_every_page_works_under_its_content_security_policy(browser: Browser, made: Guarded) -> None:
    """`browser_context` fails the test on policy violations."""
    async with browser_context(browser, made.base) as page:
        await log_in(page, "admin", PASSWORD)
        await expect_logged_in(page, "admin, admin")
        for path in PAGES:
            await page.goto("about:blank")
            answer = await page.goto(f"/{path}")
            assert answer is not None
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            await expect(page.locator("h1").first).to_be_visible()
            if path in ("examples/socketio.html", "examples/topics.html", "examples/channels.html"):
                await expect(page.locator("#state")).to_have_class("connected")
        await page.goto("/examples/device.html")
        await page.get_by_role("button", name="Connect").click()
        await expect(page.locator("#state")).not_to_have_text("not connected")
