"""Clients come, go, change over from polling and ask for other devices all the time; each is to hear all it asked for once."""

from __future__ import annotations

import asyncio
import random
import re
from array import array
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter
from typing import Any

import aiohttp

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.crowd import Crowd, wait_until
from bridge.tools.bench.clients.listeners import AttentiveSubscriber, CursorSubscriber, Matches
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.upgrading import UpgradingSubscriber
from bridge.tools.bench.load import READINGS_LIMIT
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult, Figure
from bridge.tools.bench.scenarios.reconnect import REPLAY_LIMIT
from bridge.tools.bench.scenarios.visits import Change, Visit, VisitAudit, audit_visits
from bridge.tools.bench.stage import Stage

_READING = re.compile(rb'"deviceId":"([^"]*"[^}]*\},"cursor":\d+)[,}]')
_READING_BYTES = 512
_STAY_SECONDS = 0.5, 4.0  # between changes of mind, and before it goes; less where the whole lasts less than this
_AWAY_SECONDS = 0.0, 2.0
_WHOLE_SECONDS = 20.0
_CHANGES = 0, 2  # of its mind while it stays
_ATTEMPTS = 5


class Witness(CursorSubscriber):
    """Hears everything, and keeps of which device each reading was."""

    def __init__(self, arena: Any, address: Address) -> None:  # noqa: ANN401 - as the original
        """Not connected yet."""
        super().__init__(arena, address)
        self._matches = Matches(_READING, _READING_BYTES)
        self.of_device: dict[str, array[int]] = {}

    def _keep(self, piece: bytes) -> int:
        found = self._matches.feed(piece)
        for one in found:
            device, _, rest = one.partition(b'"')
            cursor = int(rest.rpartition(b":")[2])
            self.cursors.append(cursor)
            self.of_device.setdefault(device.decode(), array("q")).append(cursor)
        return len(found)


class ChurnClient:
    """One client over all its connections. Every second one wishes everything, every second one begins by polling."""

    def __init__(self, stage: Stage, crowd: Crowd[CursorSubscriber], number: int, since: int) -> None:
        """What it hears begins after the cursor `since`."""
        self._stage = stage
        self._crowd = crowd
        self._random = random.Random(number)  # noqa: S311 - not a secret
        self._all = frozenset(stage.devices)
        self._everything = number % 2 == 0
        self._polls = number % 4 >= 2
        self._subscription = self._all if self._everything else frozenset(self._random.sample(stage.devices, 1))
        self._last = since
        self.visits: list[Visit] = []
        self.subscriber: CursorSubscriber
        self.upgrades = self.changes = self.replayed = 0

    async def come_and_go(self, session: aiohttp.ClientSession, until: float) -> None:
        """Until then, and stay."""
        while True:
            visit = await self._come(session)
            for _ in range(self._random.randint(*_CHANGES)):
                await self._rest(_STAY_SECONDS)
                await self._change_its_mind(visit)
            await self._rest(_STAY_SECONDS)
            if perf_counter() > until:
                return
            self._go(visit)
            await self._rest(_AWAY_SECONDS)

    async def _rest(self, seconds: tuple[float, float]) -> None:
        await asyncio.sleep(self._random.uniform(*seconds) * min(self._stage.load.seconds / _WHOLE_SECONDS, 1))

    async def _come(self, session: aiohttp.ClientSession) -> Visit:
        """As a real client: it tries again when the server is too busy to take it. Raises `BridgeError` at the last time."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._arrive(session)
            except BridgeError:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(self._random.uniform(0.1, 0.5))
        raise AssertionError("the last attempt returned or raised")

    async def _arrive(self, session: aiohttp.ClientSession) -> Visit:
        kind = UpgradingSubscriber if self._polls else AttentiveSubscriber
        one = await kind.connect(self._crowd.arena, self._stage.target.address)
        asked = (self._named(self._subscription), self._last, REPLAY_LIMIT)
        if isinstance(one, UpgradingSubscriber):
            answer = await one.arrive(session, *asked)
            self.upgrades += 1
        else:
            answer = await one.subscribe(*asked)
        self.subscriber = one
        self._crowd.subscribers.append(one)
        self.visits.append(visit := Visit(one.cursors, one.gaps))
        visit.added(self._subscription, self._last, Change(0, one.at_answer))
        self.replayed += answer["replayed"]
        return visit

    def _named(self, devices: frozenset[str]) -> Sequence[str] | None:
        """None is every device: of a bridge that others use, also theirs."""
        return None if self._everything and not self._stage.target.shared else sorted(devices)

    async def _change_its_mind(self, visit: Visit) -> None:
        """One device more or less; who wishes everything asks for it again, and is to hear nothing twice by that."""
        one, before = self.subscriber, len(self.subscriber.cursors)
        since = self._heard_until(visit)
        more = self._all if self._everything else frozenset(self._random.sample(sorted(self._all), 1))
        if more <= self._subscription and len(self._subscription) > 1 and not self._everything:
            answer = await one.unsubscribe(sorted(more))
            visit.dropped(more, answer["cursor"], Change(before, one.at_answer))
            self._subscription -= more
        else:
            answer = await one.subscribe(self._named(more), since, REPLAY_LIMIT)
            visit.added(more, since, Change(before, one.at_answer))
            self.replayed += answer["replayed"]
            self._subscription |= more
        self.changes += 1

    def _heard_until(self, visit: Visit) -> int:
        self._last = max(self._last, max(visit.got, default=0))
        return self._last

    def _go(self, visit: Visit) -> None:
        """With a word, or without."""
        visit.left(self._heard_until(visit))
        if parting := self._random.choice((b"41", b"1", None)):
            self.subscriber.say(parting)
        self.subscriber.close()

    def has_all(self, truth: dict[str, array[int]]) -> bool:
        """Whether the last that was published for it has come, or never will."""
        last = max((truth[device][-1] for device in self._subscription if device in truth), default=0)
        return self.subscriber.lost or last <= max(self._last, max(self.visits[-1].got, default=0))


async def churn(stage: Stage) -> list[BenchResult]:
    """A witness that is never cut tells what there was to hear."""
    load = stage.load
    async with (
        stage.crowd(Witness, 1) as witnesses,
        stage.publisher() as publisher,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        await stage.warm_up(publisher, witnesses)
        (witness,) = witnesses.subscribers
        crowd: Crowd[CursorSubscriber] = Crowd(stage.target.name, [witness], stage.patience)
        guests = [ChurnClient(stage, crowd, number, witness.cursors[-1]) for number in range(load.clients)]
        try:
            return [await _held(stage, publisher, session, witness, crowd, guests)]
        finally:
            crowd.close()


async def _held(
    stage: Stage,
    publisher: MqttPublisher,
    session: aiohttp.ClientSession,
    witness: Witness,
    crowd: Crowd[CursorSubscriber],
    guests: Sequence[ChurnClient],
) -> BenchResult:
    latencies, load, before = Latencies(), stage.load, stage.published
    streams = stage.streams(latencies)
    witness.expect(READINGS_LIMIT, streams[0], lambda _: None)
    async with stage.measuring(f"{load.clients:,} clients come and go", crowd) as meter, asyncio.TaskGroup() as tasks:
        for guest in guests:
            tasks.create_task(guest.come_and_go(session, perf_counter() + load.seconds), name="guest")
        await stage.pace(publisher, streams[:1], load.paced)
        meter.until = perf_counter()
    await wait_until(lambda: len(witness.cursors) >= stage.published, stage.patience)
    if (short := stage.published - len(witness.cursors)) > 0:
        raise BridgeError(f"{stage.target.name}: {short:,} of {stage.published:,} readings did not come to who never left")
    if any(after <= before for before, after in pairwise(witness.cursors)):
        raise BridgeError(f"{stage.target.name}: who never left was sent readings twice or out of order")
    truth = witness.of_device
    await wait_until(lambda: all(guest.has_all(truth) for guest in guests), stage.patience)
    row = stage.measurement(meter, crowd, stage.published - before, latencies, _figures(guests, truth))
    row.clients, row.heard_by = len(guests), 1
    return row


def _figures(guests: Sequence[ChurnClient], truth: dict[str, array[int]]) -> dict[str, Figure]:
    total, end = VisitAudit(), max((cursors[-1] for cursors in truth.values()), default=0)
    for guest in guests:
        guest.visits[-1].left(end)
        total += audit_visits(guest.visits, truth)
    return {
        "connections": Figure(sum(len(guest.visits) for guest in guests)),
        "changed over from polling": Figure(sum(guest.upgrades for guest in guests)),
        "changes of wish": Figure(sum(guest.changes for guest in guests)),
        "readings replayed": Figure(sum(guest.replayed for guest in guests)),
        "cut": Figure(sum(guest.subscriber.lost for guest in guests)),
        "missed by who was too slow, and told": Figure(total.told),
        "holes": Figure(total.holes, wrong=True),
        "repeats": Figure(total.repeats, wrong=True),
        "not asked for": Figure(total.strangers, wrong=True),
        "out of order": Figure(total.misordered, wrong=True),
    }
