"""A store that answers but cannot be written to, as on a full disk."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import OperationFailure

from bridge import app
from bridge.sources.mqtt.client import mqtt_sender
from tests.conftest import StartBridge
from tests.senders import patient
from tests.servers import until

Refuse = Callable[[bool], bool]
"""Switches the refusal on or off; returns whether the store could do so now."""

BUILDING_AN_INDEX = 12587
"""MongoDB's code for: the retention job of the bridge is creating an index of the collection."""


@contextmanager
def sqlite_that_refuses(path: Path) -> Iterator[Refuse]:
    """A switch: while on, the quarantine of the database takes no message."""
    with sqlite3.connect(path, isolation_level=None) as connection:

        def refuse(on: bool) -> bool:
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON rejected BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
                if on
                else "DROP TRIGGER full"
            )
            return True

        yield refuse
    connection.close()


@contextmanager
def mongo_that_refuses(url: str) -> Iterator[Refuse]:
    with pymongo.MongoClient[dict[str, object]](url) as client:
        database = client.get_default_database()

        def refuse(on: bool) -> bool:
            try:
                database.command("collMod", "rejected", validator={"$expr": False} if on else {})
            except OperationFailure as error:
                if error.code != BUILDING_AN_INDEX:
                    raise
                return False
            return True

        yield refuse


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
async def test_store_that_refuses_writes_stays_unavailable_until_a_write_succeeds(
    kind: str,
    request: pytest.FixtureRequest,
    broker_url: str,
    tmp_path: Path,
    start_bridge: StartBridge,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bridge")
    path = tmp_path / "bridge.db"
    url = f"sqlite:///{path}" if kind == "sqlite" else request.getfixturevalue("mongo_url")
    async with start_bridge(broker_url, url) as bridge, mqtt_sender(patient(broker_url)) as sender:
        with sqlite_that_refuses(path) if kind == "sqlite" else mongo_that_refuses(url) as refuse:
            await sender.publish("sensors/a/data", b"{", qos=1)
            await until(lambda: bridge.ledger.as_dict().get("mqtt", {}).get("rejected") == 1)
            await until(lambda: refuse(True))
            await sender.publish("sensors/a/data", b"[", qos=1)
            await until(lambda: not bridge.health.ready)
            seen: set[bool] = set()
            end = time.monotonic() + 2.5 * app._STORE_CHECK_SECONDS  # two pings, which succeed

            def pinged_twice() -> bool:
                seen.add(bridge.health.ready)
                return time.monotonic() > end

            await until(pinged_twice)
            assert seen == {False}
            assert bridge.ledger.as_dict()["mqtt"]["waiting"] == 1
            await until(lambda: refuse(False))
            await until(lambda: bridge.health.ready)
            await until(lambda: bridge.ledger.as_dict()["mqtt"]["rejected"] == 2)
    lines = [line for line in map(logging.LogRecord.getMessage, caplog.records) if "store" in line and "vailable" in line]
    assert [line.partition(" (")[0] for line in lines] == ["pipeline: store unavailable", "pipeline: store available again"]
