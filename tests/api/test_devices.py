"""The device registry of a running bridge: discovery, presence, and changes by operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from bridge.app import Bridge
from bridge.core.devices.device import LEARNT_RANGE_SECONDS, Device, ReportingInterval
from bridge.settings import DevicesSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.conftest import StartBridge
from tests.realtime.clients import listening
from tests.senders import patient
from tests.servers import until


class Client:
    """An HTTP client of a bridge, and a publisher at its broker."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession, broker_url: str) -> None:
        self.bridge = bridge
        self.session = session
        self.broker_url = broker_url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.bridge.port}"

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        data = None if body is None else orjson.dumps(body)
        async with self.session.request(method, self.url + path, data=data, **more) as answer:
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if raw else None

    async def device(self, device_id: str) -> Any:
        status, body = await self.ask("GET", f"/api/v1/devices/{device_id}")
        return body if status == 200 else {}

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        async with mqtt_sender(patient(self.broker_url)) as sender:
            await sender.publish(topic, payload, retain=retain)

    async def until_device(self, device_id: str, **expected: object) -> Any:
        async def matches() -> bool:
            device = await self.device(device_id)
            return bool(device) and all(device.get(name) == value for name, value in expected.items())

        await until(matches, what=f"{device_id} with {expected}")
        return await self.device(device_id)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(params=["sqlite", "mongo"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else request.getfixturevalue("mongo_url")


@pytest.fixture
async def client(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, session: aiohttp.ClientSession
) -> AsyncIterator[Client]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        yield Client(bridge, session, broker_url)


async def test_device_is_created_and_online_with_its_first_reading(client: Client) -> None:
    async with listening(client.bridge) as listener:
        await client.publish("sensors/esp32-1/data", b'{"temperature": 21.5}')
        await until(lambda: listener.of("deviceStatus"))
        assert listener.of("deviceStatus")[0].items() >= {"deviceId": "esp32-1", "status": "online"}.items()
    device = await client.device("esp32-1")
    assert device["status"] == "online"
    assert device["lastReading"]["temperature"] == 21.5
    assert device["lastSeen"] == device["lastReading"]["receivedAt"]
    assert "name" not in device, "unknown attributes are absent"
    assert (await client.ask("GET", "/api/v1/sensors"))[1]["devices"] == [device | {"created_at": device["createdAt"]}]


async def test_last_will_takes_a_device_offline(client: Client) -> None:
    await client.publish("sensors/a/status", b"online")
    await client.until_device("a", status="online", connection="mqtt")
    await client.publish("sensors/a/status", b'{"status": "offline"}')
    assert "connection" not in await client.until_device("a", status="offline")


async def test_device_that_is_silent_for_three_intervals_is_offline(client: Client) -> None:
    await client.ask("POST", "/api/v1/devices", {"id": "a", "expectedInterval": 0.2})
    async with listening(client.bridge) as listener:
        await client.publish("sensors/a/data", b'{"temperature": 1}')
        await until(lambda: len(listener.of("deviceStatus")) == 2)
        assert [one["status"] for one in listener.of("deviceStatus")] == ["online", "offline"]
        await client.publish("sensors/a/data", b'{"temperature": 2}')
        await until(lambda: len(listener.of("deviceStatus")) >= 3)
        assert listener.of("deviceStatus")[2]["status"] == "online"


async def test_new_client_receives_the_statuses_of_devices(client: Client) -> None:
    for name, status in (("a", b"online"), ("b", b"offline")):
        await client.publish(f"sensors/{name}/status", status)
    await client.until_device("b", status="offline")
    async with listening(client.bridge) as listener:
        await until(lambda: listener.of("alerts"))
        assert [name for name, _ in listener.received] == ["connectionInfo", "deviceStatus", "deviceStatus", "alerts"]
        assert {one["deviceId"]: one["status"] for one in listener.of("deviceStatus")} == {"a": "online", "b": "offline"}


async def test_device_is_registered_changed_and_removed(client: Client) -> None:
    given = {"id": "bureau1", "name": "Büro", "site": "Maison", "room": "Bureau", "tipo": "MQ-135", "modelo": {"rev": 2}}
    status, created = await client.ask("POST", "/api/v1/sensors", given)
    assert status == 201
    assert created.items() >= given.items()
    assert (await client.ask("POST", "/api/v1/devices", given))[0] == 409
    status, changed = await client.ask(
        "PATCH", "/api/v1/devices/bureau1", {"room": "Salle", "tipo": None, "expectedInterval": 5}
    )
    assert (status, changed["room"], changed["expectedInterval"], changed["modelo"]) == (200, "Salle", 5, {"rev": 2})
    assert "tipo" not in changed
    assert await client.device("bureau1") == changed
    await client.publish("sensors/bureau1/data", b'{"temperature": 1}')
    await client.until_device("bureau1", status="online")
    assert await client.ask("DELETE", "/api/v1/devices/bureau1") == (204, None)
    assert (await client.ask("GET", "/api/v1/devices/bureau1"))[0] == 404
    assert len((await client.ask("GET", "/api/v1/readings?device=bureau1"))[1]["readings"]) == 1, "its readings stay"


async def test_devices_are_filtered_and_paged(client: Client) -> None:
    for n in range(5):
        await client.ask("POST", "/api/v1/devices", {"id": f"d{n}", "site": "ab"[n % 2], "type": "air", "name": f"Küche {n}"})

    async def found(query: str) -> list[str]:
        return [one["id"] for one in (await client.ask("GET", f"/api/v1/devices?{query}"))[1]["devices"]]

    assert await found("site=b") == ["d1", "d3"]
    assert await found("site=a&type=air&q=KÜCHE+2") == ["d2"]
    assert await found("status=online") == []
    page = (await client.ask("GET", "/api/v1/devices?limit=3"))[1]
    assert page["next"] == "d2"
    assert await found("limit=3&after=d2") == ["d3", "d4"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "", {"id": None}, 422, "id"),
        ("POST", "", {"name": 5}, 422, "name"),
        ("POST", "", {"id": "a+b"}, 422, "id"),
        ("POST", "", {"id": "."}, 422, "id"),
        ("POST", "", {"id": ".."}, 422, "id"),
        ("POST", "", {"id": "n", "name": 5}, 422, "name"),
        ("POST", "", {"id": "n", "name": "Kitchen\nmore"}, 422, "name"),
        ("PATCH", "/a", {"room": "Kit\x1b[2Jchen"}, 422, "room"),
        ("PATCH", "/a", {"site": "\u202eemoH"}, 422, "site"),
        ("POST", "", {"id": "n", "expectedInterval": "often"}, 422, "expectedInterval"),
        ("POST", "", {"id": "n", "status": "online"}, 422, "status"),
        ("POST", "", {"id": "n", "$where": 1}, 422, "$where"),
        ("POST", "", {"id": "n", "big": 2**64 - 1}, 422, "big"),
        ("POST", "", {"id": "n", "deep": [[[[[[[[1]]]]]]]]}, 422, "deep"),
        ("POST", "", {"id": "n"} | {f"a{i}": i for i in range(65)}, 422, "attributes"),
        ("POST", "", {"id": "n", "long": "x" * 20_000}, 422, "attributes"),
        ("POST", "", [1], 400, None),
        ("PATCH", "/a", {"id": "b"}, 422, "id"),
        ("PATCH", "/nobody", {"name": "x"}, 404, None),
        ("DELETE", "/nobody", None, 404, None),
        ("GET", "?limit=0", None, 400, "limit"),
        ("GET", "?where=1", None, 400, "where"),
    ],
)  # fmt: skip
async def test_invalid_device_is_a_problem_that_names_the_field(
    client: Client, method: str, path: str, body: object, status: int, field: str | None
) -> None:
    await client.ask("POST", "/api/v1/devices", {"id": "a"})
    got, answer = await client.ask(method, f"/api/v1/devices{path}", body)
    assert got == status, answer
    assert [one["field"] for one in answer.get("errors", [])] == ([field] if field else [])


async def test_registry_survives_a_restart(
    start_bridge: StartBridge, broker_url: str, store_url: str, session: aiohttp.ClientSession
) -> None:
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        await client.ask("POST", "/api/v1/devices", {"id": "a", "name": "Büro", "modelo": "x"})
        await client.publish("sensors/a/data", b'{"temperature": 1}')
        await client.publish("sensors/b/status", b"sleeping")
        await client.until_device("b", status="sleeping")
        before = await client.until_device("a", status="online")
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        assert await client.device("a") == before
        assert (await client.device("b"))["status"] == "sleeping"


PROBES = {"probe1": {"temperature": 44.3}, "probe2": {"temperature": 2.4}}


async def test_parts_keep_their_series_after_a_restart_and_when_one_fails(
    start_bridge: StartBridge, broker_url: str, store_url: str, session: aiohttp.ClientSession
) -> None:
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        await client.publish("sensors/cold/data", orjson.dumps(PROBES))
        own = (await client.until_device("cold", status="online"))["parts"]
        part_id = own["probe2"]["id"]
        part = await client.until_device(part_id, partOf="cold")
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        assert (await client.device("cold"))["parts"] == own
        assert (await client.device(part_id))["partOf"] == "cold"
        await client.publish("sensors/cold/data", orjson.dumps({"probe2": {"temperature": 9.5}}))
        await until(lambda: bridge.ledger.account("mqtt").stored == 1)
        _, body = await client.ask("GET", f"/api/v1/readings?device={part_id}")
        assert [one["temperature"] for one in body["readings"]] == [part["lastReading"]["temperature"], 9.5]


async def test_clock_units_and_parts_of_a_device_are_set_shown_and_kept(
    start_bridge: StartBridge, broker_url: str, store_url: str, session: aiohttp.ClientSession
) -> None:
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        await client.publish("sensors/cold/data", orjson.dumps(PROBES))
        await client.until_device("cold", status="online")
        change = {"timezone": "Europe/Paris", "units": {"tvoc": "mg/m³"}, "name": "Cold room", "parts": {"probe1": "own"}}
        status, answer = await client.ask("PATCH", "/api/v1/devices/cold", change)
        assert (status, answer["name"]) == (200, "Cold room")
        assert answer["parts"]["probe1"] == {"series": "own", "id": "cold.probe1"}
        await client.publish("sensors/cold/data", b'{"tvoc": 0.23, "timestamp": 1767000000}')
        await until(lambda: bridge.ledger.account("mqtt").stored == 2)
        _, body = await client.ask("GET", "/api/v1/readings?device=cold&from=1767000000&to=1767000001")
        assert [round(one["tvoc"]) for one in body["readings"]] == [50]
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        shown = await client.device("cold")
        assert (shown["timezone"], shown["units"]) == ("Europe/Paris", {"tvoc": "mg/m³"})
        _, shown = await client.ask("PATCH", "/api/v1/devices/cold", {"timezone": None, "units": None})
        assert not {"timezone", "units"} & shown.keys()
        assert (await client.ask("DELETE", "/api/v1/devices/cold"))[0] == 204
        await client.publish("sensors/cold/data", b'{"temperature": 20}')
        assert "parts" not in await client.until_device("cold", status="online"), "a removed device is learned anew"


@pytest.mark.parametrize(
    ("device", "change", "field", "message"),
    [
        ("cold", {"timezone": "Mars"}, "timezone", "must be an IANA time zone such as Europe/Paris"),
        ("cold", {"units": {"tvoc": "apples"}}, "units.tvoc", "apples"),
        ("cold", {"parts": {"probe9": "own"}}, "parts.probe9", "is not a part of this device"),
        ("cold", {"clockOffset": "+01:00"}, "clockOffset", "is set by the bridge"),
        ("cold", {"alsoSends": {}}, "alsoSends", "is set by the bridge"),
        ("cold.probe2", {"timezone": "UTC"}, "timezone", "belongs to the device of this part: set it for cold"),
    ],
)
async def test_invalid_clock_unit_or_part_is_refused_and_nothing_is_changed(
    client: Client, device: str, change: dict[str, Any], field: str, message: str
) -> None:
    await client.publish("sensors/cold/data", orjson.dumps(PROBES))
    await client.until_device("cold.probe2", status="online")
    before = await client.device(device)
    status, answer = await client.ask("PATCH", f"/api/v1/devices/{device}", {"name": "Changed", **change})
    assert status == 422
    (error,) = answer["errors"]
    assert error["field"] == field
    assert message in error["message"]
    assert await client.device(device) == before


async def test_keys_that_are_not_taken_are_listed_by_device_and_can_be_forgotten(client: Client) -> None:
    for device in ("a", "b", "c"):
        await client.publish(f"sensors/{device}/data", b'{"temperature": 1, "uptime": 5, "list": [1]}')
    shown = (await client.until_device("c", status="online"))["alsoSends"]
    assert shown["uptime"].items() >= {"reason": "unknown key", "lastValue": 5}.items()
    assert {"uptime", "list.0"} == shown.keys()
    _, first = await client.ask("GET", "/api/v1/ignored-keys?limit=2")
    assert ([one["id"] for one in first["devices"]], first["next"]) == (["a", "b"], "b")
    _, last = await client.ask("GET", "/api/v1/ignored-keys?after=b")
    assert last == {"devices": [{"id": "c", "alsoSends": shown}], "next": None}
    _, devices = await client.ask("GET", "/api/v1/devices")
    assert not any("alsoSends" in one for one in devices["devices"]), "only the detail has them"
    await client.ask("PATCH", "/api/v1/devices/c", {"alsoSends": None})
    assert "alsoSends" not in await client.device("c")


async def test_unregistered_device_is_rejected_where_registration_is_required(
    start_bridge: StartBridge, broker_url: str, store_url: str, session: aiohttp.ClientSession
) -> None:
    async with start_bridge(broker_url, store_url, devices=DevicesSettings(registration="required")) as bridge:
        client = Client(bridge, session, broker_url)
        await client.publish("sensors/unregistered/data", b'{"temperature": 1}')
        await client.publish("sensors/unregistered/status", b"online")
        await until(lambda: bridge.ledger.account("mqtt").rejected == 2)
        assert (await client.ask("GET", "/api/v1/devices"))[1]["devices"] == []
        await client.ask("POST", "/api/v1/devices", {"id": "unregistered"})
        await client.publish("sensors/unregistered/data", b'{"temperature": 2}')
        await client.until_device("unregistered", status="online")
        assert bridge.ledger.account("mqtt").stored == 1


async def test_control_characters_are_named_and_every_space_is_allowed(client: Client) -> None:
    status, answer = await client.ask("POST", "/api/v1/locations", {"name": "Loft\0"})
    message = "must not have control characters, such as line breaks"
    cause = {"key": "attribute.control", "parameters": {}}
    assert (status, answer["errors"]) == (422, [{"field": "name", "message": message, "cause": cause}])
    name = "Salle\u00a0: Noël \U0001f469\u200d\U0001f52c"
    assert (await client.ask("POST", "/api/v1/devices", {"id": "spaces", "name": name}))[1]["name"] == name


def test_learnt_interval_is_the_median_despite_outliers() -> None:
    interval, now = ReportingInterval(), 1
    for n in range(200):
        now += 3_600_000 if n % 10 == 9 else 0 if n % 3 else 30_000
        interval.observe(now)
    assert interval.is_known
    assert 27 <= interval.seconds <= 33


def test_learnt_interval_stays_within_its_bounds() -> None:
    fast, slow = ReportingInterval(), ReportingInterval()
    for n in range(1, 1000):
        fast.observe(n * 10)
        slow.observe(n * 10**9)
    assert fast.seconds >= LEARNT_RANGE_SECONDS[0]
    assert slow.seconds <= LEARNT_RANGE_SECONDS[1]


def test_silence_limit_is_unknown_before_enough_intervals() -> None:
    assert Device("a").silence_ms() is None
    assert Device("a", expected_seconds=2).silence_ms() == 6000
    assert Device("a", reporting_interval=ReportingInterval(60, 5)).silence_ms() == 180_000
    assert Device("a", reporting_interval=ReportingInterval(1, 5)).silence_ms() == 10_000
    assert Device("a", connection="socket", expected_seconds=2).silence_ms() is None
