"""Which devices are online: by an open socket, by a status over MQTT, or by readings until they stop."""

from collections.abc import Callable, Iterable
from heapq import nlargest

from bridge.core.devices.device import MQTT, OFFLINE, ONLINE, SOCKET, Device
from bridge.core.events import Event
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading


class Presence:
    """Sets the status of the registry's devices. Methods return the events of a change, which the registry publishes."""

    def __init__(
        self, record_update: Callable[[Device], Event], clock: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        """`record_update` marks a device for saving and returns the event.

        `clock` gives milliseconds since the epoch, to show and to save; `monotonic` gives seconds, to measure silence: somebody
        may set the clock.
        """
        self._record_update = record_update
        self._clock = clock
        self._monotonic = monotonic
        self._started = monotonic()
        self._last_sign: dict[str, float] = {}
        self._went_offline: dict[str, float] = {}
        self._statuses: list[DeviceStatus] | None = None
        self.sockets: set[str] = set()
        """Ids of devices with an open socket, registered or not."""
        self.came_online: Callable[[str], None] = lambda _: None
        """Called with the id of a device that can receive commands from now on."""

    def start(self, devices: Iterable[Device]) -> Iterable[list[Event]]:
        """Measure silence from now on, and take offline each device whose socket belonged to an earlier run."""
        self._started, now_ms = self._monotonic(), self._clock()
        self._statuses = None
        for device in devices:
            if device.connection == SOCKET and device.id not in self.sockets:
                yield self.set_status(device, OFFLINE, now_ms, is_inferred=True)

    def set_status(self, device: Device, status: str, at_ms: int, *, is_inferred: bool = False) -> list[Event]:
        """Change a device's status to the one that the bridge observed, or inferred."""
        device.status, device.status_ms = status, at_ms
        if status == OFFLINE:
            device.connection = None
            self._went_offline[device.id] = self._monotonic()
        else:
            self.came_online(device.id)
        return [self._record_update(device), DeviceStatus(device.id, status, at_ms, is_inferred)]

    def on_reading(self, device: Device, reading: Reading) -> tuple[bool, list[Event]]:
        """A reading was stored: whether it is a sign of life, and the events of that.

        When it arrived is known by the clock only, which is trusted for the time that it waited and for nothing else.
        """
        now, now_ms = self._monotonic(), self._clock()
        arrived = now - max(now_ms - reading.received_ms, 0) / 1000
        if not device.record_reading(reading, now_ms):
            return False, []
        if device.status == OFFLINE and arrived <= self._went_offline.get(device.id, float("-inf")):
            return False, []
        self._on_life(device, arrived, reading.received_ms)
        device.reporting_interval.observe(round(arrived * 1000))
        back = device.status is None or device.status == OFFLINE
        return True, self.set_status(device, ONLINE, reading.received_ms) if back else []

    def _on_life(self, device: Device, arrived: float, received_ms: int) -> None:
        """Record a sign of life. `lastSeen` goes back with the clock: it would stay in the future otherwise."""
        if arrived >= self._last_sign.get(device.id, float("-inf")):
            self._last_sign[device.id] = arrived
            device.last_seen_ms = received_ms

    def remove(self, device_id: str) -> None:
        """Drop what is known of a device that was removed."""
        self._last_sign.pop(device_id, None)
        self._went_offline.pop(device_id, None)

    def on_status(self, device: Device, status: DeviceStatus) -> list[Event]:
        """A status arrived over MQTT. An `offline` does not count while the device's socket is open."""
        if status.status != OFFLINE:
            self._on_life(device, self._monotonic(), status.timestamp_ms)
        if device.id in self.sockets:
            self._record_update(device)  # the store has already written the status of the message
            return [DeviceStatus(device.id, device.status or ONLINE, self._clock())] if status.status == OFFLINE else []
        was_online, is_same = device.online, device.status == status.status
        device.connection = None if status.status == OFFLINE else MQTT
        device.status, device.status_ms = status.status, status.timestamp_ms
        if status.status == OFFLINE:
            self._went_offline[device.id] = self._monotonic()
        events = [] if is_same else [self._record_update(device)]
        if device.online and not was_online:
            self.came_online(device.id)
        return events

    def on_socket_opened(self, device: Device) -> list[Event]:
        device.connection = SOCKET
        self._on_life(device, self._monotonic(), self._clock())
        return self.set_status(device, ONLINE, self._clock())

    def on_socket_closed(self, device: Device) -> list[Event]:
        if device.connection != SOCKET:
            return []
        device.connection = None
        self._on_life(device, self._monotonic(), self._clock())
        return self.set_status(device, OFFLINE, self._clock(), is_inferred=True)

    def check_silence(self, devices: Iterable[Device]) -> list[Event]:
        """Take offline each device that was silent for too long. Time before the bridge started does not count."""
        now, events = self._monotonic(), list[Event]()
        for device in devices:
            if not device.online or (silence_ms := device.silence_ms()) is None:
                continue
            if now - max(self._last_sign.get(device.id, self._started), self._started) > silence_ms / 1000:
                events += self.set_status(device, OFFLINE, self._clock(), is_inferred=True)
        return events

    def statuses(self, devices: Iterable[Device], limit: int) -> list[DeviceStatus]:
        """The newest `limit` statuses, oldest first; cached until `invalidate`: simultaneous clients share one list."""
        if self._statuses is None:
            known = [DeviceStatus(device.id, device.status, device.status_ms or 0) for device in devices if device.status]
            self._statuses = nlargest(limit, known, key=lambda status: status.timestamp_ms)[::-1]
        return self._statuses

    def invalidate(self) -> None:
        self._statuses = None
