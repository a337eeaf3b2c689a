"""What is kept of those who may come in: people, keys of programs and devices, sessions, and what was taken back.

Times are milliseconds since the epoch, UTC. Nothing that opens a door is kept as it is: passwords as argon2id, the secrets of
keys and sessions, which are random, as SHA-256. `kept()` is what a store keeps beside the id; `read_…` is its inverse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bridge.core.access.permissions import IdentityKind, Permission, ResourceScope, Role
from bridge.core.errors import AccountError
from bridge.core.readings.identity import is_device_id

NAMES_LIMIT = 32
_SITE_LENGTH = 128
_SCOPE_LENGTH = 2048
"""Scopes stand in tokens, in ASCII, and tokens in headers and cookies, of 4096 bytes."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}", re.ASCII)
_LABEL_LENGTH = 64

EXPIRES_AT = "expiresAt"
"""The name in `kept()` that is when a database may forget it by itself."""


def user_name(text: str) -> str:
    """A user's name as it is kept, in lower case; raises `AccountError`."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise AccountError("name", "must be 1 to 64 characters of a-z 0-9 . _ @ + -, the first a letter or digit")
    return name


def key_name(text: str) -> str:
    """What a key is called, for people; raises `AccountError`."""
    name = text.strip()
    if not name or len(name) > _LABEL_LENGTH or not name.isprintable():
        raise AccountError("name", f"must be 1 to {_LABEL_LENGTH} characters that can be printed")
    return name


def scope_of(devices: Iterable[str], sites: Iterable[str]) -> ResourceScope | None:
    """The scope of those named; None, every device, if none are. Raises `AccountError`."""
    scope = ResourceScope(frozenset(devices), frozenset(sites))
    if bad := [name for name in scope.devices if not is_device_id(name)]:
        raise AccountError("devices", f"{bad[0][:64]!r} is no device id")
    if bad := [name for name in scope.sites if not name.isprintable() or not 0 < len(name) <= _SITE_LENGTH]:
        raise AccountError("sites", f"{bad[0][:64]!r} is no site: 1 to {_SITE_LENGTH} characters that can be printed")
    names = [*scope.devices, *scope.sites]
    if len(names) > NAMES_LIMIT or sum(len(ascii(name)) for name in names) > _SCOPE_LENGTH:
        raise AccountError("devices", f"a scope has {NAMES_LIMIT} names and {_SCOPE_LENGTH} signs at most: name sites instead")
    return scope if names else None


def scope_with(before: ResourceScope | None, devices: Iterable[str] | None, sites: Iterable[str] | None) -> ResourceScope:
    """The scope of those named; a part that is None stays as it was `before`.

    Raises `AccountError`, also where nobody is named in the end: that is no way to every device.
    """
    there = before or ResourceScope()
    scope = scope_of(there.devices if devices is None else devices, there.sites if sites is None else sites)
    if scope is None:
        named = "sites" if devices is None else "devices"
        raise AccountError(named, 'no device and no site would be left: name one of them; every device is "scope": null')
    return scope


def scope_to_document(scope: ResourceScope | None) -> dict[str, list[str]] | None:
    """A scope in JSON types."""
    return None if scope is None else {"devices": sorted(scope.devices), "sites": sorted(scope.sites)}


def scope_from_document(kept: Mapping[str, Any] | None) -> ResourceScope | None:
    """The inverse."""
    return None if kept is None else ResourceScope(frozenset(kept["devices"]), frozenset(kept["sites"]))


class Storable(Protocol):
    """What is kept under an id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    def to_document(self) -> dict[str, Any]:
        """The rest, in JSON types."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """A person. `password` is its argon2id hash."""

    id: str
    role: Role
    password: str = field(repr=False)
    scope: ResourceScope | None = None
    created_ms: int = 0

    def __post_init__(self) -> None:
        """Raises `AccountError`: who may make others what they like has no bounds of his own."""
        if self.role is Role.ADMIN and self.scope is not None:
            raise AccountError("role", "an admin has no scope: choose another role, or no devices and sites")

    def to_document(self) -> dict[str, Any]:
        """For the store."""
        return {
            "role": str(self.role),
            "password": self.password,
            "scope": scope_to_document(self.scope),
            "createdAt": self.created_ms,
        }


def user_from_document(name: str, kept: Mapping[str, Any]) -> User:
    """The inverse."""
    return User(name, Role(kept["role"]), kept["password"], scope_from_document(kept["scope"]), kept["createdAt"])


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a program, or of the device whose id is its name. `secret` is the SHA-256 of what was shown once."""

    id: str
    name: str
    kind: IdentityKind
    permissions: frozenset[Permission]
    secret: str = field(repr=False)
    scope: ResourceScope | None = None
    created_ms: int = 0
    expires_ms: int | None = None
    by: str = ""

    def __post_init__(self) -> None:
        """Raises `AccountError`: a device may send as itself only, and who administers has no bounds."""
        if not self.permissions:
            raise AccountError("rights", f"are some of {', '.join(Permission)}")
        if self.scope is not None and Permission.ADMIN in self.permissions:
            raise AccountError("rights", "who may administer has no scope: name no devices and sites, or leave the right out")
        if self.kind is IdentityKind.DEVICE and (
            self.permissions != {Permission.PUBLISH} or self.scope != ResourceScope(frozenset((self.name,)))
        ):
            raise AccountError("device", "may send as itself, and nothing else")

    def to_document(self) -> dict[str, Any]:
        """For the store."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "rights": sorted(self.permissions),
            "secret": self.secret,
            "scope": scope_to_document(self.scope),
            "createdAt": self.created_ms,
            "validUntil": self.expires_ms,
            "by": self.by,
        }


def api_key_from_document(key_id: str, kept: Mapping[str, Any]) -> ApiKey:
    """The inverse."""
    return ApiKey(
        key_id,
        kept["name"],
        IdentityKind(kept["kind"]),
        frozenset(map(Permission, kept["rights"])),
        kept["secret"],
        scope_from_document(kept["scope"]),
        kept["createdAt"],
        kept["validUntil"],
        kept["by"],
    )


@dataclass(frozen=True, slots=True)
class LoginSession:
    """What a person may renew tokens with. `family` authenticated, `generation` is another each time; both are SHA-256 of secrets.

    Who shows the family and a turn of before shows a stolen token, or had his stolen.
    """

    id: str
    user: str
    family: str = field(repr=False)
    generation: str = field(repr=False)
    created_ms: int = 0
    expires_ms: int = 0

    def rotated(self, turn: str) -> LoginSession:
        """After one more use."""
        return replace(self, generation=turn)

    def to_document(self) -> dict[str, Any]:
        """For the store."""
        return {
            "user": self.user,
            "family": self.family,
            "turn": self.generation,
            "createdAt": self.created_ms,
            EXPIRES_AT: self.expires_ms,
        }


def session_from_document(session_id: str, kept: Mapping[str, Any]) -> LoginSession:
    """The inverse."""
    return LoginSession(session_id, kept["user"], kept["family"], kept["turn"], kept["createdAt"], kept[EXPIRES_AT])


@dataclass(frozen=True, slots=True)
class Revocation:
    """A grant taken back: whatever token says it stands for it is worth nothing. Forgotten when all such have expired."""

    id: str
    at_ms: int
    expires_ms: int

    def to_document(self) -> dict[str, Any]:
        """For the store."""
        return {"at": self.at_ms, EXPIRES_AT: self.expires_ms}


def revocation_from_document(grant: str, kept: Mapping[str, Any]) -> Revocation:
    """The inverse."""
    return Revocation(grant, kept["at"], kept[EXPIRES_AT])
