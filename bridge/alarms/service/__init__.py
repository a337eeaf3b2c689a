"""The alarms of a running bridge: the fold over its stored readings, its checkpoints, and the actions of operators.

A publisher before the hub: readings pass on first. Transitions go to the journal, which stores them before it publishes them.
Once a minute each device that has changed is saved, then the cursor up to which all have been. After a restart the readings
behind that cursor are read from the store and folded again, with the inputs in between; they give the same transitions with
the same ids. So it goes on as well if too much waits: the service pauses and reads on from the store.

Of several bridges, the leader does this. The others fold the same readings and inputs to show the alarms, and store and publish
nothing: see `follower.py`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import orjson

from bridge.alarms.actions import ActionKind, OperatorAction
from bridge.alarms.fold import AlarmFold
from bridge.alarms.record import AlarmRecord, AlarmState, Transition, TransitionKind, timed_identifier
from bridge.alarms.rules import Rule
from bridge.alarms.scope import DeviceFacts
from bridge.alarms.service.follower import AskLeader, LeaderFollower
from bridge.alarms.service.journal import AlarmJournal, changed
from bridge.alarms.service.slices import EventSlices
from bridge.alarms.service.stored import StoredAlarmReader
from bridge.core.errors import DAMAGED, AlarmStateError, StoreUnavailable, TemporarilyUnavailable, UnknownAlarm
from bridge.core.events import AlarmChanged, EntityEvent, Event
from bridge.core.message import DeviceStatus
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.ports import AlarmInput, DeviceRecord, Publisher, Store

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
SAVE_SECONDS = 60.0
SAVE_READINGS = 100_000
"""A checkpoint is written after this many readings at the latest, so that not more are folded again after a restart."""

REPLAY_LIMIT = 1_000_000
"""About the most readings that are folded again; of more, the oldest are left out, which averages and doses take as a gap."""

WAITING_LIMIT = 50_000
"""Beyond this many events that wait for their turn the service pauses too."""

MARK = "alarms.mark"
"""The key of the last checkpoint. A store without it is one in which no bridge has run."""

_PAGE = 1000
_BATCH = 50
_FACTS_A_TICK = 500
_LAG_MS = 2000
"""Time passes this much later than by the clock: a reading that has just arrived is not folded yet."""

_CLOSE_SECONDS = 3.0
_OPEN_LIMIT = 100_000
_INPUTS_LIMIT = 100_000
_DEVICE_MS = 25 * 3_600_000
_KEPT_DEVICE_MS = 30 * 24 * 3_600_000
"""For how long a device without alarms is remembered: one that fell silent while the bridge was off is told of then."""


@dataclass(slots=True)
class ServiceCounters:
    """Counts since the start: readings folded again from the store, and how often the journal was full."""

    replayed: int = 0
    pauses: int = 0


class AlarmService:
    """`next` receives the events that pass through, and `AlarmChanged` for each stored transition."""

    next: Publisher

    def __init__(
        self,
        store: Store,
        rules: Iterable[Rule],
        *,
        devices_limit: int,
        facts: Callable[[str], DeviceFacts],
        is_up: Callable[[str], bool],
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`is_up` tells whether the component `store` or `broker` works; `clock` gives milliseconds since the epoch."""
        self.rules = tuple(rules)
        self.counts = ServiceCounters()
        self.on_changes: Callable[[Sequence[AlarmChanged]], None] = lambda _changes: None
        """Receives the changes that this bridge has stored, after they were published."""
        self.journal = AlarmJournal(store.alarms)
        self.journal.on_stored = self._publish
        self.fold = AlarmFold(self.rules, devices_limit=devices_limit, facts=facts)
        self._outdated: AlarmFold | None = None
        """The fold before the service began again, until the new one is up to date."""
        self._store = store
        self._reader = StoredAlarmReader()
        self._devices_limit = devices_limit
        self._facts = facts
        self._is_up = is_up
        self._clock = clock
        self._slices = EventSlices(self._on_event)
        self._is_following = False
        self._is_reconciled = False
        self._is_save_due = False
        self._offset = 0
        """The cursor of the last reading that was folded."""
        self._newest = 0
        """The cursor of the last reading that was published."""
        self._number = 0
        self._folded = 0
        """Readings since the last checkpoint."""
        self._inputs: deque[AlarmInput] = deque()
        self._logged: list[int] = []
        """Numbers of the inputs that the store has and no checkpoint contains."""
        self._device_inputs: dict[str, int] = {}
        self._unsaved: dict[str, None] = {}
        self._to_check: deque[str] = deque()
        self._down: set[str] = set()
        self._follower: LeaderFollower | None = None
        """Set while another bridge leads."""
        self._changing = asyncio.Lock()
        """Held while stored readings are folded, or a checkpoint is read."""
        self._first_from_ms: int | None = None
        """At the first start: the readings since then are folded without rules, for their averages."""
        self._loaded_ms: int | None = None
        """When the checkpoint was read; None once a reading has been folded that was received later."""

    def follow_leader(self, ask: AskLeader) -> None:
        """From now on another bridge leads: show the alarms, and `ask` it to carry out actions."""
        self._follower = LeaderFollower(self._store.alarms, ask)
        self._is_following = False

    async def lead(self) -> None:
        """From now on this bridge leads: go on from the last checkpoint. Raises `StoreUnavailable`."""
        async with self._changing:
            follower, self._follower = self._follower, None
            try:
                await self._restart()
            except StoreUnavailable:
                self._follower = follower
                raise

    async def _restart(self) -> None:
        """Begin again from the last checkpoint. `_changing` is held: nothing is folded meanwhile."""
        self._outdated = self._outdated or self.fold
        self._is_following = self._is_reconciled = False
        self._slices.drop()
        self._unsaved, self._folded = {}, 0
        self._device_inputs = {}
        await self.load(self._newest)

    @property
    def is_catching_up(self) -> bool:
        """Whether stored readings have not been folded yet."""
        return not self._is_following

    @property
    def is_healthy(self) -> bool:
        """Whether readings are folded and their alarms stored."""
        return self._is_following and not self.journal.is_stuck

    # --- readings ----------------------------------------------------------------------------------------------------------

    def publish(self, events: Sequence[Event]) -> None:
        """Pass all events on, then fold readings and statuses."""
        self.next.publish(events)
        for event in reversed(events):
            if type(event) is Reading:
                self._newest = event.seq
                break
        if not self._is_following:
            self._remove_deleted(events)
            return
        self._slices.add(events)
        if self.journal.is_full or len(self._slices) > WAITING_LIMIT:
            self._is_following = False
            self.counts.pauses += 1
            self._remove_deleted(self._slices.drop())

    def _on_event(self, event: Event) -> bool:
        """Fold an event; return whether it changed an alarm."""
        kind = type(event)
        if kind is Reading:
            return event.seq > self._offset and self._step(event)  # type: ignore[union-attr, arg-type] # else read from the store
        if kind is DeviceStatus and self._follower is None:  # the leader's inputs have those of others
            before = self.journal.added
            return self._give(_status_input(event), self.fold.on_status(event)) > before  # type: ignore[arg-type]
        if kind is EntityEvent:
            self._remove_deleted((event,))
        return False

    def _remove_deleted(self, events: Iterable[Event]) -> None:
        for event in events:
            if type(event) is EntityEvent and event.entity_type == "sensor" and event.event_type == "deleted":
                self._remove(event.entity_id)

    def _step(self, reading: Reading, *, is_replayed: bool = False) -> bool:
        """Fold a reading; return whether it changed an alarm."""
        fold, device_id = self.fold, reading.device_id
        transitions = fold.tick(reading.received_ms) if fold.due_ms <= reading.received_ms else []
        transitions += fold.step(reading)
        self._unsaved[device_id] = None
        self._offset = reading.seq
        self._folded += 1
        if not transitions:
            return False
        self._record(transitions, is_replayed=is_replayed)
        return True

    def _record(self, transitions: Sequence[Transition], given: AlarmInput | None = None, *, is_replayed: bool = False) -> int:
        if self._follower is not None:
            self._follower.changes += len(transitions)
            return self.journal.added
        for one in transitions:
            if one.record.device_id is not None:
                self._unsaved[one.record.device_id] = None
        return self.journal.add(transitions, given, is_replayed=is_replayed)

    def _publish(self, transitions: Sequence[Transition]) -> None:
        changes = [changed(one) for one in transitions]
        self.next.publish(changes)
        self.on_changes(changes)

    # --- other inputs ------------------------------------------------------------------------------------------------------

    def _give(self, body: dict[str, Any], transitions: list[Transition]) -> int:
        """Record an input that is no reading, for a replay, and what it has changed. Inputs without effect are dropped."""
        if not transitions or self._follower is not None:
            return self.journal.added
        self._number += 1
        given = AlarmInput(self._number, {**body, "after": self._offset})
        self._logged.append(self._number)
        device_id = body.get("device")
        if device_id:
            self._device_inputs[device_id] = self._number
        return self._record(transitions, given)

    def _apply(self, given: AlarmInput) -> None:
        """Fold an input again, unless the memory of its device contains it."""
        body = given.body
        device_id = body["device"]
        if device_id and self._device_inputs.get(device_id, 0) >= given.number:
            return
        if body["kind"] == "status":
            transitions = self.fold.on_status(DeviceStatus(device_id, body["status"], body["at"]))
        else:
            action = OperatorAction(
                ActionKind(body["kind"]), device_id, body["rule"], body["by"], body["at"], body["comment"], body["until"]
            )
            try:
                transitions = self.fold.operate(action)
            except (UnknownAlarm, AlarmStateError):  # a rule that was removed since
                return
        if device_id:
            self._device_inputs[device_id] = given.number
        self._record(transitions, is_replayed=True)

    async def operate(
        self, kind: ActionKind, alarm: AlarmRecord, by: str, comment: str | None = None, until_ms: int | None = None
    ) -> AlarmRecord:
        """Carry out an action, and return the alarm once that is stored.

        Raises `UnknownAlarm`, `AlarmStateError`, `StoreUnavailable`, or `TemporarilyUnavailable` while stored readings are
        folded.
        """
        if self._follower is not None:
            return await self._follower.ask(kind, alarm, by, comment, until_ms)
        if not self._is_following:
            raise TemporarilyUnavailable("alarms are being brought up to date: try again in a few seconds")
        action = OperatorAction(kind, alarm.device_id, alarm.rule, by, self._clock(), comment, until_ms)
        transitions = self.fold.operate(action)
        body = {
            "kind": kind.value,
            "device": action.device_id,
            "rule": action.rule,
            "by": by,
            "at": action.at_ms,
            "comment": comment,
            "until": until_ms,
        }
        number = self._give(body, transitions)
        try:
            async with asyncio.timeout(5):
                await self.journal.written(number)
        except TimeoutError:
            raise StoreUnavailable("the action is done and waits to be stored: the store is unavailable") from None
        return transitions[0].record

    def use_rules(self, rules: Iterable[Rule]) -> None:
        """Follow other rules from now on. Raises `RuleError` before anything has changed."""
        given = tuple(rules)
        transitions = self.fold.use_rules(given, self._clock())
        self.rules = given
        self._record(transitions)
        self._unsaved |= dict.fromkeys(self.fold.device_ids())

    def _remove(self, device_id: str) -> None:
        """Forget a device; its alarms end."""
        self._record(self.fold.remove(device_id, self._clock()))
        self._device_inputs.pop(device_id, None)
        self._unsaved[device_id] = None

    @property
    def changes(self) -> int:
        """A number that rises with each change of an alarm, except of its peak."""
        return self.journal.added + (0 if self._follower is None else self._follower.changes)

    # --- questions ---------------------------------------------------------------------------------------------------------

    def standing(self) -> list[AlarmRecord]:
        """Return the alarms that are not normal, and those that are shelved or out of service.

        While the service begins again those are what stood before: an alarm must not vanish meanwhile.
        """
        return list((self._outdated or self.fold).records())

    async def alarm(self, alarm_id: str) -> AlarmRecord | None:
        """Return an alarm, also one that has ended. Raises `StoreUnavailable`."""
        for record in self.standing():
            if record.id == alarm_id:
                return record
        stored = await self._store.alarms.get(alarm_id)
        return self._reader.alarm(stored)

    # --- time --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the readings and the time, store and save. Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.journal.run(), name="alarm journal")
            tasks.create_task(self._save_regularly(), name="alarm checkpoints")
            while True:
                if not self._is_following and not self.journal.is_full:
                    await self._catch_up_again()
                if self._is_following:
                    self.tick()
                    await self._follow(self._follower)
                await asyncio.sleep(TICK_SECONDS)

    async def _follow(self, follower: "LeaderFollower | None") -> None:
        """Apply the leader's inputs. Begin again from its last checkpoint if the alarms differ from the stored ones."""
        if follower is None:
            return
        try:
            for given in self._reader.inputs(await follower.new_inputs(self._number)):
                self._number = given.number
                self._apply(given)
            if await follower.differs(self.fold.records()):
                log.warning("alarms: not those of the bridge that leads: brought up to date")
                async with self._changing:
                    await self._restart()
        except StoreUnavailable as error:
            log.debug("alarms: inputs of the bridge that leads not read (%s): retrying", error)

    def tick(self) -> None:
        """Let time pass, and follow components and what the registry says of devices."""
        now_ms = self._clock()
        transitions: list[Transition] = []
        for component in ("store", "broker") if self._follower is None else ():
            is_up = self._is_up(component)
            if is_up is (component in self._down):
                (self._down.discard if is_up else self._down.add)(component)
                transitions += self.fold.on_availability(component, now_ms, is_available=is_up)
        if not self._slices:
            transitions += self.fold.tick(now_ms - _LAG_MS)
        if not self._to_check:
            self._to_check.extend(self.fold.device_ids())
        for device_id in [self._to_check.popleft() for _ in range(min(_FACTS_A_TICK, len(self._to_check)))]:
            if device_id in self.fold:
                transitions += self.fold.set_facts(device_id, self._facts(device_id), now_ms)
        if transitions:
            self._record(transitions)

    # --- memory ------------------------------------------------------------------------------------------------------------

    async def load(self, newest: int) -> None:
        """Read the last checkpoint; `newest` is the cursor of the last stored reading. Raises `StoreUnavailable`."""
        text = await self._store.get(MARK)
        now_ms = self._clock()
        self._newest = self._offset = newest
        self._loaded_ms = now_ms
        if text is not None:
            try:
                await self._load_checkpoint(orjson.loads(text), now_ms)
            except DAMAGED as error:
                self._reader.leave_out("checkpoint", error)
                self._number = max((one.number for one in await self._store.alarms.inputs(_INPUTS_LIMIT)), default=0)
            else:
                return
        if self._follower is not None:
            self.fold = AlarmFold(self.rules, devices_limit=self._devices_limit, facts=self._facts)
            return
        self._first_from_ms = now_ms - _DEVICE_MS
        if text is None:
            await self._store.put(MARK, self._mark())  # from here on each reading counts, whatever happens
        self.fold, self._offset = AlarmFold((), devices_limit=self._devices_limit, facts=self._facts), 0

    async def _load_checkpoint(self, mark: Mapping[str, Any], now_ms: int) -> None:
        """Go on from a checkpoint; one device or input that is damaged is left out. May raise `DAMAGED`."""
        seq, number, down = int(mark["seq"]), int(mark["number"]), set(mark["down"])
        records = [one for one in await self._store.air.all(self._devices_limit) if self._is_needed(one, now_ms)]
        self.fold = AlarmFold.restored(
            self.rules,
            {"common": mark["common"], "devices": {one.device_id: one.body["fold"] for one in records}},
            devices_limit=self._devices_limit,
            facts=self._facts,
            on_damaged=lambda device_id, error: self._reader.leave_out(f"state of device {device_id!r}", error),
        )
        self._device_inputs = {one.device_id: one.body["input"] for one in records}
        self._inputs = deque(self._reader.inputs(await self._store.alarms.inputs(_INPUTS_LIMIT)))
        self._logged = [one.number for one in self._inputs]
        self._number = max([number, *self._logged])
        self._inputs = deque(one for one in self._inputs if one.body.get("device") or one.number > number)
        self._offset, self._down = seq, down

    def _is_needed(self, record: DeviceRecord, now_ms: int) -> bool:
        """Whether a device has been measured within a month, or has alarms. One that is damaged begins without its past."""
        try:
            fold = record.body["fold"]
            int(record.body["input"])
            return bool(fold["states"]) or fold["last"] > now_ms - _KEPT_DEVICE_MS
        except DAMAGED as error:
            self._reader.leave_out(f"state of device {record.device_id!r}", error)
            return False

    async def _catch_up_again(self) -> None:
        try:
            async with self._changing:
                await self.catch_up()
        except StoreUnavailable as error:
            log.warning("alarms: not up to date: store unavailable: %s", error)

    async def catch_up(self) -> None:
        """Fold the stored readings after the last one that was folded, then follow. Raises `StoreUnavailable`."""
        waiting = await self._store.count(ReadingsQuery(since=self._offset, from_ms=self._first_from_ms))
        if waiting > REPLAY_LIMIT:
            log.warning("alarms: %d readings stored since the last checkpoint: the oldest are left out", waiting)
            self._offset = self._newest - (self._newest - self._offset) * REPLAY_LIMIT // waiting  # cursors rise with the time
        if not await self._fold_stored():
            return
        while self._inputs:
            self._apply(self._inputs.popleft())
        if self._first_from_ms is not None:
            self._first_from_ms = None
            self.fold.use_rules(self.rules, self._clock())
        if not self._is_reconciled and self._follower is None:
            await self._reconcile()
            self._is_reconciled = True
            if not await self._fold_stored():
                return
        self.fold.resume(self._clock())
        self._outdated = None
        self._is_following = True
        self._is_save_due = self._folded > 0  # or a bridge that is killed once a minute would fold more readings each time

    async def _fold_stored(self) -> bool:
        """Fold stored readings up to the newest one; False if the journal is full before."""
        folded = 0
        while self._offset < self._newest:
            if self.journal.is_full:
                return False
            page = await self._store.readings(
                ReadingsQuery(since=self._offset, until=self._newest, from_ms=self._first_from_ms, limit=_PAGE)
            )
            for reading in page:
                self._replay(reading)
            if not page:  # deleted meanwhile
                self._offset = self._newest
            folded += len(page)
            self.counts.replayed += len(page)
        if folded:
            log.info("alarms: %d stored readings folded", folded)
        return True

    def _replay(self, reading: Reading) -> None:
        while self._inputs and self._inputs[0].body["after"] < reading.seq:
            self._apply(self._inputs.popleft())
        if self._loaded_ms is not None and reading.received_ms >= self._loaded_ms:
            self.fold.resume(self._loaded_ms)  # or the time until then would count as silence of all devices
            self._loaded_ms = None
        if self.fold.seq(reading.device_id) < reading.seq:
            self._step(reading, is_replayed=True)
        self._offset = reading.seq

    async def _reconcile(self) -> None:
        """End stored alarms that do not stand any more: of removed rules and devices, or of a silence that has ended.

        Nothing is folded meanwhile, so that what is stored and what stands belong together.
        """
        await self.journal.written(self.journal.added)
        standing = {record.id for record in self.fold.records()}
        now_ms, ended = self._clock(), list[Transition]()
        for stored in await self._store.alarms.find(is_open=True, limit=_OPEN_LIMIT):
            if stored.id not in standing and (found := self._reader.alarm(stored)) is not None:
                record = replace(found, state=AlarmState.NORMAL, cleared_ms=now_ms, suppressed_by=None)
                key = timed_identifier(now_ms, record.id, TransitionKind.REMOVED, record.seq)
                ended.append(Transition(key, TransitionKind.REMOVED, now_ms, record))
        self._record(ended)

    async def _save_regularly(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + SAVE_SECONDS
        while True:
            await asyncio.sleep(1)
            if self._is_following and (loop.time() >= due or self._folded >= SAVE_READINGS or self._is_save_due):
                self._is_save_due = False
                due = loop.time() + SAVE_SECONDS
                await self.save()

    async def save(self) -> None:
        """Write a checkpoint. What the store does not take is saved with the next one."""
        if not self._is_following or self._follower is not None:
            return
        logged, unsaved = list(self._logged), self._unsaved
        self._unsaved, self._folded = {}, 0
        mark = self._mark()
        try:
            await self._save_devices(unsaved)
            await self.journal.written(self.journal.added)
            await self._store.put(MARK, mark)
            await self._store.alarms.drop_inputs(logged)
        except StoreUnavailable:
            self._unsaved |= unsaved
            return
        self._logged = [one for one in self._logged if one not in set(logged)]

    def _mark(self) -> str:
        mark = {
            "seq": self._offset,
            "number": self._number,
            "common": self.fold.common_body(),
            "down": sorted(self._down),
            "at": self._clock(),
        }
        return orjson.dumps(mark).decode()

    async def _save_devices(self, unsaved: dict[str, None]) -> None:
        """Save devices, each after the transitions that its memory contains. Devices that were saved leave `unsaved`."""
        while unsaved:
            ids = list(islice(unsaved, _BATCH))
            records = [self._saved(device_id) for device_id in ids if device_id in self.fold]
            await self.journal.written(self.journal.added)
            await self._store.air.save(records)
            for device_id in ids:
                if device_id not in self.fold:
                    await self._store.air.remove(device_id)
                del unsaved[device_id]

    def _saved(self, device_id: str) -> DeviceRecord:
        body = {"fold": self.fold.device_body(device_id), "input": self._device_inputs.get(device_id, 0)}
        return DeviceRecord(device_id, self.fold.seq(device_id), body)

    async def close(self) -> None:
        """Write a last checkpoint, if the journal is empty within a few seconds."""
        writing = asyncio.create_task(self.journal.run(), name="alarm journal")
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.save()
        except TimeoutError:
            log.warning("alarms: no checkpoint at the end: readings since the last one are folded again at the next start")
        finally:
            writing.cancel()


def _status_input(status: DeviceStatus) -> dict[str, Any]:
    return {"kind": "status", "device": status.device_id, "status": status.status, "at": status.timestamp_ms}
