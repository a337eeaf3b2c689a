"""Random worlds of the log: bridges that write, close and follow, with a replica set, a network and a bus, step by step.

Every actor is a generator that yields between two steps of the store, so a crash or a pause can happen between any two. The
primary may fail with writes that only it has. The network may lose a reply, and may hold an insert back and apply it at any
later time, also after its bridge has died. The bus loses, doubles, reorders and delays. Each world is determined by its seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from bridge.log.closing import CloseWatch
from bridge.log.follower import Announcement, Follower
from bridge.log.order import CursorRange, Order
from tests.log.model_store import Client, Insert, Record, Store, Violation, check_agreement, seq_of

Steps = Generator[None, None, None]
SETTLE_STEPS = 5_000


@dataclass(slots=True, eq=False)
class Bridge:
    """A process: its name survives a restart, everything else does not."""

    name: str
    clock_us: int
    watch: CloseWatch
    batch: list[str] = field(default_factory=list)
    in_use: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    client: Client | None = None
    asleep: int = 0  # steps until it continues
    actors: list[Steps] = field(default_factory=list)


class World:
    follower: ClassVar[type[Follower[Record]]] = Follower

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.now = 0.0
        self.pace = random.choice([0.005, 0.02, 0.1])
        self.loss = random.choice([0.0, 0.1, 0.5, 1.0])
        self.disorder = random.choice([0.0, 0.3, 1.0])
        self.trouble = random.choice([0.0, 0.1, 0.3])  # of each write and reply
        self.lateness = random.choice([0.005, 0.02, 0.05])  # of a late insert to be applied in a step
        self.crashes = random.choice([0.0, 0.01, 0.03])
        self.is_replicated = random.random() < 0.5
        self.failovers = random.choice([0.01, 0.05, 0.1]) if self.is_replicated else 0.0
        self.replication = random.choice([0.05, 0.2, 0.5])
        self.store = Store(random.choice([0, 1000]), is_replicated=self.is_replicated)
        self.inbox = [f"m{number}" for number in range(random.randint(5, 25))]
        self.acknowledged: set[str] = set()
        self.bus: list[tuple[Client, Announcement[Record]]] = []
        self.late: list[Record] = []
        self.clients: list[Client] = []
        self.bridges: list[Bridge] = []
        self.seen: Counter[str] = Counter()
        for number in range(random.randint(1, 3)):
            self.start_bridge(f"bridge-{number}")

    # --- one world, from its start to its end ---

    def run(self, steps: int = 250) -> None:
        """Raises `Violation` if a promise is broken, or if what is open is not closed and delivered in the end."""
        try:
            self.run_steps(steps)
        except Violation as violation:
            raise Violation(f"{violation} (world {self.seed})") from None

    def run_steps(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.crashes = self.trouble = self.loss = self.failovers = 0.0
        self.pace, self.replication = 0.05, 1.0
        for _ in range(SETTLE_STEPS):
            if self.is_settled():
                break
            self.step()
        else:
            raise Violation(f"stuck: {self.store.durable.order}, {len(self.inbox)} messages wait")
        while self.late:
            self.store_insert(*self.late.pop())
        self.store.replicate(self.store.writes)
        self.check()

    def is_settled(self) -> bool:
        order = self.store.durable.order
        return not (
            order.open
            or self.inbox
            or any(one.batch or one.client is None or one.client.follower.delivered < order.last for one in self.bridges)
        )

    def check(self) -> None:
        if lost := self.acknowledged - self.store.durable.by_id.keys():
            raise Violation(f"acknowledged and not stored: {lost}")
        for client in self.clients:
            client.check()
        check_agreement(self.clients)

    def step(self) -> None:
        random = self.random
        self.now += random.random() * self.pace
        if self.is_replicated:
            self.replicate()
        bridge = random.choice(self.bridges)
        if self.bus and random.random() < 0.4:
            self.deliver()
        elif self.late and random.random() < self.lateness:
            self.late_insert()
        elif random.random() < self.crashes:
            self.crash(bridge) if random.random() < 0.5 else self.pause(bridge)
        elif bridge.asleep > 0:
            bridge.asleep -= 1
        else:
            next(random.choice(bridge.actors))

    def replicate(self) -> None:
        if self.random.random() < self.replication:
            self.store.replicate(self.random.randint(1, 4))
        if self.random.random() < self.failovers:
            self.seen["write rolled back"] += not self.store.is_durable(self.store.writes)
            self.store.fail_over()

    # --- bridges: start, crash, pause ---

    def start_bridge(self, name: str) -> None:
        clock_us = self.random.randint(-50, 50)
        bridge = Bridge(name, clock_us, CloseWatch(self.random.choice([0.2, 1.0])))
        bridge.actors = [self.write_batches(bridge), self.follow(bridge), self.close_overdue(bridge)]
        self.bridges.append(bridge)

    def crash(self, bridge: Bridge) -> None:
        self.seen["crash"] += 1
        self.seen["crash with a batch"] += bool(bridge.batch)
        self.bridges.remove(bridge)
        self.inbox += bridge.batch
        self.start_bridge(bridge.name)

    def pause(self, bridge: Bridge) -> None:
        """The broker gives its messages to others; afterwards it goes on writing, as if nothing had happened."""
        self.seen["pause with a batch"] += bool(bridge.batch)
        bridge.asleep = self.random.randint(5, 60)
        self.inbox += bridge.batch

    # --- writing ---

    def write_batches(self, bridge: Bridge) -> Steps:
        spare: CursorRange | None = None
        while True:
            yield
            if not self.inbox:
                if spare is not None:
                    yield from self.finish(bridge, spare, [])
                    spare = None
                yield from self.remove_finished(bridge)
                continue
            bridge.batch = self.take_batch()
            current = spare or (yield from self.hand_out(bridge))
            spare = (yield from self.hand_out(bridge)) if self.random.random() < 0.2 and self.trouble else None
            self.inbox += bridge.batch[current.count :]
            del bridge.batch[current.count :]
            yield from self.write_batch(bridge, current)
            bridge.batch = []

    def take_batch(self) -> list[str]:
        self.random.shuffle(self.inbox)
        size = self.random.randint(1, 4)
        batch = list(dict.fromkeys(self.inbox[:size]))
        del self.inbox[: size if self.random.random() > self.trouble else size - 1]  # the broker may deliver one again
        return batch

    def hand_out(self, bridge: Bridge) -> Generator[None, None, CursorRange]:
        while True:
            yield
            finished = frozenset(bridge.finished)
            now_us = int(self.now * 100) + bridge.clock_us
            term = self.store.term
            new = self.order_hand_out(now_us, self.random.randint(1, 5), bridge.name, finished)
            yield
            if (yield from self.range_is_durable(term)) and self.random.random() >= self.trouble / 2:
                bridge.finished -= finished
                bridge.in_use = (bridge.in_use - finished) | {new.high}
                return new
            self.seen["lost reply of a range"] += 1

    def order_hand_out(self, now_us: int, count: int, name: str, finished: frozenset[int]) -> CursorRange:
        order, new = self.store.primary.order.hand_out(now_us, count, name, finished)
        self.store.set_order(order)
        return new

    def write_batch(self, bridge: Bridge, current: CursorRange) -> Steps:
        """Write under one range until every result is known, or leave the range open."""
        rows = list(zip(range(current.low, current.high + 1), bridge.batch, strict=False))
        while True:
            results: dict[Record, Insert] = {}
            term = self.store.term
            for row in rows:
                yield
                if self.random.random() < self.trouble / 3:
                    self.late.append(row)
                else:
                    results[row] = self.store_insert(*row)
            is_durable = yield from self.batch_is_durable(term)
            if is_durable and len(results) == len(rows) and self.random.random() >= self.trouble:
                break
            if self.random.random() < 0.4:
                yield from self.give_up(bridge, current)
                return
            self.seen["attempt of unknown result"] += 1
        self.seen.update(result.name for result in results.values())
        yield
        yield from self.finish_batch(bridge, current, results)

    def give_up(self, bridge: Bridge, current: CursorRange) -> Steps:
        """The results are not known: the range stays open for others to close, the messages go to a new one."""
        self.seen["range given up"] += 1
        bridge.in_use.discard(current.high)
        self.inbox += bridge.batch
        yield

    def finish_batch(self, bridge: Bridge, current: CursorRange, results: dict[Record, Insert]) -> Steps:
        refused = self.refused(results)
        stored = [row for row, result in results.items() if self.is_announced(result)]
        if self.random.random() < 0.5:
            self.acknowledged.update(name for _, name in results if name not in refused)
        yield from self.finish(bridge, current, stored)
        self.acknowledged.update(name for _, name in results if name not in refused)
        self.inbox += refused

    def refused(self, results: dict[Record, Insert]) -> list[str]:
        return [name for (_, name), result in results.items() if result is Insert.REFUSED]

    def is_announced(self, result: Insert) -> bool:
        return result in {Insert.STORED, Insert.MINE}

    def finish(self, bridge: Bridge, current: CursorRange, stored: list[Record]) -> Steps:
        """Nothing will be written into the range any more: announce it and mark it finished, in any order."""
        if is_early := self.random.random() < 0.5:
            bridge.finished.add(current.high)
            yield from self.remove_finished(bridge)
        self.announce(Announcement(current.previous, current.high, stored))
        yield
        if not is_early:
            bridge.finished.add(current.high)
        if self.random.random() < 0.5:
            yield from self.remove_finished(bridge)

    def remove_finished(self, bridge: Bridge) -> Steps:
        if bridge.finished:
            yield
            self.remove(bridge.finished)
            bridge.in_use -= bridge.finished
            bridge.finished.clear()

    # --- the network and the bus ---

    def is_durable(self, term: int) -> Generator[None, None, bool]:
        """Wait until the writes since `term` are durable; false if a failover may have rolled them back."""
        latest = self.store.writes
        while self.store.term == term and not self.store.is_durable(latest):
            yield
        return self.store.term == term

    range_is_durable = batch_is_durable = tombstones_are_durable = is_durable

    def store_insert(self, seq: int, name: str) -> Insert:
        return self.store.insert(seq, name)

    def late_insert(self) -> None:
        self.seen["late insert"] += 1
        row = self.late.pop(self.random.randrange(len(self.late)))
        self.seen[f"late insert {self.store_insert(*row).name}"] += 1

    def announce(self, announcement: Announcement[Record]) -> None:
        for bridge in self.bridges:
            if bridge.client is None or self.random.random() < self.loss:
                self.seen["announcement lost"] += 1
                continue
            self.bus.append((bridge.client, announcement))
            if self.random.random() < self.disorder / 3:
                self.bus.append((bridge.client, announcement))

    def deliver(self) -> None:
        index = self.random.randrange(len(self.bus)) if self.random.random() < self.disorder else 0
        client, announcement = self.bus.pop(index)
        if announcement.previous < client.follower.delivered < announcement.high:
            self.seen["announcement of a range that a page ended in"] += 1
        client.offer(announcement, self.now)

    # --- following ---

    def begin_cursor(self, order: Order) -> int:
        return order.final_until

    def final_until(self, order: Order) -> int:
        return order.final_until

    def follow(self, bridge: Bridge) -> Steps:
        yield
        limit = self.random.choice([3, 100])
        follower = self.follower(self.begin_cursor(self.store.durable.order), seq_of, held_limit=limit)
        client = bridge.client = Client(self.store, follower)
        self.clients.append(client)
        while True:
            yield
            if follower.read_due(self.now):
                yield from self.read(client)

    def read(self, client: Client) -> Steps:
        above = client.follower.begin_read(self.now)
        yield
        until = self.final_until(self.store.durable.order)
        yield
        yield from self.read_pages(client, above, until)

    def read_pages(self, client: Client, above: int, until: int) -> Steps:
        follower = client.follower
        limit = self.random.choice([1, 2, 100])
        while True:
            page = self.store.durable.read(above, until, limit)
            end = page[-1][0] if len(page) == limit else until
            yield
            if self.random.random() < self.trouble / 3:
                self.seen["read failed"] += 1
                client.take(follower.end_read((), 0, self.now))
                return
            client.take(follower.end_read(page, end, self.now))
            if end >= until:
                return
            above = follower.begin_read(self.now)
            yield

    # --- closing ---

    def close_overdue(self, bridge: Bridge) -> Steps:
        while True:
            yield
            for overdue in self.overdue(bridge):
                self.seen["range closed"] += 1
                yield from self.close(overdue)

    def overdue(self, bridge: Bridge) -> list[CursorRange]:
        return bridge.watch.observe(self.store.durable.order, self.now, bridge.in_use)

    def close(self, overdue: CursorRange) -> Steps:
        term = self.store.term
        yield from self.put_tombstones(overdue)
        if (yield from self.tombstones_are_durable(term)):
            yield
            self.remove({overdue.high})

    def put_tombstones(self, overdue: CursorRange) -> Steps:
        for seq in range(overdue.low, overdue.high + 1):
            yield
            self.store.close(seq)

    def remove(self, highs: Collection[int]) -> None:
        self.store.set_order(self.store.primary.order.without(highs))


def run_worlds(world: type[World], seeds: Iterable[int]) -> Counter[str]:
    """Run a world of each seed, and return how often each kind of event happened."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        one = world(seed)
        one.run()
        seen += one.seen
        for client in one.clients:
            seen["held announcement dropped"] += client.follower.dropped_held
            seen["old announcement dropped"] += client.follower.dropped_old
            seen["record from the store"] += client.follower.from_store
            seen["record"] += len(client.seen)
    return seen
