"""Every part, made once and joined to the others: what `app.py` then runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass

from aiohttp import web

from bridge.access.service import AuthService
from bridge.api import build_api
from bridge.api.events import EVENTS, EventsApi
from bridge.api.metrics import Counter, realtime_counters
from bridge.api.middleware.connections import Connections
from bridge.api.websockets import WebSocketsApi
from bridge.core.decode import Decoder, Route
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.readings.identity import Cursor
from bridge.devices.commands import CommandService
from bridge.devices.registry import RegisteredOnlyDecoder, Registry
from bridge.maintenance.retention import RetentionJob
from bridge.maintenance.retry import QuarantineRetry
from bridge.maintenance.rollups import RollupJob
from bridge.pipeline.intake import Intake
from bridge.pipeline.loop import Pipeline
from bridge.ports import Store
from bridge.realtime.auth.authenticator import Authenticator
from bridge.realtime.auth.expiry import AuthenticatedConnections
from bridge.realtime.channels import ChannelProtocol
from bridge.realtime.device.messages import ROUTES as DEVICE_ROUTES
from bridge.realtime.device.server import DeviceSockets
from bridge.realtime.hub.hub import Hub
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.socketio.server import SocketIoServer
from bridge.realtime.topics import TopicProtocol
from bridge.realtime.websocket.server import WebSocketServer
from bridge.settings import Settings
from bridge.sources.http.source import HttpSource
from bridge.sources.mqtt.source import MqttSource


@dataclass(frozen=True, slots=True)
class Components:
    """What runs. `closed` is set when nothing is settled any more."""

    store: Store
    cursor: Cursor
    hub: Hub
    intake: Intake
    pipeline: Pipeline
    source: MqttSource
    keeping: RetentionJob
    rolling: RollupJob
    registry: Registry
    commands: CommandService
    control: AuthService
    connections: Connections
    closed: asyncio.Event


def build(
    settings: Settings,
    store: Store,
    app: web.Application,
    ledger: Ledger,
    health: Health,
    on_link: Callable[[str], None],
) -> Components:
    """All of them; `app` has every route then. `on_link` is given the secret with which the first admin is made."""
    closed = asyncio.Event()
    intake = Intake(ledger, qos0_limit=settings.mqtt.qos0_limit, batch_limit=settings.store.batch_limit)
    control = AuthService(settings.access, settings.devices, store, any_device=settings.any_device)
    control.first_admin.on_link = on_link
    hub = Hub(store, settings.realtime)
    limiter = ConnectionLimiter(settings.realtime, required=control.required)
    connections = Connections(settings.http, settings.realtime)
    registry = Registry(store, hub, settings.devices)
    authenticated = AuthenticatedConnections(control)
    hub.add_protocol(authenticated)
    authenticator = Authenticator(
        control, authenticated, registry, login_seconds=settings.access.login_seconds, audit=control.audit
    )
    sockets = WebSocketServer(settings.http, settings.realtime, hub, limiter, authenticator)
    device_sockets = DeviceSockets(
        settings.devices,
        settings.http,
        settings.realtime,
        sockets=sockets,
        hub=hub,
        intake=intake,
        presence=registry,
        authenticator=authenticator,
    )
    source = MqttSource(settings.mqtt, intake, health, memory=store, publisher=hub)
    commands = CommandService(store.commands, registry, settings.devices, socket=device_sockets, mqtt=source)
    decoder = Decoder(all_routes(settings))
    admission = RegisteredOnlyDecoder(decoder, registry) if settings.devices.registration == "required" else decoder
    cursor = Cursor()
    pipeline = Pipeline(
        intake=intake,
        decoder=admission,
        store=store,
        publisher=commands,
        ledger=ledger,
        health=health,
        cursor=cursor,
    )
    keeping, rolling = RetentionJob(store), RollupJob(store)
    posted = HttpSource(settings.http, intake, ledger, health, closed)
    events = EventsApi(intake.put, lambda: not intake.closed, closed)
    SocketIoServer(settings.http, settings.realtime, app, hub, limiter, authenticator, presence=registry, commander=commands)
    topics, channels = TopicProtocol(app, sockets, hub, registry.location), ChannelProtocol(app, sockets)
    counters = (
        Counter("bridge_unknown_keys", "Payload keys that mean no field, by device.", lambda: len(decoder.unknown_keys)),
        Counter("bridge_broker_dropped", "Messages the broker dropped, by its count.", lambda: source.broker_dropped),
        Counter("bridge_rejected_removed", "Removed from a full quarantine.", lambda: keeping.removed.rejected_over),
        Counter("bridge_audit_removed", "Acts removed from a full audit.", lambda: keeping.removed.acts_over),
        Counter("bridge_rollup_hours", "Hours of devices that were rolled up.", lambda: rolling.hours),
        Counter("bridge_posts_refused", "Requests with readings answered 503, by why.", lambda: posted.refused),
        Counter("bridge_idempotency_keys_forgotten", "Keys for which there was no room.", lambda: posted.keys.forgotten),
        Counter("bridge_events_refused", "Events by HTTP not taken in.", lambda: events.refused),
        Counter("bridge_connections", "TCP connections that were accepted.", lambda: connections.accepted),
        Counter("bridge_connections_ended", "TCP connections that we ended, by why.", lambda: connections.ended),
        *realtime_counters(hub, limiter),
        *device_counters(registry, commands),
        *access_counters(control),
    )
    build_api(
        app,
        settings.http,
        store=store,
        hub=hub,
        ledger=ledger,
        health=health,
        counters=counters,
        posted=posted,
        retry=QuarantineRetry(store.quarantine, admission, intake, closed, settings.http.post_seconds).retry,
        registry=registry,
        commands=commands,
        control=control,
        login_seconds=settings.access.login_seconds,
    )
    for more in (device_sockets, WebSocketsApi(topics, channels, hub), events):
        app.add_routes(more.routes())
    return Components(
        store, cursor, hub, intake, pipeline, source, keeping, rolling, registry, commands, control, connections, closed
    )


def all_routes(settings: Settings) -> tuple[Route, ...]:
    """Of all ways in."""
    return (*DEVICE_ROUTES, *settings.routes, EVENTS)


def access_counters(control: AuthService) -> tuple[Counter, ...]:
    """Whom the door was closed on."""
    return (
        Counter("bridge_access_refused", "Those who were not let in, by why.", lambda: control.counts),
        Counter("bridge_login_attempts_delayed", "Attempts that came too soon.", lambda: control.lockout.refused),
        Counter("bridge_audit_lost", "Acts that found no place in the audit.", lambda: control.audit.lost),
    )


def device_counters(registry: Registry, commands: CommandService) -> tuple[Counter, ...]:
    """What devices met: limits, and what became of commands to them."""
    return (
        Counter(
            "bridge_devices_unlisted",
            "Times a device was heard that the registry did not take.",
            lambda: registry.counts.unlisted,
        ),
        Counter(
            "bridge_device_state_dropped",
            "Keys of devices' states that found no place.",
            lambda: registry.counts.state_keys,
        ),
        Counter("bridge_commands", "Commands, by what became of them.", lambda: asdict(commands.counts), label="state"),
    )
