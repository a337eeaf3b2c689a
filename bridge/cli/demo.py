"""Run a broker, the bridge with a SQLite store, and simulated sensors in one process."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bridge.app import Bridge
from bridge.cli.demo_history import write_history
from bridge.cli.render import progress_bar
from bridge.cli.runner import errors
from bridge.core.errors import StoreError
from bridge.settings import Settings
from bridge.settings.section import in_url
from bridge.tools.local_broker import embedded_broker
from bridge.tools.simulator import SimulatedSensor, device_ids, publish_sensors

_READINGS_PER_SENSOR_PER_SECOND = 0.5
_SEED = 1


async def run_demo(
    settings: Settings, *, data: Path, count: int, history_days: int, stop: asyncio.Event, print_line: Callable[[str], None]
) -> None:
    """Run with `count` sensors until `stop` is set. Raises `PortUnavailable`."""

    def say(text: str) -> None:
        with suppress(OSError):  # the terminal may be closed
            print_line(text)

    async with embedded_broker(settings.mqtt.host, settings.mqtt.port, data, say) as (broker, protocol):
        settings = settings.model_copy(update={"mqtt": settings.mqtt.model_copy(update={"protocol": protocol})})
        sensors = [SimulatedSensor(device_id, _SEED) for device_id in device_ids(count)]
        await _write_history(settings, sensors, history_days, say)
        if stop.is_set():
            return
        bridge = Bridge(settings)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bridge.run(), name="bridge")
            await _wait_for_any(tasks, bridge.listening, stop)
            say(_summary(settings, bridge.port, broker, count))
            if sensors:
                simulator = tasks.create_task(
                    publish_sensors(
                        settings.mqtt,
                        sensors,
                        rate=_READINGS_PER_SENSOR_PER_SECOND * count,
                        lost=lambda reason: say(f"sensors: {reason}"),
                        says_offline=False,  # or the next start would show alarms: the sensors have fallen silent
                    ),
                    name="simulator",
                )
            await stop.wait()
            say("stopping …")
            if sensors:
                simulator.cancel()
                await asyncio.wait((simulator,))
            bridge.stop()
            await running


async def _write_history(settings: Settings, sensors: Sequence[SimulatedSensor], days: int, say: Callable[[str], None]) -> None:
    """Write the sensors' history into a new store. The demo runs without it if the store is unavailable."""
    try:
        with progress_bar(errors, "writing a history") as progress:
            stored = await write_history(settings.store, sensors, days=days, now_seconds=int(time.time()), progress=progress)
    except StoreError as error:
        say(f"history: not written: {error}")
    else:
        if stored:
            span = "day" if days == 1 else f"{days} days"
            say(f"history: {stored:,} simulated readings of the last {span} written; --history-days 0 writes none")


async def _wait_for_any(tasks: asyncio.TaskGroup, *events: asyncio.Event) -> None:
    waits = [tasks.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _origins(settings: Settings) -> str:
    """The pages that may read from the bridge, and how to allow others."""
    listed = ", ".join(settings.http.cors_origins)
    others = f"{listed} may do everything; others" if listed else "others"
    may_read = "only its own" if settings.access.required else "pages on localhost and pages opened from a file may read"
    return f"{may_read}; {others}: BRIDGE_HTTP__CORS_ORIGINS=https://example.org"


def _summary(settings: Settings, port: int, broker: str, sensors: int) -> str:
    host = "localhost" if settings.http.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else in_url(settings.http.host)
    return "\n".join(
        [
            "",
            f"  page       http://{host}:{port}",
            f"  status     http://{host}:{port}/websocket/status",
            f"  origins    {_origins(settings)}",
            f"  broker     {settings.mqtt.address}  ({broker})",
            f"  readings   {settings.store.address}",
            f"  sensors    {sensors} simulated; publish your own to sensors/<device>/data, for example",
            f"             mosquitto_pub -p {settings.mqtt.port} -q 1 -t sensors/mine/data -m '{{\"temperature\": 21.5}}'",
            "",
            "  Press Ctrl-C to stop everything.",
            "",
        ]
    )
