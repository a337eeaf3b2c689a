"""The registries of several bridges: what each is told of the devices at the others, late and in any order between bridges."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from bson.objectid import ObjectId

from bridge.cluster.event_codec import decode_events, decode_socket, encode_events, encode_socket
from bridge.cluster.relay import Relay
from bridge.core.devices.device import SOCKET
from bridge.core.events import DeviceState, EntityEvent, Event
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.devices.peers import Peers
from bridge.devices.registry import Registry
from bridge.settings import DevicesSettings
from bridge.wiring import chain
from tests.fakes import MemoryStore, RecordingPublisher

START_MS = 1_767_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms

    def seconds(self) -> float:
        return self.ms / 1000


class Bridge:
    """A bridge with its registry. What it tells others waits in `network` until the test delivers it."""

    def __init__(self, network: Network, name: str, *, leads: bool) -> None:
        self.name = name
        self.relay, self.clients = Relay(), RecordingPublisher()
        self.leads = leads
        peers = Peers(leads=lambda: self.leads, saves=lambda: self.leads or not self.relay.is_deriving)
        self.registry = Registry(
            network.store, DevicesSettings(), peers=peers, clock=network.clock, monotonic=network.clock.seconds
        )
        chain((self.relay, self.registry, self.relay.outgoing, self.clients))
        self.relay.entry = self.registry.next
        self.relay.tell = lambda events: network.send(self, "events", b"".join(encode_events(events)))
        self.registry.on_socket = lambda device, is_open: network.send(self, "socket", encode_socket(device, is_open))

    def receive(self, bridge: str, kind: str, body: bytes) -> None:
        if kind == "events":
            events = decode_events(body)
            self.relay.receive(lambda: self.registry.on_remote(bridge, events))
        else:
            device_id, is_open = decode_socket(body)
            self.registry.on_remote_socket(bridge, device_id, is_open=is_open)

    @property
    def statuses(self) -> list[str]:
        return [one.status for one in self.clients.events if isinstance(one, DeviceStatus)]

    def changes(self) -> list[EntityEvent]:
        return [one for one in self.clients.events if isinstance(one, EntityEvent)]

    @property
    def presence(self) -> tuple[str | None, str | None, bool, str | None]:
        """Status and connection of the device `a`, whether it has a socket here, and which other bridge has one."""
        device, presence = self.registry.get("a"), self.registry.presence
        return device.status, device.connection, "a" in presence.sockets, ", ".join(presence.elsewhere.get("a", [])) or None


class Network:
    """Carries messages between bridges: those of one bridge to another keep their order, and nothing else is certain."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = Clock()
        self.bridges: list[Bridge] = []
        self.waiting: dict[tuple[str, str], deque[tuple[str, bytes]]] = {}

    def send(self, sender: Bridge, kind: str, body: bytes) -> None:
        for other in self.bridges:
            if other is not sender:
                self.waiting.setdefault((sender.name, other.name), deque()).append((kind, body))

    def deliver_one(self, chance: random.Random) -> bool:
        links = [link for link, waiting in self.waiting.items() if waiting]
        if not links:
            return False
        link = sender, receiver = chance.choice(links)
        kind, body = self.waiting[link].popleft()
        next(one for one in self.bridges if one.name == receiver).receive(sender, kind, body)
        return True

    def deliver(self) -> None:
        while self.deliver_one(random.Random(0)):
            pass


@pytest.fixture
async def network() -> Network:
    """Bridges `one`, `two` and `three`, which leads."""
    network = Network()
    for name in ("one", "two", "three"):
        network.bridges.append(Bridge(network, name, leads=name == "three"))
    for bridge in network.bridges:
        await bridge.registry.load()
    return network


@pytest.fixture
async def bridges(network: Network) -> tuple[Bridge, Bridge, Bridge]:
    """With a device `a` that each has from the log."""
    one, two, three = network.bridges
    publish_reading(network)
    for bridge in network.bridges:
        bridge.clients.events.clear()
    return one, two, three


def publish_reading(network: Network, device: str = "a", **more: Any) -> None:
    """A reading that every bridge has from the log."""
    ms = network.clock.ms
    reading = Reading(ObjectId(), device, {"temperature": 1}, ms, ms, seq=ms, **more)
    for bridge in network.bridges:
        bridge.relay.deliver([reading])


async def saved(bridge: Bridge) -> set[str]:
    """The devices that a bridge saves now."""
    before = bridge.registry._store.devices.by_id.copy()  # type: ignore[attr-defined]
    bridge.registry._store.devices.by_id.clear()  # type: ignore[attr-defined]
    await bridge.registry.saver.save()
    found = set(bridge.registry._store.devices.by_id)  # type: ignore[attr-defined]
    bridge.registry._store.devices.by_id.update(before | bridge.registry._store.devices.by_id)  # type: ignore[attr-defined]
    return found


# --- attributes ------------------------------------------------------------------------------------------------------------


async def test_device_of_the_log_is_known_at_every_bridge_and_nobody_is_told(network: Network) -> None:
    publish_reading(network)
    assert not any(network.waiting.values())
    assert all("a" in bridge.registry for bridge in network.bridges)
    assert [await saved(bridge) for bridge in network.bridges] == [set(), set(), {"a"}]


async def test_attributes_that_are_changed_at_one_bridge_are_changed_at_all_and_their_clients_told(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, *_ = bridges
    await one.registry.update("a", {"name": "Boiler", "site": "north", "floor": 3})
    network.deliver()
    for bridge in bridges:
        device = bridge.registry.get("a")
        assert (device.name, device.site, device.attributes) == ("Boiler", "north", {"floor": 3})
        assert bridge.registry.devices_at(["north"]) == ["a"]
        [change] = bridge.changes()
        assert (change.event_type, change.data["name"], change.data["status"]) == ("updated", "Boiler", "online")
    assert not any(network.waiting.values()), "what was received was told again"


async def test_removed_attribute_is_removed_at_all(network: Network, bridges: tuple[Bridge, Bridge, Bridge]) -> None:
    one, two, _ = bridges
    await one.registry.update("a", {"name": "Boiler", "floor": 3})
    await one.registry.update("a", {"name": None, "floor": None})
    network.deliver()
    assert (two.registry.get("a").name, two.registry.get("a").attributes) == (None, {})


async def test_device_that_is_deleted_at_one_bridge_is_deleted_at_all(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, *_ = bridges
    await one.registry.remove("a")
    network.deliver()
    assert not any("a" in bridge.registry for bridge in bridges)
    assert [change.event_type for bridge in bridges for change in bridge.changes()] == ["deleted"] * 3
    assert [await saved(bridge) for bridge in bridges] == [set(), set(), set()]


async def test_device_that_is_registered_at_one_bridge_is_known_at_all(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, two, three = bridges
    await one.registry.register("b", {"name": "New"})
    network.deliver()
    assert (two.registry.get("b").name, three.registry.get("b").name) == ("New", "New")


async def test_state_that_a_device_reports_at_one_bridge_is_known_at_all(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, two, three = bridges
    one.registry.update_state("a", {"led": True})
    network.deliver()
    assert two.registry.get("a").state == three.registry.get("a").state == {"led": True}
    assert [one for one in two.clients.events if isinstance(one, DeviceState)] == [DeviceState("a", {"led": True}, START_MS)]


async def test_change_at_a_bridge_that_knows_an_older_status_changes_no_status(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, two, _ = bridges
    one.registry.connected("a")
    network.deliver()
    one.registry.disconnected("a")
    await two.registry.update("a", {"name": "Boiler"})  # it has not heard that the device is offline
    network.deliver()
    for bridge in bridges:
        assert bridge.presence == ("offline", None, False, None)
        assert bridge.registry.get("a").name == "Boiler"


async def test_change_at_a_bridge_without_the_socket_leaves_the_socket_where_it_is(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, two, three = bridges
    one.registry.connected("a")
    network.deliver()
    await two.registry.update("a", {"name": "Boiler"})
    network.deliver()
    assert one.presence == ("online", SOCKET, True, None)
    assert two.presence == three.presence == ("online", SOCKET, False, "one")


# --- status ----------------------------------------------------------------------------------------------------------------


async def test_status_over_mqtt_at_one_bridge_is_that_of_all(network: Network, bridges: tuple[Bridge, Bridge, Bridge]) -> None:
    one, *_ = bridges
    one.relay.publish([DeviceStatus("a", "offline", START_MS + 5)])
    network.deliver()
    assert [bridge.presence[0] for bridge in bridges] == ["offline"] * 3
    assert [bridge.statuses for bridge in bridges] == [["offline"]] * 3
    one.relay.publish([DeviceStatus("a", "online", START_MS + 9)])
    network.deliver()
    assert [bridge.presence[:2] for bridge in bridges] == [("online", "mqtt")] * 3


async def test_socket_at_one_bridge_is_known_at_all_and_clients_are_told_once(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, two, three = bridges
    one.registry.connected("a")
    network.deliver()
    assert one.presence == ("online", SOCKET, True, None)
    assert two.presence == three.presence == ("online", SOCKET, False, "one")
    one.registry.disconnected("a")
    network.deliver()
    assert [bridge.presence for bridge in bridges] == [("offline", None, False, None)] * 3
    assert [bridge.statuses for bridge in bridges] == [["online", "offline"]] * 3


async def test_offline_of_a_bridge_without_the_socket_does_not_count(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, two, three = bridges
    one.registry.connected("a")
    network.deliver()
    two.relay.tell([DeviceStatus("a", "offline", START_MS + 5)])
    network.deliver()
    assert one.presence[0] == three.presence[0] == "online"
    assert three.statuses == ["online"]


async def test_sockets_of_a_bridge_that_died_are_closed_and_the_leader_tells_clients(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge]
) -> None:
    one, two, three = bridges
    one.registry.connected("a")
    network.deliver()
    network.bridges.remove(one)
    for bridge in (two, three):
        bridge.registry.on_remote_gone("one")
    network.deliver()
    assert two.presence == three.presence == ("offline", None, False, None)
    assert two.statuses == three.statuses == ["online", "offline"]


async def test_bridge_that_joins_learns_the_sockets_of_the_others(network: Network) -> None:
    one, two, _ = network.bridges
    publish_reading(network)
    one.registry.connected("a")
    network.waiting.clear()  # it was not there
    two.registry.on_remote_sockets("one", ["a", "unknown"])
    known = two.presence
    assert known == ("online", SOCKET, False, "one")
    two.registry.on_remote_sockets("one", [])
    assert two.presence == ("offline", None, False, None)


async def test_sockets_of_which_every_bridge_died_are_closed_by_a_leader(network: Network) -> None:
    *_, three = network.bridges
    publish_reading(network)
    three.registry.connected("a")
    await three.registry.saver.save()
    network.deliver()
    network.bridges.remove(three)
    restarted = Bridge(network, "four", leads=True)
    network.bridges.append(restarted)
    await restarted.registry.load()
    assert restarted.presence[:2] == ("online", SOCKET)
    restarted.registry.end_unowned_sockets()
    assert restarted.presence == ("offline", None, False, None)


def moves(chance: random.Random, bridges: Sequence[Bridge], count: int) -> Iterator[tuple[Bridge, Bridge, bool]]:
    """From where to where a device moves, and whether it is disconnected there before it is connected here."""
    here = bridges[0]
    for _ in range(count):
        there = chance.choice([one for one in bridges if one is not here])
        yield here, there, chance.random() < 0.5
        here = there


@pytest.mark.parametrize("seed", range(8))
async def test_device_that_moves_between_bridges_is_online_where_it_is_whatever_the_delays(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge], seed: int
) -> None:
    chance = random.Random(seed)
    here = bridges[0]
    here.registry.connected("a")
    for old, new, closes_first in moves(chance, bridges[: chance.choice([2, 3])], 1000):
        network.clock.ms += 1
        if closes_first:
            old.registry.disconnected("a")
        for _ in range(chance.choice([0, 0, 1, 2, 9])):
            network.deliver_one(chance)
        new.registry.connected("a")
        for _ in range(chance.choice([0, 0, 1, 2, 9])):
            network.deliver_one(chance)
        if not closes_first:
            old.registry.disconnected("a")
        here = new
    while network.deliver_one(chance):
        pass
    for bridge in bridges:
        assert bridge.presence == ("online", SOCKET, bridge is here, None if bridge is here else here.name)
        assert bridge.statuses[-1] == "online"


@pytest.mark.parametrize("seed", range(8))
async def test_device_that_moves_and_leaves_is_offline_at_every_bridge_whatever_the_delays(
    network: Network, bridges: tuple[Bridge, Bridge, Bridge], seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        network.clock.ms += 1
        opened = chance.sample(bridges, chance.choice([1, 2, 3]))
        for bridge in opened:
            bridge.registry.connected("a")
            for _ in range(chance.choice([0, 1, 3])):
                network.deliver_one(chance)
        for bridge in chance.sample(opened, len(opened)):
            bridge.registry.disconnected("a")
            for _ in range(chance.choice([0, 1, 3])):
                network.deliver_one(chance)
        while network.deliver_one(chance):
            pass
        assert [bridge.presence for bridge in bridges] == [("offline", None, False, None)] * 3
        assert [bridge.statuses[-1] for bridge in bridges] == ["offline"] * 3


async def test_events_of_devices_that_are_not_known_pass(network: Network) -> None:
    one, *_ = network.bridges
    events: list[Event] = [DeviceStatus("x", "online", 1), DeviceState("x", {}, 1), EntityEvent("command", "updated", "c1")]
    assert one.registry.on_remote("two", events) == events
    assert "x" not in one.registry
