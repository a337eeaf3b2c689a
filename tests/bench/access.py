"""`python -m tests.bench.access [closing guessing siege bodies cost]`: access control under attack, and what it costs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from bridge.access.service import AuthService
from bridge.settings import AccessSettings, DevicesSettings, MqttSettings, StoreSettings
from bridge.stores import open_store
from bridge.tools.bench.context import ScenarioContext
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.results import BenchResult
from bridge.tools.bench.run import broker_settings
from bridge.tools.bench.scenarios.catalog import burst
from bridge.tools.bench.systems import BenchTarget, OwnBridge, child_process
from tests.access.test_sockets_expiry import PROTOCOLS
from tests.access.ways import DEVICES, LISTENING, SOCKET_IO, Verdict, attempted, ended, opened
from tests.bench.attackers import ATTACKS, GUESSED, STARTED
from tests.bench.guarded import PASSWORD, GuardedBridge, token_for
from tests.bench.servers import broker_and_database
from tests.bench.silent import SilentDisplay

PROXIED = {"BRIDGE_HTTP__TRUSTED_PROXIES": "127.0.0.1"}
TOKEN_SECONDS, GUESSING_SECONDS, SIEGE_SECONDS, STARTING_SECONDS = 3, 60, 10, 30
SIEGES, ROUNDS = 3, 3
PAIRS, BURST, CLIENTS = 5, 50_000, 50
RECENT_READINGS = 12_000

console = Console(width=110)


# --- closed within -------------------------------------------------------------------------------------------------------


async def closing(broker: MqttSettings, _: str, folder: Path) -> None:
    """Measure the seconds until a client without access is disconnected, by kind of client."""
    store = f"sqlite:///{folder}/closing.db"
    table = Table("client", "no login", "refused", "expired", "revoked", "by another process", title="closed after, s")
    async with GuardedBridge(broker, store, folder).started() as target:
        ways = LISTENING | DEVICES
        names = (*ways, *SILENT)
        waits = await asyncio.gather(
            *(_seconds(attempted(way, target.address, None)) for way in ways.values()),
            *(_seconds(way(target)) for way in SILENT.values()),
        )
        silent = dict(zip(names, waits, strict=True))
        refused = {name: await _seconds(attempted(way, target.address, GUESSED)) for name, way in ways.items()}
        for name in names:
            table.add_row(name, *(f"{seconds[name]:.2f}" if name in seconds else "" for seconds in (silent, refused)))
        expired = await _seconds_until_closed(target, await _with_token(), TOKEN_SECONDS)
        revoked = await _seconds_until_closed(target, await _add_and_log_in(target, "ada"), 0, lambda: _remove(target, "ada"))
        elsewhere = await _seconds_until_closed(
            target, await _add_and_log_in(target, "bob"), 0, lambda: _remove_elsewhere(store, "bob")
        )
        for name in (*PROTOCOLS, POLLING):
            table.add_row(name, "", "", *(f"{seconds[name]:.2f}" for seconds in (expired, revoked, elsewhere)))
    console.print(table)


async def _seconds(attempt: Awaitable[Verdict | None]) -> float:
    """Return how long a refusal took."""
    started = time.monotonic()
    verdict = await attempt
    assert verdict is None or not verdict.let_in
    return time.monotonic() - started


async def _connect_silently(target: BenchTarget) -> None:
    """Connect by Socket.IO and send nothing."""
    async with opened(target.address, SOCKET_IO) as socket:
        await ended(socket)


POLLING = "long-polling"
SILENT: dict[str, Callable[[BenchTarget], Awaitable[None]]] = {
    "Socket.IO, silent": _connect_silently,
    "long-polling, silent": lambda target: _poll_until_refused(target, None),
}


async def _with_token() -> str:
    await asyncio.sleep(1 - time.time() % 1)  # tokens expire at whole seconds
    return token_for(seconds=TOKEN_SECONDS)


async def _seconds_until_closed(
    target: BenchTarget, token: str, seconds: float, end: Callable[[], Awaitable[None]] | None = None
) -> dict[str, float]:
    """Return the seconds from the end of access to the disconnect, by protocol."""
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        sockets: dict[str, Any] = {}
        for name, dialect in PROTOCOLS.items():
            sockets[name] = await stack.enter_async_context(dialect(target.address, token))  # type: ignore[arg-type]
        polling = asyncio.ensure_future(_poll_until_refused(target, token))
        await asyncio.sleep(0.5)
        if end is not None:
            started = time.monotonic()
            await end()

        async def closed(name: str) -> tuple[str, float]:
            await (polling if name == POLLING else ended(sockets[name]))
            return name, max(time.monotonic() - started - seconds, 0)

        return dict(await asyncio.gather(*map(closed, (*sockets, POLLING))))


async def _poll_until_refused(target: BenchTarget, token: str | None) -> None:
    """Poll until the server refuses; without a token, never join."""
    url = f"{target.address}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            url += "&sid=" + orjson.loads((await response.text())[1:])["sid"]
        if token is not None:
            async with session.post(url, data="40" + orjson.dumps({"token": token}).decode()) as response:
                assert response.status == 200
        while True:
            async with session.get(url) as response:
                text = await response.text()
                if response.status != 200 or "1" in text.split("\x1e"):
                    return
                if "2" in text.split("\x1e"):
                    await session.post(url, data="3")


async def _add_and_log_in(target: BenchTarget, name: str) -> str:
    """Add a user and log in; return the access token."""
    async with aiohttp.ClientSession(headers=target.address.headers) as session:
        body = {"name": name, "password": PASSWORD, "role": "operator"}
        async with session.post(f"{target.address}/api/v1/users", json=body) as response:
            assert response.status == 201, await response.text()
        async with session.post(f"{target.address}/auth/login", json={"username": name, "password": PASSWORD}) as response:
            return str((await response.json())["access_token"])


async def _remove(target: BenchTarget, name: str) -> None:
    async with (
        aiohttp.ClientSession(headers=target.address.headers) as session,
        session.delete(f"{target.address}/api/v1/users/{name}") as response,
    ):
        assert response.status == 204


async def _remove_elsewhere(store_url: str, name: str) -> None:
    async with open_store(StoreSettings.model_validate({"url": store_url})) as store:
        await AuthService(AccessSettings(), DevicesSettings(), store).users.remove(name)


# --- guessing ------------------------------------------------------------------------------------------------------------


async def guessing(broker: MqttSettings, _: str, folder: Path) -> None:
    """Count the passwords that can be tried in a minute without pauses."""
    async with GuardedBridge(broker, None, folder, PROXIED).started() as target, aiohttp.ClientSession() as session:
        until = time.monotonic() + GUESSING_SECONDS

        async def guess(user: str, address: str) -> tuple[int, int]:
            tried = checked = 0
            while time.monotonic() < until:
                tried += 1
                body = {"username": user.format(tried), "password": f"guess {tried}"}
                headers = {"X-Forwarded-For": address.format(tried % 250 + 1)}
                async with session.post(f"{target.address}/auth/login", json=body, headers=headers) as response:
                    checked += response.status == 401
                await asyncio.sleep(0.05)
            return tried, checked

        by_address, by_user = await asyncio.gather(guess("user{}", "203.0.113.1"), guess("admin", "198.51.100.{}"))
    for name, (tried, checked) in (("one address, many users", by_address), ("many addresses, one user", by_user)):
        console.print(f"{name}: {tried:,} passwords tried in {GUESSING_SECONDS} s, {checked} of them checked")


# --- a siege -------------------------------------------------------------------------------------------------------------


async def siege(broker: MqttSettings, store: str, folder: Path) -> None:
    """Measure the latency of 50 clients and the bridge's memory under floods and hostile frames, each kind and all at once.

    There are three rounds, each with a p99 without attacks to compare with: one pause of the disk decides a p99 of ten seconds.
    """
    load = Load(clients=50, rate=200, seconds=SIEGE_SECONDS)
    table = Table("attack", "p99, ms", "relative to none", "median", "memory, MB", "tried", "let in")
    kinds: dict[str, list[str]] = {"none": [], "all": [*ATTACKS]} | {one: [one] for one in ATTACKS}
    sums = {name: _SiegeSum() for name in (*kinds, "none again")}
    async with GuardedBridge(broker, store.format("siege"), folder).started() as target:
        context = ScenarioContext("siege", target, load, 1, 30, SilentDisplay())
        subscribers = context.subscribers(context.subscriber_class, load.clients, polled=True)
        async with subscribers as pool, context.publisher() as publisher:
            await context.warm_up(publisher, pool)
            pool.expect(RECENT_READINGS)  # fill the cache of recent readings before memory is measured
            await context.publish(publisher, RECENT_READINGS, pool)
            await pool.complete()
            await asyncio.sleep(1)
            rss = target.usage.rss_bytes() or 0
            for round_ in range(SIEGES):
                for name, attacks in (kinds | ({"none again": []} if round_ == SIEGES - 1 else {})).items():
                    output = folder / f"{name}-{round_}".replace(" ", "-")
                    async with _attackers(target, attacks, output) as counts:
                        result = await context.measure_paced("", publisher, pool)
                    totals = {key: sum(counts[key].values()) for key in ("tried", "let in")}
                    sums[name].add(result, sums["none"].p99s, totals)
    for name, siege_sum in sums.items():
        table.add_row(name, *siege_sum.cells(rss))
    console.print(table)


@asynccontextmanager
async def _attackers(target: BenchTarget, attacks: list[str], output: Path) -> AsyncIterator[dict[str, dict[str, int]]]:
    """Attack for the time of a measurement; the counts of the attacks are there at the end."""
    output.mkdir()
    log, counts = output / "log.txt", dict[str, dict[str, int]]()
    command = [sys.executable, "-m", "tests.bench.attackers", str(target.address), str(SIEGE_SECONDS + 2), *attacks]
    async with child_process(command, {}, output) as process:
        async with asyncio.timeout(STARTING_SECONDS):
            while STARTED not in log.read_text():
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        yield counts
        await process.wait()
    counts.update(orjson.loads(log.read_text().splitlines()[-1]))


class _SiegeSum:
    """The totals of one kind of attack over its rounds."""

    def __init__(self) -> None:
        self.p99s: list[float] = []
        self._ratios: list[float] = []
        self._bytes = 0
        self._counts: Counter[str] = Counter()

    def add(self, result: BenchResult, baseline: list[float], counts: dict[str, int]) -> None:
        """`baseline` holds the p99s without attacks; the last one is of this round."""
        self.p99s.append((result.percentile(0.99) or 0) * 1000)
        self._ratios.append(self.p99s[-1] / baseline[-1])
        self._bytes = max(self._bytes, *(sample.bridge_rss_bytes or 0 for sample in result.samples))
        self._counts.update(counts)

    def cells(self, rss: int) -> tuple[str, ...]:
        median = sorted(self._ratios)[len(self._ratios) // 2]
        series = (
            " · ".join(pattern.format(value) for value in values)
            for pattern, values in (("{:.1f}", self.p99s), ("{:.2f}", self._ratios))
        )
        return (
            *series,
            f"{median:.2f}",
            f"{(self._bytes - rss) / 1e6:+.1f}",
            f"{self._counts['tried']:,}",
            str(self._counts["let in"]),
        )


# --- hostile bodies ------------------------------------------------------------------------------------------------------


async def bodies(broker: MqttSettings, store: str, folder: Path) -> None:
    """Measure the latency of 50 clients, and the longest answer of `/health/live`, while six clients that are not logged in
    send bodies of every encoding, by every method, to ten paths; in three pairs with and without, in alternating order.
    """
    table = Table(
        "store", "pair", "p99 in peace, ms", "attacked", "ratio", "longest /health/live, ms", "attacked", "bodies", "let in"
    )
    load = Load(clients=50, rate=200, seconds=SIEGE_SECONDS)
    for name, url in (("SQLite", None), ("MongoDB", store.format("bodies"))):
        ratios = []
        async with GuardedBridge(broker, url, folder).started() as target:
            context = ScenarioContext("bodies", target, load, 1, 30, SilentDisplay())
            subscribers = context.subscribers(context.subscriber_class, load.clients, polled=True)
            async with subscribers as pool, context.publisher() as publisher:
                await context.warm_up(publisher, pool)
                for pair in range(ROUNDS):
                    measured: dict[bool, tuple[float, float, dict[str, dict[str, int]]]] = {}
                    for attacked in (False, True) if pair % 2 == 0 else (True, False):
                        output = folder / f"{name}-{pair}-{attacked}"
                        async with (
                            _attackers(target, ["bodies"] * attacked, output) as counts,
                            _asking(target, output / "live") as answers,
                        ):
                            result = await context.measure_paced("", publisher, pool)
                        measured[attacked] = (result.percentile(0.99) or 0) * 1000, answers["longest_seconds"] * 1000, counts
                    (peace, longest, _), (attack, longest_attacked, counts) = measured[False], measured[True]
                    ratios.append(attack / peace)
                    times = [f"{peace:.1f}", f"{attack:.1f}", f"{ratios[-1]:.2f}", f"{longest:.0f}", f"{longest_attacked:.0f}"]
                    table.add_row(name, str(pair + 1), *times, *(f"{counts[key]['bodies']:,}" for key in ("tried", "let in")))
        table.add_row(name, "median", "", "", f"{sorted(ratios)[len(ratios) // 2]:.2f}")
    console.print(table)


@asynccontextmanager
async def _asking(target: BenchTarget, output: Path) -> AsyncIterator[dict[str, float]]:
    """Ask `/health/live` every 50 ms for the time of a measurement; what was answered is there at the end."""
    output.mkdir()
    command = [sys.executable, "-m", "tests.bench.liveness", str(target.address), str(SIEGE_SECONDS)]
    answers: dict[str, float] = {}
    async with child_process(command, {}, output) as process:
        yield answers
        await process.wait()
    answers.update(orjson.loads((output / "log.txt").read_text().splitlines()[-1]))


# --- cost ----------------------------------------------------------------------------------------------------------------


async def cost(broker: MqttSettings, store: str, folder: Path) -> None:
    """Measure bursts of 50,000 readings to 50 clients, alternately with open and required access."""
    table = Table("pair", "open, readings/s", "required", "open, CPU per reading", "required", "more CPU")
    differences = []
    for pair in range(PAIRS):
        systems = [
            OwnBridge(broker, store.format(f"open{pair}"), folder),
            GuardedBridge(broker, store.format(f"required{pair}"), folder),
        ]
        results = {}
        for system in systems if pair % 2 == 0 else reversed(systems):
            async with system.started() as target:
                load = Load(clients=CLIENTS, burst=BURST)
                [results[system.name]] = await burst(ScenarioContext("burst", target, load, 1, 60, SilentDisplay()))
        pair_results = results[OwnBridge.name], results[GuardedBridge.name]
        cpu = [(result.cpu_seconds_per_reading or 0) * 1e6 for result in pair_results]
        differences.append(cpu[1] / cpu[0] - 1)
        speeds = [f"{result.readings_per_second:,.0f}" for result in pair_results]
        table.add_row(str(pair + 1), *speeds, *(f"{us:.1f} µs" for us in cpu), f"{differences[-1]:+.1%}")
    console.print(table)
    console.print(f"median {sorted(differences)[len(differences) // 2]:+.1%}")


PARTS = {part.__name__: part for part in (closing, guessing, siege, bodies, cost)}


async def main(names: list[str]) -> int:
    with broker_and_database() as (broker, database, folder):
        store, _, options = database.url.partition("/?")
        for part in names or PARTS:
            console.rule(part)
            part_folder = folder / part
            part_folder.mkdir()
            await PARTS[part](broker_settings(broker.url), f"{store}/{{}}?{options}", part_folder)
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
