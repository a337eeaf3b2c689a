"""The typed settings with their defaults and bounds. `loader` fills them from file and environment."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bridge.core.decode import MessageKind, Route
from bridge.core.errors import NotReading
from bridge.core.formats.format import Parsed
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import auto_format
from bridge.core.topic import TopicPattern, topic_level
from bridge.settings.access import PASSWORD_LENGTHS, AccessSettings
from bridge.settings.alarms import AirSettings, AlarmsMqttSettings, AlarmsSettings
from bridge.settings.analysis import AnalysisMqttSettings, AnalysisSettings
from bridge.settings.cluster import ClusterSettings
from bridge.settings.devices import DevicesSettings
from bridge.settings.home_assistant import HomeAssistantSettings
from bridge.settings.http import CertificateSettings, HttpSettings
from bridge.settings.ingest_topics import IngestTopics
from bridge.settings.mqtt import BrokerFilesSettings, FieldSettings, MqttSettings, SubscriptionSettings, TlsSettings
from bridge.settings.page import PageSettings
from bridge.settings.realtime import RealtimeSettings
from bridge.settings.section import Seconds, Section
from bridge.settings.store import StoreSettings

__all__ = [
    "HTTP_TOPIC",
    "PASSWORD_LENGTHS",
    "AccessSettings",
    "AirSettings",
    "AlarmsMqttSettings",
    "AlarmsSettings",
    "AnalysisMqttSettings",
    "AnalysisSettings",
    "BrokerFilesSettings",
    "CertificateSettings",
    "ClusterSettings",
    "DevicesSettings",
    "FieldSettings",
    "HomeAssistantSettings",
    "HttpSettings",
    "LogSettings",
    "MqttSettings",
    "PageSettings",
    "RealtimeSettings",
    "Section",
    "Settings",
    "StoreSettings",
    "SubscriptionSettings",
    "TlsSettings",
]

HTTP_TOPIC = "$http/readings"
"""The topic of messages posted by HTTP. No subscription wildcard matches it; the device id is in the body."""


BUS_PREFIX = "sensor-bridge-cluster"
"""The first level of the topics of clusters."""


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


_DISCONNECT_SECONDS = 8.0


class Settings(Section):
    mqtt: MqttSettings = MqttSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    realtime: RealtimeSettings = RealtimeSettings()
    devices: DevicesSettings = DevicesSettings()
    access: AccessSettings = AccessSettings()
    air: AirSettings = AirSettings()
    page: PageSettings = PageSettings()
    alarms: AlarmsSettings = AlarmsSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()
    cluster: ClusterSettings = ClusterSettings()
    log: LogSettings = LogSettings()
    stop_seconds: Annotated[Seconds, Field(description="how long a stop may take")] = 4.0

    @property
    def stop_limit_seconds(self) -> float:
        """After this time a process that still stops is ended: clients, broker and store may not answer any more."""
        return self.stop_seconds + _DISCONNECT_SECONDS

    @property
    def routes(self) -> tuple[Route, ...]:
        return (*self.http_routes, *self.own_routes, *self.mqtt.routes, *self.ingest_topics.routes)

    @property
    def own_routes(self) -> tuple[Route, ...]:
        """The routes of the messages that the bridge publishes, which subscriptions with wildcards may deliver to it."""
        return tuple(Route(TopicPattern.parse(text), format=_own_format) for text in self.own_topics.values())

    @property
    def own_topics(self) -> dict[str, str]:
        """Topic filters of the messages that the bridge publishes, except commands, each with the setting that it follows."""
        topics: dict[str, str] = {}
        if self.cluster.name and self.cluster.bus.get_secret_value() == "mqtt":
            topics["cluster.name"] = f"{BUS_PREFIX}/{self.cluster.name}/#"
        if self.alarms.mqtt.enabled:
            topics["alarms.mqtt.topic"] = f"{self.alarms.mqtt.topic}/#"
        if self.analysis.mqtt.enabled:
            topics["analysis.mqtt.topic"] = f"{self.analysis.mqtt.topic}/#"
        if self.home_assistant.discovery:
            topics["home_assistant.topic"] = f"{self.home_assistant_topic}/#"
            topics["home_assistant.prefix"] = f"{self.home_assistant.prefix}/device/{self.home_assistant_node}/+/config"
        return topics

    @property
    def home_assistant_node(self) -> str:
        """The level of the topics of Home Assistant discovery that is this bridge's."""
        return topic_level(self.mqtt.client_id)

    @property
    def home_assistant_topic(self) -> str:
        return self.home_assistant.topic or self.home_assistant_node

    @property
    def http_routes(self) -> tuple[Route, ...]:
        return (Route(TopicPattern.parse(HTTP_TOPIC), format=auto_format, learns=False),)

    @property
    def ingest_topics(self) -> IngestTopics:
        """The topics of messages that are posted in a given format."""
        readings = (one for one in self.mqtt.subscriptions if one.kind is MessageKind.READINGS)
        return IngestTopics.of((one.format, one.route) for one in readings)

    @model_validator(mode="after")
    def _sections_agree(self) -> "Settings":
        if self.mqtt.password and not self.mqtt.login[0]:
            raise ValueError("mqtt.password is set, mqtt.username is not")
        if self.store.password and not self.store.has_user:
            raise ValueError("store.password is set, store.username is not")
        if self.cluster.name and self.store.is_sqlite:
            raise ValueError("cluster.name is set, and store.url names a SQLite file: several bridges need MongoDB")
        if self.cluster.name and self.cluster.place is not None and self.cluster.share is None:
            raise ValueError(
                'cluster.place is set: only bridges that all receive have places: set cluster.receive to "all" too'
            )
        self._check_own_topics()
        return self

    def _check_own_topics(self) -> None:
        """Refuse a topic of the bridge's own messages that is a subscription's too: its messages would not be read."""
        used = {f"the subscription {one.pattern}": one.pattern for one in self.mqtt.subscriptions}
        used["mqtt.commands"] = self.mqtt.commands
        before: dict[str, TopicPattern] = {}
        for setting, text in self.own_topics.items():
            own = TopicPattern.parse(text)
            shared = [name for name, pattern in used.items() if own.covers(TopicPattern.parse(pattern))]
            shared += [name for name, other in before.items() if own.overlaps(other)]
            if shared:
                raise ValueError(f"{setting}: {text} has topics of {shared[0]} too: choose other first levels")
            before[setting] = own

    @property
    def any_device(self) -> bool:
        """Whether `/ws/device` accepts devices without credentials: never if access is required; else as `devices.open` says;
        if that is unset, only while the port is local and no credentials are set.
        """
        devices = self.devices
        if self.access.required:
            return False
        if devices.open is not None:
            return devices.open
        return self.http.is_local and not devices.credentials

    @property
    def site_from_readings(self) -> bool:
        """Whether readings may set the site of a device that has none. Unless set, only while access is open: rights may depend
        on the site.
        """
        stated = self.devices.site_from_readings
        return not self.access.required if stated is None else stated


def _own_format(payload: Payload) -> Parsed:  # noqa: ARG001 - a format
    raise NotReading("one of the bridge's own messages")
