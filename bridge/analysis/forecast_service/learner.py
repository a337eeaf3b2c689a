"""A device between rounds and within one: its state, its last predictions, and the hours learned since its stored state.

A state has about 900 numbers a field, and an hour brings one. So the state of a device is stored once a day, and the means of
the hours since then with its predictions, each hour: together they give the same state, to the last bit. A device for which
there is no memory is read in each round, and its state is stored each hour.
"""

import math
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bridge.analysis.forecast.calendar import LAST_HOUR
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast_service.packed_numbers import packed, unpacked
from bridge.analysis.forecast_service.predictions import Body, DevicePredictions
from bridge.core.devices.device import Device
from bridge.core.events import PredictionMade
from bridge.ports import DeviceRecord

STATE_HOURS = 24
"""At most so many hours are learned again when a state is read: a millisecond a field."""

FIELDS_LIMIT = 4000
"""Fields of devices whose states stay in memory between rounds; each takes 30 KB."""

Room = list[str | None]
"""Site and room."""


class LearnedHours:
    """The means of the hours that were learned after the stored state, whose last hour is `after`.

    Rows of numbers, NaN where a field has no mean: lists of dictionaries would take ten times the memory.
    """

    __slots__ = ("_names", "_numbers", "after")

    def __init__(self, after: int = -1) -> None:
        self.after = after
        self._names: list[str] = []
        self._numbers = array("d")

    def __len__(self) -> int:
        return len(self._numbers) // (1 + len(self._names))

    def __iter__(self) -> Iterator[tuple[int, dict[str, float]]]:
        width = 1 + len(self._names)
        for at in range(0, len(self._numbers), width):
            hour, *means = self._numbers[at : at + width]
            yield int(hour), {name: mean for name, mean in zip(self._names, means, strict=True) if not math.isnan(mean)}

    def add(self, hour: int, means: Mapping[str, float]) -> None:
        """Add an hour after the last one."""
        if new := [name for name in means if name not in self._names]:
            rows = list(self)
            self._names, self._numbers = [*self._names, *new], array("d")
            for earlier, known in rows:
                self.add(earlier, known)
        self._numbers.append(hour)
        self._numbers.extend([means.get(name, math.nan) for name in self._names])

    def to_json(self) -> Body:
        return {"after": self.after, "fields": self._names, "hours": packed(self._numbers)}

    @classmethod
    def from_json(cls, given: object) -> "LearnedHours | None":
        """Inverse of `to_json`; None if it is missing or damaged: then these hours are read from the history again."""
        try:
            after, names, text = (dict(given)[name] for name in ("after", "fields", "hours"))  # type: ignore[call-overload]
            found = cls(after)
            found._names, found._numbers = list(names), unpacked("d", text)
            whole, rest = divmod(len(found._numbers), 1 + len(names))
            hours = list(found._numbers[:: 1 + len(names)])
            is_valid = (
                not rest
                and whole <= STATE_HOURS
                and FORECAST_FIELDS.keys() >= set(names)
                and type(after) is int
                and all(after < one <= LAST_HOUR and one == int(one) for one in hours)
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return found if is_valid else None


@dataclass(frozen=True, slots=True)
class NewPredictions:
    """What is told of new predictions, and their bodies as JSON."""

    events: list[PredictionMade]
    encoded: bytes


@dataclass(slots=True)
class Learner:
    """A device in a round. `actual` are the means of the first hour of its last predictions, `fed` the hours of this round,
    `learned` those before it, `made` the predictions after it.
    """

    id: str
    device: DeviceForecasts
    predictions: DevicePredictions
    room: Room = field(default_factory=lambda: [None, None])
    learned: LearnedHours = field(default_factory=LearnedHours)
    is_changed: bool = False
    is_state_due: bool = True
    actual: Mapping[str, float] = field(default_factory=dict)
    fed: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)
    made: NewPredictions | None = None

    def restore(self, state: str) -> None:
        """Take the stored state. Raises `ForecastStateError`."""
        self.device = DeviceForecasts.from_json(state, self.device.zone)
        self.on_state_stored()

    def relearn(self, hour: int, means: Mapping[str, float]) -> None:
        """Learn an hour that is stored with the predictions."""
        if self.device.feed(hour, means):
            self.learned.add(hour, means)

    def follow(self, registered: Device, before: object) -> None:
        """Note where the device is; one that was moved from the room `before` to another one learns anew."""
        self.room = [registered.site, registered.room]
        if registered.room is None and isinstance(before, list):
            self.room = before
        elif _is_move(before, self.room):
            self.device.restart()
        if before != self.room:
            self.is_changed |= before is not None
            self.is_state_due = True

    def feed(self, hour: int, means: Mapping[str, float]) -> bool:
        """Learn an hour; False if it was learned before."""
        if not self.device.feed(hour, means):
            return False
        self.is_changed = True
        if hour == self.predictions.hour + 1:
            self.actual = means
        if len(self.fed) <= STATE_HOURS:
            self.fed.append((hour, means))
        return True

    def decide(self, *, is_cached: bool) -> None:
        """Decide whether the state is to be stored in this round; if not, the hours are stored with the predictions.

        Where it is, the hours of this round are not among them: they follow from the history, as the state does.
        """
        if not is_cached or len(self.learned) + len(self.fed) > STATE_HOURS or self._is_its_hour():
            self.is_state_due = True
        if not self.is_state_due:
            for hour, means in self.fed:
                self.learned.add(hour, means)
        self.fed.clear()

    def _is_its_hour(self) -> bool:
        """Each device has its hour of the day, so that not all states are stored in one."""
        place = zlib.crc32(self.id.encode()) % STATE_HOURS
        return any(hour % STATE_HOURS == place for hour, _ in self.fed)

    def predictions_record(self) -> DeviceRecord:
        """Return the document of the new predictions."""
        record = self.predictions.record(self.id, b"[]" if self.made is None else self.made.encoded)
        record.body["learned"] = self.learned.to_json()
        return record

    def state_record(self) -> DeviceRecord:
        return DeviceRecord(self.id, self.device.hour, {"room": self.room, "state": self.device.to_json()})

    def on_state_stored(self) -> None:
        self.is_state_due, self.learned = False, LearnedHours(self.device.hour)


class LearnerCache:
    """Learners between rounds, up to `FIELDS_LIMIT` fields. Who leaves for a round comes back at its end, or is read again."""

    def __init__(self, fields_limit: int = FIELDS_LIMIT) -> None:
        self._learners: dict[str, Learner] = {}
        self._fields_limit = fields_limit
        self._fields = 0

    def __contains__(self, device_id: str) -> bool:
        return device_id in self._learners

    def take(self, device_id: str) -> Learner | None:
        learner = self._learners.pop(device_id, None)
        if learner is not None:
            self._fields -= learner.device.fields_count
        return learner

    def has_place(self, learner: Learner) -> bool:
        return self._fields + learner.device.fields_count <= self._fields_limit

    def put(self, learner: Learner) -> None:
        """Keep a learner if there is a place for it."""
        if self.has_place(learner):
            learner.is_changed, learner.actual, learner.made = False, {}, None
            self._learners[learner.id] = learner
            self._fields += learner.device.fields_count

    def drop_silent(self, until: int) -> None:
        """Drop devices that have had nothing to learn for a day."""
        for device_id in [one.id for one in self._learners.values() if one.device.hour < until - STATE_HOURS]:
            self.take(device_id)

    def clear(self) -> None:
        self._learners.clear()
        self._fields = 0


def learned_hours(predicted: DeviceRecord | None, hour: int) -> LearnedHours:
    """Return the hours that are stored with predictions, if they follow a state that goes up to `hour`."""
    found = None if predicted is None else LearnedHours.from_json(predicted.body.get("learned"))
    return found if found is not None and found.after <= hour else LearnedHours(hour)


def _is_move(before: object, after: Room) -> bool:
    """Whether a device has another room now, or one of the same name at another site. Naming a room is no move."""
    if not isinstance(before, list) or len(before) != 2:
        return False
    (site, room), (new_site, new_room) = before, after
    is_other_site = None not in (site, new_site) and site != new_site
    return room is not None and (room != new_room or is_other_site)
