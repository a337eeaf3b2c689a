"""The OpenAPI description: it has every route, and the running bridge answers as described."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import orjson
import pytest
import requests
import schemathesis
from aiohttp import web
from hypothesis import strategies as st
from pydantic import BaseModel
from schemathesis import GenerationMode
from schemathesis import checks as known
from schemathesis.core.result import Ok

from bridge.api.describe import describes, operation_of
from bridge.api.openapi.document import document, operations
from bridge.app import Bridge
from bridge.core.readings.measurements import MEASUREMENTS
from tests.conftest import StartBridge
from tests.foreign.clients import python_socket

# Not part of the API: pages and their files, Socket.IO and the WebSockets, which have contracts of their own.
NOT_DESCRIBED = ("/assets", "/test", "/examples", "/socket.io/", "/ws", "/api/v1/ws")


class Running:
    """A running bridge and its description."""

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


async def test_every_route_is_described_and_every_described_path_is_a_route(
    running_bridge: Running,
) -> None:
    routes, described = set(), set()
    for route in running_bridge.bridge.application.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if route.method == "HEAD":
            continue
        if operation_of(route.handler) is None:
            root = path.count("/") == 1 and not path.startswith("/get") and (path == "/" or "." in path)
            assert root or path.startswith(NOT_DESCRIBED), f"{route.method} {path}: describe it with @describes"
        else:
            routes.add((route.method.lower(), path))
    for path, methods in running_bridge.description["paths"].items():
        described |= {(method, path) for method in methods}
    assert described == routes
    assert {("post", "/api/ingest"), ("get", "/metrics"), ("get", "/get_telemetry")} <= described


async def test_description_has_every_measurement_with_its_label(running_bridge: Running) -> None:
    schemas = running_bridge.description["components"]["schemas"]
    for one in MEASUREMENTS:
        for model in ("Record", "NewReading"):
            assert one.label in schemas[model]["properties"][one.name]["description"]
    assert schemas["Record"]["required"] == ["_id", "timestamp", "deviceId", "receivedAt", "seq"]


async def test_references_resolve_and_operation_ids_are_unique(running_bridge: Running) -> None:
    description = running_bridge.description
    text = orjson.dumps(description).decode()
    schemas = description["components"]["schemas"]
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas
    names = [one["operationId"] for methods in description["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names))


async def test_page_of_the_description_is_one_of_the_dashboard(running_bridge: Running) -> None:
    async with running_bridge.session.get(f"{running_bridge.base}/api/docs") as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
    [script] = re.findall(r'<script[^>]* src="\.\./(assets/[^"]+)"', text)
    async with running_bridge.session.get(f"{running_bridge.base}/{script}") as answer:
        assert answer.status == 200


async def test_aliases_name_the_route_that_they_are_the_same_as(running_bridge: Running) -> None:
    paths = running_bridge.description["paths"]
    aliases = {
        f"{method.upper()} {path}": operation["x-alias-of"]
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "x-alias-of" in operation
    }
    assert aliases["POST /api/ingest"] == "POST /api/v1/readings"
    assert aliases["PUT /api/v1/sensors/{id}"] == "PATCH /api/v1/devices/{id}"
    assert aliases["GET /health"] == "GET /health/ready"
    assert "GET /api/v1/ws/stats/{channel}" not in aliases, "it has a parameter more"
    for alias, original in aliases.items():
        method, path = original.split(" ")
        assert "x-alias-of" not in paths[path][method.lower()], f"{alias} is an alias of an alias"
    assert paths["/api/v1/users"]["get"]["x-permission"] == "administer"
    assert "x-permission" not in paths["/health/live"]["get"]


def test_two_models_of_one_name_are_an_error() -> None:
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
    with pytest.raises(ValueError, match="two models are named Same"):
        document(operations(app))


# --- generated requests ----------------------------------------------------------------------------------------------

CASES = int(os.environ.get("BRIDGE_TEST_API_CASES", "200"))
"""`BRIDGE_TEST_API_CASES=5000 make test ARGS='tests/api/test_openapi.py -s'` runs longer."""

LINE_BYTES = 8000

EXCLUDED = {
    "negative_data_rejection",  # the decoder accepts more than is described
    "positive_data_acceptance",  # and rejects what no schema expresses: a measurement out of range
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
}


@schemathesis.serializer("application/x-ndjson")
def _ndjson(_: Any, value: Any) -> Any:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value, default=str).encode()


KNOWN = {"id": "a", "command": "c1"}
"""An existing device and command, which random requests would hardly ever name."""


def _use_existing(case: schemathesis.Case[Any]) -> None:
    """Point a case at the existing device and command, unless it deletes."""
    if case.method != "DELETE":
        case.path_parameters |= {name: KNOWN[name] for name in case.path_parameters if name in KNOWN}
    for name in ("device_name", "device") if case.method == "POST" else ("id",):
        if isinstance(case.body, dict) and name in case.body:
            case.body[name] = KNOWN["id"]


def _answers_as_described(running_bridge: Running) -> dict[str, int]:
    """Send valid and invalid requests to every operation; return the number of cases by operation and status."""
    counts: dict[str, int] = {}
    known.load_all_checks()
    excluded: list[Any] = known.CHECKS.get_by_names(sorted(EXCLUDED))
    schema = schemathesis.openapi.from_dict(running_bridge.description)
    described = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    variable = [one for one in described if list(one.iter_parameters()) or one.body]
    for operation in described:
        modes = list(GenerationMode) if operation in variable else [GenerationMode.POSITIVE]
        for mode in modes:

            @hypothesis.settings(
                max_examples=CASES // len(variable) // 2 + 1,
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(operation.as_strategy(mode), st.sampled_from((True, False)))
            def check(case: schemathesis.Case[Any], existing: bool) -> None:
                if existing:
                    _use_existing(case)
                url = requests.Request("GET", running_bridge.base + case.path, params=case.query or {}).prepare().url
                hypothesis.assume(len(str(url)) < LINE_BYTES)  # aiohttp itself refuses longer ones
                response = case.call(base_url=running_bridge.base, timeout=20)
                case.validate_response(response, excluded_checks=excluded)
                label = f"{case.operation.label}: {response.status_code}"
                counts[label] = counts.get(label, 0) + 1

            with suppress(hypothesis.errors.Unsatisfiable):  # some operations have no invalid requests
                check()
    return counts


async def test_responses_to_generated_requests_are_as_described_and_never_5xx(running_bridge: Running) -> None:
    readings = [{"deviceId": "a", "temperature": n, "eco2": 0, "timestamp": 1_767_000_000 + n} for n in range(20)]
    async with running_bridge.session.post(f"{running_bridge.base}/api/ingest", json=[*readings, {"deviceId": "a"}]) as answer:
        assert answer.status == 201
    url = f"ws://127.0.0.1:{running_bridge.bridge.port}/ws/device"
    async with python_socket(url, ping_interval=None) as device:  # pings use `random`, which Hypothesis controls
        await device.say({"type": "auth", "name": "a", "password": "x"})
        command = {"id": "c1", "command": "servo1", "value": 90, "queue": True}
        url = f"{running_bridge.base}/api/v1/devices/a/commands"
        async with running_bridge.session.post(url, json=command) as answer:
            assert answer.status == 202
        assert (await device.hear())["id"] == "c1"
        counts = await asyncio.to_thread(_answers_as_described, running_bridge)
    print(*(f"{count:6} {label}" for label, count in sorted(counts.items())), sum(counts.values()), sep="\n")
    assert sum(counts.values()) >= CASES / 2
    for label in (
        "POST /api/v1/readings: 400",
        "GET /api/v1/readings: 200",
        "POST /api/v1/events/{topic}: 202",
        "GET /api/v1/ws/stats/{channel}: 200",
        "PATCH /api/v1/devices/{id}: 200",
        "POST /api/v1/devices/{id}/commands: 202",
        "GET /api/v1/devices/{id}/commands/{command}: 200",
    ):
        assert counts[label], label
    assert any(label.startswith("POST /send_command: ") for label in counts)  # of a device that exists only by chance
    line = running_bridge.bridge.ledger.account("http").as_dict()
    assert line["received"] == line["stored"] + line["duplicate"] + line["rejected"] + line["ignored"]
