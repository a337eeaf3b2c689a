"""Short histories of the log, chosen by Hypothesis. A crash is a step that is never taken; a zombie takes it late."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from bridge.log.follower import Announcement, Follower
from bridge.log.order import CursorRange
from tests.log.model_store import Client, Insert, Record, Store, Violation, check_agreement, seq_of
from tests.log.mutants import DeliversBehindAGap

ANY = st.integers(0, 3)  # one of several, modulo their number
NAMES = st.lists(st.sampled_from("abcdefghijkl"), max_size=3, unique=True)
SHORT = settings(max_examples=100, stateful_step_count=30, deadline=None)
SEARCH = settings(SHORT, max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])


@dataclass
class Write:
    """A batch of one bridge, row by row."""

    range: CursorRange
    rows: list[Record]
    results: list[Insert] = field(default_factory=list)

    def announcement(self) -> Announcement[Record]:
        stored = [row for row, result in zip(self.rows, self.results, strict=True) if result in {Insert.STORED, Insert.MINE}]
        return Announcement(self.range.previous, self.range.high, stored)


@dataclass
class Read:
    client: Client
    above: int
    until: int


class LogMachine(RuleBasedStateMachine):
    follower: type[Follower[Record]] = Follower
    removes_only_full_ranges = True
    begins_below_open_ranges = True

    @initialize(last=st.sampled_from([0, 100]))
    def start(self, last: int) -> None:
        self.store = Store(last)
        self.writes: list[Write] = []
        self.announcements: list[Announcement[Record]] = []
        self.clients: list[Client] = []
        self.reads: list[Read] = []
        self.begin(100)

    # --- bridges ---

    @rule(now_us=st.integers(0, 120), extra=st.integers(0, 2), names=NAMES)
    def hand_out(self, now_us: int, extra: int, names: list[str]) -> None:
        order, new = self.store.primary.order.hand_out(now_us, len(names) + extra or 1, "a")
        self.store.set_order(order)
        self.writes.append(Write(new, list(zip(range(new.low, new.high + 1), names, strict=False))))

    @rule(names=NAMES, is_announced=st.booleans(), is_removed=st.booleans())
    def store_a_batch(self, names: list[str], is_announced: bool, is_removed: bool) -> None:
        """All steps of a batch without an interruption."""
        self.hand_out(0, 0, names)
        self.write_rows(-1, len(names))
        self.finish(-1, is_announced, is_removed)

    @precondition(lambda self: self.writes)
    @rule(which=ANY, count=st.integers(1, 3))
    def write_rows(self, which: int, count: int) -> None:
        write = self.writes[which % len(self.writes)]
        begin = len(write.results)
        write.results += [self.store.insert(*row) for row in write.rows[begin : begin + count]]

    @precondition(lambda self: self.writes)
    @rule(which=ANY)
    def lose_the_results(self, which: int) -> None:
        self.writes[which % len(self.writes)].results.clear()

    @precondition(lambda self: self.writes)
    @rule(which=ANY, is_announced=st.booleans(), is_removed=st.booleans())
    def finish(self, which: int, is_announced: bool, is_removed: bool) -> None:
        write = self.writes[which % len(self.writes)]
        if len(write.results) < len(write.rows):
            return
        if is_announced:
            self.announcements.append(write.announcement())
        if is_removed:
            self.store.set_order(self.store.primary.order.without({write.range.high}))

    @precondition(lambda self: self.store.primary.order.open)
    @rule(which=ANY, cursor=ANY)
    def put_a_tombstone(self, which: int, cursor: int) -> None:
        ranges = self.store.primary.order.open
        one = ranges[which % len(ranges)]
        self.store.close(one.low + cursor % one.count)

    @rule()
    def remove_closed_ranges(self) -> None:
        occupied = self.store.primary.by_seq
        order = self.store.primary.order
        full = {one.high for one in order.open if all(seq in occupied for seq in range(one.low, one.high + 1))}
        every = {one.high for one in order.open}
        self.store.set_order(order.without(full if self.removes_only_full_ranges else every))

    # --- followers ---

    @rule(held_limit=st.sampled_from([1, 100]))
    def begin(self, held_limit: int) -> None:
        order = self.store.primary.order
        start = order.final_until if self.begins_below_open_ranges else order.last
        self.clients.append(Client(self.store, self.follower(start, seq_of, held_limit=held_limit)))

    @precondition(lambda self: self.clients and self.announcements)
    @rule(which=ANY, latest=ANY)
    def deliver(self, which: int, latest: int) -> None:
        """Any announcement to any client at any time: lost, repeated, late or out of order."""
        announcement = self.announcements[-1 - latest % len(self.announcements)]
        self.clients[which % len(self.clients)].offer(announcement, 0.0)

    @precondition(lambda self: self.clients)
    @rule(which=ANY, limit=st.sampled_from([None, 1, 1, 2]))
    def begin_read(self, which: int, limit: int | None) -> None:
        """Read the order, and the first page at once if `limit` is given."""
        client = self.clients[which % len(self.clients)]
        if all(read.client is not client for read in self.reads):
            self.reads.append(Read(client, client.follower.begin_read(0.0), self.store.primary.order.final_until))
            if limit is not None:
                self.read_a_page(-1, limit)

    @precondition(lambda self: self.reads)
    @rule(which=ANY, limit=st.sampled_from([1, 2, 100]))
    def read_a_page(self, which: int, limit: int) -> None:
        read = self.reads[which % len(self.reads)]
        page = self.store.primary.read(read.above, read.until, limit)
        end = page[-1][0] if len(page) == limit else read.until
        read.client.take(read.client.follower.end_read(page, end, 0.0))
        if end < read.until:
            read.above = read.client.follower.begin_read(0.0)
        else:
            self.reads.remove(read)

    # --- promises ---

    @invariant()
    def check(self) -> None:
        for client in self.clients:
            client.check()
        check_agreement(self.clients)

    def teardown(self) -> None:
        """Whatever happened: when the open ranges are closed, a read brings every follower to the end."""
        for one in self.store.primary.order.open:
            for seq in range(one.low, one.high + 1):
                self.store.close(seq)
        self.remove_closed_ranges()
        last = self.store.primary.order.last
        for client in self.clients:
            page = self.store.primary.read(client.follower.begin_read(0.0), last)
            client.take(client.follower.end_read(page, last, 0.0))
            assert (client.follower.delivered, client.follower.held) == (last, 0)
        self.check()


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = SHORT


class _RemovesRangesWithFreeCursors(LogMachine):
    removes_only_full_ranges = False


class _BeginsAtTheLastCursor(LogMachine):
    begins_below_open_ranges = False


class _DeliversBehindAGap(LogMachine):
    follower = DeliversBehindAGap.follower


@pytest.mark.parametrize("mutant", [_RemovesRangesWithFreeCursors, _BeginsAtTheLastCursor, _DeliversBehindAGap])
def test_a_wrong_rule_is_caught_by_a_short_history(mutant: type[LogMachine]) -> None:
    with pytest.raises(Violation):
        run_state_machine_as_test(mutant, settings=SEARCH)
