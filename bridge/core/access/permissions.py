"""Identities and their permissions. Authentication is in `bridge/access/`."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Permission(enum.StrEnum):
    """An action that an identity may perform. The values are the `rights` of an API key."""

    READ = "see"  # readings, devices, events: live, replayed and stored
    PUBLISH = "send"  # readings and events
    COMMAND = "command"  # devices, and acknowledging alarms
    MANAGE = "manage"  # the registry, the quarantine
    ADMIN = "administer"  # users, keys, the audit log


class Role(enum.StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.COMMAND}),
    Role.ADMIN: frozenset(Permission),
}


class IdentityKind(enum.StrEnum):
    """How an identity was authenticated: not at all, by login, API key, device key, identity provider, or a shared link."""

    ANYONE = "anyone"
    PERSON = "person"
    PROGRAM = "program"
    DEVICE = "device"
    EXTERNAL = "external"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class ResourceScope:
    """The devices an identity is limited to: the named ones, and all devices at the named sites."""

    devices: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()

    def contains(self, device_id: str, site: str) -> bool:
        """Whether the scope contains a device located at `site`; an empty `site` is unknown and in no scope."""
        return device_id in self.devices or (site != "" and site in self.sites)


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user, program or device.

    A `scope` of None is every device, `channels` of None every channel of `/api/v1/ws`. `expires` is in seconds since the
    epoch, None for never. `grant` names the session or key that was presented, so that it can be revoked; it is not a secret.
    `publishes_as` are devices whose secret this is too, on whose behalf it may publish without `Permission.PUBLISH`.
    """

    kind: IdentityKind
    name: str
    permissions: frozenset[Permission]
    scope: ResourceScope | None = None
    expires: float | None = None
    grant: str = field(default="", compare=False)
    channels: frozenset[str] | None = None
    publishes_as: frozenset[str] = frozenset()

    @property
    def own_devices(self) -> frozenset[str]:
        """The devices whose credentials were presented."""
        if self.kind is IdentityKind.DEVICE and self.scope is not None:
            return self.scope.devices
        return self.publishes_as

    @property
    def publishes(self) -> bool:
        """Whether the identity may publish on behalf of any device."""
        return Permission.PUBLISH in self.permissions or bool(self.publishes_as)

    def may(self, right: Permission, device_id: str | None = None, site: str = "") -> bool:
        """Whether the identity has the permission and, where a device is named, has it for that device."""
        if right is Permission.PUBLISH and device_id in self.publishes_as:
            return True
        return right in self.permissions and (device_id is None or self.scope is None or self.scope.contains(device_id, site))


ANYONE = Identity(IdentityKind.ANYONE, "anyone", frozenset(Permission))
"""Every client while access is open."""

NOBODY = Identity(IdentityKind.ANYONE, "nobody", frozenset())
"""A client without credentials while access is required."""
