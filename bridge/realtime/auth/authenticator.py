"""The one place where live connections are let in: who somebody is, what he may do here, and that he may stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.core.access.permissions import NOBODY, Identity, IdentityKind, Permission
from bridge.core.errors import BridgeError, Forbidden, Unauthorized
from bridge.http.credentials import Credentials
from bridge.ports import AuditLog, Authentication
from bridge.realtime.auth.expiry import FORBIDDEN, UNAUTHORIZED, AuthenticatedConnection, AuthenticatedConnections
from bridge.realtime.auth.visibility import DeviceFilter, DeviceLocations, device_filter_for, site_of
from bridge.realtime.frames import TRY_AGAIN_LATER
from bridge.realtime.limits import ConnectionLimiter


@dataclass(frozen=True, slots=True)
class CloseReason:
    """How a WebSocket is closed whose client is not let in."""

    code: int
    reason: str
    counted: str


class Authenticator:
    """What every dialect asks. While access is open nothing of it is, but `required`."""

    def __init__(
        self,
        access: Authentication,
        authenticated: AuthenticatedConnections,
        sites: DeviceLocations,
        *,
        login_seconds: float,
        audit: AuditLog | None = None,
    ) -> None:
        """`sites` tells where devices stand; who has not logged in after `login_seconds` has to go."""
        self._access = access
        self._sites = sites
        self._audit = audit
        self.connections = authenticated
        self.login_seconds = login_seconds

    @property
    def required(self) -> bool:
        """Whether somebody must show who he is."""
        return self._access.required

    async def identify(self, token: str | None, address: str, way: str, *rights: Permission) -> Identity:
        """Who shows this, and has one of the rights. Raises `Unauthorized`, `Forbidden`, and others if nobody can tell now."""
        try:
            identity = await self._access.identify(token, address)
            self.check(identity, *rights)
        except (Unauthorized, Forbidden) as error:
            self._note("refused", NOBODY, address, way, error)
            raise
        return identity

    async def refusal(self, limiter: ConnectionLimiter, address: str, way: str, shown: Callable[[], Credentials]) -> str | None:
        """Why one more connection is not let in. Who shows with his handshake that he is known takes no stranger's place.

        He is asked only where there is none left; `shown` may raise `Unauthorized`.
        """
        known = limiter.required and limiter.is_full_for_unauthenticated(address) and await self._is_known(address, way, shown)
        return limiter.refusal(address, known=known)

    async def _is_known(self, address: str, way: str, shown: Callable[[], Credentials]) -> bool:
        try:
            credential = shown().credential
            if credential is not None:
                await self.identify(credential, address, way, *Permission)
        except BridgeError:
            return False
        return credential is not None

    async def identify_device(self, name: str | None, secret: str, address: str, way: str) -> Identity:
        """Who shows this at a way in for devices: with a name a device, without also anybody else. Raises likewise."""
        if not name:
            return await self.identify(secret, address, way, Permission.PUBLISH, Permission.READ)
        try:
            return await self._access.identify_device(name, secret, address)
        except Unauthorized as error:
            self._note("refused", NOBODY, address, way, error)
            raise

    def is_valid(self, identity: Identity) -> bool:
        """Whether somebody who was let in may stay."""
        return self._access.is_valid(identity)

    @staticmethod
    def check(identity: Identity, *rights: Permission) -> None:
        """Raises `Forbidden` unless one of the rights is there."""
        if identity.permissions.isdisjoint(rights):
            raise Forbidden(f"this needs the right to {' or '.join(rights)}")

    async def renew(
        self, stay: AuthenticatedConnection, token: str, way: str, *rights: Permission, name: str | None = None
    ) -> None:
        """Somebody who is in shows something newer of his own; raises as `identify` does, and then nothing has changed.

        A `name` is that of a device.
        """
        if name:
            newer = await self.identify_device(name, token, stay.address, way)
        else:
            newer = await self.identify(token, stay.address, way, *rights)
        self.connections.renew(stay, newer)

    def device_filter(self, identity: Identity) -> DeviceFilter | None:
        """How far somebody sees."""
        return device_filter_for(identity, self._sites)

    def is_allowed(self, identity: Identity, right: Permission, device_id: str) -> bool:
        """Whether this is allowed of this device, where it stands now."""
        return identity.may(right, device_id, site_of(device_id, self._sites))

    def authorize_command(self, identity: Identity, device_id: str, address: str) -> bool:
        """Whether a command is allowed; it is noted either way, unless access is open."""
        allowed = self.is_allowed(identity, Permission.COMMAND, device_id)
        if self._audit is not None and identity.kind is not IdentityKind.ANYONE:
            act = "command" if allowed else "command refused"
            self._audit.record(act, actor=identity, address=address, target=device_id)
        return allowed

    def _note(self, act: str, by: Identity, address: str, way: str, error: Unauthorized | Forbidden) -> None:
        if self._audit is not None:
            why = error.code if isinstance(error, Unauthorized) else "forbidden"
            self._audit.record(act, actor=by, address=address, target=way, why=why)


def close_reason(error: BridgeError) -> CloseReason:
    """How one is closed that was not let in for this; never with what it showed."""
    match error:
        case Unauthorized():
            return CloseReason(UNAUTHORIZED, str(error), "unauthorized")
        case Forbidden():
            return CloseReason(FORBIDDEN, str(error), "forbidden")
        case _:
            return CloseReason(TRY_AGAIN_LATER, "who you are cannot be told now: try again soon", "not now")
