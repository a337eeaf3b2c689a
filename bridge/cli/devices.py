"""`sensor-bridge device …`: devices' own credentials, in the store of the settings and in the files of its Mosquitto."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from bridge.access.mosquitto.accounts import BrokerAccounts
from bridge.access.mosquitto.files import broker_user
from bridge.access.provisioning import DeviceProvisioning
from bridge.cli.runner import ConfigOption, console, errors
from bridge.cli.users import caller, with_control
from bridge.core.errors import AccountError
from bridge.core.timestamp import iso
from bridge.settings.loader import load_settings

T = TypeVar("T")

devices = typer.Typer(no_args_is_help=True, help="Devices' own credentials: for HTTP, sockets and the broker.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The device's id.")]


@devices.command("add")
def add(device: IdArgument, config: ConfigOption = None) -> None:
    """Give a device its credentials and print them, this once. One that has some keeps them."""
    key, accounts = _enrolling(config, lambda enrolment: enrolment.add(device), "device add", device)
    if key is None:
        errors.print(f"{device} has its credentials already; `device passwd` gives it others", markup=False, highlight=False)
        _reload(accounts)
    else:
        _show(device, key, accounts)


@devices.command("passwd")
def passwd(device: IdArgument, config: ConfigOption = None) -> None:
    """Give a device other credentials and print them, this once; the old ones are worth nothing within two seconds."""
    key, accounts = _enrolling(config, lambda enrolment: enrolment.change(device), "device passwd", device)
    _show(device, key, accounts)


@devices.command("list")
def list_devices(config: ConfigOption = None) -> None:
    """The devices that have credentials; not what they are."""
    found, accounts = _enrolling(config, lambda enrolment: enrolment.all())
    table = Table("device", "key", "since", "at the broker")
    for key, known in found:
        table.add_row(key.name, key.id, iso(key.created_ms)[:10], ("yes" if known else "no") if accounts.configured else "")
    console.print(table)


@devices.command("remove")
def remove(device: IdArgument, config: ConfigOption = None) -> None:
    """Take a device's credentials back; what it has open here is closed within two seconds."""
    _, accounts = _enrolling(config, lambda enrolment: enrolment.remove(device), "device remove", device)
    console.print(f"{device} removed", markup=False, highlight=False)
    _reload(accounts)


@devices.command("broker")
def broker(config: ConfigOption = None) -> None:
    """Give the bridge itself its account at the broker, by mqtt.username and mqtt.password. Safe to repeat."""
    accounts = BrokerAccounts(load_settings(config).mqtt)
    if not accounts.configured:
        raise AccountError("mqtt.files", "passwords and acl must be named")
    user = accounts.put_bridge()
    if user is None:
        raise AccountError("mqtt", "username and password must be set")
    console.print(f"{user} is the bridge's account", markup=False, highlight=False)
    _reload(accounts)


def _enrolling(
    config: Path | None, work: Callable[[DeviceProvisioning], Awaitable[T]], act: str = "", about: str = ""
) -> tuple[T, BrokerAccounts]:
    accounts = BrokerAccounts(load_settings(config).mqtt)
    enrolled = with_control(
        config, lambda control, _: work(DeviceProvisioning(control.keys, accounts, by=caller())), act, about
    )
    return enrolled, accounts


def _show(device: str, key: str, accounts: BrokerAccounts) -> None:
    """The key alone on standard output, so that a script can take it."""
    name = f"; MQTT user {broker_user(device)}, with it as the password" if accounts.configured else ""
    errors.print(f"the key of {device}: keep it, it is not shown again{name}", markup=False, highlight=False, soft_wrap=True)
    console.print(key, markup=False, highlight=False, soft_wrap=True)
    _reload(accounts)


def _reload(accounts: BrokerAccounts) -> None:
    if not accounts.configured:
        said = "mqtt.files is not set: the broker knows nothing of this"
    elif accounts.reload():
        said = "the broker reads its files again"
    else:
        said = "have the broker read its files again: kill -HUP, or docker compose kill -s HUP mosquitto"
    errors.print(said, markup=False, highlight=False, soft_wrap=True)
