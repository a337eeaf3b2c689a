"""What each subscription brings in."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bridge.core.decode import Decoder, Route
from bridge.core.message import Message
from bridge.core.topic import TopicPattern
from bridge.devices.discovery.message_rates import MessageRates
from tests.fakes import RecordingOrigin


def route(pattern: str) -> Route:
    return Route(TopicPattern.parse(pattern))


def message(topic: str) -> Message:
    return Message("mqtt", topic, b'{"temperature": 1}', 1_767_000_000_000, RecordingOrigin())


def test_message_counts_for_the_first_route_that_matches() -> None:
    decoder = Decoder([route("a/{deviceId}"), route("+/{deviceId}")])
    for topic in ("a/x", "a/y", "b/x", "nowhere"):
        decoder.decode(message(topic))
    assert {text: count.messages for text, count in decoder.counts.items()} == {"a/{deviceId}": 2, "+/{deviceId}": 1}


def test_count_goes_on_when_other_routes_change_and_ends_with_its_own() -> None:
    decoder = Decoder([route("a/{deviceId}")])
    decoder.decode(message("a/x"))
    decoder.set_routes([route("a/{deviceId}"), route("b/{deviceId}")], {})
    decoder.decode(message("a/x"))
    assert decoder.counts["a/{deviceId}"].messages == 2
    decoder.set_routes([route("b/{deviceId}")], {})
    assert "a/{deviceId}" not in decoder.counts


def test_announced_topics_are_not_counted_one_by_one() -> None:
    decoder = Decoder([])
    decoder.set_routes([], {"single/topic": route("single/topic")})
    decoder.decode(message("single/topic"))
    assert decoder.counts == {}


async def test_rate_is_that_of_the_last_minute_and_unknown_at_first() -> None:
    seconds, decoder = [0.0], Decoder([route("a/{deviceId}")])
    rates = MessageRates(lambda: decoder.counts, lambda: seconds[0])
    assert rates.per_minute("a/{deviceId}") is None
    running = asyncio.create_task(rates.run())
    await asyncio.sleep(0)
    for _ in range(30):
        decoder.decode(message("a/x"))
    seconds[0] = 2.0
    assert rates.per_minute("a/{deviceId}") is None
    seconds[0] = 30.0
    assert rates.per_minute("a/{deviceId}") == 60
    assert (rates.messages("a/{deviceId}"), rates.per_minute("b")) == (30, 0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
