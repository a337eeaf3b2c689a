"""Two and three bridges of one store and broker: what is done at one is seen at the others."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from bridge.app import Bridge
from bridge.cluster.envelope import BusFault
from bridge.cluster.members import Members
from bridge.cluster.refresher import REFRESH_SECONDS
from bridge.core.errors import StoreInUse
from bridge.settings.cluster import ClusterSettings
from tests.api.test_commands import mqtt_device, until_state
from tests.api.test_devices import Client
from tests.faults.proxy import Fault, FaultyProxy
from tests.realtime.clients import Listener, Plain, listening, publish_many
from tests.running import start_bridge
from tests.servers import Redis, until

JSON = {"Content-Type": "application/json"}


def cluster(bus: str = "mqtt", receive: Literal["one", "all"] = "one") -> ClusterSettings:
    return ClusterSettings(name="plant", bus=SecretStr(bus), adopt_seconds=3, receive=receive)


class Cluster:
    """Bridges that know each other. The first of `clients` is one of the bridge that leads."""

    def __init__(
        self,
        broker_url: str,
        store_url: str,
        session: aiohttp.ClientSession,
        settings: ClusterSettings,
        client_id: str | None = None,
    ) -> None:
        self._broker_url = broker_url
        self._store_url = store_url
        self._session = session
        self._settings = settings
        self._client_id = client_id or f"bridge-{uuid.uuid4().hex[:8]}"
        self._bus = settings.bus.get_secret_value()
        self.clients: list[Client] = []

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[Client]:
        """One more bridge, and its client."""
        async with start_bridge(self._broker_url, self._store_url, cluster=self._settings, client_id=self._client_id) as bridge:
            client = Client(bridge, self._session, self._broker_url)
            self.clients.append(client)
            try:
                await until(lambda: self.leader, 10, "a bridge leads")
                await until(self._is_joined, 10, "the bridges know each other")
                yield client
            finally:
                self.clients.remove(client)

    def _is_joined(self) -> bool:
        parts = [cluster_of(one.bridge) for one in self.clients]
        return all(
            len(one.members.alive) >= len(parts) and (one.messenger.is_connected or self._bus == "none") for one in parts
        )

    @property
    def leader(self) -> Client | None:
        return next((one for one in self.clients if cluster_of(one.bridge).leadership.leads), None)


def cluster_of(bridge: Bridge) -> Any:
    components = bridge._components
    assert components is not None
    return components.cluster


@asynccontextmanager
async def running(
    broker_url: str,
    store_url: str,
    count: int,
    bus: str = "mqtt",
    receive: Literal["one", "all"] = "one",
    client_id: str | None = None,
) -> AsyncIterator[list[Client]]:
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        bridges = Cluster(broker_url, store_url, session, cluster(bus, receive), client_id)
        yield [await stack.enter_async_context(bridges.bridge()) for _ in range(count)]


async def post(client: Client, device: str = "boiler", **values: object) -> str:
    body = {"deviceId": device, "timestamp": time.time_ns() // 1_000_000, **values}
    status, answer = await client.ask("POST", "/api/v1/readings", body, headers=JSON)
    assert status == 201, answer
    return str(answer["ids"][0])


async def answers(client: Client, path: str, status: int = 200) -> Any:
    async def reached() -> bool:
        return (await client.ask("GET", path))[0] == status

    await until(reached, 10, f"{status} of {path}")
    return (await client.ask("GET", path))[1]


# --- readings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bus", ["mqtt", "none"])
async def test_readings_posted_at_any_bridge_arrive_at_the_clients_of_all_in_one_order(
    broker_url: str, mongo_url: str, bus: str
) -> None:
    async with (
        running(broker_url, mongo_url, 3, bus) as clients,
        AsyncExitStack() as stack,
    ):
        listeners = [await stack.enter_async_context(listening(one.bridge)) for one in clients]

        async def post_some(client: Client, device: str) -> None:
            for number in range(10):
                await post(client, device, temperature=number)

        await asyncio.gather(*(post_some(client, f"d{number}") for number, client in enumerate(clients)))
        for listener in listeners:
            await until(lambda: len(listener.cursors) >= 30, 10, "thirty readings")  # noqa: B023
        assert listeners[0].cursors == listeners[1].cursors == listeners[2].cursors == sorted(listeners[0].cursors)
        assert len(set(listeners[0].cursors)) == 30
        rows = (await clients[0].ask("GET", "/api/v1/readings?since=0&limit=100"))[1]["readings"]
        assert [row["seq"] for row in rows] == listeners[0].cursors


@pytest.mark.parametrize("receive", ["one", "all"])
async def test_messages_over_mqtt_are_stored_and_delivered_once(
    broker_url: str, mongo_url: str, receive: Literal["one", "all"]
) -> None:
    async with (
        running(broker_url, mongo_url, 2, receive=receive) as (one, two),
        listening(one.bridge) as first,
        listening(two.bridge) as second,
    ):
        await publish_many(broker_url, 400, devices=["a", "b", "c"])
        await until(lambda: len(first.cursors) >= 400 and len(second.cursors) >= 400, 20, "all readings")
        assert first.cursors == second.cursors == sorted(set(first.cursors))
        received = [one.bridge.ledger.account("mqtt").received for one in (one, two)]
        assert sum(received) == 400
        assert (min(received) > 0) == (receive == "all")


async def test_messages_that_waited_for_a_bridge_without_a_cluster_are_received_by_the_cluster(
    broker_url: str, mongo_url: str
) -> None:
    name = f"bridge-{uuid.uuid4().hex[:8]}"
    async with start_bridge(broker_url, mongo_url, client_id=name):
        pass
    await publish_many(broker_url, 50, devices=["a"])
    async with running(broker_url, mongo_url, 2, client_id=name) as (one, two):
        await until(lambda: sum(each.bridge.ledger.account("mqtt").received for each in (one, two)) == 50, 10, "all messages")
    await publish_many(broker_url, 50, devices=["b"])
    async with start_bridge(broker_url, mongo_url, client_id=name) as alone:
        await until(lambda: alone.ledger.account("mqtt").received == 50, 10, "all messages")


async def test_command_is_sent_by_mqtt_at_a_bridge_that_does_not_receive(broker_url: str, mongo_url: str) -> None:
    async with running(broker_url, mongo_url, 2) as clients, mqtt_device(broker_url, "esp01") as device:
        [standing_by] = [one for one in clients if not cluster_of(one.bridge).sessions.receives]
        await standing_by.until_device("esp01", status="online")
        status, command = await standing_by.ask("POST", "/api/v1/devices/esp01/commands", {"command": "servo1", "value": 9})
        assert (status, command["state"]) == (202, "sent")
        await until(lambda: device.commands, 10, "the command")
        await device.publish("command/ack", {"id": command["id"], "ok": True})
        await until_state(standing_by, command, "confirmed")


async def test_bridge_that_is_cut_off_from_the_broker_lets_another_one_receive(broker_url: str, mongo_url: str) -> None:
    async with FaultyProxy(urlsplit(broker_url).port or 1883).serving() as link, AsyncExitStack() as stack:
        bridges = []
        for url in (f"mqtt://127.0.0.1:{link.port}", broker_url):
            starting = start_bridge(url, mongo_url, cluster=cluster("none"), client_id="plant-bridge")
            bridges.append(await stack.enter_async_context(starting))
        first, second = (cluster_of(one).sessions for one in bridges)
        assert (first.receives, second.receives) == (True, False)
        members = cluster_of(bridges[0]).members
        await until(lambda: len(members.alive) == 2, 10, "the bridges know each other")
        link.set(Fault.RESET)
        link.set(Fault.REFUSE)
        await until(lambda: second.receives and bridges[1].health.ready, 15, "the other bridge receives")
        assert not first.receives
        listener = await stack.enter_async_context(listening(bridges[0]))
        await publish_many(broker_url, 3)
        await until(lambda: len(listener.cursors) == 3, 10, "the messages, at a client of the bridge that is cut off")
        link.set(Fault.NONE)
        await until(lambda: bridges[0].health.ready, 10, "connected again, to publish")
        assert (first.receives, second.receives) == (False, True)


@pytest.mark.parametrize("bus", ["mqtt", "none"])
async def test_client_that_is_ahead_of_the_bridge_it_moves_to_misses_and_repeats_nothing(
    broker_url: str, mongo_url: str, bus: str
) -> None:
    async with running(broker_url, mongo_url, 2, bus) as (one, two):
        received: list[int] = []
        for number in range(6):
            here, there = (one, two) if number % 2 else (two, one)
            async with listening(here.bridge) as listener:
                if received:
                    await listener.client.call("subscribe", {"since": received[-1]})
                await post(here, temperature=number)
                await until(lambda: received_since(listener, received), 10, "the reading")  # noqa: B023
                received += received_since(listener, received)
                await post(here, temperature=100 - number)
                assert there is not here
            # The second reading may have been missed; it comes with the next `since`.
        async with listening(two.bridge) as listener:
            await listener.client.call("subscribe", {"since": received[-1]})
            await until(lambda: len(received) + len(received_since(listener, received)) == 12, 10, "all readings")
            rows = (await one.ask("GET", "/api/v1/readings?since=0&limit=100"))[1]["readings"]
            assert [*received, *listener.cursors] == [row["seq"] for row in rows]
            assert listener.of("gap") == []


def received_since(listener: Listener, received: list[int]) -> list[int]:
    """The cursors of a client after those of its earlier connections. Fails if one of them came again."""
    assert not set(listener.cursors) & set(received)
    return listener.cursors


# --- changes ---------------------------------------------------------------------------------------------------------------


async def test_device_location_and_reading_that_are_changed_at_one_bridge_are_changed_at_all(
    broker_url: str, mongo_url: str
) -> None:
    async with running(broker_url, mongo_url, 2) as (one, two), listening(two.bridge) as listener:
        identity = await post(one, temperature=20)
        await until(lambda: listener.temperatures == [20], 10, "the reading")
        assert (await one.ask("PATCH", "/api/v1/devices/boiler", {"name": "Boiler"}))[0] == 200
        await two.until_device("boiler", name="Boiler")
        assert (await two.ask("PATCH", "/api/v1/devices/boiler", {"room": "Cellar"}))[0] == 200
        await one.until_device("boiler", name="Boiler", room="Cellar")
        assert (await one.ask("POST", "/api/v1/locations", {"id": "hall", "name": "Hall"}))[0] == 201
        assert (await answers(two, "/api/v1/locations/hall"))["name"] == "Hall"
        assert (await two.ask("DELETE", "/api/v1/locations/hall"))[0] in (200, 204)
        await answers(one, "/api/v1/locations/hall", 404)
        assert (await one.ask("PATCH", f"/api/v1/readings/{identity}", {"temperature": 21}))[0] == 200
        await until(lambda: is_corrected(two, identity, 21), 10, "the correction")
        await until(lambda: shows(two, "boiler", 21), 10, "the correction as the last reading of the device")
        async with listening(two.bridge) as later:
            await later.client.call("subscribe", {"since": 1})
            await until(lambda: later.temperatures == [21], 10, "a replay of what was corrected")
        assert (await two.ask("DELETE", "/api/v1/devices/boiler"))[0] in (200, 204)
        await answers(one, "/api/v1/devices/boiler", 404)


async def shows(client: Client, device_id: str, temperature: float) -> bool:
    return bool((await client.device(device_id))["lastReading"]["temperature"] == temperature)


async def is_corrected(client: Client, identity: str, temperature: float) -> bool:
    return bool((await client.ask("GET", f"/api/v1/readings/{identity}"))[1]["temperature"] == temperature)


async def test_subscription_that_is_added_at_one_bridge_is_one_of_all(broker_url: str, mongo_url: str) -> None:
    async with running(broker_url, mongo_url, 2) as (one, two):
        body = {"pattern": "plant/{deviceId}/air"}
        status, added = await one.ask("POST", "/api/v1/subscriptions", body)
        assert status == 201, added

        async def is_there() -> bool:
            found = (await two.ask("GET", "/api/v1/subscriptions"))[1]["subscriptions"]
            return any(one.get("pattern") == body["pattern"] for one in found)

        await until(is_there, 10, "the subscription at the other bridge")
        for number in range(4):  # in turn to both
            await one.publish(f"plant/d{number}/air", b'{"temperature": 20}')
        for number in range(4):
            await two.until_device(f"d{number}", status="online")


async def test_command_is_sent_to_a_device_whose_socket_another_bridge_has(broker_url: str, mongo_url: str) -> None:
    async with running(broker_url, mongo_url, 2) as (one, two):
        await post(one, "esp01", temperature=20)
        async with Plain.connected(one.bridge, "/ws/device") as socket:
            await socket.send(type="auth", name="esp01", password="any")
            await two.until_device("esp01", connection="socket")
            status, command = await two.ask("POST", "/api/v1/devices/esp01/commands", {"command": "servo1", "value": 9})
            assert (status, command["state"]) == (202, "queued")
            sent = orjson.loads(await socket.socket.recv())
            assert sent == {"command": "servo1", "value": "9", "id": command["id"]}
            await socket.send(type="ack", id=command["id"], ok=True)
            path = f"/api/v1/devices/esp01/commands/{command['id']}"

            async def is_confirmed() -> bool:
                return bool((await two.ask("GET", path))[1]["state"] == "confirmed")

            await until(is_confirmed, 10, "the confirmation")
        await two.until_device("esp01", status="offline")


async def test_bridge_without_others_sends_by_mqtt_to_a_device_that_had_a_socket(
    broker_url: str, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.devices.commands.MOVE_SECONDS", 1.0)
    async with running(broker_url, mongo_url, 1, "none") as [client]:
        await post(client, "esp01", temperature=20)
        async with Plain.connected(client.bridge, "/ws/device") as socket:
            await socket.send(type="auth", name="esp01", password="any")
            await client.until_device("esp01", connection="socket")
        await client.until_device("esp01", status="offline")
        await post(client, "esp01", temperature=21)
        await client.until_device("esp01", status="online")
        _, command = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "servo1", "value": 9})
        await until_state(client, command, "sent")


async def stop_reading(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a bridge read its members no more; return when a read that had begun has ended."""
    skipped = asyncio.Event()

    async def skip() -> None:
        skipped.set()

    monkeypatch.setattr(members, "beat", skip)
    await asyncio.wait_for(skipped.wait(), 30)


async def test_command_to_a_socket_at_a_bridge_that_is_not_known_yet_is_sent_by_that_bridge(
    broker_url: str, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(broker_url, mongo_url, 2) as (one, two):
        there = cluster_of(two.bridge)
        own = there.members.own
        await stop_reading(there.members, monkeypatch)  # as between the start of the other bridge and the next read
        there.members.alive = {own.id: own}
        there.members.on_read(there.members.alive)
        async with Plain.connected(one.bridge, "/ws/device") as socket:
            await socket.send(type="auth", name="esp01", password="any")
            await socket.send(type="telemetry", temperature=20)
            await two.until_device("esp01", status="online")
            assert "connection" not in await two.device("esp01")
            status, command = await two.ask("POST", "/api/v1/devices/esp01/commands", {"command": "servo1", "value": 9})
            assert (status, command["state"]) == (202, "queued")
            sent = orjson.loads(await socket.socket.recv())
            assert sent == {"command": "servo1", "value": "9", "id": command["id"]}


async def test_change_of_a_device_is_told_to_a_bridge_that_is_not_known_yet(
    broker_url: str, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(broker_url, mongo_url, 2) as (one, two):
        await post(one, "esp01", temperature=20)
        await two.until_device("esp01", status="online")
        members = cluster_of(one.bridge).members
        await stop_reading(members, monkeypatch)
        members.on_read({members.own.id: members.own})
        begun = time.monotonic()
        assert (await one.ask("PATCH", "/api/v1/devices/esp01", {"name": "Hall"}))[0] == 200
        await two.until_device("esp01", name="Hall")
        assert time.monotonic() - begun < REFRESH_SECONDS / 2, "it was only read again now and then"


async def test_socket_that_was_opened_before_the_bridge_was_known_is_known_with_it(
    broker_url: str, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(broker_url, mongo_url, 2) as (one, two):
        await post(one, "esp01", temperature=20)
        await two.until_device("esp01", status="online")
        there = cluster_of(two.bridge)
        await stop_reading(there.members, monkeypatch)
        there._known = frozenset({there.members.own.id})
        there.messenger.opener.set_members({there.members.own.id: 0})
        async with Plain.connected(one.bridge, "/ws/device") as socket:
            await socket.send(type="auth", name="esp01", password="any")
            await until(lambda: there.messenger.refused[BusFault.UNKNOWN_BRIDGE], what="it is said to a bridge that is unaware")
            monkeypatch.undo()
            begun = time.monotonic()
            await two.until_device("esp01", connection="socket")
            assert time.monotonic() - begun < REFRESH_SECONDS / 2, "it was only read again now and then"


async def test_socket_that_was_opened_while_the_bus_was_down_is_known_once_it_is_connected(
    broker_url: str, mongo_url: str, tmp_path: Path
) -> None:
    redis = Redis(tmp_path)
    redis.start()
    try:
        async with running(broker_url, mongo_url, 2, redis.url) as (one, two):
            await post(one, "esp01", temperature=20)
            await two.until_device("esp01", status="online")
            redis.kill()
            for client in (one, two):
                await until(lambda client=client: not cluster_of(client.bridge).messenger.is_connected, 10, "the bus is down")
            async with Plain.connected(one.bridge, "/ws/device") as socket:
                await socket.send(type="auth", name="esp01", password="any")
                await one.until_device("esp01", connection="socket")
                redis.start()
                begun = time.monotonic()
                await two.until_device("esp01", connection="socket")
                assert time.monotonic() - begun < REFRESH_SECONDS / 2, "it was only read again now and then"
                _, command = await two.ask("POST", "/api/v1/devices/esp01/commands", {"command": "servo1", "value": 9})
                assert command["state"] == "queued"
                assert orjson.loads(await socket.socket.recv())["id"] == command["id"]
    finally:
        redis.kill()


@pytest.mark.parametrize("at", [0, 1])
async def test_alarm_is_shown_and_acknowledged_at_any_bridge(broker_url: str, mongo_url: str, at: int) -> None:
    async with running(broker_url, mongo_url, 2) as clients:
        for _ in range(3):
            await post(clients[0], coPpm=250)
        for client in clients:
            await until(lambda: alarms(client), 10, "the alarm")  # noqa: B023
        [alarm] = await alarms(clients[at])
        status, answer = await clients[at].ask("POST", f"/api/v1/alarms/{alarm['id']}/acknowledge", {"comment": "seen"})
        assert (status, answer["alarm"]["state"]) == (200, "acknowledged")
        for client in clients:
            await until(lambda: has_state(client, "acknowledged"), 10, "the acknowledgement")  # noqa: B023
        status, answer = await clients[1 - at].ask("POST", f"/api/v1/alarms/{alarm['id']}/acknowledge", {})
        assert status == 409
        assert "only an unacknowledged one" in answer["detail"]


async def alarms(client: Client) -> list[Any]:
    return list((await client.ask("GET", "/api/v1/alarms"))[1]["alarms"])


async def has_state(client: Client, state: str) -> bool:
    return [one["state"] for one in await alarms(client)] == [state]


# --- lifetime --------------------------------------------------------------------------------------------------------------


async def test_another_bridge_leads_when_the_leader_stops_and_its_alarms_stand(broker_url: str, mongo_url: str) -> None:
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        bridges = Cluster(broker_url, mongo_url, session, cluster())
        async with bridges.bridge() as one:
            two = await stack.enter_async_context(bridges.bridge())
            assert bridges.leader is one
            for _ in range(3):
                await post(two, coPpm=250)
            await until(lambda: alarms(two), 10, "the alarm")
            before = await alarms(one)
        await until(lambda: bridges.leader is two, 10, "the other leads")
        await until(lambda: alarms(two), 10, "the alarm")
        assert await alarms(two) == before
        async with listening(two.bridge) as listener:
            await post(two, temperature=5)
            await until(lambda: listener.cursors, 10, "a reading")


async def test_bridge_outside_the_cluster_is_refused_beside_it(broker_url: str, mongo_url: str) -> None:
    async with running(broker_url, mongo_url, 1):
        with pytest.raises(ExceptionGroup) as refused:
            async with start_bridge(broker_url, mongo_url, ready=True):
                pass
        assert refused.group_contains(StoreInUse, match="of the cluster 'plant', which renews its lease")
