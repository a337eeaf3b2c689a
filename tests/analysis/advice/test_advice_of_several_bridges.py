"""Advice in a cluster: the leader gives it, clients of every bridge are told, and the next leader goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bridge.app import Bridge
from bridge.settings import AlarmsSettings
from tests.analysis.advice.test_advice_on_servers import STALE, actions, advised, rules_file
from tests.api.test_commands import mqtt_device
from tests.api.test_devices import Client
from tests.cluster.test_cluster import cluster, cluster_of
from tests.realtime.clients import Plain, listening
from tests.running import start_bridge
from tests.servers import until


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def know_each_other(*bridges: Bridge) -> None:
    parts = [cluster_of(one) for one in bridges]
    await until(lambda: any(one.leadership.leads for one in parts), 10, "a bridge leads")
    await until(lambda: all(len(one.members.alive) == len(parts) for one in parts), 10, "they know each other")
    await until(lambda: all(one.messenger.is_connected for one in parts), 10, "they are connected")


async def test_clients_of_every_bridge_are_told_once_and_the_switch_works_at_any(
    broker_url: str, mongo_url: str, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    settings: AlarmsSettings = rules_file(tmp_path)
    more = {"alarms": settings, "cluster": cluster(), "client_id": "bridge-advice"}
    async with (
        start_bridge(broker_url, mongo_url, **more) as first,  # type: ignore[arg-type]
        start_bridge(broker_url, mongo_url, **more) as second,  # type: ignore[arg-type]
    ):
        clients = [Client(one, session, broker_url) for one in (first, second)]
        await know_each_other(first, second)
        async with (
            mqtt_device(broker_url, "fan") as fan,
            Plain.connected(first) as plain,
            listening(second) as socketio,
        ):
            for client in clients:
                await client.until_device("fan", status="online")
            await clients[0].publish("sensors/room-1/data", STALE)
            told = await plain.receive("action")
            await until(lambda: socketio.of("action"), 10, "the event at the other bridge")
            await until(lambda: fan.commands, 10, "the command")
            for client in clients:
                [body] = await advised(client)
                assert body["id"] == told["id"] == socketio.of("action")[0]["data"]["id"]
            follower = next(one for one in clients if not cluster_of(one.bridge).leadership.leads)
            assert (await follower.ask("POST", "/api/v1/actions/commands", {"enabled": False}))[0] == 200
            await clients[0].publish("sensors/room-2/data", STALE)
            bodies = await advised(clients[0], 2)
            assert bodies[0]["command"] is None
            await until(lambda: len(socketio.of("action")) == 2, 10, "the second event")
            assert [await actions(client) for client in clients] == [await actions(clients[0])] * 2
            assert len(fan.commands) == 1


async def test_the_next_leader_repeats_neither_advice_nor_command(
    broker_url: str, mongo_url: str, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    more = {"alarms": rules_file(tmp_path), "cluster": cluster(), "client_id": "bridge-advice"}
    async with mqtt_device(broker_url, "fan") as fan, start_bridge(broker_url, mongo_url, **more) as second:  # type: ignore[arg-type]
        async with start_bridge(broker_url, mongo_url, **more) as first:  # type: ignore[arg-type]
            clients = [Client(one, session, broker_url) for one in (first, second)]
            await until(
                lambda: all(cluster_of(one).messenger.is_connected for one in (first, second)), 10, "they are connected"
            )
            await until(
                lambda: all(len(cluster_of(one).members.alive) == 2 for one in (first, second)), 10, "they know each other"
            )
            await fan.publish("status", "online")
            for client in clients:
                await client.until_device("fan", status="online")
            await clients[0].publish("sensors/room-1/data", STALE)
            before = await advised(clients[0])
            await until(lambda: fan.commands, 10, "the command")
        await until(lambda: cluster_of(second).leadership.leads, 20, "the other leads")
        await clients[1].publish("sensors/room-2/data", STALE)
        bodies = await advised(clients[1], 2)
        assert bodies[1]["id"] == before[0]["id"]
        assert bodies[0]["command"]["state"] == "refused", "less than two hours after the first"
        assert len(fan.commands) == 1
