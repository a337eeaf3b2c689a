"""`sensor-bridge user …` and `key …`: on the store of the settings, beside a bridge that runs or without one.

A password is asked for, or is the first line of standard input; never an argument, which everybody on the machine can read.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.markup import escape
from rich.table import Column, Table

from bridge.access.api_keys import ApiKeys
from bridge.access.passwords import check_password
from bridge.access.service import AuthService
from bridge.cli.runner import ConfigOption, console, errors
from bridge.core.access.accounts import scope_of, user_name
from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope, Role
from bridge.core.errors import AccountError
from bridge.core.timestamp import iso
from bridge.settings import Settings
from bridge.settings.loader import load_settings
from bridge.stores import open_store

T = TypeVar("T")

users = typer.Typer(no_args_is_help=True, help="People who may log in.")
keys = typer.Typer(no_args_is_help=True, help="Keys of programs and devices.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
DeviceOption = Annotated[list[str] | None, typer.Option("--device", help="Only this device; may be repeated.")]
SiteOption = Annotated[list[str] | None, typer.Option("--site", help="Only devices at this site; may be repeated.")]


@users.command("add")
def add_user(
    name: NameArgument,
    config: ConfigOption = None,
    role: Annotated[Role, typer.Option(help="Operators send commands; admins do everything.")] = Role.VIEWER,
    device: DeviceOption = None,
    site: SiteOption = None,
) -> None:
    """Add a person. The password is asked for, or comes by standard input."""
    name, scope = user_name(name), scope_of(device or (), site or ())
    password = _password(name)
    added = with_control(config, lambda control, _: control.users.add(name, password, role, scope), "user added", name)
    console.print(f"{added.id} added, {added.role}", markup=False, highlight=False)


@users.command("passwd")
def change_password(name: NameArgument, config: ConfigOption = None) -> None:
    """Give a person another password; whoever is logged in by the old one is logged out."""
    password = _password(user_name(name))
    changes = {"password": password}
    with_control(config, lambda control, _: control.users.change(name, changes), "user changed", user_name(name))
    console.print(f"{user_name(name)} has another password", markup=False, highlight=False)


@users.command("list")
def list_users(config: ConfigOption = None) -> None:
    """Who may log in."""
    table = Table("name", "role", "devices", "sites", "since")
    for one in with_control(config, lambda control, _: control.users.all()):
        table.add_row(one.id, one.role, *_shown(one.scope), iso(one.created_ms)[:10])
    console.print(table)


@users.command("remove")
def remove_user(name: NameArgument, config: ConfigOption = None) -> None:
    """Remove a person; his sessions end within two seconds, also in a bridge that runs."""
    with_control(config, lambda control, _: control.users.remove(name), "user removed", user_name(name))
    console.print(f"{user_name(name)} removed", markup=False, highlight=False)


@keys.command("add")
def add_key(
    name: NameArgument,
    config: ConfigOption = None,
    right: Annotated[
        list[Permission] | None, typer.Option("--right", help="What it may; may be repeated. Default: see.")
    ] = None,
    device: DeviceOption = None,
    site: SiteOption = None,
    days: Annotated[float | None, typer.Option(help="How long it is valid. Default: until it is removed.")] = None,
    of_device: Annotated[bool, typer.Option("--of-device", help="NAME is the id of a device; the key sends as it.")] = False,
) -> None:
    """Make a key and print it, this once."""
    if of_device and (right or device or site):
        raise typer.BadParameter("the key of a device has no other rights, devices or sites")
    scope, by = scope_of(device or (), site or ()), caller()
    rights = right or [Permission.READ]
    making = partial(ApiKeys.make, name=name, rights=rights, scope=scope, device=of_device, days=days, by=by)
    key, text = with_control(config, lambda control, _: making(control.keys), "key added", name)
    errors.print(f"{key.id} {key.name}: keep it, it is not shown again", markup=False, highlight=False)
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@keys.command("list")
def list_keys(config: ConfigOption = None) -> None:
    """The keys there are; not what they are."""
    table = Table(Column("id", no_wrap=True), "name", "kind", "rights", "devices", "sites", "expires")
    for one in with_control(config, lambda control, _: control.keys.all()):
        expires = iso(one.expires_ms)[:10] if one.expires_ms else "never"
        table.add_row(one.id, escape(one.name), one.kind, " ".join(sorted(one.permissions)), *_shown(one.scope), expires)
    console.print(table)


@keys.command("remove")
def remove_key(key_id: Annotated[str, typer.Argument(metavar="ID")], config: ConfigOption = None) -> None:
    """Take a key back; it is worth nothing within two seconds, also in a bridge that runs."""
    key = with_control(config, lambda control, _: control.keys.remove(key_id), "key removed", key_id)
    console.print(f"{key.id} {key.name} removed", markup=False, highlight=False)


def with_control(
    config: Path | None, work: Callable[[AuthService, Settings], Awaitable[T]], act: str = "", about: str = ""
) -> T:
    """The outcome of some work on the store of the settings; what it was, if it changed something, is in the audit."""
    settings = load_settings(config)

    async def working() -> T:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_store(settings.store))
            await store.prepare()
            control = AuthService(settings.access, settings.devices, store)
            done = await work(control, settings)
            if act:
                control.audit.record(act, actor=Identity(IdentityKind.PROGRAM, caller(), frozenset()), target=about)
                await control.close()
            return done

    return asyncio.run(working())


def caller() -> str:
    """Who types, for the records."""
    return f"cli:{getpass.getuser()}"


def _password(name: str) -> str:
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        check_password(password)
        return password
    password = getpass.getpass(f"password of {name}: ")
    check_password(password)
    if getpass.getpass("again: ") != password:
        raise AccountError("password", "was not typed the same twice")
    return password


def _shown(scope: ResourceScope | None) -> tuple[str, str]:
    return (
        ("all", "all") if scope is None else (escape(" ".join(sorted(scope.devices))), escape(", ".join(sorted(scope.sites))))
    )
