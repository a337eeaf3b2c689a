"""A broker outage with a real broker and a real bridge raises the alarm of the broker, and no other."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from bridge.core.errors import BrokerUnavailable
from bridge.settings import MqttSettings
from bridge.settings.alarms import AlarmsSettings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.tools.scenarios.catalog import SCENARIOS
from bridge.tools.scenarios.player import play
from bridge.tools.scenarios.scenario import AlarmScenario, ScenarioReading
from tests.alarms.test_service_on_servers import Asking
from tests.conftest import StartBridge
from tests.senders import patient
from tests.servers import Mosquitto, until

RULES = """
[rules.no-data]
seconds = 5

[rules.broker-unavailable]
seconds = 8
"""
"""When the broker's alarm comes, silence would have been told of for 3 seconds, and the registry has taken devices offline."""


async def measure(broker: Mosquitto, devices: list[str]) -> None:
    """Publish a harmless reading of each device five times a second, whenever the broker is there."""
    settings = MqttSettings(url=SecretStr(broker.url))
    while True:
        try:
            async with mqtt_sender(settings) as sender:
                while True:
                    for device in devices:
                        await sender.publish(f"sensors/{device}/data", b'{"temperature": 21, "coPpm": 0}')
                    await asyncio.sleep(0.2)
        except BrokerUnavailable:
            await asyncio.sleep(0.1)


async def test_broker_outage_is_one_alarm_and_readings_from_before_are_past(start_bridge: StartBridge, tmp_path: Path) -> None:
    scenario = SCENARIOS["broker-outage"]()
    assert scenario.outage is not None
    kept = [one for one in scenario.readings if scenario.arrival(one) > one.at_seconds]
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    (tmp_path / "alarms.toml").write_text(RULES)
    settings = AlarmsSettings(file=tmp_path / "alarms.toml")
    try:
        async with (
            start_bridge(broker.url, f"sqlite:///{tmp_path}/bridge.db", alarms=settings) as bridge,
            aiohttp.ClientSession() as session,
            asyncio.TaskGroup() as tasks,
        ):
            alarms = Asking(session, bridge.port)

            async def states(state: str) -> list[tuple[str, str, str, str]]:
                found = (await alarms.get(state=state))["alarms"]
                return sorted((one["deviceId"] or "", one["rule"], one["priority"], one["state"]) for one in found)

            async def all_are(*expected: tuple[str, str, str, str]) -> bool:
                return await states("all") == sorted(expected)

            for device in scenario.device_ids:
                registered = {"id": device, "expectedInterval": 1}
                async with session.post(f"http://127.0.0.1:{bridge.port}/api/v1/devices", json=registered) as answer:
                    assert answer.status == 201, await answer.text()
            live = tasks.create_task(measure(broker, scenario.device_ids))
            account = bridge.ledger.account("mqtt")
            await until(lambda: account.stored >= 20, 20, "readings before the outage")
            broker.kill()
            unavailable = ("", "broker-unavailable", "high")
            await until(lambda: all_are((*unavailable, "unacknowledged")), 60, "the alarm of the broker, and no other")
            for device in scenario.device_ids:
                async with session.get(f"http://127.0.0.1:{bridge.port}/api/v1/devices/{device}") as answer:
                    assert (await answer.json())["status"] == "offline"
            before = account.stored
            broker.start()
            await until(lambda: all_are((*unavailable, "returned")), 60, "its end")
            await until(lambda: account.stored >= before + 20, 20, "readings after the outage")
            start_ms = time.time_ns() // 1_000_000 - 600_000
            async with mqtt_sender(patient(broker.url)) as sender:
                for one in kept:
                    await sender.publish(one.topic, one.payload(start_ms))
            kitchen = "broker-outage-kitchen"
            expected = (
                (*unavailable, "returned"),
                (kitchen, "co-ceiling", "critical", "normal"),
                (kitchen, "co-dose", "critical", "normal"),
            )
            await until(lambda: all_are(*expected), 20, "what came late, as past")
            assert await states("standing") == [(*unavailable, "returned")]
            ceiling = next(one for one in (await alarms.get(state="all"))["alarms"] if one["rule"] == "co-ceiling")
            assert ceiling["past"]["readings"] == 7
            live.cancel()
    finally:
        broker.stop()


async def test_readings_that_could_not_be_sent_follow_with_the_times_of_their_measurement(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    tenths = (*range(5), *range(15, 30))
    readings = tuple(ScenarioReading("cellar", at / 10, {"temperature": 10 + number}) for number, at in enumerate(tenths))
    sent: list[ScenarioReading] = []
    lost: list[str] = []
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    settings = MqttSettings(url=SecretStr(broker.url))
    try:
        async with (
            start_bridge(broker.url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
            aiohttp.ClientSession() as session,
            asyncio.TaskGroup() as tasks,
        ):

            def stop_after_some(one: ScenarioReading) -> None:  # later, the next one might be on its way, or all be sent
                sent.append(one)
                if len(sent) == 5:
                    broker.stop()

            playing = tasks.create_task(play(settings, AlarmScenario(readings), sent=stop_after_some, lost=lost.append))
            await until(lambda: lost, 20, "the loss of the broker")
            broker.start()
            await playing
            account = bridge.ledger.account("mqtt")
            await until(lambda: account.stored >= len(readings), 20, "all readings")
            async with session.get(f"http://127.0.0.1:{bridge.port}/api/v1/readings?device=cellar") as answer:
                stored = (await answer.json())["readings"]
    finally:
        broker.stop()
    assert sent == list(readings)
    assert [one["temperature"] for one in stored] == [10 + number for number in range(20)]
    times = [datetime.fromisoformat(one["timestamp"]) for one in stored]
    assert [(one - times[0]).total_seconds() for one in times] == [one.at_seconds for one in readings]
