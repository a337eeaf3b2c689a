"""The HTTP API: one file per subject, put together by `build_api`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from bridge.access.service import AuthService
from bridge.alarms.air_monitor import AirMonitor
from bridge.alarms.desk import AlarmDesk
from bridge.analysis.advice.desk import AdviceDesk
from bridge.analysis.anomaly_desk import AnomalyDesk
from bridge.api import pages
from bridge.api.accounts import AccountsApi
from bridge.api.alarms.notifications import NotificationsApi
from bridge.api.alarms.push import PushApi
from bridge.api.alarms.routes import AlarmsApi
from bridge.api.analysis.actions import ActionsApi
from bridge.api.analysis.anomalies import AnomaliesApi
from bridge.api.analysis.predictions import PredictionsApi
from bridge.api.assessments import AssessmentsApi
from bridge.api.auth import AuthApi
from bridge.api.commands.forms import DeviceFormsApi
from bridge.api.commands.routes import CommandsApi
from bridge.api.commands.submission import CommandSubmission
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.devices import DevicesApi
from bridge.api.discovery.subscriptions import SubscriptionsApi
from bridge.api.discovery.survey import DiscoveryApi
from bridge.api.editing.corrections import CorrectionsApi
from bridge.api.editing.locations import LocationsApi
from bridge.api.editing.notes import NotesApi
from bridge.api.events import EventsApi
from bridge.api.health import HealthApi
from bridge.api.ingest import IngestApi
from bridge.api.login.cookies import SessionCookies
from bridge.api.login.pages import LoginPages
from bridge.api.login.shared_links import SharedLinksApi
from bridge.api.metrics import Counter, Distribution, MetricsApi
from bridge.api.middleware import auth, connections, csrf, headers, problems
from bridge.api.middleware.cors import CORS, Cors
from bridge.api.openapi.document import OpenApi
from bridge.api.readings.latest_measurements import LatestMeasurementsApi
from bridge.api.readings.stored import ReadingsApi
from bridge.api.status import StatusApi
from bridge.api.storage.rejected import RejectedApi, Retry
from bridge.api.storage.retention import RetentionApi
from bridge.api.websocket_stats import WebSocketsApi
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.devices.commands import CommandService
from bridge.devices.discovery.announcements import Announcements
from bridge.devices.discovery.message_rates import MessageRates
from bridge.devices.discovery.stored_subscriptions import StoredSubscriptions
from bridge.devices.discovery.topic_survey import TopicSurvey
from bridge.devices.locations import Locations
from bridge.devices.profile_service import ProfileService
from bridge.devices.registry import Registry
from bridge.maintenance.corrections import Corrections
from bridge.notify.notifier import Notifier
from bridge.notify.rules_file_reader import RulesFileReader
from bridge.ports import Store
from bridge.realtime.device.server import DeviceSockets
from bridge.realtime.hub.hub import Hub
from bridge.realtime.topic_protocol import TopicCodec
from bridge.settings import HttpSettings, Settings
from bridge.sources.http.source import HttpSource
from bridge.sources.mqtt.source import MqttSource

BODY_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ApiServices:
    """Services of the routes. `retry` decodes rejected messages; `counters` are exported beside those of hub and ledger.

    `cluster` gives the state of the cluster, None for a bridge that is alone.
    """

    store: Store
    corrections: Corrections
    hub: Hub
    ledger: Ledger
    health: Health
    access: AuthService
    registry: Registry
    profiles: ProfileService
    commands: CommandService
    locations: Locations
    air: AirMonitor
    alarms: AlarmDesk
    advice: AdviceDesk
    notifier: Notifier
    rules: RulesFileReader
    anomalies: AnomalyDesk
    readings: HttpSource
    events: EventsApi
    websockets: WebSocketsApi
    device_sockets: DeviceSockets
    measurements: TopicCodec
    mqtt: MqttSource
    subscriptions: StoredSubscriptions
    rates: MessageRates
    announcements: Announcements
    survey: TopicSurvey
    retry: Retry
    published_until: Callable[[], int | None]
    cluster: Callable[[], Mapping[str, Any] | None]
    counters: Sequence[Counter | Distribution]


def build_api(app: web.Application, settings: Settings, services: ApiServices) -> None:
    """Add the routes to `app` and, where access is required, the middleware that guards them."""
    http, access, store = settings.http, services.access, services.store
    if access.required:
        app.middlewares.append(auth.middleware(access, access.audit, http))
    authorizer = DeviceAuthorizer(services.registry, store, settings.devices.credentials)
    cookies, login_seconds = SessionCookies(access, http), settings.access.login_seconds
    submission = CommandSubmission(services.commands, authorizer, access.audit, http)
    for api in (
        AuthApi(access, http, cookies, login_seconds),
        LoginPages(access, http, cookies, login_seconds),
        AccountsApi(access, services.registry, store.audit, http),
        SharedLinksApi(access, http, login_seconds),
        ReadingsApi(store, authorizer, settings.page, services.published_until),
        CorrectionsApi(services.corrections, authorizer, access.audit, http),
        LatestMeasurementsApi(store, authorizer, services.measurements),
        AssessmentsApi(services.air, authorizer),
        PredictionsApi(store, services.registry, authorizer),
        AlarmsApi(services.alarms, services.rules, authorizer, http),
        ActionsApi(services.advice, authorizer, http),
        NotificationsApi(services.notifier, services.rules, access.audit, http),
        AnomaliesApi(services.anomalies, authorizer, http),
        PushApi(store, services.notifier),
        IngestApi(services.readings, authorizer, http.post_seconds, settings.http_routes, settings.ingest_topics),
        RejectedApi(store, services.retry, services.subscriptions, access.audit, http),
        RetentionApi(store, settings.store),
        DevicesApi(services.registry, services.profiles, services.locations, authorizer, access.audit, http),
        CommandsApi(services.registry, services.commands, submission, authorizer),
        DeviceFormsApi(services.registry, store, submission, authorizer, cookies, http.post_seconds),
        NotesApi(store.notes, services.registry, authorizer, access.audit, http),
        LocationsApi(services.locations, authorizer, access.audit, http),
        SubscriptionsApi(services.subscriptions, services.mqtt, services.rates, access.audit, http),
        DiscoveryApi(services.survey, services.announcements, access.audit, http),
        StatusApi(services.hub, services.ledger, services.cluster),
        HealthApi(services.health),
        MetricsApi(services.hub, services.ledger, services.health, services.counters),
        OpenApi(),
        services.websockets,
        services.events,
    ):
        app.add_routes(api.routes())
    app.add_routes(pages.routes(services.device_sockets.serve))
    app.add_routes(services.device_sockets.routes())


def new_application(settings: HttpSettings, *, required: bool) -> web.Application:
    """Return an application with the middleware that applies to every route.

    Where access is not `required`, pages of other origins may change nothing, and pages of this machine may read.
    """
    cors = Cors(settings, required=required)
    checks: list[Callable[[web.Request], object]] = [connections.request_received, cors.answer_preflight]
    if not required:
        checks.append(partial(csrf.check, settings, cors.report))
    app = web.Application(middlewares=[problems.middleware(*checks)], client_max_size=BODY_LIMIT_BYTES)
    app[CORS] = cors
    app.on_response_prepare.extend((headers.add, cors.add))
    return app
