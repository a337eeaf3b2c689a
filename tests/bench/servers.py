"""A broker and a database in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers import Mongod, Mosquitto


@contextmanager
def broker_and_database(*, alone: bool = False) -> Iterator[tuple[Mosquitto, Mongod, Path]]:
    """Run mosquitto and mongod, a replica set of one unless `alone`; yield them and the folder."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        broker, database = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongod", alone=alone)
        for server in (broker, database):
            server.start()
            stack.callback(server.kill)
        yield broker, database, folder
