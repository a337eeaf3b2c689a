"""Sends what is due to one target. Each target has a loop of its own: one that hangs delays nobody but itself.

Deliveries are read from the store, sent, and saved with their result. A restart between the last two sends once more: at least
once, and at most twice a restart. After more than ten messages in ten minutes, the rest is gathered into one message at a time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat

from bridge.alarms.floods import RaiseRate
from bridge.alarms.record import AlarmRecord
from bridge.alarms.rules import Priority
from bridge.alarms.rules_file.notify_settings import NotifySettings
from bridge.core.alarms.delivery import AlarmDelivery, DeliveryKind, DeliveryState
from bridge.core.errors import BridgeError, DeliveryFailed, StoreError
from bridge.notify.merging import Notification, compose, merge
from bridge.notify.planning import ToldAlarms, depends_on_alarm, failed, over_message, reminder, still_asked, succeeded
from bridge.notify.target import DEADLINE_SECONDS, NotifyTarget
from bridge.ports import DeliveryStore

log = logging.getLogger(__name__)

AlarmLookup = Callable[[Sequence[str]], Awaitable[Mapping[str, AlarmRecord]]]
"""Returns the alarms with these ids as they are now; those that are not known are left out."""

DUE_LIMIT = 1000
IDLE_SECONDS = 2.0
FLOOD_GAP_MS: Mapping[bool, int] = {True: 10_000, False: 60_000}
"""In a flood the time between two messages, with something critical and without."""

_GAP_CHECK_SECONDS = 10.0
_UNSTORED_LIMIT = 100
_NOT_NEEDED = (DeliveryState.CANCELLED, DeliveryState.FAILED)
_HURRY_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""After something was planned: the alarm service stores it any moment now."""


@dataclass(slots=True)
class NotifyCounters:
    """Messages since the start that were sent or failed, alarms in those sent, and deliveries that nobody needed any more."""

    sent: int = 0
    failed: int = 0
    alarms: int = 0
    cancelled: int = 0
    store_failures: int = 0


@dataclass(frozen=True, slots=True)
class SenderParts:
    """What the loops of all targets share. `clock` gives milliseconds since the epoch."""

    deliveries: DeliveryStore
    lookup: AlarmLookup
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    deadline_seconds: float = DEADLINE_SECONDS
    idle_seconds: float = IDLE_SECONDS


class TargetLoop:
    def __init__(self, settings: NotifySettings, target: NotifyTarget, parts: SenderParts) -> None:
        self.name = settings.name
        self.counts = NotifyCounters()
        self._settings = settings
        self._target = target
        self._parts = parts
        self._planned = asyncio.Event()
        self._rate = RaiseRate()
        self._last_sent_ms = 0
        self._is_failing = False
        self._is_store_failing = False
        self._unstored: dict[str, AlarmDelivery] = {}
        self._told_ms: dict[str, int] = {}
        """When deliveries were sent that may be stored later."""

    def wake(self) -> None:
        """Look at the store soon: something was planned."""
        self._planned.set()

    def tell_now(self, deliveries: Iterable[AlarmDelivery]) -> None:
        """Send deliveries that cannot be stored now; those beyond the limit wait until they are."""
        for one in deliveries:
            if len(self._unstored) < _UNSTORED_LIMIT and one.id not in self._told_ms:
                self._unstored.setdefault(one.id, one)
        self._planned.set()

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            hurry: Iterable[float] = ()
            while True:
                pauses = chain(hurry, repeat(self._parts.idle_seconds))
                hurry = ()
                for pause in pauses:
                    wait_seconds = await self._round_or_pause()
                    if wait_seconds:
                        await asyncio.sleep(min(wait_seconds, _GAP_CHECK_SECONDS))
                    elif wait_seconds is not None and await self._is_woken(pause):
                        hurry = _HURRY_SECONDS
                        break
        finally:
            await self._target.close()

    async def _is_woken(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._planned.wait()
        was_set = self._planned.is_set()
        self._planned.clear()
        return was_set

    async def _round_or_pause(self) -> float | None:
        await self._send_unstored()
        try:
            wait_seconds = await self.round()
        except StoreError as error:
            self._count_store_failure(error)
            return 0.0
        except Exception:
            log.exception("notify: %s: a round failed unexpectedly: it is tried again; please report this", self.name)
            return _GAP_CHECK_SECONDS
        self._is_store_failing = False
        return wait_seconds

    def _count_store_failure(self, error: StoreError) -> None:
        self.counts.store_failures += 1
        if not self._is_store_failing:
            log.warning("notify: %s: store unavailable, deliveries wait: %s", self.name, error)
        self._is_store_failing = True

    async def _send_unstored(self) -> None:
        now_ms = self._parts.clock()
        for one in [one for one in self._unstored.values() if one.due_ms <= now_ms]:
            fault, done = await attempt(self._target, compose([one]), self._parts.deadline_seconds)
            self._count(fault, len(one.members))
            if fault is None:
                del self._unstored[one.id]
                self._told_ms[one.id] = self._parts.clock()
                if len(self._told_ms) > _UNSTORED_LIMIT:
                    del self._told_ms[next(iter(self._told_ms))]
            else:
                self._unstored[one.id] = failed(one, fault, done, self._parts.clock())

    async def round(self) -> float | None:
        """Send what is due. Return how long to send nothing (0: until more is due); None if there is more at once.

        Raises `StoreError`.
        """
        now_ms = self._parts.clock()
        due = await self._parts.deliveries.due(self.name, now_ms, DUE_LIMIT)
        if not due:
            return 0.0
        self._rate.update(now_ms)
        if (gap_ms := self._gap_ms(due, now_ms)) > 0:
            return gap_ms / 1000
        ready, settled = await self._sift(due)
        await self._parts.deliveries.save(settled)
        self.counts.cancelled += sum(one.state in _NOT_NEEDED for one in settled)
        was_flood = self._rate.is_flood
        for message in merge(ready, in_one=was_flood):
            await self._send(message)
            if self._rate.is_flood is not was_flood:
                break  # the rest in one message
        return None

    def _gap_ms(self, due: Iterable[AlarmDelivery], now_ms: int) -> int:
        if not self._rate.is_flood:
            return 0
        is_critical = any(one.priority == Priority.CRITICAL and one.kind is not DeliveryKind.CLEARED for one in due)
        return self._last_sent_ms + FLOOD_GAP_MS[is_critical] - now_ms

    async def _sift(self, due: Sequence[AlarmDelivery]) -> tuple[list[AlarmDelivery], list[AlarmDelivery]]:
        """Return the deliveries to send, and those that are postponed or not needed any more."""
        ready: list[AlarmDelivery] = []
        settled: list[AlarmDelivery] = []
        groups: dict[str, ToldAlarms] = {}
        for one in due:
            checked = await self._checked(one, groups)
            is_ready = checked.state is DeliveryState.WAITING and checked.due_ms == one.due_ms
            (ready if is_ready else settled).append(checked)
        return ready, settled

    async def _checked(self, delivery: AlarmDelivery, groups: dict[str, ToldAlarms]) -> AlarmDelivery:
        """Return a delivery that is due as it is now needed; `groups` are those that have been read before."""
        if delivery.id in self._told_ms:
            return succeeded(delivery, self._told_ms[delivery.id])
        if delivery.kind is DeliveryKind.CLEARED:
            if delivery.group not in groups:
                of_group = await self._parts.deliveries.by_group(delivery.group)
                groups[delivery.group] = ToldAlarms.of(self.name, of_group)
            return over_message(delivery, groups[delivery.group])
        if depends_on_alarm(delivery):
            return still_asked(delivery, await self._parts.lookup([one.alarm_id for one in delivery.members]))
        return delivery

    async def _send(self, message: Notification) -> None:
        fault, done = await attempt(self._target, message, self._parts.deadline_seconds)
        now_ms = self._parts.clock()
        if fault is None:
            self._rate.add(now_ms)
            self._last_sent_ms = now_ms
            results = [succeeded(one, now_ms) for one in message.deliveries]
        else:
            results = [failed(one, fault, done, now_ms) for one in message.deliveries]
        self._count(fault, message.number)
        next_reminders = [
            again
            for one in results
            if one.state is not DeliveryState.WAITING and (again := reminder(one, self._settings, now_ms)) is not None
        ]
        await self._save(results, next_reminders)

    async def _save(self, results: Sequence[AlarmDelivery], reminders: Sequence[AlarmDelivery]) -> None:
        """Save until it succeeds: what is sent must not be sent again."""
        while True:
            try:
                await self._parts.deliveries.add(reminders)
                await self._parts.deliveries.save(results)
            except StoreError as error:
                self._count_store_failure(error)
                await asyncio.sleep(self._parts.idle_seconds)
            else:
                return

    def _count(self, fault: str | None, alarms: int) -> None:
        """Count a message. The first failure and the first success after it are logged."""
        if fault is None:
            self.counts.sent += 1
            self.counts.alarms += alarms
        else:
            self.counts.failed += 1
        if (fault is not None) is self._is_failing:
            return
        self._is_failing = fault is not None
        if fault is None:
            log.info("notify: %s: told again", self.name)
        else:
            log.warning("notify: %s: not told, tried again later: %s", self.name, fault)


async def attempt(target: NotifyTarget, message: Notification, deadline_seconds: float) -> tuple[str | None, Sequence[str]]:
    """Send a message; return what went wrong (None: nothing) and which recipients have it."""
    try:
        async with asyncio.timeout(deadline_seconds):
            await target.send(message, message.done)
    except TimeoutError:
        return f"no answer within {deadline_seconds:g} s", message.done
    except DeliveryFailed as error:
        return str(error), error.done or message.done
    except BridgeError as error:
        return str(error), message.done
    except Exception as error:
        log.exception("notify: a target failed unexpectedly: it is tried again later; please report this")
        return type(error).__name__, message.done
    return None, ()
