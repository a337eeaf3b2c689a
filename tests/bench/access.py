"""`python -m tests.bench.access [closing guessing siege cost]`: what access keeps out, how soon, and what it costs."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
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
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult
from bridge.tools.bench.run import broker_settings
from bridge.tools.bench.scenarios.catalog import burst
from bridge.tools.bench.stage import Stage
from bridge.tools.bench.systems import BenchTarget, OwnBridge, child
from tests.access.test_sockets_expiry import PROTOCOLS
from tests.access.ways import DEVICES, LISTENING, SOCKET_IO, Verdict, attempted, ended, opened
from tests.bench.attackers import ATTACKS, GUESSED
from tests.bench.guarded import PASSWORD, GuardedBridge, token_for
from tests.servers import Mongod, Mosquitto

PROXIED = {"BRIDGE_HTTP__TRUSTED_PROXIES": "127.0.0.1"}
LIFE_SECONDS, GUESSING_SECONDS, SIEGE_SECONDS = 3, 60, 10
SIEGES = 3
PAIRS, BURST, CLIENTS = 5, 50_000, 50
REMEMBERED = 12_000

console = Console(width=110)


class Quiet:
    """Nobody watches."""

    def phase(self, text: str) -> None: ...

    def progress(self, text: str) -> None: ...


# --- closed within -------------------------------------------------------------------------------------------------------


async def closing(broker: MqttSettings, _: str, folder: Path) -> None:
    """Seconds until who may not stay is out, as each kind of client sees it."""
    store = f"sqlite:///{folder}/closing.db"
    table = Table("client", "no login", "refused", "expired", "taken back", "by another process", title="closed after, s")
    async with GuardedBridge(broker, store, folder).started() as target:
        ways = LISTENING | DEVICES
        names = (*ways, *MUTE)
        waits = await asyncio.gather(
            *(_seconds(attempted(way, target.address, None)) for way in ways.values()),
            *(_seconds(way(target)) for way in MUTE.values()),
        )
        silent = dict(zip(names, waits, strict=True))
        refused = {name: await _seconds(attempted(way, target.address, GUESSED)) for name, way in ways.items()}
        for name in names:
            table.add_row(name, *(f"{one[name]:.2f}" if name in one else "" for one in (silent, refused)))
        expired = await _out_after(target, await _with_token(), LIFE_SECONDS)
        taken = await _out_after(target, await _person(target, "ada"), 0, lambda: _remove(target, "ada"))
        elsewhere = await _out_after(target, await _person(target, "bob"), 0, lambda: _remove_elsewhere(store, "bob"))
        for name in (*PROTOCOLS, POLLING):
            table.add_row(name, "", "", *(f"{one[name]:.2f}" for one in (expired, taken, elsewhere)))
    console.print(table)


async def _seconds(attempt: Awaitable[Verdict | None]) -> float:
    """How long it took not to be let in."""
    began = time.monotonic()
    verdict = await attempt
    assert verdict is None or not verdict.let_in
    return time.monotonic() - began


async def _mute(target: BenchTarget) -> None:
    """Connected by Socket.IO, and never a word."""
    async with opened(target.address, SOCKET_IO) as socket:
        await ended(socket)


POLLING = "long-polling"
MUTE: dict[str, Callable[[BenchTarget], Awaitable[None]]] = {
    "Socket.IO, not a word": _mute,
    "long-polling, not a word": lambda target: _polled_out(target, None),
}


async def _with_token() -> str:
    await asyncio.sleep(1 - time.time() % 1)  # an expiry is in whole seconds
    return token_for(seconds=LIFE_SECONDS)


async def _out_after(
    target: BenchTarget, token: str, seconds: float, end: Callable[[], Awaitable[None]] | None = None
) -> dict[str, float]:
    """By each dialect, seconds from the end to its being told."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        sockets: dict[str, Any] = {}
        for name, dialect in PROTOCOLS.items():
            sockets[name] = await stack.enter_async_context(dialect(target.address, token))  # type: ignore[arg-type]
        polling = asyncio.ensure_future(_polled_out(target, token))
        await asyncio.sleep(0.5)
        if end is not None:
            began = time.monotonic()
            await end()

        async def out(name: str) -> tuple[str, float]:
            await (polling if name == POLLING else ended(sockets[name]))
            return name, max(time.monotonic() - began - seconds, 0)

        return dict(await asyncio.gather(*map(out, (*sockets, POLLING))))


async def _polled_out(target: BenchTarget, token: str | None) -> None:
    """Polls until that is refused; without a token it never asks to join."""
    url = f"{target.address}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            url += "&sid=" + orjson.loads((await answer.text())[1:])["sid"]
        if token is not None:
            async with session.post(url, data="40" + orjson.dumps({"token": token}).decode()) as answer:
                assert answer.status == 200
        while True:
            async with session.get(url) as answer:
                text = await answer.text()
                if answer.status != 200 or "1" in text.split("\x1e"):
                    return
                if "2" in text.split("\x1e"):
                    await session.post(url, data="3")


async def _person(target: BenchTarget, name: str) -> str:
    """Added and logged in."""
    async with aiohttp.ClientSession(headers=target.address.headers) as session:
        body = {"name": name, "password": PASSWORD, "role": "operator"}
        async with session.post(f"{target.address}/api/v1/users", json=body) as answer:
            assert answer.status == 201, await answer.text()
        async with session.post(f"{target.address}/auth/login", json={"username": name, "password": PASSWORD}) as answer:
            return str((await answer.json())["access_token"])


async def _remove(target: BenchTarget, name: str) -> None:
    async with (
        aiohttp.ClientSession(headers=target.address.headers) as session,
        session.delete(f"{target.address}/api/v1/users/{name}") as answer,
    ):
        assert answer.status == 204


async def _remove_elsewhere(store_url: str, name: str) -> None:
    async with open_store(StoreSettings.model_validate({"url": store_url})) as store:
        await AuthService(AccessSettings(), DevicesSettings(), store).users.remove(name)


# --- guessing ------------------------------------------------------------------------------------------------------------


async def guessing(broker: MqttSettings, _: str, folder: Path) -> None:
    """How many passwords somebody can try in a minute, as fast as he likes."""
    async with GuardedBridge(broker, None, folder, PROXIED).started() as target, aiohttp.ClientSession() as session:
        until = time.monotonic() + GUESSING_SECONDS

        async def guess(user: str, address: str) -> tuple[int, int]:
            asked = judged = 0
            while time.monotonic() < until:
                asked += 1
                body = {"username": user.format(asked), "password": f"guess {asked}"}
                headers = {"X-Forwarded-For": address.format(asked % 250 + 1)}
                async with session.post(f"{target.address}/auth/login", json=body, headers=headers) as answer:
                    judged += answer.status == 401
                await asyncio.sleep(0.05)
            return asked, judged

        by_address, by_user = await asyncio.gather(guess("user{}", "203.0.113.1"), guess("admin", "198.51.100.{}"))
    for name, (asked, judged) in (("one address, many users", by_address), ("many addresses, one user", by_user)):
        console.print(f"{name}: {asked:,} passwords tried in {GUESSING_SECONDS} s, {judged} of them looked at")


# --- a siege -------------------------------------------------------------------------------------------------------------


async def siege(broker: MqttSettings, store: str, folder: Path) -> None:
    """What 50 clients notice of floods and hostile frames, of each kind and of all at once, and what they cost in memory.

    Three rounds, each p99 beside that of its round's peace: one pause of the disk decides that of ten seconds.
    """
    load = Load(clients=50, rate=200, seconds=SIEGE_SECONDS)
    table = Table("who attacks", "p99, ms", "to nobody's of the round", "the middle one", "memory, MB", "tried", "let in")
    kinds: dict[str, list[str]] = {"nobody": [], "all": [*ATTACKS]} | {one: [one] for one in ATTACKS}
    sums = {name: _Siege() for name in (*kinds, "nobody again")}
    async with GuardedBridge(broker, store.format("siege"), folder).started() as target:
        stage = Stage("siege", target, load, 1, 30, Quiet())
        async with stage.crowd(stage.subscribers, load.clients, paced=True) as crowd, stage.publisher() as publisher:
            await stage.warm_up(publisher, crowd)
            crowd.expect(REMEMBERED)  # what the bridge holds of the newest readings is there before it is weighed
            await stage.publish(publisher, REMEMBERED, crowd)
            await crowd.complete()
            await asyncio.sleep(1)
            rss = target.usage.rss_bytes() or 0
            for round_ in range(SIEGES):
                for name, attacks in (kinds | ({"nobody again": []} if round_ == SIEGES - 1 else {})).items():
                    place = folder / f"{name}-{round_}".replace(" ", "-")
                    place.mkdir()
                    seconds = str(SIEGE_SECONDS + 2)
                    command = [sys.executable, "-m", "tests.bench.attackers", str(target.address), seconds, *attacks]
                    async with child(command, {}, place) as attackers:
                        await asyncio.sleep(1)
                        row = await _held(stage, publisher, crowd)
                        await attackers.wait()
                    said = orjson.loads((place / "log.txt").read_text().splitlines()[-1])
                    sums[name].add(row, sums["nobody"].p99s, {one: sum(said[one].values()) for one in ("tried", "let in")})
    for name, one in sums.items():
        table.add_row(name, *one.shown(rss))
    console.print(table)


class _Siege:
    """What one kind of attack came to, over its rounds."""

    def __init__(self) -> None:
        self.p99s: list[float] = []
        self._ratios: list[float] = []
        self._bytes = 0
        self._said: Counter[str] = Counter()

    def add(self, row: BenchResult, quiet: list[float], said: dict[str, int]) -> None:
        """`quiet`: the p99s of when nobody attacked, its round's last."""
        self.p99s.append((row.percentile(0.99) or 0) * 1000)
        self._ratios.append(self.p99s[-1] / quiet[-1])
        self._bytes = max(self._bytes, *(one.bridge_rss_bytes or 0 for one in row.samples))
        self._said.update(said)

    def shown(self, rss: int) -> tuple[str, ...]:
        middle = sorted(self._ratios)[len(self._ratios) // 2]
        series = (
            " · ".join(pattern.format(one) for one in of) for pattern, of in (("{:.1f}", self.p99s), ("{:.2f}", self._ratios))
        )
        return (
            *series,
            f"{middle:.2f}",
            f"{(self._bytes - rss) / 1e6:+.1f}",
            f"{self._said['tried']:,}",
            str(self._said["let in"]),
        )


async def _held(stage: Stage, publisher: MqttPublisher, crowd: Any) -> BenchResult:
    """The load's rate, for as long as it says."""
    latencies, count = Latencies(), stage.load.paced
    streams = stage.streams(latencies)[:1]
    async with stage.measuring("", crowd) as meter:
        crowd.expect(count, streams)
        await stage.pace(publisher, streams, count)
        meter.until = await crowd.complete()
    return stage.measurement(meter, crowd, count, latencies)


# --- what it costs -------------------------------------------------------------------------------------------------------


async def cost(broker: MqttSettings, store: str, folder: Path) -> None:
    """Bursts of 50,000 to 50 clients, by turns with access open and required."""
    table = Table("pair", "open, readings/s", "required", "open, CPU a reading", "required", "more CPU")
    differences = []
    for pair in range(PAIRS):
        systems = [
            OwnBridge(broker, store.format(f"open{pair}"), folder),
            GuardedBridge(broker, store.format(f"required{pair}"), folder),
        ]
        rows = {}
        for system in systems if pair % 2 == 0 else reversed(systems):
            async with system.started() as target:
                stage = Stage("burst", target, Load(clients=CLIENTS, burst=BURST), 1, 60, Quiet())
                [rows[system.name]] = await burst(stage)
        first, second = rows[OwnBridge.name], rows[GuardedBridge.name]
        cpu = [(one.cpu_seconds_per_reading or 0) * 1e6 for one in (first, second)]
        differences.append(cpu[1] / cpu[0] - 1)
        speeds = [f"{one.readings_per_second:,.0f}" for one in (first, second)]
        table.add_row(str(pair + 1), *speeds, *(f"{one:.1f} µs" for one in cpu), f"{differences[-1]:+.1%}")
    console.print(table)
    console.print(f"in the middle {sorted(differences)[len(differences) // 2]:+.1%}")


PARTS = {one.__name__: one for one in (closing, guessing, siege, cost)}


async def main(names: list[str]) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker, database = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongod")
        broker.start()
        database.start()
        try:
            for part in names or PARTS:
                console.rule(part)
                place = folder / part
                place.mkdir()
                store, _, options = database.url.partition("/?")
                await PARTS[part](broker_settings(broker.url), f"{store}/{{}}?{options}", place)
        finally:
            broker.kill()
            database.kill()
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
