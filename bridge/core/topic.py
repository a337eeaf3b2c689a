"""Topic patterns such as `sensors/{deviceId}/data`, where `{name}` captures one level and `{deviceId...}` one or more."""

import re
from dataclasses import dataclass
from hashlib import blake2b

from bridge.core.errors import PatternError

_CAPTURE = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)(\.\.\.)?\}")
_TOPIC_BYTES = 65535
_SINGLE, _MULTI = "+", "#"
_MARKS = frozenset("{}+#")
_SEVERAL = "{...}"
DEVICE_ID = "deviceId"


_UNSENDABLE = re.compile(
    "[\x01-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef]|["
    + "".join(chr(n << 16 | 0xFFFE) + chr(n << 16 | 0xFFFF) for n in range(17))
    + "]"
)
"""Characters for which brokers close the connection [MQTT-1.5.4]."""

_LEVELS = 200  # the limit of Mosquitto, which closes the connection for more
_PLAIN_LEVEL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")
_HASH_BYTES, _READABLE_LENGTH = 6, 40
_SHARED = "$share"
_SHARE = re.compile(r"\$share/[^/+#{}]+/.")


_MEET_IN_THE_EMPTY_TOPIC = {("", _MULTI), (_SINGLE,)}
"""The filters `/#` and `+`: a topic has at least one character [MQTT-4.7.3-1]."""


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """An MQTT topic filter with named levels. The plain wildcards `+` and a final `#` are allowed and capture nothing.

    MQTT has no wildcard for several levels in the middle of a topic. So a broker delivers more for `{deviceId...}` than the
    pattern matches: all topics below the level before it.
    """

    text: str
    levels: tuple[str, ...]
    names: tuple[str | None, ...]
    several: int | None = None
    """The index of the level `{deviceId...}`."""

    @classmethod
    def parse(cls, text: str) -> "TopicPattern":
        """Parse a pattern; raises `PatternError` naming the fault and its level."""
        if not text or "\0" in text or len(text.encode("utf-8", "surrogatepass")) > _TOPIC_BYTES:
            raise PatternError(f"{text[:40]!r}: a topic pattern must have 1 to {_TOPIC_BYTES} bytes and no NUL")
        if _UNSENDABLE.search(text):
            raise PatternError(f"{text[:40]!a}: a topic pattern must not have control characters, surrogates or noncharacters")
        if text.count("/") >= _LEVELS:
            raise PatternError(f"{text[:40]!a}: a topic pattern must have at most {_LEVELS} levels")
        if text.startswith(_SHARED) and not _SHARE.match(text):
            raise PatternError(f"{text[:40]!a}: a shared subscription is $share/group/topic")
        levels: list[str] = []
        names: list[str | None] = []
        parts = text.split("/")
        for number, part in enumerate(parts, start=1):
            capture = None if _MARKS.isdisjoint(part) else _CAPTURE.fullmatch(part)
            if fault := _fault(part, capture, is_last=number == len(parts)):
                raise PatternError(f"{text!r}: level {number}, {part!r}: {fault}")
            levels.append(part if capture is None else _SEVERAL if capture[2] else _SINGLE)
            names.append(capture[1] if capture else None)
        captured = [name for name in names if name]
        if len(captured) != len(set(captured)):
            raise PatternError(f"{text!r}: each {{name}} may occur only once")
        several = levels.index(_SEVERAL) if _SEVERAL in levels else None
        if several is not None and _MULTI in levels:
            raise PatternError(f"{text!r}: '#' cannot follow {{{DEVICE_ID}...}}: either could have the levels between them")
        return cls(text, tuple(levels), tuple(names), several)

    @property
    def topic_filter(self) -> str:
        """The MQTT topic filter to subscribe with: `sensors/+/data`, or `sensors/#` for `sensors/{deviceId...}/data`."""
        return "/".join(self.levels if self.several is None else (*self.levels[: self.several], _MULTI))

    def delivers(self, topic: str) -> bool:
        """Whether the broker delivers a topic for `topic_filter`. The pattern itself may not match it."""
        return self.match(topic) is not None or (
            self.several is not None and TopicPattern.parse(self.topic_filter).match(topic) is not None
        )

    @property
    def is_of_one_device(self) -> bool:
        """Whether the only wildcard is the device."""
        return [name for name in self.names if name] == [DEVICE_ID] and not {_SINGLE, _MULTI} & {
            level for level, name in zip(self.levels, self.names, strict=True) if name is None
        }

    def topic_of(self, device_id: str) -> str | None:
        """Return the topic of a device, with the other wildcards as in a filter; None if this pattern has no topic for it.

        A `{deviceId}` matches no id of several levels, and a wildcard at the beginning no topic of the broker's own (`$SYS/…`).
        """
        filled = self.filled(device_id)
        return None if filled is None or (self.several is None and "/" in device_id) else filled

    def filled(self, device_id: str) -> str | None:
        """Return the same, with an id of several levels in the place of a single one too: for topics that are only sent to."""
        if DEVICE_ID not in self.names or (self.names[0] == DEVICE_ID and device_id.startswith("$")):
            return None
        levels = zip(self.levels, self.names, strict=True)
        topic = "/".join(device_id if name == DEVICE_ID else level for level, name in levels)
        return topic if len(topic.encode()) <= _TOPIC_BYTES else None

    def overlaps(self, other: "TopicPattern") -> bool:
        """Whether at least one topic matches both patterns."""
        ours, theirs = self.steps, other.steps
        if {ours, theirs} == _MEET_IN_THE_EMPTY_TOPIC:
            return False
        return not (_is_reserved(ours, theirs) or _is_reserved(theirs, ours)) and _meet(ours, theirs)

    def covers(self, other: "TopicPattern") -> bool:
        """Whether this pattern matches every topic that the other matches, as far as a comparison by level shows it."""
        return not _is_reserved(self.steps, other.steps) and _contains(self.steps, other.steps)

    @property
    def steps(self) -> tuple[str, ...]:
        """The levels, with `+` for one and `#` for any number of them, also in the middle."""
        at = self.several
        return self.levels if at is None else (*self.levels[:at], _SINGLE, _MULTI, *self.levels[at + 1 :])

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the captured levels of a topic, or None. A leading wildcard does not match a topic that begins with `$`
        [MQTT-4.7.2-1].
        """
        parts = topic.split("/")
        if topic.startswith("$") and self.levels[0] in (_SINGLE, _MULTI, _SEVERAL):
            return None
        if self.several is not None:
            parts = _merge_levels(parts, self.several, len(self.levels))
        if self.levels[-1] == _MULTI:
            if len(parts) < len(self.levels) - 1:
                return None
        elif len(parts) != len(self.levels):
            return None
        captures: dict[str, str] = {}
        for level, name, part in zip(self.levels, self.names, parts, strict=False):
            if level == _MULTI:
                break
            if level not in (_SINGLE, _SEVERAL, part):
                return None
            if name:
                captures[name] = part
        return captures


def _fault(part: str, capture: re.Match[str] | None, *, is_last: bool) -> str | None:
    """Return what is wrong with a level of a pattern."""
    if capture is None and part not in (_SINGLE, _MULTI) and not _MARKS.isdisjoint(part):
        return "a wildcard or {name} must be the whole level"
    if part == _MULTI and not is_last:
        return "'#' must be the last level"
    if capture is not None and capture[2] and capture[1] != DEVICE_ID:
        return f"only {{{DEVICE_ID}...}} captures several levels"
    return None


def _is_reserved(steps: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether `others` begin with `$` and a wildcard at the beginning of `steps` does not match that [MQTT-4.7.2-1]."""
    return steps[0] in (_SINGLE, _MULTI) and others[0].startswith("$")


def _meet(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Whether the same levels can match both."""
    if not (ours and theirs):
        return set(ours + theirs) <= {_MULTI}
    if ours[0] == _MULTI:
        return _meet(ours[1:], theirs) or _meet(ours, theirs[1:])
    if theirs[0] == _MULTI:
        return _meet(theirs, ours)
    return (_SINGLE in (ours[0], theirs[0]) or ours[0] == theirs[0]) and _meet(ours[1:], theirs[1:])


def _contains(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Whether all levels that match `theirs` match `ours`: each wildcard of theirs needs one of ours that is as wide."""
    if ours and ours[0] == _MULTI:
        return _contains(ours[1:], theirs) or (bool(theirs) and _contains(ours, theirs[1:]))
    if not (ours and theirs):
        return not (ours or theirs)
    return theirs[0] != _MULTI and ours[0] in (_SINGLE, theirs[0]) and _contains(ours[1:], theirs[1:])


def _merge_levels(parts: list[str], at: int, count: int) -> list[str]:
    """Return `count` parts by joining those from `at` on with slashes; fewer if there are too few."""
    end = at + 1 + len(parts) - count
    return parts if end <= at else [*parts[:at], "/".join(parts[at:end]), *parts[end:]]


def topic_level(text: str) -> str:
    """Return a text as a level of `A-Z a-z 0-9 _ -`, with a hash where something was replaced: others have another level."""
    return text if _PLAIN_LEVEL.fullmatch(text) else hashed_level(text)


def hashed_level(text: str) -> str:
    """Return the same, always with a hash."""
    digest = blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()
    readable = _NOT_PLAIN.sub("-", text)[:_READABLE_LENGTH].strip("-")
    return f"{readable}-{digest}" if readable else digest
