"""`sensor-bridge user …` and `key …`: accounts in the store, with or without a running bridge.

Passwords are prompted for or read from the first line of standard input; never an argument, which every user of the machine
can read.
"""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bridge.access.api_keys import ApiKeys
from bridge.access.passwords import check_password
from bridge.access.service import AuthService, MadeKeys
from bridge.access.users import Users
from bridge.cli.options import JsonOption, load_store_settings
from bridge.cli.render import Column, local_time, print_json, print_list
from bridge.cli.runner import ConfigOption, console, errors, print_line
from bridge.core.access.accounts import scope_of, user_name
from bridge.core.access.channels import channels_of, channels_to_document
from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope, Role
from bridge.core.errors import AccountError
from bridge.ports import Store
from bridge.settings import Settings
from bridge.stores import open_store

T = TypeVar("T")

users = typer.Typer(no_args_is_help=True, help="Manage the users who may log in.")
keys = typer.Typer(no_args_is_help=True, help="Manage the API keys of programs and devices.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
DeviceOption = Annotated[list[str] | None, typer.Option("--device", help="Only this device; may be repeated.")]
ChannelOption = Annotated[list[str] | None, typer.Option("--channel", help="Only this channel of /api/v1/ws; may be repeated.")]
SiteOption = Annotated[list[str] | None, typer.Option("--site", help="Only devices at this site; may be repeated.")]


@users.command("add")
def add_user(
    name: NameArgument,
    config: ConfigOption = None,
    role: Annotated[Role, typer.Option(help="Operators may send commands; admins may do everything.")] = Role.VIEWER,
    device: DeviceOption = None,
    site: SiteOption = None,
    channel: ChannelOption = None,
) -> None:
    """Add a user. The password is prompted for or read from standard input."""
    name, scope, channels = user_name(name), scope_of(device or (), site or ()), channels_of(channel or None)
    password = _read_password(name)
    add = partial(Users.add, name=name, password=password, role=role, scope=scope, channels=channels)
    user = run_with_service(config, lambda service, _: add(service.users), "user added", name)
    print_line(f"{user.id} added, {user.role}")


@users.command("passwd")
def change_password(name: NameArgument, config: ConfigOption = None) -> None:
    """Change a user's password. Sessions that were opened with the old password end."""
    name = user_name(name)
    changes = {"password": _read_password(name)}
    run_with_service(config, lambda service, _: service.users.change(name, changes), "user changed", name)
    print_line(f"password of {name} changed")


@users.command("disable")
def disable_user(name: NameArgument, config: ConfigOption = None) -> None:
    """Keep a user from logging in. Their sessions end, and the keys they made that may administer."""
    _set_disabled(name, config, disabled=True)


@users.command("enable")
def enable_user(name: NameArgument, config: ConfigOption = None) -> None:
    """Let a disabled user log in again."""
    _set_disabled(name, config, disabled=False)


def _set_disabled(name: str, config: Path | None, *, disabled: bool) -> None:
    name = user_name(name)

    async def change(service: AuthService, _: Settings) -> MadeKeys:
        return (await service.change_user(name, {"disabled": disabled}))[1]

    keys = run_with_service(config, change, "user changed", name)
    print_line(f"{name} {'disabled' if disabled else 'enabled'}")
    for key in keys.ended:
        print_line(f"key {key.id} {key.name} made by {name} removed: {' '.join(sorted(key.permissions))}")
    for link in keys.links:
        print_line(f"link {link.id} {link.title} made by {name} revoked")


@users.command("list")
def list_users(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the users."""
    found = run_with_service(config, lambda service, _: service.users.all())
    if as_json:
        print_json(console, [user.public() for user in found])
        return
    rows = [
        (
            user.id,
            f"{user.role}, disabled" if user.disabled else user.role,
            *_scope_cells(user.scope),
            _channel_cell(user.channels),
            local_time(user.created_ms)[:10],
        )
        for user in found
    ]
    columns = ("name", "role", Column("devices", prose=True), Column("sites", prose=True), "channels", "since")
    print_list(console, columns, rows, "no users: `sensor-bridge user add NAME --role admin` adds one")


@users.command("remove")
def remove_user(
    name: NameArgument,
    config: ConfigOption = None,
    keep_keys: Annotated[bool, typer.Option("--keep-keys", help="Keep their links, and the keys that may administer.")] = False,
) -> None:
    """Remove a user with their public links and the keys they made that may administer; list the other keys they made.

    Their sessions, links and keys end within two seconds, also in a running bridge.
    """
    name = user_name(name)

    async def remove(service: AuthService, _: Settings) -> MadeKeys:
        made = await service.remove_user(name, keep_keys=keep_keys)
        for key in made.ended:
            service.audit.record("key removed", actor=operator(), target=key.id, name=key.name, why=f"made by {name}")
        for link in made.links:
            service.audit.record("link removed", actor=operator(), target=link.id, title=link.title, why=f"made by {name}")
        return made

    keys = run_with_service(config, remove, "user removed", name)
    print_line(f"{name} removed")
    for word, made in (("removed", keys.ended), ("kept", keys.remaining)):
        for key in made:
            print_line(f"key {key.id} {key.name} made by {name} {word}: {' '.join(sorted(key.permissions))}")
    for link in keys.links:
        print_line(f"link {link.id} {link.title} made by {name} revoked")
    if keys.remaining:
        print_line("kept keys still work: revoke those that are not needed with `sensor-bridge key remove ID`")


@keys.command("add")
def add_key(
    name: NameArgument,
    config: ConfigOption = None,
    right: Annotated[
        list[Permission] | None,
        typer.Option("--right", metavar="RIGHT", help=f"{', '.join(Permission)}; may be repeated. Default: see."),
    ] = None,
    device: DeviceOption = None,
    site: SiteOption = None,
    channel: ChannelOption = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires. Default: it does not expire.")] = None,
    of_device: Annotated[
        bool, typer.Option("--of-device", help="NAME is a device id; the key publishes as this device.")
    ] = False,
) -> None:
    """Create an API key and print it once."""
    if of_device and (right or device or site or channel):
        raise typer.BadParameter("--of-device cannot be combined with --right, --device, --site or --channel")
    scope, channels, permissions = scope_of(device or (), site or ()), channels_of(channel or None), right or [Permission.READ]
    make = partial(ApiKeys.make, name=name, rights=permissions, device=of_device, days=days, by=caller())
    create = partial(make, scope=scope, channels=channels)
    key, text = run_with_service(config, lambda service, _: create(service.keys), "key added", name)
    print_line(f"{key.id} {key.name}: store it now, it is not shown again", errors)
    print_line(text)


@keys.command("list")
def list_keys(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the API keys without their secrets."""
    found = run_with_service(config, lambda service, _: service.keys.all())
    if as_json:
        print_json(console, [key.public() for key in found])
        return
    rows = []
    for key in found:
        expires = local_time(key.expires_ms)[:10] or "never"
        rights, limits = " ".join(sorted(key.permissions)), (*_scope_cells(key.scope), _channel_cell(key.channels))
        rows.append((key.id, key.name, key.kind, rights, *limits, expires))
    columns = (
        "id",
        "name",
        "kind",
        "rights",
        Column("devices", prose=True),
        Column("sites", prose=True),
        "channels",
        "expires",
    )
    print_list(console, columns, rows, "no API keys: `sensor-bridge key add NAME` creates one")


@keys.command("remove")
def remove_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id, as `key list` shows it.")], config: ConfigOption = None
) -> None:
    """Revoke an API key. It stops working within two seconds, also in a running bridge."""
    key = run_with_service(config, lambda service, _: service.keys.remove(key_id), "key removed", key_id)
    print_line(f"{key.id} {key.name} removed")


def run_with_service(
    config: Path | None, work: Callable[[AuthService, Settings], Awaitable[T]], action: str = "", target: str = ""
) -> T:
    """Run `work` on the configured store and return its result. With an `action`, record it in the audit log."""

    async def run(service: AuthService, settings: Settings, _: Store) -> T:
        result = await work(service, settings)
        if action:
            service.audit.record(action, actor=operator(), target=target)
        return result

    return run_with_store(config, run)


def run_with_store(config: Path | None, work: Callable[[AuthService, Settings, Store], Awaitable[T]]) -> T:
    """Run `work` on the configured store, write what it recorded in the audit log, and return its result."""
    settings = load_store_settings(config)

    async def run() -> T:
        async with open_store(settings.store) as store:
            await store.prepare()
            service = AuthService(settings.access, settings.devices, store)
            result = await work(service, settings, store)
            await service.close()
            return result

    return asyncio.run(run())


def operator() -> Identity:
    """Return the operating system's user as an actor for the audit log."""
    return Identity(IdentityKind.PROGRAM, caller(), frozenset())


def caller() -> str:
    """Return the operating system's user as an actor for the audit log."""
    return f"cli:{getpass.getuser()}"


def _read_password(name: str) -> str:
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        check_password(password)
        return password
    password = getpass.getpass(f"password of {name}: ")
    check_password(password)
    if getpass.getpass("again: ") != password:
        raise AccountError("password", "the two passwords differ")
    return password


def _channel_cell(channels: frozenset[str] | None) -> str:
    return ", ".join(channels_to_document(channels) or ("all",))


def _scope_cells(scope: ResourceScope | None) -> tuple[str, str]:
    if scope is None:
        return "all", "all"
    return ", ".join(sorted(scope.devices)), ", ".join(sorted(scope.sites))
