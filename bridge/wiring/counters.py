"""What is counted beside the hub and the ledger, for `/metrics`."""

from dataclasses import asdict
from functools import partial

from bridge.analysis.advice.service import AdviceService
from bridge.analysis.forecast_service import ForecastService
from bridge.api.metrics import Counter, Distribution, realtime_counters
from bridge.cluster.cluster import Cluster
from bridge.cluster.sessions.places import Places
from bridge.http.handover import Handover
from bridge.wiring.components import Analysis, Components, Meters


def counters(components: Components, handover: Handover | None) -> tuple[Counter | Distribution, ...]:
    """`handover` is of a worker."""
    ingress, storage, access, devices = components.ingress, components.storage, components.access, components.devices
    alarms, notifier = components.alarms.service, components.alarms.notifier
    service, registry, connections = access.service, devices.registry, access.connections
    return (
        *([] if components.cluster is None else cluster_counters(components.cluster)),
        *([] if handover is None else [_handovers(handover)]),
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
        *_analysis_counters(components.analysis),
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
        *advice_counters(components.analysis.advice),
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
        *forecast_counters(components.analysis.forecasts),
        *_meter_counters(components.meters),
    )


def forecast_counters(forecasts: ForecastService | None) -> tuple[Counter, ...]:
    if forecasts is None:
        return ()
    return (
        Counter("bridge_forecast_devices", "Devices that have forecasts.", lambda: len(forecasts), falls=True),
        Counter(
            "bridge_forecast_round_seconds",
            "Time that the last hourly round took.",
            lambda: forecasts.round_seconds,
            falls=True,
        ),
        Counter("bridge_forecast_failures", "Rounds that ended early, as the store failed.", lambda: forecasts.counts.failures),
        Counter("bridge_forecast_damaged", "Stored states that could not be read.", lambda: forecasts.counts.damaged),
        Counter("bridge_predictions", "Predictions that were published.", lambda: forecasts.counts.published),
    )


def advice_counters(advice: AdviceService | None) -> tuple[Counter, ...]:
    if advice is None:
        return ()
    return (
        Counter(
            "bridge_actions",
            "Advice given, held back because it was too soon, and dropped because too much waited.",
            lambda: asdict(advice.counts),
            label="outcome",
        ),
        Counter(
            "bridge_action_commands",
            "Commands after advice, by outcome.",
            lambda: asdict(advice.commands.counts),
            label="outcome",
        ),
    )


def cluster_counters(cluster: Cluster) -> tuple[Counter, ...]:
    writer, reader, messenger, sessions = cluster.writer, cluster.reader, cluster.messenger, cluster.sessions
    return (
        Counter("bridge_cluster_bridges", "Bridges of the cluster.", lambda: len(cluster.members.alive), falls=True),
        Counter("bridge_cluster_leads", "1 while this bridge leads.", lambda: cluster.leadership.leads, falls=True),
        Counter("bridge_cluster_bus_connected", "1 while the bus is connected.", lambda: messenger.is_connected, falls=True),
        Counter("bridge_cluster_receives", "1 while this bridge receives by MQTT.", lambda: sessions.receives, falls=True),
        *([_places_adopted(sessions)] if isinstance(sessions, Places) else []),
        Counter("bridge_cluster_ranges", "Ranges of cursors taken.", lambda: writer.counts.ranges),
        Counter(
            "bridge_cluster_rewritten",
            "Readings written again because another bridge had closed their cursors.",
            lambda: writer.counts.rewritten,
        ),
        Counter("bridge_cluster_closed", "Ranges of other bridges that were closed.", lambda: reader.counts.closed),
        Counter(
            "bridge_cluster_announcements",
            "Announcements of ranges, by what became of them.",
            reader.announcements,
            label="state",
        ),
        Counter("bridge_cluster_read", "Readings read from the store for want of an announcement.", lambda: reader.from_store),
        Counter("bridge_cluster_messages", "Messages between bridges, by outcome.", messenger.counted, label="outcome"),
    )


def _analysis_counters(analysis: Analysis) -> tuple[Counter, ...]:
    service, feed = analysis.anomalies, analysis.feed
    if service is None:
        return ()
    return (
        Counter("bridge_anomaly_readings", "Readings in which anomalies were looked for.", lambda: service.counts.folded),
        Counter("bridge_anomaly_changes", "Changes of anomalies that were stored.", lambda: service.journal.counts.stored),
        Counter(
            "bridge_anomalies_standing",
            "Anomalies that stand, by kind; only at the bridge that leads.",
            service.journal.standing_numbers,
            label="kind",
            falls=True,
        ),
        Counter(
            "bridge_analysis_readings_dropped",
            "Events dropped from memory because the analysis was behind, and read from the store later.",
            lambda: feed.counts.dropped,
        ),
    )


def _handovers(handover: Handover) -> Counter:
    return Counter(
        "bridge_worker_handovers",
        "Connections of long-polling passed between workers, by outcome.",
        lambda: {"sent": handover.sent, "received": handover.received, "failed": handover.failed},
        label="outcome",
    )


def _places_adopted(places: Places) -> Counter:
    return Counter("bridge_cluster_places_adopted", "MQTT sessions adopted now.", lambda: len(places.adopted), falls=True)


def _meter_counters(meters: Meters) -> tuple[Counter | Distribution, ...]:
    writes = meters.writes
    return (
        Distribution("bridge_write_seconds", "Duration of successful writes into the store.", writes.seconds),
        Distribution("bridge_write_readings", "Readings in a write.", writes.readings),
        Counter("bridge_write_failures", "Writes that failed and were repeated.", lambda: writes.failures),
        Counter(
            "bridge_write_pending_seconds",
            "Time since the first attempt to write the batch that is not stored yet.",
            lambda: writes.pending_seconds,
            falls=True,
        ),
        Distribution(
            "bridge_event_loop_delay_seconds", "How late the event loop ran a timer, twice a second.", meters.loop_delay.seconds
        ),
    )
