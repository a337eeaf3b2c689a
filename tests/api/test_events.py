"""Events by HTTP while the bridge is stopping."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.api.events import EventsApi
from bridge.core.ledger import Ledger
from bridge.pipeline.intake import Intake
from tests.servers import until


@pytest.fixture
def intake() -> Intake:
    return Intake(Ledger(), qos0_limit=1, batch_limit=1)


async def test_event_is_refused_when_the_intake_is_closed(intake: Intake) -> None:
    intake.close()
    events, app = EventsApi(intake, asyncio.Event()), web.Application()
    app.add_routes(events.routes())
    async with TestClient(TestServer(app)) as client, client.post("/api/v1/events/alerts", json={}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "stopping" in (await answer.json())["detail"]
    assert (len(intake), events.refused) == (0, 1)


async def test_waiting_event_is_answered_503_when_no_more_messages_are_settled(intake: Intake) -> None:
    closed, app = asyncio.Event(), web.Application()
    app.add_routes(EventsApi(intake, closed).routes())
    async with TestClient(TestServer(app)) as client, asyncio.TaskGroup() as tasks:
        posting = tasks.create_task(client.post("/api/v1/events/alerts", json={}))
        await until(lambda: len(intake))
        closed.set()
        async with await posting as answer:
            assert answer.status == 503
            assert "unless the bridge stops" in (await answer.json())["detail"]
