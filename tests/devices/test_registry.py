"""The registry by itself, with a store and a clock of our own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from bson.objectid import ObjectId

from bridge.core.devices.device import Device, ReportingInterval
from bridge.core.errors import StoreUnavailable, TooManyDevices
from bridge.core.events import EntityEvent
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.devices.registry import SAVE_BATCH, Registry
from bridge.settings import DevicesSettings
from tests.fakes import MemoryDevices, MemoryStore, RecordingPublisher

START_MS = 1_767_000_000_000


class Devices(MemoryDevices):
    """Away while it is told so; remembers how many devices each write had."""

    away = False

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    async def save(self, devices: Sequence[Device]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.batches.append(len(devices))
        await super().save(devices)


class House:
    """A registry and all around it."""

    def __init__(self, **settings: object) -> None:
        self.store = MemoryStore()
        self.devices = Devices()
        self.store.devices = self.devices
        self.out = RecordingPublisher()
        self.now_ms = START_MS
        self.registry = Registry(self.store, self.out, DevicesSettings.model_validate(settings), clock=lambda: self.now_ms)

    def hear(self, device: str = "a", *, ago_ms: int = 0, came_ago_ms: int = 0, retained: bool = False) -> None:
        at, came = self.now_ms - ago_ms, self.now_ms - came_ago_ms
        self.registry.publish([Reading(ObjectId(), device, {"temperature": 1}, at, came, retained=retained)])

    def wait(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.registry.check_silence()

    def statuses(self) -> list[tuple[str, str]]:
        return [(one.device_id, one.status) for one in self.out.events if isinstance(one, DeviceStatus)]

    def changes(self) -> list[tuple[str, str]]:
        return [(one.event_type, one.metadata["action"]) for one in self.out.events if isinstance(one, EntityEvent)]


@pytest.fixture
async def house() -> House:
    house = House()
    await house.registry.load()
    return house


async def test_a_first_reading_is_followed_by_what_it_changed(house: House) -> None:
    house.hear()
    house.hear()
    assert [type(one) for one in house.out.events] == [Reading, EntityEvent, EntityEvent, DeviceStatus, Reading]
    assert house.changes() == [("created", "create_sensor"), ("updated", "update_sensor")]


async def test_a_rhythm_is_learnt_and_three_of_it_in_silence_are_offline(house: House) -> None:
    for _ in range(6):
        house.hear()
        house.wait(60)
    house.wait(119)
    assert house.statuses() == [("a", "online")]
    house.wait(2)
    assert house.statuses() == [("a", "online"), ("a", "offline")]


async def test_what_was_kept_back_is_no_sign_of_life(house: House) -> None:
    house.hear(ago_ms=3_600_000)
    house.hear(ago_ms=3_600_000, came_ago_ms=3_600_000)
    house.hear(retained=True)
    assert house.statuses() == []
    assert house.registry.get("a").last_seen_ms is None


async def test_what_came_before_a_device_left_does_not_bring_it_back(house: House) -> None:
    house.registry.connected("a")
    house.registry.disconnected("a")
    house.hear()
    assert not house.registry.get("a").online
    house.now_ms += 1
    house.hear()
    assert house.registry.get("a").online


async def test_an_online_by_mqtt_holds_until_the_last_will_unless_the_operator_set_an_interval(house: House) -> None:
    house.registry.publish([DeviceStatus("a", "online", house.now_ms)])
    for _ in range(6):
        house.hear()
        house.wait(10)
    house.wait(86_400)
    assert house.registry.get("a").online
    await house.registry.update("a", {"expectedInterval": 10})
    house.wait(1)
    assert not house.registry.get("a").online


async def test_a_last_will_does_not_take_a_device_offline_whose_socket_is_open(house: House) -> None:
    house.registry.connected("a")
    house.registry.publish([DeviceStatus("a", "offline", house.now_ms)])
    assert house.registry.get("a").online
    assert house.statuses()[-1] == ("a", "online")
    house.wait(86_400)
    assert house.registry.get("a").online
    house.registry.disconnected("a")
    assert house.statuses()[-1] == ("a", "offline")


async def test_a_socket_of_before_a_restart_has_ended_and_our_absence_is_nobodys_silence(house: House) -> None:
    seen = START_MS - 3_600_000
    house.devices.by_id = {
        "socket": Device("socket", status="online", connection="socket"),
        "heard": Device("heard", status="online", last_seen_ms=seen, reporting_interval=ReportingInterval(60, 9)),
    }
    await house.registry.load()
    assert house.statuses() == [("socket", "offline")]
    house.wait(179)
    assert house.registry.get("heard").online
    house.wait(2)
    assert not house.registry.get("heard").online


async def test_a_store_that_is_away_gets_it_later_in_bounded_batches(house: House) -> None:
    house.devices.away = True
    for n in range(SAVE_BATCH + 50):
        house.hear(f"d{n}")
    await house.registry.close()
    assert house.devices.by_id == {}
    with pytest.raises(StoreUnavailable):
        await house.registry.update("d1", {"name": "x"})
    assert house.registry.get("d1").name is None
    house.devices.away = False
    await house.registry.close()
    assert house.devices.batches[:2] == [SAVE_BATCH, 50]
    assert len(house.devices.by_id) == SAVE_BATCH + 50


async def test_past_the_limit_devices_are_counted_and_their_readings_go_on() -> None:
    house = House(limit=2)
    await house.registry.load()
    for name in ("a", "b", "c"):
        house.hear(name)
    assert (len(house.registry), house.registry.counts.unlisted) == (2, 1)
    assert len([one for one in house.out.events if isinstance(one, Reading)]) == 3
    with pytest.raises(TooManyDevices):
        await house.registry.register("d", {})


async def test_a_socket_that_was_faster_than_the_store_is_known_once_that_is_read() -> None:
    house = House()
    house.devices.by_id = {"a": Device("a", name="Büro")}
    house.registry.connected("a")
    with pytest.raises(StoreUnavailable):
        house.registry.get("a")
    await house.registry.load()
    assert (house.registry.get("a").name, house.registry.get("a").online) == ("Büro", True)


async def test_a_devices_state_is_bounded(house: House) -> None:
    house.registry.connected("a")
    house.registry.update_state("a", {f"k{n}": n for n in range(70)} | {"$bad": 1, "": 1, "a.b": 1})
    assert len(house.registry.get("a").state) == 64
    assert house.registry.counts.state_keys == 9
    house.registry.update_state("a", {"k1": "x" * 20_000})
    assert house.registry.get("a").state["k1"] == 1
    house.registry.update_state("a", {"k1": None})
    assert "k1" not in house.registry.get("a").state


async def test_statuses_are_the_newest_first_forgotten_are_the_oldest(house: House) -> None:
    for n in range(5):
        house.hear(f"d{n}")
        house.now_ms += 1
    assert [one.device_id for one in house.registry.statuses(3)] == ["d2", "d3", "d4"]
