"""SIGKILL of a bridge while it gives advice and sends the commands that follow: each device gets its own, and none twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import orjson
import pytest

from bridge.analysis.advice.record import advice_from_document
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.servers import free_port, until, wants_containers

RULES = """
profile = "none"

[rules.stale]
field = "co2"
above = 2000
clear = 1000

[[action]]
name = "fan"
advice = ["ventilate"]
command = "fan"
"""
KILLS = int(os.environ.get("ADVICE_KILLS", "3"))
"""A start takes seconds: the long form has 20."""


class Process:
    """A bridge that is killed and started again, with a trap or without."""

    def __init__(self, folder: Path, broker_url: str, store_url: str) -> None:
        self.port = free_port()
        self.log = folder / "bridge.log"
        rules = folder / "alarms.toml"
        rules.write_text(RULES)
        self._environment = os.environ | {
            "BRIDGE_MQTT__URL": broker_url,
            "BRIDGE_MQTT__CLIENT_ID": "under-test",
            "BRIDGE_STORE__URL": store_url,
            "BRIDGE_HTTP__PORT": str(self.port),
            "BRIDGE_ALARMS__FILE": str(rules),
        }
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, trap: str = "") -> None:
        with self.log.open("ab") as log:
            environment = self._environment | {"BRIDGE_TRAP": trap}
            self._process = subprocess.Popen([sys.executable, "-m", "tests.faults.armed", "run"], env=environment, stderr=log)
        await until(self._is_up, 60, "the bridge is up")

    async def _is_up(self) -> bool:
        return self.is_dead or await self.get("/health/ready") is not None

    async def get(self, path: str) -> Any:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return orjson.loads(await answer.read()) if answer.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    @property
    def is_dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def listen(client: aiomqtt.Client, received: Counter[tuple[str, str]]) -> None:
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        received[message.topic.value.split("/")[1], orjson.loads(message.payload)["id"]] += 1


@pytest.mark.skipif(wants_containers(), reason="kills a local process")
async def test_killed_bridge_gives_each_device_its_advice_once_and_sends_no_command_twice(
    broker_url: str, mongo_url: str, tmp_path: Path
) -> None:
    bridge, rng = Process(tmp_path, broker_url, mongo_url), random.Random(20)
    host, port = broker_url.removeprefix("mqtt://").split(":")
    devices = [f"room-{number}" for number in range(KILLS)]
    received: Counter[tuple[str, str]] = Counter()
    try:
        await bridge.start()
        async with aiomqtt.Client(host, int(port)) as client, asyncio.TaskGroup() as tasks:
            await client.subscribe("sensors/+/command", qos=1)
            listening = tasks.create_task(listen(client, received), name="devices")
            for number, device in enumerate(devices):
                bridge.kill()
                trap = number % 4
                await bridge.start(f"after-advice:{trap}" if trap in (1, 2) else "")
                await client.publish(f"sensors/{device}/status", "online", qos=1)
                await client.publish(f"sensors/{device}/data", b'{"co2": 2100}', qos=1)
                if trap in (1, 2):
                    await until(lambda: bridge.is_dead, 60, "the trap")
                else:
                    await asyncio.sleep(rng.uniform(0, 0.1))
            bridge.kill()
            await bridge.start()

            async def are_all_advised() -> bool:
                body = await bridge.get("/api/v1/actions?limit=1000")
                return body is not None and len(body["actions"]) == KILLS

            await until(are_all_advised, 60, "every device has its advice")
            await asyncio.sleep(0.5)  # a command that is sent twice would come now
            print(f"{KILLS} kills, {len(received)} commands received, {sum(received.values()) - len(received)} of them again")
            listening.cancel()
        bridge.kill()
    finally:
        bridge.kill()
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        stored = [advice_from_document(one.body) for one in await store.actions.find(limit=1000)]
        assert await store.actions.find(is_open=True, limit=1) == []
    assert sorted(one.device_id for one in stored) == sorted(devices)
    made = {one.device_id: one.command for one in stored}
    assert all(count == 1 for count in received.values()), "QoS 1 on a connection that was not lost"
    assert Counter(device for device, _ in received) == Counter({device for device, _ in received})
    assert all(made[device] is not None and made[device].id == command for device, command in received)  # type: ignore[union-attr]
    lost = sorted(device for device in devices if device not in {one for one, _ in received})
    assert len(lost) <= max(1, KILLS // 4), f"killed between the mark in the store and the sending: {lost}"
    assert "Traceback" not in bridge.log.read_text()
