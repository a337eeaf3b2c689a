"""The settings: defaults, then a TOML file, then the environment; every mistake is shown at once, with where it came from.

`BRIDGE_MQTT__URL` in the environment is `url` under `[mqtt]` in the file; `BRIDGE_MQTT__PASSWORD_FILE` names a file that
holds the value, for secrets. `config/bridge.toml` shows every setting with its default.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.core.decode import Kind, Route
from bridge.core.errors import PatternError, SettingsError
from bridge.core.formats import FieldPath, FormatName, make_format
from bridge.core.topic import TopicPattern

PREFIX = "BRIDGE_"
CONFIG_VARIABLE = "BRIDGE_CONFIG"
DEFAULT_PATH = Path("config/bridge.toml")

Seconds = Annotated[float, Field(gt=0, le=86400)]
Days = Annotated[int, Field(ge=1, le=24_855)]  # as seconds, what MongoDB's TTL index can hold
Port = Annotated[int, Field(ge=1, le=65535)]

_SECRETS = {"url", "password"}
"""Settings whose values are never shown and never read as JSON."""


class Section(BaseModel):
    """A table of the file. Unknown names are mistakes: a setting misspelt must not pass in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSettings(Section):
    """Where a field stands in a payload; a path alone may stand for it. A number there, times `scale` plus `offset`, is in
    the field's unit.
    """

    path: str
    scale: float = 1
    offset: float = 0

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("path")
    @classmethod
    def _well_formed(cls, text: str) -> str:
        FieldPath.parse(text)
        return text

    @property
    def field_path(self) -> FieldPath:
        """The same for the decoder."""
        return FieldPath.parse(self.path, self.scale, self.offset)


class SubscriptionSettings(Section):
    """Topics to listen to; `{deviceId}` stands for one level. `fields` are the paths of a mapping."""

    pattern: str
    kind: Kind = Kind.READINGS
    qos: Literal[0, 1] = 1
    format: FormatName = FormatName.JSON
    fields: dict[str, FieldSettings] = {}

    @field_validator("pattern")
    @classmethod
    def _well_formed(cls, text: str) -> str:
        try:
            TopicPattern.parse(text)
        except PatternError as error:
            raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _format_fits(self) -> SubscriptionSettings:
        if self.kind is Kind.STATUS and self.format is not FormatName.JSON:
            raise ValueError(f"format {self.format} is for readings; a status has none")
        self.route  # noqa: B018 - raises FormatError
        return self

    @property
    def route(self) -> Route:
        """What the decoder needs to know of it."""
        pattern = TopicPattern.parse(self.pattern)
        paths = {name: one.field_path for name, one in self.fields.items()}
        return Route(pattern, self.kind, make_format(self.format, pattern, paths))


class TlsSettings(Section):
    """Files in PEM form; used with `mqtts://`."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False


class MqttSettings(Section):
    """The broker, and how much of it we take in at once."""

    url: SecretStr = SecretStr("mqtt://localhost:1883")
    username: str | None = None
    password: SecretStr | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=128)] = "sensor-bridge"
    protocol: Literal["5", "3.1.1"] = "5"
    receive_maximum: Annotated[int, Field(ge=1, le=65535)] = 1000
    qos0_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    session_expiry_seconds: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] = 7 * 86400
    keepalive_seconds: Annotated[int, Field(ge=5, le=3600)] = 20
    connect_timeout_seconds: Seconds = 2.5
    timeout_seconds: Seconds = 5.0
    reconnect_cap_seconds: Seconds = 1.0
    tls: TlsSettings = TlsSettings()
    subscriptions: tuple[SubscriptionSettings, ...] = (
        SubscriptionSettings(pattern="sensors/{deviceId}/data"),
        SubscriptionSettings(pattern="sensors/{deviceId}/status", kind=Kind.STATUS),
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, url: SecretStr) -> SecretStr:
        _check_url(url, {"mqtt", "mqtts"})
        return url

    @field_validator("subscriptions")
    @classmethod
    def _not_empty(cls, subscriptions: tuple[SubscriptionSettings, ...]) -> tuple[SubscriptionSettings, ...]:
        if not subscriptions:  # a validator, for min_length also complains when the only one has a mistake
            raise ValueError("names no subscription; there must be one at least")
        return subscriptions

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())

    @property
    def host(self) -> str:
        """The broker's host."""
        return self._parts.hostname or "localhost"

    @property
    def port(self) -> int:
        """The broker's port; 1883, or 8883 with TLS, unless the URL says."""
        return self._parts.port or (8883 if self._parts.scheme == "mqtts" else 1883)

    @property
    def address(self) -> str:
        """The broker, without secrets, for people."""
        return f"{self._parts.scheme}://{self.host}:{self.port}"

    @property
    def login(self) -> tuple[str | None, str | None]:
        """User and password, from their settings or else from the URL."""
        name, secret = self._parts.username, self._parts.password
        password = self.password.get_secret_value() if self.password else secret and unquote(secret)
        return self.username or (name and unquote(name)), password

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """For `mqtts://`; raises `OSError` when a file cannot be read."""
        if self._parts.scheme != "mqtts":
            return None
        context = ssl.create_default_context(cafile=self.tls.ca_file)
        if self.tls.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.tls.cert_file:
            context.load_cert_chain(self.tls.cert_file, self.tls.key_file)
        return context

    @property
    def routes(self) -> tuple[Route, ...]:
        """What the decoder needs to know of the subscriptions."""
        return tuple(subscription.route for subscription in self.subscriptions)


class StoreSettings(Section):
    """Where readings are kept: `mongodb://host:port/database`, or `sqlite:///path/to/file.db`."""

    url: SecretStr = SecretStr("mongodb://localhost:27017/sensors")
    driver: Literal["motor", "pymongo"] = "motor"
    timeout_seconds: Seconds = 5.0
    batch_limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    retention_days: Days | None = None
    rejected_days: Days = 30
    rejected_limit: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000

    @field_validator("url")
    @classmethod
    def _usable(cls, url: SecretStr) -> SecretStr:
        parts = _check_url(url, {"mongodb", "mongodb+srv", "sqlite"})
        if parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < 2):
            raise ValueError("a SQLite URL names a file: sqlite:///relative/path.db or sqlite:////absolute/path.db")
        return url

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())

    @property
    def is_sqlite(self) -> bool:
        """The embedded store is meant."""
        return self._parts.scheme == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The file of the embedded store."""
        return Path(unquote(self._parts.path[1:]))

    @property
    def address(self) -> str:
        """The store, without secrets, for people."""
        host = self._parts.netloc.rpartition("@")[2]
        return f"{self._parts.scheme}://{host}{self._parts.path}"


class HttpSettings(Section):
    """The one port: page, API, Socket.IO."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    cors_origins: tuple[str, ...] = ()

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if origin != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query):
                raise ValueError(f"{origin!r} is no origin; one looks like https://example.org, or * for any")
        return origins


class LogSettings(Section):
    """What is said on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    mqtt: MqttSettings = MqttSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    stop_seconds: Annotated[Seconds, Field(description="how long a stop may take")] = 4.0

    @model_validator(mode="after")
    def _sections_agree(self) -> Settings:
        if self.mqtt.password and not self.mqtt.login[0]:
            raise ValueError("mqtt.password is set, mqtt.username is not")
        return self


def _check_url(url: SecretStr, schemes: set[str]) -> SplitResult:
    """Raises `ValueError` without showing the URL: it may hold a password."""
    allowed = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
    try:
        parts = urlsplit(url.get_secret_value())
    except ValueError:
        raise ValueError("not a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {allowed}")
    if parts.scheme != "sqlite":
        _check_hosts(parts)
    return parts


_HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]*)(:(?P<port>\d{1,5}))?", re.ASCII)


def _check_hosts(parts: SplitResult) -> None:
    """A MongoDB URL may name several, joined by commas."""
    if not parts.netloc:
        raise ValueError("names no host")
    if "@" not in parts.netloc and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError("a / ? or # in the user or password must be written %2F %3F %23")
    for host in parts.netloc.rpartition("@")[2].split(","):
        found = _HOST.fullmatch(host)
        if not found or (found["port"] and not 1 <= int(found["port"]) <= 65535):
            raise ValueError("the host must be a name or address, and its port a number from 1 to 65535")


# --- loading ---------------------------------------------------------------------------------------------------------


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

    class Loaded(Settings):
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
    secret = unknown or _SECRETS & set(named)  # what is not a setting may be a password misspelt
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
