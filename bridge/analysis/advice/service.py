"""Advice of a running bridge: from new predictions and raised alarms, at most one for a device in two hours.

The leader gives it. It is stored first, as open; then its command is sent, if a rule makes one of it; then it is stored with
the outcome of the command, and published. A new leader finishes open advice, and looks again at the alarms of the last 15
minutes: the same input gives the same id, so it is published once.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from bridge.alarms.record import AlarmRecord, TransitionKind
from bridge.alarms.rules import Rule
from bridge.alarms.service.stored import StoredAlarmReader
from bridge.analysis.advice.policy import (
    Surroundings,
    alarm_advice,
    forecast_advice,
    is_followed_by,
    superseding,
    urgency,
)
from bridge.analysis.advice.record import Advice, AdviceReason
from bridge.analysis.advice.rule_commands import RuleCommands
from bridge.analysis.advice.sentences import sentence
from bridge.analysis.advice.stored import advice_of
from bridge.core.errors import StoreUnavailable
from bridge.core.events import ActionAdvised, AlarmChanged
from bridge.core.timestamp import parse_time
from bridge.ports import AlarmStore, Publisher, StoredAlarm

log = logging.getLogger(__name__)

EVERY_MS = 2 * 3_600_000
"""The least time between two advices for a device."""

WAITING_LIMIT = 10_000
"""The most predictions and alarms that wait; more are dropped and counted."""

_FORECAST_FRESH_MS = 90 * 60_000
"""An older prediction is not looked at: it is made after each hour."""

_ALARM_FRESH_MS = 15 * 60_000
_RETRY_SECONDS = 1.0
_RECENT = 10
_OPEN_LIMIT = 1000
_PAGE = 1000


class AdviceStores(Protocol):
    @property
    def actions(self) -> AlarmStore:
        """The advice."""

    @property
    def alarms(self) -> AlarmStore:
        """The alarms."""


@dataclass(frozen=True, slots=True)
class AlarmView:
    """The alarms as they are: the rule with an id, and the records that stand."""

    rule: Callable[[str], Rule | None]
    standing: Callable[[], Iterable[AlarmRecord]]


@dataclass(slots=True)
class AdviceCounters:
    """Counts since the start: advice given; held back because it was too soon; inputs dropped because too many waited."""

    given: int = 0
    held: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Prediction:
    device_id: str
    field: str | None
    body: Mapping[str, Any]
    made_ms: int

    def advice(self, surroundings: Surroundings) -> Advice | None:
        return forecast_advice(self.body, self.made_ms, surroundings)

    def is_fresh(self, now_ms: int) -> bool:
        return now_ms - self.made_ms < _FORECAST_FRESH_MS


@dataclass(frozen=True, slots=True)
class _RaisedAlarm:
    device_id: str
    field: str | None
    rule: Rule
    record: Mapping[str, Any]
    transition: str
    at_ms: int

    def advice(self, surroundings: Surroundings) -> Advice | None:
        return alarm_advice(self.rule, self.record, self.transition, self.at_ms, surroundings)

    def is_fresh(self, now_ms: int) -> bool:
        return now_ms - self.at_ms < _ALARM_FRESH_MS


Around = Callable[[str, str | None], Awaitable[Surroundings]]


class AdviceService:
    """`publisher` receives `ActionAdvised` for each advice once it is stored."""

    def __init__(
        self,
        stores: AdviceStores,
        publisher: Publisher,
        alarms: AlarmView,
        around: Around,
        commands: RuleCommands,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`around` tells what is known of the air outside a device; `clock` gives milliseconds since the epoch."""
        self.predictions: Callable[[], Iterable[Mapping[str, Any]]] = tuple
        """The last predictions, which are looked at when this bridge begins to lead."""
        self.counts = AdviceCounters()
        self.commands = commands
        self._stores = stores
        self._publisher = publisher
        self._alarms = alarms
        self._around = around
        self._clock = clock
        self._is_leading = False
        self._is_refused = False
        self._in_work = 0
        self._waiting: deque[_Prediction | _RaisedAlarm] = deque()
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many predictions and alarms have not been worked off."""
        return len(self._waiting) + self._in_work

    # --- inputs ------------------------------------------------------------------------------------------------------------

    def on_prediction(self, prediction: Mapping[str, Any]) -> None:
        """Take a new prediction, as `GET /api/v1/predictions` writes it. Ignored while another bridge leads."""
        made_ms = parse_time(prediction["made"])
        if self._is_leading and made_ms is not None and forecast_advice(prediction, made_ms) is not None:
            self._add(_Prediction(prediction["deviceId"], prediction["field"], prediction, made_ms))

    def on_alarms(self, changes: Sequence[AlarmChanged]) -> None:
        """Take changes of alarms that have been stored. Ignored while another bridge leads."""
        if self._is_leading:
            for one in changes:
                if one.kind == TransitionKind.RAISED:
                    self._add_alarm(one.rule, one.record, one.transition, one.at_ms)

    def _add_alarm(self, rule_id: str, record: Mapping[str, Any], transition: str, at_ms: int) -> None:
        rule = self._alarms.rule(rule_id)
        is_quiet = record["suppressedBy"] or record["shelvedUntil"] or record["outOfService"]
        if rule is not None and not is_quiet and alarm_advice(rule, record, transition, at_ms) is not None:
            self._add(_RaisedAlarm(record["deviceId"], rule.field, rule, record, transition, at_ms))

    def _add(self, given: _Prediction | _RaisedAlarm) -> None:
        if self.waiting >= WAITING_LIMIT:
            self.counts.dropped += 1
            return
        self._waiting.append(given)
        self._arrived.set()

    # --- advice ------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Give advice while this bridge leads, until cancelled."""
        self._is_leading = True
        self._in_work = 1  # what was begun before
        try:
            await self._until_stored(self._recover)
            self._in_work = 0
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                batch, self._waiting = self._waiting, deque()
                self._in_work = len(batch)
                by_device: dict[str, list[_Prediction | _RaisedAlarm]] = {}
                for one in batch:
                    by_device.setdefault(one.device_id, []).append(one)
                for inputs in by_device.values():
                    await self._until_stored(partial(self._advise, inputs))
                    self._in_work -= len(inputs)
        finally:
            self._is_leading = False
            self._waiting.clear()
            self._in_work = 0

    async def _until_stored(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step until the store is available for all of it."""
        while True:
            try:
                await step()
            except StoreUnavailable as error:
                if not self._is_refused:
                    log.warning("actions: advice waits: store unavailable: %s", error)
                self._is_refused = True
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._is_refused = False
                return

    async def _recover(self) -> None:
        """Finish what another bridge, or this one before a restart, has begun; look at recent alarms and predictions again."""
        for advice in reversed(advice_of(await self._stores.actions.find(is_open=True, limit=_OPEN_LIMIT))):
            await self._finish(advice)
        oldest_ms = self._clock() - _ALARM_FRESH_MS
        recent = StoredAlarmReader().transitions(await self._stores.alarms.transitions(limit=_PAGE))
        for transition in reversed(recent):
            if transition.at_ms < oldest_ms or transition.kind is not TransitionKind.RAISED:
                continue
            alarm = await self._stores.alarms.get(transition.record.id)
            if alarm is not None and alarm.is_open:
                self._add_alarm(transition.record.rule, transition.record.public(), transition.id, transition.at_ms)
        for prediction in self.predictions():
            self.on_prediction(prediction)

    async def _advise(self, inputs: Sequence[_Prediction | _RaisedAlarm]) -> None:
        """Give the advice of one device that is most urgent, of what arrived together."""
        now_ms = self._clock()
        found = list[Advice]()
        for one in inputs:
            if one.is_fresh(now_ms):
                advice = one.advice(await self._around(one.device_id, one.field))
                if advice is not None:
                    found.append(advice)
        for advice in sorted(found, key=urgency):
            await self._give(advice)

    async def _give(self, advice: Advice) -> None:
        existing = await self._stores.actions.get(advice.id)
        if existing is not None:
            if existing.is_open:
                for begun in advice_of([existing]):
                    await self._finish(begun)
            return
        now_ms = self._clock()
        recent = await self._stores.actions.find(device_id=advice.device_id, limit=_RECENT)
        last = max(
            (one for one in advice_of(recent) if 0 <= now_ms - one.at_ms < EVERY_MS), key=lambda one: one.at_ms, default=None
        )
        if (last is not None and not is_followed_by(last, advice)) or self._is_alarmed(advice):
            self.counts.held += 1
            return
        advice = replace(advice if last is None else superseding(advice, last), at_ms=now_ms)
        advice = replace(advice, command=await self.commands.plan(advice))
        await self._save(advice, is_open=True)
        await self._finish(advice)

    def _is_alarmed(self, advice: Advice) -> bool:
        """Whether an alarm says already that the limit of a forecast is exceeded."""
        return advice.reason is AdviceReason.FORECAST and any(
            one.device_id == advice.device_id
            and one.field == advice.field
            and one.is_active
            and (one.limit is None or advice.limit is None or one.limit >= advice.limit)
            for one in self._alarms.standing()
        )

    async def _finish(self, advice: Advice) -> None:
        """Send the command of stored advice, store what became of it, and publish."""
        advice = await self.commands.send(advice)
        await self._until_stored(partial(self._save, advice, is_open=False))
        self.counts.given += 1
        body = advice.public(sentence(advice))
        self._publisher.publish([ActionAdvised(advice.device_id, advice.at_ms, body)])

    async def _save(self, advice: Advice, *, is_open: bool) -> None:
        stored = StoredAlarm(advice.id, advice.device_id, advice.kind.value, is_open, advice.to_document(), is_new=is_open)
        await self._stores.actions.write([], [stored])
