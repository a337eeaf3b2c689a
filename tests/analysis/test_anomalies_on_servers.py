"""Anomalies of a bridge on real servers: on every wire, over a restart, marked, with access control, at any bridge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.app import Bridge
from bridge.settings import AnalysisSettings
from tests.access.parts import guarded
from tests.analysis.posting import recovered, saturated
from tests.cluster.test_cluster import running
from tests.conftest import StartBridge
from tests.realtime.clients import Plain, listening
from tests.servers import until

A_KEYS = [
    "id", "deviceId", "kind", "field", "fields", "priority", "state", "detectedAt", "since", "endedAt", "outcome", "message",
    "key", "parameters", "unit", "neighbour", "samples", "neighbourSamples", "markedBy", "comment",
]  # fmt: skip


class Asking:
    """The readings and anomalies of a bridge by HTTP."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{bridge.port}/api/v1"
        self._session = session

    @classmethod
    @asynccontextmanager
    async def of(cls, bridge: Bridge) -> AsyncIterator[Asking]:
        async with aiohttp.ClientSession() as session:
            yield cls(bridge, session)

    async def post(self, path: str, body: object, status: int = 200) -> Any:
        async with self._session.post(self._url + path, json=body) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def send(self, readings: list[dict[str, Any]]) -> None:
        await self.post("/readings", readings, 201)

    async def get(self, path: str = "/anomalies", status: int = 200, **query: str) -> Any:
        async with self._session.get(self._url + path, params=query) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def anomalies(self, count: int = 1, **query: str) -> list[Any]:
        found: list[Any] = []

        async def are_there() -> bool:
            found[:] = (await self.get("/anomalies", 200, **query))["anomalies"]
            return len(found) == count

        await until(are_there, 20, f"{count} anomalies")
        return found


async def anomaly_of(socket: Plain) -> Any:
    """The next message about an anomaly; there are alarms too."""
    while True:
        message = await socket.receive("alert", "entity_event")
        if "anomaly" in (message.get("kind"), message.get("entity_type")):
            return message


@pytest.mark.parametrize("kind", ["mongo", "sqlite"])
async def test_anomaly_is_told_on_every_wire_ends_and_is_known_after_a_restart(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, tmp_path: Path, kind: str
) -> None:
    store = mongo_url if kind == "mongo" else f"sqlite:///{tmp_path}/bridge.db"
    async with start_bridge(broker_url, store) as bridge, Asking.of(bridge) as asking:
        await asking.post("/devices", {"id": "cellar", "site": "Home", "room": "Cellar"}, 201)
        async with (
            Plain.connected(bridge) as everything,
            Plain.connected(bridge) as only,
            Plain.connected(bridge, "/api/v1/ws?channel=anomalies") as channel,
            Plain.connected(bridge, "/api/v1/ws?channel=predictions") as other,
            listening(bridge) as client,
        ):
            await only.call(type="subscribe", topics=["anomalies"])
            await only.call(type="unsubscribe", topics=["all"])
            await asking.send(saturated("cellar"))
            told = await anomaly_of(everything)
            [anomaly] = await asking.anomalies()
            assert list(anomaly) == A_KEYS
            assert (anomaly["kind"], anomaly["field"], anomaly["state"]) == ("saturated", "co2", "standing")
            assert (anomaly["priority"], anomaly["unit"], anomaly["endedAt"]) == ("low", "ppm", None)
            assert anomaly["message"].startswith("Carbon dioxide has been at the upper end of the sensor's range, 5,000 ppm")
            assert [one["value"] for one in anomaly["samples"]] == [5000, 5000]
            assert told == await only.receive("alert")
            assert told == anomaly | {
                "type": "alert", "kind": "anomaly", "change": "detected", "timestamp": anomaly["detectedAt"],
                "sensor_id": "cellar", "enseigne": "Home", "salle": "Cellar", "alert_id": anomaly["id"],
                "rule": "saturated", "level": "low",
            }  # fmt: skip
            event = await anomaly_of(channel)
            assert (event["entity_type"], event["event_type"], event["entity_id"]) == (
                "anomaly", "anomaly_detected", anomaly["id"],
            )  # fmt: skip
            assert event["metadata"] == {"action": "detect_anomaly", "kind": "detected"}
            assert event["data"]["message"] == anomaly["message"]
            await until(lambda: client.of("anomaly"), 20, "the event")
            [body] = client.of("anomaly")
            assert (body["kind"], body["data"]) == ("detected", anomaly)
            await asking.send(recovered("cellar"))
            told = await only.receive("alert")
            assert (told["change"], told["state"], told["outcome"]) == ("resolved", "ended", "ended")
            event = await anomaly_of(channel)
            assert (event["event_type"], event["metadata"]["action"]) == ("updated", "resolve_anomaly")
            await until(lambda: len(client.of("anomaly")) == 2, 20, "the end")
            assert (await other.call(type="ping")) == {"type": "pong"}
        assert (await asking.get())["anomalies"] == []
        [ended] = await asking.anomalies(state="ended")
    async with start_bridge(broker_url, store) as bridge, Asking.of(bridge) as asking:
        assert (await asking.get(state="all"))["anomalies"] == [ended]
        assert await asking.get(f"/anomalies/{ended['id']}") == ended
        await asking.send(saturated("cellar", first=100))
        [again] = await asking.anomalies()
        assert again["id"] != ended["id"]


async def test_alarms_are_not_sent_on_the_topic_of_anomalies(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        Asking.of(bridge) as asking,
        Plain.connected(bridge) as only,
        Plain.connected(bridge) as everything,
    ):
        await only.call(type="subscribe", topics=["anomalies"])
        await only.call(type="unsubscribe", topics=["all"])
        await asking.send([{"deviceId": "stove", "flameDetected": True} for _ in range(3)])
        assert (await everything.receive("alert"))["rule"] == "flame"
        await asking.send(saturated("cellar"))
        assert (await only.receive("alert"))["rule"] == "saturated"


async def test_list_has_filters_and_pages(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge, Asking.of(bridge) as asking:
        for number in range(5):
            await asking.send(saturated(f"d{number}", first=number))
        await asking.send(recovered("d0"))
        await asking.anomalies(4)
        [ended] = await asking.anomalies(state="ended")
        assert ended["deviceId"] == "d0"
        found: list[str] = []
        page = await asking.get(state="all", limit="2")
        found += [one["deviceId"] for one in page["anomalies"]]
        while page["next"]:
            page = await asking.get(state="all", limit="2", before=page["next"])
            found += [one["deviceId"] for one in page["anomalies"]]
        assert found == ["d4", "d3", "d2", "d1", "d0"]
        assert [one["deviceId"] for one in await asking.anomalies(device="d3")] == ["d3"]
        assert await asking.anomalies(0, device="d3", kind="stuck") == []
        await asking.get("/anomalies", 400, state="asleep")
        await asking.get("/anomalies", 400, limit="0")
        await asking.get(f"/anomalies/{'0' * 24}", 404)
        marked = await asking.post(f"/anomalies/{ended['id']}/wrong", {"comment": "a test"})
        assert (marked["state"], marked["markedBy"], marked["comment"]) == ("wrong", "anyone", "a test")
        assert await asking.anomalies(state="wrong") == [marked]
        assert await asking.anomalies(0, state="ended") == []
        await asking.post(f"/anomalies/{ended['id']}/wrong", {"comment": "x" * 1001}, 400)


async def test_metrics_count_readings_and_standing_anomalies(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge, Asking.of(bridge) as asking:
        await asking.send(saturated("cellar"))
        await asking.anomalies()
        text = ""

        async def is_counted() -> bool:  # once the bridge knows that it is stored
            nonlocal text
            async with asking._session.get(f"http://127.0.0.1:{bridge.port}/metrics") as answer:
                text = await answer.text()
            return "bridge_anomaly_changes_total 1" in text

        await until(is_counted, 20, "the change in the metrics")
        assert "bridge_anomaly_readings_total 8" in text
        assert 'bridge_anomalies_standing{kind="saturated"} 1' in text
        assert 'bridge_anomalies_standing{kind="stuck"} 0' in text
        assert "bridge_analysis_readings_dropped_total 0" in text


async def test_no_anomalies_are_looked_for_where_they_are_turned_off(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    off, store = AnalysisSettings(anomalies=False), f"sqlite:///{tmp_path}/bridge.db"
    async with start_bridge(broker_url, store) as bridge, Asking.of(bridge) as asking:
        await asking.send(saturated("cellar"))
        [anomaly] = await asking.anomalies()
    async with start_bridge(broker_url, store, analysis=off) as bridge, Asking.of(bridge) as asking:
        await asking.send(saturated("attic"))
        assert await asking.anomalies() == [anomaly]
        refused = await asking.post(f"/anomalies/{anomaly['id']}/wrong", {}, 409)
        assert "analysis.anomalies is off" in refused["detail"]


async def test_anomalies_and_marks_are_limited_to_the_scope(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        for device in ("stove", "cellar"):
            assert (await made.as_("send", "POST", "/api/v1/readings", saturated(device, first=60_000)))[0] == 201

        async def are_stored() -> bool:
            return len((await made.as_("viewer", "GET", "/api/v1/anomalies"))[1]["anomalies"]) == 2

        await until(are_stored, what="two anomalies")
        _, found = await made.as_("viewer", "GET", "/api/v1/anomalies")
        ids = {one["deviceId"]: one["id"] for one in found["anomalies"]}
        _, found = await made.as_("kitchen", "GET", "/api/v1/anomalies?state=all")
        assert [one["deviceId"] for one in found["anomalies"]] == ["stove"]
        assert (await made.as_("kitchen", "GET", "/api/v1/anomalies?device=cellar"))[1]["anomalies"] == []
        path = f"/api/v1/anomalies/{ids['cellar']}"
        for who, permitted in (("viewer", 200), ("kitchen", 404), ("see", 200), ("send", 403)):
            assert (await made.as_(who, "GET", path))[0] == permitted, who
        for who, permitted in (
            ("viewer", 403),
            ("kitchen", 404),
            ("see", 403),
            ("one", 403),
            ("command", 200),
        ):
            assert (await made.as_(who, "POST", f"{path}/wrong", {}))[0] == permitted, who
        status, marked = await made.as_("kitchen", "POST", f"/api/v1/anomalies/{ids['stove']}/wrong", {"comment": "mine"})
        assert (status, marked["state"], marked["markedBy"]) == (200, "wrong", "kitchen")

        async def is_audited() -> bool:
            _, audit = await made.as_("admin", "GET", "/api/v1/audit?limit=50")
            entries = {(one["act"], one["by"], one["about"]) for one in audit["acts"]}
            return ("anomaly wrong", "kitchen", "stove saturated") in entries

        await until(is_audited, what="the audit")


async def test_anomaly_is_shown_told_and_marked_at_a_bridge_that_does_not_lead(broker_url: str, mongo_url: str) -> None:
    async with running(broker_url, mongo_url, 2) as (leader, other):
        async with Plain.connected(other.bridge) as socket, Asking.of(other.bridge) as asking:
            await asking.send(saturated("cellar"))
            told = await anomaly_of(socket)
            assert (told["rule"], told["change"]) == ("saturated", "detected")
            [anomaly] = await asking.anomalies()
            assert told["id"] == anomaly["id"]
            marked = await asking.post(f"/anomalies/{anomaly['id']}/wrong", {"comment": "a leak test"})
            assert (marked["state"], marked["comment"]) == ("wrong", "a leak test")
            told = await anomaly_of(socket)
            assert (told["change"], told["state"]) == ("wrong", "wrong")
        async with Asking.of(leader.bridge) as asking:
            assert await asking.anomalies(state="wrong") == [marked]
