"""`sensor-bridge map`: decode a message with every payload format and propose the settings for the best one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.runner import print_line
from bridge.core.decode import Decoder, Route
from bridge.core.errors import BridgeError, FormatError, PatternError
from bridge.core.formats.json import read_json
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.formats.suggest import NEEDS_TOPIC, fits_family, leaves, subscription_toml, suggest_fields, suggest_pattern
from bridge.core.message import Decoded, Ignored, Message, Outcome, ReadingBatch
from bridge.core.payload import PayloadError, join_names, parse_json, quote
from bridge.core.readings.leaf import DEVICE_ID
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import first_message
from bridge.tools.terminal import printable

_CAPTURE = re.compile(r"\{[A-Za-z0-9]+(\.\.\.)?\}")
_LISTED_KEYS = 20
_LISTED_READINGS = 10


class _NullOrigin:
    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class FormatAttempt:
    """The readings that a format decodes, or the reason why it fails. `is_family` says that `auto` chooses it."""

    format: FormatName
    pattern: str
    fields: Mapping[str, FieldPath] = field(default_factory=dict)
    readings: Sequence[Reading] = ()
    error: str = ""
    is_family: bool = False
    fit: int = 0

    @property
    def rank(self) -> tuple[bool, bool, int, int, bool]:
        """Sort key, higher is better: any other than `auto`, the message's family, plausible values less the numbers that are
        dropped, the fit of the topic, its own timestamp.
        """
        good = sum(1 for reading in self.readings for name in reading.values if name not in reading.quality)
        dropped = sum(1 for reading in self.readings for value in reading.extra.values() if type(value) in (int, float))
        own_time = any(reading.timestamp_ms != reading.received_ms for reading in self.readings)
        return self.format is not FormatName.AUTO, self.is_family, good - dropped, self.fit, own_time

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
    family = family_of(payload, topic)
    return [_attempt(name, payload, topic, now_ms, family) for name in names]


def family_of(payload: bytes, topic: str | None) -> FormatName | None:
    """Return the family that `auto` chooses for the message on the pattern that is suggested for it, or None."""
    for name in FormatName:
        recognizes = name.spec.recognizes
        if recognizes is None or (topic is None and name in NEEDS_TOPIC):
            continue
        try:
            pattern = name.spec.usual_pattern if topic is None else suggest_pattern(name, topic)
            captures = {"deviceId": "device"} if topic is None else TopicPattern.parse(pattern or "").match(topic)
        except PatternError:
            continue
        if captures is not None and recognizes(Payload(payload, topic or "", captures)):
            return name if name.spec.unpack is None else _family_within(name, Payload(payload, topic or "", captures))
    return None


def _family_within(encoding: FormatName, payload: Payload) -> FormatName:
    """Return the family that is carried in an encoding, or the encoding."""
    payload.parsed = encoding.spec.unpack(payload.data) if encoding.spec.unpack is not None else None
    families = (name for name in FormatName if name.spec.recognizes is not None and name.spec.unpack is None)
    return next((name for name in families if name.spec.recognizes is not None and name.spec.recognizes(payload)), encoding)


def best_of(attempts: list[FormatAttempt]) -> FormatAttempt | None:
    """Return the attempt with the highest rank, the first of equals, or None if no format decodes a reading."""
    return max((attempt for attempt in attempts if attempt.readings), key=lambda attempt: attempt.rank, default=None)


def _attempt(name: FormatName, payload: bytes, topic: str | None, now_ms: int, family: FormatName | None) -> FormatAttempt:
    try:
        pattern, fields = _propose(name, payload, topic, family)
        parsed = TopicPattern.parse(pattern)
        route = Route(parsed, format=make_format(name, parsed, fields))
    except (PatternError, FormatError) as error:
        return FormatAttempt(name, name.spec.usual_pattern, error=str(error))
    message = Message("map", topic or topic_of(pattern), payload, now_ms, _NullOrigin())
    decoded = Decoder([route]).decode(message)
    match decoded:
        case Reading():
            readings, reason = [decoded], ""
        case ReadingBatch():
            readings, reason = list(decoded.readings), "; ".join(rejection.reason for rejection in decoded.rejections)
        case Ignored():
            readings, reason = [], f"ignored: {decoded.reason}"
        case _:
            readings, reason = [], getattr(decoded, "reason", "not a reading")
    return FormatAttempt(name, pattern, fields, readings, reason, name is family, _fit(name, topic))


def topic_of(pattern: str) -> str:
    """Return a topic that a pattern matches."""
    return _CAPTURE.sub("device", pattern).replace("+", "any").replace("#", "any")


def _propose(
    name: FormatName, payload: bytes, topic: str | None, family: FormatName | None
) -> tuple[str, dict[str, FieldPath]]:
    """Return the pattern and fields to try. Raises `FormatError` if the format cannot apply."""
    fields = suggest_fields(_body(payload)) if name is FormatName.MAPPING else {}
    if name is FormatName.MAPPING and not MEASUREMENTS_BY_NAME.keys() & fields.keys():
        raise FormatError(_no_known_name(payload))
    if topic is None and name in NEEDS_TOPIC:
        raise FormatError("the topic says what the value is; give --topic")
    device = fields["deviceId"].find(_body(payload)) if "deviceId" in fields else _device_in_body(name, payload)
    body_device = device if isinstance(device, str) else None
    like = family if name is FormatName.AUTO and family is not None else name
    pattern = like.spec.usual_pattern if topic is None else suggest_pattern(like, topic, body_device)
    if pattern is None:
        raise FormatError("the topic does not match this format")
    if "deviceId" in TopicPattern.parse(pattern).names:
        fields.pop("deviceId", None)
    return pattern, fields


def _fit(name: FormatName, topic: str | None) -> int:
    """Return 1 if the topic is one of the family's own, -1 if a family should be recognized and is not, else 0."""
    if topic is not None and fits_family(name, topic):
        return 1
    return -1 if name.spec.recognizes is not None else 0


def _body(payload: bytes) -> object:
    try:
        return parse_json(payload)
    except PayloadError:
        return None


def _device_in_body(name: FormatName, payload: bytes) -> object:
    """Return the device id that a JSON payload has, for the formats that read it from there."""
    if name not in (FormatName.JSON, FormatName.AUTO):
        return None
    try:
        parsed = read_json(_body(payload))
    except PayloadError:
        return None
    leaves = (leaf for sample in parsed.samples for leaf in sample.leaves)
    return next((leaf.value for leaf in (*parsed.common, *leaves) if leaf.field == DEVICE_ID), None)


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
        if best is not None and not _is_worth_showing(attempt, attempts):
            continue
        style = "bold green" if attempt is best else "" if attempt.readings else "dim"
        table.add_row(Text(attempt.format, style), Text(quote(attempt.pattern)[1:-1]), _result(attempt))
    console.print(table)
    if best is None:
        print_line('No format decodes a reading. For other JSON, give the path of each field: format = "mapping".', console)
        return False
    print_line(f"Best: {best.format}.{_auto_note(best, attempts)}", console)
    _print_dropped(best, console)
    print_line("In config/bridge.toml, under [mqtt], together with your other subscriptions:\n", console)
    print_line(f"subscriptions = [\n    {best.setting},\n]", console)
    if any(path.converts for path in best.fields.values()):
        print_line("\nThe scale is a guess from the magnitude of the number: compare it with the sensor's display.", console)
    return True


def _auto_note(best: FormatAttempt, attempts: Sequence[FormatAttempt]) -> str:
    """Return what `auto` does with the message."""
    auto = next((attempt for attempt in attempts if attempt.format is FormatName.AUTO), None)
    if auto is None or not auto.readings:
        return ""
    chosen = auto.readings[0].family or FormatName.JSON.value
    return f' The default format "auto" chooses {"it" if chosen == best.format else chosen}.'


def _is_worth_showing(attempt: FormatAttempt, attempts: Sequence[FormatAttempt]) -> bool:
    """Whether a format is one of the general ones or the message's family, or reads it in its own way."""
    if attempt.is_family or attempt.format.spec.recognizes is None:
        return True
    others = [_meaning(other) for other in attempts if other.is_family or other.format is FormatName.JSON]
    return bool(attempt.readings) and _meaning(attempt) not in others


def _meaning(attempt: FormatAttempt) -> list[Mapping[str, Value]]:
    return [reading.values for reading in attempt.readings]


def _print_dropped(best: FormatAttempt, console: Console) -> None:
    dropped = [path for reading in best.readings for path in reading.ignored]
    if dropped:
        names = join_names([printable(path) for path in dropped])
        print_line(f"It does not take: {names}. The table has the reasons.", console)
    if sum(len(reading.values) for reading in best.readings) <= sum(len(reading.extra) for reading in best.readings):
        print_line('Most of the message is not taken: format = "mapping" takes a field from the path that you give.', console)


def _result(attempt: FormatAttempt) -> Text:
    if not attempt.readings:
        return Text(printable(attempt.error), "dim")
    text = Text("\n").join(_reading(reading) for reading in attempt.readings[:_LISTED_READINGS])
    if len(attempt.readings) > _LISTED_READINGS:
        text.append(f"\nand {len(attempt.readings) - _LISTED_READINGS} more readings")
    if attempt.error:
        text.append(f"\nrejected: {printable(attempt.error)}")
    return text


def _reading(reading: Reading) -> Text:
    """Return the record of one reading, a line per key, and below it every key that was not taken, with its reason."""
    record = {
        "deviceId": reading.device_id,
        **reading.values,
        "timestamp": iso(reading.timestamp_ms),
        **{name: value for name, value in reading.optional_keys().items() if name != "extra"},
    }
    if reading.family:
        record["family"] = reading.family
    units = {name: MEASUREMENTS_BY_NAME[name].unit for name in reading.values if name in MEASUREMENTS_BY_NAME}
    text = Text("\n".join(printable(f"{name}: {value} {units.get(name, '')}".rstrip()) for name, value in record.items()))
    for path, reason in list(reading.ignored.items())[:_LISTED_KEYS]:
        text.append(f"\nnot taken: {printable(path)} ({reason})", "yellow")
    if len(reading.ignored) > _LISTED_KEYS:
        text.append(f"\nnot taken: {len(reading.ignored) - _LISTED_KEYS} more keys", "yellow")
    return text
