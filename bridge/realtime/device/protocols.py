"""The two dialects of `/ws/device`: how each says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from bridge.core import events
from bridge.core.events import AuthExpiring, Event, Gap
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso

_TEXT_LENGTH = 1024


class DeviceProtocol(Protocol):
    """What is sent, as JSON, and where in a message the content stands."""

    def credentials(self, body: Mapping[str, Any]) -> tuple[str | None, str] | None:
        """Name (where the dialect has one) and secret of the first message; None if it is no attempt."""
        ...

    def welcome(self) -> bytes | None:
        """The answer to one who is let in, if there is one."""
        ...

    def unauthorized(self) -> bytes:
        """The answer to wrong credentials."""
        ...

    def auth_required(self) -> bytes:
        """The answer to a first message that has none."""
        ...

    def error(self, text: str) -> bytes:
        """What was wrong with a message."""
        ...

    def expiring(self, event: AuthExpiring) -> bytes:
        """What was shown is not good for much longer."""
        ...

    def renewed(self, expires: str | None) -> bytes:
        """The answer to something newer that was shown."""
        ...

    def payload(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The content of a message."""
        ...

    def command(self, body: Mapping[str, object]) -> bytes:
        """A command."""
        ...


class EnvelopeProtocol:
    """`{"type": "AUTH", "payload": {"token": …}}`: types in capitals, content in `payload`."""

    def credentials(self, body: Mapping[str, Any]) -> tuple[str | None, str] | None:
        """A token alone."""
        if body.get("type") != "AUTH":
            return None
        token = self.payload(body).get("token")
        return None, token if isinstance(token, str) else ""

    def welcome(self) -> bytes | None:
        """`AUTH_OK`."""
        return orjson.dumps({"type": "AUTH_OK"})

    def unauthorized(self) -> bytes:
        """`AUTH_ERROR`."""
        return orjson.dumps({"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}})

    def auth_required(self) -> bytes:
        """`AUTH_ERROR` too."""
        return orjson.dumps({"type": "AUTH_ERROR", "payload": {"error": "auth_required"}})

    def error(self, text: str) -> bytes:
        """`ERROR`."""
        return orjson.dumps({"type": "ERROR", "payload": {"error": text[:_TEXT_LENGTH]}})

    def expiring(self, event: AuthExpiring) -> bytes:
        """`AUTH_EXPIRING`."""
        return orjson.dumps({"type": "AUTH_EXPIRING", "payload": events.auth_expiring(event)})

    def renewed(self, expires: str | None) -> bytes:
        """`AUTH_OK`."""
        return orjson.dumps({"type": "AUTH_OK", "payload": {"expires": expires}})

    def payload(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """`payload`."""
        payload = body.get("payload")
        return payload if isinstance(payload, dict) else {}

    def command(self, body: Mapping[str, object]) -> bytes:
        """In `payload`, and beside it as the other dialect has it."""
        return orjson.dumps({"type": "COMMAND", **body, "payload": body})


class FlatProtocol:
    """`{"type": "auth", "name": …, "password": …}`: flat."""

    def credentials(self, body: Mapping[str, Any]) -> tuple[str | None, str] | None:
        """Name and password; some send the password as a number."""
        if body.get("type") != "auth":
            return None
        name, password = body.get("name"), body.get("password", body.get("token"))
        if isinstance(password, int) and not isinstance(password, bool):
            password = str(password)
        return (name if isinstance(name, str) else ""), (password if isinstance(password, str) else "")

    def welcome(self) -> bytes | None:
        """None: such a device takes whatever comes for a command."""
        return None

    def unauthorized(self) -> bytes:
        """In a word."""
        return orjson.dumps({"error": "unauthorized"})

    def auth_required(self) -> bytes:
        """In a word."""
        return orjson.dumps({"error": "auth_required"})

    def error(self, text: str) -> bytes:
        """In words."""
        return orjson.dumps({"error": text[:_TEXT_LENGTH]})

    def expiring(self, event: AuthExpiring) -> bytes:
        """With a type, as `telemetry` has one; nobody is told whose secret does not expire."""
        return orjson.dumps({"type": "auth_expiring", **events.auth_expiring(event)})

    def renewed(self, expires: str | None) -> bytes:
        """With a type too."""
        return orjson.dumps({"type": "auth_ok", "expires": expires})

    def payload(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The message itself."""
        return body

    def command(self, body: Mapping[str, object]) -> bytes:
        """As it is."""
        return orjson.dumps(body)


PROTOCOLS: Mapping[str, type[EnvelopeProtocol] | type[FlatProtocol]] = dict.fromkeys(
    ("AUTH", "TELEMETRY", "SUBSCRIBE", "ACK"), EnvelopeProtocol
)
"""By the type of the first message; every other one is `FlatProtocol`."""


class TelemetryCodec:
    """How readings look to an admin."""

    def encode(self, event: Event) -> bytes | None:
        """`TELEMETRY`, and `GAP` for what it was too slow to be sent; nothing else."""
        match event:
            case Reading():
                payload = {"device_id": event.device_id, **event.values, "timestamp": iso(event.timestamp_ms)}
                return orjson.dumps({"type": "TELEMETRY", "payload": payload})
            case Gap():
                return orjson.dumps({"type": "GAP", "payload": events.gap(event)})
            case AuthExpiring():
                return orjson.dumps({"type": "AUTH_EXPIRING", "payload": events.auth_expiring(event)})
            case _:
                return None


TELEMETRY_CODEC = TelemetryCodec()
