"""The overview: whether data flows, cards, the table of devices, rooms and search."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import orjson
from playwright.async_api import Route, expect

from tests.page.conftest import Dashboard, expect_no_overflow
from tests.page.test_accessibility import violations

DEVICE_LIST = re.compile(r"/api/v1/devices(\?.*)?$")


async def register(dashboard: Dashboard, device_id: str, **attributes: object) -> None:
    async with dashboard.session.patch(f"{dashboard.base}/api/v1/devices/{device_id}", json=attributes) as answer:
        assert answer.status == 200, await answer.text()


async def post_rooms(dashboard: Dashboard) -> None:
    """Posts readings of seven devices in three rooms, of which one measures bad air."""
    for number, temperature in enumerate((21, 22.5, 24)):
        await dashboard.post(deviceId=f"desk{number}", temperature=temperature)
        await register(dashboard, f"desk{number}", site="Office", room="Open space")
    await dashboard.post(deviceId="meeting", temperature=20, humidity=50, co2=2600)
    await register(dashboard, "meeting", site="Office", room="Meeting")
    for name in ("attic", "cellar", "hall"):
        await dashboard.post(deviceId=name, humidity=40)
        await register(dashboard, name, site="Home", room="Home")


async def test_silence_of_all_devices_is_told_on_every_page_until_data_flows_again(dashboard: Dashboard) -> None:
    """The devices have not been heard for five minutes: the answer of the bridge is aged on its way."""
    page, status = dashboard.page, dashboard.page.locator(".connection")
    for name in ("kitchen", "attic"):
        await dashboard.post(deviceId=name, temperature=20)
    now = max(one["lastReading"]["receivedAt"] for one in await records(dashboard))

    async def age(route: Route) -> None:
        answer = await route.fetch()
        body = orjson.loads(await answer.body())
        for one in body["devices"]:
            one["interval"] = 5
            if one["lastReading"]["receivedAt"] <= now:
                one["lastReading"]["receivedAt"] = aged(now, minutes=5)
        await route.fulfill(response=answer, body=orjson.dumps(body))

    await page.route(DEVICE_LIST, age)
    await dashboard.go()
    await expect(status).to_have_text(re.compile(r"^No data for \d+ min$"))
    banner = page.get_by_role("region", name="What is wrong")
    for view in ("#/feed", "#/device/attic", "#/"):
        await page.evaluate("view => location.hash = view", view)
        await expect(banner).to_contain_text(
            re.compile("No data is coming in since.*Check that the devices have power", re.DOTALL)
        )
        await expect(page.locator("nav .badge")).to_have_text("1")
    for name in ("kitchen", "attic"):
        await dashboard.post(deviceId=name, temperature=21)
    await expect(status).to_have_text("Live")
    await expect(banner).to_have_count(0)
    await expect(page.locator("nav .badge")).to_have_count(0)


async def test_device_that_sent_once_becomes_inactive_and_its_old_values_say_so(dashboard: Dashboard) -> None:
    page = dashboard.page
    await dashboard.post(deviceId="once", temperature=20)

    async def age(route: Route) -> None:
        answer = await route.fetch()
        body = orjson.loads(await answer.body())
        for one in body["devices"]:
            old = aged(one["lastSeen"], minutes=30)
            one["lastSeen"] = one["lastReading"]["receivedAt"] = one["lastReading"]["timestamp"] = old
        await route.fulfill(response=answer, body=orjson.dumps(body))

    await page.route(DEVICE_LIST, age)
    await dashboard.go()
    await expect(dashboard.card("once").locator(".presence")).to_have_text("inactive")
    await expect(dashboard.card("once").locator(".value[data-old=true]")).to_contain_text("30")
    await expect(page.locator(".summary")).to_contain_text("1 device, 0 online")
    await expect(page.locator(".connection")).to_have_attribute("data-state", "quiet")
    await expect(page.locator(".trouble")).to_have_count(0)
    await page.unroute_all(behavior="wait")


async def test_cards_have_the_worrying_value_first_and_off_screen_their_text_but_no_charts(dashboard: Dashboard) -> None:
    page = dashboard.page
    await dashboard.post(deviceId="attic", temperature=20, humidity=103, pm25=5)
    for number in range(12):
        await dashboard.post(deviceId=f"device{number:02}", temperature=number, humidity=50)
    await page.set_viewport_size({"width": 360, "height": 640})
    await dashboard.go()
    first = dashboard.card("attic").locator(".value").first
    await expect(first.locator("dt")).to_have_text("Humidity")
    await expect(first).to_have_attribute("data-severity", "warning")
    await expect(first.locator("svg[data-icon=warning]")).to_have_count(1)
    last = dashboard.card("device11")
    await expect(last).not_to_be_in_viewport()
    await expect(last).to_contain_text(re.compile(r"online.*Temperature.*11\.0 °C.*Humidity.*50\.0", re.DOTALL))
    drawn = last.locator("canvas[width]")
    await expect(drawn).to_have_count(0)
    await last.scroll_into_view_if_needed()
    await expect(drawn).to_have_count(2)


async def test_table_lists_all_devices_sorted_by_any_column_as_the_address_says(dashboard: Dashboard) -> None:
    page = dashboard.page
    await post_rooms(dashboard)
    await dashboard.go()
    await page.get_by_role("button", name="Table", exact=True).click()
    table = page.get_by_role("table", name="Devices")
    await expect(table.get_by_role("columnheader")).to_have_text(
        [re.compile(text) for text in ("Device", "Room", "State", "Carbon dioxide.*ppm", "Temperature.*°C", "Humidity", "Age")]
    )
    await expect(page.locator("th[aria-sort]")).to_have_text(re.compile("State"))
    names = table.get_by_role("rowheader")
    await expect(names.first).to_have_text("meeting")
    await table.get_by_role("button", name="Temperature").click()
    await expect(page.locator("th[aria-sort=descending]")).to_have_text(re.compile("Temperature"))
    await expect(names).to_have_text(["desk2", "desk1", "desk0", "meeting", "attic", "cellar", "hall"])
    await table.get_by_role("button", name="Temperature").press("Enter")
    await expect(names).to_have_text(["meeting", "desk0", "desk1", "desk2", "attic", "cellar", "hall"])
    await expect(page).to_have_url(re.compile("view=table.*sort=temperature"))
    await expect(table.get_by_role("row").filter(has_text="meeting").locator(".value").first).to_have_attribute(
        "data-severity", re.compile("warning|alarm")
    )
    await page.set_viewport_size({"width": 360, "height": 780})
    assert await violations(page) == []
    await expect_no_overflow(page)
    await page.set_viewport_size({"width": 1280, "height": 780})
    await dashboard.go()  # the choice is remembered
    await page.reload()
    await expect(names.first).to_have_text("meeting")
    await page.keyboard.press("/")
    await page.keyboard.type("open")
    await expect(names).to_have_text(["desk0", "desk1", "desk2"])
    await page.get_by_role("button", name="Cards", exact=True).click()
    await expect(page.locator(".card h3")).to_have_text(["desk0", "desk1", "desk2"])


async def test_rooms_collapse_to_their_worst_state_and_mean_and_stay_so(dashboard: Dashboard) -> None:
    page = dashboard.page
    await post_rooms(dashboard)
    await dashboard.go()
    heading = page.get_by_role("heading", name="Open space").get_by_role("button")
    await expect(page.locator(".room").filter(has=heading).locator(".room-summary")).to_contain_text(
        "Temperature: mean 22.5 °C"
    )
    await heading.press("Enter")
    await expect(heading).to_have_attribute("aria-expanded", "false")
    await expect(dashboard.card("desk1")).to_have_count(0)
    assert await violations(page) == []
    meeting = page.get_by_role("heading", name="Meeting").get_by_role("button")
    await meeting.click()
    await page.reload()
    await expect(heading).to_have_attribute("aria-expanded", "false")
    await expect(page.locator(".room").filter(has=meeting).locator(".room-summary")).to_contain_text(
        re.compile("Carbon dioxide.*Carbon dioxide: 2,600 ppm", re.DOTALL)
    )
    await page.keyboard.press("/")
    await page.keyboard.type("desk1")
    await expect(dashboard.card("desk1")).to_be_visible()


async def records(dashboard: Dashboard) -> list[dict[str, Any]]:
    async with dashboard.session.get(f"{dashboard.base}/api/v1/devices") as answer:
        body: dict[str, list[dict[str, Any]]] = await answer.json()
        return body["devices"]


def aged(text: str, *, minutes: int) -> str:
    """A time of the bridge, so many minutes earlier."""
    earlier = datetime.fromisoformat(text) - timedelta(minutes=minutes)
    return earlier.isoformat(timespec="milliseconds").replace("+00:00", "Z")
