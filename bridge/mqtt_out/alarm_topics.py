"""Standing alarms as retained messages, `{topic}/{deviceId}/{rule}`, for programs that only speak MQTT."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from bridge.alarms.record import AlarmState, TransitionKind
from bridge.core.events import AlarmChanged
from bridge.mqtt_out.retained import RetainedMessages, Urgency

BRIDGE = "bridge"
"""In topics the device of the alarms of the bridge itself. A device of this name has none of their rules."""

Record = Mapping[str, Any]
"""`AlarmRecord.public()`."""


def stands(record: Record) -> bool:
    """Whether an alarm is not as usual: it is not normal, or it is shelved."""
    return record["state"] != AlarmState.NORMAL.value or record["shelvedUntil"] is not None


class AlarmTopics:
    """Publishes the record of each standing alarm, and removes it when the alarm is normal again and not shelved.

    A device id of several levels takes several, as in the topics of commands: the rule is always the last one.
    """

    def __init__(self, topic: str, retained: RetainedMessages) -> None:
        """`topic` are the first levels."""
        self._topic = topic
        self._retained = retained

    def start(self, record: Record) -> None:
        """Take an alarm as it is at the start."""
        self._set(record["deviceId"], record["rule"], record)

    def on_changed(self, event: AlarmChanged) -> None:
        if event.kind != TransitionKind.PAST.value:  # about an alarm that never stood
            is_removed = event.kind == TransitionKind.REMOVED.value
            self._set(event.device_id, event.rule, None if is_removed else event.record)

    def _set(self, device_id: str | None, rule: str, record: Record | None) -> None:
        topic = f"{self._topic}/{BRIDGE if device_id is None else device_id}/{rule}"
        if record is not None and stands(record):
            self._retained.put(topic, partial(orjson.dumps, record), Urgency.ALARM)
        else:
            self._retained.remove(topic)
