"""Builds the parts of a cluster and joins them with those of the bridge."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from bridge import __version__
from bridge.alarms.actions import ActionKind
from bridge.alarms.record import AlarmRecord, alarm_from_document
from bridge.alarms.service import AlarmService
from bridge.cluster.bus import Bus, NoBus, ReconnectingBus
from bridge.cluster.cluster import RECEIVE, Cluster, ClusterLog, ClusterParty, ClusterStores
from bridge.cluster.envelope import MESSAGE_LIMIT_BYTES
from bridge.cluster.event_codec import decode_ids, decode_socket, encode_ids, encode_socket
from bridge.cluster.leadership import Leadership
from bridge.cluster.log_reader import LogReader
from bridge.cluster.members import Members
from bridge.cluster.messenger import Messenger
from bridge.cluster.relay import Relay
from bridge.cluster.sessions.places import Places
from bridge.cluster.sessions.receiver import BrokerConnections, Receiver
from bridge.cluster.shared_writer import SharedWriter
from bridge.core.errors import (
    AlarmStateError,
    BridgeError,
    SettingsError,
    StoreUnavailable,
    TemporarilyUnavailable,
    UnknownAlarm,
)
from bridge.core.events import EntityEvent, Event
from bridge.devices.commands import CommandService
from bridge.devices.discovery.stored_subscriptions import StoredSubscriptions
from bridge.devices.locations import Locations
from bridge.devices.peers import Peers
from bridge.devices.registry import Registry
from bridge.log.closing import CloseWatch
from bridge.maintenance.corrections import RemoteCorrections
from bridge.pipeline.intake import Intake
from bridge.pipeline.lease import LeaseHolder
from bridge.ports import BridgeRecord, ReadingWriter, StateStore, Store
from bridge.realtime.hub.hub import Hub
from bridge.settings import BUS_PREFIX, Settings
from bridge.settings.section import in_url
from bridge.sources.mqtt.adopted import AdoptedSessions
from bridge.sources.mqtt.bus import mqtt_bus_connection
from bridge.sources.mqtt.source import MqttSource

ALARM, COMMANDS, SOCKET, SOCKETS, SUBSCRIPTIONS = "alarm", "commands", "socket", "sockets", "subscriptions"
ASK_SOCKETS = "ask-sockets"
"""Kinds of messages between bridges."""

BROKER_CONNECTED = "brokerConnected"
"""In the heartbeat of a bridge: whether it is connected to the broker."""

CORRECTIONS = "corrections"
"""The job that reads what corrections at other bridges have changed."""

_REFUSALS: dict[str, type[BridgeError]] = {
    one.__name__: one for one in (UnknownAlarm, AlarmStateError, StoreUnavailable, TemporarilyUnavailable)
}


@dataclass(frozen=True, slots=True)
class ClusterParts:
    """The parts of the bridge that other bridges change."""

    registry: Registry
    commands: CommandService
    locations: Locations
    subscriptions: StoredSubscriptions
    alarms: AlarmService
    mqtt: MqttSource
    hub: Hub
    corrections: RemoteCorrections


def peers_of(leadership: Leadership, relay: Relay) -> Peers:
    return Peers(leads=lambda: leadership.leads, saves=lambda: leadership.leads or not relay.is_deriving)


def build_cluster(
    settings: Settings,
    store: Store,
    writer: ReadingWriter,
    intake: Intake,
    relay: Relay,
    leadership: Leadership,
    parts: ClusterParts,
) -> Cluster:
    """Raises `SettingsError` if the store is for one bridge only."""
    name, order = settings.cluster.name, store.log
    if order is None or name is None:
        raise SettingsError("cluster.name is set: several bridges need MongoDB (store.url)")
    holder = leadership.holder
    shared = SharedWriter(writer, order, holder.owner, partial(len, intake))
    watch = CloseWatch(settings.cluster.close_seconds)
    shared.on_write_seconds = watch.wrote
    reader = LogReader(order, watch, relay.deliver, shared.in_use)
    relay.entry = parts.registry.next
    messenger = Messenger(bus_of(settings), name, holder.owner)
    address = f"{in_url(settings.http.host)}:{settings.http.port}"
    record = BridgeRecord(holder.owner, holder.host, holder.pid, time.time_ns() // 1_000_000, __version__, address)
    members = Members(store, record, number=lambda: messenger.number)
    sessions = sessions_of(settings, store, name, holder, _BrokerConnections(members, parts.mqtt))
    members.report = lambda: {
        "connectedClients": parts.hub.client_count,
        "receives": sessions.receives,
        RECEIVE: settings.cluster.receive,
        BROKER_CONNECTED: parts.mqtt.is_connected,
    }
    party = ClusterParty(members, messenger, sessions, leadership)
    cluster = Cluster(name, ClusterStores(order, store), ClusterLog(shared, reader, relay), party)
    _share_events(cluster, parts)
    _share_commands(messenger, members, parts.commands)
    _share_alarms(cluster, parts.alarms)
    cluster.receive = parts.mqtt.run
    if isinstance(sessions, Places):
        _receive_adopted(cluster, sessions, parts.mqtt, intake)
    _share_subscriptions(cluster, parts.subscriptions)
    cluster.refresher.jobs |= {"devices": parts.registry.refresh, "locations": parts.locations.load}
    return cluster


def _share_events(cluster: Cluster, parts: ClusterParts) -> None:
    remote = RemoteEvents(parts, partial(cluster.refresher.want, CORRECTIONS))
    cluster.refresher.jobs[CORRECTIONS] = parts.corrections.reread
    cluster.on_events, cluster.on_gone = remote.apply, parts.registry.on_remote_gone
    messenger = cluster.messenger
    messenger.handlers[SOCKETS] = lambda bridge, body: parts.registry.on_remote_sockets(bridge, decode_ids(body))
    messenger.handlers[SOCKET] = lambda bridge, body: _on_socket(parts.registry, bridge, body)
    parts.registry.on_socket = lambda device_id, is_open: messenger.send(SOCKET, encode_socket(device_id, is_open))

    def tell_sockets() -> None:
        messenger.send(SOCKETS, encode_ids(parts.registry.presence.sockets))

    async def tell_sockets_again() -> None:
        tell_sockets()

    def catch_up() -> None:
        messenger.send(ASK_SOCKETS, b"")
        if messenger.bus.counters.connections > 1:
            cluster.refresher.want_all()

    def meet() -> None:
        tell_sockets()
        messenger.send(ASK_SOCKETS, b"")  # what the other one said before this bridge knew it was refused

    cluster.on_joined = meet
    cluster.refresher.jobs[SOCKETS] = tell_sockets_again
    messenger.bus.on_connected = catch_up
    messenger.handlers[ASK_SOCKETS] = lambda _bridge, _body: cluster.refresher.want(SOCKETS)


def _on_socket(registry: Registry, bridge: str, body: bytes) -> None:
    device_id, is_open = decode_socket(body)
    registry.on_remote_socket(bridge, device_id, is_open=is_open)


def _share_subscriptions(cluster: Cluster, subscriptions: StoredSubscriptions) -> None:
    messenger, refresher = cluster.messenger, cluster.refresher
    refresher.jobs[SUBSCRIPTIONS] = subscriptions.load
    messenger.handlers[SUBSCRIPTIONS] = lambda _bridge, _body: refresher.want(SUBSCRIPTIONS)
    subscriptions.on_saved = lambda: messenger.send(SUBSCRIPTIONS, b"")


def _share_commands(messenger: Messenger, members: Members, commands: CommandService) -> None:
    commands.share(lambda: messenger.is_connected or len(members.alive) == 1)
    commands.on_queued_elsewhere = lambda device_id: messenger.send(COMMANDS, device_id.encode())
    messenger.handlers[COMMANDS] = lambda _bridge, _body: commands.reread()


def _share_alarms(cluster: Cluster, service: AlarmService) -> None:
    alarms = LeaderAlarms(service, cluster.messenger)
    service.follow_leader(alarms.ask)
    cluster.messenger.serve(ALARM, partial(alarms.answer, cluster.leadership))
    cluster.follow_leader = partial(service.follow_leader, alarms.ask)


class _BrokerConnections:
    """Which bridges are connected to the broker, by their heartbeats."""

    def __init__(self, members: Members, mqtt: MqttSource) -> None:
        self._members = members
        self._mqtt = mqtt

    @property
    def is_connected(self) -> bool:
        return self._mqtt.is_connected

    @property
    def others_connected(self) -> bool:
        own = self._members.own.id
        return any(one.report.get(BROKER_CONNECTED) for name, one in self._members.alive.items() if name != own)


def sessions_of(
    settings: Settings, store: StateStore, name: str, holder: LeaseHolder, connections: BrokerConnections
) -> Places | Receiver:
    """Return what decides which bridges receive by MQTT, and with which sessions."""
    seconds = settings.cluster.adopt_seconds
    if settings.cluster.share is not None:
        return Places(store, name, wanted=settings.cluster.place, adopt_seconds=seconds, holder=holder)
    return Receiver(store, name, settings.mqtt.client_id, holder, take_over_seconds=seconds, connections=connections)


def _receive_adopted(cluster: Cluster, places: Places, mqtt: MqttSource, intake: Intake) -> None:
    adopted = AdoptedSessions(mqtt, intake, lambda: places.adopted)
    places.on_change = adopted.on_change
    cluster.receive_adopted = adopted.run


def bus_of(settings: Settings) -> Bus:
    bus, topic = settings.cluster.bus.get_secret_value(), f"{BUS_PREFIX}/{settings.cluster.name}/bus"
    if bus == "none":
        return NoBus()
    if bus == "mqtt":
        connect = partial(mqtt_bus_connection, settings.mqtt, topic, MESSAGE_LIMIT_BYTES)
        return ReconnectingBus(settings.mqtt.address, connect)
    from bridge.cluster.redis_bus import redis_bus

    return redis_bus(bus, topic)


class RemoteEvents:
    """Applies what other bridges say to the parts of this one."""

    def __init__(self, parts: ClusterParts, on_corrected: Callable[[], None]) -> None:
        """`on_corrected` is called after the correction of a reading."""
        self._parts = parts
        self._on_corrected = on_corrected

    def apply(self, bridge: str, events: Sequence[Event]) -> list[Event]:
        """Return the events that are not outdated."""
        for event in events:
            if type(event) is EntityEvent and event.entity_type == "reading":
                self._parts.corrections.apply(event)
                self._on_corrected()
            elif type(event) is EntityEvent and event.entity_type == "location":
                self._parts.locations.on_remote(event)
            elif type(event) is EntityEvent and event.entity_type == "command":
                self._parts.commands.on_remote(event)
        return self._parts.registry.on_remote(bridge, events)


class LeaderAlarms:
    """Actions on alarms are the leader's: asked for by the other bridges, and answered."""

    def __init__(self, service: AlarmService, messenger: Messenger) -> None:
        self._service = service
        self._messenger = messenger

    async def ask(
        self, kind: ActionKind, alarm: AlarmRecord, by: str, comment: str | None, until_ms: int | None
    ) -> AlarmRecord:
        """See `AskLeader`."""
        body = [kind.value, alarm.to_document(), by, comment, until_ms]
        done, answer = orjson.loads(await self._messenger.request(ALARM, orjson.dumps(body), None))
        if not done:
            name, text = answer
            raise _REFUSALS.get(name, TemporarilyUnavailable)(text)
        return alarm_from_document(answer)

    async def answer(self, leadership: Leadership, request: bytes) -> bytes | None:
        """Carry out an action if this bridge leads; another answers otherwise."""
        if not leadership.leads:
            return None
        kind, document, by, comment, until_ms = orjson.loads(request)
        try:
            record = await self._service.operate(ActionKind(kind), alarm_from_document(document), by, comment, until_ms)
        except (UnknownAlarm, AlarmStateError, StoreUnavailable, TemporarilyUnavailable) as error:
            return orjson.dumps([False, [type(error).__name__, str(error)]])
        return orjson.dumps([True, record.to_document()])
