"""`sensor-bridge cluster …` on real databases, beside bridges that run."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import orjson
import pymongo
import pytest
from bson.objectid import ObjectId
from pydantic import SecretStr

from bridge.pipeline.lease import KEY, LeaseHolder, this_process
from bridge.settings import ClusterSettings, HttpSettings, MqttSettings
from bridge.tools.simulator import simulate
from tests.cli.test_cli import ended
from tests.conftest import StartBridge
from tests.servers import until

Database = pymongo.database.Database[dict[str, Any]]

PLANT = ClusterSettings(name="plant", bus=SecretStr("none"))


async def test_prepare_lists_readings_with_equal_cursors_and_gives_them_the_next_ones(
    tmp_path: Path, mongo_url: str, database: Database
) -> None:
    database["readings"].create_index([("seq", 1)], name="seq")
    twin = ObjectId()
    database["readings"].insert_many([{"seq": 7, "deviceId": "a"}, {"_id": twin, "seq": 7, "deviceId": "b"}])

    code, out, err = await ended(tmp_path, "cluster", "prepare", BRIDGE_STORE__URL=mongo_url)
    assert (code, f"reading {twin} of b: seq 7 is that of another: now 8" in out) == (0, True), err
    assert "last cursor 8, 1 renumbered" in out
    assert "making the index on seq unique: 2 readings" in err
    assert sorted(one["seq"] for one in database["readings"].find()) == [7, 8]

    code, out, err = await ended(tmp_path, "cluster", "prepare", BRIDGE_STORE__URL=mongo_url)
    assert (code, "last cursor 8, 0 renumbered" in out, err) == (0, True, "")


async def test_prepare_beside_a_bridge_without_a_cluster_loses_none_of_its_readings(
    tmp_path: Path, mongo_url: str, broker_url: str, database: Database, start_bridge: StartBridge
) -> None:
    sent: list[str] = []
    broker = MqttSettings(url=SecretStr(broker_url))
    async with start_bridge(broker_url, mongo_url) as bridge, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(
            simulate(broker, devices=5, rate=200, count=1000, seed=1, sent=sent.append, lost=lambda _: None), name="sensors"
        )
        await until(lambda: len(sent) > 100, what="readings")
        before = len(sent)
        code, _, err = await ended(tmp_path, "cluster", "prepare", BRIDGE_STORE__URL=mongo_url)
        assert (code, len(sent) > before) == (0, True), err
        await sending
        await until(lambda: database["readings"].count_documents({}) == 1000, what="1000 readings")
        assert bridge.health.ready
    assert database["readings"].index_information()["seq"]["unique"] is True


@pytest.mark.parametrize("command", ["prepare", "status"])
async def test_a_sqlite_file_is_refused_with_the_setting_to_change(tmp_path: Path, command: str) -> None:
    code, _, err = await ended(tmp_path, "cluster", command, BRIDGE_STORE__URL="sqlite:///data/bridge.db")
    assert (code, err) == (
        2,
        "wrong settings\nstore.url names a SQLite file: several bridges need MongoDB: mongodb://host:27017/name\n",
    )


async def test_status_of_a_database_that_is_not_prepared_says_what_to_run(tmp_path: Path, mongo_url: str) -> None:
    code, _, err = await ended(tmp_path, "cluster", "status", BRIDGE_STORE__URL=mongo_url)
    assert (code, "run `sensor-bridge cluster prepare`" in err) == (1, True)


async def test_status_shows_the_bridge_that_leads(
    tmp_path: Path, mongo_url: str, broker_url: str, start_bridge: StartBridge
) -> None:
    async with start_bridge(broker_url, mongo_url, cluster=PLANT), start_bridge(broker_url, mongo_url, cluster=PLANT):
        code, out, err = await ended(tmp_path, "cluster", "status", "--json", BRIDGE_STORE__URL=mongo_url)
        table = await ended(tmp_path, "cluster", "status", BRIDGE_STORE__URL=mongo_url)
    found = orjson.loads(out)
    assert (code, err, found["cluster"], found["faults"], found["open"]) == (0, "", "plant", [], [])
    (leader,) = [one for one in found["bridges"] if one["leads"]]
    assert len([one for one in found["bridges"] if one["receives"]]) == 1
    assert (leader["pid"], leader["is_alive"]) == (os.getpid(), True)
    assert (table[0], leader["id"] in table[1], "cluster plant: last cursor" in table[1]) == (0, True, True)


async def test_status_fails_if_no_bridge_leads(tmp_path: Path, mongo_url: str, database: Database) -> None:
    await ended(tmp_path, "cluster", "prepare", BRIDGE_STORE__URL=mongo_url)
    code, _, err = await ended(tmp_path, "cluster", "status", BRIDGE_STORE__URL=mongo_url)
    assert (code, "no bridge leads: silence and alarms are not decided" in err) == (1, True)

    silent = this_process("plant").to_text().replace('"pid": ', '"pid": 4')
    database["state"].insert_one({"_id": KEY, "value": silent})
    code, _, err = await ended(tmp_path, "cluster", "status", BRIDGE_STORE__URL=mongo_url)
    assert (code, "has the lease and does not renew it" in err) == (1, True)


async def test_status_fails_if_no_bridge_receives_by_mqtt(
    tmp_path: Path, mongo_url: str, broker_url: str, database: Database, start_bridge: StartBridge
) -> None:
    silent = LeaseHolder("0123456789abcdef#1", "elsewhere", 7, "another machine", "1")
    database["state"].insert_one({"_id": "cluster/plant/receiver", "value": silent.to_text()})
    patient = PLANT.model_copy(update={"adopt_seconds": 60.0})
    async with start_bridge(broker_url, mongo_url, cluster=patient):
        code, _, err = await ended(tmp_path, "cluster", "status", BRIDGE_STORE__URL=mongo_url)
    assert (code, "no bridge receives by MQTT" in err) == (1, True)


async def test_status_fails_if_a_range_is_open_for_too_long(tmp_path: Path, mongo_url: str, database: Database) -> None:
    await ended(tmp_path, "cluster", "prepare", BRIDGE_STORE__URL=mongo_url)
    low = time.time_ns() // 1000 - 5_000_000
    taken = {"previous": 0, "low": low, "high": low + 9, "bridge": "dead"}
    database["order"].update_one({"_id": "order"}, {"$set": {"last": low + 9, "open": [taken]}})
    code, out, err = await ended(tmp_path, "cluster", "status", "--json", BRIDGE_STORE__URL=mongo_url)
    (found,) = orjson.loads(out)["open"]
    assert (code, found["bridge"], found["high"] - found["low"]) == (1, "dead", 9)
    assert 5 <= found["age_seconds"] < 60
    assert f"cursors {low} to {low + 9} of bridge dead are open for" in err


async def test_status_names_a_bridge_that_is_in_no_cluster(
    tmp_path: Path, mongo_url: str, broker_url: str, start_bridge: StartBridge
) -> None:
    await ended(tmp_path, "cluster", "prepare", BRIDGE_STORE__URL=mongo_url)
    async with start_bridge(broker_url, mongo_url, http=HttpSettings(port=0)):
        code, _, err = await ended(tmp_path, "cluster", "status", BRIDGE_STORE__URL=mongo_url)
    assert (code, "is in no cluster: set cluster.name there, or stop it" in err) == (1, True)
