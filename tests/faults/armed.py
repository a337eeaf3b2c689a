"""The unmodified bridge with injected faults, for `python -m`: it kills itself at a chosen point, or its clock is shifted.

`BRIDGE_TRAP=after-store:N` kills it between the N-th write and its acknowledgement, `after-ack:N` between the acknowledgement
and the publishing of the N-th batch, `after-transition:N` after the N-th write of changes of alarms or anomalies,
`after-advice:N` after the N-th write of advice: the odd ones precede its command, the even ones follow it, `after-prediction:N`
after the N-th write of predictions or states of forecasts, before they are published. `BRIDGE_CLOCK=FILE`
adds the seconds in FILE to the clock. With `BRIDGE_FORECAST_CLOCK=FILE` forecasts go by the milliseconds in FILE alone, and
anomalies without forecasts. With `BRIDGE_OBJECTS=FILE` each SIGUSR1 appends to FILE which objects there are.
`BRIDGE_RETENTION_SECONDS=N` is the interval of retention, `BRIDGE_ANOMALY_SAVE_SECONDS=N` that of the checkpoints of anomalies.
With `BRIDGE_FLOOD_GAP_SECONDS=N` messages about alarms follow each other after so long in a flood, and name up to a thousand
alarms, to be counted.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bridge.analysis import forecast_service
from bridge.analysis.advice.record import Advice
from bridge.analysis.advice.service import AdviceService
from bridge.analysis.anomaly_service import AnomalyService, Pace
from bridge.analysis.forecast_service import ForecastService
from bridge.cli.main import main
from bridge.core.events import Event
from bridge.maintenance.retention_job import RetentionJob
from bridge.notify import merging, planning, sender
from bridge.pipeline.loop import Pipeline
from bridge.realtime.hub.hub import Hub
from bridge.stores.documents import DocumentAlarmStore


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def set_trap(point: str, countdown: int) -> None:
    calls = 0

    def due() -> bool:
        nonlocal calls
        calls += 1
        return calls == countdown

    if point == "after-store":
        store = Pipeline._store_batch

        async def store_then_die(self: Pipeline, *arguments: Any) -> Any:
            outcomes = await store(self, *arguments)
            if due():
                die()
            return outcomes

        Pipeline._store_batch = store_then_die  # type: ignore[method-assign, assignment]
    elif point == "after-transition":
        _trap_alarms(due)
    elif point == "after-advice":
        _trap_advice(due)
    elif point == "after-prediction":
        _trap_predictions(due)
    else:
        publish = Hub.publish

        def die_then_publish(self: Hub, events: Sequence[Event]) -> None:
            if due():
                die()
            publish(self, events)

        Hub.publish = die_then_publish  # type: ignore[method-assign]


def _trap_alarms(due: Callable[[], bool]) -> None:
    written = DocumentAlarmStore.write

    async def write_then_die(self: DocumentAlarmStore, transitions: Sequence[Any], alarms: Sequence[Any]) -> None:
        await written(self, transitions, alarms)
        if transitions and due():
            die()

    DocumentAlarmStore.write = write_then_die  # type: ignore[method-assign]


def _trap_advice(due: Callable[[], bool]) -> None:
    saved = AdviceService._save

    async def save_then_die(self: AdviceService, advice: Advice, *, is_open: bool) -> None:
        await saved(self, advice, is_open=is_open)
        if due():
            die()

    AdviceService._save = save_then_die  # type: ignore[method-assign]


def _trap_predictions(due: Callable[[], bool]) -> None:
    tell = ForecastService._tell

    async def die_then_tell(self: ForecastService, *arguments: Any) -> None:
        if due():
            die()
        await tell(self, *arguments)

    ForecastService._tell = die_then_tell  # type: ignore[method-assign, assignment]


def set_forecast_clock(file: Path) -> None:
    ForecastService.__init__.__kwdefaults__["clock"] = lambda: int(file.read_text())  # type: ignore[index]
    ForecastService.interval = lambda *_: None  # type: ignore[method-assign]
    forecast_service.TICK_SECONDS = 0.1


def set_clock(file: Path) -> None:
    real = time.time_ns

    def shifted() -> int:
        return real() + int(float(file.read_text() or 0) * 1e9)

    time.time_ns = shifted
    time.time = lambda: shifted() / 1e9


def count_objects(file: Path) -> None:
    """Append the number of allocated blocks, and the number of objects of each common type with the size of their own."""

    def count(*_: object) -> None:
        objects = gc.get_objects()
        numbers = Counter(type(each).__name__ for each in objects)
        largest = sorted((each for each in objects if hasattr(each, "__len__")), key=sys.getsizeof, reverse=True)[:20]
        with file.open("a") as out:
            print(f"{sys.getallocatedblocks():,} blocks", *(f"{name} {n:,}" for name, n in numbers.most_common(40)), file=out)
            print(*(f"  {type(each).__name__} of {len(each):,} in {sys.getsizeof(each):,} bytes" for each in largest), file=out)

    signal.signal(signal.SIGUSR1, count)


if __name__ == "__main__":
    if trap := os.environ.get("BRIDGE_TRAP"):
        set_trap(trap.partition(":")[0], int(trap.partition(":")[2]))
    if clock := os.environ.get("BRIDGE_CLOCK"):
        set_clock(Path(clock))
    if clock := os.environ.get("BRIDGE_FORECAST_CLOCK"):
        set_forecast_clock(Path(clock))
    if interval := os.environ.get("BRIDGE_RETENTION_SECONDS"):
        RetentionJob.__init__.__defaults__ = (float(interval),)
    if gap := os.environ.get("BRIDGE_FLOOD_GAP_SECONDS"):
        sender.FLOOD_GAP_MS = dict.fromkeys((True, False), int(1000 * float(gap)))
        merging.ALARMS_LIMIT = planning.ALARMS_LIMIT = 1000  # type: ignore[attr-defined]
    if seconds := os.environ.get("BRIDGE_ANOMALY_SAVE_SECONDS"):
        AnomalyService.__init__.__kwdefaults__["pace"] = Pace(save_seconds=float(seconds))  # type: ignore[index]
    if objects := os.environ.get("BRIDGE_OBJECTS"):
        count_objects(Path(objects))
    main()
