"""The two protocols of `/ws/device`: flat objects, and objects with an envelope."""

from collections.abc import Mapping
from typing import Any

import orjson

from bridge.core import events
from bridge.core.events import AuthExpiring, Event, Gap
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.http.credentials import Credentials

_TEXT_LENGTH = 1024


class EnvelopeProtocol:
    """`{"type": "AUTH", "payload": {"token": …}}`: types in capitals, content in `payload`."""

    def credentials(self, body: Mapping[str, Any]) -> Credentials | None:
        """The token in a login message, None for another message."""
        if body.get("type") != "AUTH":
            return None
        token = self.payload(body).get("token")
        return Credentials(token if isinstance(token, str) else "")

    def welcome(self) -> bytes | None:
        return orjson.dumps({"type": "AUTH_OK"})

    def unauthorized(self) -> bytes:
        return orjson.dumps({"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}})

    def auth_required(self) -> bytes:
        return orjson.dumps({"type": "AUTH_ERROR", "payload": {"error": "auth_required"}})

    def error(self, text: str) -> bytes:
        return orjson.dumps({"type": "ERROR", "payload": {"error": text[:_TEXT_LENGTH]}})

    def expiring(self, event: AuthExpiring) -> bytes:
        return orjson.dumps({"type": "AUTH_EXPIRING", "payload": events.auth_expiring(event)})

    def renewed(self, expires: str | None) -> bytes:
        return orjson.dumps({"type": "AUTH_OK", "payload": {"expires": expires}})

    def payload(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object in `payload`; empty without one."""
        payload = body.get("payload")
        return payload if isinstance(payload, dict) else {}

    def command(self, body: Mapping[str, object]) -> bytes:
        """The command in `payload`, and repeated beside it as a flat command."""
        return orjson.dumps({"type": "COMMAND", **body, "payload": body})


class FlatProtocol:
    """`{"type": "auth", "name": …, "password": …}`: content beside the type."""

    def credentials(self, body: Mapping[str, Any]) -> Credentials | None:
        """Name and password in a login message, None for another message. Some devices send the password as a number."""
        if body.get("type") != "auth":
            return None
        name, password = body.get("name"), body.get("password", body.get("token"))
        if isinstance(password, int) and not isinstance(password, bool):
            password = str(password)
        return Credentials(password if isinstance(password, str) else "", device=name if isinstance(name, str) else "")

    def welcome(self) -> bytes | None:
        """None: such a device treats every message as a command."""
        return None

    def unauthorized(self) -> bytes:
        return orjson.dumps({"error": "unauthorized"})

    def auth_required(self) -> bytes:
        return orjson.dumps({"error": "auth_required"})

    def error(self, text: str) -> bytes:
        return orjson.dumps({"error": text[:_TEXT_LENGTH]})

    def expiring(self, event: AuthExpiring) -> bytes:
        """Has a type, as telemetry does. Never sent to a device whose secret does not expire."""
        return orjson.dumps({"type": "auth_expiring", **events.auth_expiring(event)})

    def renewed(self, expires: str | None) -> bytes:
        return orjson.dumps({"type": "auth_ok", "expires": expires})

    def payload(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return body

    def command(self, body: Mapping[str, object]) -> bytes:
        return orjson.dumps(body)


DeviceProtocol = EnvelopeProtocol | FlatProtocol

PROTOCOLS: Mapping[str, type[DeviceProtocol]] = dict.fromkeys(("AUTH", "TELEMETRY", "SUBSCRIBE", "ACK"), EnvelopeProtocol)
"""The protocol by message type. Any other type keeps the current protocol, initially `FlatProtocol`."""


class TelemetryCodec:
    def encode(self, event: Event) -> bytes | None:
        """`TELEMETRY`; `GAP` for readings that a slow client missed; `AUTH_EXPIRING`. None for other events."""
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
