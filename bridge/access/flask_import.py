"""Users and devices in the `data.json` of a Flask server.

    {"users": [{"id": 1, "username": "admin", "password_hash": "$2b$…"}],
     "devices": [{"name": "esp01", "type": "box", "password": "1234", "status": "offline"}]}

Either list may be missing; other keys are ignored.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from bridge.access.passwords import check_bcrypt
from bridge.core.access.accounts import user_name
from bridge.core.devices.device import Device, apply_changes
from bridge.core.errors import BridgeError, DeviceError, TransferError
from bridge.core.readings.identity import parse_device_id

BYTES_LIMIT = 16 * 1024 * 1024
_ENTRIES_LIMIT = 10_000
_SECRET_LENGTH = 1024
_FAULTS_SHOWN = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ImportedUser:
    name: str
    bcrypt_hash: str


@dataclass(frozen=True, slots=True)
class ImportedDevice:
    """`type` and `secret` are None where the file has none."""

    name: str
    type: str | None
    secret: str | None


@dataclass(frozen=True, slots=True)
class ImportedAccounts:
    users: Sequence[ImportedUser]
    devices: Sequence[ImportedDevice]


class _Fault(Exception):
    """Something wrong with an entry; the text names the key."""


def parse_accounts(text: bytes) -> ImportedAccounts:
    """Parse `data.json`. Raises `TransferError` with everything that is wrong, by place: `users[0].password_hash: …`."""
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise TransferError(f"not JSON: {error}") from None
    if not isinstance(data, dict) or not ("users" in data or "devices" in data):
        raise TransferError('expected an object with the lists "users" and "devices", or one of them')
    faults: list[str] = []
    users = _entries(data, "users", _user, faults)
    devices = _entries(data, "devices", _device, faults)
    for label, names in (("users", [user.name for user in users]), ("devices", [device.name for device in devices])):
        faults += [f"{label}: {name!r} is listed more than once" for name in sorted(_repeated(names))]
    if faults:
        more = [f"and {len(faults) - _FAULTS_SHOWN} more"] if len(faults) > _FAULTS_SHOWN else []
        raise TransferError("\n".join([*faults[:_FAULTS_SHOWN], *more]))
    return ImportedAccounts(users, devices)


def _entries(data: dict[str, Any], label: str, parse: Callable[[dict[str, Any]], T], faults: list[str]) -> list[T]:
    entries = data.get(label, [])
    if not isinstance(entries, list) or len(entries) > _ENTRIES_LIMIT:
        faults.append(f"{label}: must be a list of at most {_ENTRIES_LIMIT:,} objects")
        return []
    parsed: list[T] = []
    for number, entry in enumerate(entries):
        try:
            parsed.append(parse(_object(entry)))
        except _Fault as fault:
            faults.append(f"{label}[{number}]{fault}")
    return parsed


def _object(entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _Fault(": must be an object")
    return entry


def _user(entry: dict[str, Any]) -> ImportedUser:
    name = _checked(entry, "username", user_name)
    return ImportedUser(name, _checked(entry, "password_hash", check_bcrypt))


def _device(entry: dict[str, Any]) -> ImportedDevice:
    name = _checked(entry, "name", parse_device_id)
    kind = None if entry.get("type") in (None, "") else _checked(entry, "type", _type)
    secret = entry.get("password")
    if isinstance(secret, int) and not isinstance(secret, bool):
        secret = str(secret)
    if secret is not None and (not isinstance(secret, str) or not 0 < len(secret) <= _SECRET_LENGTH):
        raise _Fault(f".password: must be a text of 1 to {_SECRET_LENGTH} characters")
    return ImportedDevice(name, kind, secret)


def _type(text: str) -> str:
    try:
        return apply_changes(Device("a"), {"type": text}).type or ""
    except DeviceError as error:
        raise ValueError(error.fields["type"]) from None


def _checked(entry: dict[str, Any], key: str, check: Callable[[str], str]) -> str:
    """Return the checked text under a key. The text itself is not in the error: it may be a secret under a wrong key."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise _Fault(f".{key}: must be a text")
    try:
        return check(value)
    except (BridgeError, ValueError) as error:
        raise _Fault(f".{key}: {getattr(error, 'text', None) or error}") from None


def _repeated(names: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
