"""`make bench`: `sensor-bridge bench` on real servers, and the same for the stack as its tutorials show it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.report.terminal import LiveScreen, show
from bridge.tools.bench.run import Plan, broker_settings, chosen, run_plans, write_files
from bridge.tools.bench.scenarios.catalog import SCENARIOS
from bridge.tools.bench.systems import BenchTarget, OwnBridge, System, answering, child, free_port
from bridge.tools.bench.usage import Usage
from tests.bench.guarded import GuardedBridge
from tests.servers import Mongod, Mosquitto

COMPARED = ("burst", "steady")
COMPARED_CLIENTS = (10, 50)


class Tutorial:
    """It knows no `subscribe` and sends everything to everybody: on a broker of its own that is the same."""

    name = "tutorial stack"

    def __init__(self, broker: MqttSettings, store: str, folder: Path) -> None:
        self._broker = broker
        self._store = store
        self._folder = folder

    @asynccontextmanager
    async def started(self) -> AsyncIterator[BenchTarget]:
        port = free_port()
        folder = self._folder / f"tutorial-{port}"
        folder.mkdir()
        command = [sys.executable, "-m", "tests.bench.tutorial", str(self._broker.port), self._store, str(port)]
        async with child(command, {}, folder) as running:
            await answering(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling", running, folder)
            yield BenchTarget(
                self.name, Address("127.0.0.1", port), self._broker, Usage(running.pid), shared=False, ledger=False
            )


def plans(arguments: argparse.Namespace, broker: MqttSettings, mongo_url: str, folder: Path) -> list[Plan]:
    """The tutorial stack's burst is small: at a few hundred a second a large one takes minutes."""
    load = _given(rate=arguments.rate, seconds=arguments.seconds, burst=arguments.burst, way=arguments.way)
    own = GuardedBridge if arguments.required else OwnBridge
    bridge: System = own(broker, mongo_url.replace("/?", "/bridge?"), folder)
    tutorial: System = Tutorial(broker, mongo_url.replace("/?", "/tutorial?"), folder)
    made = []
    for scenario in chosen(arguments.scenarios or COMPARED):
        usual = COMPARED_CLIENTS if scenario.name in COMPARED else (scenario.load.clients,)
        for clients in arguments.clients or usual:
            made.append(Plan(scenario, bridge, load | {"clients": clients}))
            if scenario.name in COMPARED and not arguments.no_tutorial:
                made.append(
                    Plan(scenario, tutorial, load | {"clients": clients, "burst": arguments.tutorial_burst, "way": "socketio"})
                )
    return made


def _given(**options: float | str | None) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


async def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; default: {COMPARED}")
    parser.add_argument("--clients", type=int, nargs="+", help="one run each")
    parser.add_argument("--burst", type=int, help="readings of the bridge's burst")
    parser.add_argument("--tutorial-burst", type=int, default=500, help="readings of the tutorial stack's burst")
    parser.add_argument("--no-tutorial", action="store_true", help="the bridge alone")
    parser.add_argument("--required", action="store_true", help="a bridge whose access is required")
    parser.add_argument("--replica-set", action="store_true", help="mongod as a replica set of one, 1 ms slower to answer")
    parser.add_argument("--rate", type=float, help="readings a second while latency is measured")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--way", help="how the bridge's clients hear: socketio, topics or channels")
    parser.add_argument("--html", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 130))
    screen = LiveScreen(Console(stderr=True))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker, database = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongo", alone=not arguments.replica_set)
        store = "mongod, a replica set" if arguments.replica_set else "mongod"
        broker.start()
        database.start()
        try:
            with screen.shown():
                made = plans(arguments, broker_settings(broker.url), database.url, folder)
                given = {name: value for name, value in vars(arguments).items() if name not in ("html", "json")}
                report = await run_plans(made, given | {"broker": "mosquitto", "store": store}, 1, 60, screen)
        finally:
            broker.kill()
            database.kill()
    show(report, console)
    write_files(report, arguments.html, arguments.json)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
