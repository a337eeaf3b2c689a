"""Is it alive, is it ready, and if not, what fails."""

from __future__ import annotations

from aiohttp import web

from bridge.api.describe import Auth, describes
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import LivenessResponse, ReadinessResponse
from bridge.core.access.permissions import Permission
from bridge.core.health import Health


class HealthApi:
    """For orchestrators, load balancers and people."""

    def __init__(self, health: Health) -> None:
        """`health` is what the parts report to."""
        self._health = health

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [
            web.get("/health/live", self._live),
            web.get("/health/ready", self._ready),
            web.get("/health", self._ready),
        ]

    @describes("Is the process alive?", answers={200: LivenessResponse}, tag="health", right=Auth.NONE)
    async def _live(self, _: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    @describes(
        "Does every part work?", answers={200: ReadinessResponse, 503: ReadinessResponse}, tag="health", right=Auth.OPTIONAL
    )
    async def _ready(self, request: web.Request) -> web.Response:
        """Who may not see is told whether it is, and no more: reasons name hosts."""
        parts = {
            name: {"status": "ok"} if part.up else {"status": "failing", "reason": part.reason}
            for name, part in self._health.parts.items()
        }
        failing = [name for name, part in self._health.parts.items() if not part.up]
        status = 503 if failing else 200
        told: dict[str, object] = {"status": "failing" if failing else "ok"}
        if Permission.READ in identity_of(request).permissions:
            told |= {"failing": failing, "parts": parts}
        return json_response(told, status=status)
