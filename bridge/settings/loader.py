"""The settings: defaults, then a TOML file, then the environment; every mistake is shown at once, with where it came from.

`BRIDGE_MQTT__URL` in the environment is `url` under `[mqtt]` in the file; `BRIDGE_MQTT__PASSWORD_FILE` names a file that
holds the value, for secrets. `config/bridge.toml` shows every setting with its default.
"""

from __future__ import annotations

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

PREFIX = "BRIDGE_"
CONFIG_VARIABLE = "BRIDGE_CONFIG"
DEFAULT_PATH = Path("config/bridge.toml")

_SECRETS = {"url", "password", "secret", "admin_password"}
"""Settings whose values are never shown and never read as JSON."""

_HIDDEN = _SECRETS | {"credentials", "admins"}
"""Settings whose values are never shown."""


_ALSO = {
    "WEBSOCKET_MAX_CONNECTIONS": ("realtime", "max_clients"),
    "WEBSOCKET_PING_INTERVAL": ("realtime", "ping_interval_seconds"),
    "WEBSOCKET_PING_TIMEOUT": ("realtime", "ping_timeout_seconds"),
}
"""Names that others use, honoured where the bridge's own is not given."""


@dataclass(frozen=True, slots=True)
class _Given:
    """One value and where it came from."""

    path: tuple[str, ...]
    value: Any
    origin: str


class _Layer(PydanticBaseSettingsSource):
    """Values already gathered, as a source of pydantic-settings, which merges the layers."""

    def __init__(self, settings: type[BaseSettings], values: dict[str, Any]) -> None:
        super().__init__(settings)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._values


def load_settings(
    path: Path | None = None, environ: Mapping[str, str] = os.environ, defaults: Mapping[str, Any] | None = None
) -> Settings:
    """Read file and environment. `defaults`, nested like the file, stand below both and above the settings' own.

    Raises `SettingsError` with every mistake, one a line.
    """
    mistakes: list[str] = []
    path, text = _read_file(path, environ, mistakes)
    in_file = _parse_toml(path, text, mistakes)
    given = list(_read_environment(environ, mistakes))
    in_environment: dict[str, Any] = {}
    for one in given:
        _put(in_environment, one.path, one.value)

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
        origins = {one.path: one.origin for one in given}
        mistakes.extend(_mistake(one, origins, path, text) for one in error.errors(include_url=False))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def _read_file(path: Path | None, environ: Mapping[str, str], mistakes: list[str]) -> tuple[Path, str]:
    named = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    path = named or DEFAULT_PATH
    if named is None and not path.exists():
        return path, ""
    try:
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


def _read_environment(environ: Mapping[str, str], mistakes: list[str]) -> Iterator[_Given]:
    known = set(_leaves(Settings))
    for name, also in _ALSO.items():
        own = PREFIX + "__".join(also).upper()
        if name in environ and own not in environ and f"{own}_FILE" not in environ:
            yield _Given(also, environ[name], f"environment {name}")
    for name, value in sorted(environ.items()):
        if not name.upper().startswith(PREFIX):
            continue
        path = tuple(name.upper().removeprefix(PREFIX).lower().split("__"))
        if path in known or (len(path) > 1 and not _names_file(path, known)):
            yield _Given(path, _value(path, value), f"environment {name}")
        elif _names_file(path, known):
            target = (*path[:-1], path[-1].removesuffix("_file"))
            if PREFIX + "__".join(target).upper() in environ:
                mistakes.append(f"environment {name}: {'.'.join(target)} is given both by itself and by a file")
                continue
            try:
                text = Path(value).read_text("utf-8").rstrip("\r\n")
                yield _Given(target, _value(target, text), f"environment {name} ({value})")
            except (OSError, UnicodeDecodeError) as error:
                mistakes.append(f"environment {name}: cannot be read: {error}")
        elif meant := next((one for one in known if "_".join(one) == path[0]), None):
            mistakes.append(f"environment {name}: is not a setting; {PREFIX}{'__'.join(meant).upper()} is")


def _names_file(path: tuple[str, ...], known: set[tuple[str, ...]]) -> bool:
    return path[-1].endswith("_file") and (*path[:-1], path[-1].removesuffix("_file")) in known


def _leaves(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, (*above, name))
        else:
            yield (*above, name)


def _value(path: tuple[str, ...], value: str) -> Any:  # noqa: ANN401
    """Lists and tables are written as JSON; everything else is the text as it stands."""
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
    where = error["loc"]
    named = tuple(str(part) for part in where)
    origin = next((origins[named[:n]] for n in range(len(named), 0, -1) if named[:n] in origins), None)
    origin = origin or next((below for place, below in origins.items() if named and place[: len(named)] == named), None)
    if origin is None:
        line = _line_of(text, where)
        origin = f"{path}:{line}" if line else "settings"
    unknown = error["type"] == "extra_forbidden"
    said = "is not a setting" if unknown else error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    secret = unknown or _HIDDEN & set(named)  # what is not a setting may be a password misspelt
    value = f" = {given!r}" if isinstance(given, str | int | float) and not secret and len(str(given)) < 80 else ""
    return f"{origin}: {'.'.join(named)}{value}: {said}" if named else f"{origin}: {said}"


def _line_of(text: str, where: tuple[str | int, ...]) -> int | None:
    """The line of the TOML text that sets `where`, as well as a look at headers and keys can tell."""
    names = [str(part) for part in where if not isinstance(part, int)]
    index = next((part for part in where if isinstance(part, int)), 0)
    header: list[str] = []
    place: int | None = None  # of the table, or of the one it belongs to, among those of its name in a [[list of tables]]
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
                listed, place = table[1], seen[table[1]]
            elif not table[1].startswith(f"{listed}."):
                place = None
            if header == names[: len(header)] and place in (None, index):
                best = number
        elif key and [*header, *key[1].split(".")] == names[: len(header) + 1] and place in (None, index):
            return number
    return best
