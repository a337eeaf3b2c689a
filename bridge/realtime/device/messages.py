"""What a device says on its socket, as messages of the intake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from bridge.core.decode import MessageKind, Route
from bridge.core.formats.json import json_format
from bridge.core.message import Decoded, Message, Outcome, Rejection, RejectionReason
from bridge.core.readings.fields import field_name
from bridge.core.topic import TopicPattern
from bridge.pipeline.intake import Intake

SOURCE = "device"
_TOPIC = "$device/"
_ACK = "/ack"
ROUTES = (
    Route(TopicPattern.parse(_TOPIC + "{deviceId}"), format=json_format),
    Route(TopicPattern.parse(_TOPIC + "{deviceId}" + _ACK), MessageKind.COMMAND_ACK),
)
"""For the decoder. No broker delivers such a topic to a subscription that does not begin with `$device`."""

IDS = ("device_id", "deviceId")
"""What a device calls its id."""


class SocketOrigin:
    """The way in from one socket. Nothing is acknowledged on the wire; what waits for the store is bounded."""

    def __init__(self, intake: Intake, limit: int, complain: Callable[[str], object]) -> None:
        """At most `limit` messages wait; `complain` tells the device what was wrong."""
        self._intake = intake
        self._complain = complain
        self._limit = limit
        self._waiting = 0
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        """As much waits as may wait."""
        return self._waiting >= self._limit

    def put_reading(self, device_id: str, body: Mapping[str, Any]) -> None:
        """One more message: measurements."""
        self._put(device_id, body)

    def put_ack(self, device_id: str, body: Mapping[str, Any]) -> None:
        """One more message: what became of a command."""
        self._put(device_id + _ACK, body)

    def _put(self, topic: str, body: Mapping[str, Any]) -> None:
        self._waiting += 1
        self._intake.put(Message(SOURCE, _TOPIC + topic, orjson.dumps(body), time.time_ns() // 1_000_000, self))

    def leave(self) -> None:
        """The device has gone: nobody is told what was wrong any more."""
        self._complain = _nobody

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:  # noqa: ARG002
        """One fewer waits. Of a confirmation that is none the device is told."""
        self._waiting -= 1
        self._room.set()
        if isinstance(meaning, Rejection) and meaning.code is RejectionReason.NO_COMMAND_ACK:
            self._complain(meaning.reason)

    async def until_room(self, seconds: float) -> None:
        """Wait until it is not full; raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while self.full:
                self._room.clear()
                await self._room.wait()


def split_telemetry(payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of telemetry is of a reading, and what of the device's state; the first is empty where nothing was measured."""
    measured = {name: value for name, value in payload.items() if _is_of_a_reading(name)}
    state = {name: value for name, value in payload.items() if name not in measured and name not in (*IDS, "type")}
    return (measured if any(map(_is_measured, measured)) else {}), state


def _is_of_a_reading(name: str) -> bool:
    return name == "values" or (len(name) <= 64 and field_name(name) not in (None, "deviceId"))


def _is_measured(name: str) -> bool:
    return name == "values" or field_name(name) not in ("timestamp", "aqiScale")


def _nobody(_: str) -> None:
    pass
