"""Topic patterns such as `sensors/{deviceId}/data`, where `{name}` captures one level."""

import re
from dataclasses import dataclass

from bridge.core.errors import PatternError

_CAPTURE = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}")
_TOPIC_BYTES = 65535
_SINGLE, _MULTI = "+", "#"


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """An MQTT topic filter with named levels. The plain wildcards `+` and a final `#` are allowed and capture nothing."""

    text: str
    levels: tuple[str, ...]
    names: tuple[str | None, ...]

    @classmethod
    def parse(cls, text: str) -> "TopicPattern":
        """Parse a pattern; raises `PatternError` naming the fault and its level."""
        if not text or "\0" in text or len(text.encode()) > _TOPIC_BYTES:
            raise PatternError(f"{text[:40]!r}: a topic pattern must have 1 to {_TOPIC_BYTES} bytes and no NUL")
        levels: list[str] = []
        names: list[str | None] = []
        parts = text.split("/")
        for number, part in enumerate(parts, start=1):
            capture = _CAPTURE.fullmatch(part)
            if capture is None and any(mark in part for mark in "{}+#") and part not in (_SINGLE, _MULTI):
                raise PatternError(f"{text!r}: level {number}, {part!r}: a wildcard or {{name}} must be the whole level")
            if part == _MULTI and number != len(parts):
                raise PatternError(f"{text!r}: level {number}: '#' must be the last level")
            levels.append(_SINGLE if capture else part)
            names.append(capture[1] if capture else None)
        captured = [name for name in names if name]
        if len(captured) != len(set(captured)):
            raise PatternError(f"{text!r}: each {{name}} may occur only once")
        return cls(text, tuple(levels), tuple(names))

    @property
    def topic_filter(self) -> str:
        """The MQTT topic filter to subscribe with: `sensors/+/data`."""
        return "/".join(self.levels)

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the captured levels of a topic, or None. A leading wildcard does not match a topic that begins with `$`
        [MQTT-4.7.2-1].
        """
        parts = topic.split("/")
        if topic.startswith("$") and self.levels[0] in (_SINGLE, _MULTI):
            return None
        if self.levels[-1] == _MULTI:
            if len(parts) < len(self.levels) - 1:
                return None
        elif len(parts) != len(self.levels):
            return None
        captures: dict[str, str] = {}
        for level, name, part in zip(self.levels, self.names, parts, strict=False):
            if level == _MULTI:
                break
            if level not in (_SINGLE, part):
                return None
            if name:
                captures[name] = part
        return captures
