"""`sensor-bridge device …`: credentials of devices, in the store and in the password and ACL files of Mosquitto."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bridge.access.mosquitto.accounts import BrokerAccounts
from bridge.access.mosquitto.files import broker_user
from bridge.access.provisioning import DeviceProvisioning
from bridge.cli.accounts.users import caller, run_with_service
from bridge.cli.options import JsonOption
from bridge.cli.render import local_time, print_json, print_list
from bridge.cli.runner import ConfigOption, console, errors, print_line
from bridge.core.errors import AccountError
from bridge.core.readings.identity import normalize_device_id
from bridge.settings.loader import load_settings

T = TypeVar("T")

devices = typer.Typer(no_args_is_help=True, help="Manage the credentials of devices for HTTP, WebSockets and the broker.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Device id.", callback=normalize_device_id)]


@devices.command("add")
def add(device: IdArgument, config: ConfigOption = None) -> None:
    """Create a device's credentials and print them once. Existing credentials are not changed."""
    key, accounts = _provision(config, lambda provisioning: provisioning.add(device), "device add", device)
    if key is None:
        print_line(f"{device} already has credentials; replace them with `device passwd`", errors)
        _reload(accounts)
    else:
        _print_key(device, key, accounts)


@devices.command("passwd")
def passwd(device: IdArgument, config: ConfigOption = None) -> None:
    """Replace a device's credentials and print the new ones once. The old ones stop working within two seconds."""
    key, accounts = _provision(config, lambda provisioning: provisioning.change(device), "device passwd", device)
    _print_key(device, key, accounts)


@devices.command("list")
def list_devices(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the devices that have credentials, without their secrets."""
    entries, accounts = _provision(config, lambda provisioning: provisioning.all())
    if as_json:
        at_broker = accounts.configured
        print_json(console, [key.public() | ({"atBroker": known} if at_broker else {}) for key, known in entries])
        return
    rows = [
        (key.name, key.id, local_time(key.created_ms)[:10], ("yes" if known else "no") if accounts.configured else "")
        for key, known in entries
    ]
    empty = "no device has credentials: `sensor-bridge device add ID` creates them; `tail` shows the devices that send"
    print_list(console, ("device", "key", "since", "at the broker"), rows, empty)


@devices.command("remove")
def remove(device: IdArgument, config: ConfigOption = None) -> None:
    """Revoke a device's credentials. Its open connections close within two seconds."""
    _, accounts = _provision(config, lambda provisioning: provisioning.remove(device), "device remove", device)
    print_line(f"{device} removed")
    _reload(accounts)


@devices.command("broker")
def broker(config: ConfigOption = None) -> None:
    """Write the bridge's own account (mqtt.username, mqtt.password) into the broker's files. Safe to repeat."""
    settings = load_settings(config)
    accounts = BrokerAccounts(settings.mqtt, settings.own_topics.values())
    if not accounts.configured:
        raise AccountError("mqtt.files", "passwords and acl must be set")
    user = accounts.put_bridge()
    if user is None:
        raise AccountError("mqtt", "username and password must be set")
    print_line(f"{user} is the bridge's account")
    _reload(accounts)


def _provision(
    config: Path | None, work: Callable[[DeviceProvisioning], Awaitable[T]], action: str = "", target: str = ""
) -> tuple[T, BrokerAccounts]:
    accounts = BrokerAccounts(load_settings(config).mqtt)
    result = run_with_service(
        config, lambda service, _: work(DeviceProvisioning(service.keys, accounts, by=caller())), action, target
    )
    return result, accounts


def _print_key(device: str, key: str, accounts: BrokerAccounts) -> None:
    """Print only the key to standard output, for scripts."""
    mqtt = f"; MQTT user {broker_user(device)}, with the key as password" if accounts.configured else ""
    print_line(f"key of {device}: store it now, it is not shown again{mqtt}", errors)
    print_line(key)
    _reload(accounts)


def _reload(accounts: BrokerAccounts) -> None:
    if not accounts.configured:
        text = "mqtt.files is not set: the broker's files are unchanged"
    elif accounts.reload():
        text = "the broker reloads its files"
    else:
        text = "make the broker reload its files: kill -HUP, or docker compose kill -s HUP mosquitto"
    print_line(text, errors)
