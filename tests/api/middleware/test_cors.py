"""Pages of other origins: what they may read, what they may not change, and the log line of a refused one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from bridge.api.middleware.cors import REPORTED_LIMIT
from bridge.app import Bridge
from bridge.settings import AccessSettings, HttpSettings
from tests.access.parts import access_settings
from tests.conftest import StartBridge
from tests.realtime.clients import Bare, Plain
from tests.realtime.socketio.test_server import metric

ALLOWED, FOREIGN = "https://your-frontend-domain.com", "https://evil.example"
OF_THIS_MACHINE = ["null", "file://", "http://localhost", "http://localhost:5173", "https://127.0.0.1:8443", "http://[::1]:80"]
OF_THIS_MACHINE += ["http://air.localhost:3000"]
OTHERS = [FOREIGN, "http://localhost.evil.example", "http://192.168.1.5:3000", "http://[", "ftp://localhost", "localhost", ""]
CHANGING = "/api/v1/ws/test-event"


@pytest.fixture
def http() -> HttpSettings:
    return HttpSettings(port=0, cors_origins=(ALLOWED,))


@pytest.fixture
async def bridge(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, http: HttpSettings, access: AccessSettings
) -> AsyncIterator[Bridge]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http, access=access) as running:
        yield running


async def ask(bridge: Bridge, method: str, path: str, origin: str, **headers: str) -> tuple[int, str | None, str]:
    """Status, the origin that may read the response, and the methods that it may use."""
    named = {"Origin": origin} | {name.replace("_", "-"): text for name, text in headers.items()}
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://127.0.0.1:{bridge.port}{path}", headers=named) as answer:
            readable = answer.headers.get("Access-Control-Allow-Origin")
            return answer.status, readable, answer.headers.get("Access-Control-Allow-Methods", "")


@pytest.mark.parametrize("origin", OF_THIS_MACHINE)
async def test_page_of_this_machine_reads_while_access_is_open_and_changes_nothing(bridge: Bridge, origin: str) -> None:
    for path in ("/websocket/status", "/api/v1/readings", "/socket.io/?EIO=4&transport=polling"):
        assert (await ask(bridge, "GET", path, origin))[:2] == (200, origin), path
    for method, path in (("POST", CHANGING), ("POST", "/api/ingest"), ("DELETE", "/api/v1/devices/hall")):
        assert (await ask(bridge, method, path, origin))[:2] == (403, origin), "the page can read why"
    for method in ("GET", "POST"):
        asked = {"Access_Control_Request_Method": method}
        assert await ask(bridge, "OPTIONS", "/api/v1/readings", origin, **asked) == (204, origin, "GET, OPTIONS")
    for path in ("/ws", "/api/v1/ws", "/ws/device", "/"):
        async with Plain.connected(bridge, path, origin=origin) as client:
            await client.send(type="ping")
    async with Bare.connected(bridge, origin=origin) as client:
        answer = await client.call('["sendCommand", {"device": "hall", "command": "on"}]')
        assert not answer["ok"]
        assert "http.cors_origins" in answer["error"]
        assert (await client.call('["subscribe", {"devices": ["hall"]}]'))["ok"]


@pytest.mark.parametrize("origin", OTHERS)
async def test_page_of_another_origin_neither_reads_nor_connects(bridge: Bridge, origin: str) -> None:
    assert (await ask(bridge, "GET", "/api/v1/readings", origin))[1] is None
    assert (await ask(bridge, "POST", CHANGING, origin))[:2] == (403, None)
    assert (await ask(bridge, "OPTIONS", "/api/v1/readings", origin, Access_Control_Request_Method="GET"))[1] is None
    for path in ("/ws", "/api/v1/ws", "/ws/device", "/"):
        with pytest.raises(InvalidStatus, match="403"):
            async with Plain.connected(bridge, path, origin=origin):
                pass


async def test_listed_origin_reads_and_changes(bridge: Bridge) -> None:
    assert (await ask(bridge, "GET", "/websocket/status", ALLOWED))[:2] == (200, ALLOWED)
    assert (await ask(bridge, "POST", CHANGING, ALLOWED))[:2] == (200, ALLOWED)
    asked = await ask(bridge, "OPTIONS", "/api/v1/devices", ALLOWED, Access_Control_Request_Method="POST")
    assert (asked[0], "POST" in asked[2]) == (204, True)


@pytest.mark.parametrize("access", [access_settings()])
@pytest.mark.parametrize("origin", OF_THIS_MACHINE[:1] + OF_THIS_MACHINE[2:])
async def test_page_of_this_machine_has_no_privilege_where_access_is_required(bridge: Bridge, origin: str) -> None:
    assert (await ask(bridge, "GET", "/health/live", origin))[:2] == (200, None)
    assert (await ask(bridge, "GET", "/socket.io/?EIO=4&transport=polling", origin))[0] == 400
    for path in ("/ws", "/ws/device", "/"):
        with pytest.raises(InvalidStatus, match="403"):
            async with Plain.connected(bridge, path, origin=origin):
                pass


async def test_refused_origin_is_one_log_line_that_names_the_setting(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "bridge.api.middleware.cors")
    for path in ("/api/v1/readings", "/socket.io/?EIO=4&transport=polling", "/websocket/status"):
        await ask(bridge, "GET", path, FOREIGN)
    await ask(bridge, "POST", CHANGING, FOREIGN)
    await ask(bridge, "POST", CHANGING, "null")
    await ask(bridge, "GET", "/api/v1/readings", "null")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(";")[0] for line in lines] == [
        f"http: a page of origin '{FOREIGN}' was refused: it may neither read nor connect",
        "http: a page of origin 'null' was refused: it may only read",
    ]
    assert all("http.cors_origins (BRIDGE_HTTP__CORS_ORIGINS)" in line for line in lines)
    for n in range(REPORTED_LIMIT + 5):
        await ask(bridge, "GET", "/health/live", f"https://{n}.example")
    assert len(caplog.records) == REPORTED_LIMIT + 1
    assert "further ones are counted only" in caplog.records[-1].getMessage()
    assert await metric(bridge, "bridge_origins_refused_total") == 5 + REPORTED_LIMIT + 5
