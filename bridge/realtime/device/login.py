"""Login of a device socket: with a token in the handshake, or with the first message in either device protocol."""

from typing import Any

import orjson

from bridge.core.access.permissions import Identity, IdentityKind, Permission
from bridge.core.errors import BridgeError
from bridge.core.events import AuthExpiring
from bridge.http.credentials import Credentials
from bridge.realtime.auth.authenticator import Disconnect, disconnect_for
from bridge.realtime.auth.expiry import UNAUTHORIZED, AuthenticatedConnection
from bridge.realtime.device.protocols import PROTOCOLS, DeviceProtocol, EnvelopeProtocol, FlatProtocol
from bridge.realtime.frames import POLICY_VIOLATION
from bridge.realtime.websocket.parser import BAD_TEXT

PERMISSIONS = (Permission.PUBLISH, Permission.READ)
_DEPTH = 254
_FLAT = FlatProtocol()


class DeviceLogin:
    """One client's login, and the protocol that it speaks: that of its latest message."""

    def __init__(self, *, required: bool) -> None:
        """Refused clients are closed with 4401 if access is `required`, otherwise with 1008."""
        self.protocol: DeviceProtocol = FlatProtocol()
        self.by_message = False
        """Whether the client logged in with its first message."""
        self._unauthorized = UNAUTHORIZED if required else POLICY_VIOLATION

    def credentials(self, text: bytes) -> Credentials:
        credentials = self.renewal(self.parse(text))
        if credentials is None:
            raise Disconnect(self._unauthorized, "unauthorized", message=self.protocol.auth_required())
        return credentials

    def renewal(self, body: dict[str, Any]) -> Credentials | None:
        """The credentials in a message, None if it has none. Follows a client that changes its protocol."""
        chosen = PROTOCOLS.get(str(body.get("type")))
        if chosen is not None and chosen is not type(self.protocol):
            self.protocol = chosen()
        return self.protocol.credentials(body) or _FLAT.credentials(body)

    def timed_out(self) -> Disconnect:
        return Disconnect(self._unauthorized, "handshake", message=self.protocol.auth_required())

    def refused(self, error: BridgeError) -> Disconnect:
        refusal = disconnect_for(error)
        if refusal.code == UNAUTHORIZED:
            return Disconnect(self._unauthorized, refusal.counted, message=self.protocol.unauthorized())
        return Disconnect(refusal.code, refusal.counted, message=self.protocol.error(refusal.reason))

    def welcome(self, connection: AuthenticatedConnection, *, by_message: bool) -> bytes | None:
        self.by_message = by_message
        if by_message:
            return self.protocol.welcome()
        if receives_telemetry(connection.identity):
            self.protocol = EnvelopeProtocol()  # until it sends its first message
        return None

    def expiring(self, event: AuthExpiring) -> bytes:
        return self.protocol.expiring(event)

    def parse(self, text: bytes) -> dict[str, Any]:
        """Parse a message. Raises `Disconnect` if it is not a JSON object, or nested too deep."""
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise Disconnect(BAD_TEXT, "malformed", message=self.protocol.error("not a JSON object"))
        if _is_too_deep(text, body):
            raise Disconnect(BAD_TEXT, "malformed", message=self.protocol.error(f"nested more than {_DEPTH} deep"))
        return body


def receives_telemetry(identity: Identity) -> bool:
    """Whether an identity receives telemetry unless its messages say otherwise: a user, or a program that cannot publish."""
    if identity.kind is IdentityKind.DEVICE or Permission.READ not in identity.permissions:
        return False
    return identity.kind is not IdentityKind.PROGRAM or Permission.PUBLISH not in identity.permissions


def _is_too_deep(text: bytes, body: dict[str, Any]) -> bool:
    """Whether orjson cannot write the object: it reads 1,024 levels and writes 254. Tried only with enough brackets."""
    if text.count(b"{") + text.count(b"[") <= _DEPTH:
        return False
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError:
        return True
    return False
