"""Readings for the tests of anomalies: single series, simulated rooms, and faults that are put into them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from bson.objectid import ObjectId

from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyEvent, AnomalyEventKind, AnomalyKind
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.tools.simulator import SimulatedSensor

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_ID = ObjectId("65a000000000000000000000")


def reading(device_id: str, at_ms: int, values: Mapping[str, Value], seq: int = 0) -> Reading:
    """A reading as the decoder makes it: values outside the usual range are flagged."""
    accepted: dict[str, Value] = {}
    quality: dict[str, str] = {}
    for name, raw in values.items():
        value, fault = MEASUREMENTS_BY_NAME[name].accept(raw)
        if value is not None:
            accepted[name] = value
        if fault is not None:
            quality[name] = fault
    return Reading(_ID, device_id, accepted, at_ms, at_ms, quality, seq=seq)


def series(
    values: Iterable[Mapping[str, Value]], every_ms: int = MINUTE_MS, *, device_id: str = "kitchen", start_ms: int = START_MS
) -> Iterator[Reading]:
    for number, one in enumerate(values):
        yield reading(device_id, start_ms + number * every_ms, one, number + 1)


def folded(readings: Iterable[Reading], fold: AnomalyFold | None = None) -> list[AnomalyEvent]:
    fold = fold or AnomalyFold()
    return [event for one in readings for event in fold.step(one)]


def detected(events: Iterable[AnomalyEvent]) -> list[tuple[AnomalyKind, tuple[str, ...]]]:
    return [(one.anomaly.kind, one.anomaly.fields) for one in events if one.kind is AnomalyEventKind.DETECTED]


def noisy(level: float, noise: float, seed: int = 1, digits: int = 2) -> Callable[[], float]:
    chance = random.Random(seed)
    return lambda: round(level + chance.gauss(0, noise), digits)


# --- simulated rooms -------------------------------------------------------------------------------------------------------

Fault = Callable[[int, dict[str, Value]], None]
"""Changes the values of a device, given milliseconds since the start."""


class SimulatedDevice:
    """One of several devices in a simulated room: it sees the air of the room by sensors with their own gain and noise."""

    def __init__(self, device_id: str, seed: int) -> None:
        self.id = device_id
        self._chance = random.Random(f"{seed}/{device_id}")
        self._offset = self._chance.uniform(-0.5, 0.5)
        self._gain = self._chance.uniform(0.85, 1.15)

    def values(self, air: Mapping[str, Value]) -> dict[str, Value]:
        gauss, gain = self._chance.gauss, self._gain
        temperature, humidity = float(air["temperature"]), float(air["humidity"])
        co2, pm25 = float(air["eco2"]), float(air["pm25"])
        return {
            "temperature": round(temperature + self._offset + gauss(0, 0.05), 2),
            "humidity": round(humidity - 2 * self._offset + gauss(0, 0.3), 1),
            "co2": round(co2 * gain + gauss(0, 8)),
            "tvoc": round(max(float(air["tvoc"]) * gain + gauss(0, 5), 0)),
            "coPpm": round(max(float(air["coPpm"]) * gain, 0), 2),
            "pm25": round(max(pm25 * gain + gauss(0, 0.5), 0), 1),
            "battery": air["battery"],
            "illuminance": air["illuminance"],
            "noise": round(float(air["noise"]) + abs(gauss(0, 1)), 1),
        }


@dataclass(slots=True)
class SimulatedRooms:
    """`devices` in rooms of three, which send every `every_ms`. `faults` change the values of devices by their ids."""

    devices: int
    days: int
    every_ms: int
    seed: int
    faults: Mapping[str, Fault]

    def room_of(self, device_id: str) -> str:
        return device_id.rpartition("-")[0]

    def readings(self) -> Iterator[Reading]:
        ids = [f"room{number // 3}-{number % 3}" for number in range(self.devices)]
        devices = [SimulatedDevice(one, self.seed) for one in ids]
        rooms = {room: SimulatedSensor(room, self.seed) for room in dict.fromkeys(map(self.room_of, ids))}
        seq = 0
        for elapsed_ms in range(0, self.days * DAY_MS, self.every_ms):
            air = {room: sensor.reading((START_MS + elapsed_ms) / 1000) for room, sensor in rooms.items()}
            for device in devices:
                seen = air[self.room_of(device.id)]
                if seen is None:
                    continue
                values = device.values(seen)
                if device.id in self.faults:
                    self.faults[device.id](elapsed_ms, values)
                seq += 1
                yield reading(device.id, START_MS + elapsed_ms, values, seq)


def stuck(field: str, from_ms: int, to_ms: int) -> Fault:
    last: list[Value] = []

    def change(elapsed_ms: int, values: dict[str, Value]) -> None:
        if from_ms <= elapsed_ms < to_ms:
            last.append(values[field])
            values[field] = last[0]

    return change


def saturated(field: str, value: float, from_ms: int, to_ms: int) -> Fault:
    def change(elapsed_ms: int, values: dict[str, Value]) -> None:
        if from_ms <= elapsed_ms < to_ms:
            values[field] = value

    return change


def step(field: str, size: float, from_ms: int) -> Fault:
    def change(elapsed_ms: int, values: dict[str, Value]) -> None:
        if elapsed_ms >= from_ms:
            values[field] = round(float(values[field]) + size, 2)

    return change


def drift(field: str, per_day: float, from_ms: int, least: float = 0.3) -> Fault:
    """The sensitivity falls by a share of its first value each day, down to `least` of it."""

    def change(elapsed_ms: int, values: dict[str, Value]) -> None:
        if elapsed_ms >= from_ms:
            gain = max(1 - per_day * (elapsed_ms - from_ms) / DAY_MS, least)
            values[field] = round(float(values[field]) * gain, 1)

    return change


def daily(hour: float) -> float:
    """A daily cycle between -1 and 1."""
    return math.cos((hour - 15) / 24 * 2 * math.pi)
