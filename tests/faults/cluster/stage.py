"""Three bridges and a spare behind HAProxy, a replica set of three, a broker and, if it is the bus, Redis."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pymongo

from tests.faults.cluster.network import Network, network
from tests.servers import REPO, HaProxy, MongoMember, MongoSet, Mosquitto, Process, Redis, free_port, until

BRIDGES = 3
SHIPPED = REPO / "docker" / "haproxy.cfg"
DATABASE = "sensors"
_BAD = re.compile(r"Traceback| ERROR | CRITICAL ")


class BridgeProcess(Process):
    """`sensor-bridge run` with a place in the cluster, or alone."""

    def __init__(self, folder: Path, place: int, host: str, environment: dict[str, str]) -> None:
        port = free_port()
        super().__init__([sys.executable, "-m", "bridge", "run"], port, folder / f"bridge{place}.log", host)
        self.place = place
        self.log = folder / f"bridge{place}.log"
        self.environment = environment | {
            "BRIDGE_HTTP__HOST": host,
            "BRIDGE_HTTP__PORT": str(port),
            "BRIDGE_DEVICES__OPEN": "true",
        }

    def join(self, cluster: str | None, bus: str) -> None:
        """Set the cluster for the next start."""
        settings = {"BRIDGE_CLUSTER__NAME": cluster or "", "BRIDGE_CLUSTER__BUS": bus}
        for name, value in settings.items():
            self.environment.pop(name, None)
            if cluster:
                self.environment[name] = value

    async def is_ready(self) -> bool:
        return (await self._get("/health/ready"))[0] == HTTPStatus.OK

    async def has_gauge(self, name: str) -> bool:
        """Whether a gauge of this bridge is 1."""
        _, text = await self._get("/metrics")
        return f"\nbridge_{name} 1" in text

    async def _get(self, path: str) -> tuple[int, str]:
        """Return status and body; status 0 without an answer within 2 s."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(f"http://{self.host}:{self.port}{path}") as response,
            ):
                return response.status, await response.text()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, ""


class ClusterStage:
    """All processes. `bus` is `mqtt`, `redis` or `none`."""

    def __init__(self, folder: Path, where: Network, *, bus: str = "mqtt", election_ms: int = 10_000) -> None:
        self.folder = folder
        self.network = where
        self._names: dict[Process, str] = {}
        self._runs = 0
        self._read: dict[int, int] = {}  # lines of the bridges' logs that were checked
        self.broker = Mosquitto(folder / "mosquitto", host=where.add("broker"))
        self._named(self.broker, "broker")
        self.mongo = MongoSet(
            [self._member(folder / f"mongo{n}", f"mongo{n}") for n in range(1, 4)], election_ms
        )  # fmt: skip
        self.redis = Redis(folder / "redis", host=where.add("redis")) if bus == "redis" else None
        if self.redis is not None:
            self._named(self.redis, "redis")
        self._bus = bus if self.redis is None else self.redis.url
        balancer = where.add("balancer")
        *self.bridges, self.spare = [self._bridge(place) for place in range(1, BRIDGES + 2)]
        """The bridges that run, and one that begins an upgrade."""
        port = free_port()
        self.balancer = HaProxy(folder / "haproxy", port, self._configuration(f"{balancer}:{port}"), balancer)
        self._named(self.balancer, "balancer")
        self.join(self.slots)

    def _named(self, process: Process, name: str) -> None:
        process.command = self.network.command(name, process.command)
        self._names[process] = name

    def _member(self, folder: Path, name: str) -> MongoMember:
        member = MongoMember(folder, host=self.network.add(name))
        self._named(member, name)
        return member

    def _bridge(self, place: int) -> BridgeProcess:
        name = f"bridge{place}"
        environment = {
            "BRIDGE_MQTT__URL": self.broker.url,
            "BRIDGE_STORE__URL": self.mongo.url.replace("/?", f"/{DATABASE}?"),
            "BRIDGE_HTTP__TRUSTED_PROXIES": self.network.proxy,
            "BRIDGE_HTTP__CONNECTIONS_PER_ADDRESS": "20000",
            # On a busy machine a client takes its time until it says with which cursor it resumes.
            "BRIDGE_REALTIME__SETTLE_SECONDS": "4",
        }
        bridge = BridgeProcess(self.folder, place, self.network.add(name), environment)
        self._named(bridge, name)
        return bridge

    def _configuration(self, address: str) -> str:
        """The file that we ship, with other addresses."""
        text, found = re.subn(r"bind :3000", f"bind {address}", SHIPPED.read_text())
        assert found == 1
        text, found = re.subn(r"ipv4@127\.0\.0\.1:9999", f"unix@{HaProxy.SOCKET}", text)
        assert found == 1
        for place, bridge in enumerate(self.slots, 1):
            text, found = re.subn(rf"bridge{place}:3000", f"{bridge.host}:{bridge.port}", text)
            assert found == 1
        return text

    @property
    def slots(self) -> list[BridgeProcess]:
        """Every bridge that the balancer knows."""
        return [*self.bridges, self.spare]

    @property
    def entrance(self) -> str:
        """The URL of the balancer."""
        return f"http://{self.balancer.host}:{self.balancer.port}"

    @contextmanager
    def database(self) -> Iterator[pymongo.database.Database[dict[str, object]]]:
        with pymongo.MongoClient[dict[str, object]](self.mongo.url, tz_aware=True) as client:
            yield client[DATABASE]

    def cut(self, process: Process) -> None:
        self.network.cut(self._names[process])

    def heal(self, process: Process) -> None:
        self.network.heal(self._names[process])

    # --- lifetime ---

    def next_run(self) -> int:
        self._runs += 1
        return self._runs

    def new_defects(self) -> list[str]:
        """Return what must not be in the logs of the bridges, since the last call."""
        found = []
        for bridge in self.slots:
            lines = bridge.log.read_text().splitlines() if bridge.log.exists() else []
            found += [f"bridge{bridge.place}: {line}" for line in lines[self._read.get(bridge.place, 0) :] if _BAD.search(line)]
            self._read[bridge.place] = len(lines)
        return found[:10]

    @asynccontextmanager
    async def on(self) -> AsyncIterator[ClusterStage]:
        """Start everything but the bridges."""
        with ExitStack() as stack:
            stack.callback(self.mongo.kill)
            self.mongo.start()
            for server in (self.broker, self.balancer, *([self.redis] if self.redis is not None else [])):
                stack.callback(server.kill)
                server.start()
            for bridge in self.slots:
                stack.callback(bridge.kill)
            yield self

    def join(self, bridges: Sequence[BridgeProcess]) -> None:
        """Let bridges be of the cluster from their next start on."""
        for bridge in bridges:
            bridge.join("faults", self._bus)

    async def with_gauge(self, name: str) -> list[BridgeProcess]:
        """Return the bridges of which a gauge is 1."""
        return [bridge for bridge in self.bridges if await bridge.has_gauge(name)]

    async def ready(self, seconds: float = 60) -> None:
        """Wait until every bridge is ready."""
        for bridge in self.bridges:
            await until(bridge.is_ready, seconds, f"bridge {bridge.place} is ready")

    async def whole(self, seconds: float = 60) -> None:
        """Wait until every component works, and every other one sees that it does."""
        await self.ready(seconds)
        await until(lambda: asyncio.to_thread(self.mongo.is_whole), seconds, "every member of the replica set works")
        await until(self._balancer_is_whole, seconds, "the balancer sees every bridge that runs")

    def _balancer_is_whole(self) -> bool:
        return all(self.is_up(bridge) for bridge in self.bridges)

    def is_up(self, bridge: BridgeProcess) -> bool:
        """Whether the balancer sends clients to a bridge."""
        return self.balancer.states().get(f"bridge{bridge.place}") == "UP"

    def set_state(self, bridge: BridgeProcess, state: str) -> None:
        """Tell the balancer that a bridge is `ready`, or that new clients go elsewhere: `drain`."""
        answer = self.balancer.ask(f"set server bridges/bridge{bridge.place} state {state}")
        assert not answer.strip(), answer


async def started(bridges: Sequence[BridgeProcess]) -> None:
    """Start bridges, and wait until they are ready."""
    await asyncio.gather(*(asyncio.to_thread(bridge.start) for bridge in bridges))
    for bridge in bridges:
        await until(bridge.is_ready, 60, f"bridge {bridge.place} is ready")


@asynccontextmanager
async def cluster_stage(
    folder: Path, *, bus: str = "mqtt", election_ms: int = 10_000, starts: bool = True
) -> AsyncIterator[ClusterStage]:
    """A stage, whose bridges run unless `starts` is false."""
    with network() as where:
        async with ClusterStage(folder, where, bus=bus, election_ms=election_ms).on() as stage:
            if starts:
                await started(stage.bridges)
            yield stage
