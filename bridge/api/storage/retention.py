"""What the store holds, and for how long: to read. It is changed in the settings."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.admin_models import RetentionResponse
from bridge.core.access.permissions import Permission
from bridge.core.query import QuarantineQuery, ReadingsQuery
from bridge.core.timestamp import iso
from bridge.maintenance.quarantine import FIRST
from bridge.ports import Store
from bridge.settings import StoreSettings

_SHARED_SECONDS = 10.0


class RetentionApi:
    def __init__(self, store: Store, settings: StoreSettings) -> None:
        self._store = store
        self._settings = settings
        self._counting = asyncio.Lock()
        self._counted: tuple[float, Mapping[str, Any]] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/retention", self._retention)]

    @describes(
        "What the store holds, how much of it and for how long; at most ten seconds old",
        answers={200: RetentionResponse},
        problems=(503,),
        tag="health",
        permission=Permission.MANAGE,
    )
    async def _retention(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        async with self._counting:  # counting takes the store a moment: callers at once share it
            if self._counted is None or time.monotonic() - self._counted[0] > _SHARED_SECONDS:
                self._counted = time.monotonic(), await self._count()
        return json_response(self._counted[1])

    async def _count(self) -> dict[str, Any]:
        store, settings = self._store, self._settings
        oldest = await store.readings(ReadingsQuery(since=0, limit=1))
        rejected = await store.quarantine.messages(QuarantineQuery(after=FIRST, limit=1))
        kinds = [
            _kind(
                "readings",
                "retention_days",
                settings.retention_days,
                count=await store.count(ReadingsQuery()),
                oldest_ms=oldest[0].received_ms if oldest else None,
            ),
            _kind("rollups", "rollup_days", settings.rollup_days),
            _kind(
                "rejected",
                "rejected_days",
                settings.rejected_days,
                ("rejected_limit", settings.rejected_limit),
                count=await store.quarantine.count(QuarantineQuery()),
                oldest_ms=rejected[0].received_ms if rejected else None,
            ),
            _kind("commands", "commands_days", settings.commands_days),
            _kind("audit", "audit_days", settings.audit_days, ("audit_limit", settings.audit_limit)),
            _kind("alarms", None, None, ("alarms_limit", settings.alarms_limit)),
        ]
        return {"kinds": kinds, "sizeBytes": await store.size_bytes(), "store": settings.address}


def _kind(
    name: str,
    days_setting: str | None,
    days: int | None,
    limit: tuple[str, int] | None = None,
    *,
    count: int | None = None,
    oldest_ms: int | None = None,
) -> dict[str, Any]:
    """What is held of one kind; None where it is not limited or not counted."""
    settings = [f"store.{setting}" for setting in (days_setting, limit and limit[0]) if setting]
    return {
        "kind": name,
        "days": days,
        "limit": None if limit is None else limit[1],
        "settings": settings,
        "count": count,
        "oldest": None if oldest_ms is None else iso(oldest_ms),
    }
