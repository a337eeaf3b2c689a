"""Buses over real brokers, and what arrives on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from bridge.cluster.bus import SEND_LIMIT_BYTES, ReconnectingBus
from bridge.cluster.envelope import MESSAGE_LIMIT_BYTES
from bridge.cluster.redis_bus import redis_bus
from bridge.settings import MqttSettings
from bridge.sources.mqtt.bus import mqtt_bus_connection
from tests.servers import until

TOPIC = "sensor-bridge-cluster/plant/bus"


@dataclass
class Peer:
    """A bridge on the bus."""

    bus: ReconnectingBus
    received: list[bytes] = field(default_factory=list)


def make_bus(
    url: str, *, topic: str = TOPIC, send_limit_bytes: int = SEND_LIMIT_BYTES, fast: bool = True, **mqtt: object
) -> ReconnectingBus:
    if url.startswith("redis"):
        return redis_bus(url, topic, send_limit_bytes=send_limit_bytes)
    settings = MqttSettings.model_validate({"url": url, "connect_timeout_seconds": 1.0, "timeout_seconds": 1.0} | mqtt)
    connect = partial(mqtt_bus_connection, settings, topic, MESSAGE_LIMIT_BYTES, fast=fast)
    return ReconnectingBus(settings.address, connect, send_limit_bytes=send_limit_bytes)


@asynccontextmanager
async def running(bus: ReconnectingBus, *, connected: bool = True) -> AsyncIterator[Peer]:
    """Run a bus; with `connected`, wait until it is."""
    peer = Peer(bus)
    task = asyncio.create_task(bus.run(peer.received.append), name="bus")
    try:
        if connected:
            await until(lambda: bus.connected or task.done(), what="the connection of the bus")
        yield peer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
