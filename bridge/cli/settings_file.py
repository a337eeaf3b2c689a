"""Changes to the settings file that keep its comments and its order."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Table

from bridge.core.errors import SettingsError
from bridge.core.readings.identity import normalize_device_id
from bridge.settings import MqttSettings, SubscriptionSettings
from bridge.settings.loader import CONFIG_VARIABLE, DEFAULT_PATH, load_settings
from bridge.settings.loader.variables import effective_environment

_SUBSCRIPTIONS_VARIABLES = ("BRIDGE_MQTT__SUBSCRIPTIONS", "BRIDGE_MQTT__SUBSCRIPTIONS_FILE")
_SECRETS_VARIABLES = ("BRIDGE_DEVICES__CREDENTIALS", "BRIDGE_DEVICES__CREDENTIALS_FILE")
_BACKUP = ".bak"
_READABLE = 0o644  # by the user of the service


def settings_path(path: Path | None) -> Path:
    """Return the settings file that a command uses, which may not exist yet."""
    environ = effective_environment()
    return path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else DEFAULT_PATH)


def add_subscriptions(
    path: Path,
    subscriptions: Sequence[SubscriptionSettings],
    *,
    discovery: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Path | None:
    """Add subscriptions to the settings file, and switch discovery on if that is wanted; return the backup (None: a new file).

    The file is replaced in one step, and only if the result is valid. Raises `SettingsError`.
    """
    environ = effective_environment() if environ is None else environ
    if subscriptions:
        _check_environment(_SUBSCRIPTIONS_VARIABLES, "subscriptions", environ)
    document = _read(path)
    mqtt = _table(document, "mqtt", path)
    if subscriptions:
        _append(mqtt, subscriptions)
    if discovery:
        mqtt["discovery"] = True
    return _replace(path, tomlkit.dumps(document), environ)


def add_device_secrets(
    path: Path, secrets: Mapping[str, str], environ: Mapping[str, str] | None = None
) -> tuple[list[str], Path | None]:
    """Add secrets to `devices.credentials` in the settings file, except of devices that have one there.

    Return the devices whose secrets were added, and the backup (None: no file was replaced). Raises `SettingsError`.
    """
    environ = effective_environment() if environ is None else environ
    _check_environment(_SECRETS_VARIABLES, "device secrets", environ)
    document = _read(path)
    devices = _table(document, "devices", path)
    credentials = devices.setdefault("credentials", tomlkit.table())
    if not isinstance(credentials, Table | InlineTable):
        raise SettingsError(f"{path}: devices.credentials is not a table")
    known = {normalize_device_id(name) for name in credentials}
    added = [name for name in secrets if name not in known]
    for name in added:
        credentials[name] = secrets[name]
    return added, _replace(path, tomlkit.dumps(document), environ) if added else None


def _check_environment(names: Sequence[str], what: str, environ: Mapping[str, str]) -> None:
    for name in names:
        if environ.get(name):
            raise SettingsError(f"environment {name} sets the {what}, and the file would have no effect: add them there")


def _read(path: Path) -> TOMLDocument:
    try:
        return tomlkit.parse(path.read_text("utf-8") if path.exists() else "")
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None


def _table(document: TOMLDocument, name: str, path: Path) -> Table:
    table = document.setdefault(name, tomlkit.table())
    if not isinstance(table, Table):
        raise SettingsError(f"{path}: {name} is not a table")
    return table


def _append(mqtt: Table, subscriptions: Sequence[SubscriptionSettings]) -> None:
    """Append to the list as it is written. A list that is not there is the default one, which the new list has to contain."""
    listed = mqtt.get("subscriptions")
    if isinstance(listed, AoT):
        for one in subscriptions:
            table = tomlkit.table()
            table.update(_values(one))
            listed.append(table)
        return
    if not isinstance(listed, Array):
        mqtt["subscriptions"] = tomlkit.array()
        listed = mqtt["subscriptions"]
        subscriptions = (*MqttSettings().subscriptions, *subscriptions)
    for one in subscriptions:
        listed.append(tomlkit.value(_inline(_values(one))))
    listed.multiline(True)


def _inline(value: object) -> str:
    if not isinstance(value, dict):
        return tomlkit.item(value).as_string()
    keys = (f"{tomlkit.item({key: 0}).as_string().partition(' =')[0]} = {_inline(inner)}" for key, inner in value.items())
    return f"{{ {', '.join(keys)} }}"


def _values(subscription: SubscriptionSettings) -> dict[str, object]:
    """Return the values that are not the defaults."""
    values = subscription.model_dump(mode="json", exclude_defaults=True)
    return {"pattern": values.pop("pattern"), **values}


def _replace(path: Path, text: str, environ: Mapping[str, str]) -> Path | None:
    """Write a file beside the old one, check that it loads, and put it into its place."""
    place = path.resolve()
    new = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{place.name}.", dir=place.parent)
        new = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        load_settings(new, environ)
        backup = None
        if path.exists():
            backup = path.with_name(path.name + _BACKUP)
            shutil.copy2(path, backup)
            shutil.copymode(path, new)
        else:
            new.chmod(_READABLE)
        new.replace(place)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error}") from None
    except SettingsError as error:
        raise SettingsError(f"{path} was not changed; the result would be wrong:\n{error}") from None
    finally:
        if new is not None:
            new.unlink(missing_ok=True)
    return backup
