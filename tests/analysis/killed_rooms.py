"""Rooms whose air is bad once: each is to be advised once, and its fan switched on once, whenever the bridge is killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiomqtt
import orjson

from bridge.analysis.advice.record import Advice
from tests.faults.killed import KilledBridge
from tests.servers import until


class Rooms:
    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.names: list[str] = []
        self._received: Counter[tuple[str, str]] = Counter()

    @classmethod
    @asynccontextmanager
    async def of(cls, broker_port: int) -> AsyncIterator[Rooms]:
        async with aiomqtt.Client("127.0.0.1", broker_port) as client, asyncio.TaskGroup() as tasks:
            await client.subscribe("sensors/+/command", qos=1)
            rooms = cls(client)
            listening = tasks.create_task(rooms._listen(), name="devices")
            yield rooms
            listening.cancel()

    async def _listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            self._received[message.topic.value.split("/")[1], orjson.loads(message.payload)["id"]] += 1

    async def measure(self) -> None:
        """Measure bad air in a room more."""
        name = f"room-{len(self.names)}"
        self.names.append(name)
        await self._client.publish(f"sensors/{name}/status", "online", qos=1)
        await self._client.publish(f"sensors/{name}/data", b'{"co2": 2100}', qos=1)

    async def advised(self, bridge: KilledBridge) -> None:
        async def are_all_advised() -> bool:
            body = await bridge.ask("/api/v1/actions?limit=1000")
            return body is not None and {one["deviceId"] for one in body["actions"]} >= set(self.names)

        await until(are_all_advised, 60, "every room has its advice")

    @property
    def commands(self) -> Counter[str]:
        """How many commands each received."""
        return Counter(device for device, _ in self._received.elements())

    def unknown_commands(self, advice: Sequence[Advice]) -> list[str]:
        """The commands that were received, and are not those that the advice names."""
        known = {(one.device_id, one.command.id) for one in advice if one.command is not None}
        return [f"{device} {command}" for device, command in self._received if (device, command) not in known]
