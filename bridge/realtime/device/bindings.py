"""Which connection each device's commands are sent to, and with it whether the device is online."""

from collections.abc import Callable

from bridge.ports import DevicePresence
from bridge.realtime.device.connection import ClientRole, DeviceConnection


class DeviceBindings:
    def __init__(self, presence: DevicePresence, replaced: Callable[[DeviceConnection], None]) -> None:
        """`replaced` closes a connection whose only device has connected anew."""
        self._presence = presence
        self._replaced = replaced
        self._of_device: dict[str, DeviceConnection] = {}

    def holder(self, device_id: str) -> DeviceConnection | None:
        return self._of_device.get(device_id)

    def offer(self, connection: DeviceConnection, device_id: str) -> None:
        """Bind a device to a client that may turn out to be a listener: not in place of one that is known to be the device."""
        holder = self.holder(device_id)
        if holder is None or holder.role is ClientRole.UNDECIDED:
            self._set(connection, device_id)

    def bind(self, connection: DeviceConnection, device_id: str) -> None:
        """Bind a device. Replaces a socket that the device left open when it was restarted."""
        before = self.holder(device_id)
        if before is connection:
            return
        self._set(connection, device_id)
        if before is not None and before.role is ClientRole.DEVICE and not self._is_bound(before):
            self._replaced(before)

    def _set(self, connection: DeviceConnection, device_id: str) -> None:
        connection.named[device_id] = None
        self._of_device[device_id] = connection
        self._presence.connected(device_id)

    def _is_bound(self, connection: DeviceConnection) -> bool:
        return any(self._of_device.get(device_id) is connection for device_id in connection.named)

    def unbind(self, connection: DeviceConnection, device_id: str) -> None:
        """Send the device's commands to this connection no longer, if they were."""
        if self._of_device.get(device_id) is connection:
            del self._of_device[device_id]
            self._presence.disconnected(device_id)

    def release(self, connection: DeviceConnection) -> None:
        """Unbind all devices of a connection."""
        for device_id in connection.named:
            self.unbind(connection, device_id)
