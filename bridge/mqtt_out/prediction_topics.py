"""The last predictions of each device as a retained message, `{topic}/predictions/{deviceId}`."""

from functools import partial
from typing import Any

import orjson

from bridge.core.events import PredictionMade
from bridge.mqtt_out.retained import RetainedMessages, Urgency

UPDATED = "updated"
"""The kind of an event about an hour that is over: what is predicted has not changed."""


class PredictionTopics:
    """Publishes the predictions of a device that have values. They say when they were made: an old message is left standing.

    `{"deviceId": …, "made": …, "predictions": […]}`, of the fields in the order in which they came.
    """

    def __init__(self, topic: str, retained: RetainedMessages) -> None:
        """`topic` are the first levels."""
        self._topic = topic
        self._retained = retained
        self._devices: dict[str, dict[str, dict[str, Any]]] = {}

    def on_made(self, event: PredictionMade) -> None:
        if event.kind == UPDATED:
            return
        fields, name, made = self._devices.setdefault(event.device_id, {}), event.body["field"], event.body["made"]
        for old in [one for one, body in fields.items() if body["made"] != made]:
            del fields[old]
        fields.pop(name, None)
        if event.body["values"]:
            fields[name] = event.body
        self._put(event.device_id)

    def remove(self, device_id: str) -> None:
        """Remove the message of a device."""
        self._devices.pop(device_id, None)
        self._retained.remove(self._of(device_id))

    def _put(self, device_id: str) -> None:
        if self._devices[device_id]:
            self._retained.put(self._of(device_id), partial(self._message, device_id), Urgency.STATE)
        else:
            self.remove(device_id)

    def _message(self, device_id: str) -> bytes:
        """Return the message; none for a device that was removed since."""
        fields = list(self._devices.get(device_id, {}).values())
        if not fields:
            return b""
        return orjson.dumps({"deviceId": device_id, "made": fields[0]["made"], "predictions": fields})

    def _of(self, device_id: str) -> str:
        return f"{self._topic}/predictions/{device_id}"
