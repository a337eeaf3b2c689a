"""Where alarms are sent."""

from pathlib import Path

from bridge.settings.section import Section, TopicPrefix


class AlarmsMqttSettings(Section):
    """Each standing alarm as a retained message, `{topic}/{deviceId}/{rule}`."""

    enabled: bool = False
    topic: TopicPrefix = "alarms"


class AlarmsSettings(Section):
    """`file` has the rules and who is told; without one, the default rules for homes apply, and nobody is told."""

    file: Path | None = None
    mqtt: AlarmsMqttSettings = AlarmsMqttSettings()
