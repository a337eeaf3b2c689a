"""Alarms on the page: the bell, the banner, the view with its actions, and the device page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.async_api import Browser, Locator, Page, Route, WebSocketRoute, expect

from bridge.alarms.record import AlarmRecord, AlarmState, Past
from bridge.alarms.rules import Priority
from tests.access.parts import PASSWORD, Guarded
from tests.page.conftest import LANGUAGES, Dashboard, close, expect_no_overflow, log_in
from tests.page.staged_alarms import MINUTE_MS, StagedAlarms, alarm, calm_kpis
from tests.page.test_accessibility import show, violations

TABS = ("#/alarms", "#/alarms/history", "#/alarms/hidden", "#/alarms/figures")
RETURNED, LATCHED, NORMAL = AlarmState.RETURNED, AlarmState.LATCHED, AlarmState.NORMAL


def now_ms() -> int:
    return round(time.time() * 1000)


def flood() -> Iterator[AlarmRecord]:
    """Twelve silent devices at a school, the first of them last in the list."""
    for number in range(12):
        one = alarm(f"n{number}", "no-data", f"d{number}", None, site="School", room=f"Room {number}", first=number == 11)
        yield replace(one, raised_ms=now_ms() - number * 1000)


def every_kind() -> StagedAlarms:
    at = now_ms()
    past = Past(at - 120 * MINUTE_MS, at - 80 * MINUTE_MS, 40)
    staged = StagedAlarms(
        [
            alarm("ceiling"),
            alarm("dose", "co-dose", state=AlarmState.ACKNOWLEDGED, acknowledged_by="ann", comment="Windows are open."),
            alarm("heat", "heat", "hall", 58.2, room="Hall"),
            alarm("gas", "ch4-high", "garage", 9100, state=RETURNED, cleared_ms=at - MINUTE_MS),
            alarm("flame", "flame", "kitchen", value=True, state=LATCHED, cleared_ms=at - MINUTE_MS),
            alarm("store", "store-unavailable", None, None, site=None, room=None),
            alarm("battery", "battery", "attic", 9, shelved_until_ms=at + 60 * MINUTE_MS),
            alarm("late", "co-ceiling", value=240, state=NORMAL, raised_ms=past.from_ms, cleared_ms=at, past=past),
            alarm("ended", "co2-work", "meeting", 5400, state=NORMAL, cleared_ms=at - MINUTE_MS, comment="Aired."),
            *flood(),
        ]
    )
    staged.kpis = calm_kpis()
    return staged


def item(page: Page, text: str) -> Locator:
    return page.locator(".alarm-item").filter(has_text=text)


async def test_bell_counts_unacknowledged_alarms_by_priority_on_every_view(dashboard: Dashboard) -> None:
    await every_kind().serve(dashboard.page)
    bell = dashboard.page.locator(".bell")
    for view in ("#/", "#/feed", "#/health", "#/device/nobody", "#/alarms"):
        await dashboard.go(view)
        await expect(bell).to_have_accessible_name(
            "Alarms not acknowledged: 2 critical alarms, 2 high alarms, 12 medium alarms"
        )
        await expect(bell.locator(".badge")).to_have_text(["2", "2", "12"])
    await dashboard.go()
    await bell.click()
    await expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("Alarms")
    await expect(bell).to_have_attribute("aria-current", "page")


async def test_bell_says_when_all_alarms_are_acknowledged(dashboard: Dashboard) -> None:
    await StagedAlarms([alarm("1", state=AlarmState.ACKNOWLEDGED)]).serve(dashboard.page)
    await dashboard.go()
    await expect(dashboard.page.locator(".bell")).to_have_accessible_name("Alarms: all acknowledged")


async def test_standing_alarms_are_by_priority_and_floods_are_one_entry(dashboard: Dashboard) -> None:
    page = dashboard.page
    await every_kind().serve(page)
    await dashboard.go("#/alarms")
    await expect(page.locator(".alarms h2")).to_have_text(["Critical 4", "High 2", "Medium 12"])
    group = page.locator(".alarm-group")
    await expect(group.locator("summary")).to_contain_text("12 alarms of this kind at School")
    await expect(group.locator("summary")).to_contain_text("First No data from Room 11, School")
    await expect(group.locator(".alarm-item")).to_have_count(0)
    await group.locator("summary").click()
    await expect(group.locator(".alarm-item")).to_have_count(12)
    await expect(group.locator(".alarm-item h3").first).to_have_text("No data from Room 11, SchoolFirst")
    await expect(group.locator(".alarm-item h3").nth(1)).to_have_text("No data from Room 0, School")
    await expect(page.locator(".alarms")).to_contain_text("1 alarm stands but is hidden.")


async def test_alarm_says_where_since_when_its_state_figures_and_what_to_do(dashboard: Dashboard) -> None:
    page = dashboard.page
    await dashboard.post(deviceId="boiler", temperature=20)
    await every_kind().serve(page)
    await dashboard.go("#/alarms")
    ceiling = item(page, "Carbon monoxide 212 ppm at Cellar, Home")
    for words in (
        "boiler Cellar, Home",
        "since",
        "not acknowledged",
        "peak 212 ppm, limit 200 ppm",
        "call the emergency services",
        "NIOSH",
    ):
        await expect(ceiling).to_contain_text(words)
    dose = item(page, "Carbon monoxide for too long")
    await expect(dose).to_contain_text("acknowledged by ann")
    await expect(dose.locator(".comment")).to_have_text("Windows are open.")
    await expect(item(page, "Methane")).to_contain_text("over, not acknowledged")
    await expect(item(page, "Flame detected")).to_contain_text("over, to be reset")
    await expect(item(page, "The store is unavailable")).to_contain_text("The bridge")
    await ceiling.get_by_text("What happened").click()
    await expect(ceiling.locator(".alarm-details")).to_contain_text("raised")
    await expect(ceiling.locator(".alarm-details")).to_contain_text("family: could not be notified no route to host")


async def test_one_alarm_is_acknowledged_or_reset_at_once(dashboard: Dashboard) -> None:
    page, staged = dashboard.page, every_kind()
    await staged.serve(page)
    await dashboard.go("#/alarms")
    await item(page, "Carbon monoxide 212 ppm").get_by_role("button", name="Acknowledge").click()
    await expect(item(page, "Carbon monoxide 212 ppm")).to_contain_text("acknowledged by ann")
    await item(page, "Flame detected").get_by_role("button", name="Reset").click()
    await expect(item(page, "Flame detected")).to_have_count(0)
    assert staged.asked == [("/ceiling/acknowledge", {}), ("/flame/reset", {})]
    await expect(page.locator(".bell .badge").first).to_have_text("1")


async def test_several_alarms_are_acknowledged_with_a_comment_and_refusals_are_shown(dashboard: Dashboard) -> None:
    page, staged = dashboard.page, every_kind()
    staged.refused["n3"] = "alarm n3 is acknowledged: only an unacknowledged one can be acknowledged"
    await staged.serve(page)
    await dashboard.go("#/alarms")
    await page.get_by_label("Select: 12 alarms of this kind at School").check()
    bar = page.get_by_role("group", name="12 selected")
    await bar.get_by_label("Comment").fill("The school has no power.")
    await bar.get_by_role("button", name="Acknowledge").click()
    await expect(page.get_by_role("alert")).to_contain_text("1 alarm was not changed:")
    await expect(page.get_by_role("alert")).to_contain_text("No data from Room 3, School: alarm n3 is acknowledged: only")
    await expect(page.get_by_role("group", name="1 selected")).to_be_visible()
    [(path, body)] = staged.asked
    assert path == "/acknowledge"
    assert body["comment"] == "The school has no power."
    assert sorted(body["ids"]) == sorted(one.id for one in flood())
    await expect(page.locator(".alarm-group summary")).to_contain_text("1 not acknowledged")


async def test_critical_alarm_is_shelved_for_eight_hours_at_most(dashboard: Dashboard) -> None:
    page, staged = dashboard.page, every_kind()
    await staged.serve(page)
    await dashboard.go("#/alarms")
    await page.get_by_label("Select: Heat: 58.2 °C at Hall, Home").check()
    times = page.get_by_label("Shelve for").locator("option")
    await expect(times).to_have_text(["1 hour", "8 hours", "1 day", "7 days"])
    await page.get_by_label("Select: Carbon monoxide 212 ppm at Cellar, Home").check()
    await expect(times).to_have_text(["1 hour", "8 hours"])
    await page.get_by_label("Shelve for").select_option("8 hours")
    await page.get_by_role("button", name="Shelve", exact=True).click()
    await expect(page.locator(".alarms")).to_contain_text("3 alarms stand but are hidden.")
    assert sorted(staged.asked) == [("/ceiling/shelve", {"seconds": 28_800}), ("/heat/shelve", {"seconds": 28_800})]

    await page.get_by_role("link", name="Shelved").first.click()
    await expect(page.locator(".alarm-item")).to_have_count(3)
    heat = item(page, "58.2 °C at Hall, Home")
    await expect(heat).to_contain_text("shelved until")
    await heat.get_by_role("button", name="Unshelve").click()
    await expect(page.locator(".alarm-item")).to_have_count(2)


async def test_error_of_the_bridge_is_shown(dashboard: Dashboard) -> None:
    page, staged = dashboard.page, StagedAlarms([alarm("1")])
    staged.refused["1"] = "alarm 1 is acknowledged: only an unacknowledged one can be acknowledged"
    await staged.serve(page)
    await dashboard.go("#/alarms")
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.get_by_role("alert")).to_contain_text("only an unacknowledged one can be acknowledged")


async def test_history_says_what_became_known_later_and_filters_by_priority(dashboard: Dashboard) -> None:
    page = dashboard.page
    await dashboard.post(deviceId="boiler", coPpm=3)
    await every_kind().serve(page)
    await dashboard.go("#/alarms/history")
    await expect(page.locator(".alarm-item h3")).to_have_text(
        [
            re.compile(r"^Carbon monoxide was above 200 ppm from [\d:]+ to [\d:]+ while the device was cut off$"),
            "Carbon dioxide 5,400 ppm over 15 minutes at Cellar, Home",
        ]
    )
    await expect(item(page, "5,400").locator(".facts")).to_contain_text("(2 min)")
    await expect(page.locator(".alarm-item input, .alarm-item button")).to_have_count(0)
    await page.get_by_label("Priority").select_option("High")
    await expect(page.locator(".alarm-item")).to_have_count(1)
    await page.get_by_label("Priority").select_option("Low")
    await expect(page.locator(".alarms")).to_contain_text("No ended alarm matches.")


async def test_figures_are_shown_with_their_targets(dashboard: Dashboard) -> None:
    await every_kind().serve(dashboard.page)
    await dashboard.go("#/alarms/figures")
    figures = dashboard.page.locator(".kpis > div")
    await expect(figures.filter(has_text="Most in any 10 minutes")).to_contain_text("14target: at most 10 (missed)")
    await expect(figures.filter(has_text="Share of time with a flood")).to_contain_text("0.4 %target: below 1 %")
    await expect(figures.filter(has_text="Half were acknowledged")).to_contain_text("1.6 min")
    await expect(figures.filter(has_text="Chattering")).to_contain_text("boiler: co2-air")


async def test_only_operators_can_act(browser: Browser, made: Guarded) -> None:
    for who, may in (("viewer", False), ("operator", True)):
        context = await browser.new_context(base_url=made.base)
        await StagedAlarms([alarm("1", device="hall"), alarm("2", "heat", "hall", 60)]).serve(context)
        page = await context.new_page()
        await page.goto("/#/alarms")
        await log_in(page, who, PASSWORD)
        await expect(page.locator(".alarm-item")).to_have_count(2)
        await expect(page.locator(".alarm-item").get_by_role("button", name="Acknowledge")).to_have_count(2 * may)
        await expect(page.get_by_role("checkbox")).to_have_count(2 * may)
        await expect(page.get_by_text("Acting on them requires the operator or admin role.")).to_have_count(1 - may)
        await close(context)


async def test_headline_counts_alarms_by_priority_and_says_when_some_may_be_missing(dashboard: Dashboard) -> None:
    page, staged = dashboard.page, every_kind()
    staged.is_catching_up = True
    await staged.serve(page)
    await dashboard.post(deviceId="hall", temperature=58.2)
    await dashboard.go()
    await expect(page.get_by_role("heading", level=1)).to_have_text("4 critical alarms")
    await expect(page.locator(".summary p")).to_contain_text("2 high alarms · 12 medium alarms · Alarms still being judged")
    await expect(dashboard.card("hall")).to_have_attribute("data-severity", "alarm")
    staged.records, staged.is_catching_up = {}, False
    await expect(page.get_by_role("heading", level=1)).to_have_text("No alarm")
    await expect(dashboard.card("hall")).to_have_attribute("data-severity", "none")


async def test_page_does_not_say_that_there_is_no_alarm_before_it_knows(dashboard: Dashboard) -> None:
    async def fail(route: Route) -> None:
        await route.fulfill(status=503, json={"detail": "the store is unavailable"})

    await dashboard.page.route(re.compile(r"/api/v1/alarms"), fail)
    await dashboard.page.route_web_socket(re.compile("socket.io"), _close)
    await dashboard.page.route(re.compile("/socket.io/"), _abort)
    await dashboard.post(deviceId="hall", temperature=20)
    await dashboard.go()
    await expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("Alarms not known yet")


async def test_banner_says_what_how_much_where_since_when_and_what_to_do(dashboard: Dashboard) -> None:
    page = dashboard.page
    await dashboard.post(deviceId="boiler", coPpm=230)
    await StagedAlarms(
        [alarm("1"), alarm("2", "battery", "attic", 9), alarm("3", "co2-work", value=5400, out_of_service=True)]
    ).serve(page)
    await dashboard.go()
    banner = page.locator(".alarm")
    for words in (
        "Carbon monoxide 212 ppm at Cellar, Home",
        "now 230 ppm",
        "boiler",
        "Open windows and doors on your way",
        "NIOSH Pocket Guide",
        "Not a life-safety device.",
    ):
        await expect(banner).to_contain_text(words)
    await expect(banner.locator(".since")).to_have_text(re.compile(r"^since [\d:]+ \(3m ago\)$"))
    await expect(banner.locator("li")).to_have_count(1)
    await expect(page).to_have_title(re.compile(r"^\(!\) Alarm"))


async def test_banner_names_the_most_urgent_and_counts_the_others(dashboard: Dashboard) -> None:
    heat = (alarm(f"h{number}", "heat", f"d{number}", 60, site=f"Site {number}") for number in range(4))
    await StagedAlarms([*heat, alarm("gas", "ch4-high", "garage", 9100, state=RETURNED), alarm("1")]).serve(dashboard.page)
    await dashboard.go()
    banner = dashboard.page.locator(".alarm")
    await expect(banner.locator("h2")).to_have_text("6 alarms")
    await expect(banner.locator("li")).to_have_count(5)
    await expect(banner.locator("li").last).to_have_text("and 2 more")
    await expect(banner).to_contain_text("over, not acknowledged, since")
    await expect(banner.locator(".advice")).to_have_count(2)


async def _close(route: WebSocketRoute) -> None:
    await route.close()


async def _abort(route: Route) -> None:
    await route.abort()


async def test_new_urgent_alarm_is_spoken_and_nothing_else(dashboard: Dashboard) -> None:
    page, staged = dashboard.page, StagedAlarms([alarm("old")])
    await staged.serve(page)
    await page.route_web_socket(re.compile("socket.io"), _close)  # a page that polls asks every few seconds
    await page.route(re.compile("/socket.io/"), _abort)
    await dashboard.go()
    spoken = page.locator("[aria-live=assertive]")
    await expect(page.locator(".connection")).to_have_attribute("data-transport", "http")
    await expect(spoken).to_have_text("")
    staged.put(alarm("battery", "battery", "attic", 9))
    await expect(page.locator(".bell .badge")).to_have_text(["1", "1"])
    await expect(spoken).to_have_text("")
    staged.put(alarm("gas", "ch4-high", "garage", 9100))
    await expect(spoken).to_have_text("Critical alarm: Methane 9,100 ppm at Cellar, Home.")
    await expect(page.locator(".alarm")).to_contain_text("Methane 9,100 ppm")


async def test_sound_is_off_until_it_is_turned_on_and_the_browser_remembers_it(dashboard: Dashboard) -> None:
    page = dashboard.page
    await page.add_init_script(
        "let sounds = 0; const start = OscillatorNode.prototype.start;"
        "OscillatorNode.prototype.start = function (at) {"
        "  document.documentElement.dataset.sounds = ++sounds; return start.call(this, at); };"
    )
    await StagedAlarms([alarm("1")]).serve(page)
    await dashboard.go()
    button = page.locator(".alarm .sound")
    await expect(button).to_have_text("Turn the alarm sound on")
    await expect(page.locator("html[data-sounds]")).to_have_count(0)
    await button.click()
    await expect(button).to_have_text("Turn the alarm sound off")
    await expect(page.locator("html")).to_have_attribute("data-sounds", re.compile("^[2-9]$"))  # again until acknowledged
    await page.reload()
    await expect(button).to_have_attribute("aria-pressed", "true")
    await page.mouse.click(5, 5)
    await expect(button).to_have_text("Turn the alarm sound off")
    await button.click()
    await page.reload()
    await expect(button).to_have_text("Turn the alarm sound on")
    await expect(button).to_have_attribute("aria-pressed", "false")


async def test_device_page_lists_its_alarms_and_draws_limits_and_the_dose(dashboard: Dashboard) -> None:
    page = dashboard.page
    for ppm in (120, 180, 230):
        await dashboard.post(deviceId="boiler", coPpm=ppm)
    await every_kind().serve(page)
    await dashboard.go("#/device/boiler")
    await expect(page.locator(".device-alarms h3")).to_have_text(
        ["Carbon monoxide 212 ppm at Cellar, Home", re.compile("Carbon monoxide for too long")]
    )
    chart = page.get_by_role("img", name=re.compile("Chart of Carbon monoxide"))
    await page.locator(".chart").filter(has_text="Carbon monoxide").scroll_into_view_if_needed()
    await expect(chart).to_have_accessible_name(re.compile("limit 200 ppm"))
    await expect(page.get_by_role("img", name=re.compile(r"^\d+ % of the dose at which a CO alarm sounds$"))).to_be_visible()
    await expect(page.locator(".dose")).to_have_text(re.compile(r"\d min left at this concentration$"))
    await page.locator(".device-alarms").get_by_role("button", name="Acknowledge").click()
    await expect(page.locator(".device-alarms").get_by_role("button", name="Acknowledge")).to_have_count(0)


async def test_rule_of_ones_own_is_shown_by_its_message_in_every_language(browser: Browser, dashboard: Dashboard) -> None:
    own = replace(
        alarm("1", "heat", "freezer", 4.5, priority=Priority.HIGH),
        rule="freezer",
        message="Freezer 4.5 °C",
        advice="Close its door.",
        standard="standard.later",
    )
    context = await browser.new_context(locale="ru")
    page = await context.new_page()
    await StagedAlarms([own, alarm("2")]).serve(page)
    await page.goto(f"{dashboard.base}/#/alarms")
    await expect(item(page, "Freezer 4.5 °C")).to_contain_text("Close its door.")
    await expect(item(page, "Freezer 4.5 °C")).to_contain_text("Стандарт, неизвестный этой странице")
    await expect(page.locator(".alarm-item h3").first).to_have_text("Угарный газ 212 млн⁻¹: Cellar, Home")
    await close(context)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_views_of_alarms_are_accessible_and_fit_a_phone(browser: Browser, dashboard: Dashboard, language: str) -> None:
    await dashboard.post(deviceId="boiler", coPpm=230)
    context = await browser.new_context(locale=language, viewport={"width": 360, "height": 780})
    await every_kind().serve(context)
    page = await context.new_page()
    for view in (*TABS, "#/", "#/device/boiler"):
        await show(page, f"{dashboard.base}/{view}")
        await expect(page.locator(f"main [aria-current=page][href='{view}']")).to_have_count(int(view in TABS))
        await expect(page.locator(".alarm h2")).to_be_visible()
        if view == "#/alarms":
            await page.locator(".alarm-item [type=checkbox]").first.check()
        assert await violations(page) == [], view
        await expect_no_overflow(page)
    await close(context)
