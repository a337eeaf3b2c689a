"""One cell of the matrix: a component, what happens to it, and the load meanwhile."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bson.objectid import ObjectId

from tests.faults.cluster.clients import (
    Address,
    Channel,
    Client,
    Sentinel,
    SocketIoPolling,
    SocketIoWebSocket,
    Topics,
    running,
)  # fmt: skip
from tests.faults.cluster.load import Commands, Load
from tests.faults.cluster.stage import BridgeProcess, ClusterStage
from tests.faults.cluster.verdict import Moment, Stored, Verdict, judge_clients, last_cursors, read_stored, stored_among
from tests.faults.readings import DEVICES, id_of
from tests.servers import Process, until

Progress = Callable[[str], None]

STAY_SECONDS = (4.0, 12.0)
IDLE_RATE = 5.0
_MORE = 10
_REST_SECONDS = 60.0
_LOST_SECONDS = 20.0
"""What is not stored after this time is lost: a session is adopted after 10 s."""

_ELECTED_SECONDS = 2.0
"""How long the new primary is alone with one member."""

_COMMANDS_SECONDS = 70.0


class Target(enum.StrEnum):
    """What the fault happens to."""

    BRIDGE = "bridge"
    BROKER = "broker"
    PRIMARY = "primary"
    BALANCER = "balancer"
    BUS = "bus"
    """Redis; the broker as a bus is `BROKER`."""


class Fault(enum.StrEnum):
    KILL = "kill"
    FREEZE = "freeze"
    CUT = "cut"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Population:
    """Clients of each kind. Those of Socket.IO ask for some devices, one in `per_all` for all or, polling, for more; the others
    are sent all.
    """

    websockets: int
    polling: int
    topics: int
    channels: int
    devices_each: int = 2
    per_all: int = 10

    def build(self, address: Address, stay: tuple[float, float], since: int) -> list[Client]:
        """`since` is the cursor with which those that can begin; 0 for live records."""
        clients: list[Client] = []
        for number in range(self.websockets):
            devices = None if number % self.per_all == 0 else self._devices(number)
            clients.append(SocketIoWebSocket(address, number, devices, stay, since))
        for number in range(self.polling):
            devices = self._devices(number, _MORE if number % self.per_all == 0 else 1)
            clients.append(SocketIoPolling(address, number, devices, stay, since))
        clients += [Topics(address, number, None, stay, since) for number in range(self.topics)]
        clients += [Channel(address, number, None, stay, since) for number in range(self.channels)]
        return clients

    def scaled(self, factor: float) -> Population:
        names = ("websockets", "polling", "topics", "channels")
        return replace(self, **{name: max(round(getattr(self, name) * factor), 1) for name in names})

    def _devices(self, number: int, factor: int = 1) -> frozenset[str]:
        return frozenset(f"d{(number + step) % DEVICES:02}" for step in range(self.devices_each * factor))


IDLE, LOADED, SHORT = Population(50, 50, 50, 50), Population(44, 8, 2, 2, 1, 44), Population(6, 6, 4, 4, 10, 2)
"""At 5 readings a second 200 clients are sent 560 records a second, at 500 a second 56 clients are sent 3,100.

At 500 a client that is sent all costs as much as 50 others, and one that polls asks for each of its records: two cores, which
also run the servers, are full. `--clients` makes them more.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    target: Target
    fault: Fault
    rate: float
    population: Population
    bus: str = "mqtt"
    mqtt_share: float = 0.5
    repetitions: int = 3
    before_seconds: float = 1.0
    fault_seconds: float = 5.0
    dead_seconds: float = 2.0
    """How long a process that was killed or stopped does not run."""

    @property
    def name(self) -> str:
        return f"{self.target}-{self.fault}-{self.rate:g}"


@dataclass
class Repetition:
    """One fault of a cell, and the seconds until nothing of it is left."""

    began: Moment
    pause_seconds: float = 0.0
    """The longest time without a record at a bridge that is not the victim."""
    ready_seconds: float = 0.0
    """From the end of the fault until every bridge is ready."""
    caught_up_seconds: float = 0.0
    """From the end of the fault until everything is stored and every client has it."""


@dataclass
class Outcome:
    """A row of the table."""

    name: str
    verdict: Verdict
    measured: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    repetitions: list[Repetition] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.verdict.clean and not self.notes

    @classmethod
    def failed(cls, name: str, reason: str) -> Outcome:
        return cls(name, Verdict(), notes=[reason])

    @property
    def summary(self) -> str:
        """One line: counts, measurements, and what is wrong."""
        verdict, total = self.verdict, self.verdict.total()
        counts = {name: count for name, count in asdict(total).items() if name not in ("clients", "connections")}
        lost = f"{verdict.lost} lost of {verdict.acknowledged}"
        measured = {name: round(value, 1) for name, value in self.measured.items()}
        commands = f"commands: {verdict.commands_twice} twice, {verdict.commands_vanished} vanished of {verdict.commands}"
        return f"{self.name}: {lost}, {commands}, {counts}, {measured} {verdict.located} {self.notes}"

    def to_document(self) -> dict[str, Any]:
        return {"name": self.name, "passed": self.passed, **asdict(self)}


@dataclass
class Run:
    """A stage with clients and load."""

    stage: ClusterStage
    clients: list[Client]
    sentinels: list[Sentinel]
    load: Load
    commands: Commands
    start: int
    """The cursor after which the run's readings are."""
    confirmed: set[int] = field(default_factory=set)
    """The numbers of readings that were found in the store, or given up as lost."""
    seconds: float = 0.0
    """How long the load was flowing."""
    cpu_seconds: float = 0.0
    """CPU time of this process meanwhile."""


@asynccontextmanager
async def loaded(
    stage: ClusterStage,
    rate: float,
    population: Population,
    mqtt_share: float,
    *,
    stay: tuple[float, float] = STAY_SECONDS,
    direct_share: float = 0.3,
    start: int | None = None,
    since: int = 0,
    bridges: Sequence[BridgeProcess] | None = None,
) -> AsyncIterator[Run]:
    """Start clients and load, and wait until every client has been connected. `bridges` are those that run now."""
    urls = [f"http://{one.host}:{one.port}" for one in bridges or stage.bridges]
    clients = population.build(Address(stage.entrance, urls, direct_share), stay, since)
    if start is None:
        start = await asyncio.to_thread(_last_cursor, stage)
    sentinels = [Sentinel(url, n) for n, url in enumerate(urls)]
    number = stage.next_run()
    load = Load(stage.entrance, (stage.broker.host, stage.broker.port), rate=rate, mqtt_share=mqtt_share, run=number)
    commands = Commands(stage.entrance, urls, f"run{number}")
    everyone = [*clients, *sentinels]
    async with running(everyone):
        async with load.flowing(), commands.flowing():
            begun, cpu = time.monotonic(), time.process_time()
            await _all_connected(everyone)
            yield (run := Run(stage, clients, sentinels, load, commands, start))
            run.seconds, run.cpu_seconds = time.monotonic() - begun, time.process_time() - cpu
            load.stop()
            commands.stop()
            await until(lambda: not load.waiting, _REST_SECONDS, "everything is acknowledged")
            await _commands_at_rest(run)
        await settle(stage, everyone, load.acknowledged, start)


async def _all_connected(clients: Sequence[Client]) -> None:
    try:
        await until(lambda: all(client.connections for client in clients), 120, "a connection of every client")
    except AssertionError as error:
        failures = {f"{client.name}: {client.failure!r}" for client in clients if not client.connections}
        raise AssertionError(f"{error}: {sorted(failures)}") from None


async def settle(stage: ClusterStage, clients: Iterable[Client], acknowledged: Collection[ObjectId], start: int) -> None:
    """Wait until everything is stored and sent; what does not come within the deadline is for the verdict to find."""
    deadline = time.monotonic() + _REST_SECONDS
    stored = await _at_rest(stage, acknowledged, start, deadline)
    for client in clients:
        client.settle(stored.last_of(client.sequences[-1].devices) if client.resumes else 0)
    waits = [asyncio.create_task(client.is_done.wait(), name="settle") for client in clients]
    _, late = await asyncio.wait(waits, timeout=30)
    for wait in late:
        wait.cancel()
    await asyncio.sleep(1)  # something sent twice would come now


async def _at_rest(stage: ClusterStage, acknowledged: Collection[ObjectId], start: int, deadline: float) -> Stored:
    """Wait until the log is unchanged for 2 s with everything in it and no open range, or for `_LOST_SECONDS`."""
    before, since = -1, time.monotonic()
    while True:
        stored, ids, is_open = await asyncio.to_thread(_look, stage, start)
        if len(ids) != before:
            before, since = len(ids), time.monotonic()
        is_complete = not is_open and not (set(acknowledged) - ids)
        unchanged_seconds = time.monotonic() - since
        if unchanged_seconds > (2 if is_complete else _LOST_SECONDS) or time.monotonic() > deadline:
            return stored
        await asyncio.sleep(0.3)


def _last_cursor(stage: ClusterStage) -> int:
    with stage.database() as database:
        order = database["order"].find_one()
    return int(str(order["last"])) if order else 0


def _look(stage: ClusterStage, start: int) -> tuple[Stored, set[ObjectId], bool]:
    with stage.database() as database:
        stored, ids = read_stored(database, start)
        order = database["order"].find_one()
        return stored, ids, bool(order and order["open"])


async def run_cell(stage: ClusterStage, progress: Progress, cell: Cell) -> Outcome:
    """Run one cell on a stage whose bridges run, and which runs further cells afterwards.

    Each repetition begins when the cluster is whole and every client has caught up.
    """
    async with loaded(stage, cell.rate, cell.population, cell.mqtt_share) as run:
        if cell.fault in (Fault.FREEZE, Fault.CUT):
            run.commands.standstill_seconds = cell.fault_seconds
        repetitions, late = [], list[str]()
        late += await catch_up(run, 0)
        for number in range(1, cell.repetitions + 1):
            await asyncio.sleep(cell.before_seconds)
            progress(f"{cell.fault} of the {cell.target}, {number} of {cell.repetitions}")
            repetition = Repetition(Moment(time.time_ns() // 1000, *run.load.next_numbers))
            repetitions.append(repetition)
            late += await _repeat(run, cell, number, repetition)
        progress("the load ends")
    moments = [one.began for one in repetitions]
    died = cell.target is Target.BROKER and cell.fault is Fault.KILL
    outcome = Outcome(cell.name, await verdict(run, tolerates_broker=died, moments=moments), repetitions=repetitions)
    outcome.measured = {
        "pause s": max(one.pause_seconds for one in repetitions),
        "ready s": max(one.ready_seconds for one in repetitions),
        "caught up s": max(one.caught_up_seconds for one in repetitions),
        **reached(run),
    }
    outcome.notes = [*late, *notes(run)]
    return outcome


async def _repeat(run: Run, cell: Cell, number: int, repetition: Repetition) -> list[str]:
    victim = await _victim(run.stage, cell.target, number)
    for sentinel in run.sentinels:
        sentinel.begin_measurement()
    await inject(run.stage, cell, victim)
    ended = time.monotonic()
    await run.stage.ready(_REST_SECONDS)
    repetition.ready_seconds = time.monotonic() - ended
    late = await catch_up(run, number)
    repetition.caught_up_seconds = time.monotonic() - ended
    pauses = {one: run.sentinels[one.place - 1].pause() for one in run.stage.bridges}
    repetition.pause_seconds = max(pause for bridge, pause in pauses.items() if bridge is not victim)
    return late


async def catch_up(run: Run, repetition: int) -> list[str]:
    """Wait until the cluster is whole, all that was acknowledged until then is stored, and clients have all that is stored.

    Returns what did not come to be; lost readings are for the verdict to find.
    """
    await run.stage.whole(_REST_SECONDS)
    numbers = run.load.posted | run.load.published
    waiting = {id_of(number) for number in numbers - run.confirmed}
    run.confirmed |= numbers
    deadline = time.monotonic() + _LOST_SECONDS
    while waiting and time.monotonic() < deadline:
        waiting -= await asyncio.to_thread(_stored_among, run.stage, waiting)
        await asyncio.sleep(0.1)
    targets = await asyncio.to_thread(_last_cursors, run.stage, run.start)
    last = max(targets.values(), default=0)
    everyone = [*run.clients, *run.sentinels]
    try:
        await until(lambda: all(client.has(targets, last) for client in everyone), _REST_SECONDS, "every client has caught up")
    except AssertionError as error:
        behind = [f"{client.name} ({client.failure!r})" for client in everyone if not client.has(targets, last)]
        return [f"repetition {repetition}: {error}: {len(behind)} have not: {behind[:3]}"]
    return []


def _stored_among(stage: ClusterStage, ids: Collection[ObjectId]) -> set[ObjectId]:
    with stage.database() as database:
        return stored_among(database, ids)


def _last_cursors(stage: ClusterStage, start: int) -> dict[str, int]:
    with stage.database() as database:
        return last_cursors(database, start)


async def _commands_at_rest(run: Run) -> None:
    """Wait until no accepted command waits; each is sent or expires within `devices.command_seconds`."""

    def waiting() -> int:
        with run.stage.database() as database:
            return run.commands.states(database)["queued"]

    deadline = time.monotonic() + _COMMANDS_SECONDS
    while await asyncio.to_thread(waiting) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)


def reached(run: Run) -> dict[str, float]:
    """The rate of acknowledged readings, of records that clients received, and requests without an answer."""
    received = sum(len(sequence.cursors) for client in run.clients for sequence in client.sequences)
    return {
        "stored/s": len(run.load.posted | run.load.published) / run.seconds,
        "sent/s": received / run.seconds,
        "cores of the clients": run.cpu_seconds / run.seconds,
        "no answer": float(run.load.statuses[0]),
    }


async def _victim(stage: ClusterStage, target: Target, repetition: int) -> Process:
    """The bridge that receives by MQTT first, then the one that leads, then one that does neither, if there is such a one."""
    if target is Target.BRIDGE:
        receives, leads = await stage.with_gauge("cluster_receives"), await stage.with_gauge("cluster_leads")
        neither = [bridge for bridge in stage.bridges if bridge not in (*receives, *leads)]
        return [*(receives, leads, neither)[(repetition - 1) % 3], *stage.bridges][0]
    if target is Target.PRIMARY:
        return stage.mongo.primary()
    if target is Target.BUS:
        assert stage.redis is not None, "the broker is the bus"
        return stage.redis
    return stage.broker if target is Target.BROKER else stage.balancer


async def inject(stage: ClusterStage, cell: Cell, victim: Process) -> None:
    """Let the fault last `fault_seconds`, and that of a primary until there is another one; then end it."""
    begin = {
        Fault.KILL: victim.kill, Fault.FREEZE: victim.freeze, Fault.STOP: victim.stop, Fault.CUT: lambda: stage.cut(victim),
    }  # fmt: skip
    end = {
        Fault.KILL: victim.start, Fault.FREEZE: victim.thaw, Fault.STOP: victim.start, Fault.CUT: lambda: stage.heal(victim),
    }  # fmt: skip
    await asyncio.to_thread(begin[cell.fault])
    await asyncio.sleep(cell.dead_seconds if cell.fault in (Fault.KILL, Fault.STOP) else cell.fault_seconds)
    if cell.target is Target.PRIMARY and cell.fault is not Fault.FREEZE:
        await asyncio.to_thread(stage.mongo.primary, other_than=victim)
        await asyncio.sleep(_ELECTED_SECONDS)
    await asyncio.to_thread(end[cell.fault])


async def verdict(run: Run, *, tolerates_broker: bool, moments: Sequence[Moment] = ()) -> Verdict:
    """Compare what was acknowledged and received with what is stored. `moments` are those of the faults."""
    with run.stage.database() as database:
        states, told = run.commands.states(database), run.commands.told(database)
        stored, ids = read_stored(database, run.start)
        order = database["order"].find_one() or {}
        tombstones = database["readings"].count_documents({"closed": True, "seq": {"$gt": run.start}})
    lost = run.load.acknowledged - ids
    by_broker = len(lost & run.load.acknowledged_by_broker) if tolerates_broker else 0
    result = Verdict(
        stored=len(ids), tombstones=tombstones, acknowledged=len(run.load.acknowledged), lost=len(lost) - by_broker,
        lost_by_broker=by_broker, commands=len(run.commands.accepted), commands_twice=run.commands.twice,
        commands_unheard=states["leaving"], commands_failed=states["expired"] + states["failed"],
        commands_vanished=sum(states[name] for name in ("sent", "queued", "unknown", "confirmed")),
        open_ranges=len(order.get("open", ())),  # type: ignore[arg-type]
    )  # fmt: skip
    everyone = [*run.clients, *run.sentinels]
    result.commands_told = told
    result.clients = judge_clients(everyone, stored)
    result.locate(everyone, stored, moments)
    result.locate_lost(run.load, lost, moments)
    return result


def notes(run: Run) -> list[str]:
    """Describe what was wrong, as far as the numbers do not."""
    violations = [text for client in (*run.clients, *run.sentinels) for text in client.violations]
    return [*run.stage.new_defects(), *violations[:10]]
