"""The description of the API: it has every route, and the running bridge answers as it says."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from pydantic import BaseModel

from bridge.api.describe import described, describes
from bridge.api.openapi import document, operations, page
from bridge.app import Bridge
from bridge.core.reading import MEASUREMENTS
from tests.conftest import StartBridge

# What is no part of the API: the page with its files, and Socket.IO, whose contract is in the README.
NOT_DESCRIBED = ("/assets", "/socket.io/")


class Running:
    """A bridge and the description it gives."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession, description: dict[str, Any]) -> None:
        self.base = f"http://127.0.0.1:{bridge.port}"
        self.session = session
        self.description = description
        self.bridge = bridge


@pytest.fixture
async def running_bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{bridge.port}/api/openapi.json") as answer,
    ):
        assert answer.content_type == "application/json"
        yield Running(bridge, session, orjson.loads(await answer.read()))


async def test_every_route_is_described_and_everything_described_is_a_route(
    running_bridge: Running,
) -> None:
    routes, ours = set(), set()
    for route in running_bridge.bridge.application.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if route.method == "HEAD":
            continue
        if described(route.handler) is None:
            root = path.count("/") == 1 and not path.startswith("/get") and (path == "/" or "." in path)
            assert root or path.startswith(NOT_DESCRIBED), f"{route.method} {path}: say what it is with @describes"
        else:
            routes.add((route.method.lower(), path))
    for path, methods in running_bridge.description["paths"].items():
        ours |= {(method, path) for method in methods}
    assert ours == routes
    assert {("post", "/api/ingest"), ("get", "/metrics"), ("get", "/get_telemetry")} <= ours


async def test_the_description_names_every_measurement_with_its_unit(running_bridge: Running) -> None:
    schemas = running_bridge.description["components"]["schemas"]
    for one in MEASUREMENTS:
        for model in ("Record", "NewReading"):
            assert one.label in schemas[model]["properties"][one.name]["description"]
    assert schemas["Record"]["required"] == ["_id", "timestamp", "deviceId", "receivedAt", "seq"]


async def test_every_reference_leads_somewhere_and_names_are_unique(running_bridge: Running) -> None:
    description = running_bridge.description
    text = orjson.dumps(description).decode()
    schemas = description["components"]["schemas"]
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas
    names = [one["operationId"] for methods in description["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names))


async def test_the_page_needs_nothing_from_elsewhere_and_has_every_route(running_bridge: Running) -> None:
    async with running_bridge.session.get(f"{running_bridge.base}/api/docs") as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
    assert "<script" not in text
    assert "http://" not in text.replace("https://", "")
    for path in running_bridge.description["paths"]:
        assert f"<code>{path}</code>" in text


def test_texts_of_a_description_are_no_markup_on_the_page() -> None:
    app = web.Application()

    class Odd(BaseModel):
        """</pre><b>bold</b>"""

    @describes("<i>odd</i>", answers={200: Odd})
    async def odd(_: web.Request) -> web.Response:
        return web.Response()

    app.add_routes([web.get("/odd/{name}", odd)])
    made = document(operations(app))
    assert made["paths"]["/odd/{name}"]["get"]["parameters"][0]["name"] == "name"
    assert "<i>" not in page(made)
    assert "<b>bold" not in page(made)


def test_two_models_of_one_name_are_a_mistake() -> None:
    app = web.Application()

    def model(kind: Any) -> type[BaseModel]:
        class Same(BaseModel):
            """Same."""

            value: kind

        return Same

    for path, kind in (("/a", int), ("/b", str)):

        @describes("one", answers={200: model(kind)})
        async def handler(_: web.Request) -> web.Response:
            return web.Response()

        app.add_routes([web.get(path, handler)])
    with pytest.raises(ValueError, match="two models are called Same"):
        document(operations(app))


# --- the bridge answers as it says -----------------------------------------------------------------------------------

CASES = int(os.environ.get("BRIDGE_TEST_API_CASES", "300"))
