"""Simulated sensors: the air of a room over a day, with people, occasional gas events, and dropouts.

The model is deterministic: the same seed gives the same readings for the same times. CO2 approaches about 420 ppm (outdoor air)
plus 300 ppm per person with a time constant of half an hour; temperature peaks in the afternoon; a gas event decays within
minutes.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.core.errors import BrokerUnavailable
from bridge.core.readings.measurements import Value
from bridge.core.timestamp import iso
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import SENDER_WINDOW, MqttSender, mqtt_sender, raise_if_cancelled

_DAY_SECONDS = 86_400
_OUTDOOR_CO2 = 420.0
_CO2_PER_PERSON = 300.0
_AIRING_SECONDS = 1800.0
_GAS_DECAY_SECONDS = 240.0
_GAS_EVENTS_PER_DAY = 4.0
_MOVES_PER_HOUR = 3.0
_PEOPLE = 4
_DROPOUT_CHANCE = 0.002
_DROPOUT_READINGS = 20
_WAKING_HOURS = (7, 23)
_RECONNECT_SECONDS = (0.5, 10.0)

ROOMS = ("living-room", "kitchen", "bedroom", "office", "workshop", "garage", "hall", "attic")


class SimulatedSensor:
    """A board with ENS160, MQ-5/MQ-7, PM sensor, flame detector, light sensor and microphone in a room."""

    def __init__(self, device_id: str, seed: int) -> None:
        """`seed` and the id determine all readings."""
        self.device_id = device_id
        self._random = random.Random(f"{seed}/{device_id}")  # noqa: S311 - not a secret
        self._warmth = self._random.uniform(-2, 2)
        self._people = self._random.randint(0, 2)
        self._co2 = _OUTDOOR_CO2 + _CO2_PER_PERSON * self._people
        self._gas_ppm = 0.0
        self._battery = self._random.uniform(60, 100)
        self._dropped_out = 0
        self._at: float | None = None

    def reading(self, at_seconds: float) -> dict[str, Value] | None:
        """Return the reading at a time (epoch seconds, ascending between calls), or None while the sensor has dropped out."""
        elapsed = 0.0 if self._at is None else max(at_seconds - self._at, 0.0)
        self._at = at_seconds
        self._advance(at_seconds, elapsed)
        if self._dropped_out:
            self._dropped_out -= 1
            return None
        if self._random.random() < _DROPOUT_CHANCE:
            self._dropped_out = self._random.randint(1, _DROPOUT_READINGS)
        return self._measure(at_seconds)

    def _advance(self, at_seconds: float, elapsed: float) -> None:
        if self._random.random() < elapsed / 3600 * _MOVES_PER_HOUR:
            awake = _WAKING_HOURS[0] <= at_seconds % _DAY_SECONDS / 3600 < _WAKING_HOURS[1]
            self._people = self._random.randint(0, _PEOPLE if awake else 1)
        target = _OUTDOOR_CO2 + _CO2_PER_PERSON * self._people
        self._co2 += (target - self._co2) * (1 - math.exp(-elapsed / _AIRING_SECONDS))
        self._gas_ppm *= math.exp(-elapsed / _GAS_DECAY_SECONDS)
        if self._random.random() < elapsed / _DAY_SECONDS * _GAS_EVENTS_PER_DAY:
            self._gas_ppm = self._random.uniform(200, 2500)
        self._battery = max(self._battery - elapsed / _DAY_SECONDS, 5.0)

    def _measure(self, at_seconds: float) -> dict[str, Value]:
        noise = self._random.gauss
        afternoon = math.cos((at_seconds % _DAY_SECONDS / _DAY_SECONDS - 15 / 24) * 2 * math.pi)
        temperature = 21.5 + self._warmth + 2.5 * afternoon + 0.15 * self._people + noise(0, 0.05)
        eco2 = max(self._co2 + noise(0, 8), 400)
        tvoc = max(30 + (eco2 - 400) * 0.25 + self._gas_ppm * 0.8 + noise(0, 4), 0)
        daylight = max(math.cos((at_seconds % _DAY_SECONDS / _DAY_SECONDS - 13 / 24) * 2 * math.pi), 0)
        pm25 = max(6 + 3 * self._people + noise(0, 0.8), 0)
        return {
            "temperature": round(temperature, 2),
            "humidity": round(min(max(52 - 1.6 * (temperature - 21) + 1.5 * self._people + noise(0, 0.3), 5), 95), 1),
            "aqi": 1 + sum(tvoc > limit for limit in (65, 220, 660, 2200)),  # UBA classes by TVOC, ppb
            "eco2": round(eco2),
            "tvoc": round(tvoc),
            "coPpm": round(max(0.4 + self._gas_ppm * 0.01 + noise(0, 0.05), 0), 2),
            "lpgPpm": round(max(self._gas_ppm + noise(0, 1), 0), 1),
            "flameDetected": self._gas_ppm > 2400,
            "pm25": round(pm25, 1),
            "battery": round(self._battery),
            "illuminance": round(400 * daylight + 80 * min(self._people, 1)),
            "noise": round(30 + 5 * self._people + abs(noise(0, 2)), 1),
            "timestamp": iso(int(at_seconds * 1000)),
        }


def device_ids(count: int) -> list[str]:
    return [ROOMS[n % len(ROOMS)] + (f"-{n // len(ROOMS) + 1}" if n >= len(ROOMS) else "") for n in range(count)]


@dataclass(slots=True)
class _Sending:
    """What remains when the connection is lost: how many readings the sensors offered, and how many were sent."""

    sensors: list[SimulatedSensor]
    rate: float
    count: int | None
    sent: Callable[[str], None]
    says_offline: bool = True
    offered: int = 0
    done: int = 0


async def simulate(
    settings: MqttSettings,
    *,
    devices: int,
    rate: float,
    seed: int,
    count: int | None = None,
    sent: Callable[[str], None] = lambda _: None,
    lost: Callable[[str], None] | None = None,
) -> None:
    """Publish `rate` readings per second over all devices, `count` in total (None: until cancelled).

    Each device first publishes a retained status `online`, and `offline` at the end. Raises `BrokerUnavailable`; with `lost`
    only if the first connection fails. Later it calls `lost` with the reason, waits for the broker and resumes.
    """
    sensors = [SimulatedSensor(device_id, seed) for device_id in device_ids(devices)]
    await publish_sensors(settings, sensors, rate=rate, count=count, sent=sent, lost=lost)


async def publish_sensors(
    settings: MqttSettings,
    sensors: Sequence[SimulatedSensor],
    *,
    rate: float,
    count: int | None = None,
    sent: Callable[[str], None] = lambda _: None,
    lost: Callable[[str], None] | None = None,
    says_offline: bool = True,
) -> None:
    """As `simulate`, with sensors that may have measured before. Without `says_offline` they keep their status at the end."""
    sending = _Sending(list(sensors), rate, count, sent, says_offline)
    await reconnecting(lambda on_connected: _publish(settings, sending, on_connected), lost)


async def reconnecting(
    publish: Callable[[Callable[[], None]], Coroutine[Any, Any, None]], lost: Callable[[str], None] | None
) -> None:
    """Call `publish`, which calls its argument when it is connected, again after each loss of the connection."""
    connected, delay = False, _RECONNECT_SECONDS[0]

    def on_connected() -> None:
        nonlocal connected, delay
        connected, delay = True, _RECONNECT_SECONDS[0]

    while True:
        error: BaseException | None = None
        try:
            await publish(on_connected)
        except* BrokerUnavailable as group:
            error = group.exceptions[0]
        raise_if_cancelled()
        if error is None:
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if lost is None or not connected:
            raise error
        if delay == _RECONNECT_SECONDS[0]:
            lost(str(error))
        await asyncio.sleep(delay)
        delay = min(delay * 2, _RECONNECT_SECONDS[1])


async def _publish(settings: MqttSettings, sending: _Sending, on_connected: Callable[[], None]) -> None:
    async with mqtt_sender(settings) as sender:
        try:
            for sensor in sending.sensors:
                raise_if_cancelled()
                await sender.publish(f"sensors/{sensor.device_id}/status", b"online", retain=True)
            on_connected()
            async with asyncio.TaskGroup() as tasks:
                await _send(sending, sender, tasks)
        finally:
            for sensor in sending.sensors if sending.says_offline else ():
                await sender.publish(f"sensors/{sensor.device_id}/status", b"offline", retain=True)


async def _send(sending: _Sending, sender: MqttSender, tasks: asyncio.TaskGroup) -> None:
    """Publish a reading of each sensor in turn; the sender's window limits the readings in flight."""
    window = asyncio.Semaphore(SENDER_WINDOW)

    async def publish(device_id: str, payload: bytes) -> None:
        try:
            await sender.publish(f"sensors/{device_id}/data", payload)
            sending.sent(device_id)
        except BrokerUnavailable:
            sending.done -= 1
            raise
        finally:
            window.release()

    start, attempts = time.monotonic(), 0
    while sending.count is None or sending.done < sending.count:
        sensor = sending.sensors[sending.offered % len(sending.sensors)]
        sending.offered += 1
        attempts += 1
        reading = sensor.reading(time.time())
        if reading is not None:
            await window.acquire()
            tasks.create_task(publish(sensor.device_id, orjson.dumps(reading)), name="publish")
            sending.done += 1
        await asyncio.sleep(max(start + attempts / sending.rate - time.monotonic(), 0))
