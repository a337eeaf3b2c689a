"""Pages of foreign origins while access is open: neither forms nor DNS rebinding may change anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bridge.app import Bridge
from bridge.settings import HttpSettings
from tests.conftest import StartBridge

ALLOWED, FOREIGN = "https://a.example", "https://evil.example"
FORM = {"device_name": "hall", "command": "on"}
CHANGING = "/api/v1/ws/test-event"
SOCKETS = {
    "/ws": {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
    "/socket.io/?EIO=4&transport=polling": {},
}


@pytest.fixture
def http() -> HttpSettings:
    return HttpSettings(port=0, cors_origins=(ALLOWED,), hosts=("Air.example",))


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path, http: HttpSettings) -> AsyncIterator[Bridge]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as running:
        yield running


async def request(bridge: Bridge, method: str, path: str, **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): text.replace("{port}", str(bridge.port)) for name, text in headers.items()}
    data = FORM if method == "POST" else None
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://127.0.0.1:{bridge.port}{path}", headers=named, data=data) as answer:
            return answer.status, await answer.text()


@pytest.mark.parametrize("origin", [FOREIGN, "null", "", "file://", "http://[", "http://127.0.0.1:1", "https://a.example.evil"])
async def test_page_of_a_foreign_origin_may_only_read(bridge: Bridge, origin: str) -> None:
    for method, path in (
        ("POST", "/send_command"),
        ("POST", "/api/v1/devices"),
        ("POST", "/api/ingest"),
        ("PATCH", "/api/v1/devices/hall"),
        ("DELETE", "/api/v1/devices/hall"),
        ("POST", "/nowhere"),
    ):
        status, text = await request(bridge, method, path, Origin=origin)
        assert (status, "http.cors_origins" in text) == (403, True), (method, path)
    assert (await request(bridge, "GET", "/api/v1/readings", Origin=origin))[0] == 200


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}", ALLOWED])
async def test_own_page_allowed_origins_and_programs_may_make_changes(bridge: Bridge, origin: str | None) -> None:
    status, _ = await request(bridge, "POST", CHANGING, **({} if origin is None else {"Origin": origin}))
    assert status == 200


@pytest.mark.parametrize("http", [HttpSettings(port=0, cors_origins=("*",))])
async def test_any_origin_may_make_changes_where_all_are_allowed(bridge: Bridge) -> None:
    assert (await request(bridge, "POST", CHANGING, Origin=FOREIGN))[0] == 200


OWN_HOSTS = [
    "localhost",
    "localhost:{port}",
    "LOCALHOST.:80",
    "air.localhost:3000",
    "127.0.0.1",
    "127.9.9.9:1",
    "[::1]",
    "[::1]:3000",
]
OWN_HOSTS += ["air.example:3000", "AIR.EXAMPLE", "192.168.1.5:3000"]  # an address cannot be a foreign name


@pytest.mark.parametrize("host", OWN_HOSTS)
async def test_requests_with_own_host_names_are_served(bridge: Bridge, host: str) -> None:
    for path in ("/", "/health/live", "/api/v1/readings"):
        assert (await request(bridge, "GET", path, Host=host))[0] == 200, path
    assert (await request(bridge, "POST", CHANGING, Host=host, Origin=f"http://{host}"))[0] == 200
    for path, headers in SOCKETS.items():
        assert (await request(bridge, "GET", path, Host=host, **headers))[0] in (101, 200)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "[", ""]
)
async def test_requests_with_foreign_host_names_are_refused(bridge: Bridge, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/api/v1/readings"), ("POST", "/send_command"), ("GET", "/nowhere")):
        status, text = await request(bridge, method, path, Host=host, Origin=f"http://{host}")
        assert (status, "http.hosts" in text, "http.trusted_proxies" in text) == (421, True, True), path
    for path, headers in SOCKETS.items():
        assert (await request(bridge, "GET", path, Host=host, Origin=f"http://{host}", **headers))[0] == 421


TRUSTING = HttpSettings.model_validate({"port": 0, "trusted_proxies": ["127.0.0.1"]})


@pytest.mark.parametrize("http", [TRUSTING, HttpSettings(port=0, host="0.0.0.0")], ids=["a proxy", "for others too"])
async def test_behind_a_trusted_proxy_and_for_others_we_have_any_name(bridge: Bridge) -> None:
    own = {"Host": "air.example", "Origin": "https://air.example", "X_Forwarded_Proto": "https"}
    assert (await request(bridge, "GET", "/", **own))[0] == 200
    assert (await request(bridge, "POST", CHANGING, **own))[0] == 200
    assert (await request(bridge, "POST", CHANGING, **own | {"Origin": FOREIGN}))[0] == 403
