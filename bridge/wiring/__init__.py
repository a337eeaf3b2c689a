"""The composition root: builds every component and joins them, in groups."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from aiohttp import web

from bridge import __version__
from bridge.access.service import AuthService
from bridge.alarms.air_monitor import AirMonitor
from bridge.alarms.desk import AlarmDesk
from bridge.alarms.rules_file.reading import read_rules
from bridge.alarms.service import AlarmService
from bridge.api import ApiServices, build_api
from bridge.api.events import EVENTS, EventsApi
from bridge.api.middleware.connections import Connections
from bridge.api.middleware.cors import CORS, Cors
from bridge.api.websocket_stats import WebSocketsApi
from bridge.cluster.leadership import Leadership
from bridge.cluster.relay import PACE_SECONDS, Relay
from bridge.cluster.shared_writer import NoCursor
from bridge.core.decode import Decoder
from bridge.core.devices.profiles import Profiles
from bridge.core.errors import RuleFileError, SettingsError
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.readings.identity import Cursor
from bridge.devices.commands import CommandService
from bridge.devices.discovery.active_routes import ActiveRoutes
from bridge.devices.discovery.announcements import Announcements
from bridge.devices.discovery.message_rates import MessageRates
from bridge.devices.discovery.stored_subscriptions import StoredSubscriptions
from bridge.devices.discovery.topic_survey import TopicSurvey
from bridge.devices.locations import Locations
from bridge.devices.peers import ALONE
from bridge.devices.profile_service import ProfileService
from bridge.devices.registered_only_decoder import RegisteredOnlyDecoder
from bridge.devices.registry import Registry
from bridge.http.handover import HANDOVER
from bridge.maintenance.corrections import Corrections, RemoteCorrections
from bridge.maintenance.retention_job import RetentionJob
from bridge.maintenance.retry import QuarantineRetry
from bridge.maintenance.rollup_job import RollupJob
from bridge.mqtt_out.stage import last_will, mqtt_publisher
from bridge.notify.notifier import Notifier, stored_alarms
from bridge.notify.rules_file_reader import RulesFileReader
from bridge.notify.sender import SenderParts
from bridge.pipeline.free_cursors import FreeCursorWriter
from bridge.pipeline.intake import Intake
from bridge.pipeline.lease import Lease, LeasedDevices, LeasedEditor, LeasedWriter, this_process
from bridge.pipeline.loop import Pipeline
from bridge.pipeline.meters import LoopDelay, WriteMeter
from bridge.pipeline.profile_writer import ProfileWriter
from bridge.pipeline.system_events import SystemEvents
from bridge.ports import KeyValueStore, Publisher, PublisherStage, ReadingWriter, Store
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
from bridge.wiring.analysis import AnalysisParts, build_analysis, facts_of
from bridge.wiring.cluster import ClusterParts, build_cluster, peers_of
from bridge.wiring.components import Access, Alarms, Components, Devices, Ingress, Meters, Realtime, Storage
from bridge.wiring.counters import counters

log = logging.getLogger(__name__)

_STORE = "store"


def build(
    settings: Settings,
    store: Store,
    app: web.Application,
    ledger: Ledger,
    health: Health,
    on_link: Callable[[str], None],
) -> Components:
    """Build all components and add every route to `app`. `on_link` receives the secret that creates the first admin."""
    holder = this_process(settings.cluster.name or "")
    leadership = Leadership(store, holder) if settings.cluster.name else None
    lease = leadership or Lease(store, holder, wait_seconds=settings.store.wait_seconds)
    relay = Relay()
    storage = Storage(store, lease, Cursor(), RetentionJob(store), RollupJob(store, settings.devices.limit))
    hub = Hub(store, settings.realtime, may_be_behind=leadership is not None)
    registry = Registry(
        store,
        settings.devices,
        saved=LeasedDevices(store.devices, lease),
        takes_sites=settings.site_from_readings,
        peers=ALONE if leadership is None else peers_of(leadership, relay),
    )
    access = _access(settings, store, app[CORS], hub, registry, on_link)
    if leadership is not None:
        access.service.first_admin.may_give_link = lambda: leadership.held
    for name, part in (("lease", storage.lease), ("devices", registry.saver), ("access", access.service)):
        part.on_write = partial(_report_write, health, name)

    closed = asyncio.Event()
    intake = Intake(
        ledger,
        qos0_limit=settings.mqtt.qos0_limit,
        batch_limit=settings.store.batch_limit,
        pace_seconds=0.0 if leadership is None else PACE_SECONDS,
    )
    will = None if leadership else last_will(settings)  # of several bridges none may say that all have ended
    mqtt = MqttSource(
        settings.mqtt,
        intake,
        health,
        memory=store,
        publisher=hub,
        will=None if will is None else RetainedMessage(*will),
        share=settings.cluster.share,
        watch_drops=settings.cluster.share is None,
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
    first_routes = (*DEVICE_ROUTES, *settings.routes)  # made once: it takes a tenth of a start
    decoder = Decoder((*first_routes, EVENTS), profiles=profiles)
    active = ActiveRoutes(decoder, mqtt, first_routes, (EVENTS,))
    subscriptions = StoredSubscriptions(store, settings.mqtt.subscriptions, active.set_stored, settings.own_topics)
    rates = MessageRates(lambda: decoder.counts)
    own = [route.pattern for route in settings.own_routes]
    announcements = Announcements(settings.mqtt, store, active, decoder, registry, partial(follow, settings.mqtt), own)
    survey = TopicSurvey(
        active,
        partial(listen, settings.mqtt, ("#",)),
        prefix=settings.mqtt.discovery_prefix,
        discovery=settings.mqtt.discovery,
    )
    learned = ProfileService(profiles, store.profiles, registry)
    outgoing = hub if leadership is None else relay.outgoing
    locations = Locations(store.locations, store, registry, outgoing, storage.lease.confirm)
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
    analysis_parts = AnalysisParts(registry, profiles, commands, alarms, access.service, mqtt_out, outgoing)
    analysis = build_analysis(settings, store, analysis_parts)
    devices = Devices(registry, commands, locations, air, learned, subscriptions, rates, announcements, survey, mqtt_out)
    admission = RegisteredOnlyDecoder(decoder, registry) if settings.devices.registration == "required" else decoder
    writer: ReadingWriter = ProfileWriter(store, profiles, store.profiles)
    stages = (commands, registry, service, air, mqtt_out, analysis.feed)
    cluster = None
    if leadership is None:
        publisher, cursor = chain((*stages, hub)), storage.cursor
        writer = FreeCursorWriter(LeasedWriter(writer, storage.lease), cursor)
    else:
        publisher, cursor = chain((relay, *stages, relay.outgoing, hub)), NoCursor()
        remote = RemoteCorrections(store, registry, hub)
        parts = ClusterParts(registry, commands, locations, subscriptions, service, mqtt, hub, remote)
        cluster = build_cluster(settings, store, writer, intake, relay, leadership, parts)
        writer = cluster.writer
    meters = Meters(WriteMeter(writer), LoopDelay())
    pipeline = Pipeline(
        intake=intake,
        decoder=admission,
        store=meters.writes,
        publisher=publisher,
        ledger=ledger,
        health=health,
        cursor=cursor,
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

    components = Components(storage, cluster, ingress, devices, alarms, analysis, access, realtime, meters)
    services = ApiServices(
        store=store,
        corrections=Corrections(LeasedEditor(store, storage.lease), registry, hub, outgoing),
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
        advice=analysis.advice_desk,
        notifier=alarms.notifier,
        rules=alarms.rules,
        anomalies=analysis.anomaly_desk,
        readings=http,
        events=ingress.events,
        websockets=WebSocketsApi(topics, channels, hub),
        device_sockets=device_sockets,
        measurements=topics.encoder,
        mqtt=mqtt,
        subscriptions=subscriptions,
        rates=rates,
        announcements=announcements,
        survey=survey,
        retry=QuarantineRetry(store.quarantine, admission, intake, closed, settings.http.post_seconds).retry,
        published_until=lambda: None if cluster is None else cluster.reader.delivered,
        cluster=lambda: None if cluster is None else cluster.public(hub.client_count),
        counters=counters(components, app.get(HANDOVER)),
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
        facts=partial(facts_of, registry),
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


async def load_routes(decoder: Decoder, settings: Settings, store: KeyValueStore) -> None:
    """Give a decoder the routes of the settings and the stored ones, without a bridge. Raises `StoreUnavailable`."""
    active = ActiveRoutes(decoder, _NoSource(), (*DEVICE_ROUTES, *settings.routes), (EVENTS,))
    await StoredSubscriptions(store, settings.mqtt.subscriptions, active.set_stored).load()


class _NoSource:
    def subscribe_also(self, subscriptions: Sequence[SubscriptionSettings], topics: Iterable[str]) -> None:
        """Do nothing."""

    async def applied(self, seconds: float) -> None:
        """Return at once."""
