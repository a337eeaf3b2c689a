"""Transitions, targets and servers for the tests of notifications."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.alarms.record import AlarmRecord, AlarmState, Peak, Transition, TransitionKind, identifier
from bridge.alarms.rules import Priority
from bridge.alarms.rules_file.notify_settings import NotifySettings
from tests.alarms.folding import START_MS

START = START_MS


def record(device: str | None = "kitchen", *, priority: Priority = Priority.CRITICAL, **more: Any) -> AlarmRecord:
    rule = more.pop("rule", "co-ceiling")
    fields: dict[str, Any] = {
        "id": identifier(device, rule, START),
        "rule": rule,
        "device_id": device,
        "priority": priority,
        "state": AlarmState.UNACKNOWLEDGED,
        "message": f"Carbon monoxide 212 ppm at {device}",
        "advice": "Leave.",
        "site": "Home",
        "room": "Kitchen",
        "field": "coPpm",
        "value": 212.0,
        "unit": "ppm",
        "limit": 200,
        "peak": Peak(230.0, START),
        "standard": "standard.niosh",
        "indicative": True,
        "raised_ms": START,
    }
    fields["group"] = fields["id"]
    return AlarmRecord(**fields | more)


def raised(device: str | None = "kitchen", **more: Any) -> Transition:
    one = record(device, **more)
    return Transition(identifier(one.id, "raised"), TransitionKind.RAISED, START, one)


def cleared(device: str | None = "kitchen", **more: Any) -> Transition:
    one = replace(record(device, **more), state=AlarmState.RETURNED, cleared_ms=START + 60_000)
    return Transition(identifier(one.id, "cleared"), TransitionKind.CLEARED, START + 60_000, one)


def target(name: str = "family", **more: Any) -> NotifySettings:
    return NotifySettings(name=name, **{"webhook": "http://127.0.0.1:9/hook"} | more)


class FakeClock:
    def __init__(self, now_ms: int = START) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


class Alarms:
    """The alarms as they are now."""

    def __init__(self) -> None:
        self.by_id: dict[str, AlarmRecord] = {}

    async def __call__(self, ids: Sequence[str]) -> Mapping[str, AlarmRecord]:
        return {one: self.by_id[one] for one in ids if one in self.by_id}


@dataclass
class Post:
    path: str
    headers: Mapping[str, str]
    content: bytes
    at: float = field(default_factory=time.perf_counter)


@dataclass
class Receiver:
    """A server on loopback that records requests; `status` and `hang` say how it answers."""

    posts: list[Post] = field(default_factory=list)
    status: int | Callable[[], int] = 200
    hang: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.posts.append(Post(request.path, dict(request.headers), await request.read()))
        if request.path == "/hang":
            await self.hang.wait()
        return web.Response(status=self.status() if callable(self.status) else self.status)


@asynccontextmanager
async def receiver(**more: Any) -> AsyncIterator[Receiver]:
    one = Receiver(**more)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", one.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        one.url = f"http://127.0.0.1:{server.port}"
        yield one
        one.hang.set()
