"""All anomalies of one device: a fold over its readings, in the order of their times.

`step` is called for every reading. As long as a value is within its natural extremes, does not jump and is not watched, it
costs a few comparisons and an addition. Everything that takes hours is judged when the first reading of another hour arrives.
A reading that is not newer than the last one changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

from bridge.analysis.anomaly.field_state import DAYS, FieldState
from bridge.analysis.anomaly.record import Anomaly, AnomalyEvent, AnomalyKind, check_numbers
from bridge.analysis.anomaly.rules import jumps, range_ends, stillness, unusual, warm_up
from bridge.analysis.anomaly.rules.unusual import Interval
from bridge.analysis.anomaly.standing import Standing
from bridge.analysis.anomaly.traits import TRAITS
from bridge.core.errors import RecordError
from bridge.core.readings.failure_codes import FAILED
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading

VERSION = 1

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
BLOCK_MS = 15 * DAY_MS
DAY_HOURS = 16
"""How many hours with readings a day needs to be compared with neighbours."""

_PAUSE_MS = 600_000
_PAUSE_INTERVALS = 5
_CONTINUOUS_INTERVALS = 2
_LONG_PAUSE_MS = 6 * HOUR_MS
_SMOOTHING = 0.05
_READY_READINGS, _READY_MS = 1000, 2 * HOUR_MS
_READY_FEW_READINGS, _READY_LONG_MS = 200, 3 * DAY_MS

Forecast = Callable[[str, str, int], Interval | None]
"""Of device, field and start of an hour (ms): the 99.5 % interval that was forecast for its mean; None without a forecast."""

_NOTHING: list[AnomalyEvent] = []
_PLAIN = ("seq", "first_ms", "last_ms", "readings", "interval_ms", "hour", "day", "block", "warm_until_ms", "day_due")
_WATCHED = (AnomalyKind.STUCK, AnomalyKind.CROSS, AnomalyKind.WARM_UP, AnomalyKind.STEP)


class DeviceAnomalies:
    """`hour`, `day` and `block` (of 15 days) are numbers since the epoch, -1 before the first reading; days are UTC.

    `day_due` is a day that is over and has not been compared with neighbours, -1 if there is none. `late` counts readings that
    were not newer than the last one.
    """

    def __init__(self, device_id: str, forecast: Forecast | None = None) -> None:
        self.id = device_id
        self.standing = Standing(device_id)
        self.fields: dict[str, FieldState] = {}
        self.seq = 0
        self.first_ms = self.last_ms = -1
        self.readings = 0
        self.interval_ms = 0.0
        self.hour = self.day = self.block = self.day_due = -1
        self.warm_until_ms = 0
        self.late = 0
        self._forecast = forecast
        self._hour_end_ms = 0
        self._has_jumps = False
        self._is_continuous = False
        """Whether the last reading is at most two intervals old."""

    # --- readings ----------------------------------------------------------------------------------------------------------

    def step(self, reading: Reading) -> list[AnomalyEvent]:
        """Take a stored reading into account. A time after the arrival of the reading counts as that."""
        at_ms = min(reading.timestamp_ms, reading.received_ms)
        if not self._is_next(reading, at_ms):
            self.late += 1
            return []
        self.seq = reading.seq
        if at_ms >= self._hour_end_ms:
            self._begin_hour(at_ms)
        if self.readings:
            self._measure_interval(reading, at_ms)
        self.last_ms = at_ms
        self.readings += 1
        self._fold_values(reading.values, reading.quality, at_ms)
        if self._has_jumps:
            self._judge_jumps(at_ms)
        return self.standing.take_events() if self.standing.events else []

    def _fold_values(self, values: Mapping[str, Value], quality: Mapping[str, str], at_ms: int) -> None:
        fields, number = self.fields, self.readings
        for name, value in values.items():
            state = fields.get(name)
            if state is None:
                if name in TRAITS:
                    self._add_field(name, value, at_ms, quality.get(name))
            elif state.is_watched or (quality and name in quality):
                self._judge(state, name, value, at_ms, quality.get(name))
            elif value == (last := state.value):
                state.total += last
                state.count += 1
            elif (
                state.fast_low <= value <= state.fast_high  # type: ignore[operator]
                and -state.fast_jump <= value - last <= state.fast_jump  # type: ignore[operator]
                and at_ms - state.since_ms <= state.longest_ms
            ):
                state.value = value  # type: ignore[assignment]
                state.since_ms = at_ms
                state.since_reading = number
                state.total += value  # type: ignore[operator]
                state.count += 1
            else:
                self._judge(state, name, value, at_ms, None)

    def _is_next(self, reading: Reading, at_ms: int) -> bool:
        """Whether a reading is newer than the last one. Starts again if the clock of the bridge was set back since."""
        if reading.retained or 0 < reading.seq <= self.seq:
            return False
        if at_ms <= self.last_ms and reading.seq and self.last_ms - reading.received_ms > HOUR_MS:
            self.last_ms, self.first_ms, self._hour_end_ms = at_ms - 1, min(self.first_ms, at_ms), 0
            for name, state in self.fields.items():
                state.restart(at_ms, self.readings + 1)
                self._prepare(state, name)
        return at_ms > self.last_ms

    def _measure_interval(self, reading: Reading, at_ms: int) -> None:
        elapsed_ms = at_ms - self.last_ms
        self._is_continuous = elapsed_ms <= _CONTINUOUS_INTERVALS * self.interval_ms
        if elapsed_ms > _PAUSE_MS and elapsed_ms > _PAUSE_INTERVALS * self.interval_ms:
            self._resume(reading, at_ms, elapsed_ms)
        if self.interval_ms:
            self.interval_ms += (min(elapsed_ms, _PAUSE_INTERVALS * self.interval_ms) - self.interval_ms) * _SMOOTHING
        else:
            self.interval_ms = float(elapsed_ms)

    def _add_field(self, name: str, value: object, at_ms: int, fault: str | None) -> None:
        number = _number(value, TRAITS[name].refuse)
        if number is None or fault is not None:
            return
        state = self.fields[name] = FieldState(TRAITS[name], number, at_ms, self.readings)
        if not range_ends.judge(state, name, number, at_ms, self.standing):
            state.learn_extremes(number)
        state.total, state.count = number, 1
        self._prepare(state, name)

    def _judge(self, state: FieldState, name: str, raw: object, at_ms: int, fault: str | None) -> None:
        """Judge one value with care. Flagged values count only at the end of the range; codes of failures never."""
        value = _number(raw, state.traits.refuse)
        if value is None or (fault is not None and fault.startswith(FAILED)):
            return
        is_at_end = range_ends.judge(state, name, value, at_ms, self.standing)
        if fault is None or is_at_end:
            self._take(state, name, value, at_ms, is_at_end)
        self._prepare(state, name)

    def _take(self, state: FieldState, name: str, value: float, at_ms: int, is_at_end: bool) -> None:
        is_warming = warm_up.follow(state, name, value, at_ms, self.standing)
        is_changed = value != state.value
        is_thawed = is_changed and stillness.end_run(state, name, at_ms, self.standing)
        if is_at_end and self._is_pending(state, name):
            state.jump = None
        if state.jump is not None:
            jumps.follow(state, name, value, at_ms, self.standing)
            self._has_jumps = True
        elif is_changed and not (is_thawed or is_at_end or state.traits.is_at_end(state.value)):
            self._judge_jump(state, name, value, at_ms)
        if not (is_at_end or is_warming or state.jump is not None):
            state.learn_extremes(value)
        if is_changed:
            state.value, state.since_ms, state.since_reading = value, at_ms, self.readings
        state.total += value
        state.count += 1

    def _judge_jump(self, state: FieldState, name: str, value: float, at_ms: int) -> None:
        if at_ms < self.warm_until_ms or not self._is_continuous:
            return
        if not self._is_ready(at_ms):
            state.learn_jump(value - state.value)
        elif jumps.begin(state, name, value, at_ms, self.standing):
            self._has_jumps = True

    def _is_pending(self, state: FieldState, name: str) -> bool:
        """Whether a jump is being judged by which no anomaly stands."""
        return state.jump is not None and state.jump.is_alone and self.standing.get(AnomalyKind.STEP, name) is None

    def _is_ready(self, at_ms: int) -> bool:
        """Whether enough is known of natural jumps."""
        age_ms = at_ms - self.first_ms
        return (self.readings >= _READY_READINGS and age_ms >= _READY_MS) or (
            self.readings >= _READY_FEW_READINGS and age_ms >= _READY_LONG_MS
        )

    def _judge_jumps(self, at_ms: int) -> None:
        jumps.judge_together(self.fields, at_ms, self.standing)
        self._has_jumps = any(state.jump is not None for state in self.fields.values())

    def _prepare(self, state: FieldState, name: str) -> None:
        standing = self.standing
        state.prepare(is_standing=any(standing.get(kind, name) is not None for kind in _WATCHED))

    # --- time --------------------------------------------------------------------------------------------------------------

    def _resume(self, reading: Reading, at_ms: int, elapsed_ms: int) -> None:
        """The first reading after a pause."""
        self.warm_until_ms = at_ms + warm_up.WARM_UP_MS
        for name, state in self.fields.items():
            value = _number(reading.values.get(name), state.traits.refuse)
            if value is not None and name not in reading.quality:
                warm_up.begin(state, name, value, at_ms, (self.last_ms, state.value), self.standing)
            if elapsed_ms > _LONG_PAUSE_MS:
                state.restart_run(at_ms, self.readings + 1)
            if self._is_pending(state, name):
                state.jump = None
            self._prepare(state, name)

    def _begin_hour(self, at_ms: int) -> None:
        """Judge the hour that is over, and those before it."""
        hour = at_ms // HOUR_MS
        if self.first_ms < 0:
            self.first_ms, self.block = at_ms, at_ms // BLOCK_MS
        else:
            self._end_hour(at_ms)
        if self.day >= 0 and hour // 24 != self.day:
            self._end_day()
        if is_block_over := self.block != at_ms // BLOCK_MS:
            self.block = at_ms // BLOCK_MS
            for state in self.fields.values():
                state.roll()
        self.hour, self.day = hour, hour // 24
        self._hour_end_ms = (hour + 1) * HOUR_MS
        if is_block_over or self.standing.events:
            for name, state in self.fields.items():
                self._prepare(state, name)

    def _end_hour(self, at_ms: int) -> None:
        stillness.judge_hour(self.fields, self.last_ms, self.readings, self.standing)
        jumps.judge_hour(self.fields, self.last_ms, self.standing)
        for name, state in self.fields.items():
            range_ends.judge_hour(state, name, self.last_ms, self.standing)
            warm_up.judge_hour(name, self.last_ms, self.standing)
            if state.since_ms >= self.hour * HOUR_MS:
                state.hours_changed += 1
            if state.count:
                self._end_mean(state, name, state.total / state.count, at_ms)
                state.total, state.count = 0.0, 0
            else:
                state.restart_run(at_ms, self.readings + 1)

    def _end_mean(self, state: FieldState, name: str, mean: float, at_ms: int) -> None:
        if self._forecast is not None:
            interval = self._forecast(self.id, name, self.hour * HOUR_MS)
            unusual.judge_hour(state, name, self.hour * HOUR_MS, mean, interval, at_ms, self.standing)
        if state.traits.scale is not None and not state.end_since_ms and not self._is_invalid(name):
            state.day_total += mean
            state.day_hours += 1

    def _is_invalid(self, name: str) -> bool:
        return any(self.standing.get(kind, name) is not None for kind in (AnomalyKind.STUCK, AnomalyKind.WARM_UP))

    def _end_day(self) -> None:
        for state in self.fields.values():
            if state.day_hours >= DAY_HOURS:
                state.days = [*state.days, [self.day, state.day_total / state.day_hours]][-DAYS:]
            state.day_total, state.day_hours = 0.0, 0
        self.day_due = self.day

    def daily_mean(self, name: str, day: int) -> float | None:
        """Return the mean of a day by its number, None if it is unknown or has too few hours; also of a day under way."""
        state = self.fields.get(name)
        if state is None:
            return None
        if day == self.day and state.day_hours >= DAY_HOURS:
            return state.day_total / state.day_hours
        return next((mean for number, mean in state.days if number == day), None)

    # --- marks by users ----------------------------------------------------------------------------------------------------

    def mark_wrong(self, anomaly_id: str, at_ms: int) -> list[AnomalyEvent]:
        """Raise the thresholds by which an anomaly was found, end it, and take what it showed as natural.

        Nothing changes if it is unknown or was marked before.
        """
        anomaly = self.standing.mark_wrong(anomaly_id, at_ms)
        for name in () if anomaly is None else anomaly.fields:
            if anomaly is not None and (state := self.fields.get(name)) is not None:
                _learn(state, anomaly)
                self._prepare(state, name)
        return self.standing.take_events()

    # --- as a document -----------------------------------------------------------------------------------------------------

    def to_document(self) -> dict[str, Any]:
        """Return the state as one document of JSON types; events that nobody has taken are not in it."""
        document: dict[str, Any] = {"version": VERSION, "device": self.id}
        document |= {name: getattr(self, name) for name in _PLAIN}
        document["fields"] = {name: state.to_document() for name, state in self.fields.items()}
        return document | self.standing.to_document()

    @classmethod
    def from_document(cls, document: Mapping[str, Any], forecast: Forecast | None = None) -> Self:
        """Inverse of `to_document`. Raises `RecordError` for a document of another version, or none."""
        try:
            if document["version"] != VERSION:
                raise RecordError(f"anomaly state of version {document['version']}: must be {VERSION}")
            device = cls(str(document["device"]), forecast)
            check_numbers(document[name] for name in _PLAIN)
            for name in _PLAIN:
                setattr(device, name, document[name])
            device.fields = {name: FieldState.from_document(name, one) for name, one in document["fields"].items()}
            device.standing.restore(document)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RecordError(f"anomaly state of a device: not a valid document: {error!r}") from error
        device._hour_end_ms = (device.hour + 1) * HOUR_MS if device.first_ms >= 0 else 0
        for name, state in device.fields.items():
            device._prepare(state, name)
        device._has_jumps = any(state.jump is not None for state in device.fields.values())
        return device


def _learn(state: FieldState, anomaly: Anomaly) -> None:
    """Take what an anomaly showed as natural."""
    if state.jump is not None and anomaly.kind in (AnomalyKind.STEP, AnomalyKind.CROSS):
        state.largest = max(state.largest, abs(state.jump.size))
        state.jump = None
    if anomaly.kind is AnomalyKind.SPIKE:
        state.spikes = []
    if anomaly.kind is AnomalyKind.SATURATED:
        state.end_since_ms = state.end_ms = state.end_readings = 0
    if anomaly.kind is AnomalyKind.DRIFT:
        state.sum_up = state.sum_down = 0.0
        state.pairs = {}
    if anomaly.kind is AnomalyKind.UNUSUAL:
        state.outside = 0


def _number(value: object, bounds: tuple[float, float]) -> float | None:
    """Return a value as a number within bounds; None for any other."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not bounds[0] <= value <= bounds[1]:
        return None
    return value
