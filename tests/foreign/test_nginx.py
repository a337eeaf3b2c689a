"""Pages behind a real nginx: they may write and connect on any port, whether the proxy keeps the port or drops it."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from playwright.async_api import Page

from bridge.app import Bridge
from bridge.settings import HttpSettings
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.foreign.clients import curl
from tests.servers import REPO, Nginx, free_port, until

TYPICAL = """
server {
    listen PORT;
    location / {
        proxy_pass http://127.0.0.1:BRIDGE;
        proxy_http_version 1.1;
        proxy_set_header Host HOST;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
    }
}
"""
CONNECT = """path => new Promise((done) => {
  const socket = new WebSocket(new URL(path, location.href).href.replace(/^http/, "ws"));
  socket.onopen = () => socket.send('{"type": "ping"}');
  socket.onmessage = ({ data }) => { if (JSON.parse(data).type === "pong") done("pong"); };
  socket.onclose = ({ code }) => done(code);
})"""
POST = """async () => (await fetch("/api/v1/readings", {
  method: "POST", headers: { "Content-Type": "application/json" }, body: '{"deviceId": "a", "temperature": 20}',
})).status"""


@asynccontextmanager
async def behind(start_bridge: StartBridge, broker_url: str, folder: Path, *trusted: str) -> AsyncIterator[Bridge]:
    http = HttpSettings.model_validate({"port": 0, "trusted_proxies": trusted, "hosts": ["bridge.test"]})
    async with start_bridge(broker_url, f"sqlite:///{folder}/bridge.db", http=http) as bridge:
        yield bridge


@asynccontextmanager
async def served(folder: Path, port: int, conf: str) -> AsyncIterator[None]:
    nginx = Nginx(folder / "nginx", port, conf)
    nginx.start()
    try:
        yield
    finally:
        nginx.stop()


@asynccontextmanager
async def page_at(url: str, *arguments: str) -> AsyncIterator[Page]:
    async with chromium(*arguments) as browser:
        context = await browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        await page.goto(f"{url}/examples/")
        yield page


def typical(port: int, bridge: Bridge, host: str) -> str:
    return TYPICAL.replace("PORT", str(port)).replace("BRIDGE", str(bridge.port)).replace("HOST", host)


@pytest.mark.parametrize("host", ["$host", "$http_host", "$host:$server_port"])
async def test_page_behind_a_trusted_nginx_may_write_and_connect_on_any_port(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, host: str
) -> None:
    port = free_port()
    async with (
        behind(start_bridge, broker_url, tmp_path, "127.0.0.1") as bridge,
        served(tmp_path, port, typical(port, bridge, host)),
        page_at(f"http://bridge.test:{port}", "--host-resolver-rules=MAP bridge.test 127.0.0.1") as page,
    ):
        assert await page.evaluate(POST) == 201
        assert await page.evaluate(CONNECT, "/ws") == "pong"


async def test_page_on_localhost_may_write_through_an_unknown_nginx_since_the_browser_vouches_for_it(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        behind(start_bridge, broker_url, tmp_path) as bridge,
        served(tmp_path, port, typical(port, bridge, "$host")),
        page_at(f"http://localhost:{port}") as page,
    ):
        assert await page.evaluate(POST) == 201


async def test_refusal_says_what_to_set_where_the_port_is_unknown(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    port = free_port()
    async with behind(start_bridge, broker_url, tmp_path) as bridge, served(tmp_path, port, typical(port, bridge, "$host")):
        url, origin = f"http://bridge.test:{port}", f"Origin: http://bridge.test:{port}"
        resolved = ("--resolve", f"bridge.test:{port}:127.0.0.1")
        upgrade = (
            "-H",
            "Upgrade: websocket",
            "-H",
            "Sec-WebSocket-Version: 13",
            "-H",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        for answer in (
            await curl(f"{url}/api/v1/readings", *resolved, "-H", origin, "-d", "{}"),
            await curl(f"{url}/ws", *resolved, "-H", origin, *upgrade),
        ):
            assert answer.status == 403
            assert b"proxy_set_header Host $http_host" in answer.body
            assert b"http.trusted_proxies" in answer.body
        elsewhere = await curl(f"{url}/api/v1/readings", *resolved, "-H", "Origin: http://elsewhere.example", "-d", "{}")
        assert (elsewhere.status, b"proxy_set_header" in elsewhere.body) == (403, False)


async def test_shipped_configuration_works_on_any_port(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    plain, port = free_port(), free_port()
    certificate(tmp_path)
    async with behind(start_bridge, broker_url, tmp_path, "127.0.0.1") as bridge:
        conf = (REPO / "config" / "nginx.conf").read_text()
        for shipped, ours in (
            ("listen 80;", f"listen {plain};"),
            ("listen 443 ", f"listen {port} "),
            ("https://$host$request_uri", f"https://$host:{port}$request_uri"),
            ("127.0.0.1:3000", f"127.0.0.1:{bridge.port}"),
            ("/etc/ssl/", f"{tmp_path}/"),
            ("/var/log/nginx/", f"{tmp_path}/"),
        ):
            assert shipped in conf
            conf = conf.replace(shipped, ours)
        async with served(tmp_path, port, conf):
            async with page_at(f"http://bridge.test:{plain}", "--host-resolver-rules=MAP bridge.test 127.0.0.1") as page:
                assert page.url == f"https://bridge.test:{port}/examples/"
                assert await page.evaluate(POST) == 201
                assert await page.evaluate(CONNECT, "/ws") == "pong"
            await until(lambda: "/ws" in (tmp_path / "bridge.log").read_text(), what="the connection in the log")


def certificate(folder: Path) -> None:
    """Write a self-signed certificate under the names of the shipped configuration."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bridge.example.org")])
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now)
    signed = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "bridge.example.org.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "bridge.example.org.key").write_bytes(private)
