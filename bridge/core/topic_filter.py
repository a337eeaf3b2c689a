"""MQTT topic filters compared with each other: whether one covers another, whether a topic can match both, and their union."""

_SINGLE, _MULTI = "+", "#"


def covers(wide: str, narrow: str) -> bool:
    """Whether `wide` matches every topic that `narrow` matches, as far as a comparison level by level shows it.

    `a/#` also matches `a` [MQTT-4.7.1.2], and a leading wildcard no topic that begins with `$` [MQTT-4.7.2-1].
    """
    outer, inner = wide.split("/"), narrow.split("/")
    if _is_reserved(outer, inner):
        return False
    for index, level in enumerate(outer):
        if level == _MULTI:
            return True
        if index == len(inner) or inner[index] == _MULTI or level not in (_SINGLE, inner[index]):
            return False
    return len(outer) == len(inner)


def overlaps(one: str, other: str) -> bool:
    """Whether at least one topic matches both filters."""
    left, right = one.split("/"), other.split("/")
    if _is_reserved(left, right) or _is_reserved(right, left):
        return False
    for first, second in zip(left, right, strict=False):
        if _MULTI in (first, second):
            return True
        if _SINGLE not in (first, second) and first != second:
            return False
    longer = left if len(left) > len(right) else right
    difference = abs(len(left) - len(right))
    return difference == 0 or (difference == 1 and longer[-1] == _MULTI)


def union(one: str, other: str) -> str:
    """Return the narrowest filter that covers both of two filters that overlap."""
    left, right = one.split("/"), other.split("/")
    levels: list[str] = []
    for first, second in zip(left, right, strict=False):
        if _MULTI in (first, second):
            break
        levels.append(first if first == second else _SINGLE)
    return "/".join(levels if len(levels) == len(left) == len(right) else [*levels, _MULTI])


def _is_reserved(levels: list[str], others: list[str]) -> bool:
    """Whether `others` begin with `$` and a wildcard at the beginning of `levels` does not match that."""
    return levels[0] in (_SINGLE, _MULTI) and others[0].startswith("$")
