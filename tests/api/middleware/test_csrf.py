"""Pages of others at a bridge whose access is open: they may not command it, neither by forms nor by a name of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bridge.app import Bridge
from bridge.settings import HttpSettings
from tests.conftest import StartBridge

FRIEND, STRANGER = "https://a.example", "https://evil.example"
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
    return HttpSettings(port=0, cors_origins=(FRIEND,), hosts=("Air.example",))


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path, http: HttpSettings) -> AsyncIterator[Bridge]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as running:
        yield running


async def ask(bridge: Bridge, method: str, path: str, **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): text.replace("{port}", str(bridge.port)) for name, text in headers.items()}
    data = FORM if method == "POST" else None
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://127.0.0.1:{bridge.port}{path}", headers=named, data=data) as answer:
            return answer.status, await answer.text()


@pytest.mark.parametrize(
    "origin", [STRANGER, "null", "", "file://", "http://[", "http://127.0.0.1:1", "https://a.example.evil"]
)
async def test_a_page_of_others_may_only_read(bridge: Bridge, origin: str) -> None:
    for method, path in (
        ("POST", "/send_command"),
        ("POST", "/api/v1/devices"),
        ("POST", "/api/ingest"),
        ("PATCH", "/api/v1/devices/hall"),
        ("DELETE", "/api/v1/devices/hall"),
        ("POST", "/nowhere"),
    ):
        status, text = await ask(bridge, method, path, Origin=origin)
        assert (status, "http.cors_origins" in text) == (403, True), (method, path)
    assert (await ask(bridge, "GET", "/api/v1/readings", Origin=origin))[0] == 200


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}", FRIEND])
async def test_our_page_pages_of_the_settings_and_programs_may_do_what_they_could(bridge: Bridge, origin: str | None) -> None:
    status, _ = await ask(bridge, "POST", CHANGING, **({} if origin is None else {"Origin": origin}))
    assert status == 200


@pytest.mark.parametrize("http", [HttpSettings(port=0, cors_origins=("*",))])
async def test_where_any_page_may_any_page_may(bridge: Bridge) -> None:
    assert (await ask(bridge, "POST", CHANGING, Origin=STRANGER))[0] == 200


OURS = [
    "localhost",
    "localhost:{port}",
    "LOCALHOST.:80",
    "air.localhost:3000",
    "127.0.0.1",
    "127.9.9.9:1",
    "[::1]",
    "[::1]:3000",
]
OURS += ["air.example:3000", "AIR.EXAMPLE", "192.168.1.5:3000"]  # an address is nobody's name


@pytest.mark.parametrize("host", OURS)
async def test_by_our_names_everything_is_there(bridge: Bridge, host: str) -> None:
    for path in ("/", "/health/live", "/api/v1/readings"):
        assert (await ask(bridge, "GET", path, Host=host))[0] == 200, path
    assert (await ask(bridge, "POST", CHANGING, Host=host, Origin=f"http://{host}"))[0] == 200
    for path, headers in SOCKETS.items():
        assert (await ask(bridge, "GET", path, Host=host, **headers))[0] in (101, 200)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "[", ""]
)
async def test_by_a_name_that_somebody_gave_us_nothing_is(bridge: Bridge, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/api/v1/readings"), ("POST", "/send_command"), ("GET", "/nowhere")):
        status, text = await ask(bridge, method, path, Host=host, Origin=f"http://{host}")
        assert (status, "http.hosts" in text, "http.trusted_proxies" in text) == (421, True, True), path
    for path, headers in SOCKETS.items():
        assert (await ask(bridge, "GET", path, Host=host, Origin=f"http://{host}", **headers))[0] == 421


TRUSTING = HttpSettings.model_validate({"port": 0, "trusted_proxies": ["127.0.0.1"]})


@pytest.mark.parametrize("http", [TRUSTING, HttpSettings(port=0, host="0.0.0.0")], ids=["a proxy", "for others too"])
async def test_behind_a_trusted_proxy_and_for_others_we_have_any_name(bridge: Bridge) -> None:
    own = {"Host": "air.example", "Origin": "https://air.example", "X_Forwarded_Proto": "https"}
    assert (await ask(bridge, "GET", "/", **own))[0] == 200
    assert (await ask(bridge, "POST", CHANGING, **own))[0] == 200
    assert (await ask(bridge, "POST", CHANGING, **own | {"Origin": STRANGER}))[0] == 403
