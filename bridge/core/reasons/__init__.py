"""Keys of the reasons that people read, so that clients can say them in other languages.

A reason is an English text wherever it arises, is logged and is stored. At the border its cause is sent beside it: the key of
the template in `catalogue.py` that the text follows, and what stands in the holes. A text that follows none has no cause.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypedDict

from bridge.core.reasons.catalogue import REASONS

_TEXT_LENGTH = 1000  # longer texts have no cause
_CACHE_LIMIT = 1024
_DEPTH = 2  # a reason within a reason within a reason
_HOLE = re.compile(r"\{(\w+)\}")
_NUMBERS = frozenset({"count", "all", "limit", "bytes", "seconds", "low", "high", "shortest", "longest", "port"})
_NESTED = frozenset({"reason", "type"})
_KINDS = {"address": r"(?:mqtts?|wss?)://\S+?"} | dict.fromkeys(_NUMBERS, r"[\d.,]+?")


class ReasonCause(TypedDict):
    """`parameters` by the names of the holes. A parameter that is a reason itself is an object with `text` and its cause."""

    key: str
    parameters: dict[str, Any]


def _pattern(template: str) -> re.Pattern[str]:
    parts = _HOLE.split(template)  # text, name, text, name, …, text
    texts = [re.escape(part) for part in parts[::2]]
    holes = [f"(?P<{name}>{_KINDS.get(name, '.+?')})" for name in parts[1::2]]
    return re.compile("".join(one for pair in zip(texts, [*holes, ""], strict=True) for one in pair), re.DOTALL)


_PATTERNS = [(key, template.partition("{")[0], _pattern(template)) for key, template in REASONS.items()]


def cause_of(text: str) -> ReasonCause | None:
    """Return the cause of a reason; None for a text that follows no template."""
    return _cause(text, _DEPTH) if len(text) <= _TEXT_LENGTH else None


@lru_cache(_CACHE_LIMIT)
def _cause(text: str, depth: int) -> ReasonCause | None:
    for key, prefix, pattern in _PATTERNS:
        if text.startswith(prefix) and (found := pattern.fullmatch(text)) is not None:
            parameters = {name: _parameter(name, value, depth) for name, value in found.groupdict().items()}
            return {"key": key, "parameters": parameters}
    return None


def _parameter(name: str, value: str, depth: int) -> str | dict[str, Any]:
    cause = _cause(value, depth - 1) if name in _NESTED and depth > 0 else None
    return value if cause is None else {"text": value, **cause}


def with_cause(body: Mapping[str, Any], member: str = "reason", cause: str = "cause") -> dict[str, Any]:
    """Return the body with the cause of the text in `member`, if it has one."""
    text = body.get(member)
    found = cause_of(text) if isinstance(text, str) else None
    return dict(body) if found is None else {**body, cause: found}
