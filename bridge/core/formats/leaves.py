"""The leaves of a payload: its scalars, each with its path."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from bridge.core.formats.format import Parsed, Sample, Table
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, UNKNOWN, Leaf
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

LEAVES_LIMIT = 1000
DEPTH_LIMIT = 16
_WORD = re.compile(r"[\w-]{1,64}", re.ASCII)
_DATE_TIME = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?)[zZ]?", re.ASCII)


def walk(body: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Yield path and value of each scalar of a JSON value, in order. An empty object or list, and one deeper than
    `DEPTH_LIMIT`, counts as one scalar.
    """
    children: Iterator[tuple[str, object]] | None = None
    if depth < DEPTH_LIMIT:
        if isinstance(body, dict) and body:
            children = ((str(key), value) for key, value in body.items())
        elif isinstance(body, list) and body:
            children = ((str(index), value) for index, value in enumerate(body))
    if children is None:
        yield path, body
        return
    for key, value in children:
        yield from walk(value, f"{path}.{key}" if path else key, depth + 1)


def untaken(body: object, path: str = "", reason: str = UNKNOWN) -> list[Leaf]:
    """Return the leaves of a JSON value as not taken."""
    return [Leaf(place, value, None, None, reason) for place, value in walk(body, path)]


def table_leaves(
    body: object, table: Table, path: str = "", skip: Collection[str] = (), reasons: Mapping[str, str] | None = None
) -> list[Leaf]:
    """Return the leaves of a JSON value: those in `table` with their field and unit, the others as not taken.

    `table` has paths below `path`, and so has `reasons`, why a leaf is not taken. Leaves of the keys in `skip` are left out;
    the caller takes them.
    """
    if skip and isinstance(body, dict):
        body = {key: value for key, value in body.items() if key not in skip}
        if not body:
            return []
    reasons = reasons or {}
    offset = len(path) + 1 if path else 0
    return [
        table_leaf(place, value, table.get(place[offset:]), reasons.get(place[offset:], UNKNOWN))
        for place, value in walk(body, path)
    ]


def table_leaf(path: str, value: object, target: str | tuple[str, str] | None, reason: str = UNKNOWN) -> Leaf:
    """Return a leaf with the target of a table; None: it is not taken, for `reason`."""
    if target is None:
        return Leaf(path, value, None, None, reason)
    return Leaf(path, value, target) if isinstance(target, str) else Leaf(path, value, *target)


def item_path(path: str, index: int, key: str, name: object) -> str:
    """Return the path of an item of a list by the name at its `key`, as a mapping chooses it: `values.[type=P1]`. Its index,
    which changes when another sensor fails, is used only if the name is no plain word.
    """
    return f"{path}.[{key}={name}]" if isinstance(name, str) and _WORD.fullmatch(name) else f"{path}.{index}"


def utc_time(value: object) -> object:
    """Return a time that is documented as UTC with its zone: `2026/11/28 10:00:00` as `2026-11-28 10:00:00Z`; anything else
    unchanged.
    """
    if not isinstance(value, str) or not (found := _DATE_TIME.fullmatch(value.strip())):
        return value
    return f"{found[1]}-{found[2]}-{found[3]}Z"


def in_utc(leaves: Iterable[Leaf]) -> list[Leaf]:
    """Return the leaves, with times that are documented as UTC."""
    return [leaf._replace(value=utc_time(leaf.value)) if leaf.field == TIMESTAMP else leaf for leaf in leaves]


def measures(leaves: Iterable[Leaf]) -> bool:
    """Whether one of the leaves is taken as a measurement."""
    return any(leaf.field in MEASUREMENTS_BY_NAME for leaf in leaves)


def gather(objects: Sequence[list[Sample]]) -> Parsed:
    """Return the samples of a message of one or more objects. The time and the device id of an object are in its first sample,
    and hold for all of its samples.
    """
    if len(objects) == 1:
        return Parsed(objects[0], _take_shared(objects[0][0]))
    for samples in objects:
        shared = _take_shared(samples[0])
        for sample in samples:
            sample.leaves += shared
            sample.device_id = next((leaf.value for leaf in shared if leaf.field == DEVICE_ID), None)
    return Parsed([sample for samples in objects for sample in samples])


def _take_shared(sample: Sample) -> list[Leaf]:
    shared = [leaf for leaf in sample.leaves if leaf.field in (TIMESTAMP, DEVICE_ID)]
    sample.leaves = [leaf for leaf in sample.leaves if leaf.field not in (TIMESTAMP, DEVICE_ID)]
    return shared
