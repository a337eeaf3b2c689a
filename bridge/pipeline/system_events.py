"""Events about the bridge itself for its clients: started, broker and store lost and found, quarantine full.

That it stops is said by the hub, which closes the clients.
"""

from bridge.core.events import Level, SystemEvent
from bridge.ports import Publisher

_NAMES = {"mqtt": "broker", "store": "store"}
_CONSEQUENCES = {"mqtt": "no readings arrive by MQTT", "store": "readings wait at the broker"}


class SystemEvents:
    """Publishes one event for each change. Reasons are not in them: they name hosts, and every client receives them."""

    def __init__(self, publisher: Publisher, version: str) -> None:
        self._publisher = publisher
        self._version = version

    def started(self) -> None:
        self._publish("info", "the bridge has started", "bridge", status="started")

    def on_health(self, part: str, up: bool) -> None:
        """A part of the bridge went down, or is up again or for the first time."""
        name = _NAMES.get(part)
        if name is not None and up:
            self._publish("info", f"{name} found", name, status="found")
        elif name is not None:
            self._publish("error", f"{name} lost: {_CONSEQUENCES[part]} until it is found", name, status="lost")

    def quarantine_full(self, removed: int) -> None:
        text = f"quarantine full: {removed} oldest messages removed"
        self._publish("warning", text, "quarantine", status="full", removed=removed)

    def _publish(self, level: Level, message: str, module: str, **data: str | int) -> None:
        self._publisher.publish([SystemEvent(level, message, {"module": module, "version": self._version, **data})])
