"""Alarms of a bridge on real servers: raised, told on every wire, acknowledged, kept over a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.notify.sender import SenderParts
from bridge.settings.alarms import AlarmsSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.conftest import StartBridge
from tests.notify.alarms import receiver
from tests.realtime.clients import Listener, Plain, listening
from tests.senders import patient
from tests.servers import until

CO = b'{"coPpm": 250, "temperature": 21}'


class Asking:
    """The alarms of a bridge by HTTP."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}/api/v1/alarms"

    async def get(self, path: str = "", **query: str) -> Any:
        async with self._session.get(self._url + path, params=query) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, status: int = 200, **body: object) -> Any:
        async with self._session.post(self._url + path, json=body) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


async def first(client: Listener, event: str) -> Any:
    await until(lambda: client.of(event), 20, event)
    return client.of(event)[0]


@pytest.mark.parametrize("kind", ["mongo", "sqlite"])
async def test_alarm_is_told_acknowledged_and_remembered_over_a_restart(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, tmp_path: Path, kind: str
) -> None:
    store = mongo_url if kind == "mongo" else f"sqlite:///{tmp_path}/bridge.db"
    async with (
        start_bridge(broker_url, store) as bridge,
        aiohttp.ClientSession() as session,
        Plain.connected(bridge) as plain,
        listening(bridge) as client,
        mqtt_sender(patient(broker_url)) as sender,
    ):
        for _ in range(3):
            await sender.publish("sensors/boiler/data", CO)
        told = await plain.receive("alert")
        assert (told["sensor_id"], told["rule"], told["level"], told["state"], told["value"], told["unit"]) == (
            "boiler", "co-ceiling", "critical", "unacknowledged", 250, "ppm",
        )  # fmt: skip
        alarms = Asking(session, bridge.port)
        [alarm] = (await alarms.get())["alarms"]
        assert (alarm["id"], alarm["message"]) == (told["alert_id"], "Carbon monoxide 250 ppm at boiler")
        event = await first(client, "alert")
        assert (event["kind"], event["data"]["id"]) == ("raised", alarm["id"])
        answer = await alarms.post(f"/{alarm['id']}/acknowledge", comment="we are outside")
        assert (answer["alarm"]["state"], answer["alarm"]["acknowledgedBy"]) == ("acknowledged", "anyone")
        assert "only an unacknowledged one" in (await alarms.post(f"/{alarm['id']}/acknowledge", 409))["detail"]
        assert "at most 8 hours" in (await alarms.post(f"/{alarm['id']}/shelve", 409, seconds=8 * 3600 + 60))["detail"]
    async with start_bridge(broker_url, store) as bridge, aiohttp.ClientSession() as session:
        alarms = Asking(session, bridge.port)
        [again] = (await alarms.get())["alarms"]
        assert again == answer["alarm"]
        async with listening(bridge) as client:
            assert [one["id"] for one in (await first(client, "alerts"))["data"]] == [alarm["id"]]
        history = await alarms.get(f"/{alarm['id']}")
        assert [(one["kind"], one["by"], one["comment"]) for one in history["transitions"]] == [
            ("raised", None, None),
            ("acknowledged", "anyone", "we are outside"),
        ]


async def test_rules_file_is_followed_its_target_told_at_once_and_a_bad_one_leaves_the_old(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, deadline_seconds, _ = SenderParts.__init__.__defaults__ or ()
    monkeypatch.setattr(SenderParts.__init__, "__defaults__", (clock, deadline_seconds, 3600.0))  # told when it is woken alone
    async with receiver() as server:
        rules = tmp_path / "alarms.toml"
        own = '[rules.freezer]\nfield = "temperature"\nabove = -15\nclear = -17\npriority = "high"\n'
        rules.write_text(f'{own}[[notify]]\nname = "hook"\nwebhook = "{server.url}/hook"\n')
        settings = AlarmsSettings(file=rules)
        async with (
            start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", alarms=settings) as bridge,
            aiohttp.ClientSession() as session,
            mqtt_sender(patient(broker_url)) as sender,
        ):
            alarms = Asking(session, bridge.port)
            await sender.publish("sensors/freezer-1/data", b'{"temperature": -3}')
            await until(lambda: server.posts, 20, "the webhook")
            [alarm] = (await alarms.get())["alarms"]
            assert (alarm["rule"], alarm["limit"]) == ("freezer", -15)

            async def is_told() -> bool:
                told = (await alarms.get(f"/{alarm['id']}"))["deliveries"]
                return [(one["target"], one["kind"], one["state"]) for one in told] == [("hook", "raised", "sent")]

            await until(is_told, 20, "the delivery in the alarm's history")
            rules.write_text(own.replace("above", "abvoe"))
            assert "abvoe" in (await alarms.post("/rules/reload", 422))["detail"]
            found = await alarms.get("/rules")
            assert "freezer" in {rule["id"] for rule in found["rules"]}
            assert "abvoe" in found["file"]["error"]
            rules.write_text('profile = "none"\n')
            assert (await alarms.post("/rules/reload"))["rules"] == 0
            assert (await alarms.get("/rules"))["file"] == {"error": None}
            assert (await alarms.get())["alarms"] == []


async def test_failed_sensor_raises_no_alarm_on_the_wire_and_hazards_in_other_shapes_do(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        aiohttp.ClientSession() as session,
        mqtt_sender(patient(broker_url)) as sender,
    ):
        for _ in range(3):
            await sender.publish("sensors/failed/data", b'{"co2": 65535, "ch4": 65535}')
            await sender.publish("sensors/brewery/data", b'{"co2": 40000}')
            await sender.publish("sensors/stove/data", b'{"ch4": {"value": 20, "unit": "%LEL"}, "gas": 1}')
            await sender.publish("sensors/attic/data", b'{"flame": "alarm", "smoke": "yes"}')
        alarms = Asking(session, bridge.port)
        raised: set[tuple[str, str]] = set()

        async def are_raised() -> bool:
            raised.update((one["deviceId"], one["rule"]) for one in (await alarms.get())["alarms"])
            return {("brewery", "co2-danger"), ("stove", "ch4-high"), ("attic", "flame")} <= raised

        await until(are_raised, 20, "the alarms")
        await until(lambda: bridge.ledger.account("mqtt").stored == 12, 20, "all readings: two of three raise an alarm")
        assert "failed" not in {device for device, _ in raised}
        async with session.get(f"http://127.0.0.1:{bridge.port}/api/v1/readings?device=failed") as answer:
            records = await answer.json()
        fault = "sensor failure: 65535 is a code, not a value"
        found = [(one["co2"], one["ch4Ppm"], one["quality"]) for one in records["readings"]]
        assert found == [(65535, 65535, {"ch4Ppm": fault, "co2": fault})] * 3
