"""The HTTP surface: one file a subject, put together by `build_api`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from aiohttp import web

from bridge.access.service import AuthService
from bridge.api import pages
from bridge.api.accounts import AccountsApi
from bridge.api.auth import AuthApi
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.devices import Book, DevicesApi
from bridge.api.health import HealthApi
from bridge.api.ingest import IngestApi
from bridge.api.metrics import Counter, MetricsApi
from bridge.api.middleware import auth, connections, csrf, headers, problems
from bridge.api.middleware.cors import Cors
from bridge.api.openapi.document import OpenApi
from bridge.api.readings import ReadingsApi
from bridge.api.rejected import RejectedApi, Retry
from bridge.api.status import StatusApi
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.devices.registry import Registry
from bridge.ports import Store
from bridge.realtime.hub.hub import Hub
from bridge.settings import HttpSettings
from bridge.sources.http.source import HttpSource

BODY_LIMIT_BYTES = 1024 * 1024


def build_api(
    app: web.Application,
    settings: HttpSettings,
    *,
    store: Store,
    hub: Hub,
    ledger: Ledger,
    health: Health,
    counters: Sequence[Counter],
    posted: HttpSource,
    retry: Retry,
    registry: Registry,
    commands: Book,
    control: AuthService,
    login_seconds: float,
) -> None:
    """Add every route to `app`, and before them the guard where access is required.

    `posted` takes the readings that come by HTTP, `retry` tries rejected messages again, `control` knows who comes.
    """
    if control.required:
        app.middlewares.append(auth.middleware(control, control.audit, settings))
    reach = DeviceAuthorizer(registry, store)
    app.add_routes(AuthApi(control, settings, login_seconds).routes())
    app.add_routes(AccountsApi(control, store.audit, settings).routes())
    app.add_routes(ReadingsApi(store, reach).routes())
    app.add_routes(IngestApi(posted, reach, settings.post_seconds).routes())
    app.add_routes(RejectedApi(store, retry).routes())
    app.add_routes(DevicesApi(registry, commands, reach, control.audit, settings).routes())
    app.add_routes(StatusApi(hub, ledger).routes())
    app.add_routes(HealthApi(health).routes())
    app.add_routes(MetricsApi(hub, ledger, health, counters).routes())
    app.add_routes(OpenApi().routes())
    app.add_routes(pages.routes())


def new_application(settings: HttpSettings, *, required: bool) -> web.Application:
    """An application that answers errors as problems and other origins as the settings allow.

    Where access is not `required`, pages of others may only read.
    """
    cors = Cors(settings.cors_origins)
    looks: list[Callable[[web.Request], object]] = [connections.request_received, cors.look]
    if not required:
        looks.append(partial(csrf.check, settings))
    app = web.Application(middlewares=[problems.middleware(*looks)], client_max_size=BODY_LIMIT_BYTES)
    app.on_response_prepare.extend((headers.add, cors.add))
    return app
