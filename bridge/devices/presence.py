"""Which devices are online: by an open socket, by a status over MQTT, or by readings until they stop."""

from collections.abc import Callable, Iterable
from heapq import nlargest

from bridge.core.devices.device import MQTT, OFFLINE, ONLINE, SOCKET, Device
from bridge.core.events import Event
from bridge.core.message import DeviceStatus


class Presence:
    """Sets the status of the registry's devices. Methods return the events of a change, which the registry publishes."""

    def __init__(self, record_update: Callable[[Device], Event], clock: Callable[[], int]) -> None:
        """`record_update` marks a device for saving and returns the event; `clock` gives milliseconds since the epoch."""
        self._record_update = record_update
        self._clock = clock
        self._started_ms = clock()
        self._statuses: list[DeviceStatus] | None = None
        self.sockets: set[str] = set()
        """Ids of devices with an open socket, registered or not."""
        self.came_online: Callable[[str], None] = lambda _: None
        """Called with the id of a device that can receive commands from now on."""

    def start(self, devices: Iterable[Device]) -> Iterable[list[Event]]:
        """Measure silence from now on, and take offline each device whose socket belonged to an earlier run."""
        self._started_ms = self._clock()
        self._statuses = None
        for device in devices:
            if device.connection == SOCKET and device.id not in self.sockets:
                yield self.set_status(device, OFFLINE, self._started_ms)

    def set_status(self, device: Device, status: str, at_ms: int) -> list[Event]:
        """Change a device's status to the one that the bridge observed."""
        device.status, device.status_ms = status, at_ms
        if status == OFFLINE:
            device.connection = None
        else:
            self.came_online(device.id)
        return [self._record_update(device), DeviceStatus(device.id, status, at_ms)]

    def on_status(self, device: Device, status: DeviceStatus) -> list[Event]:
        """A status arrived over MQTT. An `offline` does not count while the device's socket is open."""
        if status.status != OFFLINE:
            device.last_seen_ms = max(device.last_seen_ms or 0, status.timestamp_ms)
        if device.id in self.sockets:
            self._record_update(device)  # the store has already written the status of the message
            return [DeviceStatus(device.id, device.status or ONLINE, self._clock())] if status.status == OFFLINE else []
        was_online, is_same = device.online, device.status == status.status
        device.connection = None if status.status == OFFLINE else MQTT
        device.status, device.status_ms = status.status, status.timestamp_ms
        events = [] if is_same else [self._record_update(device)]
        if device.online and not was_online:
            self.came_online(device.id)
        return events

    def on_socket_opened(self, device: Device) -> list[Event]:
        device.connection, device.last_seen_ms = SOCKET, self._clock()
        return self.set_status(device, ONLINE, self._clock())

    def on_socket_closed(self, device: Device) -> list[Event]:
        if device.connection != SOCKET:
            return []
        device.connection, device.last_seen_ms = None, self._clock()
        return self.set_status(device, OFFLINE, self._clock())

    def check_silence(self, devices: Iterable[Device]) -> list[Event]:
        """Take offline each device that was silent for too long. Time before the bridge started does not count."""
        now, events = self._clock(), list[Event]()
        for device in devices:
            if not device.online or (silence_ms := device.silence_ms()) is None:
                continue
            if now - max(device.last_seen_ms or 0, self._started_ms) > silence_ms:
                events += self.set_status(device, OFFLINE, now)
        return events

    def statuses(self, devices: Iterable[Device], limit: int) -> list[DeviceStatus]:
        """The newest `limit` statuses, oldest first; cached until `invalidate`: simultaneous clients share one list."""
        if self._statuses is None:
            known = [DeviceStatus(device.id, device.status, device.status_ms or 0) for device in devices if device.status]
            self._statuses = nlargest(limit, known, key=lambda status: status.timestamp_ms)[::-1]
        return self._statuses

    def invalidate(self) -> None:
        self._statuses = None
