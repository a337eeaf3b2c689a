"""Stored records of access control: users, API keys, login sessions and revocations.

Times are milliseconds since the epoch, UTC. No secret is stored in clear text: passwords are argon2id hashes; the secrets of
keys and sessions, which are random, are SHA-256 hashes. `to_document` returns the stored fields without the id, and
`…_from_document` is its inverse.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bridge.core.access.channels import channels_of, channels_to_document
from bridge.core.access.permissions import IdentityKind, Permission, ResourceScope, Role
from bridge.core.access.texts import is_plain
from bridge.core.errors import AccountError, DeviceIdError
from bridge.core.readings.identity import parse_device_id
from bridge.core.timestamp import iso

NAMES_LIMIT = 32
_SITE_LENGTH = 128
_SCOPE_LENGTH = 2048
"""Scopes are part of tokens, in ASCII, and tokens are part of headers and cookies, which hold 4096 bytes."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}", re.ASCII)
_LABEL_LENGTH = 64

EXPIRES_AT = "expiresAt"
"""The document key that holds the time after which a database may delete the document by itself."""


def user_name(text: str) -> str:
    """Return the user name in lower case, without surrounding space. Raises `AccountError`."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise AccountError("name", "must be 1 to 64 characters of a-z 0-9 . _ @ + -, starting with a letter or digit")
    return name


def key_name(text: str) -> str:
    """Return the display name of an API key, without surrounding space. Raises `AccountError`."""
    name = text.strip()
    if not name or len(name) > _LABEL_LENGTH or not is_plain(name):
        raise AccountError("name", f"must be 1 to {_LABEL_LENGTH} printable characters")
    return name


def scope_of(devices: Iterable[str], sites: Iterable[str]) -> ResourceScope | None:
    """Return the scope of these devices and sites; None (every device) if both are empty. Raises `AccountError`."""
    scope = ResourceScope(frozenset(map(_device_id, devices)), frozenset(sites))
    if bad := [name for name in scope.sites if not is_plain(name) or not 0 < len(name) <= _SITE_LENGTH]:
        raise AccountError("sites", f"{bad[0][:64]!r} is not a site name: 1 to {_SITE_LENGTH} printable characters")
    names = [*scope.devices, *scope.sites]
    if len(names) > NAMES_LIMIT or sum(len(json.dumps(name)) for name in names) > _SCOPE_LENGTH:
        raise AccountError(
            "devices", f"scope too large: at most {NAMES_LIMIT} names and {_SCOPE_LENGTH} characters; name sites instead"
        )
    return scope if names else None


def _device_id(text: str) -> str:
    try:
        return parse_device_id(text)
    except DeviceIdError as error:
        raise AccountError("devices", f"{text[:64]!r} is not a device id: {error}") from None


def scope_with(before: ResourceScope | None, devices: Iterable[str] | None, sites: Iterable[str] | None) -> ResourceScope:
    """Return the scope `before` with its devices, its sites or both replaced; None leaves that part unchanged.

    Raises `AccountError`, also if the result is empty: removing the last name must not grant every device.
    """
    old = before or ResourceScope()
    scope = scope_of(old.devices if devices is None else devices, old.sites if sites is None else sites)
    if scope is None:
        changed = "sites" if devices is None else "devices"
        raise AccountError(changed, 'no device and no site would be left: name at least one; "scope": null grants every device')
    return scope


def scope_to_document(scope: ResourceScope | None) -> dict[str, list[str]] | None:
    """Return a scope in JSON types."""
    return None if scope is None else {"devices": sorted(scope.devices), "sites": sorted(scope.sites)}


def scope_from_document(document: Mapping[str, Any] | None) -> ResourceScope | None:
    return None if document is None else ResourceScope(frozenset(document["devices"]), frozenset(document["sites"]))


class Storable(Protocol):
    @property
    def id(self) -> str: ...

    def to_document(self) -> dict[str, Any]:
        """Return everything but the id, in JSON types."""


@dataclass(frozen=True, slots=True)
class User:
    """A person. `password` is its argon2id hash. A `disabled` user keeps everything and cannot log in.

    `revision` is another one after each change, so that of two changes at once none is lost.
    """

    id: str
    role: Role
    password: str = field(repr=False)
    scope: ResourceScope | None = None
    created_ms: int = 0
    channels: frozenset[str] | None = None
    disabled: bool = False
    revision: str = ""

    def __post_init__(self) -> None:
        """Raises `AccountError` for an admin with limits: an admin can grant themselves everything."""
        if self.role is Role.ADMIN and self.scope is not None:
            raise AccountError("role", "an admin has no scope: choose another role, or no devices and sites")
        if self.role is Role.ADMIN and self.channels is not None:
            raise AccountError("role", "an admin may listen to every channel: choose another role, or no channels")

    @property
    def administers(self) -> bool:
        return self.role is Role.ADMIN and not self.disabled

    def public(self) -> dict[str, Any]:
        return {
            "name": self.id,
            "role": str(self.role),
            "scope": scope_to_document(self.scope),
            "channels": channels_to_document(self.channels),
            "createdAt": iso(self.created_ms),
            "disabled": self.disabled,
        }

    def to_document(self) -> dict[str, Any]:
        return {
            "role": str(self.role),
            "password": self.password,
            "scope": scope_to_document(self.scope),
            "createdAt": self.created_ms,
            "channels": channels_to_document(self.channels),
            "disabled": self.disabled,
            "revision": self.revision,
        }


def user_from_document(name: str, document: Mapping[str, Any]) -> User:
    scope = scope_from_document(document["scope"])
    channels = channels_of(document.get("channels"))
    return User(
        name,
        Role(document["role"]),
        document["password"],
        scope,
        document["createdAt"],
        channels,
        bool(document.get("disabled")),
        document.get("revision", ""),
    )


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a program, or of the device whose id is `name`. `secret` is the SHA-256 of a secret displayed only once."""

    id: str
    name: str
    kind: IdentityKind
    permissions: frozenset[Permission]
    secret: str = field(repr=False)
    scope: ResourceScope | None = None
    created_ms: int = 0
    expires_ms: int | None = None
    by: str = ""
    channels: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Raises `AccountError`: a device may only publish as itself, and an administering key has no scope."""
        if not self.permissions:
            raise AccountError("rights", f"must be one or more of {', '.join(Permission)}")
        if self.scope is not None and Permission.ADMIN in self.permissions:
            raise AccountError("rights", "a key that may administer has no scope: name no devices and sites, or drop the right")
        if self.kind is IdentityKind.DEVICE and (
            self.permissions != {Permission.PUBLISH} or self.scope != ResourceScope(frozenset((self.name,)))
        ):
            raise AccountError("device", "may only publish as itself")

    def public(self) -> dict[str, Any]:
        """Return the key without its secret."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": str(self.kind),
            "rights": sorted(map(str, self.permissions)),
            "scope": scope_to_document(self.scope),
            "channels": channels_to_document(self.channels),
            "createdAt": iso(self.created_ms),
            "expires": None if self.expires_ms is None else iso(self.expires_ms),
            "by": self.by,
        }

    def to_document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": str(self.kind),
            "rights": sorted(self.permissions),
            "secret": self.secret,
            "scope": scope_to_document(self.scope),
            "createdAt": self.created_ms,
            "validUntil": self.expires_ms,
            "by": self.by,
            "channels": channels_to_document(self.channels),
        }


def api_key_from_document(key_id: str, document: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        key_id,
        document["name"],
        IdentityKind(document["kind"]),
        frozenset(map(Permission, document["rights"])),
        document["secret"],
        scope_from_document(document["scope"]),
        document["createdAt"],
        document["validUntil"],
        document["by"],
        channels_of(document.get("channels")),
    )


@dataclass(frozen=True, slots=True)
class LoginSession:
    """The server side of a refresh token. `family` and `generation` are SHA-256 hashes of its two secrets.

    `family` stays for the whole session and `generation` changes with each use, so the right family with an old generation
    means that the refresh token was stolen. Refresh tokens of a session `in_cookie` count in a cookie only.
    """

    id: str
    user: str
    family: str = field(repr=False)
    generation: str = field(repr=False)
    created_ms: int = 0
    expires_ms: int = 0
    in_cookie: bool = False

    def rotated(self, generation: str) -> "LoginSession":
        return replace(self, generation=generation)

    def to_document(self) -> dict[str, Any]:
        return {
            "user": self.user,
            "family": self.family,
            "turn": self.generation,
            "createdAt": self.created_ms,
            EXPIRES_AT: self.expires_ms,
            "cookie": self.in_cookie,
        }


def session_from_document(session_id: str, document: Mapping[str, Any]) -> LoginSession:
    return LoginSession(
        session_id,
        document["user"],
        document["family"],
        document["turn"],
        document["createdAt"],
        document[EXPIRES_AT],
        document.get("cookie", True),  # earlier versions did not tell them apart
    )


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revoked grant: tokens issued for it are invalid. Deleted once all of them have expired."""

    id: str
    at_ms: int
    expires_ms: int

    def to_document(self) -> dict[str, Any]:
        return {"at": self.at_ms, EXPIRES_AT: self.expires_ms}


def revocation_from_document(grant: str, document: Mapping[str, Any]) -> Revocation:
    return Revocation(grant, document["at"], document[EXPIRES_AT])
