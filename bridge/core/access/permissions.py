"""Who somebody is, and what of it may be seen, sent and commanded. Pure: how somebody proves it is not known here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Right(enum.StrEnum):
    """What can be allowed; the scopes of an API key are named so."""

    SEE = "see"  # readings, devices, events: live, replayed and stored
    SEND = "send"  # readings and events
    COMMAND = "command"  # devices, and acknowledging alarms
    MANAGE = "manage"  # the registry, the quarantine
    ADMINISTER = "administer"  # users, keys, the audit


class Role(enum.StrEnum):
    """What a person is here."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.SEE}),
    Role.OPERATOR: frozenset({Right.SEE, Right.COMMAND}),
    Role.ADMIN: frozenset(Right),
}


class Kind(enum.StrEnum):
    """How somebody is known."""

    ANYONE = "anyone"
    PERSON = "person"
    PROGRAM = "program"
    DEVICE = "device"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which devices somebody may see, send as and command: those named, and those that stand at a site named."""

    devices: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()

    def holds(self, device_id: str, site: str) -> bool:
        """Whether a device that stands at `site` (empty: nobody said where) is one of them."""
        return device_id in self.devices or (site != "" and site in self.sites)


@dataclass(frozen=True, slots=True)
class Identity:
    """One who was let in.

    `scope` None is every device. `expires` is in seconds since the epoch, None for never. `grant` names what was shown (a
    session, a key), so that it can be taken back; it is no secret.
    """

    kind: Kind
    name: str
    rights: frozenset[Right]
    scope: Scope | None = None
    expires: float | None = None
    grant: str = field(default="", compare=False)

    def may(self, right: Right, device_id: str | None = None, site: str = "") -> bool:
        """Whether this is allowed at all, and of one device where that is named."""
        return right in self.rights and (device_id is None or self.scope is None or self.scope.holds(device_id, site))


ANYONE = Identity(Kind.ANYONE, "anyone", frozenset(Right))
"""Who comes while access is open."""

NOBODY = Identity(Kind.ANYONE, "nobody", frozenset())
"""Who comes, and shows nothing, while access is required."""
