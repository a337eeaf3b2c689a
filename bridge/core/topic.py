"""Topic patterns: `sensors/{deviceId}/data`, where `{name}` stands for one level."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.core.errors import PatternError

_CAPTURE = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}")
_TOPIC_BYTES = 65535
_ONE, _REST = "+", "#"


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A topic filter whose levels can be named. MQTT's own `+` and a closing `#` are allowed and capture nothing."""

    text: str
    levels: tuple[str, ...]
    names: tuple[str | None, ...]

    @classmethod
    def parse(cls, text: str) -> TopicPattern:
        """Read a pattern; raises `PatternError` with what is wrong and where."""
        if not text or "\0" in text or len(text.encode()) > _TOPIC_BYTES:
            raise PatternError(f"{text[:40]!r}: a topic pattern has 1 to {_TOPIC_BYTES} bytes and no NUL")
        levels: list[str] = []
        names: list[str | None] = []
        parts = text.split("/")
        for position, part in enumerate(parts, start=1):
            capture = _CAPTURE.fullmatch(part)
            if capture is None and any(mark in part for mark in "{}+#") and part not in (_ONE, _REST):
                raise PatternError(f"{text!r}: level {position}, {part!r}: a wildcard or {{name}} must be the whole level")
            if part == _REST and position != len(parts):
                raise PatternError(f"{text!r}: level {position}: '#' must be the last level")
            levels.append(_ONE if capture else part)
            names.append(capture[1] if capture else None)
        given = [name for name in names if name]
        if len(given) != len(set(given)):
            raise PatternError(f"{text!r}: a name stands twice")
        return cls(text, tuple(levels), tuple(names))

    @property
    def topic_filter(self) -> str:
        """What is sent to the broker: `sensors/+/data`."""
        return "/".join(self.levels)

    def match(self, topic: str) -> dict[str, str] | None:
        """The named levels of a topic, or None. `+` and `#` do not match a first level that begins with `$` [MQTT-4.7.2-1]."""
        parts = topic.split("/")
        if topic.startswith("$") and self.levels[0] in (_ONE, _REST):
            return None
        if self.levels[-1] == _REST:
            if len(parts) < len(self.levels) - 1:
                return None
        elif len(parts) != len(self.levels):
            return None
        named: dict[str, str] = {}
        for level, name, part in zip(self.levels, self.names, parts, strict=False):
            if level == _REST:
                break
            if level not in (_ONE, part):
                return None
            if name:
                named[name] = part
        return named
