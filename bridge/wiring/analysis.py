"""Builds the services that follow the stored readings."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial

from bridge.access.service import AuthService
from bridge.alarms.conditions import Above, Unchanged
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.rules import Rule
from bridge.alarms.scope import UNKNOWN_FACTS, DeviceFacts
from bridge.alarms.service import AlarmService
from bridge.analysis.advice.desk import AdviceDesk
from bridge.analysis.advice.outdoor_air import OutdoorAir
from bridge.analysis.advice.rule_commands import RuleCommands
from bridge.analysis.advice.service import AdviceService, AlarmView
from bridge.analysis.advice.switch import CommandSwitch
from bridge.analysis.anomaly_desk import AnomalyDesk
from bridge.analysis.anomaly_service import AnomalyService, DeviceLookups
from bridge.analysis.feed import ReadingFeed
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast_service import ForecastService
from bridge.core.devices.local_time import parse_zone, zone_of
from bridge.core.devices.location import UNKNOWN_LOCATION
from bridge.core.devices.profiles import Profiles
from bridge.devices.commands import CommandService
from bridge.devices.registry import Registry
from bridge.mqtt_out.stage import MqttOut
from bridge.ports import Publisher, Store
from bridge.settings import AnalysisSettings, Settings
from bridge.wiring.components import Alarms, Analysis


@dataclass(frozen=True, slots=True)
class AnalysisParts:
    """The parts of the bridge that the services ask and tell; `outgoing` publishes at all bridges."""

    registry: Registry
    profiles: Profiles
    commands: CommandService
    alarms: Alarms
    access: AuthService
    mqtt_out: MqttOut
    outgoing: Publisher


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def facts_of(registry: Registry, device_id: str) -> DeviceFacts:
    if device_id not in registry:
        return UNKNOWN_FACTS
    location = registry.location(device_id) or UNKNOWN_LOCATION
    device = registry.get(device_id)
    return DeviceFacts(location.site or None, location.room or None, device.expected_seconds, device.is_retired)


def build_analysis(settings: Settings, store: Store, parts: AnalysisParts) -> Analysis:
    feed = ReadingFeed(store)
    forecasts = _forecasts(settings.analysis, store, parts) if settings.analysis.forecasts else None
    audit = parts.access.audit if parts.access.required else None
    switch = CommandSwitch(store, now_ms)
    return Analysis(
        feed,
        forecasts,
        anomalies=_anomalies(settings, store, feed, parts, forecasts) if settings.analysis.anomalies else None,
        anomaly_desk=AnomalyDesk(store.anomalies, audit, is_enabled=settings.analysis.anomalies),
        advice=_advice(store, parts, switch, forecasts) if settings.analysis.advice else None,
        advice_desk=AdviceDesk(store.actions, parts.commands, switch, parts.access.audit),
    )


# --- forecasts -----------------------------------------------------------------------------------------------------------


def _forecasts(settings: AnalysisSettings, store: Store, parts: AnalysisParts) -> ForecastService:
    site = None if settings.timezone is None else parse_zone(settings.timezone)
    zone = partial(_zone, site, parts.profiles)
    service = ForecastService(store, parts.registry, limits=limits_of(DEFAULT_RULES), zone=zone)
    service.publisher = parts.mqtt_out
    parts.mqtt_out.predicted = service.standing
    parts.registry.on_removed.append(service.on_removed)
    return service


def _zone(site: tzinfo | None, profiles: Profiles, device_id: str) -> tzinfo:
    """Return the zone of the settings, else that of the device, else UTC."""
    if site is not None:
        return site
    profile = profiles.get(device_id)
    return (None if profile is None else zone_of(profile)) or UTC


def limits_of(rules: Iterable[Rule]) -> Mapping[str, list[float]]:
    """Return the limits of rules about the mean of a field that is forecast.

    Those without averaging are about danger within minutes: nobody may take a forecast for their absence.
    """
    limits: dict[str, set[float]] = {}
    for rule in rules:
        if rule.field in FORECAST_FIELDS and isinstance(rule.condition, Above) and rule.averaging is not None:
            limits.setdefault(str(rule.field), set()).add(rule.condition.limit)
    return {name: sorted(found) for name, found in limits.items()}


# --- anomalies -----------------------------------------------------------------------------------------------------------


def _anomalies(
    settings: Settings, store: Store, feed: ReadingFeed, parts: AnalysisParts, forecasts: ForecastService | None
) -> AnomalyService:
    lookups = DeviceLookups(
        room=partial(_room, parts.registry),
        has_alarm=partial(_has_alarm, parts.registry, parts.alarms.service),
        forecast=None if forecasts is None else forecasts.interval,
    )
    return AnomalyService(store, feed, parts.outgoing, lookups, devices_limit=settings.devices.limit)


def _room(registry: Registry, device_id: str) -> str | None:
    """Return site and room of a device as one text, empty without a room; None if the device is not registered."""
    location = registry.location(device_id)
    if location is None:
        return None
    return f"{location.site}\n{location.room}" if location.room else ""


def _has_alarm(registry: Registry, alarms: AlarmService, device_id: str, field: str) -> bool:
    """Whether a rule that applies raises an alarm when the field of the device does not change."""
    facts = facts_of(registry, device_id)
    return any(
        isinstance(rule.condition, Unchanged) and rule.field == field and rule.scope.includes(device_id, facts)
        for rule in alarms.rules
    )


# --- advice --------------------------------------------------------------------------------------------------------------


def _advice(store: Store, parts: AnalysisParts, switch: CommandSwitch, forecasts: ForecastService | None) -> AdviceService:
    registry, alarms, facts = parts.registry, parts.alarms, partial(facts_of, parts.registry)
    outdoor_air = OutdoorAir(store, lambda: alarms.rules.followed.outdoors, partial(_same_site, registry), now_ms)
    commands = RuleCommands(
        store, parts.commands, switch, lambda: alarms.rules.followed.actions, facts, parts.access.audit, now_ms
    )
    view = AlarmView(partial(_rule, alarms.service), alarms.service.standing)
    service = AdviceService(store, parts.outgoing, view, outdoor_air.around, commands, now_ms)
    alarms.service.on_changes = service.on_alarms
    if forecasts is not None:
        service.predictions = forecasts.standing
        forecasts.listeners.append(lambda event: service.on_prediction(event.body))
    return service


def _rule(alarms: AlarmService, rule_id: str) -> Rule | None:
    return next((rule for rule in alarms.rules if rule.id == rule_id), None)


def _same_site(registry: Registry, device_id: str) -> Iterable[str]:
    """Return the devices at the site of a device; without a site, those that have none either."""
    location = registry.location(device_id)
    if location is not None and location.site:
        return registry.devices_at((location.site,))
    return [device.id for device in registry.all() if not device.site]
