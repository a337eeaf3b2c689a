"""The decoder: turns a message from any source into readings, another `Decoded` value, or a `Rejection`. It never raises.

An invalid field is dropped alone and named in `quality`; a key that is not taken is named in `ignored`. A message is rejected
whole only if it is not of its format, is too large, has no valid device id, or has no valid measurement.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, NamedTuple

import orjson
from bson.objectid import ObjectId

from bridge.core.decoding.device_id import resolve_device_id
from bridge.core.decoding.notices import decode_command_ack, decode_event, decode_status
from bridge.core.decoding.series import SeriesAssignment, no_measurement
from bridge.core.devices.local_time import LocalTimes
from bridge.core.devices.profiles import Profiles
from bridge.core.errors import NotReading
from bridge.core.formats.flat import extract_flat
from bridge.core.formats.format import Format, Parsed
from bridge.core.formats.json import json_format
from bridge.core.formats.memory import Memory
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import SIGNS, auto_format, is_family_topic, recognized_by_signs
from bridge.core.message import Decoded, Ignored, Message, ReadingBatch, Rejection, RejectionReason, StaleRetained
from bridge.core.payload import PAYLOAD_LIMIT_BYTES, PayloadError, quote
from bridge.core.readings.extraction import POWER_ON_CELSIUS, ExtractedFields, flag_power_on
from bridge.core.readings.identity import is_device_id, message_id, record_id
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import LocalToUtc, resolve_time
from bridge.core.topic import TopicPattern

_TOPIC_LENGTH = 256  # longer topics are matched each time and not cached
_KEY_LENGTH = 64  # characters of an unknown key that are kept
_CACHE_LIMIT = 10_000  # keys, which untrusted senders choose
_TOPICS_LIMIT = 32_768  # cached topics, also of untrusted senders; to find the route of a topic costs 40 µs


class MessageKind(enum.StrEnum):
    READINGS = "readings"
    STATUS = "status"
    COMMAND_ACK = "command_ack"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Route:
    """Maps topics to the kind of their messages, and to the payload format of readings.

    `topic_prefix` precedes the topic that formats see. `zone` is that of times without one. `learns` is False where messages
    are delayed by design, as posts of old readings are: the time of receipt says nothing about the zone of a clock.
    """

    pattern: TopicPattern
    kind: MessageKind = MessageKind.READINGS
    format: Format = json_format
    zone: tzinfo | None = None
    learns: bool = True
    topic_prefix: str = ""
    ignore: tuple[TopicPattern, ...] = ()
    """Topics among those of `pattern` whose messages are not read at all."""


_IGNORING = Route(TopicPattern.parse("#"))


class _Routed(NamedTuple):
    """What a topic says about its messages.

    `device_id` is that of the topic, None if it has no valid one. `is_json` is False where the route or the topic says that an
    object is to be read by its family.
    """

    route: Route
    captures: dict[str, str]
    tally: "MessageCount"
    device_id: str | None = None
    is_json: bool = False
    is_auto: bool = False


class MessageCount:
    """How many messages a pattern has matched since it was added."""

    __slots__ = ("messages",)

    def __init__(self) -> None:
        self.messages = 0


class Decoder:
    """Decodes messages. Pure except for `new_id`, bounded caches, and the bounded memory of its formats."""

    def __init__(
        self, routes: Sequence[Route], new_id: Callable[[], ObjectId] = ObjectId, profiles: Profiles | None = None
    ) -> None:
        """`new_id` creates the `_id` of records without a deterministic one; `profiles` are what is
        known of each device.
        """
        self._routes = tuple(routes)
        self._profiles = Profiles() if profiles is None else profiles
        self._series = SeriesAssignment(self._profiles)
        self._local_times = LocalTimes(self._profiles)
        self._new_id = new_id
        self._topics: Mapping[str, Route] = {}
        self._published_units: Mapping[str, Mapping[str, str]] = {}
        self._routed: dict[str, _Routed] = {}
        self._memory = Memory()
        self.unknown_keys = UnknownKeys()
        self.counts: dict[str, MessageCount] = {}
        """By the text of the pattern. A message counts for the first route that matches its topic."""

    def set_routes(self, routes: Sequence[Route], topics: Mapping[str, Route]) -> None:
        """Replace the routes, from the next message on. `topics` are those of single topics that no pattern matches."""
        self._routes, self._topics = tuple(routes), topics
        self._routed.clear()
        known = {route.pattern.text for route in self._routes}
        self.counts = {text: count for text, count in self.counts.items() if text in known}

    def set_units(self, units: Mapping[str, Mapping[str, str]]) -> None:
        """Replace the units that devices published, by topic and path. Units that a person set win."""
        self._published_units = units

    def decode(self, message: Message) -> Decoded:
        """Decode one message. Never raises: an invalid message becomes a `Rejection`."""
        try:
            routed = self._routed.get(message.topic) or self._route(message.topic)
            routed.tally.messages += 1
            kind = routed.route.kind
            if kind is MessageKind.READINGS:
                return self._readings(message, routed)
            if kind is MessageKind.STATUS:
                return decode_status(message, routed.captures)
            if kind is MessageKind.COMMAND_ACK:
                return decode_command_ack(message, routed.captures)
            return decode_event(message, routed.captures)
        except PayloadError as error:
            return Rejection(message.id or self._new_id(), message, error.code, str(error), error.field, error.quality)
        except NotReading as error:
            return Ignored(str(error))

    def _route(self, topic: str) -> _Routed:
        found = self._find_route(topic)
        if len(topic) <= _TOPIC_LENGTH:
            if len(self._routed) >= _TOPICS_LIMIT:
                self._routed.clear()
            self._routed[topic] = found
        return found

    def _find_route(self, topic: str) -> _Routed:
        matches = ((route, captures) for route in self._routes if (captures := route.pattern.match(topic)) is not None)
        route, captures = next(matches, (self._topics.get(topic), {}))
        if route is None:
            if any(one.pattern.delivers(topic) for one in self._routes):
                raise NotReading(f"no pattern matches the topic {quote(topic)}, only the filter of one with {{deviceId...}}")
            raise PayloadError(RejectionReason.NO_ROUTE, f"no subscription matches the topic {quote(topic)}")
        is_single = route is self._topics.get(topic)  # announced topics: they may be many
        count = MessageCount() if is_single else self.counts.setdefault(route.pattern.text, MessageCount())
        if any(pattern.match(topic) is not None for pattern in route.ignore):
            return _Routed(_IGNORING, {}, count)
        device_id = captures.get("deviceId")
        is_auto = route.format is auto_format
        is_json = route.format is json_format or (
            is_auto and not is_family_topic(topic.removeprefix(route.topic_prefix), captures)
        )
        return _Routed(route, captures, count, device_id if is_device_id(device_id) else None, is_json, is_auto)

    def _readings(self, message: Message, routed: _Routed) -> Decoded:
        route, captures, _, device_id, is_json, is_auto = routed
        if route is _IGNORING:
            return Ignored("messages of its topic are ignored")
        body = _json_value(message) if is_json or is_auto else message.body
        units = self._published_units.get(message.topic) if self._published_units else None
        if is_json and units is None and type(body) is dict:
            flat = extract_flat(body)
            if flat is not None and not (
                flat.ignored and is_auto and not SIGNS.isdisjoint(body) and self._is_of_family(message, routed, body)
            ):
                stated = flat.device_id
                if device_id is None:
                    device_id, stated = resolve_device_id(captures.get("deviceId"), stated), None
                is_whole = stated is None or self._profiles.is_sole_id(device_id, stated)
                if is_whole and self._profiles.claim(device_id, flat.values):
                    return self._reading(message, route, device_id, flat)
        parsed = route.format(self._payload(message, route, captures, body))
        if units is not None:
            _set_units(parsed, units, self._profiles.units(captures.get("deviceId", "")))
        return self._decode_samples(message, route, captures, parsed)

    def _payload(self, message: Message, route: Route, captures: Mapping[str, str], body: object) -> Payload:
        payload = Payload(message.payload, message.topic.removeprefix(route.topic_prefix), captures, self._memory)
        if body is not None:
            payload.parsed = body
        return payload

    def _is_of_family(self, message: Message, routed: _Routed, body: Mapping[str, Any]) -> bool:
        """Whether `auto` recognizes the family of an object of scalars."""
        return recognized_by_signs(self._payload(message, routed.route, routed.captures, body), body) is not None

    def _decode_samples(self, message: Message, route: Route, captures: Mapping[str, str], parsed: Parsed) -> Decoded:
        """Return the reading of one sample, or the batch of several."""
        groups = self._series.assign(captures, parsed)
        batch = message.id or self._new_id() if len(groups) > 1 else None
        items: list[Reading | StaleRetained | PayloadError] = []
        for number, (where, fields) in enumerate(groups):
            seed = None if batch is None else f"{message.seed or batch}/{number}"
            try:
                part_of = None if where.id == where.device_id else where.device_id
                items.append(self._reading(message, route, where.id, fields, part_of, parsed.family, seed))
            except PayloadError as error:
                items.append(error)
        return self._combine(message, items, batch)

    def _combine(
        self, message: Message, items: Sequence[Reading | StaleRetained | PayloadError], batch: ObjectId | None
    ) -> Decoded:
        """Return one value for all samples of a message. Those that are rejected become one rejection of the message; repeated,
        it gives the other readings the ids that they have already.
        """
        readings = [item for item in items if isinstance(item, Reading)]
        errors = [item for item in items if isinstance(item, PayloadError)]
        if not errors:
            return StaleRetained() if not readings else readings[0] if len(readings) == 1 else ReadingBatch(readings)
        first = errors[0]
        if len(items) == 1:
            raise first
        reason = f"{len(errors)} of {len(items)} readings: {first}"
        rejection = Rejection(batch or self._new_id(), message, first.code, reason, first.field, first.quality)
        return ReadingBatch(readings, (rejection,)) if readings else rejection

    def _reading(
        self,
        message: Message,
        route: Route,
        device_id: str,
        fields: ExtractedFields,
        part_of: str | None = None,
        family: str = "",
        seed: str | None = None,
    ) -> Reading | StaleRetained:
        """Return the reading of one sample. `seed` identifies it among those of its message. Raises `PayloadError` if it has no
        measurement.
        """
        if fields.ignored:
            self.unknown_keys.record(device_id, fields.ignored)
        if not fields.values:
            raise no_measurement(fields)
        if fields.values.get("temperature") == POWER_ON_CELSIUS:
            flag_power_on(fields, device_id)
        to_utc = self._to_utc(message, route, part_of or device_id) if isinstance(fields.timestamp, str) else None
        time = resolve_time(fields.timestamp, message.received_ms, to_utc)
        if message.retained and time.device_ms is None:
            return StaleRetained()
        if time.issue:
            fields.quality["timestamp"] = time.issue
        return Reading(
            id=self._id(message, device_id, time.device_ms, fields.values, seed),
            device_id=device_id,
            values=fields.values,
            timestamp_ms=time.timestamp_ms,
            received_ms=message.received_ms,
            quality=fields.quality,
            device_timestamp=time.device_timestamp,
            retained=message.retained,
            extra=fields.extra,
            ignored=fields.ignored,
            family=family,
            part_of=part_of,
        )

    def _to_utc(self, message: Message, route: Route, device_id: str) -> LocalToUtc:
        """Return how a time of this message without a zone is understood."""

        def to_utc(local_ms: int) -> tuple[int, str | None]:
            learns = route.learns and not message.retained and message.id is None  # one that is retried is old
            return self._local_times.to_utc(device_id, local_ms, message.received_ms, zone=route.zone, learns=learns)

        return to_utc

    def _id(
        self, message: Message, device_id: str, device_ms: int | None, values: Mapping[str, Value], seed: str | None
    ) -> ObjectId:
        if device_ms is not None:
            return record_id(device_id, device_ms, values)
        seed = seed or message.seed
        return message_id(device_id, seed, values) if seed else message.id or self._new_id()


def _json_value(message: Message) -> object:
    """Return the JSON object or list of a message; None for any other payload."""
    if len(message.payload) > PAYLOAD_LIMIT_BYTES:
        return None
    if message.body is not None:
        return message.body
    try:
        body = orjson.loads(message.payload)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict | list) else None


def _set_units(parsed: Parsed, units: Mapping[str, str], by_person: Mapping[str, str]) -> None:
    """Give the leaves the units that their device published, except those whose unit a person set."""
    for leaves in (parsed.common, *(sample.leaves for sample in parsed.samples)):
        for index, leaf in enumerate(leaves):
            if leaf.field is not None and leaf.path in units and leaf.field not in by_person:
                leaves[index] = leaf._replace(unit=units[leaf.path], is_assumed=False)


class UnknownKeys:
    """Unknown payload keys, each counted once per device. Beyond `limit` pairs, new ones are not counted."""

    def __init__(self, limit: int = _CACHE_LIMIT) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._limit = limit

    def record(self, device_id: str, keys: Iterable[str]) -> None:
        for key in keys:
            if len(self._seen) < self._limit:
                self._seen.add((device_id, key[:_KEY_LENGTH]))

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((device_id, quote(key)) for device_id, key in self._seen)
