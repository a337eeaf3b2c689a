"""The views of admins on a bridge with access required: people, keys, devices, subscriptions, storage and the quarantine."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests import running
from tests.access.parts import PASSWORD, Guarded, guarded
from tests.api.test_subscriptions import publish
from tests.page.conftest import LANGUAGES, expect_no_overflow, log_in
from tests.page.test_access import browser_context, expect_logged_in
from tests.page.test_accessibility import show, violations
from tests.servers import mosquitto, until

NEW_PASSWORD = "another pass phrase"
VIEWS = ("people", "keys", "devices", "subscriptions", "retention")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mosquitto(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(broker: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    """One bridge for all tests here: each has names of its own."""
    folder: Path = tmp_path_factory.mktemp("admin")
    async with guarded(running.start_bridge, broker, f"sqlite:///{folder}/bridge.db") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(shared_browser: Browser, site: Guarded) -> AsyncIterator[Page]:
    async with browser_context(shared_browser, site.base) as page:
        await log_in(page, "admin", PASSWORD)
        await expect_logged_in(page, "admin, admin")
        yield page


async def open_view(page: Page, site: Guarded, view: str) -> None:
    await show(page, f"{site.base}/#/admin/{view}")


def row(page: Page, text: str) -> Locator:
    return page.locator(".records tbody tr").filter(has_text=text)


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


async def test_person_is_added_changed_disabled_and_removed(page: Page, site: Guarded) -> None:
    await page.get_by_role("link", name="Admin").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("People")
    await expect(row(page, "admin").first).to_contain_text("you")
    await page.get_by_role("button", name="Add a person").click()
    await expect(dialog(page).get_by_label("Name")).to_be_focused()
    await dialog(page).get_by_label("Name").fill("Ann Smith")
    await dialog(page).get_by_label("Password", exact=True).fill(PASSWORD)
    await dialog(page).get_by_role("button", name="Add").click()
    await expect(dialog(page).get_by_role("alert")).to_contain_text("must be 1 to 64 characters of a-z")
    await dialog(page).get_by_label("Name").fill("ann")
    await dialog(page).get_by_label("Only some").check()
    await dialog(page).get_by_role("button", name="Add").click()
    await expect(dialog(page).get_by_role("alert")).to_contain_text("Name at least one site or device")
    await dialog(page).get_by_label("Devices by ID").fill("hall\nattic, left")
    await dialog(page).get_by_role("button", name="Add").click()
    await expect(page.locator(".outcome")).to_have_text("ann can log in now.")
    await expect(page.locator(".outcome")).to_be_focused()
    await expect(row(page, "ann")).to_contain_text("attic, left, hall")
    status, _, _ = await site.login("ann")
    assert status == 200

    await row(page, "ann").get_by_role("button", name="Edit").click()
    await dialog(page).get_by_label("operator").check()
    await dialog(page).get_by_label("All devices", exact=True).check()
    await dialog(page).get_by_role("button", name="Save").click()
    await expect(row(page, "ann")).to_contain_text(re.compile("operator.*All devices"))

    await row(page, "ann").get_by_role("button", name="Reset password").click()
    await dialog(page).get_by_label("New password").fill(NEW_PASSWORD)
    await dialog(page).get_by_role("button", name="Set password").click()
    await expect(page.locator(".outcome")).to_have_text("ann has a new password.")
    assert (await site.login("ann", NEW_PASSWORD))[0] == 200

    await row(page, "ann").get_by_role("button", name="Disable").click()
    await expect(dialog(page)).to_contain_text("Nothing is deleted")
    await dialog(page).get_by_role("button", name="Disable").click()
    await expect(row(page, "ann")).to_contain_text("disabled")
    status, problem, _ = await site.login("ann", NEW_PASSWORD)
    assert (status, problem["code"]) == (401, "disabled")
    await row(page, "ann").get_by_role("button", name="Enable").click()
    await expect(page.locator(".outcome")).to_have_text("ann can log in again.")

    await row(page, "ann").get_by_role("button", name="Remove").click()
    await expect(dialog(page).get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog(page)).to_have_count(0)
    await row(page, "ann").get_by_role("button", name="Remove").click()
    await dialog(page).get_by_role("button", name="Remove").click()
    await expect(page.locator(".outcome")).to_have_text("ann was removed.")
    await expect(row(page, "ann")).to_have_count(0)


async def test_last_admin_cannot_be_removed_and_the_dialog_says_why(page: Page, site: Guarded) -> None:
    await open_view(page, site, "people")
    admin = page.get_by_role("button", name="Remove: admin")
    await admin.click()
    await dialog(page).get_by_role("button", name="Remove").click()
    await expect(dialog(page).get_by_role("alert")).to_contain_text("create another admin first")
    await dialog(page).get_by_role("button", name="Cancel").click()
    await expect(admin).to_be_focused()


async def test_key_is_shown_once_replaced_and_revoked(page: Page, site: Guarded) -> None:
    await open_view(page, site, "keys")
    await page.get_by_role("button", name="Create a key").click()
    await dialog(page).get_by_label("Name").fill("grafana")
    await dialog(page).get_by_label("Expires").select_option("30")
    await dialog(page).get_by_role("button", name="Create").click()
    await expect(dialog(page)).to_contain_text("it is not shown again")
    first = await dialog(page).locator("code").inner_text()
    await dialog(page).get_by_role("button", name="I have stored it").click()
    await expect(row(page, "grafana")).to_contain_text("see readings and devices")
    assert first.removeprefix("sbk_")[17:] not in await page.content()
    assert await works(site, first)

    await row(page, "grafana").get_by_role("button", name="Replace").click()
    await dialog(page).get_by_role("button", name="Replace").click()
    await expect(dialog(page)).to_contain_text("it is not shown again")
    second = await dialog(page).locator("code").inner_text()
    await dialog(page).get_by_role("button", name="I have stored it").click()
    assert [await works(site, one) for one in (first, second)] == [False, True]

    await row(page, "grafana").get_by_role("button", name="Revoke").click()
    await expect(dialog(page)).to_contain_text("cannot be undone")
    await dialog(page).get_by_role("button", name="Revoke").click()
    await expect(page.locator(".outcome")).to_have_text("The key grafana was revoked.")
    assert not await works(site, second)


async def works(site: Guarded, key: str) -> bool:
    status, _, _ = await site.ask("GET", "/api/v1/devices", {"Authorization": f"Bearer {key}"})
    return status == 200


async def test_device_is_renamed_retired_returned_and_removed(page: Page, site: Guarded) -> None:
    await post(site, deviceId="loft", temperature=20)
    await open_view(page, site, "devices")
    await page.get_by_role("searchbox").fill("loft")
    await row(page, "loft").get_by_role("button", name="Edit").click()
    await dialog(page).get_by_label("Name").fill("Loft sensor")
    await dialog(page).get_by_label("Room").fill("Loft")
    await dialog(page).get_by_role("button", name="Save").click()
    await expect(row(page, "Loft sensor")).to_contain_text("loft")
    await row(page, "loft").get_by_role("button", name="Retire").click()
    await expect(dialog(page)).to_contain_text("also if it still measures smoke or gas")
    await dialog(page).get_by_role("button", name="Retire").click()
    retired = page.get_by_role("region", name="Retired devices")
    await expect(retired).to_contain_text("Loft sensor")
    _, device = await site.as_("admin", "GET", "/api/v1/devices/loft")
    assert "status" not in device
    assert "retiredAt" in device
    await show(page, f"{site.base}/#/")
    await expect(page.locator(".card").filter(has_text="Loft sensor")).to_have_count(0)
    await page.locator(".retired-devices summary").click()
    await page.get_by_role("link", name="Loft sensor").click()
    await expect(page.locator(".retired-note")).to_contain_text("Its history stays.")
    await open_view(page, site, "devices")
    await retired.get_by_role("button", name="Return: Loft sensor").click()
    await expect(retired).to_have_count(0)
    await page.get_by_role("searchbox").fill("loft")
    await row(page, "loft").get_by_role("button", name="Remove").click()
    await expect(dialog(page)).to_contain_text("Its readings stay in the store.")
    await dialog(page).get_by_role("button", name="Remove").click()
    await expect(page.locator(".outcome")).to_contain_text("was removed")
    assert (await site.as_("admin", "GET", "/api/v1/devices/loft"))[0] == 404
    _, found = await site.as_("admin", "GET", "/api/v1/readings?device=loft")
    assert len(found["readings"]) == 1


async def test_subscription_is_added_counts_messages_and_is_removed(page: Page, site: Guarded, broker: str) -> None:
    await open_view(page, site, "subscriptions")
    await page.get_by_role("button", name="Add a subscription").click()
    await dialog(page).get_by_label("Topic pattern").fill("bad/#/pattern")
    await dialog(page).get_by_role("button", name="Add").click()
    await expect(dialog(page).get_by_role("alert")).to_be_visible()
    await dialog(page).get_by_label("Topic pattern").fill("barn/{deviceId}/now")
    await dialog(page).get_by_role("button", name="Add").click()
    await expect(page.locator(".outcome")).to_have_text("The bridge reads barn/{deviceId}/now now.")
    for number in range(3):
        await publish(broker, {"barn/cow/now": {"temperature": number}})
    await expect(row(page, "barn/").locator(".figure").nth(1)).to_have_text("3")
    await expect(row(page, "barn/").locator(".figure").first).not_to_have_text(re.compile("^[–0]$"))
    await page.get_by_role("button", name="Remove: barn/{deviceId}/now").click()
    await dialog(page).get_by_role("button", name="Remove").click()
    await expect(row(page, "barn/")).to_have_count(0)


async def test_storage_shows_what_is_held_and_which_setting_changes_it(page: Page, site: Guarded) -> None:
    await post(site, deviceId="hall", temperature=20)
    await open_view(page, site, "retention")
    await expect(row(page, "Readings")).to_contain_text("store.retention_days")
    await expect(row(page, "Rejected messages")).to_contain_text("30 days")
    await expect(page.locator(".size")).to_contain_text("kB")


async def test_rejected_message_is_explained_applied_and_the_others_cleared(page: Page, site: Guarded, broker: str) -> None:
    """The wrong format is subscribed to: a proposal reads the message, once nothing stands in its way."""
    wrong = {"pattern": "cave/{deviceId}/data", "format": "senml"}
    _, added = await site.as_("admin", "POST", "/api/v1/subscriptions", wrong)
    await publish(broker, {"cave/bat/data": {"temperature": 9.5}})
    for _ in range(2):
        await post(site, status=422, deviceId="hall", colour="red")
    await post(site, status=422, temperature=20)
    await until(lambda: rejected(site, 4), what="four rejected messages")
    await show(page, f"{site.base}/#/health")
    said = page.locator(".rejected > [role=status]")
    message = page.locator(".rejected ol > li").filter(has_text="cave/bat/data")
    ask = message.get_by_role("button", name="What would read it?")
    await message.locator("summary").first.click()
    await ask.click()
    proposals = message.locator(".proposals")
    await expect(proposals).to_contain_text("The subscription cave/{deviceId}/data takes this topic first")
    await expect(proposals.locator("[data-best=true]")).to_contain_text("Temperature 9.5 °C")
    await expect(proposals.locator("[data-best=true] pre")).to_contain_text('{ pattern = "cave/{deviceId}/data", format = "')
    assert (await site.as_("admin", "DELETE", f"/api/v1/subscriptions/{added['id']}"))[0] == 204
    await ask.click()
    await ask.click()
    await proposals.locator("[data-best=true]").get_by_role("button", name="Subscribe and retry").click()
    await expect(said).to_have_text("Retried: 1 stored, 0 already stored, 0 still rejected.")
    await expect(message).to_have_count(0)
    _, found = await site.as_("admin", "GET", "/api/v1/readings?device=bat")
    assert found["readings"][0]["temperature"] == 9.5

    message = page.locator(".rejected ol > li").filter(has_text="colour").first
    await message.locator("summary").first.click()
    await message.get_by_role("button", name="Retry this one").click()
    await expect(said).to_contain_text("1 still rejected")
    await message.get_by_role("button", name="Clear this one").click()
    await dialog(page).get_by_role("button", name="Clear").click()
    await expect(said).to_have_text("1 message was deleted.")
    left = page.locator(".rejected ol > li").filter(has_text="colour")
    await expect(left).to_have_count(1)  # loaded after that, with the counts
    await page.get_by_role("button", name="Clear: no measurement").click()
    await expect(dialog(page)).to_contain_text("1 rejected message is deleted.")
    await dialog(page).get_by_role("button", name="Clear").click()
    await expect(page.get_by_role("button", name="Clear: no measurement")).to_have_count(0)
    await page.get_by_role("button", name="Clear all").click()
    await expect(dialog(page)).to_contain_text("Their payloads are lost")
    await dialog(page).get_by_role("button", name="Clear").click()
    await expect(page.locator(".rejected")).to_contain_text("None. Every message could be parsed.")


async def rejected(site: Guarded, count: int) -> bool:
    _, found = await site.as_("admin", "GET", "/api/v1/rejected")
    return len(found["messages"]) == count


async def test_everybody_changes_their_own_password_and_stays_logged_in(shared_browser: Browser, site: Guarded) -> None:
    assert (await site.as_("admin", "POST", "/api/v1/users", {"name": "bob", "password": PASSWORD}))[0] == 201
    _, other, _ = await site.login("bob")
    async with browser_context(shared_browser, site.base) as page:
        await log_in(page, "bob", PASSWORD)
        await expect_logged_in(page, "bob, viewer")
        await page.locator(".account summary").click()
        await page.get_by_role("button", name="Change password").click()
        await dialog(page).get_by_label("Current password", exact=True).fill("not the password")
        await dialog(page).get_by_label("New password").fill(NEW_PASSWORD)
        await dialog(page).get_by_role("button", name="Change password").click()
        await expect(dialog(page).get_by_role("alert")).to_contain_text("the current password is wrong")
        await dialog(page).get_by_label("Current password", exact=True).fill(PASSWORD)
        await dialog(page).get_by_role("button", name="Change password").click()
        await expect(dialog(page)).to_contain_text("Your other sessions have ended.")
        await dialog(page).get_by_role("button", name="Close").click()
        await expect(dialog(page)).to_have_count(0)
        await page.reload()
        await expect_logged_in(page, "bob, viewer")
    assert (await site.login("bob", NEW_PASSWORD))[0] == 200

    async def has_ended() -> bool:
        status, _, _ = await site.ask("POST", "/auth/refresh", body={"refresh_token": other["refresh_token"]})
        return status == 401

    await until(has_ended, what="the end of the other session")


async def test_views_are_hidden_from_those_who_may_not_use_them(shared_browser: Browser, site: Guarded) -> None:
    async with browser_context(shared_browser, site.base) as page:
        await log_in(page, "operator", PASSWORD)
        await expect(page.locator("nav a")).to_have_text(["Overview", "Compare", "Feed", "Health"])
        for view in VIEWS:
            await open_view(page, site, view)
            await expect(page.locator(".admin")).to_contain_text("You do not have permission to do this.")
            await expect(page.locator(".records")).to_have_count(0)


async def test_axe_finds_no_serious_violation_in_views_and_dialogs_of_admins(page: Page, site: Guarded) -> None:
    await site.as_("admin", "POST", "/api/v1/keys", {"name": "soon gone", "days": 1})
    for view in VIEWS:
        await open_view(page, site, view)
        await expect(page.locator(".records")).to_be_visible()
        assert await violations(page) == [], view
    for view, button in (("people", "Add a person"), ("keys", "Create a key"), ("people", "Remove: admin")):
        await open_view(page, site, view)
        await page.get_by_role("button", name=button).click()
        await expect(dialog(page)).to_be_visible()
        assert await violations(page) == [], button
        await page.keyboard.press("Escape")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_views_of_admins_fit_a_phone_in_every_language(shared_browser: Browser, site: Guarded, language: str) -> None:
    async with browser_context(shared_browser, site.base, locale=language, viewport={"width": 360, "height": 780}) as page:
        await log_in(page, "admin", PASSWORD)
        await expect(page.locator("main h1")).to_be_visible()
        for view in VIEWS:
            await open_view(page, site, view)
            await expect(page.locator(".records")).to_be_visible()
            await expect_no_overflow(page)
        await open_view(page, site, "people")
        await page.locator(".intro button").click()
        await expect(dialog(page)).to_be_visible()
        await expect_no_overflow(page)


async def post(site: Guarded, status: int = 201, **reading: object) -> None:
    answered, body = await site.as_("admin", "POST", "/api/v1/readings", reading)
    assert answered == status, body
