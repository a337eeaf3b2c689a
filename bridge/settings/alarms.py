"""By which standard the air is judged, and where alarms are sent."""

from pathlib import Path
from typing import Literal

from bridge.settings.section import Section, TopicPrefix


class AirSettings(Section):
    """`scale` is the index for particles, ozone, nitrogen and sulphur dioxide."""

    scale: Literal["us-epa", "european"] = "us-epa"


class AlarmsMqttSettings(Section):
    """Each standing alarm as a retained message, `{topic}/{deviceId}/{rule}`."""

    enabled: bool = False
    topic: TopicPrefix = "alarms"


class AlarmsSettings(Section):
    """`file` has the rules and who is told; without one, the default rules for homes apply, and nobody is told."""

    file: Path | None = None
    mqtt: AlarmsMqttSettings = AlarmsMqttSettings()
