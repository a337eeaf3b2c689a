"""`make bench ARGS=anomalies`: what the rules for anomalies find, miss and cost, on public data sets and in simulated rooms.

Faults are put in at seeded times. A row that misses its target is marked; the exit code is then 1.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time

import orjson
from rich.console import Console
from rich.table import Table

from bridge.analysis.anomaly.device import DeviceAnomalies
from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyEvent, AnomalyEventKind, AnomalyKind
from bridge.core.readings.reading import Reading
from tests.analysis.anomaly.series import DAY_MS, HOUR_MS, MINUTE_MS, SimulatedRooms, detected, folded, reading
from tests.analysis.anomaly.test_simulated import faulty, first_found
from tests.bench import plots
from tests.bench.datasets import AirHour, DatasetMissing, air_hours, mote_readings

MONTH_MS = 30.4 * DAY_MS
SEED = 20

_MEASURED = ("no2", "bg.no2", "air_temp", "ws")
_SERIES: Mapping[str, tuple[str, str]] = {
    "no2": ("roadside", "no2"),
    "bg.no2": ("background", "no2"),
    "third": ("third", "no2"),
    "air_temp": ("weather", "temperature"),
    "ws": ("weather", "noise"),
}
"""Columns of `aqeval` and one that is made, with the device and field for each. Wind speed may be 0, as noise may."""

_LEARN_DAYS = 30
_FREEZE_HOURS = 36
_LABEL_MARGIN_MS = MINUTE_MS
_DRIFT_DAYS = 60
_DRIFT_FOUND_DAYS = 14.1
"""A day is compared two hours after its end (UTC)."""


@dataclass(slots=True)
class Results:
    table: Table = field(default_factory=lambda: Table("data", "what", "result", "target", ""))
    missed: int = 0
    delays: dict[str, list[float]] = field(default_factory=dict)
    """Days until a drift was found, by what it was compared with; inf if it was not."""

    def add(self, data: str, what: str, result: str, target: str = "", is_met: bool = True) -> None:
        self.missed += not is_met
        self.table.add_row(data, what, result, target, "" if is_met else "missed")


def print_anomalies(console: Console) -> int:
    """Print what was found; return 1 if a target was missed."""
    results = Results()
    for part in (_aqeval, _motes, _simulated, _cost):
        try:
            part(results)
        except DatasetMissing as error:
            results.add(str(error), "skipped", "")
    console.print(results.table)
    if results.delays:
        content = plots.delays(results.delays, _DRIFT_FOUND_DAYS)
        plots.draw(console, "anomalies-drift", "NO2: halved sensitivity", content)
    return 1 if results.missed else 0


# --- aqeval ----------------------------------------------------------------------------------------------------------------


Change = Callable[[str, AirHour, float], float]
"""Of a column, its hour and value: the value that is read."""


def _unchanged(_column: str, _hour: AirHour, value: float) -> float:
    return value


def _stations(hours: Sequence[AirHour], columns: Sequence[str], change: Change = _unchanged) -> Iterator[Reading]:
    for hour in hours:
        devices: dict[str, dict[str, float | int | bool | str]] = {}
        for column in columns:
            if column in hour.values:
                device_id, name = _SERIES[column]
                devices.setdefault(device_id, {})[name] = change(
                    column, hour, max(hour.values[column], 0 if name == "no2" else -50)
                )
        for device_id, values in devices.items():
            yield reading(device_id, hour.at_ms, values)


def _aqeval(results: Results) -> None:
    hours = air_hours()
    months = (hours[-1].at_ms - hours[0].at_ms) / MONTH_MS
    data = f"aqeval, {months:.0f} months"
    found = detected(folded(_stations(hours, _MEASURED)))
    stuck = sum(kind is AnomalyKind.STUCK for kind, _ in found)
    results.add(data, "stuck, nothing wrong, four series", f"{stuck} false", "0", stuck == 0)
    others = len(found) - stuck
    results.add(data, "others, nothing wrong", f"{others / months / 3:.3f} per device-month")
    freezes = [_freeze(hours, column, start) for column in _MEASURED for start in _starts(hours, 5, column)]
    late = [one for one in freezes if one is None or one.hours > max(25, 2 * one.longest_hours + 1)]
    within = sum(one is not None and one.hours <= 25 for one in freezes)
    text = f"{len(freezes) - freezes.count(None)} of {len(freezes)}, {within} within 25 h"
    results.add(data, "injected freeze", text, "25 h, or 2 × the longest run", not late)
    _drift(results, data, "three sensors in a room", _beside(hours, 2), is_required=True)
    _drift(results, data, "two sensors in a room", _beside(hours, 1), is_required=False)
    apart = [one for one in hours if {"no2", "bg.no2"} <= one.values.keys()]
    _drift(results, data, "two stations apart", apart, is_required=False)


def _starts(hours: Sequence[AirHour], count: int, name: str) -> list[int]:
    """Seeded numbers of hours, after what the rules need to learn, at which a series has a value for some days."""
    chance = random.Random(f"{SEED}/{name}")
    usable = [
        number
        for number in range(_LEARN_DAYS * 24, len(hours) - 5 * 24)
        if all(name in hours[number + more].values for more in range(_FREEZE_HOURS + 2)) and hours[number].values[name] > 0
    ]
    return chance.sample(usable, count)


@dataclass(frozen=True, slots=True)
class _Freeze:
    """Hours from the beginning of a freeze until it was found, and the longest natural run before."""

    hours: float
    longest_hours: float


def _freeze(hours: Sequence[AirHour], column: str, start: int) -> _Freeze | None:
    """Return when a freeze was found; None if it was not, or not as `stuck`."""
    last = hours[start].values[column]
    end_ms = hours[start].at_ms + _FREEZE_HOURS * HOUR_MS

    def change(_: str, hour: AirHour, value: float) -> float:
        return last if hours[start].at_ms <= hour.at_ms < end_ms else value

    fold = AnomalyFold()
    part = hours[start - _LEARN_DAYS * 24 : start + _FREEZE_HOURS]
    for one in _stations(part, [column], change):
        for event in fold.step(one):
            if event.anomaly.kind is AnomalyKind.STUCK and event.at_ms > hours[start].at_ms:
                return _Freeze((one.timestamp_ms - hours[start].at_ms) / HOUR_MS, event.anomaly.parameters["longestHours"])
    return None


def _beside(hours: Sequence[AirHour], count: int) -> list[AirHour]:
    """The roadside station and low-cost sensors beside it: up to 20 % gain, 8 % wander from day to day, 10 % noise."""
    chance = random.Random(SEED)
    names = ("bg.no2", "third")[:count]
    gains, wander = {name: chance.uniform(0.8, 1.2) for name in names}, dict.fromkeys(names, 0.0)
    result = []
    for number, hour in enumerate(one for one in hours if "no2" in one.values):
        values = {"no2": hour.values["no2"]}
        for name in names:
            if number % 24 == 0:
                wander[name] = 0.7 * wander[name] + chance.gauss(0, 0.08 * 0.7)
            seen = hour.values["no2"] * gains[name] * (1 + wander[name]) * (1 + chance.gauss(0, 0.1))
            values[name] = max(seen, 0.0)
        result.append(AirHour(hour.at_ms, values))
    return result


def _drift(results: Results, data: str, where: str, hours: Sequence[AirHour], *, is_required: bool) -> None:
    """Whether halved sensitivity of the first station is found in five seasons, at four dates in each, after half a year."""
    columns = ("no2", "bg.no2", "third")
    devices = len(hours[0].values.keys() & set(columns))
    months = devices * (hours[-1].at_ms - hours[0].at_ms) / MONTH_MS
    rate = len(_drifts(_stations(hours, columns))) / months
    results.add(data, f"drift, nothing wrong, {where}", f"{rate:.3f} per device-month", "0.1", rate <= 0.1)
    days, named = [], 0
    for start_ms in _drift_starts(hours[0].at_ms):

        def change(column: str, hour: AirHour, value: float, start_ms: int = start_ms) -> float:
            return value / 2 if column == "no2" and hour.at_ms >= start_ms else value

        until = [one for one in hours if one.at_ms < start_ms + _DRIFT_DAYS * DAY_MS]
        found = [one for one in _drifts(_stations(until, columns, change)) if one.at_ms >= start_ms]
        days.append((found[0].at_ms - start_ms) / DAY_MS if found else math.inf)
        named += bool(found) and found[0].anomaly.device_id == "roadside"
    results.delays[where] = days
    count, within = len(days), sum(one <= _DRIFT_FOUND_DAYS for one in days)
    by_season = ", ".join(str(sum(one <= _DRIFT_FOUND_DAYS for one in days[at : at + 4])) for at in range(0, count, 4))
    text = f"{within} of {count} within 14 days (by season, of 4: {by_season}), {count - days.count(math.inf)} in all"
    text += f", {named} at the right one"
    is_met = within >= 0.8 * count and named >= 0.8 * count
    results.add(data, f"drift, sensitivity halved, {where}", text, "4 of 5" if is_required else "", is_met or not is_required)


def _drift_starts(first_ms: int) -> list[int]:
    """Four dates, eleven days apart, in each of five seasons."""
    return [first_ms + round((6 + 3.5 * season) * MONTH_MS) + 11 * date * DAY_MS for season in range(5) for date in range(4)]


def _drifts(readings: Iterator[Reading]) -> list[AnomalyEvent]:
    events = folded(readings, AnomalyFold(room_of=lambda _: "london"))
    return [one for one in events if one.anomaly.kind is AnomalyKind.DRIFT and one.kind is AnomalyEventKind.DETECTED]


# --- motes -----------------------------------------------------------------------------------------------------------------


def _motes(results: Results) -> None:
    readings = mote_readings()
    motes = {one.mote for one in readings}
    events = {mote: [one.at_ms for one in readings if one.mote == mote and one.is_event] for mote in motes}
    found, false, months, kinds = 0, 0, 0.0, []
    for mote in sorted(motes):
        own = [one for one in readings if one.mote == mote]
        months += (own[-1].at_ms - own[0].at_ms) / MONTH_MS
        fold = AnomalyFold()
        told = [
            event
            for one in own
            for event in fold.step(
                reading(f"mote{mote}", one.at_ms, {"temperature": one.temperature, "humidity": one.humidity})
            )
            if event.kind is AnomalyEventKind.DETECTED
        ]
        labelled = events[mote]
        inside = [
            one for one in told
            if labelled and labelled[0] - _LABEL_MARGIN_MS <= one.at_ms <= labelled[-1] + _LABEL_MARGIN_MS
        ]  # fmt: skip
        found += bool(inside)
        false += len(told) - len(inside)
        kinds += [f"{one.anomaly.kind.value} after {(one.at_ms - labelled[0]) / 1000:.0f} s" for one in inside]
    wanted = sum(bool(one) for one in events.values())
    data = f"labelled motes, {months:.2f} device-months"
    results.add(data, "events found", f"{found} of {wanted} ({', '.join(kinds)})", "all", found == wanted)
    results.add(data, "false", f"{false} ({false / months:.1f} per device-month)", "2 per device-month", false <= 2 * months)


# --- simulated rooms -------------------------------------------------------------------------------------------------------


def _simulated(results: Results) -> None:
    clean = SimulatedRooms(50, 30, 5 * MINUTE_MS, SEED, {})
    found = detected(folded(clean.readings(), AnomalyFold(room_of=clean.room_of)))
    results.add(
        "simulated, 50 devices, 30 days", "all kinds, nothing wrong", f"{len(found) / 50:.3f} per device-month", "0.2",
        len(found) <= 0.2 * 50,
    )  # fmt: skip
    rooms, expected = faulty(32, 34, 10 * MINUTE_MS, SEED + 1)
    first = first_found(rooms)
    for kind in dict.fromkeys(kind for kind, _ in expected.values()):
        of_kind = {device_id: fault for device_id, fault in expected.items() if fault[0] is kind}
        named = sum(first.get(device_id) == fault for device_id, fault in of_kind.items())
        is_met = named >= 0.95 * len(of_kind)
        results.add("simulated, 96 devices, 34 days", f"{kind.value}, injected", f"{named} of {len(of_kind)}", "95 %", is_met)
    accused = len(set(first) - set(expected))
    results.add("simulated, 96 devices, 34 days", "devices without a fault", f"{accused} accused", "0", accused == 0)


def _cost(results: Results) -> None:
    """The cheapest of many short runs, since other load on the machine only adds."""
    for every_ms, name in ((10_000, "10 s"), (MINUTE_MS, "60 s"), (10 * MINUTE_MS, "10 min")):
        device, runs = DeviceAnomalies("room0-0"), list[float]()
        readings = list(SimulatedRooms(1, round(8 * every_ms / MINUTE_MS) + 2, every_ms, SEED, {}).readings())
        for start in range(0, len(readings), 500):
            run = readings[start : start + 500]
            began = process_time()
            for one in run:
                device.step(one)
            runs.append((process_time() - began) / len(run) * 1e6)
        runs.sort()
        size = len(orjson.dumps(device.to_document()))
        text = f"{runs[0]:.1f} µs a reading at best, {runs[len(runs) // 2]:.1f} µs in the median; {size:,} bytes of state"
        results.add("cost, nine fields", f"one reading every {name}", text)
