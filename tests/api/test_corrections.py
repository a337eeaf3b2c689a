"""Corrections of single readings: what is accepted, who may make them, and what clients see afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.core.readings.identity import record_id
from tests.access.parts import guarded
from tests.api.test_devices import Client
from tests.api.test_devices import client as client
from tests.api.test_devices import session as session
from tests.conftest import StartBridge
from tests.realtime.clients import listening
from tests.servers import until

NOW = "2026-01-31T12:00:00Z"


async def stored(client: Client, **values: object) -> str:
    reading, json_type = {"deviceId": "a", "timestamp": NOW, **values}, {"Content-Type": "application/json"}
    status, answer = await client.ask("POST", "/api/v1/readings", reading, headers=json_type)
    assert status == 201
    return str(answer["ids"][0])


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"temperature": "hot"}, 422, "temperature"),
        ({"temperature": 500}, 422, "temperature"),
        ({"temperature": [1]}, 422, "temperature"),
        ({"temp": 1, "temperatura": 2}, 422, "temperatura"),
        ({"colour": "red"}, 422, "colour"),
        ({"seq": 1}, 422, "seq"),
        ({"_id": "0" * 24}, 422, "_id"),
        ({"deviceId": "b"}, 422, "deviceId"),
        ({"timestamp": "yesterday"}, 422, "timestamp"),
        ({"timestamp": None}, 422, "timestamp"),
        ({"timestamp": "2999-01-01T00:00:00Z"}, 422, "timestamp"),
        ({"temperature": None, "humidity": None}, 422, "body"),
        ([1], 400, None),
    ],
)
async def test_invalid_correction_changes_nothing_and_names_the_field(
    client: Client, changes: object, status: int, field: str | None
) -> None:
    identity = await stored(client, temperature=20, humidity=50)
    before = (await client.ask("GET", f"/api/v1/readings/{identity}"))[1]
    found, problem = await client.ask("PUT", f"/api/v1/readings/{identity}", changes)
    assert found == status, problem
    assert [one["field"] for one in problem.get("errors", ())] == ([] if field is None else [field])
    assert (await client.ask("GET", f"/api/v1/readings/{identity}"))[1] == before


async def test_correction_takes_names_of_payloads_and_keeps_the_other_fields(client: Client) -> None:
    identity = await stored(client, temperature=20, humidity=50, eco2="none", uptime=5)
    changes = {"temperatura": -50, "hum": None, "CO": 3, "sensor_id": "a", "timestamp": "2026-01-31T13:00:00+00:00"}
    status, after = await client.ask("PATCH", f"/api/v1/readings/{identity}", changes)
    assert status == 200, after
    assert (after["_id"], after["temperature"], after["coPpm"]) == (identity, -50, 3)
    assert (after["timestamp"], after["extra"]) == ("2026-01-31T13:00:00.000Z", {"uptime": 5})
    assert "humidity" not in after
    assert set(after["quality"]) == {"temperature", "eco2"}, "outside the usual range; not a number, as before"
    assert (await client.ask("GET", "/api/v1/devices/a"))[1]["lastReading"] == after
    rows = (await client.ask("GET", "/api/v1/readings?every=1h"))[1]["readings"]
    assert [(row["timestamp"], row["temperature"]["max"]) for row in rows] == [("2026-01-31T13:00:00.000Z", -50)]


async def test_unknown_reading_is_not_found(client: Client) -> None:
    for identity in ("0" * 24, "latest2", "x", "%24ne"):
        for method, body in (("GET", None), ("PUT", {"temperature": 1}), ("DELETE", None)):
            assert (await client.ask(method, f"/api/v1/readings/{identity}", body))[0] == 404, (method, identity)
    assert (await client.ask("GET", "/api/v1/readings/latest"))[0] == 200


async def test_client_that_reconnects_receives_what_is_left(client: Client) -> None:
    ids = [await stored(client, temperature=number) for number in range(3)]
    await client.ask("PUT", f"/api/v1/readings/{ids[1]}", {"temperature": 10})
    await client.ask("DELETE", f"/api/v1/readings/{ids[2]}")
    async with listening(client.bridge) as listener:
        answer: Any = await listener.client.call("subscribe", {"since": 0})
        assert answer["ok"]
        await until(lambda: len(listener.temperatures) == 2)
        assert listener.temperatures == [0, 10]
    assert (await client.ask("GET", "/api/v1/devices/a"))[1]["lastReading"]["temperature"] == 10


async def test_corrections_are_audited_and_need_the_right_to_manage_the_device(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        paths = {
            device: f"/api/v1/readings/{record_id(device, 1_767_000_000_000, {'temperature': 20})}"
            for device in ("hall", "stove")
        }
        for who, device, method, status in (
            ("viewer", "hall", "GET", 200),
            ("viewer", "hall", "PUT", 403),
            ("operator", "hall", "DELETE", 403),
            ("manage", "hall", "GET", 403),
            ("kitchen", "hall", "GET", 404),
            ("kitchen", "stove", "GET", 200),
            ("bounded", "hall", "PUT", 404),
            ("bounded", "hall", "DELETE", 404),
            ("bounded", "stove", "PUT", 200),
            ("manage", "hall", "PUT", 200),
            ("manage", "hall", "DELETE", 204),
        ):
            body = {"humidity": 40} if method == "PUT" else None
            assert (await made.as_(who, method, paths[device], body))[0] == status, (who, device, method)

        async def acts() -> list[tuple[str, str]]:
            acts = (await made.as_("admin", "GET", "/api/v1/audit"))[1]["acts"]
            return [(act["act"], act["more"]["device"]) for act in acts[::-1] if act["act"].startswith("reading ")]

        expected = [("reading changed", "stove"), ("reading changed", "hall"), ("reading removed", "hall")]

        async def all_are_written() -> bool:
            return await acts() == expected

        await until(all_are_written, what="three events in the audit")
