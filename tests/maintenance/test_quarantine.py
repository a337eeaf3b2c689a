"""Listing, retrying and removing rejected messages, on real stores and as commands."""

from __future__ import annotations

import asyncio
import io
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from bson.objectid import ObjectId
from pydantic import SecretStr
from rich.console import Console

from bridge.cli.data.rejected import format_payload, print_groups, print_message, print_messages
from bridge.core.decode import Decoder
from bridge.core.devices.device import Device
from bridge.core.errors import OutcomeUnknown, ShuttingDown, StoreUnavailable
from bridge.core.ledger import Ledger
from bridge.core.message import DeviceStatus, Message, Rejection, RejectionReason
from bridge.core.query import QuarantineQuery, ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.maintenance.quarantine import Advance, clear
from bridge.maintenance.retry import QuarantineRetry, RetryResult, standalone_retry
from bridge.pipeline.intake import Intake
from bridge.ports import Store
from bridge.settings import MqttSettings, StoreSettings, SubscriptionSettings
from bridge.stores import open_store
from tests.cli.test_cli import Command, ended, running
from tests.conftest import StartBridge
from tests.fakes import MemoryQuarantine, MemoryStore, RecordingOrigin
from tests.stores.test_store_contract import START_MS

ROUTES = MqttSettings(subscriptions=(SubscriptionSettings(pattern="home/{deviceId}"), *MqttSettings().subscriptions)).routes
TIMED = 1_767_000_000


@pytest.fixture(params=["sqlite", "mongo"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else str(request.getfixturevalue("mongo_url"))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    async with open_store(StoreSettings(url=SecretStr(url))) as store:
        await store.prepare()
        yield store


def rejected(topic: str, payload: bytes | object, code: RejectionReason = RejectionReason.NO_ROUTE, **more: Any) -> Rejection:
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    message = Message("mqtt", topic, body, more.pop("received_ms", START_MS), RecordingOrigin(), **more)
    return Rejection(ObjectId(), message, code, f"was {code}")


async def stored(store: Store) -> list[tuple[str, object]]:
    readings = await store.readings(ReadingsQuery(since=0, limit=10_000))
    return [(reading.device_id, reading.values["temperature"]) for reading in readings]


async def retry(store: Store, query: QuarantineQuery, advance: Advance = lambda _: None) -> RetryResult:
    async with standalone_retry(store, Decoder(ROUTES)) as quarantine:
        return await quarantine.retry(query, advance)


# --- retry -----------------------------------------------------------------------------------------------------------


async def test_valid_messages_are_stored_and_bad_ones_stay_with_their_present_reason(store_url: str) -> None:
    async with opened(store_url) as store:
        timed = {"temperature": 1, "timestamp": TIMED}
        good = [rejected("home/a", timed), rejected("home/b", {"temperature": 2}), rejected("home/b", {"temperature": 2})]
        same = rejected("home/a", timed)
        stale = rejected("home/c", {"temperature": 3}, retained=True)
        status = rejected("sensors/a/status", b"online", RejectionReason.NO_STATUS)
        bad = [rejected("home/d", b"{"), rejected("home/e", {}), rejected("nowhere", {"temperature": 4})]
        large = rejected("home/f", b" " * 65_530 + b"{}    " + b"x" * 10_000, RejectionReason.TOO_LARGE)
        await store.write([], [*good, same, stale, status, *bad, large], [])
        progress: list[int] = []
        retried = await retry(store, QuarantineQuery(), progress.append)

        assert (retried.stored, retried.duplicate, retried.outdated, sum(progress)) == (3, 2, 1, 10)
        assert dict(retried.bad) == {("not_json", ""): 1, ("no_measurement", ""): 1, ("no_route", ""): 1, ("too_large", ""): 1}
        assert sorted(await stored(store)) == [("a", 1), ("b", 2), ("b", 2)]
        left = {message.id: (message.code, message.reason) for message in await store.quarantine.messages(QuarantineQuery())}
        assert left == {
            bad[0].id: ("not_json", left[bad[0].id][1]),
            bad[1].id: ("no_measurement", "no measurement: the object contains none"),
            bad[2].id: ("no_route", "no subscription matches the topic 'nowhere'"),
            large.id: ("too_large", "was too_large"),
        }
        assert left[bad[0].id][1].startswith("not JSON")
        by_id = {reading.id: reading for reading in await store.readings(ReadingsQuery(since=0))}
        assert by_id[good[1].id].timestamp_ms == START_MS, "the time of reception, not of the retry"
        assert {good[1].id, good[2].id} < set(by_id), "without a timestamp it has the _id of its rejected message"
        assert await retry(store, QuarantineQuery()) == RetryResult(bad=retried.bad), "a repetition has the same result"


async def test_only_matching_messages_are_retried(store_url: str) -> None:
    async with opened(store_url) as store:
        bad = [rejected("home/a", {"temperature": 1}), rejected("home/b", {"temperature": 2}, RejectionReason.NOT_JSON)]
        await store.write([], [*bad, rejected("home/c", {"temperature": 3})], [])
        await retry(store, QuarantineQuery(device="a"))
        await retry(store, QuarantineQuery(code="not_json"))
        assert await stored(store) == [("a", 1), ("b", 2)]


async def test_new_cursor_is_above_every_stored_reading(store_url: str) -> None:
    async with opened(store_url) as store:
        at = 1_767_000_000_000
        earlier = Reading(ObjectId(), "c", {"temperature": 3.0}, at, at, seq=2**52)
        await store.write([earlier], [rejected("home/a", {"temperature": 1}), rejected("home/b", {"temperature": 1})], [])
        await retry(store, QuarantineQuery())
        assert {reading.seq for reading in await store.readings(ReadingsQuery(since=2**52))} == {2**52 + 1, 2**52 + 2}


class Interrupted(MemoryQuarantine):
    """The first removal fails."""

    interrupted = False

    async def release(self, ids: Sequence[ObjectId]) -> int:
        if not self.interrupted:
            self.interrupted = True
            raise StoreUnavailable("connection lost")
        return await super().release(ids)


async def test_failure_between_store_and_removal_loses_and_duplicates_nothing() -> None:
    store = MemoryStore()
    store.quarantine = Interrupted()
    bad = [rejected("home/a", {"temperature": 1, "timestamp": TIMED}), rejected("home/b", {"temperature": 2})]
    await store.write([], bad, [])
    with pytest.raises(ExceptionGroup) as interrupted:
        await retry(store, QuarantineQuery())
    assert isinstance(interrupted.value.exceptions[0], StoreUnavailable)
    assert len(store.by_id) == 2
    assert await store.quarantine.count(QuarantineQuery()) == 2, "not removed"
    retried = await retry(store, QuarantineQuery())
    assert (retried.stored, retried.duplicate) == (0, 2)
    assert (len(store.by_id), await store.quarantine.count(QuarantineQuery())) == (2, 0)


async def test_message_refused_by_the_store_stays_with_its_reason() -> None:
    store = MemoryStore()
    store.refuse = {"a"}
    await store.write([], [rejected("home/a", {"temperature": 1}), rejected("home/b", {"temperature": 2})], [])
    retried = await retry(store, QuarantineQuery())
    assert (retried.stored, dict(retried.bad)) == (1, {("refused_by_store", ""): 1})
    (left,) = await store.quarantine.messages(QuarantineQuery())
    assert left.reason == "the store refused it: not welcome"


async def test_retry_fails_when_the_pipeline_does_not_settle_in_time() -> None:
    store, closed = MemoryStore(), asyncio.Event()
    await store.write([], [rejected("home/a", {"temperature": 1})], [])
    intake = Intake(Ledger(), qos0_limit=1, batch_limit=10)
    with pytest.raises(OutcomeUnknown):
        await QuarantineRetry(store.quarantine, Decoder(ROUTES), intake, closed, 0.01).retry(QuarantineQuery())
    closed.set()
    retrying = QuarantineRetry(store.quarantine, Decoder(ROUTES), intake, closed, 3600)
    with pytest.raises(OutcomeUnknown):
        await retrying.retry(QuarantineQuery())
    intake.close()
    with pytest.raises(ShuttingDown):
        await retrying.retry(QuarantineQuery())
    assert await store.quarantine.count(QuarantineQuery()) == 1


async def test_retry_killed_midway_and_repeated_loses_and_duplicates_nothing(store_url: str, tmp_path: Path) -> None:
    many = 20_000
    async with opened(store_url) as store:
        bad = [rejected(f"sensors/d{n % 50}/data", {"temperature": n % 40, "x": n}) for n in range(many)]
        for start in range(0, many, 2000):
            await store.write([], bad[start : start + 2000], [])
        await store.write([], [rejected("sensors/d/data", b"{")], [])
        (tmp_path / "first").mkdir()
        command = Command(tmp_path / "first", {"BRIDGE_STORE__URL": store_url, "BRIDGE_TRAP": "after-store:5"})
        await command.start("rejected", "retry", module="tests.faults.armed")
        assert await command.end() == -signal.SIGKILL, command.err
        left = await store.quarantine.count(QuarantineQuery())
        assert 1 < left < many, "in the middle"
        code, out, err = await ended(tmp_path / "second", "rejected", "retry", BRIDGE_STORE__URL=store_url)
        assert code == 0, err
        assert "still bad" in out
        assert "not_json" in out
        assert await store.count(ReadingsQuery()) == many
        assert await store.quarantine.count(QuarantineQuery()) == 1


async def test_retry_accepts_only_registered_devices_when_registration_is_required(store_url: str, tmp_path: Path) -> None:
    async with opened(store_url) as store:
        await store.devices.save([Device("known")])
        bad = [rejected(f"sensors/{name}/data", {"temperature": 1}) for name in ("known", "unknown")]
        await store.write([], bad, [])
        environ = {"BRIDGE_STORE__URL": store_url, "BRIDGE_DEVICES__REGISTRATION": "required"}
        code, out, err = await ended(tmp_path, "rejected", "retry", **environ)
        assert code == 0, err
        assert "not_registered: deviceId" in out
        assert await stored(store) == [("known", 1)]
        (left,) = await store.quarantine.messages(QuarantineQuery())
        assert (left.id, left.code) == (bad[1].id, "not_registered")
        code, _, err = await ended(tmp_path / "open", "rejected", "retry", BRIDGE_STORE__URL=store_url)
        assert (code, len(await stored(store))) == (0, 2), err


async def test_messages_of_other_sources_than_mqtt_are_retried(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        good = [rejected(topic, {"deviceId": "a", "temperature": 1}) for topic in ("$device/a", "$http/readings")]
        event = rejected("events/alerts", {"level": "high"})
        await store.write([], [*good, event], [])
        code, out, err = await ended(tmp_path, "rejected", "retry", BRIDGE_STORE__URL=url)
        assert code == 0, err
        assert "out of date" in out
        assert await stored(store) == [("a", 1), ("a", 1)]


async def test_retry_runs_beside_a_running_bridge(
    store_url: str, broker_url: str, tmp_path: Path, start_bridge: StartBridge
) -> None:
    async with start_bridge(broker_url, store_url) as bridge, opened(store_url) as store:
        now_ms = time.time_ns() // 1_000_000  # otherwise the bridge removes them as too old
        bad = [rejected("home/a", {"temperature": n % 100}, received_ms=now_ms) for n in range(500)]
        await store.write([], bad, [])
        settings = '[{"pattern": "home/{deviceId}"}]'
        environ = {"BRIDGE_STORE__URL": store_url, "BRIDGE_MQTT__SUBSCRIPTIONS": settings}
        async with running(tmp_path / "retry", "rejected", "retry", **environ) as command:
            for n in range(20):
                await store.write([], [], [DeviceStatus("b", "online", START_MS + n)])
            assert await command.end() == 0, command.err
        assert bridge.health.ready
        assert (await store.count(ReadingsQuery()), await store.quarantine.count(QuarantineQuery())) == (500, 0)


# --- list, show and clear --------------------------------------------------------------------------------------------


@pytest.fixture
def screen() -> Console:
    """A console that writes to memory."""
    return Console(file=io.StringIO(), width=200)


async def test_list_prints_groups_or_the_newest_messages(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        await store.write([], [rejected("home/a", b"{", RejectionReason.NOT_JSON) for _ in range(3)], [])
        await store.write([], [rejected("home/[red]b", b"", RejectionReason.NO_MEASUREMENT)], [])
    environ = {"BRIDGE_STORE__URL": url}
    code, out, _ = await ended(tmp_path / "list", "rejected", "list", **environ)
    assert code == 0
    assert "4 rejected messages" in out
    assert "not_json" in out
    code, out, _ = await ended(tmp_path / "messages", "rejected", "list", "--messages", "--limit", "2", **environ)
    assert (code, out.count("home/")) == (0, 2)
    code, out, _ = await ended(tmp_path / "code", "rejected", "list", "--code", "no_measurement", **environ)
    assert (code, out.count("home/")) == (0, 1)
    assert "home/[red]b" in out, "not interpreted as markup"


async def test_list_of_an_empty_quarantine_says_so(tmp_path: Path) -> None:
    code, out, _ = await ended(tmp_path, "rejected", "list", BRIDGE_STORE__URL=f"sqlite:///{tmp_path}/bridge.db")
    assert (code, out.strip()) == (0, "the quarantine is empty")


async def test_show_prints_a_message_with_its_payload(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        message = rejected("home/a", b'{"a": "\xc2\xb5\x1b[31m"}\n', RejectionReason.NOT_JSON)
        await store.write([], [message], [])
    code, out, err = await ended(tmp_path, "rejected", "show", str(message.id), BRIDGE_STORE__URL=url)
    assert code == 0, err
    assert out.rstrip("\n").splitlines()[-1] == '{"a": "µ\\x1b[31m"}'
    code, _, err = await ended(tmp_path, "rejected", "show", str(ObjectId()), BRIDGE_STORE__URL=url)
    assert code == 1
    assert "no rejected message has the id" in err
    code, _, err = await ended(tmp_path, "rejected", "show", "x", BRIDGE_STORE__URL=url)
    assert code == 1
    assert "24 hexadecimal digits" in err


def test_binary_payload_is_dumped_in_hexadecimal() -> None:
    assert format_payload(b"\xff\x00abc" + b"d" * 12).splitlines() == [
        "00000  ff 00 61 62 63 64 64 64 64 64 64 64 64 64 64 64  ..abcddddddddddd",
        "00010  64                                               d",
    ]
    assert format_payload(b"") == ""


async def test_clear_asks_for_confirmation(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        await store.write([], [rejected(f"home/{'ab'[n % 2]}", b"{", RejectionReason.NOT_JSON) for n in range(500)], [])
        code, _, _ = await ended(tmp_path / "ask", "rejected", "clear", BRIDGE_STORE__URL=url)
        assert code == 1, "not confirmed"
        assert await store.quarantine.count(QuarantineQuery()) == 500
        code, out, _ = await ended(tmp_path / "yes", "rejected", "clear", "--device", "a", "--yes", BRIDGE_STORE__URL=url)
        assert (code, out.strip()) == (0, "250 removed")
        assert await store.quarantine.count(QuarantineQuery()) == 250
        assert await clear(store, QuarantineQuery()) == 250


async def test_clear_that_fails_in_between_tells_what_was_removed() -> None:
    class Failing(MemoryQuarantine):
        async def release(self, ids: Sequence[ObjectId]) -> int:
            if len(self.by_id) < 300:
                raise StoreUnavailable("store unavailable")
            return await super().release(ids)

    store, removed = MemoryStore(), list[int]()
    store.quarantine = Failing()
    await store.write([], [rejected("home/a", b"{", RejectionReason.NOT_JSON) for _ in range(450)], [])
    with pytest.raises(StoreUnavailable):
        await clear(store, QuarantineQuery(), on_removed=removed.append)
    assert removed == [200]


async def test_message_texts_are_printed_without_markup_or_control_characters(screen: Console) -> None:
    store = MemoryStore()
    await store.write([], [rejected("home/\x1b[2J[bold]", b"\x07", RejectionReason.NOT_JSON)], [])
    print_groups(screen, await store.quarantine.groups())
    messages = await store.quarantine.messages(QuarantineQuery())
    print_messages(screen, messages)
    print_message(screen, messages[0])
    assert isinstance(screen.file, io.StringIO)
    text = screen.file.getvalue()
    assert not {"\x1b", "\x07"} & set(text)
    assert text.count("home/\\x1b[2J[bold]") == 2
