"""What the bridge finds in stored readings, and what it advises."""

from typing import Annotated

from pydantic import AfterValidator

from bridge.core.devices.local_time import parse_zone
from bridge.settings.section import Section, TopicPrefix


def _check_zone(name: str) -> str:
    parse_zone(name)
    return name


class AnalysisMqttSettings(Section):
    """The last predictions of each device as a retained message, `{topic}/predictions/{deviceId}`."""

    enabled: bool = False
    topic: TopicPrefix = "analysis"


class AnalysisSettings(Section):
    """`anomalies`: look for faults of sensors. `advice`: tell people what to do about the air, and follow the rules for
    commands. `timezone` is that of the site, an IANA name or an offset such as `+02:00`; None: that of each device, if it is
    known, else UTC.
    """

    forecasts: bool = True
    anomalies: bool = True
    advice: bool = True
    timezone: Annotated[str, AfterValidator(_check_zone)] | None = None
    mqtt: AnalysisMqttSettings = AnalysisMqttSettings()
