"""How each payload format would decode a message, and the subscription for the best one.

For `sensor-bridge map`, and for the proposals for rejected messages.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.core.decode import Decoder, Route
from bridge.core.errors import FormatError, PatternError
from bridge.core.formats.json import read_json
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.formats.suggest import NEEDS_TOPIC, fits_family, leaves, subscription_toml, suggest_fields, suggest_pattern
from bridge.core.message import Decoded, Ignored, Message, Outcome, ReadingBatch
from bridge.core.payload import PayloadError, join_names, parse_json, quote
from bridge.core.readings.leaf import DEVICE_ID
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern

_CAPTURE = re.compile(r"\{[A-Za-z0-9]+(\.\.\.)?\}")


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
