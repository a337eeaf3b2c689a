"""The device registry with a store and a clock in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from bson.objectid import ObjectId

from bridge.core.devices.device import Device, ReportingInterval
from bridge.core.errors import StoreUnavailable, TooManyDevices
from bridge.core.events import EntityEvent
from bridge.core.message import DeviceStatus
from bridge.core.readings.measurements import Scalar
from bridge.core.readings.reading import Reading
from bridge.devices.registry import Registry
from bridge.devices.saver import SAVE_BATCH
from bridge.settings import DevicesSettings
from tests.fakes import MemoryDevices, MemoryStore, RecordingPublisher

START_MS = 1_767_000_000_000


class Devices(MemoryDevices):
    """Fails writes while `unavailable`, and does not end them while `hangs`; records the number of devices of each write."""

    unavailable = False
    hangs = False

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.began = asyncio.Event()

    async def save(self, devices: Sequence[Device]) -> None:
        self.began.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        self.batches.append(len(devices))
        await super().save(devices)


class Rig:
    """A registry with its store, clock and publisher."""

    def __init__(self, **settings: object) -> None:
        self.store = MemoryStore()
        self.devices = Devices()
        self.store.devices = self.devices
        self.out = RecordingPublisher()
        self.now_ms = START_MS
        self.seconds = 50.0
        self.registry = Registry(
            self.store,
            DevicesSettings.model_validate(settings),
            clock=lambda: self.now_ms,
            monotonic=lambda: self.seconds,
        )
        self.registry.next = self.out

    def publish_reading(self, device: str = "a", *, ago_ms: int = 0, received_ago_ms: int = 0, retained: bool = False) -> None:
        timestamp_ms, received_ms = self.now_ms - ago_ms, self.now_ms - received_ago_ms
        self.registry.publish([Reading(ObjectId(), device, {"temperature": 1}, timestamp_ms, received_ms, retained=retained)])

    def wait(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.seconds += seconds
        self.registry.check_silence()

    def set_clock(self, seconds: float) -> None:
        """Set the clock forward or back; no time passes."""
        self.now_ms += round(seconds * 1000)
        self.registry.check_silence()

    def statuses(self) -> list[tuple[str, str]]:
        return [(one.device_id, one.status) for one in self.out.events if isinstance(one, DeviceStatus)]

    def changes(self) -> list[tuple[str, str]]:
        return [(one.event_type, one.metadata["action"]) for one in self.out.events if isinstance(one, EntityEvent)]


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    await rig.registry.load()
    return rig


async def test_first_reading_of_a_device_is_followed_by_created_and_online_events(rig: Rig) -> None:
    rig.publish_reading()
    rig.publish_reading()
    assert [type(one) for one in rig.out.events] == [Reading, EntityEvent, EntityEvent, DeviceStatus, Reading]
    assert rig.changes() == [("created", "create_sensor"), ("updated", "update_sensor")]


def stating(device: str = "a", part_of: str | None = None, **extra: Scalar) -> Reading:
    return Reading(ObjectId(), device, {"co2": 645}, START_MS, START_MS, extra=extra, part_of=part_of)


async def test_location_that_a_reading_states_is_registered_with_the_device(rig: Rig) -> None:
    rig.registry.publish([stating(enseigne="Maison", salle="Bureau")])
    assert rig.registry.location("a") == ("Maison", "Bureau")
    assert rig.registry.devices_at(["Maison"]) == ["a"]
    created = next(one for one in rig.out.events if isinstance(one, EntityEvent))
    assert (created.event_type, created.data["site"], created.data["room"]) == ("created", "Maison", "Bureau")


async def test_location_that_a_reading_states_fills_only_what_is_empty(rig: Rig) -> None:
    await rig.registry.register("a", {"site": "École"})
    rig.out.events.clear()
    for room in ("Bureau", "Salon"):
        rig.registry.publish([stating(enseigne="Maison", salle=room)])
    assert rig.registry.location("a") == ("École", "Bureau")
    assert rig.changes().count(("updated", "update_sensor")) == 2, "the room, and that it is online"
    await rig.registry.update("a", {"site": None, "room": None})
    rig.registry.publish([stating(enseigne="Maison")])
    assert rig.registry.location("a") == ("Maison", "")


async def test_names_that_devices_state_are_cleaned_of_control_characters(rig: Rig) -> None:
    rig.registry.publish([stating(enseigne="Mai\x00son", salle="\x1b[2J \nBureau\t2\n")])
    rig.registry.suggest({"a": {"name": "Air\r\nquality", "type": "\x07"}})
    assert rig.registry.location("a") == ("Mai son", "[2J Bureau 2")
    device = rig.registry.get("a")
    assert (device.name, device.type) == ("Air quality", None)


async def test_parts_follow_a_device_that_a_reading_places(rig: Rig) -> None:
    rig.registry.publish([stating(), stating("a.out", part_of="a"), stating("a.door", part_of="a", salle="Entrée")])
    rig.registry.publish([stating(enseigne="Maison", salle="Bureau")])
    assert rig.registry.location("a.out") == ("Maison", "Bureau")
    assert rig.registry.location("a.door") == ("", "Entrée")
    assert sorted(rig.registry.devices_at(["Maison"])) == ["a", "a.out"]


async def test_site_is_not_taken_from_readings_where_rights_depend_on_it() -> None:
    registry = Registry(MemoryStore(), DevicesSettings(), takes_sites=False)
    registry.next = RecordingPublisher()
    await registry.load()
    for _ in range(2):
        registry.publish([stating(enseigne="Maison", salle="Bureau")])
    assert registry.location("a") == ("", "Bureau")
    assert registry.devices_at(["Maison"]) == []


async def test_device_is_offline_after_three_learnt_intervals_without_readings(rig: Rig) -> None:
    for _ in range(6):
        rig.publish_reading()
        rig.wait(60)
    rig.wait(119)
    assert rig.statuses() == [("a", "online")]
    rig.wait(2)
    assert rig.statuses() == [("a", "online"), ("a", "offline")]


async def test_delayed_or_retained_readings_do_not_make_a_device_online(rig: Rig) -> None:
    rig.publish_reading(ago_ms=3_600_000)
    rig.publish_reading(ago_ms=3_600_000, received_ago_ms=3_600_000)
    rig.publish_reading(retained=True)
    assert rig.statuses() == []
    assert rig.registry.get("a").last_seen_ms is None


async def test_reading_received_before_the_socket_closed_leaves_the_device_offline(rig: Rig) -> None:
    rig.registry.connected("a")
    rig.registry.disconnected("a")
    rig.publish_reading()
    assert not rig.registry.get("a").online
    rig.wait(0.001)
    rig.publish_reading()
    assert rig.registry.get("a").online


async def test_mqtt_online_lasts_until_the_last_will_unless_an_interval_is_configured(rig: Rig) -> None:
    rig.registry.publish([DeviceStatus("a", "online", rig.now_ms)])
    for _ in range(6):
        rig.publish_reading()
        rig.wait(10)
    rig.wait(86_400)
    assert rig.registry.get("a").online
    await rig.registry.update("a", {"expectedInterval": 10})
    rig.wait(1)
    assert not rig.registry.get("a").online


async def test_last_will_leaves_a_device_with_an_open_socket_online(rig: Rig) -> None:
    rig.registry.connected("a")
    rig.registry.publish([DeviceStatus("a", "offline", rig.now_ms)])
    assert rig.registry.get("a").online
    assert rig.statuses()[-1] == ("a", "online")
    rig.wait(86_400)
    assert rig.registry.get("a").online
    rig.registry.disconnected("a")
    assert rig.statuses()[-1] == ("a", "offline")


async def test_restart_closes_old_sockets_and_does_not_count_downtime_as_silence(rig: Rig) -> None:
    seen = START_MS - 3_600_000
    rig.devices.by_id = {
        "socket": Device("socket", status="online", connection="socket"),
        "reporting": Device("reporting", status="online", last_seen_ms=seen, reporting_interval=ReportingInterval(60, 9)),
    }
    await rig.registry.load()
    assert rig.statuses() == [("socket", "offline")]
    rig.wait(179)
    assert rig.registry.get("reporting").online
    rig.wait(2)
    assert not rig.registry.get("reporting").online


async def test_changes_are_saved_in_bounded_batches_when_the_store_is_available_again(rig: Rig) -> None:
    rig.devices.unavailable = True
    writes: list[str | None] = []
    rig.registry.saver.on_write = writes.append
    for n in range(SAVE_BATCH + 50):
        rig.publish_reading(f"d{n}")
    await rig.registry.close()
    assert writes == ["unavailable"]
    assert rig.devices.by_id == {}
    with pytest.raises(StoreUnavailable):
        await rig.registry.update("d1", {"name": "x"})
    assert rig.registry.get("d1").name is None
    rig.devices.unavailable = False
    await rig.registry.close()
    assert writes[-1] is None
    assert rig.devices.batches[:2] == [SAVE_BATCH, 50]
    assert len(rig.devices.by_id) == SAVE_BATCH + 50


async def test_devices_whose_save_was_cancelled_are_saved_at_the_end(rig: Rig) -> None:
    rig.publish_reading("a")
    await rig.registry.close()
    rig.devices.batches.clear()
    rig.devices.began.clear()
    rig.registry.saver.mark("a")
    rig.devices.hangs = True
    saving = asyncio.create_task(rig.registry.saver.save())
    await rig.devices.began.wait()
    saving.cancel()
    await asyncio.wait((saving,))
    rig.devices.hangs = False
    await rig.registry.close()
    assert rig.devices.batches == [1]


async def test_readings_of_devices_beyond_the_limit_are_published_and_counted() -> None:
    rig = Rig(limit=2)
    await rig.registry.load()
    for name in ("a", "b", "c"):
        rig.publish_reading(name)
    assert (len(rig.registry), rig.registry.counts.unlisted) == (2, 1)
    assert len([one for one in rig.out.events if isinstance(one, Reading)]) == 3
    with pytest.raises(TooManyDevices):
        await rig.registry.register("d", {})


async def test_device_that_connects_before_the_store_is_read_is_online_after_loading() -> None:
    rig = Rig()
    rig.devices.by_id = {"a": Device("a", name="Büro")}
    rig.registry.connected("a")
    with pytest.raises(StoreUnavailable):
        rig.registry.get("a")
    await rig.registry.load()
    assert (rig.registry.get("a").name, rig.registry.get("a").online) == ("Büro", True)


async def test_device_state_is_bounded_in_keys_and_bytes(rig: Rig) -> None:
    rig.registry.connected("a")
    rig.registry.update_state("a", {f"k{n}": n for n in range(70)} | {"$bad": 1, "": 1, "a.b": 1})
    assert len(rig.registry.get("a").state) == 64
    assert rig.registry.counts.state_keys == 9
    rig.registry.update_state("a", {"k1": "x" * 20_000})
    assert rig.registry.get("a").state["k1"] == 1
    rig.registry.update_state("a", {"k1": None})
    assert "k1" not in rig.registry.get("a").state


async def test_statuses_beyond_the_limit_leave_out_the_oldest(rig: Rig) -> None:
    for n in range(5):
        rig.publish_reading(f"d{n}")
        rig.now_ms += 1
    assert [one.device_id for one in rig.registry.statuses(3)] == ["d2", "d3", "d4"]


async def test_devices_are_found_by_id_and_by_site_after_every_change(rig: Rig) -> None:
    registry = rig.registry
    for name, site in (("c", "Home"), ("a", "Home"), ("b", "Office"), ("d", None)):
        await registry.register(name, {"site": site})
    rig.publish_reading("e")
    assert [one.id for one in registry.all()] == ["a", "b", "c", "d", "e"]
    assert [one.id for one in registry.all("bb")] == [one.id for one in registry.all("b")] == ["c", "d", "e"]
    assert [one.id for one in registry.some(("e", "a", "nobody", "c"), "a")] == ["c", "e"]
    await registry.update("a", {"site": "Office"})
    await registry.update("c", {"site": None})
    await registry.update("d", {"site": "Home"})
    await registry.remove("b")
    assert (registry.devices_at(["Home"]), registry.devices_at({"Office", "Nowhere"})) == (["d"], ["a"])
    assert registry.devices_at(["Home", "Home"]) == ["d"]
    await registry.remove("d")
    assert registry.devices_at(["Home", ""]) == []
    assert [one.id for one in registry.all()] == ["a", "c", "e"]


# --- silence ---------------------------------------------------------------------------------------------------------


async def test_a_shorter_expected_interval_takes_a_silent_device_offline_at_once(rig: Rig) -> None:
    rig.publish_reading()
    await rig.registry.update("a", {"expectedInterval": 1000})
    rig.wait(100)
    assert rig.registry.get("a").online
    await rig.registry.update("a", {"expectedInterval": 10})
    rig.wait(0)
    assert not rig.registry.get("a").online


async def test_a_longer_expected_interval_lets_a_device_be_silent_for_longer(rig: Rig) -> None:
    rig.publish_reading()
    await rig.registry.update("a", {"expectedInterval": 10})
    rig.wait(29)
    await rig.registry.update("a", {"expectedInterval": 20})
    rig.wait(30)
    assert rig.registry.get("a").online
    rig.wait(2)
    assert not rig.registry.get("a").online


async def test_a_device_that_reports_faster_than_before_is_sooner_silent(rig: Rig) -> None:
    for seconds in (1000, 1000, 1000, 1000, 1000, *[20] * 200):
        rig.wait(seconds)
        rig.publish_reading()
    rig.wait(59)
    assert rig.registry.get("a").online
    rig.wait(10)
    assert not rig.registry.get("a").online


async def test_a_device_that_comes_back_can_become_silent_again(rig: Rig) -> None:
    rig.publish_reading()
    await rig.registry.update("a", {"expectedInterval": 10})
    for _ in range(3):
        rig.wait(31)
        assert not rig.registry.get("a").online
        rig.wait(1)
        rig.publish_reading()
        assert rig.registry.get("a").online


async def test_a_check_looks_only_at_devices_that_are_due(rig: Rig) -> None:
    looked_at: list[str] = []

    class Watched(Device):
        def silence_ms(self) -> int | None:
            looked_at.append(self.id)
            return super().silence_ms()

    for name, seconds in (("a", 10), ("b", 1000)):
        rig.registry._table.put(Watched(name, expected_seconds=seconds))
        rig.publish_reading(name)
    looked_at.clear()
    rig.wait(31)
    assert (looked_at, rig.statuses()[-1]) == (["a"], ("a", "offline"))
    for _ in range(50):
        rig.wait(1)
    assert looked_at == ["a"]


async def test_a_running_registry_takes_a_device_offline_within_a_second_of_its_silence() -> None:
    out = RecordingPublisher()
    registry = Registry(MemoryStore(), DevicesSettings())
    registry.next = out
    await registry.load()
    await registry.register("slow", {"expectedInterval": 1000})
    begin, now_ms = time.monotonic(), time.time_ns() // 1_000_000
    registry.publish([DeviceStatus("slow", "online", now_ms)])
    running = asyncio.create_task(registry.run())
    await asyncio.sleep(0)  # it waits for the device that is due in 50 minutes
    await registry.register("fast", {"expectedInterval": 0.1})
    registry.publish([DeviceStatus("fast", "online", now_ms)])
    async with asyncio.timeout(30):
        while registry.get("fast").online:
            await asyncio.sleep(0.01)
    assert time.monotonic() - begin >= 0.3
    assert registry.get("slow").online
    running.cancel()


# --- the clock is set ------------------------------------------------------------------------------------------------

HOURS = 3600.0


async def test_silence_is_measured_although_the_clock_was_set_back(rig: Rig) -> None:
    for _ in range(6):
        rig.publish_reading()
        rig.wait(10)
    rig.set_clock(-2 * HOURS)
    assert rig.registry.get("a").online
    rig.wait(19)
    assert rig.registry.get("a").online
    rig.wait(2)
    assert not rig.registry.get("a").online
    assert rig.statuses()[-1] == ("a", "offline")


async def test_clock_that_is_set_forward_makes_no_device_silent(rig: Rig) -> None:
    for _ in range(6):
        rig.publish_reading()
        rig.wait(10)
    rig.set_clock(2 * HOURS)
    assert rig.registry.get("a").online
    rig.publish_reading()
    assert rig.registry.get("a").reporting_interval.seconds == 10


async def test_device_that_went_offline_before_the_clock_was_set_back_comes_online_with_its_next_reading(rig: Rig) -> None:
    rig.registry.publish([DeviceStatus("a", "online", rig.now_ms)])
    rig.registry.publish([DeviceStatus("a", "offline", rig.now_ms)])
    rig.set_clock(-2 * HOURS)
    rig.wait(1)
    rig.publish_reading()
    assert rig.registry.get("a").online


async def test_last_reading_and_last_seen_return_from_the_future_when_the_clock_is_set_back(rig: Rig) -> None:
    rig.publish_reading()
    rig.set_clock(-2 * HOURS)
    rig.wait(1)
    rig.publish_reading()
    device = rig.registry.get("a")
    assert device.last_seen_ms == rig.now_ms
    assert device.last_reading is not None
    assert device.last_reading.timestamp_ms == rig.now_ms
    rig.publish_reading(ago_ms=30_000)
    assert device.last_reading.timestamp_ms == rig.now_ms, "a late reading is still not the newest"


def ignoring(rig: Rig, ignored: dict[str, str], **extra: float | str) -> None:
    more = {"ignored": ignored, "extra": extra}
    rig.registry.publish([Reading(ObjectId(), "a", {"temperature": 1}, rig.now_ms, rig.now_ms, **more)])  # type: ignore[arg-type]


async def test_keys_that_are_not_taken_are_kept_with_reason_last_value_and_since_when() -> None:
    rig = Rig()
    await rig.registry.load()
    ignoring(rig, {"uptime": "unknown key", "ssid": "unknown key"}, uptime=5)
    rig.wait(60)
    ignoring(rig, {"uptime": "unknown key"}, uptime=65)
    unknown: dict[str, object] = {"key": "key.unknown", "parameters": {}}
    shown = rig.registry.get("a").also_sends_public()["alsoSends"]
    assert shown == {
        "uptime": {"reason": "unknown key", "since": "2025-12-29T09:20:00.000Z", "lastValue": 65, "cause": unknown},
        "ssid": {"reason": "unknown key", "since": "2025-12-29T09:20:00.000Z", "cause": unknown},
    }


async def test_keys_that_are_not_taken_survive_a_restart() -> None:
    rig = Rig()
    await rig.registry.load()
    ignoring(rig, {"uptime": "unknown key", "ssid": "unknown key"}, uptime=5)
    await rig.registry.close()
    (stored,) = await rig.devices.all(10)
    assert stored.also_sends_public() == rig.registry.get("a").also_sends_public() != {}


async def test_number_and_length_of_keys_that_are_not_taken_are_bounded() -> None:
    rig = Rig()
    await rig.registry.load()
    for start in range(0, 200, 50):
        ignoring(rig, {f"key{n}": "unknown key" for n in range(start, start + 50)})
    ignoring(rig, {"x" * 10_000: "y" * 10_000, "\ud800": "unknown key"})
    assert len(rig.registry.get("a").also_sends) == 64
    await rig.registry.update("a", {"alsoSends": None})
    assert rig.registry.get("a").also_sends == {}
    ignoring(rig, {"x" * 10_000: "y" * 10_000, "\ud800": "unknown key"})
    assert all(len(key) <= 64 and len(sent.reason) <= 200 for key, sent in rig.registry.get("a").also_sends.items())
    assert "'\\ud800'" in rig.registry.get("a").also_sends


async def test_part_is_shown_with_its_device_and_registered_with_it() -> None:
    rig = Rig(registration="required")
    await rig.registry.load()
    await rig.registry.register("cold", {})
    for device, part_of in (("cold.DS18B20-2", "cold"), ("stranger.x", "stranger")):
        rig.registry.publish([Reading(ObjectId(), device, {"temperature": 1}, rig.now_ms, rig.now_ms, part_of=part_of)])
    assert rig.registry.get("cold.DS18B20-2").public()["partOf"] == "cold"
    assert "stranger.x" not in rig.registry
    await rig.registry.close()
    assert [one.part_of for one in await rig.devices.all(10)] == [None, "cold"]


async def test_part_never_takes_the_id_of_another_device_with_readings() -> None:
    rig = Rig()
    await rig.registry.load()
    rig.publish_reading("cold.x")
    rig.registry.publish([Reading(ObjectId(), "cold.y", {"temperature": 1}, rig.now_ms, rig.now_ms, part_of="cold")])
    assert rig.registry.is_other_device("cold.x", "cold")
    assert not rig.registry.is_other_device("cold.y", "cold")
    assert rig.registry.is_other_device("cold.y", "other")
    assert not rig.registry.is_other_device("unknown", "cold")
