"""Documents of alarms that were damaged in the store: the bridge starts, and shows the others."""

from __future__ import annotations

import json
import logging
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from bridge.sources.mqtt.client import mqtt_sender
from tests.alarms.test_service_on_servers import CO, Asking
from tests.conftest import StartBridge
from tests.senders import patient
from tests.servers import until

DAMAGES = ("{oops", "[]", "{}", '{"record": 5}', '{"id": 1, "fold": {"states": {"co-ceiling": 1}}, "input": 0}')


def damage(path: Path) -> None:
    """Add damaged copies of everything that the store has of alarms."""
    with sqlite3.connect(path) as connection:
        for table in ("alarms", "alarm_transitions", "alarm_inputs", "air"):
            connection.row_factory = sqlite3.Row
            row = dict(connection.execute(f"select * from {table}").fetchone())  # noqa: S608
            for number, text in enumerate(DAMAGES):
                whole = json.loads(row["document"])
                body = {name: text for name in whole if name == "body"} or {"air": text}
                changed = row | {"id": f"{9_000 + number:016d}", "document": json.dumps(whole | body)}
                marks = ", ".join("?" * len(changed))
                connection.execute(f"insert into {table} ({', '.join(changed)}) values ({marks})", list(changed.values()))  # noqa: S608


async def test_damaged_documents_of_alarms_are_left_out(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bridge.db"
    async with (
        start_bridge(broker_url, f"sqlite:///{path}") as bridge,
        aiohttp.ClientSession() as session,
        mqtt_sender(patient(broker_url)) as sender,
    ):
        alarms = Asking(session, bridge.port)
        for _ in range(3):
            await sender.publish("sensors/boiler/data", CO)

        async def is_raised() -> bool:
            return bool((await alarms.get())["alarms"])

        await until(is_raised, what="the alarm")
        [alarm] = (await alarms.get())["alarms"]
        await alarms.post(f"/{alarm['id']}/acknowledge")
        with sqlite3.connect(path) as connection:  # the checkpoint at the end removes the inputs
            inputs = connection.execute("select * from alarm_inputs").fetchall()
    with sqlite3.connect(path) as connection:
        connection.executemany(f"insert into alarm_inputs values ({', '.join('?' * len(inputs[0]))})", inputs)  # noqa: S608
    damage(path)
    with caplog.at_level(logging.ERROR, "bridge.alarms"):
        async with start_bridge(broker_url, f"sqlite:///{path}") as bridge, aiohttp.ClientSession() as session:
            alarms = Asking(session, bridge.port)
            assert [(one["id"], one["state"]) for one in (await alarms.get())["alarms"]] == [(alarm["id"], "acknowledged")]
            assert [one["id"] for one in (await alarms.get(state="all"))["alarms"]] == [alarm["id"]]
            assert [one["kind"] for one in (await alarms.get(f"/{alarm['id']}"))["transitions"]] == ["raised", "acknowledged"]
            assert (await alarms.get("/stats"))["raised"] == 1
    said = [record.getMessage() for record in caplog.records]
    for what in ("alarm '", "input 900", "state of device '"):
        assert any(one.startswith(f"alarms: stored {what}") for one in said), (what, said)
    with sqlite3.connect(path) as connection:
        connection.execute("update state set value = '{\"seq\": 5}' where key = 'alarms.mark'")
    async with start_bridge(broker_url, f"sqlite:///{path}") as bridge, aiohttp.ClientSession() as session:
        assert (await Asking(session, bridge.port).get())["alarms"] == []
