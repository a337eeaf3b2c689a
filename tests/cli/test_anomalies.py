"""`sensor-bridge anomalies`, of a running bridge and on real stores."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from bson.objectid import ObjectId

from bridge.analysis.anomaly.record import AnomalyKind
from bridge.cli.analysis.anomalies import NEIGHBOURS_LIMIT, try_device
from bridge.core.devices.device import Device
from bridge.core.errors import UnknownDevice
from bridge.core.readings.reading import Reading
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.analysis.anomaly.series import DAY_MS, HOUR_MS, START_MS
from tests.analysis.anomaly.test_drift import halved, right, room
from tests.analysis.anomaly.test_rules import FEW_MINUTES_MS, air, changed
from tests.analysis.posting import saturated
from tests.analysis.test_anomalies_on_servers import Asking
from tests.cli.test_cli import ended
from tests.conftest import StartBridge
from tests.fakes import MemoryStore


def stored(readings: list[Reading]) -> list[Reading]:
    """The readings as a store wants them: each with its own id and cursor."""
    return [replace(one, id=ObjectId(), seq=one.timestamp_ms * 1000 + number % 1000) for number, one in enumerate(readings)]


def frozen_kitchen(end_ms: int) -> list[Reading]:
    """Ten days up to a time, of which one and a quarter have the same temperature."""
    values = changed(air(240), 100, 130, {"temperature": 21.37})
    start_ms = end_ms - len(values) * FEW_MINUTES_MS
    times = [start_ms + number * FEW_MINUTES_MS for number in range(len(values))]
    return stored([Reading(ObjectId(), "kitchen", one, at, at) for at, one in zip(times, values, strict=True)])


async def filled(folder: Path, readings: list[Reading], devices: list[Device]) -> str:
    return await filled_at(f"sqlite:///{folder}/bridge.db", readings, devices)


async def filled_at(url: str, readings: list[Reading], devices: list[Device]) -> str:
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        for start in range(0, len(readings), 500):
            await store.write(readings[start : start + 500], [], [])
        await store.devices.save(devices)
    return url


async def test_anomalies_of_a_device_are_shown_with_their_sentence(tmp_path: Path) -> None:
    url = await filled(tmp_path, frozen_kitchen(time.time_ns() // 1_000_000), [Device("kitchen", room="kitchen")])
    code, out, err = await ended(
        tmp_path / "run", "anomalies", "try", "--device", "kitchen", "--since", "20d", BRIDGE_STORE__URL=url, COLUMNS="200"
    )
    assert code == 0
    assert "Temperature has been exactly 21.4 °C for 24" in " ".join(out.split())
    row = next(line for line in out.splitlines() if "stuck" in line)
    assert "temperature" in row
    assert "1 anomaly in 2,880 readings of kitchen from " in err
    assert "without a neighbour to compare with" in err
    code, out, again = await ended(
        tmp_path / "run", "anomalies", "try", "--device", "kitchen", "--since", "20d", "--json", BRIDGE_STORE__URL=url
    )
    [anomaly] = orjson.loads(out)
    assert (code, again) == (0, err)
    assert (anomaly["kind"], anomaly["fields"], anomaly["deviceId"]) == ("stuck", ["temperature"], "kitchen")


async def test_anomalies_are_the_same_in_mongodb(mongo_url: str) -> None:
    """More readings than a page has, which the limit in time leaves some of out."""
    hall = [Device(one, room="hall") for one in ("a", "b", "c")]
    readings = stored(list(room({"a": halved, "b": right, "c": right}, days=75)))
    url = await filled_at(mongo_url, readings, hall)
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        result = await try_device(store, "a", START_MS + 2 * DAY_MS)
    assert result.readings == 73 * 24
    memory = MemoryStore()
    await memory.devices.save(hall)
    await memory.write(readings, [], [])
    assert result == await try_device(memory, "a", START_MS + 2 * DAY_MS)
    assert [one.kind for one in result.anomalies.values()] == [AnomalyKind.DRIFT]


async def test_only_readings_since_the_given_time_are_judged(tmp_path: Path) -> None:
    url = await filled(tmp_path, frozen_kitchen(time.time_ns() // 1_000_000), [])
    code, out, err = await ended(
        tmp_path / "run", "anomalies", "try", "--device", "kitchen", "--since", "4d", BRIDGE_STORE__URL=url
    )
    assert (code, "stuck" in out) == (0, False)
    assert "0 anomalies in 1,1" in err


async def test_unknown_device_is_one_sentence(tmp_path: Path) -> None:
    url = await filled(tmp_path, [], [Device("kitchen")])
    code, _, err = await ended(tmp_path / "run", "anomalies", "try", "--device", "cellar", BRIDGE_STORE__URL=url)
    assert code == 1
    assert err.startswith("unknown device cellar: it has no stored readings since 20")
    code, _, err = await ended(tmp_path / "run", "anomalies", "try", "--device", "kitchen", BRIDGE_STORE__URL=url)
    assert (code, err) == (0, "0 anomalies in 0 readings of kitchen, without a neighbour to compare with\n")


async def test_device_id_is_normalized(tmp_path: Path) -> None:
    url = await filled(tmp_path, [], [Device("k\u00fcche")])
    code, _, err = await ended(tmp_path / "run", "anomalies", "try", "--device", "ku\u0308che", BRIDGE_STORE__URL=url)
    assert (code, "0 anomalies in 0 readings of k\u00fcche" in err) == (0, True)


async def test_time_without_a_unit_is_refused(tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path / "run", "anomalies", "try", "--device", "a", "--since", "8")
    assert code == 2
    assert "must be a date or time" in err


async def test_device_is_compared_with_those_of_its_room_and_site_alone() -> None:
    store = MemoryStore()
    await store.devices.save([
        Device("a", site="north", room="hall"), Device("b", site="north", room="hall"),
        Device("c", site="north", room="hall"), Device("x", site="south", room="hall"), Device("y", site="north"),
    ])  # fmt: skip
    await store.write(stored(list(room({"a": halved, "b": right, "c": right, "x": right}))), [], [])
    result = await try_device(store, "a", START_MS)
    assert result.neighbours == ("b", "c")
    assert [(one.kind, one.device_id) for one in result.anomalies.values()] == [(AnomalyKind.DRIFT, "a")]
    assert result.readings == 60 * 24
    assert (await try_device(store, "b", START_MS)).anomalies == {}
    assert (await try_device(store, "y", START_MS)).neighbours == ()
    assert (await try_device(store, "a", START_MS + 55 * DAY_MS)).readings == 5 * 24


async def test_neighbours_are_limited() -> None:
    store = MemoryStore()
    await store.devices.save([Device(f"d{number:02}", room="hall") for number in range(30)])
    result = await try_device(store, "d05", START_MS)
    assert len(result.neighbours) == NEIGHBOURS_LIMIT
    with pytest.raises(UnknownDevice, match="unknown device none"):
        await try_device(store, "none", START_MS + HOUR_MS)


async def test_anomalies_of_a_running_bridge_are_listed_and_marked_as_wrong(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge, Asking.of(bridge) as asking:
        for device in ("cellar", "attic"):
            await asking.send(saturated(device))
        found = {one["deviceId"]: one["id"] for one in await asking.anomalies(2)}
        where = ("--url", f"http://127.0.0.1:{bridge.port}")
        code, out, err = await ended(tmp_path, "anomalies", "list", *where, "--device", "cellar", COLUMNS="200")
        assert (code, err) == (0, "")
        row = next(line for line in out.splitlines() if found["cellar"] in line)
        for text in ("saturated", "standing", "cellar", "co2", "2026-01-01 00:10"):
            assert text in row
        assert found["attic"] not in out
        code, out, err = await ended(tmp_path, "anomalies", "list", *where, "--state", "wrong")
        assert (code, out.strip()) == (0, "no wrong anomalies; --state all lists the others")
        code, out, err = await ended(tmp_path, "anomalies", "list", *where, "--limit", "1")
        assert "there are more" in err
        code, out, err = await ended(tmp_path, "anomalies", "wrong", found["cellar"], *where, "--comment", "a leak test")
        assert (code, out.strip()) == (0, f"{found['cellar']} marked as wrong by anyone")
        [marked] = await asking.anomalies(state="wrong")
        assert marked["comment"] == "a leak test"
        code, out, err = await ended(tmp_path, "anomalies", "wrong", "0" * 24, *where)
        assert code != 0
        assert "no anomaly" in err
