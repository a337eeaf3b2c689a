"""The HTTP surface: one file a subject, put together by `build_api`."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from bridge.api import cors, pages, problems
from bridge.api.devices import Book, DevicesApi
from bridge.api.health import HealthApi
from bridge.api.ingest import IngestApi
from bridge.api.metrics import Counter, MetricsApi
from bridge.api.openapi import OpenApi
from bridge.api.readings import ReadingsApi
from bridge.api.rejected import RejectedApi, Retry
from bridge.api.status import StatusApi
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.ports import Store
from bridge.realtime.hub import Hub
from bridge.registry import Registry
from bridge.settings import HttpSettings
from bridge.sources.http import HttpSource

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
) -> None:
    """Add every route to `app`; `posted` takes the readings that come by HTTP, `retry` tries rejected messages again."""
    app.add_routes(ReadingsApi(store).routes())
    app.add_routes(IngestApi(posted, settings.post_seconds).routes())
    app.add_routes(RejectedApi(store, retry).routes())
    app.add_routes(DevicesApi(registry, commands).routes())
    app.add_routes(StatusApi(hub, ledger).routes())
    app.add_routes(HealthApi(health).routes())
    app.add_routes(MetricsApi(hub, ledger, health, counters).routes())
    app.add_routes(OpenApi().routes())
    app.add_routes(pages.routes())


def new_application(settings: HttpSettings) -> web.Application:
    """An application that answers errors as problems and other origins as the settings allow."""
    return web.Application(
        middlewares=[cors.middleware(settings.cors_origins), problems.middleware], client_max_size=BODY_LIMIT_BYTES
    )
