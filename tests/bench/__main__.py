"""`make bench`: `sensor-bridge bench` on real servers, also for a stack built as in its tutorials."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.report.terminal import TerminalDisplay, print_report
from bridge.tools.bench.run import Plan, broker_settings, run_plans, select_scenarios, write_json
from bridge.tools.bench.systems import BenchTarget, OwnBridge, System, child_process, free_port, wait_until_ready
from bridge.tools.bench.usage import Usage
from tests.bench.anomalies import print_anomalies
from tests.bench.forecast import print_forecasts
from tests.bench.formats import print_costs, print_paired_costs
from tests.bench.guarded import GuardedBridge
from tests.bench.paired import OtherBridge, PlainBridge, paired_plans, print_ratios, run_pairs
from tests.bench.scenarios.catalog import ALL_SCENARIOS
from tests.bench.scenarios.stalled import StalledLoad
from tests.bench.servers import broker_and_database
from tests.bench.several import CLUSTER, WORKERS, Servers, run_cluster, run_workers
from tests.servers import REPO

FORMATS = "formats"
"""The scenario without servers: what it costs to decode a message in each payload format."""

JUDGED: Mapping[str, Callable[[Console, argparse.Namespace], int]] = {
    "anomalies": lambda console, _: print_anomalies(console),
    "forecast": lambda console, arguments: int(print_forecasts(console, arguments.origins) > 0),
}
"""What is judged on data sets, without servers: each prints a table and returns 1 if a target was missed."""

COMPARED = ("burst", "steady")
COMPARED_CLIENTS = (10, 50)


class TutorialStack:
    """Has no `subscribe` and sends every reading to every client, which is the same on a broker of its own."""

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
        async with child_process(command, {}, folder) as process:
            await wait_until_ready(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling", process, folder)
            yield BenchTarget(
                self.name, Address("127.0.0.1", port), self._broker, Usage(process.pid), shared=False, ledger=False
            )


def plans(arguments: argparse.Namespace, broker: MqttSettings, mongo_url: str, folder: Path) -> list[Plan]:
    """The tutorial stack's burst is small: at a few hundred readings per second a large one takes minutes."""
    load = _without_none(
        rate=arguments.rate, seconds=arguments.seconds, burst=arguments.burst, way=arguments.way, rooms=arguments.rooms
    )
    stalled = _without_none(stalled=arguments.stalled)
    own = GuardedBridge if arguments.required else OwnBridge
    bridge: System = own(broker, mongo_url.replace("/?", "/bridge?"), folder)
    tutorial: System = TutorialStack(broker, mongo_url.replace("/?", "/tutorial?"), folder)
    scenarios = select_scenarios(arguments.scenarios or COMPARED, ALL_SCENARIOS)
    result = []
    for scenario in scenarios:
        usual = COMPARED_CLIENTS if scenario.name in COMPARED else (scenario.load.clients,)
        for clients in arguments.clients or usual:
            more = stalled if isinstance(scenario.load, StalledLoad) else {}
            result.append(Plan(scenario, bridge, load | more | {"clients": clients}))
            if scenario.name in COMPARED and not arguments.no_tutorial:
                result.append(
                    Plan(scenario, tutorial, load | {"clients": clients, "burst": arguments.tutorial_burst, "way": "socketio"})
                )
    return result


def pairs_of_plans(
    arguments: argparse.Namespace, broker: MqttSettings, mongo_url: str, folder: Path
) -> list[tuple[Plan, Plan]]:
    here = OwnBridge(broker, mongo_url.replace("/?", "/bridge?"), folder)
    url = mongo_url.replace("/?", "/before?")
    before: OwnBridge = (
        PlainBridge(broker, url, folder) if arguments.without_analysis else OtherBridge(broker, url, folder, arguments.against)
    )
    load = _without_none(
        rate=arguments.rate, seconds=arguments.seconds, burst=arguments.burst, way=arguments.way, rooms=arguments.rooms
    )
    clients = {"clients": arguments.clients[0]} if arguments.clients else {}
    scenarios = select_scenarios(arguments.scenarios or COMPARED, ALL_SCENARIOS)
    return paired_plans(scenarios, here, before, load | clients, arguments.pairs)


def _without_none(**options: float | str | None) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


async def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help=f"of {', '.join(ALL_SCENARIOS)}; or {FORMATS}, {CLUSTER} or {WORKERS} alone; or of {', '.join(JUDGED)}; "
        f"default: {COMPARED}",
    )
    parser.add_argument("--clients", type=int, nargs="+", help="numbers of clients, a run for each")
    parser.add_argument("--burst", type=int, help="readings of the bridge's burst")
    parser.add_argument("--tutorial-burst", type=int, default=500, help="readings of the tutorial stack's burst")
    parser.add_argument("--no-tutorial", action="store_true", help="only the bridge")
    parser.add_argument("--required", action="store_true", help="a bridge that requires access")
    parser.add_argument("--replica-set", action="store_true", help="mongod as a replica set of one, which takes 1 ms longer")
    parser.add_argument("--rate", type=float, help="readings per second while latency is measured")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rooms", type=int, help="number of devices")
    parser.add_argument("--stalled", type=int, help="number of clients that stop reading, in the scenario stalled")
    parser.add_argument("--way", help="protocol of the bridge's clients: socketio, polling, topics or channels")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout to measure in alternating pairs")
    parser.add_argument("--without-analysis", action="store_true", help="measure what analysis adds, in alternating pairs")
    parser.add_argument(
        "--pairs", type=int, default=5, help="of runs with --against or --without-analysis; rounds of cluster and workers"
    )
    parser.add_argument("--origins", type=int, default=150, help="hours at which forecasts are compared, in `forecast`")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 130))
    if arguments.scenarios and set(arguments.scenarios) <= JUDGED.keys():
        return max([JUDGED[name](console, arguments) for name in arguments.scenarios])
    if arguments.scenarios == [FORMATS]:
        print_costs(console)
        if arguments.against:
            print_paired_costs(REPO, arguments.against, arguments.pairs, console)
        return 0
    is_paired = arguments.against is not None or arguments.without_analysis
    display = TerminalDisplay(Console(stderr=True))
    if arguments.scenarios in ([CLUSTER], [WORKERS]):
        return await _run_several(arguments, display, console)
    options = {name: value for name, value in vars(arguments).items() if name not in ("json", "against")}
    options |= {"broker": "mosquitto", "store": "mongod, a replica set" if arguments.replica_set else "mongod"}
    with broker_and_database(alone=not arguments.replica_set) as (broker, database, folder), display.live():
        servers = broker_settings(broker.url), database.url, folder
        if is_paired:
            report = await run_pairs(pairs_of_plans(arguments, *servers), options, display)
        else:
            report = await run_plans(plans(arguments, *servers), options, 1, 60, display)
    print_report(report, console)
    if is_paired:
        print_ratios(report.measurements, console)
    if arguments.json:
        write_json(arguments.json, report.as_dict())
    return 1 if report.failures else 0


async def _run_several(arguments: argparse.Namespace, display: TerminalDisplay, console: Console) -> int:
    clients = arguments.clients[0] if arguments.clients else None
    load = _without_none(
        rate=arguments.rate, seconds=arguments.seconds, burst=arguments.burst, way=arguments.way, clients=clients
    )
    run = run_cluster if arguments.scenarios == [CLUSTER] else run_workers
    with broker_and_database() as (broker, database, folder), display.live():
        await run(Servers(broker_settings(broker.url), database.url, folder), load, arguments.pairs, display, console)
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
