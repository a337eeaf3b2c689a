"""One client program against Socket.IO's own server for Node, and against ours: what a client can see of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.realtime.socketio.server import MESSAGE_LIMIT_BYTES, PATH
from bridge.settings import HttpSettings, RealtimeSettings
from tests.conftest import StartBridge
from tests.foreign.clients import SCRIPTS, SECONDS, program, run
from tests.servers import REPO

PAGE = "http://page.example"
REALTIME = RealtimeSettings(
    ping_interval_seconds=2.5,
    ping_timeout_seconds=2,
    handshake_seconds=2,
    message_burst=1000,
)
REFERENCE: dict[str, Any] = {
    "path": PATH,
    "pingInterval": 1000 * REALTIME.ping_interval_seconds,
    "pingTimeout": 1000 * REALTIME.ping_timeout_seconds,
    "connectTimeout": 1000 * REALTIME.handshake_seconds,
    "upgradeTimeout": 1000 * REALTIME.handshake_seconds,
    "maxHttpBufferSize": MESSAGE_LIMIT_BYTES,
    "cors": {"origin": [PAGE], "credentials": True},
}
DIFFERS: dict[str, str] = {}
"""Checks that the bridge does not pass, each with the reason; one that it passes after all does not belong here."""


@asynccontextmanager
async def reference(script: str = "reference.mjs", settings: Mapping[str, Any] = REFERENCE) -> AsyncIterator[str]:
    """The URL of Socket.IO's own server."""
    command = (program("node", package="nodejs"), str(SCRIPTS / script), orjson.dumps(settings).decode())
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = int(await asyncio.wait_for(process.stdout.readline(), SECONDS))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def seen(url: str, script: str = "conformance.mjs") -> dict[str, dict[str, Any]]:
    """What the program has seen there, by check."""
    printed = await run(program("node", package="nodejs"), str(SCRIPTS / script), url, seconds=4 * SECONDS)
    lines = [orjson.loads(line) for line in printed.splitlines()]
    checks = {line["check"]: line for line in lines}
    assert len(checks) == len(lines), "every check has a name of its own"
    return checks


@pytest.fixture
async def bridge_url(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[str]:
    http = HttpSettings(port=0, cors_origins=(PAGE,))
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http, realtime=REALTIME) as bridge:
        yield f"http://127.0.0.1:{bridge.port}"


async def test_a_client_sees_of_the_bridge_what_it_sees_of_socket_ios_own_server(bridge_url: str) -> None:
    async with reference() as reference_url:
        theirs = await seen(reference_url)
    ours = await seen(bridge_url)
    assert theirs.keys() == ours.keys()
    assert f"{len(theirs)} checks" in (REPO / "README.md").read_text()
    assert [one for one in theirs.values() if not one["ok"]] == [], "Socket.IO's own server is as the program says"
    failed = {
        name: f"\n  the bridge: {one['saw']}\n  Socket.IO: {theirs[name]['saw']}" for name, one in ours.items() if not one["ok"]
    }
    surprising = {name: saw for name, saw in failed.items() if name not in DIFFERS}
    assert not surprising, "".join(f"\n{name}{saw}" for name, saw in surprising.items())
    assert failed.keys() == DIFFERS.keys(), "what does not differ any more"
