"""Subscribers that read at a limited rate, in a process of their own: they cost the process that measures no time.

The process connects them and says so in a line; then it reads how many readings each is to receive. It answers `state`
with a line, and exits when its input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import orjson
import uvloop

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.pool import SubscriberPool
from tests.bench.clients.limited import LIMITED, LimitedSubscriber
from tests.servers import REPO

READING_BYTES = 360
_STEP_SECONDS = 0.01
_STEP_PARTS = 10
_ANSWER_SECONDS = 60.0
_STATE = b"state"
_AUTOGROUP = Path("/proc/self/autogroup")


@dataclass(frozen=True, slots=True)
class LimitedState:
    """What the clients have received. `delivered` counts readings up to those expected; `lagging` clients still miss some."""

    delivered: int
    lagging: int
    disconnected: int
    gaps: int
    repeats: int
    inversions: int

    @property
    def is_over(self) -> bool:
        return self.lagging == 0

    @classmethod
    def of(cls, clients: Sequence[LimitedSubscriber], count: int) -> LimitedState:
        return cls(
            sum(min(client.expected - client.missing, count) for client in clients),
            sum(client.missing > 0 and not client.disconnected for client in clients),
            sum(client.disconnected for client in clients),
            sum(len(client.gaps) for client in clients),
            sum(client.repeats + max(-client.missing, 0) for client in clients),
            sum(client.inversions for client in clients),
        )


class LimitedClients:
    """The clients of another process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def expect(self, count: int) -> None:
        """Have each receive this many more readings."""
        await self._ask(b"%d" % count)

    async def state(self) -> LimitedState:
        return LimitedState(**orjson.loads(await self._ask(_STATE)))

    async def until_over(self, seconds: float) -> LimitedState:
        """Return the state when none lags any more, or after this time."""
        deadline = perf_counter() + seconds
        while not (state := await self.state()).is_over and perf_counter() < deadline:
            await asyncio.sleep(0.25)
        return state

    async def _ask(self, line: bytes) -> bytes:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        return await self.answer()

    async def answer(self) -> bytes:
        """Return the next line. Raises `BridgeError` if the process has ended, or does not answer."""
        assert self._process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                if line := await self._process.stdout.readline():
                    return line
        raise BridgeError("the process of the limited clients does not answer")


@asynccontextmanager
async def limited_clients(address: Address, way: str, count: int, pace: float) -> AsyncIterator[LimitedClients]:
    """Connect `count` clients, each of which reads `pace` readings a second, and disconnect them at the end."""
    arguments = (address.host, str(address.port), way, str(count), str(pace))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        *arguments,
        cwd=REPO,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        clients = LimitedClients(process)
        await clients.answer()
        yield clients
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read(clients: Sequence[LimitedSubscriber], pace: float) -> None:
    """Let each client read at the pace, one after the other, as clients of different machines do; never returns."""
    step_bytes, due = max(round(pace * READING_BYTES * _STEP_SECONDS), 1), perf_counter()
    while True:
        for part in range(_STEP_PARTS):
            for client in clients[part::_STEP_PARTS]:
                client.poll(step_bytes)
            due += _STEP_SECONDS / _STEP_PARTS
            await asyncio.sleep(max(due - perf_counter(), 0))


async def _lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.strip()


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _stand_back() -> None:
    """Run when nothing else does: these clients stand for those of other machines.

    Linux shares the processors between sessions first, so the session stands back too.
    """
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        _AUTOGROUP.write_text("19")


async def main(host: str, port: str, way: str, count: str, pace: str) -> None:
    _stand_back()
    pool = await SubscriberPool.connect(LIMITED[way], Address(host, int(port)), int(count), name="limited", patience=60)
    clients, expected = pool.subscribers, 0
    for client in clients:
        client.pause()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_read(clients, float(pace)), name="limited reads")
        _say(b"connected")
        async for line in _lines():
            if line == _STATE:
                _say(orjson.dumps(asdict(LimitedState.of(clients, expected))))
                continue
            expected = int(line)
            for client in clients:
                client.expect(expected, None, lambda _: None)
            _say(b"expecting")
        reading.cancel()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
