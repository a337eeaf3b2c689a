"""A minimal broker and bridge that only pass readings on: a bench run against it measures the bench itself.

`python -m tests.bench.stand_in` serves until it is stopped. Tests inject faults.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

LOOK_SECONDS = 0.03
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Faults:
    """Injected faults: `holes` omits the third reading of a replay, `repeats` sends it twice."""

    holes: bool = False
    repeats: bool = False
    loses: bool = False  # every hundredth reading is dropped
    doubles: bool = False  # every hundredth reading is sent twice
    gap_after: int | None = None  # buffered bytes above which a client that reads nothing misses readings, reported later
    cut_after: int | None = None  # buffered bytes above which a client that reads nothing is disconnected


@dataclass(eq=False)
class Client:
    """A joined client; `skipped` holds the cursors it missed. Readings after `joined_at` are sent live and not replayed.

    `written` counts bytes, and `left` those that had left the buffer at the last look: on a busy machine a burst fills the
    buffer of a client that does read.
    """

    writer: asyncio.StreamWriter
    devices: set[str] | None = None
    skipped: list[int] = field(default_factory=list)
    joined_at: int = 0
    written: int = 0
    left: int = 0
    held: list[tuple[int, bytes]] = field(default_factory=list)
    """Readings that are sent or skipped at the next look: cursor and frame."""

    @property
    def buffered(self) -> int:
        return self.writer.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.writer.write(data)

    def reads_nothing(self, limit: int) -> bool:
        """Return whether the buffer is above the limit and nothing has left it since the last call."""
        left, before, is_full = self.written - self.buffered, self.left, self.buffered > limit
        self.left = left
        return is_full and left == before


class StandIn:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.clients: set[Client] = set()
        self.log: list[tuple[int, str, bytes]] = []
        self._cursors = count(1_767_000_000_000_000)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._batch: list[tuple[int, str, bytes]] = []
        self.port = 0
        self.mqtt_port = 0

    @asynccontextmanager
    async def serving(self, port: int = 0, mqtt_port: int = 0) -> AsyncIterator[StandIn]:
        bridge = await asyncio.start_server(self._client, "127.0.0.1", port, backlog=4096)
        broker = await asyncio.start_server(self._publisher, "127.0.0.1", mqtt_port)
        self.port, self.mqtt_port = (server.sockets[0].getsockname()[1] for server in (bridge, broker))
        self._tasks.add(asyncio.create_task(self._look_at_clients(), name="clients"))
        try:
            yield self
        finally:
            for server in (bridge, broker):
                server.close()
            for task in self._tasks:
                task.cancel()
            for client in self.clients:
                client.writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- the broker --------------------------------------------------------------------------------------------------

    async def _publisher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                kind, body = await _packet(reader)
                if kind == 0x10:
                    writer.write(b"\x20\x02\0\0")
                    continue
                size = struct.unpack(">H", body[:2])[0]
                self._reading(body[2 : 2 + size].decode().split("/")[-2], body[4 + size :])
                writer.write(b"\x40\x02" + body[2 + size : 4 + size])
        writer.transport.abort()

    def _reading(self, device: str, payload: bytes) -> None:
        cursor = next(self._cursors)
        data = payload[:-1] + b',"deviceId":"%b"}' % device.encode()
        text = b'42["sensorData",{"timestamp":"2026-11-21T09:00:00.000Z","data":%b,"cursor":%d}]' % (data, cursor)
        framed = frame(text)
        self.log.append((cursor, device, framed))
        hundredth = len(self.log) % 100 == 0
        if self.faults.loses and hundredth:
            return
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        self._batch.append((cursor, device, framed * (2 if self.faults.doubles and hundredth else 1)))

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        frames = b"".join(framed for _, _, framed in batch)
        for client in self.clients:
            if client.writer.transport.is_closing():
                continue
            if client.devices is None and not (client.skipped or client.held or client.buffered):
                client.write(frames)
            else:
                for cursor, device, framed in batch:
                    if client.devices is None or device in client.devices:
                        self._send(client, cursor, framed)

    def _send(self, client: Client, cursor: int, framed: bytes) -> None:
        if client.writer.transport.is_closing():
            return
        if client.skipped:
            client.skipped.append(cursor)
        elif self.faults.gap_after is not None and (client.held or client.buffered > self.faults.gap_after):
            client.held.append((cursor, framed))
        else:
            client.write(framed)

    async def _look_at_clients(self) -> None:
        """Find clients that read nothing, disconnect them, and report gaps to those that read again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for client in self.clients:
                if self.faults.cut_after is not None and client.reads_nothing(self.faults.cut_after):
                    client.writer.transport.abort()
                if self.faults.gap_after is not None and client.held:
                    self._send_or_skip(client, self.faults.gap_after)
                if client.skipped and not client.buffered:
                    body = {"from": client.skipped[0], "to": client.skipped[-1], "missed": len(client.skipped)}
                    client.write(frame(b'42["gap",%b]' % orjson.dumps(body)))
                    client.skipped.clear()

    def _send_or_skip(self, client: Client, limit: int) -> None:
        held = client.held
        if client.reads_nothing(limit):
            client.skipped += [cursor for cursor, _ in held]
            held.clear()
        elif client.buffered <= limit:
            client.write(b"".join(framed for _, framed in held))
            held.clear()

    # --- the bridge --------------------------------------------------------------------------------------------------

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        client = Client(writer)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        try:
            await self._serve(client, reader)
        except (
            asyncio.IncompleteReadError,
            ConnectionError,
            asyncio.CancelledError,
        ):  # otherwise Python 3.11 logs a traceback at the end
            pass
        finally:
            self.clients.discard(client)
            writer.transport.abort()

    async def _serve(self, client: Client, reader: asyncio.StreamReader) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        key = next(line.partition(b": ")[2] for line in lines if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - as RFC 6455 has it
        client.writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        client.writer.write(frame(b'0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":65536}'))
        while True:
            text = await _text(reader)
            if text == b"40":
                self._flush()
                client.joined_at = self.log[-1][0] if self.log else 0
                client.write(frame(b'40{"sid":"b"}'))
                self.clients.add(client)
            elif text.startswith(b"42"):
                self._subscribe(client, text[2:])

    def _subscribe(self, client: Client, text: bytes) -> None:
        self._flush()  # otherwise the pending batch would be sent twice
        number, _, rest = text.partition(b"[")
        body = orjson.loads(b"[" + rest)[1]
        client.devices = None if body["devices"] is None else set(body["devices"])
        replay = [
            (cursor, framed)
            for cursor, device, framed in (self.log if body["since"] is not None else ())
            if body["since"] < cursor <= client.joined_at and (client.devices is None or device in client.devices)
        ]
        frames = [framed for _, framed in replay]
        if self.faults.holes and frames:
            del frames[2]
        if self.faults.repeats and frames:
            frames.insert(2, frames[2])
        last = self.log[-1][0] if self.log else 0
        ack = {"ok": True, "devices": body["devices"], "replayed": len(frames), "cursor": last}
        client.write(b"".join(frames) + frame(b"43%b[%b]" % (number, orjson.dumps(ack))))


def frame(text: bytes) -> bytes:
    """Return a server's frame, which is not masked."""
    size = len(text)
    return b"\x81" + (bytes((size,)) if size < 126 else b"\x7e" + struct.pack(">H", size)) + text


async def _text(reader: asyncio.StreamReader) -> bytes:
    """Return the text of a frame whose mask is zero."""
    size = (await reader.readexactly(2))[1] & 0x7F
    if size == 126:
        size = struct.unpack(">H", await reader.readexactly(2))[0]
    await reader.readexactly(4)
    return await reader.readexactly(size)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind, size, shift = (await reader.readexactly(1))[0] & 0xF0, 0, 0
    while True:
        digit = (await reader.readexactly(1))[0]
        size |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return kind, await reader.readexactly(size)


async def _main() -> None:
    async with StandIn().serving(*map(int, sys.argv[1:])) as stand_in:
        print(f"--url http://127.0.0.1:{stand_in.port} --broker mqtt://127.0.0.1:{stand_in.mqtt_port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
