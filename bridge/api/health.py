"""Liveness and readiness."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.describe import Auth, describes
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response, problem
from bridge.api.openapi.models import LivenessResponse, ReadinessResponse
from bridge.core.access.permissions import Permission
from bridge.core.health import Health, PartHealth
from bridge.core.reasons import with_cause
from bridge.core.timestamp import iso


class ReadinessParameters(BaseModel):
    """The query of `GET /health/ready`."""

    model_config = ConfigDict(extra="forbid")

    ignore: Annotated[
        tuple[str, ...],
        Field(
            max_length=16,
            description="parts that may fail, as `mqtt`; may be repeated. A balancer ignores the broker, which fails for all",
        ),
    ] = ()


class HealthApi:
    def __init__(self, health: Health) -> None:
        self._health = health

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health/live", self._live),
            web.get("/health/ready", self._ready),
            web.get("/health", self._ready),
        ]

    @describes("Whether the process is alive", answers={200: LivenessResponse}, tag="health", permission=Auth.NONE)
    async def _live(self, _: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    @describes(
        "Whether every component works",
        query=ReadinessParameters,
        answers={200: ReadinessResponse, 503: ReadinessResponse},
        problems=(422,),
        tag="health",
        permission=Auth.OPTIONAL,
    )
    async def _ready(self, request: web.Request) -> web.Response:
        """Without the permission to read, only the overall status: reasons contain host names."""
        ignored = set(request.query.getall("ignore", ()))
        if unknown := ignored - self._health.parts.keys():
            return problem(422, f"ignore: {min(unknown)[:32]!r} is not a part: must be {', '.join(self._health.parts)}")
        parts = {name: _public(part) for name, part in self._health.parts.items()}
        failing = [name for name, part in self._health.parts.items() if not part.up and name not in ignored]
        body: dict[str, object] = {"status": "failing" if failing else "ok"}
        if Permission.READ in identity_of(request).permissions:
            body |= {"failing": failing, "parts": parts}
        return json_response(body, status=503 if failing else 200)


def _public(part: PartHealth) -> dict[str, object]:
    public: dict[str, object] = {"status": "ok" if part.up else "failing"}
    if part.reason:
        public |= with_cause({"reason": part.reason})
    if part.since_ms is not None:
        public["since"] = iso(part.since_ms)
    return public
