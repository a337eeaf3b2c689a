"""Inputs of anomalies other than readings: marks by users, rooms of devices, and deleted devices.

Each is stored with the cursor of the reading after which it is applied, and applied once it is stored. So folding the readings
again after a restart gives the same result. A mark comes from any bridge, without a cursor; the leader adds it.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from bridge.analysis.retries import until_stored
from bridge.core.errors import TemporarilyUnavailable
from bridge.ports import AlarmInput, AlarmStore

log = logging.getLogger(__name__)

WAITING_LIMIT = 1000
"""How many marks may wait for the bridge that leads."""

_READ_LIMIT = 10_000
_ATTEMPTS = 5


class InputKind(StrEnum):
    MARK = "mark"
    ROOMS = "rooms"
    REMOVE = "remove"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_number(now_ms: int) -> int:
    """Return a number of at most 16 digits that rises with the time; two bridges seldom choose the same."""
    return now_ms * 1000 + random.randrange(1000)  # noqa: S311 - not a secret


async def ask_for_mark(store: AlarmStore, body: Mapping[str, Any], clock: Callable[[], int] = _now_ms) -> int:
    """Store a mark for the bridge that leads; return its number.

    `body` has `device`, `anomaly`, `by`, `at` (milliseconds since the epoch) and `comment`. Raises `StoreUnavailable`, and
    `TemporarilyUnavailable` if too many marks wait.
    """
    given = dict(body) | {"kind": InputKind.MARK.value}
    if len(await store.inputs(WAITING_LIMIT)) >= WAITING_LIMIT:
        raise TemporarilyUnavailable("too many marks wait: try again in a few seconds")
    for _ in range(_ATTEMPTS):
        number = new_number(clock())
        await store.add_input(AlarmInput(number, given))
        stored = {one.number: one.body for one in await store.inputs(_READ_LIMIT)}
        if stored.get(number, given) == given:  # applied already, or waiting
            return number
    raise TemporarilyUnavailable("the mark was not stored: try again in a few seconds")


def _is_valid(body: Mapping[str, Any]) -> bool:
    """Whether an input has what its kind needs."""
    texts: tuple[str, ...] = ("device",)
    numbers = [body[name] for name in ("after", "of") if name in body]
    match body.get("kind"):
        case InputKind.ROOMS:
            rooms = body.get("rooms")
            return (
                _are(int, numbers) and isinstance(rooms, dict) and _are(str, [one for one in rooms.values() if one is not None])
            )
        case InputKind.MARK:
            texts = ("device", "anomaly", "by")
            comment = body.get("comment")
            if comment is not None and not isinstance(comment, str):
                return False
        case InputKind.REMOVE:
            pass
        case _:
            return False
    return _are(int, [*numbers, body.get("at")]) and _are(str, [body.get(name) for name in texts])


def _are(kind: type, values: Iterable[object]) -> bool:
    return all(isinstance(one, kind) for one in values)


class AnomalyInputs:
    """The inputs of the bridge that leads, in the order in which they are applied."""

    def __init__(self, store: AlarmStore, clock: Callable[[], int]) -> None:
        """`clock` gives milliseconds since the epoch."""
        self._store = store
        self._clock = clock
        self._waiting: deque[AlarmInput] = deque()
        """Those of an earlier run, to be applied again."""
        self._applied: set[int] = set()
        self._answered: set[int] = set()
        self._number = 0

    @property
    def are_applied(self) -> bool:
        """Whether inputs were applied that no checkpoint contains."""
        return bool(self._applied)

    @property
    def are_waiting(self) -> bool:
        """Whether an earlier run left inputs that are to be applied again."""
        return bool(self._waiting)

    async def load(self) -> None:
        """Read what an earlier run has stored, however long it takes."""
        found = await until_stored(lambda: self._store.inputs(_READ_LIMIT), "inputs of anomalies")
        damaged = [one.number for one in found if not _is_valid(one.body)]
        if damaged:
            log.warning("anomalies: %d stored inputs are damaged and dropped", len(damaged))
            await until_stored(lambda: self._store.drop_inputs(damaged), "inputs of anomalies")
        recorded = [one for one in found if "after" in one.body and one.number not in damaged]
        self._waiting = deque(sorted(recorded, key=lambda one: (one.body["after"], one.number)))
        self._answered = {one.body["of"] for one in recorded if "of" in one.body}
        self._applied = set()
        self._number = max((one.number for one in recorded), default=0)

    def take_before(self, seq: int) -> list[AlarmInput]:
        """Return the stored inputs that are applied before the reading with this cursor."""
        taken = []
        while self._waiting and self._waiting[0].body["after"] < seq:
            taken.append(self._waiting.popleft())
            self._count_applied(taken[-1])
        return taken

    async def new_marks(self) -> list[AlarmInput]:
        """Return the marks that wait for this bridge. Raises `StoreUnavailable`."""
        found = await self._store.inputs(_READ_LIMIT)
        return [one for one in found if "after" not in one.body and one.number not in self._answered and _is_valid(one.body)]

    async def record(self, body: Mapping[str, Any], after: int, of: AlarmInput | None = None) -> AlarmInput:
        """Store an input that is applied after a reading, however long it takes. `of` is the mark that it answers."""
        self._number = max(self._number + 1, new_number(self._clock()))
        stored = dict(body) | {"after": after} | ({} if of is None else {"of": of.number})
        given = AlarmInput(self._number, stored)
        await until_stored(lambda: self._store.add_input(given), "inputs of anomalies")
        self._count_applied(given)
        return given

    def _count_applied(self, given: AlarmInput) -> None:
        self._applied.add(given.number)
        if "of" in given.body:
            self._answered.add(given.body["of"])
            self._applied.add(given.body["of"])

    async def drop_applied(self) -> None:
        """Delete the inputs that a checkpoint contains. Raises `StoreUnavailable`."""
        applied = set(self._applied)
        await self._store.drop_inputs(sorted(applied, reverse=True))
        self._applied -= applied
        self._answered -= applied
