"""Tells people of alarms: plans deliveries, and runs a loop for each target and the watchdog."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bridge.alarms.record import AlarmRecord, Transition
from bridge.alarms.rules_file.notify_settings import NotifySettings, WatchdogSettings
from bridge.alarms.service.stored import StoredAlarmReader
from bridge.core.alarms.delivery import AlarmDelivery
from bridge.core.errors import UnknownTarget
from bridge.notify.apprise_target import AppriseTarget
from bridge.notify.merging import Notification
from bridge.notify.planning import plan, unplanned
from bridge.notify.sender import AlarmLookup, NotifyCounters, SenderParts, TargetLoop, attempt
from bridge.notify.target import NotifyTarget
from bridge.notify.texts import DISCLAIMER
from bridge.notify.watchdog import EVERY_SECONDS, Watchdog
from bridge.notify.web_push import PushStores, WebPushTarget
from bridge.notify.webhook import WebhookTarget
from bridge.ports import AlarmStore, DeliveryStore

TEST_MESSAGE = Notification(
    id="test", kind="test", priority="low", title="Test of Sensor Bridge", body=f"No alarm: this is a test.\n{DISCLAIMER}"
)


def stored_alarms(alarms: AlarmStore) -> AlarmLookup:
    """Return a look-up in the store."""
    reader = StoredAlarmReader()

    async def lookup(ids: Sequence[str]) -> Mapping[str, AlarmRecord]:
        found = [reader.alarm(await alarms.get(one)) for one in ids]
        return {one.id: one for one in found if one is not None}

    return lookup


class NotifyStore(PushStores, Protocol):
    @property
    def deliveries(self) -> DeliveryStore: ...


@dataclass(frozen=True, slots=True)
class NotifyTest:
    """The result of a test message; `error` is None if the target took it."""

    target: str
    error: str | None

    def public(self) -> dict[str, object]:
        return {"target": self.target, "ok": self.error is None, "error": self.error}


class Notifier:
    """`plan` gives the deliveries of transitions, for the store; `run` sends what the store says is due."""

    def __init__(
        self,
        settings: Sequence[NotifySettings],
        store: NotifyStore,
        parts: SenderParts,
        *,
        access_required: bool = False,
        watchdog: WatchdogSettings | None = None,
        healthy: Callable[[], bool] = lambda: True,
    ) -> None:
        """`healthy` says whether rules are evaluated and stored; the watchdog is called only while it is true."""
        self._settings = tuple(settings)
        self._watchdog = watchdog
        self._store = store
        self._parts = parts
        self._access_required = access_required
        self._healthy = healthy
        self._changed = asyncio.Event()
        self._loops: dict[NotifySettings | WatchdogSettings, tuple[TargetLoop | Watchdog, asyncio.Task[None]]] = {}

    def plan(self, transitions: Iterable[Transition]) -> list[AlarmDelivery]:
        """Return the deliveries of transitions, to be stored with them. The same transitions give the same ids."""
        planned = plan(transitions, self._settings, self._parts.clock())
        if planned:
            self.wake()
        return planned

    async def record(self, transitions: Sequence[Transition], known: Collection[str] = ()) -> None:
        """Plan and store the deliveries of transitions, which are stored already. Repeating the call is safe.

        `known` are ids of transitions that may have been recorded before, in other company. Raises `StoreUnavailable`.
        """
        now_ms = self._parts.clock()
        planned = plan((one for one in transitions if one.id not in known), self._settings, now_ms)
        for one in plan((one for one in transitions if one.id in known), self._settings, now_ms):
            rest = unplanned(one, await self._store.deliveries.by_group(one.group))
            if rest is not None:
                planned.append(rest)
        if planned:
            await self._store.deliveries.add(planned)
            self.wake()

    def tell_now(self, transitions: Iterable[Transition]) -> None:
        """Tell of transitions that cannot be stored now: that the store is unavailable. Recorded later, they are told once."""
        planned = plan(transitions, self._settings, self._parts.clock())
        for loop, _ in self._loops.values():
            if isinstance(loop, TargetLoop):
                loop.tell_now(one for one in planned if one.target == loop.name)

    def wake(self) -> None:
        """Look at the store soon: deliveries are stored, or about to be."""
        for loop, _ in self._loops.values():
            if isinstance(loop, TargetLoop):
                loop.wake()

    def use(self, settings: Sequence[NotifySettings], watchdog: WatchdogSettings | None = None) -> None:
        """Follow other settings from now on. Targets that stay as they are are not disturbed."""
        self._settings, self._watchdog = tuple(settings), watchdog
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    self._changed.clear()
                    await self._reconcile(group)
                    await self._changed.wait()
            finally:
                for _, task in self._loops.values():
                    task.cancel()
                self._loops.clear()

    async def _reconcile(self, group: asyncio.TaskGroup) -> None:
        wanted = {*self._settings, *(() if self._watchdog is None else (self._watchdog,))}
        for settings in self._loops.keys() - wanted:
            _, task = self._loops.pop(settings)
            task.cancel()
            await asyncio.wait({task})
        for one in wanted - self._loops.keys():
            loop = self._loop(one)
            name = one.name if isinstance(one, NotifySettings) else "watchdog"
            self._loops[one] = loop, group.create_task(loop.run(), name=f"notify {name}")

    def _loop(self, settings: NotifySettings | WatchdogSettings) -> TargetLoop | Watchdog:
        if isinstance(settings, WatchdogSettings):
            return Watchdog(settings, self._healthy, EVERY_SECONDS)
        return TargetLoop(settings, self._target(settings), self._parts)

    def _target(self, settings: NotifySettings) -> NotifyTarget:
        if settings.webhook is not None:
            return WebhookTarget(settings)
        if settings.push:
            return WebPushTarget(self._store, settings.contact, access_required=self._access_required)
        return AppriseTarget(settings)

    async def test(self, name: str | None = None) -> list[NotifyTest]:
        """Send a test message to one target, or to all. Raises `UnknownTarget`."""
        chosen = [one for one in self._settings if name is None or one.name == name]
        if name is not None and not chosen:
            known = ", ".join(one.name for one in self._settings) or "none is set"
            raise UnknownTarget(f"no target is called {name[:64]!r}: must be one of: {known}")
        return list(await asyncio.gather(*map(self._test, chosen)))

    async def _test(self, settings: NotifySettings) -> NotifyTest:
        target = self._target(settings)
        message = replace(TEST_MESSAGE, id=f"test-{self._parts.clock()}")
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(target.close)
            error, _ = await attempt(target, message, self._parts.deadline_seconds)
        return NotifyTest(settings.name, error)

    @property
    def targets(self) -> Sequence[NotifySettings]:
        return self._settings

    @property
    def counts(self) -> Mapping[str, NotifyCounters]:
        """Return the counters of each target, by name."""
        return {
            settings.name: loop.counts
            for settings, (loop, _) in self._loops.items()
            if isinstance(settings, NotifySettings) and isinstance(loop, TargetLoop)
        }

    @property
    def watchdog_counts(self) -> Mapping[str, int]:
        """Return calls of the watchdog: `answered`, `failed`, `withheld`; empty without one."""
        found = next((loop for loop, _ in self._loops.values() if isinstance(loop, Watchdog)), None)
        if found is None:
            return {}
        return {"answered": found.counts.answered, "failed": found.counts.failed, "withheld": found.counts.withheld}
