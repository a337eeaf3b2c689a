"""Everything in one process: a broker, the bridge with its SQLite store, and simulated sensors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from bridge.app import Bridge
from bridge.settings import Settings
from bridge.tools.local_broker import embedded_broker
from bridge.tools.simulator import simulate

_READINGS_PER_SENSOR = 0.5  # a second


async def run_demo(settings: Settings, *, data: Path, sensors: int, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Until `stop` is set. Raises `PortTaken`."""
    async with embedded_broker(settings.mqtt.host, settings.mqtt.port, data) as (broker, protocol):
        settings = settings.model_copy(update={"mqtt": settings.mqtt.model_copy(update={"protocol": protocol})})
        bridge = Bridge(settings)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bridge.run(), name="bridge")
            await _first(tasks, bridge.listening, stop)
            say(_summary(settings, bridge.port, broker, sensors))
            rate = _READINGS_PER_SENSOR * sensors
            if sensors:
                sending = tasks.create_task(simulate(settings.mqtt, devices=sensors, rate=rate, seed=1), name="simulator")
            await stop.wait()
            say("stopping …")
            if sensors:
                sending.cancel()
                await asyncio.wait((sending,))
            bridge.stop()
            await running


async def _first(tasks: asyncio.TaskGroup, *events: asyncio.Event) -> None:
    waits = [tasks.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _summary(settings: Settings, port: int, broker: str, sensors: int) -> str:
    host = "localhost" if settings.http.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else settings.http.host
    return "\n".join(
        [
            "",
            f"  page       http://{host}:{port}",
            f"  status     http://{host}:{port}/websocket/status",
            f"  broker     {settings.mqtt.address}  ({broker})",
            f"  readings   {settings.store.address}",
            f"  sensors    {sensors} simulated; add yours on sensors/<device>/data, say",
            f"             mosquitto_pub -p {settings.mqtt.port} -q 1 -t sensors/mine/data -m '{{\"temperature\": 21.5}}'",
            "",
            "  Ctrl-C stops all of it.",
            "",
        ]
    )
