"""SIGKILL of a bridge, mongod and the broker while devices cross limits: `python -m tests.alarms.kills` is the long form.

It kills the bridge 30 times, every third time between the write of a transition and its publishing, and each server 5 times.
The expected changes are those of a fold over the stored readings that nobody interrupted, and each raised alarm is to be told
to a webhook: at least once, and once more at most for each kill.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from bridge.alarms.defaults import profile_rules
from bridge.alarms.fold import AlarmFold
from bridge.alarms.record import transition_from_document
from bridge.core.errors import BridgeError
from bridge.core.query import ReadingsQuery
from bridge.settings import MqttSettings, StoreSettings
from bridge.stores import open_store
from bridge.tools.bench.clients.publisher import MqttPublisher
from tests.faults.killed import KilledBridge
from tests.notify.alarms import Receiver, receiver
from tests.servers import Mongod, Mosquitto, Process, until

DEVICES = 200
TARGET = "hook"
LONG = ("bridge", "bridge", "trap") * 10 + ("mongod",) * 5 + ("broker",) * 5
_BURN_SECONDS = 20
"""How long a device is hot, and then cold."""


@dataclass
class Outcome:
    """Transitions by id: `missed` are expected and not stored, `false` the reverse; `doubled` were sent twice to a client."""

    readings: int = 0
    expected: int = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    doubled: int = 0
    told: int = 0
    raised: int = 0
    untold: list[str] = field(default_factory=list)
    """Raised, and never told to the webhook."""
    told_again: int = 0
    """Messages to the webhook about an alarm beyond one for each time it was raised."""
    told_again_most: int = 0
    """The most of them about one alarm."""
    kills: Counter[str] = field(default_factory=Counter)


class KillStage(KilledBridge):
    """A bridge whose alarms are told to a webhook."""

    def __init__(self, folder: Path, store_url: str, broker_port: int, hook: Receiver) -> None:
        self.hook = hook
        rules = folder / "alarms.toml"
        rules.write_text(f'[[notify]]\nname = "{TARGET}"\nwebhook = "{hook.url}/hook"\n')
        environment = {"BRIDGE_ALARMS__FILE": str(rules), "BRIDGE_FLOOD_GAP_SECONDS": "1"}
        names = {"alert": lambda body: str(body["transition"])}
        super().__init__(folder, store_url, f"mqtt://127.0.0.1:{broker_port}", environment, names)

    async def up_to_date(self) -> None:
        async def is_up_to_date() -> bool:
            body = await self.ask("/api/v1/alarms?limit=1")
            return body is not None and not body["catchingUp"] and await self.ask("/health/ready") is not None

        await until(is_up_to_date, 60, "the bridge is up to date")


def messages(first: int, last: int, began: float) -> Iterator[tuple[bytes, bytes]]:
    for number in range(first, last):
        device = number % DEVICES
        phase = (time.monotonic() - began + device * 2 * _BURN_SECONDS / DEVICES) % (2 * _BURN_SECONDS)
        body = {"temperature": 61.5 if phase < _BURN_SECONDS else 20.5, "timestamp": time.time_ns() // 1_000_000}
        yield f"sensors/d{device:03}/data".encode(), orjson.dumps(body)


async def publish(port: int, rate: int, stop: asyncio.Event) -> int:
    """Publish readings of all devices in turn, hot for a while, then cold, each device at another time; return how many.

    What a broker that is killed has not acknowledged is not sent again.
    """
    broker, began, sent = MqttSettings(url=SecretStr(f"mqtt://127.0.0.1:{port}")), time.monotonic(), 0
    while not stop.is_set():
        with suppress(BridgeError, OSError):
            publisher = await MqttPublisher.connect(broker)
            while not stop.is_set():
                due = int((time.monotonic() - began) * rate)
                if due > sent:
                    await publisher.publish_all(messages(sent, due, began))
                    sent = due
                await publisher.settled()
                await asyncio.sleep(0.01)
            publisher.close()
        await asyncio.sleep(0.05)
    return sent


async def kill_many(folder: Path, victims: Sequence[str], *, rate: int = 1000, seed: int = 1) -> Outcome:
    """Kill at random times: a `bridge`, or one in the `trap` before it publishes a transition; `mongod`; the `broker`."""
    rng, outcome = random.Random(seed), Outcome()
    broker, mongod = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongod")
    broker.start()
    mongod.start()
    async with receiver() as hook:
        stage = KillStage(folder, mongod.url, broker.port, hook)
        try:
            stage.start()
            await stage.up_to_date()
            async with stage.listening():
                stop = asyncio.Event()
                load = asyncio.create_task(publish(broker.port, rate, stop), name="load")
                for victim in rng.sample(victims, len(victims)):
                    outcome.kills[victim] += 1
                    await asyncio.sleep(rng.uniform(0.2, 1.5))
                    await _kill(victim, stage, {"mongod": mongod, "broker": broker}, rng)
                    await stage.up_to_date()
                stop.set()
                outcome.readings = await load
                await _settled(stage, outcome.readings)
                await _all_delivered(mongod.url)
            stage.kill()
            await _judge(mongod.url, outcome, stage)
        finally:
            stage.kill()
            broker.kill()
            mongod.kill()
    return outcome


async def _kill(victim: str, stage: KillStage, servers: Mapping[str, Process], rng: random.Random) -> None:
    if victim in servers:
        servers[victim].kill()
        await asyncio.sleep(rng.uniform(0.2, 1.5))
        servers[victim].start()
        return
    stage.kill()
    if victim == "trap":
        stage.start(f"after-transition:{rng.randint(1, 3)}")
        await stage.dead()
    stage.start()


async def _all_delivered(store_url: str) -> None:
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:

        async def is_delivered() -> bool:
            return not await store.deliveries.due(TARGET, time.time_ns() // 1_000_000 + 3_600_000, 1)

        await until(is_delivered, 120, "all deliveries are sent")


async def _settled(stage: KillStage, readings: int) -> None:
    """Wait until nothing arrives any more."""
    before: list[Any] = []

    async def is_quiet() -> bool:
        await asyncio.sleep(1)
        status = await stage.ask("/websocket/status")
        ledger = {} if status is None else status["ledger"].get("mqtt", {"received": 0, "waiting": 0})
        alarms = await stage.ask("/api/v1/alarms?state=all&limit=1")  # of the store, which then has the last changes too
        now = [ledger.get("received"), sum(stage.told.values()), alarms]
        same, before[:] = now == before, now
        return same and alarms is not None and ledger.get("waiting") == 0

    await until(is_quiet, 120, f"{readings} readings are processed")


async def _judge(store_url: str, outcome: Outcome, stage: KillStage) -> None:
    fold, expected, raised = AlarmFold(profile_rules("home")), dict[str, str](), Counter[str]()
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:
        await store.prepare()
        since, last_ms = 0, 0
        while page := await store.readings(ReadingsQuery(since=since, limit=5000)):
            for reading in page:
                last_ms = max(last_ms, reading.received_ms)
                for one in [*fold.tick(reading.received_ms), *fold.step(reading)]:
                    if one.record.rule != "no-data":
                        expected[one.id] = f"{one.record.device_id} {one.record.rule} {one.kind}"
                        raised.update([one.record.id] if one.announces else [])
            since = page[-1].seq
        stored, before = dict[str, str](), None
        while found := await store.alarms.transitions(before=before, limit=1000):
            before = found[-1].id
            for one in map(transition_from_document, (each.body for each in found)):
                if one.record.rule not in ("no-data", "broker-unavailable", "store-unavailable"):
                    stored[one.id] = f"{one.record.device_id} {one.record.rule} {one.kind}"
    outcome.expected = len(expected)
    outcome.missed = [f"{key} {said}" for key, said in expected.items() if key not in stored]
    outcome.false = [f"{key} {said}" for key, said in stored.items() if key not in expected]
    outcome.told = len(stage.told)
    outcome.doubled = sum(number > 1 for number in stage.told.values())
    posts = [orjson.loads(post.content) for post in stage.hook.posts]
    told = Counter(alarm["id"] for post in posts if post["kind"] == "raised" for alarm in post["alarms"])
    outcome.raised = raised.total()
    outcome.untold = sorted(raised.keys() - told.keys())
    again = {alarm: told[alarm] - number for alarm, number in raised.items() if told[alarm] > number}
    outcome.told_again, outcome.told_again_most = sum(again.values()), max(again.values(), default=0)


def table(outcome: Outcome) -> str:
    kills = ", ".join(f"{number} {victim}" for victim, number in sorted(outcome.kills.items()))
    rows = (
        ("kills", f"{outcome.kills.total()}: {kills}"),
        ("readings sent", outcome.readings),
        ("transitions expected", outcome.expected),
        ("missed", len(outcome.missed)),
        ("false", len(outcome.false)),
        ("told to the client", outcome.told),
        ("doubled", outcome.doubled),
        ("alarms raised", outcome.raised),
        ("untold to the webhook", len(outcome.untold)),
        ("told again, in all", outcome.told_again),
        ("told again, most of one alarm", outcome.told_again_most),
    )
    faults = [f"missed {one}" for one in outcome.missed] + [f"false {one}" for one in outcome.false]
    return "\n".join([*(f"{name:32}{value}" for name, value in rows), *faults, *(f"untold {one}" for one in outcome.untold)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.alarms.kills", description=f"{len(LONG)} kills; see the docstring.")
    parser.add_argument("seed", nargs="?", type=int, default=1, help="of the order and the times of the kills; 1 if not given")
    seed = parser.parse_args().seed
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="kills") as folder_name:
        print(table(asyncio.run(kill_many(Path(folder_name), LONG, seed=seed))))
