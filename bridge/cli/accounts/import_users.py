"""`sensor-bridge import-users`: users, devices and device secrets of a Flask server's `data.json`."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bridge.access.flask_import import BYTES_LIMIT, ImportedAccounts, ImportedDevice, ImportedUser, parse_accounts
from bridge.access.service import AuthService
from bridge.cli.accounts.users import operator, run_with_store
from bridge.cli.runner import ConfigOption, print_line
from bridge.cli.settings_file import add_device_secrets, settings_path
from bridge.core.access.permissions import Role
from bridge.core.access.secrets import HASHED, sha256_hex
from bridge.core.devices.device import OFFLINE, Device
from bridge.core.errors import TransferError
from bridge.ports import DeviceStore, Store
from bridge.settings import Settings


def import_users(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The data.json of a Flask server.")],
    config: ConfigOption = None,
    role: Annotated[
        Role, typer.Option(help="Role of the users, except the one called access.admin_name, who becomes an admin.")
    ] = Role.OPERATOR,
    secrets: Annotated[
        bool, typer.Option("--secrets/--no-secrets", help="Write the devices' secrets into the settings file.")
    ] = True,
) -> None:
    """Import the users, devices and device secrets of a Flask server. What exists already is not changed.

    Passwords stay as they are: a bcrypt hash is replaced by argon2id at the first login. Secrets are written as hashes.
    """
    accounts = _read(path)
    if secrets:
        _write_secrets(accounts.devices, settings_path(config))

    async def work(service: AuthService, settings: Settings, store: Store) -> None:
        added = [await _add_user(service, user, _role(user, role, settings)) for user in accounts.users]
        print_line(f"users: {added.count(True)} added, {added.count(False)} already there")
        new, changed = await _add_devices(store.devices, accounts.devices, settings.devices.limit)
        print_line(f"devices: {new} added, {changed} changed, {len(accounts.devices) - new - changed} already there")
        if not any(user.role is Role.ADMIN for user in await service.users.all()):
            print_line("no user is an admin yet: `sensor-bridge user add NAME --role admin`")

    run_with_store(config, work)
    print_line("Restart the bridge. Passwords that are too short for it still work: let their users change them.")


def _read(path: Path) -> ImportedAccounts:
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_LIMIT + 1)
    except OSError as error:
        raise TransferError(f"{path}: cannot be read: {error.strerror}") from None
    if len(text) > BYTES_LIMIT:
        raise TransferError(f"{path}: larger than {BYTES_LIMIT // 1024 // 1024} MiB, the limit")
    try:
        return parse_accounts(text)
    except TransferError as error:
        raise TransferError(f"{path}: nothing was imported:\n{error}") from None


def _write_secrets(devices: Sequence[ImportedDevice], path: Path) -> None:
    found = {device.name: HASHED + sha256_hex(device.secret.encode()) for device in devices if device.secret is not None}
    added, backup = add_device_secrets(path, found) if found else ([], None)
    copy = "" if backup is None else f"; the previous file is {backup}"
    print_line(f"secrets: {len(added)} added to {path}, {len(found) - len(added)} already there{copy if added else ''}")


def _role(user: ImportedUser, role: Role, settings: Settings) -> Role:
    return Role.ADMIN if user.name == settings.access.admin_name else role


async def _add_user(service: AuthService, user: ImportedUser, role: Role) -> bool:
    added = await service.users.add_imported(user.name, user.bcrypt_hash, role)
    if added is None:
        return False
    service.audit.record("user added", actor=operator(), target=added.id, role=str(role), why="import")
    return True


async def _add_devices(store: DeviceStore, devices: Sequence[ImportedDevice], limit: int) -> tuple[int, int]:
    """Store the devices that are new, and the types of those that have none; return how many of each."""
    known = {device.id: device for device in await store.all(limit)}
    now_ms = time.time_ns() // 1_000_000
    new = [
        Device(device.name, type=device.type, status=OFFLINE, status_ms=now_ms, created_ms=now_ms)
        for device in devices
        if device.name not in known
    ]
    if len(known) + len(new) > limit:
        raise TransferError(f"{len(new)} new devices are more than the limit of {limit} allows (devices.limit)")
    changed = [
        replace(known[device.name], type=device.type)
        for device in devices
        if device.type is not None and device.name in known and known[device.name].type is None
    ]
    await store.save([*new, *changed])
    return len(new), len(changed)
