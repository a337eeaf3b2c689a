"""The notifier as the alarm service uses it: planned, stored, sent to real servers, and changed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import pytest

from bridge.alarms.record import Transition
from bridge.alarms.rules_file.notify_settings import NotifySettings, WatchdogSettings
from bridge.alarms.service.journal import AlarmJournal, stored_alarm
from bridge.core.errors import UnknownTarget
from bridge.notify.notifier import Notifier, stored_alarms
from bridge.notify.sender import SenderParts
from tests.fakes import MemoryStore
from tests.notify.alarms import Alarms, raised, receiver, record, target
from tests.servers import until


def notifier(settings: Sequence[NotifySettings], store: MemoryStore, **more: Any) -> Notifier:
    given = {name: more.pop(name) for name in ("deadline_seconds", "idle_seconds") if name in more}
    parts = SenderParts(store.deliveries, Alarms(), **given)
    return Notifier(settings, store, parts, **more)


@asynccontextmanager
async def running(one: Notifier) -> AsyncIterator[Notifier]:
    task = asyncio.create_task(one.run())
    await until(lambda: len(one.counts) == len(one.targets))
    yield one
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def tell(one: Notifier, *transitions: Transition) -> None:
    await one.record(transitions)


async def test_a_webhook_is_told_at_once() -> None:
    """And not when the store is looked at again."""
    async with receiver() as server:
        async with running(notifier([target(webhook=f"{server.url}/hook")], MemoryStore(), idle_seconds=3600)) as one:
            await tell(one, raised())
            await until(lambda: bool(server.posts))


async def test_a_target_that_hangs_delays_no_other() -> None:
    store = MemoryStore()
    async with receiver() as server:
        settings = [target("stuck", webhook=f"{server.url}/hang"), target("family", webhook=f"{server.url}/hook")]
        async with running(notifier(settings, store, deadline_seconds=60)) as one:
            for index in range(5):
                await tell(one, raised(f"device-{index}"))
                await until(lambda number=index: one.counts["family"].alarms > number)
            assert (one.counts["stuck"].sent, one.counts["stuck"].failed) == (0, 0), "it hangs all the time"
            assert [post.path for post in server.posts].count("/hang") == 1


async def test_ten_thousand_devices_in_a_second_give_at_most_twenty_messages() -> None:
    store = MemoryStore()
    async with receiver() as server, running(notifier([target(webhook=f"{server.url}/hook")], store)) as one:
        for start in range(0, 10_000, 200):
            await tell(one, *(raised(f"device-{index}", group="g") for index in range(start, start + 200)))
            await asyncio.sleep(0.02)
        await until(lambda: one.counts["family"].alarms == 10_000, seconds=40)
        assert len(server.posts) <= 20
        assert sum(orjson.loads(post.content)["number"] for post in server.posts) == 10_000
        assert max(len(post.content) for post in server.posts) < 64 * 1024


async def test_other_settings_are_followed_without_disturbing_the_rest() -> None:
    store = MemoryStore()
    async with receiver() as server:
        family, hook = target("family", webhook=f"{server.url}/family"), target("hook", webhook=f"{server.url}/hook")
        async with running(notifier([family], store)) as one:
            await tell(one, raised("a"))
            await until(lambda: len(server.posts) == 1)
            one.use([family, hook], WatchdogSettings(f"{server.url}/ping"))
            await until(lambda: set(one.counts) == {"family", "hook"} and one.watchdog_counts.get("answered") == 1)
            assert one.counts["family"].sent == 1
            await tell(one, raised("b"))
            await until(lambda: one.counts["family"].sent == 2 and one.counts["hook"].sent == 1)
            one.use([hook])
            await until(lambda: set(one.counts) == {"hook"} and one.watchdog_counts == {})


async def test_a_test_says_which_targets_were_reached() -> None:
    async with receiver() as server:
        settings = [
            target("family", webhook=f"{server.url}/hook"),
            target("gone", webhook="http://127.0.0.1:9/x"),
            target("stuck", webhook=f"{server.url}/hang"),
        ]
        one = notifier(settings, MemoryStore(), deadline_seconds=3.0)  # the others must answer within it
        results = {result.target: result.public() for result in await one.test()}
        assert results["family"] == {"target": "family", "ok": True, "error": None}
        assert str(results["gone"]["error"]).startswith("webhook: not reached")
        assert results["stuck"]["error"] == "no answer within 3 s"
        assert [result.target for result in await one.test("family")] == ["family"]
        with pytest.raises(UnknownTarget, match="no target is called 'x': must be one of: family, gone, stuck"):
            await one.test("x")


async def test_planned_deliveries_can_be_stored_by_somebody_else() -> None:
    store = MemoryStore()
    async with receiver() as server, running(notifier([target(webhook=f"{server.url}/hook")], store)) as one:
        planned = one.plan([raised()])
        await store.deliveries.add(planned)
        await store.deliveries.add(one.plan([raised()]))
        await until(lambda: one.counts["family"].alarms == 1)
        one.tell_now([raised("attic")])
        await until(lambda: one.counts["family"].alarms == 2)
    assert len(store.deliveries.by_id) == 1


async def test_alarms_are_looked_up_in_the_store() -> None:
    alarms = MemoryStore().alarms
    await alarms.write([], [stored_alarm(record())])
    assert await stored_alarms(alarms)([record().id, "unknown"]) == {record().id: record()}


async def test_transitions_that_are_recorded_again_after_a_restart_are_told_once() -> None:
    store = MemoryStore()
    first = notifier([target()], store)
    a, b, c = (raised(device, group="g") for device in "abc")
    await first.record([a])
    again = notifier([target()], store)
    await again.record([a, b, c], known={a.id, b.id})
    await again.record([a, b, c], known={a.id, b.id, c.id})
    members = [member.transition_id for one in store.deliveries.by_id.values() for member in one.members]
    assert sorted(members) == sorted([a.id, b.id, c.id])


async def test_what_the_journal_stores_is_told_once_also_if_it_is_folded_again() -> None:
    store = MemoryStore()
    async with receiver() as server, running(notifier([target(webhook=f"{server.url}/hook")], store)) as one:
        for is_replayed in (False, True):
            journal = AlarmJournal(store.alarms)
            journal.record = one.record
            writing = asyncio.create_task(journal.run())
            await journal.written(journal.add([raised("a"), raised("b")], is_replayed=is_replayed))
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        await until(lambda: one.counts["family"].alarms == 2)
        await tell(one, raised("c"))
        await until(lambda: one.counts["family"].alarms == 3)
    told = [alarm["deviceId"] for post in server.posts for alarm in orjson.loads(post.content)["alarms"]]
    assert sorted(told) == ["a", "b", "c"]
