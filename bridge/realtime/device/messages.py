"""Telemetry and acknowledgements from a device's socket, as messages of the intake."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from bridge.core.decode import MessageKind, Route
from bridge.core.devices.device import Telemetry
from bridge.core.formats.json import json_format
from bridge.core.message import PARSED_LIMIT_BYTES, Decoded, Message, Outcome, Rejection, RejectionReason
from bridge.core.readings.extraction import field_name
from bridge.core.topic import TopicPattern
from bridge.pipeline.intake import Intake

SOURCE = "device"
_READINGS, _ACKS = "$device/", "$device-ack/"
ROUTES = (
    Route(TopicPattern.parse(_READINGS + "{deviceId...}"), format=json_format),
    Route(TopicPattern.parse(_ACKS + "{deviceId...}"), MessageKind.COMMAND_ACK),
)
"""Routes for the decoder. A broker delivers no topic that begins with `$` to a subscription that begins with a wildcard."""

IDS = ("device_id", "deviceId")
"""The keys under which a device may send its id."""


class SocketOrigin:
    """The origin of one socket's messages. Nothing is acknowledged to the device; unsettled messages are bounded."""

    def __init__(
        self,
        intake: Intake,
        limit: int,
        send_error: Callable[[str], object],
        record_telemetry: Callable[[str, Telemetry], object],
    ) -> None:
        """At most `limit` messages are unsettled; `send_error` sends an error to the device.

        `record_telemetry` is called with each telemetry message, if it has a reading once that is settled.
        """
        self._intake = intake
        self._send_error = send_error
        self._record_telemetry = record_telemetry
        self._limit = limit
        self._unsettled: deque[tuple[str, Telemetry | None]] = deque()
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        return len(self._unsettled) >= self._limit

    def put_telemetry(self, device_id: str, body: Mapping[str, Any], reading: Mapping[str, Any]) -> None:
        """Put the reading of a telemetry message, which may be empty, and record the whole message."""
        telemetry = Telemetry(orjson.dumps(body).decode(), time.time_ns() // 1_000_000, time.monotonic_ns())
        if reading:
            self._put(_READINGS, device_id, reading, telemetry)
        else:
            self._record_telemetry(device_id, telemetry)

    def put_ack(self, device_id: str, body: Mapping[str, Any]) -> None:
        self._put(_ACKS, device_id, body)

    def _put(self, prefix: str, device_id: str, body: Mapping[str, Any], telemetry: Telemetry | None = None) -> None:
        self._unsettled.append((device_id, telemetry))
        payload = orjson.dumps(body)
        at_ms = time.time_ns() // 1_000_000 if telemetry is None else telemetry.at_ms
        message = Message(SOURCE, prefix + device_id, payload, at_ms, self)
        if len(payload) <= PARSED_LIMIT_BYTES:
            message.body = body
        self._intake.put(message)

    def leave(self) -> None:
        """Send no more errors: the device has disconnected."""
        self._send_error = _ignore

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:  # noqa: ARG002
        """Count a message as settled, and tell the device if it was an invalid acknowledgement."""
        device_id, telemetry = self._unsettled.popleft()
        if telemetry is not None:
            self._record_telemetry(device_id, telemetry)
        self._room.set()
        if isinstance(meaning, Rejection) and meaning.code is RejectionReason.NO_COMMAND_ACK:
            self._send_error(meaning.reason)

    async def until_room(self, seconds: float) -> None:
        """Wait until fewer than `limit` messages are unsettled. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while self.full:
                self._room.clear()
                await self._room.wait()


def split_telemetry(payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split telemetry into the fields of a reading and the device's state. The reading is empty without a measurement."""
    measured = {name: value for name, value in payload.items() if _is_of_a_reading(name)}
    state = {name: value for name, value in payload.items() if name not in measured and name not in (*IDS, "type")}
    return (measured if any(map(_is_measured, measured)) else {}), state


def _is_of_a_reading(name: str) -> bool:
    return name == "values" or (len(name) <= 64 and field_name(name) not in (None, "deviceId"))


def _is_measured(name: str) -> bool:
    return name == "values" or field_name(name) not in ("timestamp", "aqiScale")


def _ignore(_: str) -> None:
    pass
