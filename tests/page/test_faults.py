"""Faults of sensors: on the device page and in the view of alarms, where they are no alarms."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from bridge.core.timestamp import iso
from tests.access.parts import PASSWORD, Guarded
from tests.page.conftest import LANGUAGES, Dashboard, close, expect_no_overflow, log_in
from tests.page.staged_alarms import StagedAlarms, alarm
from tests.page.staged_analysis import HOUR_MS, MINUTE_MS, StagedAnalysis, anomaly, drift, now_ms
from tests.page.test_accessibility import show, violations

STUCK = "Temperature has been exactly 21.4 °C for 24 hours."


def ended(number: str, hours: int, **over: Any) -> dict[str, Any]:
    """A warm-up that was over after an hour."""
    at = now_ms() - hours * HOUR_MS
    numbers = {"value": 31.4, "low": 18.2, "high": 24.5}
    over = {"kind": "warm-up", "key": "anomaly.warmUp", "parameters": numbers, "state": "ended", "outcome": "ended"} | over
    return anomaly(number, since=iso(at - HOUR_MS), endedAt=iso(at), **over)


def staged() -> StagedAnalysis:
    analysis = StagedAnalysis()
    analysis.put(
        anomaly("stuck"),
        drift("drift", since=iso(now_ms() - 27 * HOUR_MS)),
        ended("warm", 3),
        ended("new-level", 5, outcome="accepted"),
        ended("wrong", 9, state="wrong", outcome="wrong", markedBy="ann", comment="The window was open."),
        anomaly("elsewhere", "attic"),
    )
    return analysis


async def post_devices(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="office", co2=640, temperature=21.4)
    await dashboard.post(deviceId="hall", co2=760, temperature=20)
    async with dashboard.session.patch(f"{dashboard.base}/api/v1/devices/hall", json={"name": "Hall, upstairs"}) as answer:
        assert answer.status == 200


def fault(page: Page, text: str) -> Locator:
    return page.locator(".fault").filter(has_text=text)


async def test_device_page_has_the_standing_faults_and_below_them_the_ended(dashboard: Dashboard) -> None:
    page, analysis = dashboard.page, staged()
    await post_devices(dashboard)
    analysis.put(ended("long-ago", 40))
    await analysis.serve(page)
    await dashboard.go("#/device/office")
    health = page.get_by_role("region", name="Sensor health")
    await expect(health.locator(".fault h3")).to_have_text(
        [
            re.compile(f"^{re.escape(STUCK)}"),
            re.compile("^Carbon dioxide differs by −33.2 % from what Hall, upstairs in the same room suggests: 520 instead"),
            *[re.compile("^After a pause Temperature is 31.4 °C")] * 2,
            re.compile(f"^{re.escape(STUCK.split(' for')[0])}|^After a pause"),
        ]
    )
    await expect(fault(page, STUCK)).to_contain_text(re.compile(r"Stuck *since .+\(1d ago\)"))
    await expect(health.get_by_text("over, because it has become normal")).to_have_count(1)
    await expect(health.get_by_text("marked as wrong by ann")).to_have_count(1)
    await expect(health.get_by_text("“The window was open.”").or_(health.get_by_text("The window was open."))).to_have_count(1)
    await health.get_by_role("button", name="Show 1 more").click()
    await expect(health.locator(".fault")).to_have_count(6)


async def test_evidence_has_the_values_of_both_sensors_and_the_limit(dashboard: Dashboard) -> None:
    page = dashboard.page
    await post_devices(dashboard)
    await staged().serve(page)
    await dashboard.go("#/device/office")
    one = fault(page, "Carbon dioxide differs")
    await expect(one.locator("table")).to_be_hidden()
    await one.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(one).to_contain_text("Limit: a sum of 15 standard deviations; reached: 17.4")
    await expect(one.locator("th")).to_have_text(["Time", "Carbon dioxide (ppm)", "Hall, upstairs, for comparison"])
    await expect(one.locator("tbody tr")).to_have_count(5)
    await expect(one.locator("tbody tr").last.locator("td")).to_have_text([re.compile(r"\d"), "540", "759"])


async def test_fault_is_marked_as_wrong_after_a_question(dashboard: Dashboard) -> None:
    page, analysis = dashboard.page, staged()
    await post_devices(dashboard)
    await analysis.serve(page)
    await dashboard.go("#/device/office")
    one = fault(page, STUCK)
    await one.get_by_role("button", name=f"This is wrong: {STUCK}").click()
    await expect(one.get_by_label("Comment (optional)")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(one.locator("form")).to_have_count(0)
    await expect(one.get_by_role("button", name="This is wrong")).to_be_focused()
    await page.keyboard.press("Enter")
    await one.get_by_label("Comment (optional)").fill("  The room is heated to it.  ")
    assert analysis.marked == []
    await one.get_by_role("button", name="Mark as wrong").click()
    await expect(fault(page, STUCK).filter(has_text="marked as wrong by ann")).to_contain_text("The room is heated to it.")
    await expect(fault(page, STUCK).get_by_role("button", name="This is wrong")).to_have_count(0)
    assert analysis.marked == [("stuck", {"comment": "The room is heated to it."})]


async def test_refusal_is_shown_and_the_fault_stays(dashboard: Dashboard) -> None:
    page, analysis = dashboard.page, staged()
    analysis.refusal = (409, "anomaly stuck has ended")
    await post_devices(dashboard)
    await analysis.serve(page)
    await dashboard.go("#/device/office")
    one = fault(page, STUCK)
    await one.get_by_role("button", name="This is wrong").click()
    await one.get_by_role("button", name="Mark as wrong").click()
    await expect(one.get_by_role("alert")).to_have_text("Not marked: anomaly stuck has ended")


async def test_only_operators_can_mark_faults_as_wrong(browser: Browser, made: Guarded) -> None:
    for who, may in (("viewer", False), ("operator", True)):
        context = await browser.new_context(base_url=made.base)
        analysis = StagedAnalysis()
        analysis.put(anomaly("stuck", "hall"))
        await analysis.serve(context)
        page = await context.new_page()
        await page.goto("/#/device/hall")
        await log_in(page, who, PASSWORD)
        await expect(page.locator(".fault")).to_have_count(1)
        await expect(page.get_by_role("button", name="This is wrong")).to_have_count(1 * may)
        await close(context)


async def test_changes_are_shown_as_they_happen(dashboard: Dashboard) -> None:
    page, analysis = dashboard.page, StagedAnalysis()
    await post_devices(dashboard)
    await analysis.serve(page)
    await dashboard.go("#/device/office")
    await expect(page.locator(".connection")).to_have_text("Live")
    await expect(page.locator(".sensor-health")).to_have_count(0)
    analysis.put(anomaly("stuck"))
    analysis.send("anomaly", analysis.anomalies["stuck"])
    await expect(fault(page, STUCK)).to_have_count(1, timeout=15_000)
    analysis.put(analysis.anomalies["stuck"] | {"state": "ended", "outcome": "ended", "endedAt": iso(now_ms())})
    analysis.send("anomaly", analysis.anomalies["stuck"])
    await expect(page.locator(".sensor-health")).to_contain_text("No sensor fault stands.", timeout=15_000)
    await expect(fault(page, STUCK)).to_contain_text("over")


async def test_alarms_view_lists_faults_below_the_alarms_and_filters_them(dashboard: Dashboard) -> None:
    page = dashboard.page
    await post_devices(dashboard)
    await StagedAlarms([alarm("1"), alarm("2", "battery", "attic", 9)]).serve(page)
    await staged().serve(page)
    await dashboard.go("#/alarms")
    await expect(page.locator(".alarms h2")).to_have_text(["Critical 1", "Low 1", "Sensor faults 3"])
    await expect(page.get_by_role("link", name="office")).to_have_count(2)
    await page.get_by_role("button", name="Sensor faults").click()
    await expect(page.locator(".alarms h2")).to_have_text(["Sensor faults 3"])
    await page.get_by_role("button", name="Alarms", exact=True).click()
    await expect(page.locator(".alarms h2")).to_have_text(["Critical 1", "Low 1"])


async def test_faults_are_in_no_badge_title_headline_or_banner(dashboard: Dashboard) -> None:
    page, analysis = dashboard.page, staged()
    await post_devices(dashboard)
    await StagedAlarms([]).serve(page)
    await analysis.serve(page)
    await dashboard.go("#/alarms")
    await expect(page.locator(".fault")).to_have_count(3)
    analysis.send("anomaly", analysis.anomalies["stuck"])
    analysis.send("alert", analysis.anomalies["stuck"])
    await expect(page.locator(".bell")).to_have_accessible_name("Alarms: all acknowledged")
    await expect(page.locator(".badge, .alarm, .alarm-item")).to_have_count(0)
    await expect(page).to_have_title("Alarms · Sensor Bridge")
    await show(page, f"{dashboard.base}/#/")
    await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("All is well|No alarm"))


async def test_history_has_ended_faults_page_by_page(dashboard: Dashboard) -> None:
    page, analysis = dashboard.page, staged()
    analysis.page_size = 4
    await post_devices(dashboard)
    await analysis.serve(page)
    await dashboard.go("#/alarms/history")
    await expect(page.locator(".fault")).to_have_count(0)
    await page.get_by_role("button", name="Sensor faults").click()
    await expect(page.locator(".fault")).to_have_count(3)
    analysis.put(*[ended(f"old-{hours}", hours) for hours in range(30, 34)])
    await page.get_by_role("button", name="Alarms", exact=True).click()
    await page.get_by_role("button", name="Sensor faults").click()
    await page.get_by_role("button", name="Older").click()
    await page.get_by_role("button", name="Older").click()
    await expect(page.locator(".fault")).to_have_count(7)
    await expect(page.locator(".fault").get_by_role("button")).to_have_count(0)


async def test_failure_to_load_is_said(dashboard: Dashboard) -> None:
    await post_devices(dashboard)
    await dashboard.page.route(
        re.compile("/api/v1/anomalies"), lambda route: route.fulfill(status=503, json={"detail": "the store is unavailable"})
    )
    await dashboard.go("#/alarms")
    await expect(dashboard.page.get_by_role("alert")).to_have_text(
        "The sensor faults could not be loaded: the store is unavailable"
    )


@pytest.mark.parametrize("language", LANGUAGES)
async def test_faults_are_accessible_and_fit_a_phone_in_every_language(
    browser: Browser, dashboard: Dashboard, language: str
) -> None:
    await post_devices(dashboard)
    context = await browser.new_context(locale=language, viewport={"width": 360, "height": 780})
    await staged().serve(context)
    page = await context.new_page()
    for view, faults in (("#/device/office", 5), ("#/alarms", 3)):
        await show(page, f"{dashboard.base}/{view}")
        await expect(page.locator(".fault")).to_have_count(faults)
        await expect(page.locator(".fault h3").filter(has_text="{")).to_have_count(0)
        for summary in await page.locator(".evidence summary").all():
            await summary.click()
        await page.locator(".mark-wrong").first.click()
        assert await violations(page) == [], view
        await expect_no_overflow(page)
    await context.close()


def test_staged_times_are_in_order() -> None:
    """The stage itself: an ended fault is older than what stands."""
    one = ended("1", 3)
    assert one["since"] < one["endedAt"] < iso(now_ms() - MINUTE_MS)
