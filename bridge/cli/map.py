"""`sensor-bridge map`: decode a message with every payload format and propose the settings for the best one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.runner import print_line
from bridge.core.decode import Decoder, Route
from bridge.core.errors import BridgeError, FormatError, PatternError
from bridge.core.formats.json import read_json
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.formats.suggest import leaves, subscription_toml, suggest_fields, suggest_pattern
from bridge.core.message import Decoded, Message, Outcome
from bridge.core.payload import PayloadError, join_names, parse_json, quote
from bridge.core.readings.leaf import DEVICE_ID
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import first_message
from bridge.tools.terminal import printable

_CAPTURE = re.compile(r"\{[A-Za-z0-9]+(\.\.\.)?\}")


class _NullOrigin:
    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class FormatAttempt:
    """The reading that a format decodes, or the reason why it fails."""

    format: FormatName
    pattern: str
    fields: Mapping[str, FieldPath] = field(default_factory=dict)
    reading: Reading | None = None
    error: str = ""
    fit: int = 0

    @property
    def rank(self) -> tuple[int, int, bool]:
        """Sort key, higher is better: plausible values, then the fit of the topic, then its own timestamp."""
        assert self.reading is not None  # noqa: S101 - only readings are ranked
        own_time = self.reading.timestamp_ms != self.reading.received_ms
        return len(self.reading.values) - len(self.reading.quality), self.fit, own_time

    @property
    def setting(self) -> str:
        return subscription_toml(self.pattern, self.format, self.fields)


async def capture_message(settings: MqttSettings, topic: str, seconds: float) -> tuple[str, bytes]:
    """Return topic and payload of the next message on a topic filter. Raises `BridgeError` if none arrives in time."""
    message = await first_message(settings, TopicPattern.parse(topic).topic_filter, seconds)
    if message is None:
        raise BridgeError(f"no message on {quote(topic)} at {settings.address} within {seconds:g} seconds")
    return message


def try_formats(payload: bytes, topic: str | None, now_ms: int, only: FormatName | None = None) -> list[FormatAttempt]:
    """Try every format, or `only` one, in the order of `FormatName`. Without a topic, each is tried on its usual one."""
    names = list(FormatName) if only is None else [only]
    return [_attempt(name, payload, topic, now_ms) for name in names]


def best_of(attempts: list[FormatAttempt]) -> FormatAttempt | None:
    """Return the attempt with the highest rank, the first of equals, or None if no format decodes a reading."""
    readable = (attempt for attempt in attempts if attempt.reading is not None)
    return max(readable, key=lambda attempt: attempt.rank, default=None)


def _attempt(name: FormatName, payload: bytes, topic: str | None, now_ms: int) -> FormatAttempt:
    try:
        pattern, fields = _propose(name, payload, topic)
        parsed = TopicPattern.parse(pattern)
        route = Route(parsed, format=make_format(name, parsed, fields))
    except (PatternError, FormatError) as error:
        return FormatAttempt(name, name.spec.usual_pattern, error=str(error))
    message = Message("map", topic or _CAPTURE.sub("device", pattern), payload, now_ms, _NullOrigin())
    decoded = Decoder([route]).decode(message)
    reading = decoded if isinstance(decoded, Reading) else None
    reason = "" if reading else getattr(decoded, "reason", "not a reading")
    return FormatAttempt(name, pattern, fields, reading, reason, _fit(name, topic, payload))


def _propose(name: FormatName, payload: bytes, topic: str | None) -> tuple[str, dict[str, FieldPath]]:
    """Return the pattern and fields to try. Raises `FormatError` if the format cannot apply."""
    fields = suggest_fields(_body(payload)) if name is FormatName.MAPPING else {}
    if name is FormatName.MAPPING and not MEASUREMENTS_BY_NAME.keys() & fields.keys():
        raise FormatError(_no_known_name(payload))
    if topic is None and name in (FormatName.SCALAR, FormatName.ESPHOME):
        raise FormatError("the topic names the field; give --topic")
    device = fields["deviceId"].find(_body(payload)) if "deviceId" in fields else _device_in_body(name, payload)
    body_device = device if isinstance(device, str) else None
    pattern = name.spec.usual_pattern if topic is None else suggest_pattern(name, topic, body_device)
    if pattern is None:
        raise FormatError("the topic does not match this format")
    if "deviceId" in TopicPattern.parse(pattern).names:
        fields.pop("deviceId", None)
    return pattern, fields


def _fit(name: FormatName, topic: str | None, payload: bytes) -> int:
    """Return 1 if the topic or a key specific to one program indicates this format, -1 if it should but does not, else 0."""
    levels = (topic or "").split("/")
    match name:
        case FormatName.TASMOTA:
            return 1 if levels[-1] in ("SENSOR", "STATE") or b'"TempUnit"' in payload else -1
        case FormatName.ZIGBEE2MQTT:
            return 1 if levels[0] == "zigbee2mqtt" or b'"linkquality"' in payload else -1
        case FormatName.ESPHOME:
            return 1
        case _:
            return 0


def _body(payload: bytes) -> object:
    try:
        return parse_json(payload)
    except PayloadError:
        return None


def _device_in_body(name: FormatName, payload: bytes) -> object:
    body = _body(payload)
    if name is not FormatName.JSON or not isinstance(body, dict):
        return None
    parsed = read_json(body)
    leaves = [*parsed.common, *(leaf for sample in parsed.samples for leaf in sample.leaves)]
    return next((leaf.value for leaf in leaves if leaf.field == DEVICE_ID), None)


def _no_known_name(payload: bytes) -> str:
    try:
        paths = [quote(".".join(steps)) for steps, _ in leaves(parse_json(payload))]
    except PayloadError as error:
        return str(error)
    return f"no known field among {join_names(paths)}" if paths else "the payload has no fields"


# --- output ----------------------------------------------------------------------------------------------------------


def explain(console: Console, attempts: list[FormatAttempt]) -> bool:
    """Print how each format decodes the message, and the settings for the best. Return False if no format decodes a reading."""
    best = best_of(attempts)
    table = Table(show_lines=True)
    for heading in ("format", "pattern", "result"):
        table.add_column(heading, overflow="fold")
    for attempt in attempts:
        style = "bold green" if attempt is best else "" if attempt.reading else "dim"
        table.add_row(Text(attempt.format, style), Text(quote(attempt.pattern)[1:-1]), _result(attempt))
    console.print(table)
    if best is None:
        print_line('No format decodes a reading. For other JSON, give the path of each field: format = "mapping".', console)
        return False
    print_line(f"Best: {best.format}. In config/bridge.toml, under [mqtt], together with your other subscriptions:\n", console)
    print_line(f"subscriptions = [\n    {best.setting},\n]", console)
    if any(path.converts for path in best.fields.values()):
        print_line("\nThe scale is a guess from the magnitude of the number: compare it with the sensor's display.", console)
    return True


def _result(attempt: FormatAttempt) -> Text:
    reading = attempt.reading
    if reading is None:
        return Text(printable(attempt.error), "dim")
    record = {
        **reading.values,
        "timestamp": iso(reading.timestamp_ms),
        "deviceId": reading.device_id,
        **reading.optional_keys(),
    }
    units = {name: MEASUREMENTS_BY_NAME[name].unit for name in reading.values if name in MEASUREMENTS_BY_NAME}
    return Text("\n".join(printable(f"{name}: {value} {units.get(name, '')}".rstrip()) for name, value in record.items()))
