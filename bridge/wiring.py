"""The composition root: builds every component and joins them, in five groups."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from aiohttp import web

from bridge import __version__
from bridge.access.service import AuthService
from bridge.alarms.air_monitor import AirMonitor
from bridge.alarms.desk import AlarmDesk
from bridge.alarms.rules_file.reading import read_rules
from bridge.alarms.scope import UNKNOWN_FACTS, DeviceFacts
from bridge.alarms.service import AlarmService
from bridge.api import ApiServices, build_api
from bridge.api.events import EVENTS, EventsApi
from bridge.api.metrics import Counter, realtime_counters
from bridge.api.middleware.connections import Connections
from bridge.api.middleware.cors import CORS, Cors
from bridge.api.websocket_stats import WebSocketsApi
from bridge.core.decode import Decoder, Route
from bridge.core.devices.location import UNKNOWN_LOCATION
from bridge.core.devices.profiles import Profiles
from bridge.core.errors import RuleFileError, SettingsError
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.readings.identity import Cursor
from bridge.devices.commands import CommandService
from bridge.devices.discovery.active_routes import ActiveRoutes
from bridge.devices.discovery.announcements import Announcements
from bridge.devices.discovery.stored_subscriptions import StoredSubscriptions
from bridge.devices.discovery.topic_survey import TopicSurvey
from bridge.devices.locations import Locations
from bridge.devices.profile_service import ProfileService
from bridge.devices.registered_only_decoder import RegisteredOnlyDecoder
from bridge.devices.registry import Registry
from bridge.maintenance.corrections import Corrections
from bridge.maintenance.retention_job import RetentionJob
from bridge.maintenance.retry import QuarantineRetry
from bridge.maintenance.rollup_job import RollupJob
from bridge.mqtt_out.stage import MqttOut, last_will, mqtt_publisher
from bridge.notify.notifier import Notifier, stored_alarms
from bridge.notify.rules_file_reader import RulesFileReader
from bridge.notify.sender import SenderParts
from bridge.pipeline.intake import Intake
from bridge.pipeline.lease import Lease, LeasedDevices, LeasedEditor, LeasedWriter
from bridge.pipeline.loop import Pipeline
from bridge.pipeline.profile_writer import ProfileWriter
from bridge.pipeline.system_events import SystemEvents
from bridge.ports import KeyValueStore, Publisher, PublisherStage, Store
from bridge.realtime.auth.authenticator import Authenticator
from bridge.realtime.auth.expiry import AuthenticatedConnections
from bridge.realtime.channel_protocol import ChannelProtocol
from bridge.realtime.device.messages import ROUTES as DEVICE_ROUTES
from bridge.realtime.device.server import DeviceSockets
from bridge.realtime.hub.hub import Hub
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.socketio.server import SocketIoServer
from bridge.realtime.topic_protocol import TopicProtocol
from bridge.realtime.websocket.server import WebSocketServer
from bridge.settings import Settings, SubscriptionSettings
from bridge.sources.http.source import HttpSource
from bridge.sources.mqtt.connection import SOURCE, RetainedMessage
from bridge.sources.mqtt.listener import follow, listen
from bridge.sources.mqtt.source import MqttSource

log = logging.getLogger(__name__)

_STORE = "store"


@dataclass(frozen=True, slots=True)
class Storage:
    store: Store
    lease: Lease
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
class Components:
    storage: Storage
    ingress: Ingress
    devices: Devices
    alarms: Alarms
    access: Access
    realtime: Realtime


def build(
    settings: Settings,
    store: Store,
    app: web.Application,
    ledger: Ledger,
    health: Health,
    on_link: Callable[[str], None],
) -> Components:
    """Build all components and add every route to `app`. `on_link` receives the secret that creates the first admin."""
    storage = Storage(store, Lease(store), Cursor(), RetentionJob(store), RollupJob(store, settings.devices.limit))
    hub = Hub(store, settings.realtime)
    registry = Registry(
        store, settings.devices, saved=LeasedDevices(store.devices, storage.lease), takes_sites=settings.site_from_readings
    )
    access = _access(settings, store, app[CORS], hub, registry, on_link)
    for name, part in (("lease", storage.lease), ("devices", registry), ("access", access.service)):
        part.on_write = partial(_report_write, health, name)

    closed = asyncio.Event()
    intake = Intake(ledger, qos0_limit=settings.mqtt.qos0_limit, batch_limit=settings.store.batch_limit)
    will = last_will(settings)
    mqtt = MqttSource(
        settings.mqtt, intake, health, memory=store, publisher=hub, will=None if will is None else RetainedMessage(*will)
    )
    sockets = WebSocketServer(settings.http, settings.realtime, hub, access.limiter, access.authenticator)
    device_sockets = DeviceSockets(
        settings.devices,
        settings.http,
        settings.realtime,
        sockets=sockets,
        hub=hub,
        intake=intake,
        presence=registry,
        authenticator=access.authenticator,
    )
    commands = CommandService(store.commands, registry, settings.devices, socket=device_sockets, mqtt=mqtt)
    profiles = Profiles()
    decoder = Decoder(all_routes(settings), profiles=profiles)
    active = ActiveRoutes(decoder, mqtt, (*DEVICE_ROUTES, *settings.routes), (EVENTS,))
    subscriptions = StoredSubscriptions(store, settings.mqtt.subscriptions, active.set_stored, settings.own_topics)
    own = [route.pattern for route in settings.own_routes]
    announcements = Announcements(settings.mqtt, store, active, decoder, registry, partial(follow, settings.mqtt), own)
    survey = TopicSurvey(
        active,
        partial(listen, settings.mqtt, ("#",)),
        prefix=settings.mqtt.discovery_prefix,
        discovery=settings.mqtt.discovery,
    )
    learned = ProfileService(profiles, store.profiles, registry)
    locations = Locations(store.locations, store, registry, hub, storage.lease.confirm)
    alarms = _alarms(settings, store, registry, health, access.service)
    service = alarms.service
    air = AirMonitor(lambda: service.fold, settings.air.scale)
    mqtt_out = mqtt_publisher(
        settings,
        __version__,
        mqtt.publish_retained,
        store,
        registry,
        rules=lambda: service.rules,
        standing=lambda: (one.public() for one in service.standing()),
    )
    mqtt.on_connected = mqtt_out.retained.on_connected
    devices = Devices(registry, commands, locations, air, learned, subscriptions, announcements, survey, mqtt_out)
    admission = RegisteredOnlyDecoder(decoder, registry) if settings.devices.registration == "required" else decoder
    pipeline = Pipeline(
        intake=intake,
        decoder=admission,
        store=LeasedWriter(ProfileWriter(store, profiles, store.profiles), storage.lease),
        publisher=chain((commands, registry, service, air, mqtt_out, hub)),
        ledger=ledger,
        health=health,
        cursor=storage.cursor,
    )
    http = HttpSource(settings.http, intake, ledger, health, closed)
    ingress = Ingress(intake, decoder, pipeline, mqtt, http, EventsApi(intake, closed), closed)

    socketio = SocketIoServer(
        settings.http,
        settings.realtime,
        app,
        hub,
        access.limiter,
        access.authenticator,
        presence=registry,
        commander=commands,
        alarms=alarms.desk,
    )
    topics, channels = TopicProtocol(app, sockets, hub, registry.location, profiles.units), ChannelProtocol(app, sockets)
    events = SystemEvents(hub, __version__)
    storage.retention.on_quarantine_full, health.on_change = events.quarantine_full, events.on_health
    realtime = Realtime(hub, device_sockets, socketio, topics, channels, events)

    components = Components(storage, ingress, devices, alarms, access, realtime)
    services = ApiServices(
        store=store,
        corrections=Corrections(LeasedEditor(store, storage.lease), registry, hub, hub),
        hub=hub,
        ledger=ledger,
        health=health,
        access=access.service,
        registry=registry,
        profiles=devices.profiles,
        commands=commands,
        locations=locations,
        air=air,
        alarms=alarms.desk,
        notifier=alarms.notifier,
        rules=alarms.rules,
        readings=http,
        events=ingress.events,
        websockets=WebSocketsApi(topics, channels, hub),
        device_sockets=device_sockets,
        measurements=topics.encoder,
        mqtt=mqtt,
        subscriptions=subscriptions,
        announcements=announcements,
        survey=survey,
        retry=QuarantineRetry(store.quarantine, admission, intake, closed, settings.http.post_seconds).retry,
        counters=counters(components),
    )
    build_api(app, settings, services)
    return components


def _alarms(settings: Settings, store: Store, registry: Registry, health: Health, access: AuthService) -> Alarms:
    """Raises `SettingsError` if the rules file is not valid."""
    try:
        file = read_rules(settings.alarms.file)
    except RuleFileError as error:
        raise SettingsError(f"alarms.file: {error}") from None
    service = AlarmService(
        store,
        file.rules,
        devices_limit=settings.devices.limit,
        facts=partial(_facts, registry),
        is_up=partial(_is_up, health),
    )
    notifier = Notifier(
        file.notify,
        store,
        SenderParts(store.deliveries, stored_alarms(store.alarms)),
        access_required=access.required,
        watchdog=file.watchdog,
        healthy=lambda: service.is_healthy and health.ready,
    )
    service.journal.record, service.journal.tell_now = notifier.record, notifier.tell_now
    desk = AlarmDesk(service, store.alarms, store.deliveries, access.audit if access.required else None)
    return Alarms(service, notifier, RulesFileReader(settings.alarms.file, file, service, notifier), desk)


def _facts(registry: Registry, device_id: str) -> DeviceFacts:
    if device_id not in registry:
        return UNKNOWN_FACTS
    location = registry.location(device_id) or UNKNOWN_LOCATION
    return DeviceFacts(location.site or None, location.room or None, registry.get(device_id).expected_seconds)


def _is_up(health: Health, component: str) -> bool:
    part = health.parts.get(SOURCE if component == "broker" else _STORE)
    return part is None or part.up


def _report_write(health: Health, part: str, reason: str | None) -> None:
    """A part wrote into the store, or failed to, and will try again. Such a store may well answer pings."""
    if reason is None:
        if health.up(_STORE, part):
            log.info("%s: store available again", part)
    elif health.down(_STORE, reason, part):
        log.warning("%s: store unavailable (%s): changes wait, retrying", part, reason)


def _access(
    settings: Settings, store: Store, cors: Cors, hub: Hub, registry: Registry, on_link: Callable[[str], None]
) -> Access:
    service = AuthService(settings.access, settings.devices, store, any_device=settings.any_device)
    service.first_admin.on_link = on_link
    authenticated = AuthenticatedConnections(service)
    hub.add_protocol(authenticated)
    authenticator = Authenticator(
        service, authenticated, registry, login_seconds=settings.access.login_seconds, audit=service.audit
    )
    limiter = ConnectionLimiter(settings.realtime, required=service.required)
    return Access(service, authenticator, Connections(settings.http, settings.realtime), cors, limiter)


def chain(publishers: tuple[*tuple[PublisherStage, ...], Publisher]) -> Publisher:
    """Join publishers so that each passes events on to the next; return the first."""
    *stages, following = publishers
    for stage in reversed(stages):
        stage.next, following = following, stage
    return following


def all_routes(settings: Settings) -> tuple[Route, ...]:
    return (*DEVICE_ROUTES, *settings.routes, EVENTS)


async def load_routes(decoder: Decoder, settings: Settings, store: KeyValueStore) -> None:
    """Give a decoder the routes of the settings and the stored ones, without a bridge. Raises `StoreUnavailable`."""
    active = ActiveRoutes(decoder, _NoSource(), (*DEVICE_ROUTES, *settings.routes), (EVENTS,))
    await StoredSubscriptions(store, settings.mqtt.subscriptions, active.set_stored).load()


class _NoSource:
    def subscribe_also(self, subscriptions: Sequence[SubscriptionSettings], topics: Iterable[str]) -> None:
        """Do nothing."""

    async def applied(self, seconds: float) -> None:
        """Return at once."""


def counters(components: Components) -> tuple[Counter, ...]:
    ingress, storage, access, devices = components.ingress, components.storage, components.access, components.devices
    alarms, notifier = components.alarms.service, components.alarms.notifier
    service, registry, connections = access.service, devices.registry, access.connections
    return (
        Counter("bridge_unknown_keys", "Unknown payload keys, by device.", lambda: len(ingress.decoder.unknown_keys)),
        Counter("bridge_broker_dropped", "Messages dropped by the broker, by its count.", lambda: ingress.mqtt.broker_dropped),
        Counter(
            "bridge_mqtt_copies",
            "Copies of messages for overlapping subscriptions, acknowledged and not counted as received.",
            lambda: ingress.mqtt.copies.copies,
        ),
        Counter(
            "bridge_mqtt_unwanted",
            "Messages of merged subscriptions that match no pattern, acknowledged and not counted as received.",
            lambda: ingress.mqtt.copies.unwanted,
        ),
        Counter(
            "bridge_mqtt_retained",
            "Retained messages of alarms and Home Assistant, by outcome.",
            lambda: asdict(devices.mqtt_out.retained.counts) | {"refused": ingress.mqtt.publications_refused},
            label="outcome",
        ),
        Counter(
            "bridge_rejected_removed",
            "Messages removed from a full quarantine.",
            lambda: storage.retention.removed.rejected_over,
        ),
        Counter("bridge_audit_removed", "Events removed from a full audit log.", lambda: storage.retention.removed.audit_over),
        Counter("bridge_rollup_hours", "Hours of devices that were rolled up.", lambda: storage.rollups.hours),
        Counter("bridge_posts_refused", "Requests with readings answered 503, by reason.", lambda: ingress.http.refused),
        Counter("bridge_idempotency_keys_forgotten", "Keys evicted before they expired.", lambda: ingress.http.keys.evicted),
        Counter("bridge_events_refused", "Events by HTTP that were refused.", lambda: ingress.events.refused),
        Counter("bridge_connections", "TCP connections accepted.", lambda: connections.accepted),
        Counter("bridge_connections_ended", "TCP connections closed by the bridge, by reason.", lambda: connections.ended),
        Counter("bridge_origins_refused", "Requests of pages whose origin is not allowed.", lambda: access.cors.refused),
        *realtime_counters(components.realtime.hub, access.limiter),
        Counter(
            "bridge_devices_unlisted",
            "Readings and statuses of devices that were not registered.",
            lambda: registry.counts.unlisted,
        ),
        Counter(
            "bridge_alarms_standing",
            "Alarms that are not normal, by priority.",
            components.alarms.desk.standing_numbers,
            label="priority",
            falls=True,
        ),
        Counter(
            "bridge_alarms_unacknowledged",
            "Alarms that nobody has acknowledged, by priority.",
            partial(components.alarms.desk.standing_numbers, only_unacknowledged=True),
            label="priority",
            falls=True,
        ),
        Counter(
            "bridge_alarm_readings_not_live",
            "Readings that raise no alarm, by reason; `past` are those of them that violate a limit.",
            lambda: asdict(alarms.fold.counts),
            label="reason",
        ),
        Counter(
            "bridge_alarm_changes",
            "Changes of alarms that were stored.",
            lambda: alarms.journal.counts.stored,
        ),
        Counter(
            "bridge_alarm_readings_repeated",
            "Readings folded again from the store, after a restart or a pause.",
            lambda: alarms.counts.replayed,
        ),
        Counter("bridge_alarm_pauses", "Pauses because too many changes waited.", lambda: alarms.counts.pauses),
        Counter(
            "bridge_notifications",
            "Messages about alarms, by target.",
            lambda: {name: one.sent for name, one in notifier.counts.items()},
            label="target",
        ),
        Counter(
            "bridge_notifications_failed",
            "Attempts to send a message about alarms that failed, by target.",
            lambda: {name: one.failed for name, one in notifier.counts.items()},
            label="target",
        ),
        Counter(
            "bridge_watchdog_calls", "Calls of the watchdog, by outcome.", lambda: notifier.watchdog_counts, label="outcome"
        ),
        Counter(
            "bridge_device_state_dropped", "Keys of devices' states beyond the limits.", lambda: registry.counts.state_keys
        ),
        Counter(
            "bridge_telemetry_not_kept",
            "Telemetry messages above 16 KiB, which GET /get_telemetry does not return.",
            lambda: registry.counts.telemetry,
        ),
        Counter("bridge_commands", "Commands, by outcome.", lambda: asdict(devices.commands.counts), label="state"),
        Counter("bridge_access_refused", "Refused authentications, by reason.", lambda: service.counts),
        Counter("bridge_login_attempts_delayed", "Login attempts refused by the lockout.", lambda: service.lockout.refused),
        Counter("bridge_audit_lost", "Audit events lost because too many waited.", lambda: service.audit.lost),
    )
