"""SIGKILL of a bridge while its devices fail, are forecast and advised: `python -m tests.analysis.kills` kills it 20 times.

Most kills are between a write and the publishing of what was written. Checkpoints are written every second, and many of them
are cut short. What is expected is what a fold and forecasts find in the stored readings that nobody interrupts.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from bridge.analysis.advice.record import advice_from_document
from bridge.analysis.anomaly_checkpoints import MARK
from bridge.core.errors import BridgeError, StoreError
from bridge.core.query import ReadingsQuery
from bridge.settings import MqttSettings, StoreSettings
from bridge.stores import open_store
from bridge.tools.bench.clients.publisher import MqttPublisher
from tests.analysis.faulty import A_DAY, DEVICES, EVERY_MS, START_MS, Expected, name_of, room_of, values_of
from tests.analysis.killed_forecasts import different_forecasts, forecast_until, passing
from tests.analysis.killed_rooms import Rooms
from tests.faults.killed import KilledBridge
from tests.servers import Mongod, Mosquitto, until

RULES = """
profile = "home"

[rules.stale]
field = "co2"
above = 2000
clear = 1000
devices = ["room-*"]

[[action]]
name = "fan"
advice = ["ventilate"]
devices = ["room-*"]
command = "fan"
"""
TRAPS = {
    "bridge": (),
    "transition": ("after-transition:1", "after-transition:2", "after-transition:3"),
    "prediction": ("after-prediction:1", "after-prediction:2", "after-prediction:3"),
    "advice": (),
    "advice, before its command": ("after-advice:1",),
    "advice and its command": ("after-advice:2",),
}
"""Where a bridge is killed: in one of these traps, or at a random time."""

DAYS = 34
FIRST = 2
"""Readings of each device before the rooms are known."""


@dataclass
class Outcome:
    """Changes by id: `missed` are expected and not stored, `false` the reverse; `doubled` were sent twice to a client.

    `different` are the devices whose stored state, and `forecasts` those whose forecasts are not those of an undisturbed run.
    `advised` are the rooms with advice, `commands` counts the commands that each received.
    """

    readings: int = 0
    expected: int = 0
    kinds: set[str] = field(default_factory=set)
    missed: set[str] = field(default_factory=set)
    false: set[str] = field(default_factory=set)
    told: int = 0
    doubled: int = 0
    different: list[str] = field(default_factory=list)
    standing: tuple[set[str], set[str]] = (set(), set())
    """The anomalies that stand: those expected, and those in the store."""
    forecasts: list[str] = field(default_factory=list)
    predictions_told: int = 0
    rooms: list[str] = field(default_factory=list)
    advised: list[str] = field(default_factory=list)
    commands: Counter[str] = field(default_factory=Counter)
    unknown_commands: list[str] = field(default_factory=list)
    """Received, and not those that the advice names."""
    kills: Counter[str] = field(default_factory=Counter)


def bridge_of(folder: Path, store_url: str, broker_port: int, clock: Path) -> KilledBridge:
    rules = folder / "alarms.toml"
    rules.write_text(RULES)
    environment = {"BRIDGE_ALARMS__FILE": str(rules), "BRIDGE_ANOMALY_SAVE_SECONDS": "1", "BRIDGE_FORECAST_CLOCK": str(clock)}
    names = {"anomaly": _anomaly_name, "prediction": _prediction_name}
    return KilledBridge(folder, store_url, f"mqtt://127.0.0.1:{broker_port}", environment, names)


def _anomaly_name(body: dict[str, Any]) -> str:
    return f"{body['data']['id']} {body['kind']}"


def _prediction_name(body: dict[str, Any]) -> str:
    data = body["data"]
    return f"prediction {body['kind']} {data['deviceId']} {data['field']} {data['made']}"


def messages(first: int, last: int) -> Iterator[tuple[bytes, bytes]]:
    """The messages of all devices in turn, by their numbers."""
    for one in range(first, last):
        number, device = divmod(one, DEVICES)
        body = values_of(device, number) | {"timestamp": START_MS + number * EVERY_MS + device * 1000}
        yield f"sensors/{name_of(device)}/data".encode(), orjson.dumps(body)


@dataclass(slots=True)
class Load:
    """So many messages a second, of those from the number `first` to before `last`; it waits at `limit`."""

    first: int
    last: int
    rate: int
    limit: int


async def publish(port: int, load: Load) -> None:
    broker, at, sent = MqttSettings(url=SecretStr(f"mqtt://127.0.0.1:{port}")), time.monotonic(), load.first
    due_now, last = float(sent), load.last
    publisher = await MqttPublisher.connect(broker)
    while sent < last:
        elapsed, at = time.monotonic() - at, time.monotonic()
        due_now = min(due_now + elapsed * load.rate, load.limit)
        due = int(due_now)
        if due > sent:
            await publisher.publish_all(messages(sent, due))
            sent = due
        await publisher.settled()
        await asyncio.sleep(0.01)
    publisher.close()


async def kill_many(folder: Path, kills: Sequence[str], *, rate: int, seed: int = 1) -> Outcome:
    """Kill at random times: a `bridge`, or in a trap, see `TRAPS`."""
    rng, outcome = random.Random(seed), Outcome()
    broker, mongod = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongod")
    broker.start()
    mongod.start()
    clock = folder / "clock"
    clock.write_text("0")
    bridge, total = bridge_of(folder, mongod.url, broker.port, clock), DEVICES * DAYS * A_DAY
    try:
        bridge.start()
        await bridge.ready()
        await _place(bridge, mongod.url, broker.port)
        async with bridge.listening(), Rooms.of(broker.port) as rooms, passing(clock, mongod.url):
            load = Load(FIRST * DEVICES, total, rate, 0)
            sending = asyncio.create_task(publish(broker.port, load), name="load")
            for number, kind in enumerate(rng.sample(kills, len(kills)), start=1):
                outcome.kills[kind] += 1
                load.limit = total * number // (len(kills) + 1)  # so that there is something to find in each run
                bridge.kill()
                await _run_and_kill(kind, bridge, rooms, rng)
            bridge.start()
            await bridge.ready()
            load.limit, load.rate = total, 10 * rate
            await sending
            await _checkpoint(mongod.url, total + len(rooms.names))
            await forecast_until(clock, mongod.url, DAYS * 24)
            await rooms.advised(bridge)
            await asyncio.sleep(1)  # what is told now is on its way
        bridge.kill()
        await _judge(mongod.url, outcome, bridge, rooms)
    finally:
        bridge.kill()
        broker.kill()
        mongod.kill()
    return outcome


async def _run_and_kill(kind: str, bridge: KilledBridge, rooms: Rooms, rng: random.Random) -> None:
    """Start the bridge, and let it be killed."""
    trap = rng.choice(TRAPS[kind] or ("",))
    bridge.start(trap)
    if kind.startswith("advice"):
        await bridge.ready()
        await rooms.measure()
    if trap:
        await bridge.dead()
        return
    await bridge.ready()
    await asyncio.sleep(rng.uniform(0, 0.1) if kind.startswith("advice") else rng.uniform(0.2, 1.5))
    bridge.kill()


async def _place(bridge: KilledBridge, store_url: str, broker_port: int) -> None:
    """Register the devices with their rooms, and wait until these are in a checkpoint."""
    for device in range(DEVICES):
        site, _, room = (room_of(name_of(device)) or "").partition("\n")
        placed = {"site": site, "room": room} if room else {}
        assert await bridge.ask("/api/v1/devices", {"id": name_of(device), **placed}) is not None
    await publish(broker_port, Load(0, FIRST * DEVICES, 1000, FIRST * DEVICES))
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:

        async def are_known() -> bool:
            rooms = {one.device_id: one.body["room"] for one in await store.anomaly_states.all(DEVICES)}
            return rooms == {name_of(one): room_of(name_of(one)) for one in range(DEVICES)}

        await until(are_known, 30, "the rooms are known")


async def _checkpoint(store_url: str, total: int) -> None:
    """Wait until a checkpoint contains all readings."""
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:

        async def is_complete() -> bool:
            with suppress(StoreError, BridgeError):
                if await store.count(ReadingsQuery(since=0)) == total:
                    last = (await store.readings(ReadingsQuery(limit=1)))[-1].seq
                    return bool(orjson.loads(await store.get(MARK) or "{}").get("seq") == last)
            return False

        await until(is_complete, 120, f"{total} readings are in a checkpoint")


async def _judge(store_url: str, outcome: Outcome, bridge: KilledBridge, rooms: Rooms) -> None:
    expected = Expected()
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:
        await store.prepare()
        since = 0
        while page := await store.readings(ReadingsQuery(since=since, limit=5000)):
            expected.add(page)
            outcome.readings += len(page)
            since = page[-1].seq
        stored, before = set[str](), None
        while found := await store.anomalies.transitions(before=before, limit=1000):
            before = found[-1].id
            stored |= {one.id for one in found}
        states = {one.device_id: one.body["state"] for one in await store.anomaly_states.all(100)}
        standing = {one.id for one in await store.anomalies.find(is_open=True, limit=1000)}
        outcome.forecasts = await different_forecasts(store, DAYS * 24)
        advice = [advice_from_document(one.body) for one in await store.actions.find(limit=1000)]
    for change in expected.changes.values():
        kind = change.record.anomaly.kind.value
        if kind == "stuck" and change.record.anomaly.field != "pm25":  # an alarm tells of it
            stored.add(change.id)
        outcome.kinds.add(kind)
    outcome.expected = len(expected.changes)
    outcome.missed, outcome.false = expected.changes.keys() - stored, stored - expected.changes.keys()
    advised = [one for one in advice if one.device_id in rooms.names]
    outcome.rooms, outcome.advised = rooms.names, sorted(one.device_id for one in advised)
    outcome.commands, outcome.unknown_commands = rooms.commands, rooms.unknown_commands(advised)
    outcome.predictions_told = sum(name.startswith("prediction ") for name in bridge.told)
    outcome.told, outcome.doubled = len(bridge.told), sum(number > 1 for number in bridge.told.values())
    outcome.told -= outcome.predictions_told
    names = sorted({name_of(one) for one in range(DEVICES)} | states.keys())
    outcome.different = [one for one in names if states.get(one) != expected.fold.document(one)]
    outcome.standing = {one.id for one in expected.fold.standing()}, standing


def table(outcome: Outcome) -> str:
    rows = {
        "kills": f"{outcome.kills.total()}: {dict(outcome.kills)}",
        "readings": outcome.readings,
        "changes expected": outcome.expected,
        "kinds": ", ".join(sorted(outcome.kinds)),
        "missed": len(outcome.missed),
        "false": len(outcome.false),
        "told to the client": outcome.told,
        "told twice": outcome.doubled,
        "different states": outcome.different,
        "standing": tuple(map(len, outcome.standing)),
        "different forecasts": outcome.forecasts,
        "predictions told": outcome.predictions_told,
        "rooms with advice": f"{len(outcome.advised)} of {len(outcome.rooms)}",
        "commands received": f"{len(outcome.commands)}, {outcome.commands.total() - len(outcome.commands)} of them again",
    }
    return "\n".join(f"{name:24}{value}" for name, value in rows.items())


SHORT = ("bridge", "transition", "prediction", "prediction", "advice, before its command", "advice and its command")
LONG = SHORT * 3 + ("advice", "prediction")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.analysis.kills", description="20 kills: see the docstring.")
    parser.add_argument("seed", nargs="?", type=int, default=1, help="of the order and the times of the kills; 1 if not given")
    seed = parser.parse_args().seed
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="kills") as folder_name:
        print(table(asyncio.run(kill_many(Path(folder_name), LONG, rate=90, seed=seed))))
