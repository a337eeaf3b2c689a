"""One pattern for the topics of several devices: the level that differs among them is the device.

The pattern of a single topic is a guess, as in `formats/suggest.py`: the last level that is not generic. Several topics show
it: `home/kitchen/air` and `home/bedroom/air` differ in one level. Where they differ in several, all levels from the first to
the last of these are the device, so that two devices never become one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from bridge.core.formats.suggest import is_generic_level
from bridge.core.topic import DEVICE_ID, TopicPattern

_DEVICE, _SEVERAL = f"{{{DEVICE_ID}}}", f"{{{DEVICE_ID}...}}"
_FREE = "*"


def shared_patterns(suggested: Mapping[str, str], taken_ids: Collection[str] = ()) -> dict[str, str]:
    """Return the pattern of each topic, for topics of one format with the pattern suggested for each alone.

    `taken_ids` are devices of other topics: no pattern gives one of their ids to another device.
    """
    patterns = _by_shape(suggested, suggested, root_is_free=False)
    clashing = _clashing(patterns)
    if clashing:
        patterns |= _by_shape({topic: suggested[topic] for topic in clashing}, suggested, root_is_free=True)
    for topic in (*_clashing(patterns), *(topic for topic, text in patterns.items() if _device_of(text, topic) in taken_ids)):
        patterns[topic] = _whole(topic, suggested[topic])
    return _widened(patterns)


def _by_shape(topics: Iterable[str], suggested: Mapping[str, str], *, root_is_free: bool) -> dict[str, str]:
    shapes: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for topic in topics:
        shapes[_shape(topic, suggested[topic], root_is_free=root_is_free)].append(topic.split("/"))
    return {topic: pattern for shape, rows in shapes.items() for topic, pattern in _of_shape(shape, rows, suggested).items()}


def _shape(topic: str, suggested: str, *, root_is_free: bool) -> tuple[str, ...]:
    """Return the levels of a topic with `*` for each that may be the device, and the other names of its pattern."""
    return tuple(
        f"{{{name}}}"
        if name not in (None, DEVICE_ID)
        else level
        if (index == 0 and not root_is_free) or (is_generic_level(level) and name is None)
        else _FREE
        for index, (level, name) in enumerate(zip(topic.split("/"), _names(suggested, topic), strict=True))
    )


def _names(pattern: str, topic: str) -> Sequence[str | None]:
    names = TopicPattern.parse(pattern).names
    count = topic.count("/") + 1
    return names if len(names) == count else [None] * count


def _of_shape(shape: tuple[str, ...], rows: list[list[str]], suggested: Mapping[str, str]) -> dict[str, str]:
    varying = [index for index, level in enumerate(shape) if level == _FREE and len({row[index] for row in rows}) > 1]
    if not varying:
        return {"/".join(row): suggested["/".join(row)] for row in rows}
    first, last = varying[0], varying[-1]
    device = _DEVICE if first == last else _SEVERAL
    levels = [rows[0][index] if level == _FREE else level for index, level in enumerate(shape)]
    pattern = "/".join([*levels[:first], device, *levels[last + 1 :]])
    return {"/".join(row): pattern for row in rows}


def _device_of(pattern: str, topic: str) -> str | None:
    return (TopicPattern.parse(pattern).match(topic) or {}).get(DEVICE_ID)


def _clashing(patterns: Mapping[str, str]) -> list[str]:
    """Return the topics of different patterns that give the same device id."""
    by_device: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for topic, pattern in patterns.items():
        device = _device_of(pattern, topic)
        if device is not None:
            by_device[device][pattern].append(topic)
    return [topic for of in by_device.values() if len(of) > 1 for topics in of.values() for topic in topics]


def _whole(topic: str, suggested: str) -> str:
    """Return the pattern that takes as many levels as it can for the device."""
    shape = _shape(topic, suggested, root_is_free=False)
    free = [index for index, level in enumerate(shape) if level == _FREE]
    if not free:
        return suggested
    levels = topic.split("/")
    between = [level if name == level else name for level, name in zip(levels, shape, strict=True)]
    pattern = "/".join([*between[: free[0]], _SEVERAL, *between[free[-1] + 1 :]])
    return pattern if _FREE not in pattern.split("/") else suggested


def _widened(patterns: Mapping[str, str]) -> dict[str, str]:
    """Replace `base/{deviceId}` by `base/{deviceId...}` where both are wanted."""
    wide = {text.replace(_SEVERAL, _DEVICE): text for text in patterns.values() if _SEVERAL in text}
    return {topic: wide.get(text, text) for topic, text in patterns.items()}
