"""Summaries by local days, also where the clocks change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api.readings.local_days import offset_spans
from bridge.core.rollup import DAY_MS
from tests.conftest import StartBridge

YEAR_2026_MS = 1_767_225_600_000
ZONES = ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "UTC")


@given(
    zone=st.sampled_from(ZONES),
    from_ms=st.integers(YEAR_2026_MS, YEAR_2026_MS + 400 * DAY_MS),
    length_ms=st.integers(0, 400 * DAY_MS),
)
def test_spans_cover_the_time_once_and_keep_their_offset(zone: str, from_ms: int, length_ms: int) -> None:
    at_ms = from_ms
    for span in offset_spans(ZoneInfo(zone), from_ms, from_ms + length_ms):
        assert span.from_ms == at_ms < span.to_ms
        for moment in (span.from_ms, (span.from_ms + span.to_ms) // 2, span.to_ms - 1):
            local = datetime.fromtimestamp(moment / 1000, UTC).astimezone(ZoneInfo(zone))
            assert local.utcoffset() == timedelta(milliseconds=span.offset_ms)
        at_ms = span.to_ms
    assert at_ms == from_ms + length_ms


Ask = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def ask(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Ask]:
    """`await ask(method, path, body)`: status and JSON of a bridge's answer."""
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge, aiohttp.ClientSession() as session:

        async def ask(method: str, path: str, body: object = None) -> tuple[int, Any]:
            data = None if body is None else orjson.dumps(body)
            json = {"Content-Type": "application/json"}
            async with session.request(method, f"http://127.0.0.1:{bridge.port}{path}", data=data, headers=json) as answer:
                return answer.status, orjson.loads(await answer.read())

        yield ask


async def test_days_begin_at_local_midnight_also_where_the_clocks_change(ask: Ask) -> None:
    moments = {
        "2026-03-28T22:30:00Z": 10.0,  # 23:30 on the 28th
        "2026-03-28T23:30:00Z": 20.0,  # 0:30 on the 29th, which has 23 hours
        "2026-03-29T21:30:00Z": 30.0,  # 23:30
        "2026-03-29T22:30:00Z": 40.0,  # 0:30 on the 30th
    }
    readings = [{"deviceId": "hall", "timestamp": at, "temperature": value} for at, value in moments.items()]
    assert (await ask("POST", "/api/v1/readings", readings))[0] in (200, 201)
    query = "/api/v1/readings?device=hall&fields=temperature&every=1d&from=2026-03-27T23:00:00Z"
    status, body = await ask("GET", f"{query}&timezone=Europe/Berlin")
    assert (status, body["every"]) == (200, "1d")
    days = [(day["timestamp"], day["count"], day["temperature"]["mean"]) for day in body["readings"]]
    assert days == [
        ("2026-03-27T23:00:00.000Z", 1, 10.0),
        ("2026-03-28T23:00:00.000Z", 2, 25.0),
        ("2026-03-29T22:00:00.000Z", 1, 40.0),
    ]
    _, body = await ask("GET", query)
    assert [day["timestamp"] for day in body["readings"]] == ["2026-03-28T00:00:00.000Z", "2026-03-29T00:00:00.000Z"]
    _, body = await ask("GET", f"{query.replace('every=1d', 'every=1h')}&timezone=Asia/Kathmandu")
    assert len(body["readings"]) == 4, "only days are local"


async def test_wrong_time_zone_is_named_in_the_answer(ask: Ask) -> None:
    query = "/api/v1/readings?every=1d&timezone="
    for zone, reason in (("Moon/Base&from=0", "is not a time zone"), ("../etc/passwd&from=0", "is not"), ("UTC", "needs from")):
        status, body = await ask("GET", query + zone)
        assert status == 400
        assert reason in str(body["errors"])


async def test_offset_whose_plus_was_not_escaped_is_explained(ask: Ask) -> None:
    query = "/api/v1/readings?every=1d&from=2026-03-27&timezone="
    status, body = await ask("GET", f"{query}+02:00")
    assert (status, body["errors"][0]["field"]) == (400, "timezone")
    assert body["errors"][0]["message"].endswith(
        "' 02:00' begins with a space: in a URL + is a space, write + as %2B, as in %2B02:00"
    )
    assert (await ask("GET", f"{query}%2B02:00"))[0] == 200
    status, body = await ask("GET", f"{query}%2B2500")
    assert (status, "'+2500' is not a time zone" in body["errors"][0]["message"]) == (400, True)
