"""A question about some devices costs as much as those devices, however many others there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from bson.objectid import ObjectId

from bridge.access.service import AuthService
from bridge.api.commands.forms import DeviceFormsApi
from bridge.api.commands.routes import CommandsApi
from bridge.api.commands.submission import CommandSubmission
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.devices import DevicesApi
from bridge.api.login.cookies import SessionCookies
from bridge.api.middleware import auth, problems
from bridge.api.readings.stored import ReadingsApi
from bridge.core.devices.device import Device
from bridge.core.devices.profiles import Profiles
from bridge.core.readings.reading import Reading
from bridge.devices.commands import CommandService
from bridge.devices.locations import Locations
from bridge.devices.profile_service import ProfileService
from bridge.devices.registry import Registry
from bridge.settings import AccessSettings, DevicesSettings, HttpSettings, PageSettings
from tests.access.stage import EPOCH_MS, Mqtt, Notes
from tests.access.tokens import TokenAccess, person, scope
from tests.fakes import MemoryStore, RecordingPublisher

DEVICES = 2000
SITES = 100


class CountingStore(MemoryStore):
    """Records the devices that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Sequence[str] | None] = []

    async def latest(self, devices: Sequence[str] | None = None) -> list[Reading]:
        self.asked.append(devices)
        return await super().latest(devices)


class CountingDevices(dict[str, Device]):
    """Counts the devices that were read."""

    read = 0

    def __getitem__(self, name: str) -> Device:
        self.read += 1
        return super().__getitem__(name)

    def get(self, name: str, default: object = None) -> Device:
        self.read += 1
        return super().get(name, default)  # type: ignore[arg-type]

    def values(self) -> list[Device]:  # type: ignore[override]
        self.read += len(self)
        return list(super().values())


class Asked:
    """A client of the routes, with the number of devices that its last question cost."""

    def __init__(self, client: TestClient[web.Request, web.Application], registry: Registry, store: CountingStore) -> None:
        self.client = client
        self.store = store
        self.devices = registry._devices = registry._table.by_id = CountingDevices(registry._devices)

    async def ask(self, who: str, path: str) -> tuple[list[str], int]:
        """The devices in the answer, and how many were read for it."""
        self.devices.read = 0
        self.store.asked.clear()
        async with self.client.get(path, headers={"Authorization": f"Bearer {who}"}) as answer:
            body = orjson.loads(await answer.read())
        found = body.get("devices") or body.get("readings") or ([body] if "deviceId" in body else [])
        return [one.get("deviceId") or one["id"] for one in found], self.devices.read


@asynccontextmanager
async def asking() -> AsyncIterator[Asked]:
    access, store, http, settings = TokenAccess(), CountingStore(), HttpSettings(), DevicesSettings(limit=DEVICES)
    access.give("all", person("all"))
    access.give("one", person("one", scope=scope("d0007")))
    access.give("site", person("site", scope=scope("d0001", "unknown", sites=["s7", "s8"])))
    access.give("none", person("none", scope=scope(sites=["nowhere"])))
    names = [f"d{number:04}" for number in range(DEVICES)]
    await store.devices.save([Device(name, site=f"s{number % SITES}") for number, name in enumerate(names)])
    await store.write(
        [Reading(ObjectId(), name, {"temperature": 1}, EPOCH_MS, EPOCH_MS, seq=n) for n, name in enumerate(names, 1)], [], []
    )
    registry = Registry(store, settings)
    registry.next = RecordingPublisher()
    await registry.load()
    authorizer, notes = DeviceAuthorizer(registry, store), Notes()
    commands = CommandService(store.commands, registry, settings, socket=Mqtt(), mqtt=Mqtt())
    profiles = ProfileService(Profiles(), store.profiles, registry)
    app = web.Application(middlewares=[problems.middleware(), auth.middleware(access, notes, http)])
    app.add_routes(ReadingsApi(store, authorizer, PageSettings()).routes())
    locations = Locations(store.locations, store, registry, RecordingPublisher(), store.ping)
    app.add_routes(DevicesApi(registry, profiles, locations, authorizer, notes, http).routes())
    submission = CommandSubmission(commands, authorizer, notes, http)
    app.add_routes(CommandsApi(registry, commands, submission, authorizer).routes())
    cookies = SessionCookies(AuthService(AccessSettings(), settings, store), http)
    app.add_routes(DeviceFormsApi(registry, store, submission, authorizer, cookies, http.post_seconds).routes())
    async with TestClient(TestServer(app)) as client:
        yield Asked(client, registry, store)


AT_SITES = sorted({"d0001", *(f"d{number:04}" for number in range(DEVICES) if number % SITES in (7, 8))})


@pytest.mark.parametrize(
    ("who", "path", "found", "cost"),
    [
        ("all", "/get_telemetry?device=d0007", ["d0007"], 1),
        ("one", "/get_telemetry?device=d0007", ["d0007"], 2),
        ("one", "/get_telemetry?device=d0008", [], 1),
        ("all", "/get_telemetry?device=", [], 0),
        ("all", "/get_telemetry?device=%00%ff", [], 0),
        ("one", "/api/v1/readings/latest", ["d0007"], 1),
        ("site", "/api/v1/readings/latest", AT_SITES, 50),
        ("none", "/api/v1/readings/latest", [], 0),
        ("one", "/api/v1/devices", ["d0007"], 2),
        ("site", "/api/v1/devices", AT_SITES, 100),
        ("site", "/api/v1/devices?site=s7", [name for name in AT_SITES if name.endswith("07")], 100),
        ("all", "/api/v1/devices?site=s7&after=d1900", ["d1907"], 25),
        ("all", "/api/v1/devices?limit=3&after=d1500", ["d1501", "d1502", "d1503"], 5),
        ("none", "/api/v1/devices", [], 0),
    ],
)
async def test_question_reads_only_the_devices_that_it_is_about(who: str, path: str, found: list[str], cost: int) -> None:
    async with asking() as asked:
        answer, read = await asked.ask(who, path)
        assert answer == found
        assert read <= cost
        assert None not in asked.store.asked
        assert sum(len(devices or ()) for devices in asked.store.asked) <= len(found) + 1
