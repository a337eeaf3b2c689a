"""The loop: what it stores, acknowledges and publishes, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.decode import Decoder, MessageKind, Route
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import DeviceStatus, Message, Outcome, ReadingBatch, RejectionReason
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.pipeline.intake import Intake
from bridge.pipeline.loop import Pipeline
from bridge.pipeline.pending import PendingBatch
from tests.fakes import MemoryStore, RecordingOrigin, RecordingPublisher
from tests.servers import until

NOW_MS = 1_767_000_000_000
ROUTES = (
    Route(TopicPattern.parse("sensors/{deviceId}/data")),
    Route(TopicPattern.parse("sensors/{deviceId}/status"), MessageKind.STATUS),
)


@dataclass
class Harness:
    """A pipeline between fakes."""

    store: MemoryStore = field(default_factory=MemoryStore)
    origin: RecordingOrigin = field(default_factory=RecordingOrigin)
    publisher: RecordingPublisher = field(default_factory=RecordingPublisher)
    ledger: Ledger = field(default_factory=Ledger)
    health: Health = field(default_factory=lambda: Health(("store",)))

    def __post_init__(self) -> None:
        self.intake = Intake(self.ledger, qos0_limit=1000, batch_limit=50)
        self.pipeline = Pipeline(
            intake=self.intake,
            decoder=Decoder(ROUTES),
            store=self.store,
            publisher=self.publisher,
            ledger=self.ledger,
            health=self.health,
            cursor=Cursor(),
            retry_seconds=(0.001, 0.005),
        )

    def send(self, payload: bytes, *, topic: str = "sensors/a/data", retained: bool = False) -> None:
        self.intake.put(Message("mqtt", topic, payload, NOW_MS, self.origin, retained=retained))

    def measure(self, *temperatures: float, device: str = "a") -> None:
        for n, temperature in enumerate(temperatures):
            self.send(
                orjson.dumps({"temperature": temperature, "timestamp": NOW_MS - 1000 + n}), topic=f"sensors/{device}/data"
            )

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome in self.origin.settled]

    @property
    def published(self) -> list[object]:
        return [event.values["temperature"] for event in self.publisher.events if isinstance(event, Reading)]

    def assert_balanced(self) -> None:
        for line in self.ledger.as_dict().values():
            assert line["received"] == sum(line.values()) - line["received"] - line["readings"]


@asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[Harness]:
    """Run the pipeline; on exit, every message has been processed."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(harness.pipeline.run())
        yield harness
        harness.intake.close()


async def test_valid_readings_are_stored_acknowledged_and_published_in_order() -> None:
    async with running(Harness()) as harness:
        harness.measure(1, 2, 3)
    assert sorted(one.values["temperature"] for one in harness.store.by_id.values()) == [1, 2, 3]
    assert harness.outcomes == [Outcome.STORED] * 3
    assert harness.published == [1, 2, 3]
    seqs = [event.seq for event in harness.publisher.events if isinstance(event, Reading)]
    assert seqs == sorted(set(seqs))
    assert min(seqs) > 0


async def test_nothing_is_acknowledged_or_published_while_the_store_is_unavailable() -> None:
    harness = Harness()
    harness.store.failures = ["before"] * 100_000
    async with running(harness):
        harness.measure(1, 2)
        await until(lambda: harness.store.writes >= 2)
        assert harness.origin.settled == []
        assert harness.publisher.events == []
        assert harness.ledger.as_dict()["mqtt"]["waiting"] == 2
        assert not harness.health.ready
        assert "nothing was written" in harness.health.parts["store"].reason
        harness.store.failures.clear()
    assert harness.outcomes == [Outcome.STORED] * 2
    assert harness.health.ready
    assert harness.published == [1, 2]


async def test_write_that_failed_after_storing_is_one_record_and_one_broadcast() -> None:
    harness = Harness()
    harness.store.failures = ["after", "after"]
    async with running(harness):
        harness.measure(1, 2)
    assert len(harness.store.by_id) == 2
    assert harness.outcomes == [Outcome.STORED] * 2
    assert harness.published == [1, 2]


async def test_duplicate_reading_is_published_once_and_acknowledged_twice() -> None:
    async with running(Harness()) as harness:
        harness.measure(1)
        await until(lambda: harness.origin.settled)
        harness.measure(1, 2)
    assert harness.outcomes == [Outcome.STORED, Outcome.DUPLICATE, Outcome.STORED]
    assert harness.published == [1, 2]
    assert harness.ledger.as_dict()["mqtt"] == {
        "received": 3, "stored": 2, "duplicate": 1, "rejected": 0, "ignored": 0, "dropped": 0, "waiting": 0,
        "readings": 2,
    }  # fmt: skip


async def test_invalid_message_is_quarantined_and_the_others_are_stored() -> None:
    async with running(Harness()) as harness:
        harness.measure(1)
        harness.send(b"{")
        harness.measure(2, device="b")
    assert harness.outcomes == [Outcome.STORED, Outcome.REJECTED, Outcome.STORED]
    (rejection,) = harness.store.rejections.values()
    assert (rejection.code, rejection.message.payload) == (RejectionReason.NOT_JSON, b"{")
    assert harness.published == [1, 2]


async def test_reading_refused_by_the_store_is_quarantined_and_the_others_are_stored() -> None:
    harness = Harness()
    harness.store.refuse = {"b"}
    async with running(harness):
        harness.measure(1)
        harness.measure(2, device="b")
        harness.measure(3, device="c")
    assert harness.outcomes == [Outcome.STORED, Outcome.REJECTED, Outcome.STORED]
    (rejection,) = harness.store.rejections.values()
    assert (rejection.code, rejection.reason) == (RejectionReason.REFUSED_BY_STORE, "the store refused it: not welcome")
    assert rejection.message.topic == "sensors/b/data"
    assert harness.published == [1, 3]


async def test_reading_of_a_batch_refused_by_the_store_is_among_its_rejections() -> None:
    harness = Harness()
    harness.store.refuse = {"a.bath"}
    settled = PendingBatch(1, lambda _, outcome, meaning: (outcome, meaning))
    async with running(harness):
        payload = b'{"temperature": 1, "bath": {"temperature": 2}}'
        harness.intake.put(Message("mqtt", "sensors/a/data", payload, NOW_MS, settled))
    ((outcome, meaning),) = settled.results
    assert isinstance(meaning, ReadingBatch)
    assert (outcome, [one.device_id for one in meaning.readings]) == (Outcome.STORED, ["a"])
    assert [one.reason for one in meaning.rejections] == ["the store refused it: not welcome"]
    assert harness.published == [1]


async def test_retained_message_without_a_timestamp_is_a_duplicate() -> None:
    async with running(Harness()) as harness:
        harness.send(b'{"temperature": 1}', retained=True)
        harness.send(b'{"temperature": 2}')
    assert harness.outcomes == [Outcome.DUPLICATE, Outcome.STORED]
    assert harness.published == [2]


async def test_statuses_are_stored_and_published_in_order() -> None:
    async with running(Harness()) as harness:
        harness.send(b"online", topic="sensors/a/status")
        harness.measure(1)
        harness.send(b"offline", topic="sensors/a/status")
    kinds = [event.status if isinstance(event, DeviceStatus) else "reading" for event in harness.publisher.events]
    assert kinds == ["online", "reading", "offline"]
    assert harness.store.devices.by_id["a"].status == "offline"


async def test_waiting_messages_are_stored_in_one_write() -> None:
    harness = Harness()
    harness.measure(*range(40))
    async with running(harness):
        pass
    assert harness.store.writes == 1


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(
        st.tuples(st.sampled_from(["good", "again", "bad", "refused", "status"]), st.integers(0, 5)), max_size=40
    ),
    failures=st.lists(st.sampled_from(["before", "after"]), max_size=3),
)
def test_counters_balance_for_any_messages_and_store_failures(messages: list[tuple[str, int]], failures: list[str]) -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.store.failures = list(failures)
        harness.store.refuse = {"refused"}
        for kind, n in messages:
            match kind:
                case "good" | "again":
                    harness.measure(n, device="good" if kind == "good" else f"d{n}")
                case "bad":
                    harness.send(b"?" * n)
                case "refused":
                    harness.measure(n, device="refused")
                case _:
                    harness.send(b"online", topic=f"sensors/d{n}/status")
        async with running(harness):
            pass
        assert len(harness.origin.settled) == len(messages)
        harness.assert_balanced()
        ids = [event.id for event in harness.publisher.events if isinstance(event, Reading)]
        assert len(ids) == len(set(ids)) == len(harness.store.by_id), "each record was published once"

    asyncio.run(scenario())
