"""Publishes devices, their measurements, presence and alarms to Home Assistant, as retained messages.

A device has five topics: its announcement, its availability, its newest measurements, its standing alarms and its forecasts.
Measurements are published at most once in some seconds; everything else when it changes.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Protocol

import orjson

from bridge.alarms.conditions import Unreachable
from bridge.alarms.record import TransitionKind
from bridge.alarms.rules import Rule
from bridge.alarms.scope import DeviceFacts
from bridge.core.devices.device import Device
from bridge.core.events import AlarmChanged, EntityEvent, Event, PredictionMade
from bridge.core.message import DeviceStatus
from bridge.core.readings.measurements import MEASUREMENTS, MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.mqtt_out.home_assistant.alarms import Record, attributes, is_on
from bridge.mqtt_out.home_assistant.discovery import (
    OFFLINE,
    ONLINE,
    Announcer,
    HomeAssistantTopics,
    component_keys,
    memo_of,
    remembered_fields,
    remembered_forecasts,
    removed_keys,
)
from bridge.mqtt_out.home_assistant.sensors import forecast_state, state_of
from bridge.mqtt_out.retained import RetainedMessages, Urgency

TICK_SECONDS = 0.25
VALUE_MS = 3_600_000
"""A value is left out when the device's newest reading is later by more than this, and has no such value."""

_DEVICES_AT_ONCE, _STATES_AT_ONCE = 50, 250  # in one tick
_UNREAD_LIMIT = 16
_ALARMS_LIMIT = 500  # of one device: as many as there may be rules
_SHOWN = "profile"  # the model of predictions that earned their place
_ORDER = {one.name: number for number, one in enumerate(MEASUREMENTS)}


class DeviceRegistry(Protocol):
    """The registry."""

    def __contains__(self, device_id: object) -> bool: ...

    def get(self, device_id: str) -> Device:
        """Return a device."""

    def all(self) -> Iterable[Device]:
        """Iterate over the devices."""


@dataclass(slots=True)
class _Announced:
    """A device: its fields, the newest value of each with its time, its standing alarms by rule, and when its state was
    published. `unread` are readings that are not among the values yet, the newest of each set of fields. `forecasts` are the
    fields whose model was shown, now or before; `forecast` has what is shown now.
    """

    fields: set[str] = field(default_factory=set)
    unread: dict[tuple[str, ...], Reading] = field(default_factory=dict)
    values: dict[str, tuple[int, Value]] = field(default_factory=dict)
    newest_ms: int = 0
    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    forecasts: set[str] = field(default_factory=set)
    forecast: dict[str, dict[str, Any]] = field(default_factory=dict)
    published: float = -1e9


class HomeAssistant:
    """What Home Assistant is told."""

    def __init__(
        self,
        topics: HomeAssistantTopics,
        version: str,
        retained: RetainedMessages,
        devices: DeviceRegistry,
        rules: Callable[[], Sequence[Rule]],
        *,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`version` is the bridge's; `rules` returns the rules in force, others after a change; `clock` gives seconds."""
        self._topics = topics
        self._announcer = Announcer(topics, version)
        self._retained = retained
        self._devices = devices
        self._rules = rules
        self._every_seconds = every_seconds
        self._clock = clock
        self._seen_rules: Sequence[Rule] = ()
        self._rules_by_field: dict[str | None, list[Rule]] = {}
        self._bridge_rules: list[Rule] = []
        self._known: dict[str, _Announced] = {}
        self._bridge_alarms: dict[str, dict[str, Any]] = {}
        self._states: dict[str, None] = {}
        self._configs: dict[str, None] = {}

    # --- start -------------------------------------------------------------------------------------------------------------

    def start(self, records: Iterable[Record]) -> None:
        """Announce the bridge, its devices, and the alarms as they are."""
        self._retained.put(self._topics.bridge_availability, lambda: ONLINE, Urgency.AVAILABILITY)
        for device in self._devices.all():
            known = self._put_device(device.id)
            if device.last_reading is not None:
                self._add(device.last_reading, known)
            if known.values:
                self._put_state(device.id, known)
        self._put_alarms(None)
        for record in records:
            self._set_alarm(record["deviceId"], record["rule"], record)
        self._refresh()

    def _refresh(self) -> None:
        """Announce everything by the rules in force. What has not changed is not sent."""
        self._seen_rules = rules = self._rules()
        self._bridge_rules = [rule for rule in rules if isinstance(rule.condition, Unreachable)]
        self._rules_by_field = {None: []}
        for rule in rules:
            if not isinstance(rule.condition, Unreachable):
                self._rules_by_field.setdefault(rule.field, []).append(rule)
        self._announce_bridge()
        self._configs |= dict.fromkeys(self._known)

    # --- events ------------------------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        if type(event) is Reading:
            self._on_reading(event)
            return
        match event:
            case DeviceStatus():
                self._on_status(event.device_id)
            case EntityEvent(entity_type="sensor", event_type="deleted"):
                self._remove(event.entity_id)
            case EntityEvent(entity_type="sensor"):
                self._on_registered(event.entity_id)
            case AlarmChanged() if event.kind != TransitionKind.PAST.value:
                is_removed = event.kind == TransitionKind.REMOVED.value
                self._set_alarm(event.device_id, event.rule, None if is_removed else event.record)
            case PredictionMade(kind="completed" | "retired"):
                self._on_prediction(event)
            case _:
                pass

    def _on_reading(self, reading: Reading) -> None:
        """Keep a reading until the state of its device is published: that is seldom, and readings are many."""
        device_id = reading.device_id
        known = self._known.get(device_id) or self._on_registered(device_id)
        if known is None:
            return
        unread, names = known.unread, tuple(reading.values)
        before = unread.get(names)
        if before is None or before.timestamp_ms <= reading.timestamp_ms:
            if len(unread) >= _UNREAD_LIMIT:
                self._read(known)
            unread[names] = reading
            self._states[device_id] = None

    def _read(self, known: _Announced) -> bool:
        """Take the readings that wait; return whether one has a field that the device did not have before."""
        is_new = [self._add(reading, known) for reading in known.unread.values()]
        known.unread.clear()
        return any(is_new)

    def _add(self, reading: Reading, known: _Announced) -> bool:
        at_ms, values, fields = reading.timestamp_ms, known.values, known.fields
        known.newest_ms, count = max(known.newest_ms, at_ms), len(fields)
        for name, value in reading.values.items():
            if name in MEASUREMENTS_BY_NAME and (name not in values or values[name][0] <= at_ms):
                values[name] = at_ms, value
                fields.add(name)
        return len(fields) > count

    def _on_registered(self, device_id: str) -> _Announced | None:
        """Announce a device that is registered, or has changed."""
        if device_id not in self._devices:
            return None
        self._configs[device_id] = None
        return self._known.get(device_id) or self._put_device(device_id)

    def _set_alarm(self, device_id: str | None, rule: str, record: Record | None) -> None:
        known = None if device_id is None else self._known.get(device_id)
        if device_id is not None and known is None:
            return
        alarms = self._bridge_alarms if known is None else known.alarms
        if record is None or not is_on(record):
            alarms.pop(rule, None)
        elif rule in alarms or len(alarms) < _ALARMS_LIMIT:
            alarms[rule] = attributes(record)
        self._put_alarms(device_id)

    def _on_prediction(self, event: PredictionMade) -> None:
        """Publish a forecast whose model is shown. One that is hidden has no state until it is shown again."""
        device_id, name = event.device_id, event.body["field"]
        known = self._known.get(device_id)
        is_shown = event.body["model"] == _SHOWN and bool(event.body["values"])
        if known is None or (not is_shown and name not in known.forecasts):
            return
        known.forecast.pop(name, None)
        if is_shown:
            known.forecast[name] = forecast_state(event.body)
            if name not in known.forecasts:
                known.forecasts.add(name)
                self._configs[device_id] = None
        self._retained.put(self._topics.forecast(device_id), partial(orjson.dumps, known.forecast), Urgency.STATE)

    def _remove(self, device_id: str) -> None:
        """Remove a device from Home Assistant."""
        self._known.pop(device_id, None)
        self._states.pop(device_id, None)
        self._configs.pop(device_id, None)
        topics = self._topics
        for topic in (topics.config, topics.state, topics.availability, topics.alarms, topics.forecast):
            self._retained.remove(topic(device_id))

    # --- messages ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Publish announcements and measurements when it is their time, until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.tick()

    def tick(self) -> None:
        if self._rules() is not self._seen_rules:
            self._refresh()
        now = self._clock()
        due = (device_id for device_id in self._states if now - self._known[device_id].published >= self._every_seconds)
        for device_id in list(islice(due, _STATES_AT_ONCE)):
            del self._states[device_id]
            known = self._known[device_id]
            if self._read(known):
                self._configs[device_id] = None
            known.published = now
            self._put_state(device_id, known)
        for device_id in list(islice(self._configs, _DEVICES_AT_ONCE)):
            self._announce(device_id)

    def _put_device(self, device_id: str) -> _Announced:
        """Publish a device with what is known of it from an earlier run."""
        topic = self._topics.config(device_id)
        memo = self._retained.memo(topic) or ""
        known = _Announced(set(remembered_fields(memo)), forecasts=set(remembered_forecasts(memo)))
        self._known[device_id] = known
        self._retained.put(topic, partial(self._config, device_id), Urgency.CONFIG, memo)
        self._retained.put(self._topics.availability(device_id), partial(self._availability, device_id), Urgency.AVAILABILITY)
        self._put_alarms(device_id)
        return known

    def _put_state(self, device_id: str, known: _Announced) -> None:
        self._retained.put(self._topics.state(device_id), partial(_state, known), Urgency.STATE)

    def _put_alarms(self, device_id: str | None) -> None:
        alarms = self._bridge_alarms if device_id is None else self._known[device_id].alarms
        topic = self._topics.bridge_alarms if device_id is None else self._topics.alarms(device_id)
        self._retained.put(topic, partial(orjson.dumps, alarms), Urgency.ALARM)

    def _on_status(self, device_id: str) -> None:
        if device_id in self._known:
            compose = partial(self._availability, device_id)
            self._retained.put(self._topics.availability(device_id), compose, Urgency.AVAILABILITY)

    def _availability(self, device_id: str) -> bytes:
        return ONLINE if device_id in self._devices and self._devices.get(device_id).online else OFFLINE

    def _announce(self, device_id: str) -> None:
        """Publish the announcement of a device if it has changed."""
        del self._configs[device_id]
        if device_id in self._devices:
            topic = self._topics.config(device_id)
            keys = component_keys(self._fields(device_id), self._rules_of(device_id), self._forecasts(device_id))
            memo = memo_of(self._retained.memo(topic) or "", keys)
            self._retained.put(topic, partial(self._config, device_id), Urgency.CONFIG, memo)

    def _config(self, device_id: str) -> bytes:
        if device_id not in self._devices or device_id not in self._known:
            return b""
        device, fields, rules = self._devices.get(device_id), self._fields(device_id), self._rules_of(device_id)
        forecasts = self._forecasts(device_id)
        keys = component_keys(fields, rules, forecasts)
        memo = memo_of(self._retained.memo(self._topics.config(device_id)) or "", keys)
        return self._announcer.device(device, fields, rules, removed_keys(memo), forecasts)

    def _announce_bridge(self) -> None:
        topic, rules = self._topics.bridge_config, self._bridge_rules
        memo = memo_of(self._retained.memo(topic) or "", component_keys((), rules))
        self._retained.put(topic, lambda: self._announcer.bridge(self._bridge_rules, removed_keys(memo)), Urgency.CONFIG, memo)

    def _fields(self, device_id: str) -> list[str]:
        return sorted(self._known[device_id].fields, key=_ORDER.__getitem__)

    def _forecasts(self, device_id: str) -> list[str]:
        return sorted(self._known[device_id].forecasts, key=_ORDER.__getitem__)

    def _rules_of(self, device_id: str) -> list[Rule]:
        """Return the rules that apply to a device and its fields."""
        device = self._devices.get(device_id)
        facts = DeviceFacts(device.site, device.room, device.expected_seconds, device.is_retired)
        return [
            rule
            for name in (*self._fields(device_id), None)
            for rule in self._rules_by_field.get(name, ())
            if rule.applies(device_id, facts)
        ]


def _state(known: _Announced) -> bytes:
    """Return the newest values, without those that are much older than the others."""
    oldest_ms = known.newest_ms - VALUE_MS
    values = {name: state_of(name, value) for name, (at_ms, value) in known.values.items() if at_ms >= oldest_ms}
    return orjson.dumps(values)
