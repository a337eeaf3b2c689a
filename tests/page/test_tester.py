"""The test page, as somebody who writes a client uses it."""

from __future__ import annotations

import re

import orjson
from playwright.async_api import expect

from tests.page.conftest import Seen


async def test_it_connects_by_each_transport_and_shows_events_as_they_come(seen: Seen) -> None:
    await seen.go("test")
    state = seen.page.locator(".state")
    await expect(state).to_have_text("Connected by websocket")
    await expect(seen.page.locator(".events li").filter(has_text="connectionInfo")).to_be_visible()
    await seen.post(deviceId="kitchen", temperature=21.5)
    heard = seen.page.locator(".events li").filter(has_text="sensorData")
    await expect(heard).to_contain_text('"temperature":21.5')
    await heard.locator("summary").click()
    await expect(heard.locator("pre")).to_contain_text('"deviceId": "kitchen"')
    await seen.page.get_by_role("button", name="Disconnect").click()
    await expect(state).to_have_text("Not connected")
    await seen.page.get_by_label("Transport").select_option("Long-polling only")
    await seen.page.get_by_role("button", name="Connect", exact=True).click()
    await expect(state).to_have_text("Connected by polling")


async def test_what_is_said_is_acknowledged_in_the_words_of_the_bridge(seen: Seen) -> None:
    await seen.go("test")
    send, body = seen.page.get_by_role("button", name="Send"), seen.page.get_by_label("Body (JSON)")
    await expect(send).to_be_enabled()
    await body.fill('{"devices": ["attic"]}')
    await send.click()
    answer = seen.page.locator(".answer")
    await expect(answer).to_contain_text('"ok": true')
    await expect(answer).to_contain_text("Acknowledged after")
    await seen.post(deviceId="kitchen", temperature=1)
    await seen.post(deviceId="attic", temperature=2)
    await expect(seen.page.locator(".events li").filter(has_text="sensorData")).to_have_count(1)
    await body.fill('{"limit": -1}')
    await send.click()
    await expect(answer).to_contain_text("greater than or equal to 1")
    await body.fill("{")
    await send.click()
    await expect(seen.page.get_by_role("alert")).to_contain_text("Invalid JSON")
    await seen.page.get_by_label("Event").first.select_option("sendCommand")
    assert orjson.loads(await body.input_value())["command"] == "servo1"


async def test_it_says_how_long_things_take(seen: Seen) -> None:
    await seen.go("test")
    row = seen.page.locator(".latency tbody tr")
    taken = re.compile(r"\d ms")
    await expect(row.filter(has_text="Round trip")).to_contain_text(taken)  # connected: what comes from here on is heard
    await seen.post(deviceId="kitchen", temperature=1)
    for name in ("Bridge to page", "Measurement to page"):
        await expect(row.filter(has_text=name)).to_contain_text(taken)
