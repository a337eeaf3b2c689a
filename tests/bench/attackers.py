"""`python -m tests.bench.attackers URL SECONDS ATTACK …`: those who may not come in, and those who misbehave.

Says at its end how often each tried, and how often somebody was let in who may not.
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
from tests.realtime.websocket.test_parser import BROKEN
from tests.realtime.websocket.test_server import HANDSHAKE

SILENT, PAUSE_SECONDS = 200, 0.02
GUESSED = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Attackers:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.port = int(url.rpartition(":")[2])
        self._url = url
        self._session = session
        self.tried: Counter[str] = Counter()
        self.let_in: Counter[str] = Counter()

    async def knock(self) -> None:
        """At every socket way in turn, with a token that somebody made up."""
        name = [*LISTENING][self.tried["sockets"] % len(LISTENING)]
        self.tried["sockets"] += 1
        self.let_in["sockets"] += (await attempted(LISTENING[name], self, GUESSED)).let_in

    async def ask(self) -> None:
        """By HTTP, with something huge in the body."""
        self.tried["requests"] += 1
        url = f"{self._url}/api/v1/readings"
        async with self._session.post(url, data=b"[" * 100_000, headers=bearer(GUESSED)) as answer:
            self.let_in["requests"] += answer.status < 400

    async def guess(self) -> None:
        """A password, for a user of each name."""
        self.tried["logins"] += 1
        body = {"username": f"user{self.tried['logins'] % 50}", "password": "x" * 200}
        async with self._session.post(f"{self._url}/auth/login", json=body) as answer:
            self.let_in["logins"] += answer.status < 400

    async def misbehave(self) -> None:
        """Let in, and then every breach of the protocol in turn."""
        sent, _ = BROKEN[self.tried["frames"] % len(BROKEN)]
        self.tried["frames"] += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        shown = f"Authorization: Bearer {token_for()}\r\n\r\n"
        writer.write(HANDSHAKE.format(path="/ws").encode() + shown.encode() + sent)
        with suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()

    async def babble(self) -> None:
        """Let in, and more messages than anybody may send."""
        self.tried["floods"] += 1
        with suppress(websockets.WebSocketException, OSError):
            async with connect(f"ws://127.0.0.1:{self.port}/ws", additional_headers=bearer(token_for())) as socket:
                for _ in range(2000):
                    await socket.send(orjson.dumps({"type": "subscribe", "topics": ["x" * 100] * 50}).decode())

    async def stay_silent(self) -> None:
        """Connected, never logged in."""
        self.tried["silent"] += 1
        with suppress(websockets.WebSocketException, OSError):
            async with connect(f"ws://127.0.0.1:{self.port}/ws") as socket:
                await socket.wait_closed()


ATTACKS = {
    "silent": (Attackers.stay_silent, SILENT, PAUSE_SECONDS),
    "sockets": (Attackers.knock, 1, PAUSE_SECONDS),
    "requests": (Attackers.ask, 1, PAUSE_SECONDS),
    "logins": (Attackers.guess, 1, PAUSE_SECONDS),
    "frames": (Attackers.misbehave, 1, PAUSE_SECONDS),
    "floods": (Attackers.babble, 1, 0.2),
}
"""What each does, how many at once do it, and how long each rests in between."""


async def main(url: str, seconds: float, names: list[str]) -> None:
    until = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        attackers = Attackers(url, session)

        async def again_and_again(attack: Callable[[Attackers], Awaitable[None]], pause: float) -> None:
            while time.monotonic() < until:
                with suppress(aiohttp.ClientError, OSError, TimeoutError, websockets.WebSocketException, AssertionError):
                    await attack(attackers)
                await asyncio.sleep(pause)

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + 1), asyncio.TaskGroup() as tasks:
                for name in names:
                    attack, count, pause = ATTACKS[name]
                    for _ in range(count):
                        tasks.create_task(again_and_again(attack, pause))
    sys.stdout.write(orjson.dumps({"tried": attackers.tried, "let in": attackers.let_in}).decode() + "\n")


if __name__ == "__main__":
    if hasattr(os, "SCHED_IDLE"):  # they are on other machines, whose time is none of the bridge's
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)
    uvloop.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
