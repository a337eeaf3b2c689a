"""Who somebody is, and what of it may be seen, sent and commanded. Pure: how somebody proves it is not known here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Permission(enum.StrEnum):
    """What can be allowed; the scopes of an API key are named so."""

    READ = "see"  # readings, devices, events: live, replayed and stored
    PUBLISH = "send"  # readings and events
    COMMAND = "command"  # devices, and acknowledging alarms
    MANAGE = "manage"  # the registry, the quarantine
    ADMIN = "administer"  # users, keys, the audit


class Role(enum.StrEnum):
    """What a person is here."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.COMMAND}),
    Role.ADMIN: frozenset(Permission),
}


class IdentityKind(enum.StrEnum):
    """How somebody is known."""

    ANYONE = "anyone"
    PERSON = "person"
    PROGRAM = "program"
    DEVICE = "device"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class ResourceScope:
    """Which devices somebody may see, send as and command: those named, and those that stand at a site named."""

    devices: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()

    def contains(self, device_id: str, site: str) -> bool:
        """Whether a device that stands at `site` (empty: nobody said where) is one of them."""
        return device_id in self.devices or (site != "" and site in self.sites)


@dataclass(frozen=True, slots=True)
class Identity:
    """One who was let in.

    `scope` None is every device. `expires` is in seconds since the epoch, None for never. `grant` names what was shown (a
    session, a key), so that it can be taken back; it is no secret.
    """

    kind: IdentityKind
    name: str
    permissions: frozenset[Permission]
    scope: ResourceScope | None = None
    expires: float | None = None
    grant: str = field(default="", compare=False)

    def may(self, right: Permission, device_id: str | None = None, site: str = "") -> bool:
        """Whether this is allowed at all, and of one device where that is named."""
        return right in self.permissions and (device_id is None or self.scope is None or self.scope.contains(device_id, site))


ANYONE = Identity(IdentityKind.ANYONE, "anyone", frozenset(Permission))
"""Who comes while access is open."""

NOBODY = Identity(IdentityKind.ANYONE, "nobody", frozenset())
"""Who comes, and shows nothing, while access is required."""
