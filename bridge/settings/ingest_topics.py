"""The topics of messages posted in a format of `FormatName`.

Each has all that decoding needs, so that a rejected message can be retried as it is: the format, and the device or the MQTT
topic that the sender named.

    $http/ingest/airgradient
    $http/ingest/airgradient/device/hall
    $http/ingest/esphome/topic/hall/sensor/temperature/state
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bridge.core.decode import Route
from bridge.core.errors import DeviceIdError, FormatError
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.payload import quote
from bridge.core.readings.identity import parse_device_id
from bridge.core.topic import TopicPattern

TOPIC_LENGTH = 256
_ROOT = "$http/ingest"
_DEVICE = "deviceId"


def _prefix(name: FormatName) -> str:
    return f"{_ROOT}/{name}/topic/"


@dataclass(frozen=True, slots=True)
class IngestTopics:
    """The routes of posted messages. None learns the zone of a clock: posts may be of any age."""

    routes: Sequence[Route]

    @classmethod
    def of(cls, subscribed: Iterable[tuple[FormatName, Route]]) -> "IngestTopics":
        """Return the routes of all formats. A topic is read by the pattern of a subscription of its format, else by the usual
        pattern of the format; format auto takes the patterns of all.
        """
        subscribed = list(subscribed)
        return cls([route for name in FormatName for route in _routes(name, subscribed)])

    def topic(self, name: FormatName, device: str | None = None, topic: str | None = None) -> str:
        """Return the topic of a message. Raises `FormatError` if the format needs a device or topic, or cannot use it."""
        if device is not None and topic is not None:
            raise FormatError("device and topic exclude each other: the topic names the device")
        if topic is not None:
            return self._of_topic(name, topic)
        if name is FormatName.MAPPING or set(name.spec.levels) - {_DEVICE}:
            raise FormatError(f"format {name} reads the topic: add ?topic=, as in {name.spec.usual_pattern}")
        if device is None:
            if _DEVICE in name.spec.levels:
                raise FormatError(f"messages of format {name} do not name their device: add ?device=")
            return f"{_ROOT}/{name}"
        try:
            return f"{_ROOT}/{name}/device/{parse_device_id(device)}"
        except DeviceIdError as error:
            raise FormatError(f"device {quote(device)} {error}") from None

    def _of_topic(self, name: FormatName, topic: str) -> str:
        if not 0 < len(topic) <= TOPIC_LENGTH or not topic.isprintable() or "+" in topic or "#" in topic:
            raise FormatError(f"topic: allowed are 1 to {TOPIC_LENGTH} printable characters without + and #")
        posted = _prefix(name) + topic
        if not any(route.pattern.match(posted) is not None for route in self.routes):
            patterns = sorted({route.pattern.text.removeprefix(_prefix(name)) for route in self.routes if _is_of(route, name)})
            allowed = " or ".join(patterns) or "none: no subscription has this format"
            raise FormatError(f"topic {quote(topic)} is none of format {name}: {allowed}")
        return posted


def _is_of(route: Route, name: FormatName) -> bool:
    return route.topic_prefix == _prefix(name)


def _routes(name: FormatName, subscribed: Sequence[tuple[FormatName, Route]]) -> Iterator[Route]:
    for other, route in subscribed:
        if name in (other, FormatName.AUTO):
            yield _by_topic(name, route)
    if name is FormatName.MAPPING:
        return
    levels = set(name.spec.levels)
    if levels <= {_DEVICE}:
        yield _made(name, f"{_ROOT}/{name}/device/{{{_DEVICE}...}}")
    if not levels:
        yield _made(name, f"{_ROOT}/{name}")
    usual = sorted({one.spec.usual_pattern for one in FormatName}, key=_wildcards) if name is FormatName.AUTO else ()
    for text in usual or (name.spec.usual_pattern,):
        pattern = TopicPattern.parse(text)
        yield _by_topic(name, Route(pattern, format=make_format(name, pattern)))
    if name is FormatName.AUTO:
        yield _by_topic(name, Route(TopicPattern.parse("#"), format=make_format(name, TopicPattern.parse("#"))))


def _wildcards(text: str) -> tuple[int, str]:
    """Patterns with the fewest wildcards first: they say most about a topic."""
    pattern = TopicPattern.parse(text)
    return sum(level in ("+", "#") for level in pattern.levels), text


def _made(name: FormatName, text: str) -> Route:
    pattern = TopicPattern.parse(text)
    return Route(pattern, format=make_format(name, pattern), learns=False)


def _by_topic(name: FormatName, route: Route) -> Route:
    """Return the route for topics of `route` below the prefix of a format."""
    prefix = _prefix(name)
    return replace(route, pattern=TopicPattern.parse(prefix + route.pattern.text), learns=False, topic_prefix=prefix)
