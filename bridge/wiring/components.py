"""Every component of a bridge, in groups."""

import asyncio
from dataclasses import dataclass

from bridge.access.service import AuthService
from bridge.alarms.air_monitor import AirMonitor
from bridge.alarms.desk import AlarmDesk
from bridge.alarms.service import AlarmService
from bridge.analysis.advice.desk import AdviceDesk
from bridge.analysis.advice.service import AdviceService
from bridge.analysis.anomaly_desk import AnomalyDesk
from bridge.analysis.anomaly_service import AnomalyService
from bridge.analysis.feed import ReadingFeed
from bridge.analysis.forecast_service import ForecastService
from bridge.api.events import EventsApi
from bridge.api.middleware.connections import Connections
from bridge.api.middleware.cors import Cors
from bridge.cluster.cluster import Cluster
from bridge.cluster.leadership import Leadership
from bridge.core.decode import Decoder
from bridge.core.readings.identity import Cursor
from bridge.devices.commands import CommandService
from bridge.devices.discovery.announcements import Announcements
from bridge.devices.discovery.message_rates import MessageRates
from bridge.devices.discovery.stored_subscriptions import StoredSubscriptions
from bridge.devices.discovery.topic_survey import TopicSurvey
from bridge.devices.locations import Locations
from bridge.devices.profile_service import ProfileService
from bridge.devices.registry import Registry
from bridge.maintenance.retention_job import RetentionJob
from bridge.maintenance.rollup_job import RollupJob
from bridge.mqtt_out.stage import MqttOut
from bridge.notify.notifier import Notifier
from bridge.notify.rules_file_reader import RulesFileReader
from bridge.pipeline.intake import Intake
from bridge.pipeline.lease import Lease
from bridge.pipeline.loop import Pipeline
from bridge.pipeline.meters import LoopDelay, WriteMeter
from bridge.pipeline.system_events import SystemEvents
from bridge.ports import Store
from bridge.realtime.auth.authenticator import Authenticator
from bridge.realtime.channel_protocol import ChannelProtocol
from bridge.realtime.device.server import DeviceSockets
from bridge.realtime.hub.hub import Hub
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.socketio.server import SocketIoServer
from bridge.realtime.topic_protocol import TopicProtocol
from bridge.sources.http.source import HttpSource
from bridge.sources.mqtt.source import MqttSource


@dataclass(frozen=True, slots=True)
class Storage:
    store: Store
    lease: Lease | Leadership
    cursor: Cursor
    retention: RetentionJob
    rollups: RollupJob


@dataclass(frozen=True, slots=True)
class Ingress:
    """The path of a message from its source to the publishers. `closed` is set when no more messages are settled."""

    intake: Intake
    decoder: Decoder
    pipeline: Pipeline
    mqtt: MqttSource
    http: HttpSource
    events: EventsApi
    closed: asyncio.Event


@dataclass(frozen=True, slots=True)
class Devices:
    registry: Registry
    commands: CommandService
    locations: Locations
    air: AirMonitor
    profiles: ProfileService
    subscriptions: StoredSubscriptions
    rates: MessageRates
    announcements: Announcements
    survey: TopicSurvey
    mqtt_out: MqttOut


@dataclass(frozen=True, slots=True)
class Alarms:
    service: AlarmService
    notifier: Notifier
    rules: RulesFileReader
    desk: AlarmDesk


@dataclass(frozen=True, slots=True)
class Analysis:
    """Services that follow the stored readings at the bridge that leads; None where the settings turn one off."""

    feed: ReadingFeed
    forecasts: ForecastService | None
    anomalies: AnomalyService | None
    anomaly_desk: AnomalyDesk
    advice: AdviceService | None
    advice_desk: AdviceDesk


@dataclass(frozen=True, slots=True)
class Access:
    service: AuthService
    authenticator: Authenticator
    connections: Connections
    cors: Cors
    limiter: ConnectionLimiter


@dataclass(frozen=True, slots=True)
class Realtime:
    hub: Hub
    device_sockets: DeviceSockets
    socketio: SocketIoServer
    topics: TopicProtocol
    channels: ChannelProtocol
    events: SystemEvents


@dataclass(frozen=True, slots=True)
class Meters:
    writes: WriteMeter
    loop_delay: LoopDelay


@dataclass(frozen=True, slots=True)
class Components:
    """`cluster` is None for a bridge that is alone."""

    storage: Storage
    cluster: Cluster | None
    ingress: Ingress
    devices: Devices
    alarms: Alarms
    analysis: Analysis
    access: Access
    realtime: Realtime
    meters: Meters
