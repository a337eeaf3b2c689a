"""What the topics of a broker carry: their family, the devices and values that would be stored, and the subscriptions for them.

A survey is given messages and keeps a few of each topic, within limits. It decodes them as the bridge would: with the bridge's
routes, else with the format that recognizes them and the pattern that fits all topics of that format.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bridge.core.decode import Decoder, MessageKind, Route
from bridge.core.discovery.catalog import FAMILY, EntityCatalog
from bridge.core.discovery.entities import parse_config
from bridge.core.discovery.patterns import shared_patterns
from bridge.core.errors import FormatError, NotReading, PatternError
from bridge.core.formats.format import Parsed
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.formats.suggest import suggest_pattern
from bridge.core.message import Decoded, Ignored, Message, Outcome, ReadingBatch, Rejection, StaleRetained
from bridge.core.payload import PAYLOAD_LIMIT_BYTES, PayloadError
from bridge.core.readings.leaf import DEVICE_ID as DEVICE_LEAF
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.core.topic import DEVICE_ID, TopicPattern

TOPICS_LIMIT = 2000
BYTES_LIMIT = 8 * 1024 * 1024
_MORE_PATTERNS: Mapping[FormatName, tuple[str, ...]] = {
    FormatName.HOMIE: ("homie/5/{deviceId}/#",),
    FormatName.SHELLY: ("{deviceId}/status/+",),
    FormatName.TASMOTA: ("tele/{deviceId}/STATE",),
}
"""Patterns of families beside their usual one, tried before it."""

_STATES = ("new", "announced", "subscribed", "no readings")
_SAMPLES_LIMIT = 8  # payloads of one topic, each with other keys: gateways send several devices on one topic
_LISTED_TOPICS = 10
_LISTED_DEVICES = 100
_LISTED_KEYS = 50
_BRIDGE_LEVEL = "bridge"  # below the base topic of Zigbee2MQTT
_BRIDGE_TOPICS = ("state", "info", "devices", "groups", "logging", "extensions", "definitions", "health", "event")


class _NullOrigin:
    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Do nothing."""


@dataclass(slots=True)
class _Topic:
    """Messages of one topic: how many there were, and the last payload of each shape."""

    count: int = 0
    retained: bool = False
    samples: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Finding:
    """Topics that one subscription takes, or that carry no reading for the same `reason`.

    `is_subscribed`: the bridge takes them already, by `pattern`. `format` is None where nothing new is to be stored. `devices`
    are the values that would be stored, by device and field; `not_taken` are keys with the reason of each.
    """

    pattern: str
    format: FormatName | None
    family: str
    is_subscribed: bool = False
    is_announced: bool = False
    """Its sensors are announced by Home Assistant discovery, which the settings do not switch on."""
    reason: str = ""
    topics: list[str] = field(default_factory=list)
    messages: int = 0
    devices: dict[str, dict[str, Value]] = field(default_factory=dict)
    quality: dict[str, str] = field(default_factory=dict)
    not_taken: dict[str, str] = field(default_factory=dict)
    also_matches: int = 0
    """Topics without readings that the pattern of a new subscription matches too."""

    @property
    def is_new(self) -> bool:
        """Whether its topics carry readings that nobody takes."""
        return self.format is not None and not self.is_subscribed

    @property
    def state(self) -> str:
        """`new`, `announced`, `subscribed` or `no readings`."""
        if self.is_new:
            return "new"
        return "announced" if self.is_announced else "subscribed" if self.is_subscribed else "no readings"

    def public(self) -> dict[str, object]:
        """Return JSON types, of limited size; `topicCount` and `deviceCount` are of all."""
        fields = sorted({name for values in self.devices.values() for name in values})
        return {
            "pattern": self.pattern,
            "format": self.format and self.format.value,
            "family": self.family,
            "state": self.state,
            "reason": self.reason,
            "topics": self.topics[:_LISTED_TOPICS],
            "topicCount": len(self.topics),
            "messages": self.messages,
            "devices": [{"id": name, "values": values} for name, values in list(self.devices.items())[:_LISTED_DEVICES]],
            "deviceCount": len(self.devices),
            "units": {name: unit_of(name) for name in fields if unit_of(name)},
            "quality": dict(list(self.quality.items())[:_LISTED_KEYS]),
            "alsoMatches": self.also_matches,
            "notTaken": dict(list(self.not_taken.items())[:_LISTED_KEYS]),
        }


def unit_of(name: str) -> str:
    """Return the unit of a field, nothing if it has none."""
    return MEASUREMENTS_BY_NAME[name].unit if name in MEASUREMENTS_BY_NAME else ""


@dataclass(frozen=True, slots=True)
class _Proposal:
    """The format of a topic, with the pattern suggested for it alone.

    A `fixed` pattern is the usual one of its family, or that of a gateway, and other topics do not change it.
    """

    format: FormatName
    pattern: str
    fixed: bool


class Survey:
    """Collects messages; `findings` says what they carry. `dropped` counts messages beyond the limits."""

    def __init__(self, *, prefix: str = "homeassistant", topics_limit: int = TOPICS_LIMIT) -> None:
        """`prefix` is that of Home Assistant discovery."""
        self._prefix = prefix
        self._topics: dict[str, _Topic] = {}
        self._topics_limit = topics_limit
        self._bytes = 0
        self.messages = 0
        self.dropped = 0

    @property
    def topic_count(self) -> int:
        return len(self._topics)

    def add(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Record a message. Never raises."""
        self.messages += 1
        seen = self._topics.get(topic)
        if seen is None:
            if len(self._topics) >= self._topics_limit:
                self.dropped += 1
                return
            seen = self._topics[topic] = _Topic(retained=retained)
        seen.count += 1
        shape = _shape(payload)
        before = seen.samples.get(shape)
        if before is None and len(seen.samples) >= _SAMPLES_LIMIT:
            return
        sample = payload[: PAYLOAD_LIMIT_BYTES + 1]
        size = len(sample) - len(before or b"")
        if self._bytes + size > BYTES_LIMIT:
            self.dropped += before is None
            return
        self._bytes += size
        seen.samples[shape] = sample

    def copy(self) -> "Survey":
        """Return a snapshot that later messages do not change, for another thread."""
        snapshot = Survey(prefix=self._prefix)
        snapshot._topics = {topic: replace(seen, samples=dict(seen.samples)) for topic, seen in self._topics.items()}
        return snapshot

    def findings(
        self, now_ms: int, routes: Sequence[Route] = (), topics: Mapping[str, Route] | None = None, *, discovery: bool = False
    ) -> list[Finding]:
        """Return what the topics carry: first new subscriptions, then those that exist, then what is no reading.

        `routes` are those of the bridge, `topics` those of single topics. `discovery`: it takes in what is announced.
        """
        found, trial = _Findings(now_ms), Decoder(())
        announced = self._announced()
        proposals: dict[str, _Proposal] = {}
        for topic, seen in self._topics.items():
            route = next((one for one in routes if one.pattern.match(topic) is not None), None)
            single = (topics or {}).get(topic) or announced.get(topic)
            if route is not None:
                found.add_subscribed(topic, seen, route)
            elif reason := self._reason_to_ignore(topic):
                found.add_unread(topic, seen, reason)
            else:
                best = _best(trial, topic, seen.samples.values(), self._base_of(topic))
                if single is not None and (discovery or not isinstance(best, _Proposal) or best.format in _GENERAL):
                    found.add_announced(topic, seen, single, is_subscribed=discovery)
                elif isinstance(best, _Proposal):
                    proposals[topic] = best
                else:
                    found.add_unread(topic, seen, best.reason, best.family)
        agreed = _agreed(proposals, found.device_ids)
        for topic, proposal in agreed.items():  # what some messages mean is said by others: a unit, the name of an alias
            found.learn(topic, self._topics[topic], proposal)
        for topic, proposal in agreed.items():
            found.add_new(topic, self._topics[topic], proposal)
        return found.sorted()

    def _announced(self) -> dict[str, Route]:
        """Return the routes of state topics that Home Assistant discovery announces."""
        catalog = EntityCatalog()
        for topic, seen in self._topics.items():
            if topic.startswith(f"{self._prefix}/") and topic.endswith("/config"):
                for payload in seen.samples.values():
                    with suppress(FormatError):
                        catalog.put(topic, parse_config(topic, payload, self._prefix))
        return catalog.routes()

    def _reason_to_ignore(self, topic: str) -> str | None:
        levels = topic.split("/")
        if topic.startswith(f"{self._prefix}/") and levels[-1] == "config":
            return "an announcement of Home Assistant discovery"
        if _BRIDGE_LEVEL in levels[:-1] and self._base_of(topic) == "/".join(levels[: levels.index(_BRIDGE_LEVEL)]):
            return "about the Zigbee2MQTT bridge itself"
        return None

    def _base_of(self, topic: str) -> str | None:
        """Return the base topic of the Zigbee2MQTT that a topic may belong to: the longest that has topics below `bridge`."""
        levels = topic.split("/")
        bases = ("/".join(levels[:count]) for count in range(len(levels) - 1, 0, -1))
        return next(
            (base for base in bases if any(f"{base}/{_BRIDGE_LEVEL}/{name}" in self._topics for name in _BRIDGE_TOPICS)), None
        )


@dataclass(frozen=True, slots=True)
class _Unread:
    """Why a topic carries no reading, and its family if that is known."""

    reason: str
    family: str = ""


def _shape(payload: bytes) -> str:
    """Return what distinguishes messages of one topic: the keys of an object, and what names a device or sensor in it."""
    try:
        body = Payload(payload).json()
    except PayloadError:
        return "text"
    if isinstance(body, dict):
        names = (body.get(key) for key in ("id", "model", "name", "type", "src", "channel", DEVICE_ID, "device_id", "devEui"))
        keys = ",".join(list(body)[:32])
        return f"{keys}|{'|'.join(str(name)[:64] for name in names if isinstance(name, str | int))}"[:512]
    return type(body).__name__


def _best(trial: Decoder, topic: str, payloads: Iterable[bytes], base: str | None) -> _Proposal | _Unread:
    """Return the format whose family recognizes a message and reads it, else why nothing does."""
    unread: _Unread | None = None
    for payload in payloads:
        for proposal in _proposals(topic, payload, base):
            decoded = _decode(trial, topic, payload, proposal)
            if isinstance(decoded, Reading | ReadingBatch | StaleRetained):
                return proposal
            if isinstance(decoded, Ignored):
                unread = _Unread(decoded.reason, proposal.format.value)
                break
            reason = decoded.reason if isinstance(decoded, Rejection) else "not a reading"
            unread = unread or _Unread(reason, "" if proposal.format in _GENERAL else proposal.format.value)
    return unread or _Unread("neither JSON nor a value of a known field")


_GENERAL = (FormatName.JSON, FormatName.SCALAR)


def _proposals(topic: str, payload: bytes, base: str | None) -> Iterator[_Proposal]:
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


def _pattern(name: FormatName, topic: str, body: Payload, base: str | None) -> _Proposal | None:
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


def _usual(name: FormatName, topic: str, base: str | None) -> _Proposal | None:
    """Return a usual pattern of the family that matches a topic."""
    if name is FormatName.ZIGBEE2MQTT:
        return _zigbee_pattern(topic, base)
    for usual in (*_MORE_PATTERNS.get(name, ()), name.spec.usual_pattern):
        text = _with_prefix(usual, topic)
        if text is not None:
            return _Proposal(name, text, fixed=True)
    return None


def _suggested(name: FormatName, topic: str, body: Payload) -> _Proposal | None:
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
        return _Proposal(name, text if str(device) in topic.split("/") else topic, fixed=True)
    return _Proposal(name, text, fixed=name is FormatName.ESPHOME)


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


def _zigbee_pattern(topic: str, base: str | None) -> _Proposal | None:
    root = base or topic.partition("/")[0]
    below = topic.removeprefix(f"{root}/")
    if below == topic:
        return None
    return _Proposal(FormatName.ZIGBEE2MQTT, f"{root}/{{deviceId{'...' if '/' in below else ''}}}", fixed=True)


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


def _agreed(proposals: Mapping[str, _Proposal], taken_ids: Iterable[str]) -> dict[str, _Proposal]:
    """Return the proposals with one pattern for the topics of several devices."""
    taken = set(taken_ids)
    by_format: dict[FormatName, dict[str, str]] = defaultdict(dict)
    wide: set[str] = {one.pattern for one in proposals.values() if "{deviceId...}" in one.pattern}
    agreed: dict[str, _Proposal] = {}
    for topic, one in proposals.items():
        if one.fixed:
            widened = one.pattern.replace("{deviceId}", "{deviceId...}")
            agreed[topic] = _Proposal(one.format, widened, fixed=True) if widened in wide else one
        else:
            by_format[one.format][topic] = one.pattern
    for name, suggested in by_format.items():
        for topic, pattern in shared_patterns(suggested, taken).items():
            agreed[topic] = _Proposal(name, pattern, fixed=False)
    formats: dict[str, set[FormatName]] = defaultdict(set)
    for one in agreed.values():
        formats[one.pattern].add(one.format)
    shared = {pattern for pattern, names in formats.items() if len(names) > 1}  # families on topics of one pattern
    return {topic: replace(one, format=FormatName.AUTO) if one.pattern in shared else one for topic, one in agreed.items()}


def _decode(decoder: Decoder, topic: str, payload: bytes, proposal: _Proposal, now_ms: int = 0) -> Decoded:
    """Decode a message by a proposal. The decoder remembers what earlier messages said."""
    try:
        pattern = TopicPattern.parse(proposal.pattern)
        decoder.set_routes([Route(pattern, format=make_format(proposal.format, pattern))], {})
    except (PatternError, FormatError) as error:
        return Ignored(str(error))
    return decoder.decode(_message(topic, payload, now_ms))


def _message(topic: str, payload: bytes, now_ms: int) -> Message:
    return Message("survey", topic, payload, now_ms, _NullOrigin())


class _Findings:
    """Findings by pattern and reason."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._decoder = Decoder(())
        self._by_key: dict[tuple[object, ...], Finding] = {}

    @property
    def device_ids(self) -> set[str]:
        return {device for finding in self._by_key.values() for device in finding.devices}

    def add_subscribed(self, topic: str, seen: _Topic, route: Route) -> None:
        text = route.pattern.text
        if route.kind is not MessageKind.READINGS:
            finding = self._obtain(Finding(text, None, route.kind.value, is_subscribed=True))
            _count(finding, topic, seen)
            return
        finding = self._obtain(Finding(text, None, "", is_subscribed=True))
        self._decoder.set_routes([route], {})
        self._decode_all(finding, topic, seen)

    def learn(self, topic: str, seen: _Topic, proposal: _Proposal) -> None:
        """Decode messages for what they say about others."""
        for payload in seen.samples.values():
            _decode(self._decoder, topic, payload, proposal, self._now_ms)

    def add_new(self, topic: str, seen: _Topic, proposal: _Proposal) -> None:
        pattern = TopicPattern.parse(proposal.pattern)
        finding = self._obtain(Finding(proposal.pattern, proposal.format, proposal.format.value))
        self._decoder.set_routes([Route(pattern, format=make_format(proposal.format, pattern))], {})
        self._decode_all(finding, topic, seen)

    def add_announced(self, topic: str, seen: _Topic, route: Route, *, is_subscribed: bool) -> None:
        finding = self._obtain(Finding("", None, FAMILY, is_subscribed=is_subscribed, is_announced=not is_subscribed))
        self._decoder.set_routes((), {topic: route})
        self._decode_all(finding, topic, seen)

    def add_unread(self, topic: str, seen: _Topic, reason: str, family: str = "") -> None:
        _count(self._obtain(Finding("", None, family, reason=reason)), topic, seen)

    def _obtain(self, finding: Finding) -> Finding:
        key = (finding.pattern, finding.format, finding.family, finding.reason, finding.is_announced)
        return self._by_key.setdefault(key, finding)

    def _decode_all(self, finding: Finding, topic: str, seen: _Topic) -> None:
        _count(finding, topic, seen)
        for payload in seen.samples.values():
            decoded = self._decoder.decode(_message(topic, payload, self._now_ms))
            readings = (
                decoded.readings if isinstance(decoded, ReadingBatch) else [decoded] if isinstance(decoded, Reading) else ()
            )
            for reading in readings:
                finding.devices.setdefault(reading.device_id, {}).update(reading.values)
                finding.quality.update(reading.quality)
                finding.not_taken.update(reading.ignored)
                finding.family = finding.family or reading.family
            if not readings and isinstance(decoded, Rejection | Ignored) and not finding.reason:
                finding.reason = decoded.reason

    def sorted(self) -> list[Finding]:
        unread = [topic for one in self._by_key.values() if one.state == _STATES[-1] for topic in one.topics]
        for finding in self._by_key.values():
            if finding.is_new:
                pattern = TopicPattern.parse(finding.pattern)
                finding.also_matches = sum(pattern.match(topic) is not None for topic in unread)
        return sorted(
            self._by_key.values(),
            key=lambda one: (_STATES.index(one.state), not one.devices, one.pattern, one.reason),
        )


def _count(finding: Finding, topic: str, seen: _Topic) -> None:
    finding.topics.append(topic)
    finding.messages += seen.count
