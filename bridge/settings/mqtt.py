"""Settings of the MQTT broker and its subscriptions."""

import ssl
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bridge.core.decode import MessageKind, Route
from bridge.core.errors import PatternError
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.topic import TopicPattern
from bridge.settings.section import Seconds, Section, check_url, in_url


class FieldSettings(Section):
    """The path of a field in a payload; may be written as the path alone. A number at the path, times `scale` plus `offset`,
    is in the field's unit.
    """

    path: str
    scale: float = 1
    offset: float = 0

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
        return FieldPath.parse(self.path, self.scale, self.offset)


class SubscriptionSettings(Section):
    """A topic pattern to subscribe to, with the kind and format of its messages. `fields` are for format mapping."""

    pattern: str
    kind: MessageKind = MessageKind.READINGS
    qos: Literal[0, 1] = 1
    format: FormatName = FormatName.JSON
    fields: dict[str, FieldSettings] = Field(default_factory=dict)

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, text: str) -> str:
        try:
            TopicPattern.parse(text)
        except PatternError as error:
            raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _check_format(self) -> "SubscriptionSettings":
        if self.kind is not MessageKind.READINGS and self.format is not FormatName.JSON:
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
        return Route(pattern, self.kind, make_format(self.format, pattern, paths))


class TlsSettings(Section):
    """TLS files in PEM format, for `mqtts://`."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False


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
    commands: str = "sensors/{deviceId}/command"

    @field_validator("commands")
    @classmethod
    def _check_commands(cls, text: str) -> str:
        pattern = TopicPattern.parse(text)
        captures = [name for name in pattern.names if name]
        if captures != ["deviceId"] or "#" in pattern.levels or pattern.levels.count("+") > 1:
            raise ValueError(f"{text!r}: a command topic must have one level {{deviceId}} and no wildcard")
        return text

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        check_url(url, {"mqtt", "mqtts"})
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
    def port(self) -> int:
        """The port of the URL, or its default: 1883, with TLS 8883."""
        return self._parts.port or (8883 if self._parts.scheme == "mqtts" else 1883)

    @property
    def address(self) -> str:
        """The broker's URL without credentials, for logs."""
        return f"{self._parts.scheme}://{in_url(self.host)}:{self.port}"

    @property
    def login(self) -> tuple[str | None, str | None]:
        """User and password, from their own settings, else from the URL."""
        name, secret = self._parts.username, self._parts.password
        password = self.password.get_secret_value() if self.password else secret and unquote(secret)
        return self.username or (name and unquote(name)), password

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context, None for `mqtt://`. Raises `OSError` if a file cannot be read."""
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
        return self.commands.replace("{deviceId}", device_id)

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple(subscription.route for subscription in self.subscriptions)
