"""What topics carry: the devices and values that would be stored, by subscription, and why the others carry no reading."""

from dataclasses import dataclass, field

from bridge.core.decode import Decoder, MessageKind, Route
from bridge.core.discovery.catalog import FAMILY
from bridge.core.discovery.proposals import Proposal, decode_as, survey_message
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Ignored, ReadingBatch, Rejection
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.core.reasons import cause_of, with_cause
from bridge.core.topic import TopicPattern

_STATES = ("new", "announced", "subscribed", "no readings")
_LISTED_TOPICS = 10
_LISTED_DEVICES = 100
_LISTED_KEYS = 50


@dataclass(slots=True)
class SeenTopic:
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
        not_taken = dict(list(self.not_taken.items())[:_LISTED_KEYS])
        body = {
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
            "notTaken": not_taken,
            "notTakenCauses": {key: cause for key, reason in not_taken.items() if (cause := cause_of(reason)) is not None},
        }
        return with_cause(body)


def unit_of(name: str) -> str:
    """Return the unit of a field, nothing if it has none."""
    return MEASUREMENTS_BY_NAME[name].unit if name in MEASUREMENTS_BY_NAME else ""


class Findings:
    """Findings by pattern and reason."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._decoder = Decoder(())
        self._by_key: dict[tuple[object, ...], Finding] = {}

    @property
    def device_ids(self) -> set[str]:
        return {device for finding in self._by_key.values() for device in finding.devices}

    def add_subscribed(self, topic: str, seen: SeenTopic, route: Route) -> None:
        text = route.pattern.text
        if route.kind is not MessageKind.READINGS:
            finding = self._obtain(Finding(text, None, route.kind.value, is_subscribed=True))
            _count(finding, topic, seen)
            return
        finding = self._obtain(Finding(text, None, "", is_subscribed=True))
        self._decoder.set_routes([route], {})
        self._decode_all(finding, topic, seen)

    def learn(self, topic: str, seen: SeenTopic, proposal: Proposal) -> None:
        """Decode messages for what they say about others."""
        for payload in seen.samples.values():
            decode_as(self._decoder, topic, payload, proposal, self._now_ms)

    def add_new(self, topic: str, seen: SeenTopic, proposal: Proposal) -> None:
        pattern = TopicPattern.parse(proposal.pattern)
        finding = self._obtain(Finding(proposal.pattern, proposal.format, proposal.format.value))
        self._decoder.set_routes([Route(pattern, format=make_format(proposal.format, pattern))], {})
        self._decode_all(finding, topic, seen)

    def add_announced(self, topic: str, seen: SeenTopic, route: Route, *, is_subscribed: bool) -> None:
        finding = self._obtain(Finding("", None, FAMILY, is_subscribed=is_subscribed, is_announced=not is_subscribed))
        self._decoder.set_routes((), {topic: route})
        self._decode_all(finding, topic, seen)

    def add_unread(self, topic: str, seen: SeenTopic, reason: str, family: str = "") -> None:
        _count(self._obtain(Finding("", None, family, reason=reason)), topic, seen)

    def _obtain(self, finding: Finding) -> Finding:
        key = (finding.pattern, finding.format, finding.family, finding.reason, finding.is_announced)
        return self._by_key.setdefault(key, finding)

    def _decode_all(self, finding: Finding, topic: str, seen: SeenTopic) -> None:
        _count(finding, topic, seen)
        for payload in seen.samples.values():
            decoded = self._decoder.decode(survey_message(topic, payload, self._now_ms))
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


def _count(finding: Finding, topic: str, seen: SeenTopic) -> None:
    finding.topics.append(topic)
    finding.messages += seen.count
