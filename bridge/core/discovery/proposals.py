"""The subscription that a topic needs: the format that recognizes its messages, and the pattern that fits all such topics."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bridge.core.decode import Decoder, Route
from bridge.core.discovery.patterns import shared_patterns
from bridge.core.errors import FormatError, NotReading, PatternError
from bridge.core.formats.format import Parsed
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.formats.suggest import suggest_pattern
from bridge.core.message import Decoded, Ignored, Message, Outcome, ReadingBatch, Rejection, StaleRetained
from bridge.core.payload import PayloadError
from bridge.core.readings.leaf import DEVICE_ID as DEVICE_LEAF
from bridge.core.readings.reading import Reading
from bridge.core.topic import DEVICE_ID, TopicPattern

_MORE_PATTERNS: Mapping[FormatName, tuple[str, ...]] = {
    FormatName.HOMIE: ("homie/5/{deviceId}/#",),
    FormatName.SHELLY: ("{deviceId}/status/+",),
    FormatName.TASMOTA: ("tele/{deviceId}/STATE",),
}
"""Patterns of families beside their usual one, tried before it."""

GENERAL = (FormatName.JSON, FormatName.SCALAR)
"""The formats of no family."""


class _NullOrigin:
    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The format of a topic, with the pattern suggested for it alone.

    A `fixed` pattern is the usual one of its family, or that of a gateway, and other topics do not change it.
    """

    format: FormatName
    pattern: str
    fixed: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a topic carries no reading, and its family if that is known."""

    reason: str
    family: str = ""


def best_proposal(trial: Decoder, topic: str, payloads: Iterable[bytes], base: str | None) -> Proposal | Unread:
    """Return the format whose family recognizes a message and reads it, else why nothing does."""
    unread: Unread | None = None
    for payload in payloads:
        for proposal in _proposals(topic, payload, base):
            decoded = decode_as(trial, topic, payload, proposal)
            if isinstance(decoded, Reading | ReadingBatch | StaleRetained):
                return proposal
            if isinstance(decoded, Ignored):
                unread = Unread(decoded.reason, proposal.format.value)
                break
            reason = decoded.reason if isinstance(decoded, Rejection) else "not a reading"
            unread = unread or Unread(reason, "" if proposal.format in GENERAL else proposal.format.value)
    return unread or Unread("neither JSON nor a value of a known field")


def _proposals(topic: str, payload: bytes, base: str | None) -> Iterator[Proposal]:
    """Yield the formats that recognize a message, then JSON or one value."""
    body = Payload(payload, topic)
    recognized = []
    for name in FormatName:
        if name.spec.recognizes is None:
            continue
        pattern = _pattern(name, topic, body, base)
        if pattern is None:
            continue
        candidate = Payload(payload, topic, TopicPattern.parse(pattern.pattern).match(topic) or {}, parsed=body.parsed)
        if name.spec.recognizes(candidate):
            recognized.append(pattern)
    yield from sorted(recognized, key=lambda one: one.pattern.startswith("{"))  # first those with a topic of their own
    name = FormatName.JSON if isinstance(body.json_or_none(), dict | list) else FormatName.SCALAR
    general = _pattern(name, topic, body, base)
    if general is not None:
        yield general


def _pattern(name: FormatName, topic: str, body: Payload, base: str | None) -> Proposal | None:
    """Return the pattern by which a format reads a topic.

    None if it cannot, if the payload is not of the format, or if the topic has a brace or a control character.
    """
    try:
        proposal = _usual(name, topic, base) or _suggested(name, topic, body)
        if proposal is not None:
            TopicPattern.parse(proposal.pattern)
    except PatternError:
        return None
    return proposal


def _usual(name: FormatName, topic: str, base: str | None) -> Proposal | None:
    """Return a usual pattern of the family that matches a topic."""
    if name is FormatName.ZIGBEE2MQTT:
        return _zigbee_pattern(topic, base)
    for usual in (*_MORE_PATTERNS.get(name, ()), name.spec.usual_pattern):
        text = _with_prefix(usual, topic)
        if text is not None:
            return Proposal(name, text, fixed=True)
    return None


def _suggested(name: FormatName, topic: str, body: Payload) -> Proposal | None:
    if name is FormatName.ZIGBEE2MQTT:
        return None
    text = suggest_pattern(name, topic)
    if text is None and name is FormatName.SCALAR:
        text = _two_level_pattern(topic)
    if text is None:
        return None
    pattern = TopicPattern.parse(text)
    if set(name.spec.levels) - set(pattern.names):
        return None
    device = _device_in_payload(name, pattern, topic, body)
    if device is not None:
        text = suggest_pattern(name, topic, str(device)) or topic
        return Proposal(name, text if str(device) in topic.split("/") else topic, fixed=True)
    return Proposal(name, text, fixed=name is FormatName.ESPHOME)


def _with_prefix(usual: str, topic: str) -> str | None:
    """Return the usual pattern of a family, after the first levels of the topic if these are more; None if it does not match.

    A pattern without a `#` and with a word of its own may stand below other levels: `home/tele/{deviceId}/SENSOR`.
    """
    pattern = TopicPattern.parse(usual)
    if pattern.match(topic) is not None:
        return usual
    levels = topic.split("/")
    more = len(levels) - len(pattern.levels)
    if more < 1 or usual.endswith("#") or pattern.levels[0] in ("sensors", "telegraf"):
        return None
    prefix, rest = levels[:more], levels[more:]
    if pattern.match("/".join(rest)) is None or any(mark in "/".join(prefix) for mark in "{}"):
        return None
    return "/".join([*prefix, usual])


def _zigbee_pattern(topic: str, base: str | None) -> Proposal | None:
    root = base or topic.partition("/")[0]
    below = topic.removeprefix(f"{root}/")
    if below == topic:
        return None
    return Proposal(FormatName.ZIGBEE2MQTT, f"{root}/{{deviceId{'...' if '/' in below else ''}}}", fixed=True)


def _two_level_pattern(topic: str) -> str | None:
    """Return `{deviceId}/{field}` for `kitchen/temperature`."""
    device, _, name = topic.partition("/")
    suggested = suggest_pattern(FormatName.SCALAR, f"root/{topic}")
    return "{deviceId}/{field}" if device and name and suggested == "root/{deviceId}/{field}" else None


def _device_in_payload(name: FormatName, pattern: TopicPattern, topic: str, body: Payload) -> object:
    """Return the device that a payload names, or None. Only families whose pattern needs no device may name one."""
    if DEVICE_ID in name.spec.levels:
        return None
    captures = {level: text for level, text in (pattern.match(topic) or {}).items() if level != DEVICE_ID}
    payload = Payload(body.data, topic, captures)
    if name.spec.unpack is None:
        payload.parsed = body.parsed
    try:
        parsed = make_format(name, pattern)(payload)
    except (PayloadError, NotReading, FormatError, KeyError):
        return None
    return next(_devices_of(parsed), None)


def _devices_of(parsed: Parsed) -> Iterator[object]:
    for sample in parsed.samples:
        if sample.device_id is not None:
            yield sample.device_id
        yield from (leaf.value for leaf in sample.leaves if leaf.field == DEVICE_LEAF and leaf.value is not None)
    yield from (leaf.value for leaf in parsed.common if leaf.field == DEVICE_LEAF and leaf.value is not None)


def agreed_proposals(proposals: Mapping[str, Proposal], taken_ids: Iterable[str]) -> dict[str, Proposal]:
    """Return the proposals with one pattern for the topics of several devices."""
    taken = set(taken_ids)
    by_format: dict[FormatName, dict[str, str]] = defaultdict(dict)
    wide: set[str] = {one.pattern for one in proposals.values() if "{deviceId...}" in one.pattern}
    agreed: dict[str, Proposal] = {}
    for topic, one in proposals.items():
        if one.fixed:
            widened = one.pattern.replace("{deviceId}", "{deviceId...}")
            agreed[topic] = Proposal(one.format, widened, fixed=True) if widened in wide else one
        else:
            by_format[one.format][topic] = one.pattern
    for name, suggested in by_format.items():
        for topic, pattern in shared_patterns(suggested, taken).items():
            agreed[topic] = Proposal(name, pattern, fixed=False)
    formats: dict[str, set[FormatName]] = defaultdict(set)
    for one in agreed.values():
        formats[one.pattern].add(one.format)
    shared = {pattern for pattern, names in formats.items() if len(names) > 1}  # families on topics of one pattern
    return {topic: replace(one, format=FormatName.AUTO) if one.pattern in shared else one for topic, one in agreed.items()}


def decode_as(decoder: Decoder, topic: str, payload: bytes, proposal: Proposal, now_ms: int = 0) -> Decoded:
    """Decode a message by a proposal. The decoder remembers what earlier messages said."""
    try:
        pattern = TopicPattern.parse(proposal.pattern)
        decoder.set_routes([Route(pattern, format=make_format(proposal.format, pattern))], {})
    except (PatternError, FormatError) as error:
        return Ignored(str(error))
    return decoder.decode(survey_message(topic, payload, now_ms))


def survey_message(topic: str, payload: bytes, now_ms: int) -> Message:
    return Message("survey", topic, payload, now_ms, _NullOrigin())
