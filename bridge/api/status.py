"""`GET /websocket/status`."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from bridge.api.describe import describes
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import Status
from bridge.core.access.permissions import Permission
from bridge.core.ledger import Ledger
from bridge.realtime.hub.hub import Hub


class StatusApi:
    def __init__(self, hub: Hub, ledger: Ledger, cluster: Callable[[], Mapping[str, Any] | None] = lambda: None) -> None:
        """`cluster` gives the state of the cluster, None for a bridge that is alone."""
        self._cluster = cluster
        self._hub = hub
        self._ledger = ledger

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/websocket/status", self._status)]

    @describes("Number of clients, and the ledger of messages", answers={200: Status}, tag="health", permission=Permission.READ)
    async def _status(self, _: web.Request) -> web.Response:
        status: dict[str, Any] = {
            "success": True,
            "connectedClients": self._hub.client_count,
            "websocketEnabled": True,
            "ledger": self._ledger.as_dict(),
        }
        cluster = self._cluster()
        return json_response(status if cluster is None else status | {"cluster": cluster})
