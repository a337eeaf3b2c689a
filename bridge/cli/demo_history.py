"""The history that the demo writes for its sensors into a new store, so that charts and assessments mean something at once.

The readings are those that the sensors would have sent, stored before the bridge starts: alarms take what was stored before
their first start as known, and raise nothing for it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice

import orjson

from bridge.alarms.service import MARK as ALARMS_MARK
from bridge.cluster.shared_writer import SharedWriter
from bridge.core.devices.device import Device
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.core.readings.record import parse_record
from bridge.pipeline.loop import now_us
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.tools.simulator import ROOMS, SimulatedSensor

HISTORY_SENSORS = len(ROOMS)
"""Further sensors have no history: a thousand of them would take minutes."""

MARKED = {"simulated": True}
"""`extra` of each reading, and a custom attribute of each device."""

SITE = "Demo"
_KEY = "demo.history"
_STEP_SECONDS = 60
_RECENT_STEP_SECONDS = 10
_RECENT_SECONDS = 2 * 3600
_DAY_SECONDS = 86_400
_BATCH = 1000

Progress = Callable[[int, int | None], None]
"""Called with the readings written so far and the total; dropouts of the sensors count as written."""


async def write_history(
    settings: StoreSettings, sensors: Sequence[SimulatedSensor], *, days: int, now_seconds: int, progress: Progress
) -> int:
    """Write `days` of history that ends at `now_seconds`, and register the devices. Return the number of readings stored.

    Nothing is written into a store with other readings or devices, or in which a bridge has run. A run that was interrupted is
    completed by the next one, with the same readings. The sensors continue where their history ends, also at a later start.
    Raises `StoreUnavailable`.
    """
    async with open_store(settings) as store:
        await store.prepare()
        span = await _span(store, _Span(now_seconds, days))
        if span is None or not sensors or not span.days:
            return 0
        shown, times = sensors[:HISTORY_SENSORS], _times(span)
        readings = _readings(shown, times)
        if span.is_written:
            for _ in readings:
                pass
            return 0
        stored = await _write(store, readings, len(times) * len(shown), progress)
        await store.devices.save([_device(sensor.device_id, times[0], times[-1]) for sensor in shown])
        await store.put(_KEY, replace(span, is_written=True).to_json())
        return stored


@dataclass(frozen=True, slots=True)
class _Span:
    """From `days` before `end_seconds` (epoch) until then."""

    end_seconds: int
    days: int
    is_written: bool = False

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()


async def _span(store: Store, wanted: _Span) -> _Span | None:
    """Return that of an earlier run, or else `wanted`; None if no history is to be written."""
    text = await store.get(_KEY)
    earlier = None if text is None else _Span(**orjson.loads(text))
    if earlier is not None and earlier.is_written:
        return earlier
    if await store.get(ALARMS_MARK) is not None:  # alarms would take the history for what has just been measured
        return None
    if earlier is not None:
        return earlier
    if await store.readings(ReadingsQuery(limit=1)) or await store.devices.all(1):
        return None
    await store.put(_KEY, wanted.to_json())
    return wanted


async def _write(store: Store, readings: Iterator[Reading | None], total: int, progress: Progress) -> int:
    writer, cursor = await SharedWriter.for_command(store, "demo")
    done = stored = 0
    while batch := list(islice(readings, _BATCH)):
        progress(done, total)
        measured = [reading for reading in batch if reading is not None]
        for reading in measured:
            reading.seq = cursor.next(now_us())
        stored += len((await writer.write(measured, (), ())).stored)
        done += len(batch)
    progress(done, total)
    return stored


def _times(span: _Span) -> list[int]:
    """Return the times of measurement in epoch seconds: each minute, and in the last hours as densely as short charts show."""
    recent_from = span.end_seconds - _RECENT_SECONDS
    coarse = range(span.end_seconds - span.days * _DAY_SECONDS, recent_from, _STEP_SECONDS)
    return list(chain(coarse, range(recent_from, span.end_seconds, _RECENT_STEP_SECONDS)))


def _readings(sensors: Sequence[SimulatedSensor], times: Sequence[int]) -> Iterator[Reading | None]:
    """Yield the reading of each sensor at each time; None while it has dropped out."""
    for at in times:
        for sensor in sensors:
            body = sensor.reading(at)
            yield None if body is None else parse_record({**body, "deviceId": sensor.device_id, "extra": MARKED})


def _device(device_id: str, first_seconds: int, last_seconds: int) -> Device:
    room = device_id.replace("-", " ").capitalize()
    return Device(
        device_id,
        name=room,
        site=SITE,
        room=room,
        attributes=dict(MARKED),
        created_ms=first_seconds * 1000,
        last_seen_ms=last_seconds * 1000,
    )
