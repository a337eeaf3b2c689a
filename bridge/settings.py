"""The settings, typed: each with its bounds, and with what the parts read off it. `loading.py` fills them in."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationInfo, field_validator, model_validator

from bridge.core.access import Role
from bridge.core.account import user_name
from bridge.core.decode import Kind, Route
from bridge.core.errors import PatternError
from bridge.core.formats import FieldPath, FormatName, make_format
from bridge.core.identity import is_device_id
from bridge.core.topic import TopicPattern

HTTP_TOPIC = "$http/readings"
"""The topic of messages that come by HTTP. No wildcard of a subscription matches it; their device id stands in the body."""

Seconds = Annotated[float, Field(gt=0, le=86400)]
PASSWORD_LENGTHS = (10, 256)
"""The fewest and the most characters of a password."""

_SECRET_BYTES = 32
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
Days = Annotated[int, Field(ge=1, le=24_855)]  # as seconds, what MongoDB's TTL index can hold
Port = Annotated[int, Field(ge=1, le=65535)]


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
        if self.kind is not Kind.READINGS and self.format is not FormatName.JSON:
            raise ValueError(f"format {self.format} is for readings; a {self.kind} has none")
        if self.kind is Kind.EVENTS and "topic" not in TopicPattern.parse(self.pattern).names:
            raise ValueError("a pattern of events names their topic, like events/{topic}")
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


class BrokerFilesSettings(Section):
    """Files of a Mosquitto that `sensor-bridge device` writes: both or none; by its pid file it is told to read them again."""

    passwords: Path | None = None
    acl: Path | None = None
    pid: Path | None = None

    @model_validator(mode="after")
    def _both(self) -> BrokerFilesSettings:
        if (self.passwords is None) != (self.acl is None):
            raise ValueError("passwords and acl are set together, or none of them")
        return self


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
    files: BrokerFilesSettings = BrokerFilesSettings()
    subscriptions: tuple[SubscriptionSettings, ...] = (
        SubscriptionSettings(pattern="sensors/{deviceId}/data"),
        SubscriptionSettings(pattern="sensors/{deviceId}/status", kind=Kind.STATUS),
        SubscriptionSettings(pattern="sensors/{deviceId}/command/ack", kind=Kind.COMMAND_ACK),
        SubscriptionSettings(pattern="events/{topic}", kind=Kind.EVENTS),
    )
    commands: str = "sensors/{deviceId}/command"

    @field_validator("commands")
    @classmethod
    def _for_one_device(cls, text: str) -> str:
        pattern = TopicPattern.parse(text)
        if [name for name in pattern.names if name] != ["deviceId"] or {"#"} & set(pattern.levels):
            raise ValueError(f"{text!r}: the topic of a command has one level {{deviceId}} and no wildcard")
        if sum(level == "+" for level in pattern.levels) > 1:
            raise ValueError(f"{text!r}: the topic of a command has one level {{deviceId}} and no wildcard")
        return text

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

    def command_topic(self, device_id: str) -> str:
        """Where commands to a device go."""
        return self.commands.replace("{deviceId}", device_id)

    @property
    def routes(self) -> tuple[Route, ...]:
        """What the decoder needs to know of the subscriptions."""
        return tuple(subscription.route for subscription in self.subscriptions)


class StoreSettings(Section):
    """Where readings are kept: `mongodb://host:port/database`, or `sqlite:///path/to/file.db`."""

    url: SecretStr = SecretStr("mongodb://localhost:27017/sensors")
    driver: Literal["pymongo", "motor"] = "pymongo"
    timeout_seconds: Seconds = 5.0
    batch_limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    retention_days: Days | None = None
    rollup_days: Days | None = None
    rejected_days: Days = 30
    rejected_limit: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    commands_days: Days = 30
    audit_days: Days = 365

    @field_validator("rollup_days")
    @classmethod
    def _outlive_readings(cls, days: int | None, others: ValidationInfo) -> int | None:
        kept = others.data.get("retention_days")
        if days is not None and (kept is None or days < kept):
            raise ValueError("rollups are kept as long as readings at least: rollup_days needs retention_days, and is not less")
        return days

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


class CertificateSettings(Section):
    """The bridge's own certificate, in PEM form: https and wss on its port."""

    cert_file: Path | None = None
    key_file: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"

    @model_validator(mode="after")
    def _both(self) -> CertificateSettings:
        if self.key_file and not self.cert_file:
            raise ValueError("key_file is set, cert_file is not")
        return self

    @property
    def context(self) -> ssl.SSLContext | None:
        """None for plain HTTP; raises `OSError` when a file cannot be read, or is no certificate or key."""
        if self.cert_file is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if self.minimum == "1.3" else ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


class HttpSettings(Section):
    """The one port: page, API, Socket.IO."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    post_seconds: Seconds = 10.0
    post_limit: Annotated[int, Field(ge=1, le=10_000)] = 250
    posted_readings_limit: Annotated[int, Field(ge=10_000, le=1_000_000)] = 20_000
    tls: CertificateSettings = CertificateSettings()

    @property
    def is_local(self) -> bool:
        """Only programs of this machine reach us."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @field_validator("cors_origins", "trusted_proxies", mode="before")
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


class RealtimeSettings(Section):
    """Who may listen, and how long we wait for those who listen slowly."""

    client_buffer_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * 1024 * 1024)] = 1024 * 1024
    slow_seconds: Seconds = 30.0
    recent_records: Annotated[int, Field(ge=1000, le=1_000_000)] = 10_000
    settle_seconds: Annotated[float, Field(ge=0, le=5)] = 0.25
    handshake_seconds: Seconds = 10.0
    max_clients: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_clients_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 2_500
    message_rate: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    message_burst: Annotated[int, Field(ge=1, le=100_000)] = 100
    ping_interval_seconds: Annotated[float, Field(ge=1, le=3600)] = 25.0
    ping_timeout_seconds: Annotated[float, Field(ge=1, le=3600)] = 20.0
    compression: bool = False


class DevicesSettings(Section):
    """Who may be a device, and what waits for one. Secrets are as they are, or `sha256:` and their hash in hexadecimal."""

    registration: Literal["open", "required"] = "open"
    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    open: bool | None = None
    credentials: dict[str, SecretStr] = {}
    admins: dict[str, SecretStr] = {}
    waiting_limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    command_seconds: Seconds = 60.0
    queue_limit: Annotated[int, Field(ge=1, le=10_000)] = 100

    @field_validator("credentials")
    @classmethod
    def _device_ids(cls, credentials: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name in credentials:
            if not is_device_id(name):
                raise ValueError(f"{name[:64]!r} is no device id: 1 to 128 characters of A-Z a-z 0-9 . _ : -")
        return credentials

    @field_validator("credentials", "admins")
    @classmethod
    def _secrets(cls, credentials: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in credentials.items():
            if not secret.get_secret_value():
                raise ValueError(f"the secret of {name[:64]!r} is empty")
        return credentials


class AccessSettings(Section):
    """Who may see, send and command. While `mode` is "open", everybody who reaches the port."""

    mode: Literal["open", "required"] = "open"
    secret: SecretStr | None = None
    token_seconds: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    refresh_days: Annotated[float, Field(ge=0.01, le=365)] = 30.0
    login_seconds: Seconds = 9.0  # so that a client sees it within 10
    admin_name: str = "admin"
    admin_password: SecretStr | None = None
    issuer: str | None = None
    jwks_url: str | None = None
    audience: str | None = None
    role_claim: str = "roles"
    roles: dict[str, Role] = {}
    site_claim: str | None = None
    sites: dict[str, str] = {}
    device_claim: str | None = None
    devices: dict[str, str] = {}

    @property
    def required(self) -> bool:
        """Whether somebody must show who he is."""
        return self.mode == "required"

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < _SECRET_BYTES:
            raise ValueError(f"shorter than {_SECRET_BYTES} bytes: make one with `openssl rand -base64 32`")
        return secret

    @field_validator("admin_password")
    @classmethod
    def _no_guess(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and not PASSWORD_LENGTHS[0] <= len(password.get_secret_value()) <= PASSWORD_LENGTHS[1]:
            raise ValueError("a password has {} to {} characters".format(*PASSWORD_LENGTHS))
        return password

    @field_validator("admin_name")
    @classmethod
    def _name(cls, name: str) -> str:
        return user_name(name)

    @field_validator("jwks_url")
    @classmethod
    def _usable(cls, url: str | None) -> str | None:
        """A key that comes over a wire anybody can write on is nobody's."""
        parts = urlsplit(url or "https://")
        if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in _LOOPBACK):
            raise ValueError("must begin with https://; http:// is for this machine only")
        if parts.username or parts.password:
            raise ValueError("holds a user or password, which is not sent")
        return url

    @model_validator(mode="after")
    def _one_whole(self) -> AccessSettings:
        external = (self.issuer, self.jwks_url, self.audience)
        if any(external) and not all(external):
            raise ValueError("issuer, jwks_url and audience are set together, or none of them")
        if (self.sites and self.site_claim is None) or (self.devices and self.device_claim is None):
            raise ValueError("sites need site_claim, and devices need device_claim")
        return self


class LogSettings(Section):
    """What is said on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    """All of it."""

    mqtt: MqttSettings = MqttSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    realtime: RealtimeSettings = RealtimeSettings()
    devices: DevicesSettings = DevicesSettings()
    access: AccessSettings = AccessSettings()
    log: LogSettings = LogSettings()
    stop_seconds: Annotated[Seconds, Field(description="how long a stop may take")] = 4.0

    @property
    def routes(self) -> tuple[Route, ...]:
        """What the decoder needs to know: of what comes by HTTP, and of the subscriptions."""
        return (Route(TopicPattern.parse(HTTP_TOPIC)), *self.mqtt.routes)

    @model_validator(mode="after")
    def _sections_agree(self) -> Settings:
        if self.mqtt.password and not self.mqtt.login[0]:
            raise ValueError("mqtt.password is set, mqtt.username is not")
        return self

    @property
    def any_device(self) -> bool:
        """Whether a device over a socket needs no credentials: never where access is required; else as the settings say, and if
        they do not, only while nobody but this machine can reach us, and no credentials are set.
        """
        devices = self.devices
        if self.access.required:
            return False
        if devices.open is not None:
            return devices.open
        return self.http.is_local and not devices.credentials


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
