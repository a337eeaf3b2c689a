"""What a message would become in each format, and the settings that read it best.

For `sensor-bridge map`: a pasted or a captured message goes through the decoder of the bridge, once for each format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.core.decode import Decoder, Route
from bridge.core.errors import BridgeError, FormatError, PatternError
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.formats.suggest import leaves, subscription_toml, suggest_fields, suggest_pattern
from bridge.core.message import Decoded, Message, Outcome
from bridge.core.payload import PayloadError, join_names, parse_json, quote
from bridge.core.readings.fields import extract_fields
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import first_message

_CAPTURE = re.compile(r"\{[A-Za-z0-9]+\}")


class _Nowhere:
    """An origin that nobody waits at."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class FormatAttempt:
    """One format tried: the reading it makes, or what is wrong."""

    format: FormatName
    pattern: str
    fields: Mapping[str, FieldPath] = field(default_factory=dict)
    reading: Reading | None = None
    complaint: str = ""
    fit: int = 0

    @property
    def rank(self) -> tuple[int, int, bool]:
        """The higher the better: good values, then the shape of the topic, then a time of its own."""
        assert self.reading is not None  # noqa: S101 - only readings are ranked
        own_time = self.reading.timestamp_ms != self.reading.received_ms
        return len(self.reading.values) - len(self.reading.quality), self.fit, own_time

    @property
    def setting(self) -> str:
        """The line of the settings that reads messages this way."""
        return subscription_toml(self.pattern, self.format, self.fields)


async def capture(settings: MqttSettings, topic: str, seconds: float) -> tuple[str, bytes]:
    """Topic and payload of the next message on a topic filter; raises `BridgeError` when none comes in time."""
    arrived = await first_message(settings, TopicPattern.parse(topic).topic_filter, seconds)
    if arrived is None:
        raise BridgeError(f"no message on {quote(topic)} at {settings.address} within {seconds:g} seconds")
    return arrived


def try_formats(payload: bytes, topic: str | None, now_ms: int, only: FormatName | None = None) -> list[FormatAttempt]:
    """Every format, or `only` one, in the order of their list. Without a topic each is tried on its usual one."""
    names = list(FormatName) if only is None else [only]
    return [_attempt(name, payload, topic, now_ms) for name in names]


def best_of(attempts: list[FormatAttempt]) -> FormatAttempt | None:
    """The attempt with the best reading, the first of equals."""
    return max((one for one in attempts if one.reading is not None), key=lambda one: one.rank, default=None)


def _attempt(name: FormatName, payload: bytes, topic: str | None, now_ms: int) -> FormatAttempt:
    try:
        pattern, fields = _proposal(name, payload, topic)
        parsed = TopicPattern.parse(pattern)
        route = Route(parsed, format=make_format(name, parsed, fields))
    except (PatternError, FormatError) as error:
        return FormatAttempt(name, name.spec.usual_pattern, complaint=str(error))
    arrived = Message("map", topic or _CAPTURE.sub("device", pattern), payload, now_ms, _Nowhere())
    return _judged(FormatAttempt(name, pattern, fields, fit=_fit(name, topic, payload)), Decoder([route]).decode(arrived))


def _proposal(name: FormatName, payload: bytes, topic: str | None) -> tuple[str, dict[str, FieldPath]]:
    """Pattern and fields to try; raises `FormatError` when there is nothing to try."""
    fields = suggest_fields(_body(payload)) if name is FormatName.MAPPING else {}
    if name is FormatName.MAPPING and not MEASUREMENTS_BY_NAME.keys() & fields.keys():
        raise FormatError(_nothing_known(payload))
    if topic is None and name in (FormatName.SCALAR, FormatName.ESPHOME):
        raise FormatError("the field is a level of the topic; give --topic")
    device = fields["deviceId"].find(_body(payload)) if "deviceId" in fields else _device_in(name, payload)
    named_in_body = device if isinstance(device, str) else None
    pattern = name.spec.usual_pattern if topic is None else suggest_pattern(name, topic, named_in_body)
    if pattern is None:
        raise FormatError("the topic has no such shape")
    if "{deviceId}" in pattern:
        fields.pop("deviceId", None)
    return pattern, fields


def _judged(attempt: FormatAttempt, decoded: Decoded) -> FormatAttempt:
    reading = decoded if isinstance(decoded, Reading) else None
    complaint = "" if reading else getattr(decoded, "reason", "no reading")
    return FormatAttempt(attempt.format, attempt.pattern, attempt.fields, reading, complaint, attempt.fit)


def _fit(name: FormatName, topic: str | None, payload: bytes) -> int:
    """1 when the topic, or a key that only one program writes, speaks for this format; -1 when nothing does and it should."""
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


def _device_in(name: FormatName, payload: bytes) -> object:
    """The device that a plain object names."""
    body = _body(payload)
    return extract_fields(body).device_id if name is FormatName.JSON and isinstance(body, dict) else None


def _nothing_known(payload: bytes) -> str:
    try:
        paths = [quote(".".join(steps)) for steps, _ in leaves(parse_json(payload))]
    except PayloadError as error:
        return str(error)
    return f"no name we know among {join_names(paths)}" if paths else "the payload names nothing"


# --- for people --------------------------------------------------------------------------------------------------------


def explain(console: Console, attempts: list[FormatAttempt]) -> bool:
    """Print what each format makes of the message, and the settings for the best; False when none makes a reading."""
    best = best_of(attempts)
    table = Table(show_lines=True)
    for heading in ("format", "pattern", "what it makes of the message"):
        table.add_column(heading, overflow="fold")
    for one in attempts:
        style = "bold green" if one is best else "" if one.reading else "dim"
        table.add_row(Text(one.format, style), Text(quote(one.pattern)[1:-1]), _outcome(one))
    console.print(table)
    if best is None:
        _say(
            console,
            'No format makes a reading of it. For JSON of a shape of its own give each field its path: format = "mapping".',
        )
        return False
    _say(console, f"Best: {best.format}. In config/bridge.toml, under [mqtt]; add what else you listen to:\n")
    _say(console, f"subscriptions = [\n    {best.setting},\n]")
    if any(path.converts for path in best.fields.values()):
        _say(console, "\nThe scale is guessed from the size of the number: compare it with the sensor's own display.")
    return True


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _outcome(attempt: FormatAttempt) -> Text:
    reading = attempt.reading
    if reading is None:
        return Text(attempt.complaint, "dim")
    record = {
        **reading.values,
        "timestamp": iso(reading.timestamp_ms),
        "deviceId": reading.device_id,
        **reading.optional_keys(),
    }
    units = {name: MEASUREMENTS_BY_NAME[name].unit for name in reading.values if name in MEASUREMENTS_BY_NAME}
    return Text("\n".join(f"{name}: {value} {units.get(name, '')}".rstrip() for name, value in record.items()))
