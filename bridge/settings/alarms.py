"""Where alarms are sent."""

from bridge.settings.section import Section, TopicPrefix


class AlarmsMqttSettings(Section):
    """Each standing alarm as a retained message, `{topic}/{deviceId}/{rule}`."""

    enabled: bool = False
    topic: TopicPrefix = "alarms"


class AlarmsSettings(Section):
    mqtt: AlarmsMqttSettings = AlarmsMqttSettings()
