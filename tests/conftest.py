"""What every test can ask for: a broker, a database, a running bridge."""

from __future__ import annotations

import gc
import uuid
import warnings
from asyncio import selector_events
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pymongo
import pytest
from aiohttp import web_app
from pymongo.network_layer import PyMongoProtocol

from bridge.app import Bridge
from bridge.settings import AccessSettings
from tests import running, scratch, servers
from tests.access.tally import PROPERTY

scratch.use_memory()

_TESTS = Path(__file__).parent

# No property is about time: on a busy machine an example may take seconds.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MongoDB for the whole run."""
    with servers.mongo(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture(scope="session")
def mongo_alone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, but no replica set: what `mongod` is out of the box."""
    with servers.mongo(tmp_path_factory.mktemp("mongo"), alone=True) as url:
        yield url


@pytest.fixture
def mongo_url(mongo_server: str) -> Iterator[str]:
    """The URL of a database of this test's own, dropped afterwards."""
    with _database_of(mongo_server) as url:
        yield url


@pytest.fixture
def mongo_alone_url(mongo_alone_server: str) -> Iterator[str]:
    """The same, where there is no replica set."""
    with _database_of(mongo_alone_server) as url:
        yield url


@contextmanager
def _database_of(server: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield server.replace("/?", f"/{name}?") if "/?" in server else f"{server.rstrip('/')}/{name}"
    with pymongo.MongoClient[dict[str, object]](server) as client:
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


@pytest.fixture
def access() -> AccessSettings:
    """Open, unless a test says otherwise."""
    return AccessSettings()


_LONG = ("faults", "upgrade")
"""Folders whose tests take up to a minute each, most of which they wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first: the last one of a run would keep one worker busy while the others have nothing left."""
    items.sort(key=lambda item: item.path.relative_to(_TESTS).parts[0] not in _LONG)


StartBridge = Callable[..., AbstractAsyncContextManager[Bridge]]


@pytest.fixture
def start_bridge() -> StartBridge:
    """`async with start_bridge(mqtt_url, store_url) as bridge`."""
    return running.start_bridge


class Attempts:
    """What the tests of access counted, from all workers."""

    def __init__(self) -> None:
        self.counts: list[tuple[int, int, int]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            found: list[Any] = [value for name, value in report.user_properties if name == PROPERTY]
            self.counts += [(tried, accepted, refused) for tried, accepted, refused in found]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.counts:
            tried, accepted, refused = (sum(column) for column in zip(*self.counts, strict=True))
            terminalreporter.write_line(f"access: {tried:,} attempts, {accepted} wrongly accepted, {refused} wrongly refused")


def _without_pymongos(report: Callable[..., None]) -> Callable[[Any], None]:
    """PyMongo 4.20 loses a connection if the task that opens it is cancelled at the wrong moment: 22 of 4,831 times.

    Others are reported with what they were for.
    """

    def close(transport: Any) -> None:
        def warn(text: str, category: type[Warning], **more: Any) -> None:
            warnings.warn(f"{text} of {transport.get_protocol()!r}", category, stacklevel=2, **more)

        if transport._sock is not None and isinstance(transport.get_protocol(), PyMongoProtocol):
            transport._sock.close()
        else:
            report(transport, warn)

    return close


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the collector need not look at it after each test."""
    gc.freeze()
    gc.enable()


def pytest_runtest_teardown() -> None:
    """aiohttp remembers the middlewares of the last 1,024 applications, and so every bridge of the run: a gigabyte a worker."""
    web_app._cached_build_middleware.cache_clear()


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until the tests are collected: a quarter of that time
    config.pluginmanager.register(Attempts())
    transport: Any = selector_events._SelectorTransport  # type: ignore[attr-defined]
    transport.__del__ = _without_pymongos(transport.__del__)
