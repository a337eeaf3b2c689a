"""Devices whose sensors fail in many ways within simulated days, and what an undisturbed fold finds in their readings."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bson.objectid import ObjectId

from bridge.analysis.anomaly.changes import AnomalyChange, change_of
from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from tests.analysis.anomaly.series import daily, reading

START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
DEVICES = 6
EVERY_MS = 600_000
A_DAY = 144
"""Readings of a device."""


def name_of(device: int) -> str:
    return f"d{device:02}"


def room_of(device_id: str) -> str | None:
    """Two of three devices share a room, the first has none, and nor have other devices."""
    if not device_id[1:].isdigit():
        return None
    number = int(device_id[1:])
    return f"site\nroom{number // 3}" if number % 3 else None


def values_of(device: int, number: int) -> dict[str, Value]:
    """The values of a reading of a device, by its number. Of three one fails in many ways, and one drifts."""
    chance = random.Random(f"{device}/{number}")
    common = random.Random(f"room {device // 3}/{number // 6}").gauss(0, 30)
    cycle = daily(number % A_DAY * 24 / A_DAY)
    temperature, humidity = 20 + cycle + chance.gauss(0, 0.05), 45 - 3 * cycle + chance.gauss(0, 0.3)
    co2 = 1300 + 100 * cycle + common + chance.gauss(0, 8)
    if device % 3 == 1 and number > 25 * A_DAY:
        co2 *= max(1 - 0.12 * (number / A_DAY - 25), 0.4)  # its sensitivity falls
    phase = (number + 17 * device) % 97 if device % 3 == 0 else 99
    if phase < 7:
        co2 = 5000
    if number > 1100:
        temperature += 6 * (10 <= phase < 20) + 4 * (phase in (30, 33, 36, 39, 42)) + 2.5 * (60 <= phase < 66)
        humidity += 9 * (60 <= phase < 66)
    pm25 = 7.5 if 400 <= number % 900 < 600 else round(8 + abs(chance.gauss(0, 1)), 1)
    return {"temperature": round(temperature, 2), "humidity": round(humidity, 1), "co2": round(co2), "pm25": pm25}


def readings(devices: int, numbers: Iterable[int], first_seq: int = 1) -> Iterator[Reading]:
    seq = first_seq
    for number in numbers:
        for device in range(devices):
            at_ms = START_MS + number * EVERY_MS + device * 1000
            one = reading(name_of(device), at_ms, values_of(device, number), seq)
            one.id = ObjectId(f"{seq:024x}")
            yield one
            seq += 1


@dataclass
class Expected:
    """What a fold finds that nobody interrupts."""

    fold: AnomalyFold = field(default_factory=lambda: AnomalyFold(room_of=room_of))
    changes: dict[str, AnomalyChange] = field(default_factory=dict)

    def add(self, stored: Iterable[Reading]) -> None:
        for one in stored:
            self.changes |= {change.id: change for change in map(change_of, self.fold.step(one))}
