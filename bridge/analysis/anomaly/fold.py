"""Anomalies as a fold over stored readings: the same readings in the same order give the same events, with the same ids.

Nothing here asks a clock. A service calls `step` with each stored reading and takes the events; now and then it stores the
documents of the devices in `changed`, and after a restart it calls `restore` with them and then `step` with all readings after
the oldest `seq`: those that a document contains already change nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bridge.analysis.anomaly.device import DeviceAnomalies, Forecast
from bridge.analysis.anomaly.record import Anomaly, AnomalyEvent, AnomalyKind
from bridge.analysis.anomaly.rules import drift
from bridge.core.readings.reading import Reading

DEVICES_LIMIT = 100_000

_GRACE_HOURS = 2
"""How long after midnight (UTC) a day is compared with neighbours, so that they have sent its last readings."""

_NO_REFERENCE = (AnomalyKind.DRIFT, AnomalyKind.STUCK, AnomalyKind.SATURATED, AnomalyKind.STEP)
"""A field with one of these is not what others are compared with."""


class AnomalyFold:
    """The anomalies of all devices. `unwatched` counts readings of devices beyond the limit."""

    def __init__(
        self,
        *,
        room_of: Callable[[str], str | None] = lambda _: None,
        forecast: Forecast | None = None,
        devices_limit: int = DEVICES_LIMIT,
    ) -> None:
        """`room_of` is asked when the first reading of a device comes: devices with the same room, a text that names the site
        as well where there are several, are neighbours.
        """
        self.unwatched = 0
        self.changed: set[str] = set()
        """The devices whose documents have changed since they were stored; the caller that stores them removes them."""
        self._room_of = room_of
        self._forecast = forecast
        self._devices_limit = devices_limit
        self._devices: dict[str, DeviceAnomalies] = {}
        self._rooms: dict[str, str] = {}
        self._neighbours: dict[str, list[str]] = {}

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._devices

    def device_ids(self) -> list[str]:
        return list(self._devices)

    def step(self, reading: Reading) -> list[AnomalyEvent]:
        """Take a stored reading into account."""
        device = self._devices.get(reading.device_id) or self._new(reading.device_id)
        if device is None:
            return []
        self.changed.add(reading.device_id)
        events = device.step(reading)
        if device.day_due >= 0 and device.hour >= (device.day_due + 1) * 24 + _GRACE_HOURS:
            return events + self._compare(device)
        return events

    def mark_wrong(self, device_id: str, anomaly_id: str, at_ms: int) -> list[AnomalyEvent]:
        """Mark an anomaly as wrong: its thresholds are doubled for the device, at most to eight times.

        No event if the anomaly is unknown, too old, or was marked before.
        """
        device = self._devices.get(device_id)
        if device is None:
            return []
        self.changed.add(device_id)
        return device.mark_wrong(anomaly_id, at_ms)

    def standing(self, device_id: str | None = None) -> list[Anomaly]:
        """Return the anomalies that stand, of one device or of all."""
        devices: Iterable[DeviceAnomalies] = self._devices.values()
        if device_id is not None:
            devices = [self._devices[device_id]] if device_id in self._devices else []
        return [anomaly for device in devices for anomaly in device.standing.anomalies]

    # --- devices -----------------------------------------------------------------------------------------------------------

    def set_room(self, device_id: str, room: str | None) -> None:
        """Move a device to a room; None: to no room."""
        before = self._rooms.pop(device_id, None)
        if before is not None:
            self._neighbours[before].remove(device_id)
            if not self._neighbours[before]:
                del self._neighbours[before]
        if room is not None:
            self._rooms[device_id] = room
            self._neighbours[room] = sorted([*self._neighbours.get(room, ()), device_id])

    def room(self, device_id: str) -> str | None:
        return self._rooms.get(device_id)

    def last_ms(self, device_id: str) -> int:
        """Return the time of the last reading of a device; -1 if it is unknown."""
        device = self._devices.get(device_id)
        return -1 if device is None else device.last_ms

    def remove(self, device_id: str, at_ms: int) -> list[AnomalyEvent]:
        """Forget a device; its anomalies end."""
        self.set_room(device_id, None)
        self.changed.discard(device_id)
        device = self._devices.pop(device_id, None)
        if device is None:
            return []
        for anomaly in device.standing.anomalies:
            device.standing.resolve(anomaly.kind, anomaly.field, max(at_ms, anomaly.detected_ms))
        return device.standing.take_events()

    def _new(self, device_id: str) -> DeviceAnomalies | None:
        if len(self._devices) >= self._devices_limit:
            self.unwatched += 1
            return None
        device = self._devices[device_id] = DeviceAnomalies(device_id, self._forecast)
        self.set_room(device_id, self._room_of(device_id))
        return device

    def _compare(self, device: DeviceAnomalies) -> list[AnomalyEvent]:
        """Compare the day that is due with those of the neighbours."""
        day, device.day_due = device.day_due, -1
        others = [one for one in self._neighbours.get(self._rooms.get(device.id, ""), ()) if one != device.id]
        for name, state in device.fields.items():
            mean = device.daily_mean(name, day)
            if not others:
                drift.stop(state, name, device.last_ms, device.standing)
            if not others or state.traits.scale is None or mean is None:
                continue
            state.pairs = {one: numbers for one, numbers in state.pairs.items() if one in others}
            found = (self._neighbour(other, name, day) for other in _known_first(others, state.pairs))
            neighbours = [one for one in found if one is not None][: drift.NEIGHBOURS]
            if neighbours:
                drift.judge(state, name, day, mean, neighbours, device.last_ms, device.standing)
        return device.standing.take_events()

    def _neighbour(self, device_id: str, name: str, day: int) -> drift.Neighbour | None:
        device = self._devices.get(device_id)
        mean = None if device is None else device.daily_mean(name, day)
        if device is None or mean is None or any(device.standing.get(kind, name) is not None for kind in _NO_REFERENCE):
            return None
        days = [one for _, one in device.fields[name].days]
        return drift.Neighbour(device_id, mean, sum(days) / len(days) if days else mean)

    # --- checkpoints -------------------------------------------------------------------------------------------------------

    def document(self, device_id: str) -> dict[str, Any] | None:
        """Return the state of a device as one document of JSON types; None if it is unknown."""
        device = self._devices.get(device_id)
        return None if device is None else device.to_document()

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take a device's state from its document. Raises `RecordError` for a document of another version, or none."""
        device = DeviceAnomalies.from_document(document, self._forecast)
        self._devices[device.id] = device
        self.set_room(device.id, self._room_of(device.id))


def _known_first(devices: list[str], pairs: Mapping[str, object]) -> list[str]:
    return sorted(devices, key=lambda one: one not in pairs)
