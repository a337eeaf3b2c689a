"""The test page."""

from __future__ import annotations

import re

import orjson
from playwright.async_api import expect

from tests.page.conftest import Dashboard


async def test_tester_connects_by_each_transport_and_shows_events(dashboard: Dashboard) -> None:
    await dashboard.go("test")
    state = dashboard.page.locator(".state")
    await expect(state).to_have_text("Connected by websocket")
    await expect(dashboard.page.locator(".events li").filter(has_text="connectionInfo")).to_be_visible()
    await dashboard.post(deviceId="kitchen", temperature=21.5)
    heard = dashboard.page.locator(".events li").filter(has_text="sensorData")
    await expect(heard).to_contain_text('"temperature":21.5')
    await heard.locator("summary").click()
    await expect(heard.locator("pre")).to_contain_text('"deviceId": "kitchen"')
    await dashboard.page.get_by_role("button", name="Disconnect").click()
    await expect(state).to_have_text("Not connected")
    await dashboard.page.get_by_label("Transport").select_option("Long-polling only")
    await dashboard.page.get_by_role("button", name="Connect", exact=True).click()
    await expect(state).to_have_text("Connected by polling")


async def test_tester_shows_the_acknowledgement_of_the_bridge(dashboard: Dashboard) -> None:
    await dashboard.go("test")
    send, body = dashboard.page.get_by_role("button", name="Send"), dashboard.page.get_by_label("Body (JSON)")
    await expect(send).to_be_enabled()
    await body.fill('{"devices": ["attic"]}')
    await send.click()
    answer = dashboard.page.locator(".answer")
    await expect(answer).to_contain_text('"ok": true')
    await expect(answer).to_contain_text("Acknowledged after")
    await dashboard.post(deviceId="kitchen", temperature=1)
    await dashboard.post(deviceId="attic", temperature=2)
    await expect(dashboard.page.locator(".events li").filter(has_text="sensorData")).to_have_count(1)
    await body.fill('{"limit": -1}')
    await send.click()
    await expect(answer).to_contain_text("greater than or equal to 1")
    await body.fill("{")
    await send.click()
    await expect(dashboard.page.get_by_role("alert")).to_contain_text("Invalid JSON")
    await dashboard.page.get_by_label("Event").first.select_option("sendCommand")
    assert orjson.loads(await body.input_value())["command"] == "servo1"


async def test_tester_shows_latencies(dashboard: Dashboard) -> None:
    await dashboard.go("test")
    row = dashboard.page.locator(".latency tbody tr")
    taken = re.compile(r"\d ms")
    await expect(row.filter(has_text="Round trip")).to_contain_text(taken)  # connected: events from here on are received
    await dashboard.post(deviceId="kitchen", temperature=1)
    for name in ("Bridge to page", "Measurement to page"):
        await expect(row.filter(has_text=name)).to_contain_text(taken)
