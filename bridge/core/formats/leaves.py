"""The leaves of a payload: its scalars, each with its path."""

from collections.abc import Collection, Iterator

from bridge.core.formats.format import Table
from bridge.core.readings.leaf import UNKNOWN, Leaf

LEAVES_LIMIT = 1000
DEPTH_LIMIT = 16


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


def table_leaves(body: object, table: Table, path: str = "", skip: Collection[str] = ()) -> list[Leaf]:
    """Return the leaves of a JSON value: those in `table` with their field and unit, the others as not taken.

    `table` has paths below `path`. Leaves of the keys in `skip` are left out; the caller takes them.
    """
    if skip and isinstance(body, dict):
        body = {key: value for key, value in body.items() if key not in skip}
        if not body:
            return []
    offset = len(path) + 1 if path else 0
    leaves = []
    for place, value in walk(body, path):
        target = table.get(place[offset:])
        if target is None:
            leaves.append(Leaf(place, value))
        elif isinstance(target, str):
            leaves.append(Leaf(place, value, target))
        else:
            leaves.append(Leaf(place, value, target[0], target[1]))
    return leaves
