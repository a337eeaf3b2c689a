"""What every test can ask for: a broker, a database, a running bridge."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pymongo
import pytest
from pydantic import SecretStr

from bridge.app import Bridge
from bridge.settings import (
    AccessSettings,
    DevicesSettings,
    HttpSettings,
    MqttSettings,
    RealtimeSettings,
    Settings,
    StoreSettings,
)
from tests import servers


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MongoDB for the whole run."""
    with servers.mongo(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture
def mongo_url(mongo_server: str) -> Iterator[str]:
    """The URL of a database of this test's own, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield mongo_server.replace("/?", f"/{name}?") if "/?" in mongo_server else f"{mongo_server.rstrip('/')}/{name}"
    with pymongo.MongoClient[dict[str, object]](mongo_server) as client:
        client.drop_database(name)


@pytest.fixture
def database(mongo_url: str) -> Iterator[pymongo.database.Database[dict[str, object]]]:
    """The same database, to look into."""
    with pymongo.MongoClient[dict[str, object]](mongo_url, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def broker_url(tmp_path: Path) -> Iterator[str]:
    """A fresh broker for this test (a given one is shared)."""
    with servers.mosquitto(tmp_path / "mosquitto") as url:
        yield url


StartBridge = Callable[..., AbstractAsyncContextManager[Bridge]]


@pytest.fixture
def start_bridge() -> StartBridge:
    """`async with start_bridge(mqtt_url, store_url) as bridge`: running, connected, and stopped the proper way."""

    @asynccontextmanager
    async def start(
        mqtt_url: str,
        store_url: str,
        *,
        ready: bool = True,
        http: HttpSettings | None = None,
        realtime: RealtimeSettings | None = None,
        devices: DevicesSettings | None = None,
        access: AccessSettings | None = None,
        **store: object,
    ) -> AsyncIterator[Bridge]:
        settings = Settings(
            mqtt=MqttSettings(url=SecretStr(mqtt_url), client_id=f"bridge-{uuid.uuid4().hex[:8]}"),
            store=StoreSettings.model_validate({"url": store_url, **store}),
            http=http or HttpSettings(port=0),
            realtime=realtime or RealtimeSettings(),
            devices=devices or DevicesSettings(),
            access=access or AccessSettings(),
        )
        bridge = Bridge(settings)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bridge.run(), name="bridge")
            waiting = tasks.create_task(bridge.listening.wait())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if running.done():
                running.result()
            if ready:
                await servers.until(lambda: bridge.health.ready, what="ready")
            try:
                yield bridge
            finally:
                bridge.stop()
                await running

    return start
