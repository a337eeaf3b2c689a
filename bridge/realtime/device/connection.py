"""One authenticated client of the device endpoint, and what it is: a device, a listener, or not decided yet."""

import enum
from dataclasses import dataclass, field

from bridge.core.access.permissions import Identity, IdentityKind
from bridge.realtime.auth.expiry import AuthenticatedConnection
from bridge.realtime.device.login import DeviceLogin, receives_telemetry
from bridge.realtime.device.messages import SocketOrigin
from bridge.realtime.device.protocols import EnvelopeProtocol
from bridge.realtime.hub.session import Session
from bridge.realtime.websocket.connection import ClientConnection


class ClientRole(enum.Enum):
    """What a connection is. With credentials for both, its first telemetry or SUBSCRIBE decides."""

    DEVICE = enum.auto()
    LISTENER = enum.auto()
    UNDECIDED = enum.auto()


@dataclass(slots=True, eq=False)
class DeviceConnection:
    """`named` are the devices that it is by its credentials, or has published as. `session` is that of a listener.

    `by_page` means that it belongs to a web page which may only read.
    """

    client: ClientConnection
    login: DeviceLogin
    connection: AuthenticatedConnection
    origin: SocketOrigin
    role: ClientRole
    by_page: bool = False
    named: dict[str, None] = field(default_factory=dict)
    session: Session | None = None

    @property
    def identity(self) -> Identity:
        return self.connection.identity

    def send_error(self, text: str) -> None:
        self.client.send_text(self.login.protocol.error(text))


def first_role(login: DeviceLogin, identity: Identity, *, reads: bool, publishes: bool) -> ClientRole:
    """The role at login. A client that logs in under the name of a device is that device."""
    if not publishes:
        return ClientRole.LISTENER
    named_itself = login.by_message and not isinstance(login.protocol, EnvelopeProtocol)
    if not reads or (identity.kind is IdentityKind.DEVICE and named_itself):
        return ClientRole.DEVICE
    return ClientRole.UNDECIDED


def listens_from_the_start(login: DeviceLogin, identity: Identity, role: ClientRole) -> bool:
    """Whether a client that sends nothing receives telemetry. The flat protocol has no such message for devices."""
    if role is ClientRole.DEVICE:
        return False
    by_envelope = login.by_message and isinstance(login.protocol, EnvelopeProtocol)
    return by_envelope or receives_telemetry(identity)
