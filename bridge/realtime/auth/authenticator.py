"""Authentication of live connections, the same for every wire protocol: identify, admit, renew, and limit by scope."""

from collections.abc import Callable

from bridge.core.access.permissions import NOBODY, Identity, IdentityKind, Permission
from bridge.core.errors import BridgeError, Forbidden, Unauthorized
from bridge.http.credentials import Credentials
from bridge.ports import AuditLog, Authentication
from bridge.realtime.auth.expiry import FORBIDDEN, UNAUTHORIZED, AuthenticatedConnection, AuthenticatedConnections
from bridge.realtime.auth.visibility import DeviceFilter, DeviceLocations, device_filter_for, site_of
from bridge.realtime.frames import TRY_AGAIN_LATER
from bridge.realtime.limits import ConnectionLimiter

_ANY_CHANNEL = "*"
"""Stands for a channel that is checked later."""


class Disconnect(Exception):
    """Close the connection: `message`, if any, is sent first, `code` and `reason` are those of the close frame.

    `counted` is the reason in the counter of disconnects.
    """

    def __init__(self, code: int, reason: str, counted: str | None = None, message: bytes | None = None) -> None:
        """Without `counted`, the disconnect is counted under `reason`."""
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.counted = counted or reason
        self.message = message


def disconnect_for(error: BridgeError) -> Disconnect:
    """The disconnect for a client that failed to authenticate. The reason never contains its credentials."""
    match error:
        case Unauthorized():
            return Disconnect(UNAUTHORIZED, str(error), "unauthorized")
        case Forbidden():
            return Disconnect(FORBIDDEN, str(error), "forbidden")
        case _:
            return Disconnect(TRY_AGAIN_LATER, "credentials cannot be verified at the moment: try again soon", "not now")


class Authenticator:
    """Decides which clients may connect, and for how long.

    While access is open every client is `ANYONE`, except at `/ws/device`, where the secrets in the settings count, and on
    `secure` paths, where credentials are always needed.
    """

    def __init__(
        self,
        access: Authentication,
        authenticated: AuthenticatedConnections,
        sites: DeviceLocations,
        *,
        login_seconds: float,
        audit: AuditLog | None = None,
    ) -> None:
        """A client that has not logged in after `login_seconds` is disconnected. `sites` gives the locations of devices."""
        self._access = access
        self._sites = sites
        self._audit = audit
        self.connections = authenticated
        self.login_seconds = login_seconds

    @property
    def required(self) -> bool:
        return self._access.required

    @property
    def cookie_id(self) -> str | None:
        return self._access.cookie_id

    async def identify(
        self,
        credentials: Credentials,
        address: str,
        path: str,
        *permissions: Permission,
        channel: str | None = None,
        secure: bool = False,
    ) -> Identity:
        """The identity that these credentials prove, if it has at least one of the permissions and may listen to the channel.

        `channel` is None where there are no channels: an identity that is limited to some may not read there.

        Raises `Unauthorized` and `Forbidden`, which are recorded in the audit log under `path`; `StoreUnavailable`,
        `TooManyAttempts` and `TemporarilyUnavailable` if the credentials cannot be verified now.
        """
        secret = credentials.credential or ""
        try:
            if not self.required and not secure:
                return self._access.identify_device_while_open(credentials.device, secret)
            if credentials.device:
                identity = await self._access.identify_device(credentials.device, secret, address)
            else:
                identity = await self._access.authenticate(secret, address, in_cookie=credentials.in_cookie)
            _check(identity, permissions, channel)
        except (Unauthorized, Forbidden) as error:
            if self._audit is not None:
                why = error.code if isinstance(error, Unauthorized) else "forbidden"
                self._audit.record("refused", actor=NOBODY, address=address, target=path, why=why)
            raise
        return identity

    def admit(self, connection: AuthenticatedConnection) -> AuthenticatedConnection:
        """Register a connection: it is warned before its credentials expire, and closed when they expire or are revoked."""
        if self.required or connection.secure:
            self.connections.add(connection)
        return connection

    async def renew(self, connection: AuthenticatedConnection, credentials: Credentials) -> None:
        """Replace a connection's credentials by newer ones of the same identity.

        Raises as `identify` does, and the connection is unchanged then. It does nothing for one that needed no credentials.
        """
        if self.required or connection.secure:
            newer = await self.identify(
                credentials,
                connection.address,
                connection.path,
                *connection.permissions,
                channel=connection.channel,
                secure=connection.secure,
            )
            self.connections.renew(connection, newer)

    async def refusal(
        self, limiter: ConnectionLimiter, address: str, path: str, credentials: Callable[[], Credentials]
    ) -> str | None:
        """The reason why one more connection is refused, or None.

        A client with valid credentials in its handshake needs no place among the unauthenticated. They are verified only
        when those places are taken; `credentials` reads them and may raise `Unauthorized`.
        """
        authenticated = (
            limiter.required
            and limiter.is_full_for_unauthenticated(address)
            and await self._is_authenticated(address, path, credentials)
        )
        return limiter.refusal(address, known=authenticated)

    async def _is_authenticated(self, address: str, path: str, read: Callable[[], Credentials]) -> bool:
        try:
            credentials = read()
            if credentials.credential is not None:
                await self.identify(credentials, address, path, *Permission, channel=_ANY_CHANNEL)
        except BridgeError:
            return False
        return credentials.credential is not None

    def is_valid(self, identity: Identity) -> bool:
        return self._access.is_valid(identity)

    def reads(self, identity: Identity) -> bool:
        """Whether an identity may read; anyone may while access is open."""
        return not self.required or Permission.READ in identity.permissions

    def device_filter(self, identity: Identity) -> DeviceFilter | None:
        """The filter of what an identity may read; None while access is open, also for devices that logged in."""
        return device_filter_for(identity, self._sites) if self.required else None

    def is_allowed(self, identity: Identity, permission: Permission, device_id: str) -> bool:
        """Whether an identity has this permission on a device, at the device's current location."""
        return identity.may(permission, device_id, site_of(device_id, self._sites))

    def authorize_command(self, identity: Identity, device_id: str, address: str) -> bool:
        """Whether a command is allowed. Both outcomes are recorded in the audit log, unless access is open."""
        allowed = self.is_allowed(identity, Permission.COMMAND, device_id)
        if self._audit is not None and identity.kind is not IdentityKind.ANYONE:
            action = "command" if allowed else "command refused"
            self._audit.record(action, actor=identity, address=address, target=device_id)
        return allowed


def _check(identity: Identity, permissions: tuple[Permission, ...], channel: str | None) -> None:
    """Raise `Forbidden` unless the identity has one of the permissions, and may read on this channel."""
    if identity.permissions.isdisjoint(permissions):
        raise Forbidden(f"this needs the right to {' or '.join(permissions)}")
    limits = identity.channels if Permission.READ in permissions else None
    if limits is not None and channel not in (*limits, _ANY_CHANNEL):
        raise Forbidden(f"you may listen to these channels of /api/v1/ws only: {', '.join(sorted(limits))}")
