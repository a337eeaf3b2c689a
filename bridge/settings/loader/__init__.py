"""Loads the settings: defaults, a TOML file, `.env`, the environment. All mistakes are reported together, with origins.

`BRIDGE_MQTT__URL` in the environment is `url` under `[mqtt]` in the file; `BRIDGE_MQTT__PASSWORD_FILE` names a file that
contains the value, for secrets. `config/bridge.toml` lists every setting with its default.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bridge.core.errors import SettingsError
from bridge.settings import Settings
from bridge.settings.loader.variables import DOTENV_PATH, PREFIX, Variable, read_variables

CONFIG_VARIABLE = "BRIDGE_CONFIG"
DEFAULT_PATH = Path("config/bridge.toml")

_SECRETS = {"url", "password", "secret", "admin_password"}
"""Settings whose values are never printed and never parsed as JSON."""

_HIDDEN = _SECRETS | {"credentials", "admins", "jwks_url"}
"""Settings whose values are never printed."""

_LOGIN = re.compile("://.*@")
"""User and password of a URL in a text, and what is between them and the last @."""

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "WEBSOCKET_MAX_CONNECTIONS": ("realtime", "max_clients"),
    "WEBSOCKET_PING_INTERVAL": ("realtime", "ping_interval_seconds"),
    "WEBSOCKET_PING_TIMEOUT": ("realtime", "ping_timeout_seconds"),
}
"""Conventional environment names, used where the bridge's own is unset."""


@dataclass(frozen=True, slots=True)
class _EnvironmentValue:
    """The value of one setting, and the variable (and file) that it came from."""

    path: tuple[str, ...]
    value: Any
    origin: str


class _Layer(PydanticBaseSettingsSource):
    """Values of one origin, as a source of pydantic-settings, which merges the layers."""

    def __init__(self, settings: type[BaseSettings], values: dict[str, Any]) -> None:
        super().__init__(settings)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._values


def load_settings(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    defaults: Mapping[str, Any] | None = None,
    dotenv: Path = DOTENV_PATH,
) -> Settings:
    """Load the file, `dotenv` and the environment. `defaults`, nested like the file, override the settings' own defaults.

    Raises `SettingsError` with every mistake, one per line.
    """
    mistakes: list[str] = []
    variables = read_variables(environ, dotenv, mistakes)
    path, text = _read_file(path, variables, mistakes)
    in_file = _parse_toml(path, text, mistakes)
    values = list(_read_environment(variables, mistakes))
    in_environment: dict[str, Any] = {}
    for value in values:
        _put(in_environment, value.path, value.value)

    class Loaded(BaseSettings, Settings):  # type: ignore[misc]  # both bring a model_config; pydantic joins them
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: object, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            layers = (in_environment, in_file, dict(defaults or {}))
            return tuple(_Layer(settings_cls, layer) for layer in layers)

    try:
        settings = Loaded()
    except ValidationError as error:
        origins = {value.path: value.origin for value in values}
        mistakes.extend(_mistake(details, origins, path, text) for details in error.errors(include_url=False))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def _read_file(path: Path | None, variables: Mapping[str, Variable], mistakes: list[str]) -> tuple[Path, str]:
    named = variables.get(CONFIG_VARIABLE)
    explicit = path or (Path(named.value) if named and named.value else None)
    path = explicit or DEFAULT_PATH
    try:
        if explicit is None and not path.exists():
            return path, ""
        return path, path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(f"{path}: cannot be read: {error}")
        return path, ""


def _parse_toml(path: Path, text: str, mistakes: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        mistakes.append(f"{path}: not TOML: {error}")
        return {}


def _read_environment(variables: Mapping[str, Variable], mistakes: list[str]) -> Iterator[_EnvironmentValue]:
    known = set(_leaves(Settings))
    for name, target in _ALIASES.items():
        own = PREFIX + "__".join(target).upper()
        if name in variables and own not in variables and f"{own}_FILE" not in variables:
            yield _EnvironmentValue(target, variables[name].value, variables[name].origin)
    for name, variable in sorted(variables.items()):
        if not name.upper().startswith(PREFIX):
            continue
        path = tuple(name.upper().removeprefix(PREFIX).lower().split("__"))
        if path in known or (len(path) > 1 and not _names_file(path, known)):
            yield _EnvironmentValue(path, _value(path, variable.value), variable.origin)
        elif _names_file(path, known):
            target = (*path[:-1], path[-1].removesuffix("_file"))
            if PREFIX + "__".join(target).upper() in variables:
                mistakes.append(f"{variable.origin}: {'.'.join(target)} is set both directly and by a file")
                continue
            try:
                text = Path(variable.value).read_text("utf-8").rstrip("\r\n")
                yield _EnvironmentValue(target, _value(target, text), f"{variable.origin} ({variable.value})")
            except (OSError, UnicodeDecodeError) as error:
                mistakes.append(f"{variable.origin}: cannot be read: {error}")
        elif meant := next((setting for setting in known if "_".join(setting) == path[0]), None):
            mistakes.append(f"{variable.origin}: is not a setting; use {PREFIX}{'__'.join(meant).upper()}")


def _names_file(path: tuple[str, ...], known: set[tuple[str, ...]]) -> bool:
    return path[-1].endswith("_file") and (*path[:-1], path[-1].removesuffix("_file")) in known


def _leaves(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, (*above, name))
        else:
            yield (*above, name)


def _value(path: tuple[str, ...], value: str) -> Any:  # noqa: ANN401
    """Parse lists and tables as JSON; any other value is the text itself."""
    if value[:1] in ("[", "{") and path[-1] not in _SECRETS:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {}) if isinstance(tree.get(name, {}), dict) else {}
    tree[path[-1]] = value


def _mistake(error: Any, origins: Mapping[tuple[str, ...], str], path: Path, text: str) -> str:  # noqa: ANN401
    location = error["loc"]
    names = tuple(str(part) for part in location)
    origin = next((origins[names[:n]] for n in range(len(names), 0, -1) if names[:n] in origins), None)
    origin = origin or next((inner for key, inner in origins.items() if names and key[: len(names)] == names), None)
    if origin is None:
        line = _line_of(text, location)
        origin = f"{path}:{line}" if line else "settings"
    unknown = error["type"] == "extra_forbidden"
    reason = "is not a setting" if unknown else _LOGIN.sub("://…@", error["msg"].removeprefix("Value error, "))
    raw = error.get("input")
    # An unknown setting may be a misspelt password, and a URL may contain one.
    secret = unknown or _HIDDEN & set(names) or (isinstance(raw, str) and "://" in raw and "@" in raw)
    value = f" = {raw!r}" if isinstance(raw, str | int | float) and not secret and len(str(raw)) < 80 else ""
    return f"{origin}: {'.'.join(names)}{value}: {reason}" if names else f"{origin}: {reason}"


def _line_of(text: str, location: tuple[str | int, ...]) -> int | None:
    """Return the number of the TOML line that sets `location`, found by its headers and keys."""
    names = [str(part) for part in location if not isinstance(part, int)]
    index = next((part for part in location if isinstance(part, int)), 0)
    header: list[str] = []
    item: int | None = None  # index of the table, or of the table it belongs to, in a [[list of tables]]
    listed = ""
    seen: dict[str, int] = {}
    best: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        table = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?", line)
        key = re.match(r"\s*([A-Za-z0-9_.\"-]+)\s*=", line)
        if table:
            header = table[1].split(".")
            seen[table[1]] = seen.get(table[1], -1) + 1
            if line.lstrip().startswith("[["):
                listed, item = table[1], seen[table[1]]
            elif not table[1].startswith(f"{listed}."):
                item = None
            if header == names[: len(header)] and item in (None, index):
                best = number
        elif key and [*header, *key[1].split(".")] == names[: len(header) + 1] and item in (None, index):
            return number
    return best
