"""Settings of the MQTT broker and its subscriptions."""

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bridge.core.decode import MessageKind, Route
from bridge.core.devices.local_time import parse_zone
from bridge.core.errors import NotReading, PatternError
from bridge.core.formats.format import Parsed
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import FormatName, ignored_topics, make_format
from bridge.core.topic import TopicPattern
from bridge.settings.section import Seconds, Section, check_url, in_url

_PREFIX = r"^[^+#{}/\x00-\x1f][^+#{}\x00-\x1f]*$"
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
"""The default port of each scheme."""

_NO_PROMPT = ""  # an encrypted key fails instead of asking the terminal for its password
_IGNORE_LIMIT = 100


class FieldSettings(Section):
    """The path of a field in a payload; may be written as the path alone. A number at the path, times `scale` plus `offset`,
    is in `unit`, or in the field's unit.
    """

    path: str
    scale: float = 1
    offset: float = 0
    unit: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _expand_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("path")
    @classmethod
    def _check_path(cls, text: str) -> str:
        FieldPath.parse(text)
        return text

    @property
    def field_path(self) -> FieldPath:
        return FieldPath.parse(self.path, self.scale, self.offset, self.unit)


class SubscriptionSettings(Section):
    """A topic pattern to subscribe to, with the kind and format of its messages. `fields` are for format mapping; `timezone` is
    that of times without one, an IANA name or an offset such as `+02:00`.
    """

    pattern: str
    kind: MessageKind = MessageKind.READINGS
    qos: Literal[0, 1] = 1
    format: FormatName = FormatName.AUTO
    timezone: str | None = None
    fields: dict[str, FieldSettings] = Field(default_factory=dict)

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, text: str) -> str:
        try:
            TopicPattern.parse(text)
        except PatternError as error:
            raise ValueError(str(error)) from None
        return text

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, text: str | None) -> str | None:
        if text is not None:
            parse_zone(text)
        return text

    @model_validator(mode="after")
    def _check_format(self) -> "SubscriptionSettings":
        if self.kind is not MessageKind.READINGS and self.format not in (FormatName.AUTO, FormatName.JSON):
            raise ValueError(f"format {self.format} is for kind readings; {self.kind} has no format")
        if self.kind is MessageKind.EVENTS and "topic" not in TopicPattern.parse(self.pattern).names:
            raise ValueError("a pattern of kind events must have a level {topic}, as in events/{topic}")
        self.route  # noqa: B018 - raises FormatError
        return self

    @property
    def route(self) -> Route:
        """The decoder's route; raises `FormatError`."""
        pattern = TopicPattern.parse(self.pattern)
        paths = {name: field.field_path for name, field in self.fields.items()}
        zone = None if self.timezone is None else parse_zone(self.timezone)
        return Route(pattern, self.kind, make_format(self.format, pattern, paths), zone)

    def ignoring(self, patterns: tuple[TopicPattern, ...]) -> Route:
        """Return the route that ignores `patterns`, and the topics of its family that carry no reading."""
        family = ignored_topics(self.format, self.route.pattern) if self.kind is MessageKind.READINGS else ()
        return replace(self.route, ignore=(*patterns, *family))


class TlsSettings(Section):
    """TLS files in PEM format, for `mqtts://` and `wss://`."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """Return the TLS context. Raises `OSError` with the setting and the file if one cannot be read or is invalid."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise OSError(f"mqtt.tls.ca_file: {self.ca_file}: {error.strerror or error}") from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=_NO_PROMPT)
            except OSError as error:
                files = " and ".join(str(file) for file in (self.cert_file, self.key_file) if file)
                raise OSError(f"mqtt.tls.cert_file and key_file: {files}: {error.strerror or error}") from None
        return context


class BrokerFilesSettings(Section):
    """Mosquitto's password and ACL files, written by `sensor-bridge device`; `pid` is its pid file, to reload them."""

    passwords: Path | None = None
    acl: Path | None = None
    pid: Path | None = None

    @model_validator(mode="after")
    def _check_files(self) -> "BrokerFilesSettings":
        if (self.passwords is None) != (self.acl is None):
            raise ValueError("passwords and acl must be set together, or none of them")
        return self


class MqttSettings(Section):
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
        SubscriptionSettings(pattern="sensors/{deviceId}/status", kind=MessageKind.STATUS),
        SubscriptionSettings(pattern="sensors/{deviceId}/command/ack", kind=MessageKind.COMMAND_ACK),
        SubscriptionSettings(pattern="events/{topic}", kind=MessageKind.EVENTS),
    )
    discovery: bool = False
    discovery_prefix: Annotated[str, Field(min_length=1, max_length=128, pattern=_PREFIX)] = "homeassistant"
    commands: str = "sensors/{deviceId}/command"
    ignore: tuple[str, ...] = ()

    @field_validator("commands")
    @classmethod
    def _check_commands(cls, text: str) -> str:
        pattern = TopicPattern.parse(text)
        if not pattern.is_of_one_device:
            raise ValueError(f"{text!r}: a command topic must have one level {{deviceId}} and no wildcard")
        return text

    @field_validator("ignore", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("ignore")
    @classmethod
    def _check_ignore(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if len(patterns) > _IGNORE_LIMIT:
            raise ValueError(f"{len(patterns)} patterns, more than the {_IGNORE_LIMIT} allowed")
        for text in patterns:
            TopicPattern.parse(text)
        return patterns

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        parts = check_url(url, set(_PORTS), "mqtt.username and mqtt.password")
        if parts.query or (parts.path not in ("", "/") and parts.scheme in ("mqtt", "mqtts")):
            raise ValueError("nothing may follow host and port; only ws:// and wss:// have a path")
        if any(character in parts.path for character in ' "<>\\^`{|}'):
            raise ValueError("the path must be that of an HTTP request, such as /mqtt")
        return url

    @field_validator("subscriptions")
    @classmethod
    def _check_subscriptions(cls, subscriptions: tuple[SubscriptionSettings, ...]) -> tuple[SubscriptionSettings, ...]:
        if not subscriptions:  # not min_length, which also fails when the only subscription is invalid
            raise ValueError("must have at least one subscription")
        return subscriptions

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())

    @property
    def host(self) -> str:
        return self._parts.hostname or "localhost"

    @property
    def scheme(self) -> str:
        """`mqtt` or `mqtts`, or with WebSockets `ws` or `wss`."""
        return self._parts.scheme

    @property
    def uses_tls(self) -> bool:
        return self.scheme in ("mqtts", "wss")

    @property
    def websocket_path(self) -> str | None:
        """The path of the WebSocket, `/mqtt` unless the URL has one; None for a TCP connection."""
        if self.scheme not in ("ws", "wss"):
            return None
        return quote(self._parts.path, safe="/%:@!$&'()*+,;=~") or "/mqtt"

    @property
    def port(self) -> int:
        """The port of the URL, or the default of its scheme."""
        return self._parts.port or _PORTS[self.scheme]

    @property
    def address(self) -> str:
        """The broker's URL without credentials, for logs."""
        path = self._parts.path.rstrip("/") if self.websocket_path else ""
        return f"{self.scheme}://{in_url(self.host)}:{self.port}{path}"

    @property
    def login(self) -> tuple[str | None, str | None]:
        """User and password, from their own settings, else from the URL."""
        name, secret = self._parts.username, self._parts.password
        password = self.password.get_secret_value() if self.password else secret and unquote(secret)
        return self.username or (name and unquote(name)), password

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS. Raises `OSError`, with the setting and the file, if a file cannot be read."""
        return self.tls.context() if self.uses_tls else None

    def command_topic(self, device_id: str) -> str | None:
        """The topic of a device's commands; None if it would be one of the broker's own (`$SYS/…`)."""
        return TopicPattern.parse(self.commands).filled(device_id)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes of the subscriptions, after that of its own commands if one with `{deviceId...}` may deliver them."""
        ignore = tuple(map(TopicPattern.parse, self.ignore))
        routes = tuple(subscription.ignoring(ignore) for subscription in self.subscriptions)
        commands = TopicPattern.parse(self.commands.replace("{deviceId}", "{deviceId...}"))
        is_delivered = any(route.pattern.several is not None for route in routes) and commands.names[-1] is None
        return (Route(commands, format=_command_format), *routes) if is_delivered else routes


def _command_format(payload: Payload) -> Parsed:  # noqa: ARG001 - a format
    raise NotReading("a command to a device")
