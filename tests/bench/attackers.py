"""`python -m tests.bench.attackers URL SECONDS ATTACK …`: unauthenticated and misbehaving clients.

Prints at its end how often each attack was tried and how often it gained access.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import orjson
import uvloop
import websockets
from websockets.asyncio.client import connect

from tests.access.ways import LISTENING, attempted, bearer
from tests.bench.guarded import token_for
from tests.bench.hostile_bodies import hostile_requests
from tests.realtime.websocket.test_parser import BROKEN
from tests.realtime.websocket.test_server import HANDSHAKE

SILENT, PAUSE_SECONDS = 200, 0.02
BODIES, BODY_SECONDS = 6, 0.5
PLAIN = ("", "identity")
STARTED = "started"
"""The first line of the output."""

GUESSED = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Attackers:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.port = int(url.rpartition(":")[2])
        self._url = url
        self._session = session
        self.tried: Counter[str] = Counter()
        self.let_in: Counter[str] = Counter()
        self._hostile = hostile_requests(f"127.0.0.1:{self.port}")

    async def connect_with_forged_token(self) -> None:
        """Connect by each protocol in turn."""
        name = [*LISTENING][self.tried["sockets"] % len(LISTENING)]
        self.tried["sockets"] += 1
        self.let_in["sockets"] += (await attempted(LISTENING[name], self, GUESSED)).let_in

    async def post_oversized_body(self) -> None:
        """Post a large body over HTTP."""
        self.tried["requests"] += 1
        url = f"{self._url}/api/v1/readings"
        async with self._session.post(url, data=b"[" * 100_000, headers=bearer(GUESSED)) as response:
            self.let_in["requests"] += response.status < 400

    async def guess_password(self) -> None:
        """Log in as each of 50 users in turn."""
        self.tried["logins"] += 1
        body = {"username": f"user{self.tried['logins'] % 50}", "password": "x" * 200}
        async with self._session.post(f"{self._url}/auth/login", json=body) as response:
            self.let_in["logins"] += response.status < 400

    async def send_hostile_body(self) -> None:
        """Send a body in whole, whatever is answered meanwhile; no compressed one may be accepted."""
        self.tried["bodies"] += 1
        request = next(self._hostile)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                writer.write(request.head + request.body)
                status = await reader.readline()
                self.let_in["bodies"] += bool(request.encoding not in PLAIN and status and status.split()[1] < b"4")
                await reader.read()
        finally:
            writer.transport.abort()

    async def break_protocol(self) -> None:
        """Authenticate, then send each violation of the protocol in turn."""
        sent, _ = BROKEN[self.tried["frames"] % len(BROKEN)]
        self.tried["frames"] += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        header = f"Authorization: Bearer {token_for()}\r\n\r\n"
        writer.write(HANDSHAKE.format(path="/ws").encode() + header.encode() + sent)
        with suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()

    async def flood(self) -> None:
        """Authenticate, then send more messages than allowed."""
        self.tried["floods"] += 1
        with suppress(websockets.WebSocketException, OSError):
            async with connect(f"ws://127.0.0.1:{self.port}/ws", additional_headers=bearer(token_for())) as socket:
                for _ in range(2000):
                    await socket.send(orjson.dumps({"type": "subscribe", "topics": ["x" * 100] * 50}).decode())

    async def stay_silent(self) -> None:
        """Connect without logging in."""
        self.tried["silent"] += 1
        with suppress(websockets.WebSocketException, OSError):
            async with connect(f"ws://127.0.0.1:{self.port}/ws") as socket:
                await socket.wait_closed()


ATTACKS = {
    "silent": (Attackers.stay_silent, SILENT, PAUSE_SECONDS),
    "sockets": (Attackers.connect_with_forged_token, 1, PAUSE_SECONDS),
    "requests": (Attackers.post_oversized_body, 1, PAUSE_SECONDS),
    "logins": (Attackers.guess_password, 1, PAUSE_SECONDS),
    "bodies": (Attackers.send_hostile_body, BODIES, 0),
    "frames": (Attackers.break_protocol, 1, PAUSE_SECONDS),
    "floods": (Attackers.flood, 1, 0.2),
}
"""The attack, the number of concurrent attackers, and the pause of each in seconds."""


async def main(url: str, seconds: float, names: list[str]) -> None:
    until = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        attackers = Attackers(url, session)
        sys.stdout.write(f"{STARTED}\n")
        sys.stdout.flush()

        async def repeat(attack: Callable[[Attackers], Awaitable[None]], pause: float) -> None:
            while time.monotonic() < until:
                with suppress(aiohttp.ClientError, OSError, TimeoutError, websockets.WebSocketException, AssertionError):
                    await attack(attackers)
                await asyncio.sleep(pause)

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + 1), asyncio.TaskGroup() as tasks:
                for name in names:
                    attack, count, pause = ATTACKS[name]
                    for _ in range(count):
                        tasks.create_task(repeat(attack, pause))
    sys.stdout.write(orjson.dumps({"tried": attackers.tried, "let in": attackers.let_in}).decode() + "\n")


if __name__ == "__main__":
    if hasattr(os, "SCHED_IDLE"):  # real attackers use other machines and take no CPU time from the bridge
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)
    uvloop.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
