"""Messages of a device's socket: parsed once, and decoded as if they had been parsed again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from bson.objectid import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.decode import Decoder
from bridge.core.ledger import Ledger
from bridge.core.message import PARSED_LIMIT_BYTES, Decoded, Message, Rejection
from bridge.pipeline.intake import Intake
from bridge.realtime.device.messages import ROUTES, SocketOrigin
from tests.fakes import RecordingOrigin

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70).map(float) | st.integers(-300, 300) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
NAMES = st.sampled_from(("temperature", "co2", "values", "timestamp", "aqi", "odd", "id", "ok", "error", "deviceId"))


async def taken(device_id: str, body: dict[str, Any], *, ack: bool) -> Message:
    """The message that a socket puts into the intake."""
    intake = Intake(Ledger(), qos0_limit=1, batch_limit=1)
    origin = SocketOrigin(intake, 1, print, print)
    origin.put_ack(device_id, body) if ack else origin.put_telemetry(device_id, {}, body)
    (message,) = await anext(intake)
    return message


def decoded(message: Message) -> tuple[Decoded | tuple[object, ...], set[tuple[str, str]]]:
    decoder = Decoder(ROUTES, new_id=lambda: ObjectId(b"0" * 12))
    meaning = decoder.decode(message)
    if isinstance(meaning, Rejection):
        return (meaning.code, meaning.reason, meaning.field, meaning.quality), set(decoder.unknown_keys)
    return meaning, set(decoder.unknown_keys)


@settings(deadline=None)
@given(body=st.dictionaries(NAMES, JSON, min_size=1, max_size=6), ack=st.booleans())
async def test_a_parsed_body_decodes_as_its_payload_does(body: dict[str, Any], ack: bool) -> None:
    message = await taken("a", orjson.loads(orjson.dumps(body)), ack=ack)
    assert message.body == body
    without = Message(message.source, message.topic, message.payload, message.received_ms, RecordingOrigin())
    assert decoded(message) == decoded(without)


def test_telemetry_without_a_reading_is_recorded_and_not_put_into_the_intake() -> None:
    intake = Intake(Ledger(), qos0_limit=1, batch_limit=1)
    recorded: list[str] = []
    origin = SocketOrigin(intake, 1, print, lambda device_id, telemetry: recorded.append(f"{device_id} {telemetry.text}"))
    origin.put_telemetry("a", {"status": "ok"}, {})
    assert recorded == ['a {"status":"ok"}']
    assert not origin.full


@pytest.mark.parametrize("length", [PARSED_LIMIT_BYTES - 13, PARSED_LIMIT_BYTES - 12])
async def test_a_large_body_is_not_held_while_its_message_waits(length: int) -> None:
    message = await taken("a", {"values": "x" * length}, ack=False)
    assert (message.body is None) == (len(message.payload) > PARSED_LIMIT_BYTES)
    assert abs(len(message.payload) - PARSED_LIMIT_BYTES) <= 1
