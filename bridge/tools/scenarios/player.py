"""Publishing a scenario in real time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import mqtt_sender, raise_if_cancelled
from bridge.tools.scenarios.catalog import SCENARIOS, summary
from bridge.tools.scenarios.scenario import AlarmScenario, ScenarioReading
from bridge.tools.simulator import reconnecting


async def play(
    settings: MqttSettings,
    scenario: AlarmScenario,
    *,
    sent: Callable[[ScenarioReading], None] = lambda _: None,
    lost: Callable[[str], None] | None = None,
) -> None:
    """Publish a scenario as it happens, from now on, each reading with the time at which it was due.

    Readings that cannot be sent are kept, and sent in their order when the broker is available again. There are no statuses.
    Raises `BrokerUnavailable` as `simulate` does.
    """
    start, start_ms = time.monotonic(), time.time_ns() // 1_000_000
    waiting = deque(scenario.readings)

    async def publish(on_connected: Callable[[], None]) -> None:
        async with mqtt_sender(settings) as sender:
            on_connected()
            while waiting:
                raise_if_cancelled()
                await asyncio.sleep(max(start + waiting[0].at_seconds - time.monotonic(), 0))
                await sender.publish(waiting[0].topic, waiting[0].payload(start_ms))
                sent(waiting.popleft())

    await reconnecting(publish, lost)


async def play_by_name(settings: MqttSettings, name: str, console: Console, errors: Console) -> None:
    """Publish a scenario of the catalog and show its progress. Raises `BrokerUnavailable` if the first connection fails."""
    scenario = SCENARIOS[name]()
    devices, lasts = ", ".join(scenario.device_ids), timedelta(seconds=scenario.seconds)
    lines = [f"{name}: {summary(name)}", f"{devices} to {settings.address}, takes {lasts}; Ctrl-C stops"]
    if scenario.outage is not None:
        stop, start = (timedelta(seconds=one) for one in scenario.outage)
        lines.append(f"stop the broker after {stop}, and start it again after {start}")
    console.print("\n".join(lines), soft_wrap=True)
    columns = (TextColumn("readings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(scenario.readings))

        def lost(reason: str) -> None:
            errors.print(f"{reason}: waiting for the broker", soft_wrap=True)

        await play(settings, scenario, sent=lambda _: progress.advance(task), lost=lost)
    console.print("the devices of the scenario are silent from now on: no-data follows after a minute or more", soft_wrap=True)
