"""Which devices are online: by an open socket, by a status over MQTT, or by readings until they stop."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from heapq import nlargest

from bridge.core.devices.device import MQTT, OFFLINE, ONLINE, SOCKET, Device
from bridge.core.events import Event
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.devices.silence import SilenceTimes


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
        self._silence = SilenceTimes()
        self.sockets: set[str] = set()
        """Ids of devices with an open socket, registered or not."""
        self.elsewhere: dict[str, list[str]] = {}
        """The devices that have a socket at other bridges, each with those bridges, as far as this one was told: also with two,
        until the older socket of a device that has moved is closed.
        """
        self._left: dict[str, float] = {}
        self._appeared: dict[str, float] = {}
        """When devices came online by a reading or by what another bridge says, without a socket that is known."""
        self._moved: set[str] = set()
        """Devices whose socket was closed here while another bridge had one."""
        self.came_online: Callable[[str], None] = lambda _: None
        """Called with the id of a device that can receive commands from now on."""

    def start(self, devices: Iterable[Device], *, is_alone: bool = True) -> Iterable[list[Event]]:
        """Measure silence from now on, and take offline each device whose socket belonged to an earlier run.

        A socket may be another bridge's, unless this one `is_alone`.
        """
        self._started, now_ms = self._monotonic(), self._clock()
        self._statuses = None
        for device in devices:
            if is_alone and device.connection == SOCKET and device.id not in self.sockets:
                yield self.set_status(device, OFFLINE, now_ms, is_inferred=True)
            self.watch(device)

    def set_status(self, device: Device, status: str, at_ms: int, *, is_inferred: bool = False) -> list[Event]:
        """Change a device's status to the one that the bridge observed, or inferred. A retired device has none."""
        if status == OFFLINE:
            device.connection = None
            self._went_offline[device.id] = self._monotonic()
        if device.is_retired:
            return []
        device.status, device.status_ms = status, at_ms
        if status != OFFLINE:
            self.watch(device)
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
        if device.reporting_interval.observe(round(arrived * 1000)):
            self.watch(device)
        if device.online:
            return True, []
        self._appeared[device.id] = now
        return True, self.set_status(device, ONLINE, reading.received_ms)

    def _on_life(self, device: Device, arrived: float, received_ms: int) -> None:
        """Record a sign of life. `lastSeen` goes back with the clock: it would stay in the future otherwise."""
        if arrived >= self._last_sign.get(device.id, float("-inf")):
            self._last_sign[device.id] = arrived
            device.last_seen_ms = received_ms

    def remove(self, device_id: str) -> None:
        """Drop what is known of a device that was removed."""
        self._silence.remove(device_id)
        self._last_sign.pop(device_id, None)
        self._went_offline.pop(device_id, None)
        self._moved.discard(device_id)
        self._left.pop(device_id, None)
        self._appeared.pop(device_id, None)

    def on_status(self, device: Device, status: DeviceStatus) -> list[Event]:
        """A status arrived over MQTT. An `offline` does not count while the device's socket is open."""
        if status.status != OFFLINE:
            self._on_life(device, self._monotonic(), status.timestamp_ms)
        if device.is_retired:
            self._record_update(device)  # the store has already written the status of the message
            return []
        if device.id in self.sockets:
            self._record_update(device)  # the store has already written the status of the message
            return [DeviceStatus(device.id, device.status or ONLINE, self._clock())] if status.status == OFFLINE else []
        was_online, is_same = device.online, device.status == status.status
        device.connection = None if status.status == OFFLINE else MQTT
        device.status, device.status_ms = status.status, status.timestamp_ms
        if status.status == OFFLINE:
            self._went_offline[device.id] = self._monotonic()
        events = [] if is_same else [self._record_update(device)]
        self.watch(device)
        if device.online and not was_online:
            self.came_online(device.id)
        return events

    def on_remote(self, bridge: str, device: Device, status: DeviceStatus) -> bool:
        """Another bridge says how a device is; return False if that is outdated by its socket at this or a third bridge."""
        is_offline = status.status == OFFLINE
        if device.is_retired:
            return False
        if is_offline and (device.id in self.sockets or any(one != bridge for one in self.elsewhere.get(device.id, ()))):
            return False
        was_online = device.online
        device.status, device.status_ms = status.status, status.timestamp_ms
        if is_offline:
            device.connection = None
            self._went_offline[device.id] = self._monotonic()
        else:
            self._on_life(device, self._monotonic(), self._clock())
            self.watch(device)
            if device.online and not was_online:
                self._appeared[device.id] = self._monotonic()
                self.came_online(device.id)
        return True

    def on_remote_socket_opened(self, bridge: str, device_id: str) -> None:
        """Another bridge has a socket of the device. If this one has one too, the one that is closed first was the older."""
        self._left.pop(device_id, None)
        self._appeared.pop(device_id, None)
        owners = self.elsewhere.setdefault(device_id, [])
        if bridge not in owners:
            owners.append(bridge)

    def on_remote_socket_closed(self, bridge: str, device_id: str) -> bool:
        """Another bridge has no socket of the device any more. Return whether this bridge is to say that the device is offline.

        It is if its own socket was closed before, when it took the device for connected there.
        """
        owners = self.elsewhere.get(device_id, [])
        if bridge not in owners:
            return False
        owners.remove(bridge)
        if owners:
            return False
        del self.elsewhere[device_id]
        self._left[device_id] = self._monotonic()
        is_ours = device_id in self._moved
        self._moved.discard(device_id)
        return is_ours

    def sockets_at(self, bridge: str) -> set[str]:
        """Return the ids of the devices that have a socket at another bridge."""
        return {device_id for device_id, owners in self.elsewhere.items() if bridge in owners}

    def on_socket_opened(self, device: Device) -> list[Event]:
        self.elsewhere.pop(device.id, None)
        self._left.pop(device.id, None)
        self._appeared.pop(device.id, None)
        self._moved.discard(device.id)
        device.connection = SOCKET
        self._on_life(device, self._monotonic(), self._clock())
        return self.set_status(device, ONLINE, self._clock())

    def on_socket_closed(self, device: Device) -> list[Event]:
        if device.connection != SOCKET:
            return []
        if device.id in self.elsewhere:
            self._moved.add(device.id)
            return []
        device.connection = None
        self._left[device.id] = self._monotonic()
        self._on_life(device, self._monotonic(), self._clock())
        return self.set_status(device, OFFLINE, self._clock(), is_inferred=True)

    def on_returned(self, device: Device) -> list[Event]:
        """A device is no longer retired: it is online if it has a socket, else its next message tells."""
        if device.connection == SOCKET and (device.id in self.sockets or device.id in self.elsewhere):
            return self.set_status(device, ONLINE, self._clock())
        return []

    def left_within(self, device_id: str, seconds: float) -> bool:
        """Whether the last socket of a device, at any bridge, was closed within this time, and none has been opened since."""
        return self._monotonic() - self._left.get(device_id, float("-inf")) < seconds

    def appeared_within(self, device_id: str, seconds: float) -> bool:
        """Whether a device came online within this time, and no bridge has said how it is connected."""
        return self._monotonic() - self._appeared.get(device_id, float("-inf")) < seconds

    # --- silence -----------------------------------------------------------------------------------------------------------

    def watch(self, device: Device) -> None:
        """Look at a device again when its silence ends. To be called when that may have become earlier, or it was retired."""
        if device.is_retired:
            device.status = device.status_ms = None
            self._silence.remove(device.id)
            return
        if (ends := self._silence_ends(device)) is not None:
            self._silence.look_at(device.id, ends)

    def _silence_ends(self, device: Device) -> float | None:
        """When the device has been silent for too long; None if it is offline or need not send. Time before the bridge started
        does not count.
        """
        if not device.online or (silence_ms := device.silence_ms()) is None:
            return None
        return max(self._last_sign.get(device.id, self._started), self._started) + silence_ms / 1000

    def check_silence(self, devices: Mapping[str, Device], limit: int | None = None) -> list[Event]:
        """Take offline each device that was silent for too long; look at `limit` of them at most."""
        now, events = self._monotonic(), list[Event]()
        for device_id in self._silence.take(now, limit):
            device = devices.get(device_id)
            if device is None or (ends := self._silence_ends(device)) is None:
                continue
            if ends < now:
                events += self.set_status(device, OFFLINE, self._clock(), is_inferred=True)
            else:
                self._silence.look_at(device_id, ends)
        return events

    async def next_silence(self) -> None:
        """Wait until a device has to be looked at."""
        while True:
            self._silence.changed.clear()
            at = self._silence.next
            left = None if at is None else at - self._monotonic()
            if left is not None and left < 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._silence.changed.wait()

    def statuses(self, devices: Iterable[Device], limit: int) -> list[DeviceStatus]:
        """The newest `limit` statuses, oldest first; cached until `invalidate`: simultaneous clients share one list."""
        if self._statuses is None:
            known = [DeviceStatus(device.id, device.status, device.status_ms or 0) for device in devices if device.status]
            self._statuses = nlargest(limit, known, key=lambda status: status.timestamp_ms)[::-1]
        return self._statuses

    def invalidate(self) -> None:
        self._statuses = None
