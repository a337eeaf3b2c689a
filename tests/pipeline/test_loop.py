"""The loop: what it keeps, acknowledges and publishes, and in which order."""

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
from bridge.core.message import DeviceStatus, Message, Outcome, RejectionReason
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.pipeline.intake import Intake
from bridge.pipeline.loop import Pipeline
from tests.fakes import MemoryStore, RecordingOrigin, RecordingPublisher
from tests.servers import until

NOW_MS = 1_767_000_000_000
ROUTES = (
    Route(TopicPattern.parse("sensors/{deviceId}/data")),
    Route(TopicPattern.parse("sensors/{deviceId}/status"), MessageKind.STATUS),
)


@dataclass
class House:
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
            assert line["received"] == sum(line.values()) - line["received"]


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    """The pipeline at work; on leaving, all that arrived has been taken care of."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.pipeline.run())
        yield house
        house.intake.close()


async def test_good_readings_are_stored_acknowledged_and_published_in_order() -> None:
    async with running(House()) as house:
        house.measure(1, 2, 3)
    assert sorted(one.values["temperature"] for one in house.store.by_id.values()) == [1, 2, 3]
    assert house.outcomes == [Outcome.STORED] * 3
    assert house.published == [1, 2, 3]
    seqs = [event.seq for event in house.publisher.events if isinstance(event, Reading)]
    assert seqs == sorted(set(seqs))
    assert min(seqs) > 0


async def test_nothing_is_acknowledged_or_published_while_the_store_is_away() -> None:
    house = House()
    house.store.failures = ["before"] * 100_000
    async with running(house):
        house.measure(1, 2)
        await until(lambda: house.store.writes >= 2)
        assert house.origin.settled == []
        assert house.publisher.events == []
        assert house.ledger.as_dict()["mqtt"]["waiting"] == 2
        assert not house.health.ready
        assert "nothing was written" in house.health.parts["store"].reason
        house.store.failures.clear()
    assert house.outcomes == [Outcome.STORED] * 2
    assert house.health.ready
    assert house.published == [1, 2]


async def test_a_write_that_failed_but_happened_is_one_record_and_one_broadcast() -> None:
    house = House()
    house.store.failures = ["after", "after"]
    async with running(house):
        house.measure(1, 2)
    assert len(house.store.by_id) == 2
    assert house.outcomes == [Outcome.STORED] * 2
    assert house.published == [1, 2]


async def test_a_reading_that_comes_twice_is_published_once_and_acknowledged_twice() -> None:
    async with running(House()) as house:
        house.measure(1)
        await until(lambda: house.origin.settled)
        house.measure(1, 2)
    assert house.outcomes == [Outcome.STORED, Outcome.DUPLICATE, Outcome.STORED]
    assert house.published == [1, 2]
    assert house.ledger.as_dict()["mqtt"] == {
        "received": 3, "stored": 2, "duplicate": 1, "rejected": 0, "dropped": 0, "waiting": 0,
    }  # fmt: skip


async def test_a_bad_message_goes_to_the_quarantine_and_the_others_live() -> None:
    async with running(House()) as house:
        house.measure(1)
        house.send(b"{")
        house.measure(2, device="b")
    assert house.outcomes == [Outcome.STORED, Outcome.REJECTED, Outcome.STORED]
    (rejection,) = house.store.rejections.values()
    assert (rejection.code, rejection.message.payload) == (RejectionReason.NOT_JSON, b"{")
    assert house.published == [1, 2]


async def test_a_reading_the_store_refuses_goes_to_the_quarantine_and_the_others_live() -> None:
    house = House()
    house.store.refuse = {"b"}
    async with running(house):
        house.measure(1)
        house.measure(2, device="b")
        house.measure(3, device="c")
    assert house.outcomes == [Outcome.STORED, Outcome.REJECTED, Outcome.STORED]
    (rejection,) = house.store.rejections.values()
    assert (rejection.code, rejection.reason) == (RejectionReason.REFUSED_BY_STORE, "the store refused it: not welcome")
    assert rejection.message.topic == "sensors/b/data"
    assert house.published == [1, 3]


async def test_a_retained_message_without_its_own_time_is_no_new_reading() -> None:
    async with running(House()) as house:
        house.send(b'{"temperature": 1}', retained=True)
        house.send(b'{"temperature": 2}')
    assert house.outcomes == [Outcome.DUPLICATE, Outcome.STORED]
    assert house.published == [2]


async def test_statuses_are_stored_and_published_in_their_place() -> None:
    async with running(House()) as house:
        house.send(b"online", topic="sensors/a/status")
        house.measure(1)
        house.send(b"offline", topic="sensors/a/status")
    kinds = [event.status if isinstance(event, DeviceStatus) else "reading" for event in house.publisher.events]
    assert kinds == ["online", "reading", "offline"]
    assert house.store.devices.by_id["a"].status == "offline"


async def test_what_gathers_during_a_write_goes_in_one_write() -> None:
    house = House()
    house.measure(*range(40))
    async with running(house):
        pass
    assert house.store.writes == 1


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(
        st.tuples(st.sampled_from(["good", "again", "bad", "refused", "status"]), st.integers(0, 5)), max_size=40
    ),
    failures=st.lists(st.sampled_from(["before", "after"]), max_size=3),
)
def test_whatever_comes_and_however_the_store_fails_the_account_is_exact(
    messages: list[tuple[str, int]], failures: list[str]
) -> None:
    async def scenario() -> None:
        house = House()
        house.store.failures = list(failures)
        house.store.refuse = {"refused"}
        for kind, n in messages:
            match kind:
                case "good" | "again":
                    house.measure(n, device="good" if kind == "good" else f"d{n}")
                case "bad":
                    house.send(b"?" * n)
                case "refused":
                    house.measure(n, device="refused")
                case _:
                    house.send(b"online", topic=f"sensors/d{n}/status")
        async with running(house):
            pass
        assert len(house.origin.settled) == len(messages)
        house.assert_balanced()
        ids = [event.id for event in house.publisher.events if isinstance(event, Reading)]
        assert len(ids) == len(set(ids)) == len(house.store.by_id), "each record was published once"

    asyncio.run(scenario())
