"""Connections that one worker accepts and another must serve: requests of a session that the other worker has.

The kernel gives each connection to any worker of the port, and Engine.IO long-polling uses several connections for one session.
So the id of a session begins with the number of its worker, and a request for the session of another worker is handed over with
its connection: the file descriptor travels as SCM_RIGHTS, beside the bytes that were read. Further requests on that connection
reach the right worker at once, and that worker sees the client's own address.
"""

import asyncio
import logging
import os
import re
import socket
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

log = logging.getLogger(__name__)

_SID = re.compile(r"w(\d{1,2})-")
_DATAGRAM_BYTES = 160_000
"""The longest head of a request (64 headers of 1 KiB) and body of a POST (64 KiB); Linux sends up to 212,992 bytes."""

_BODY_BYTES = 65_536
_BODY_SECONDS = 10.0
_SEND_SECONDS = 2.0
_RETRY_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """The place of a worker. `folder` is readable for its user only; each worker has a socket there."""

    number: int
    folder: Path

    def address_of(self, number: int) -> str:
        return str(self.folder / f"{number}.sock")

    @property
    def sid_prefix(self) -> str:
        return f"w{self.number}-"


class Handover:
    def __init__(self, slot: WorkerSlot) -> None:
        self.slot = slot
        self.sent = self.received = self.failed = 0
        self._socket: socket.socket | None = None

    def worker_of(self, sid: str) -> int | None:
        """Return the number of another worker that has a session, None if it is ours or of nobody."""
        match = _SID.match(sid)
        number = int(match[1]) if match else self.slot.number
        return None if number == self.slot.number else number

    async def hand_over(self, request: web.Request, number: int) -> bool:
        """Give a request with its connection to a worker; return False if that worker does not run or does not take it.

        After True the connection is closed here, and an answer goes nowhere.
        """
        transport = request.transport
        if transport is None or self._socket is None:
            return False
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read() if request.can_read_body else b""
        except TimeoutError:
            return False
        data = _head(request, body) + body
        transport_socket = transport.get_extra_info("socket")
        if len(body) > _BODY_BYTES or len(data) > _DATAGRAM_BYTES or transport_socket is None:
            self.failed += 1
            return False
        transport.pause_reading()
        try:
            descriptor = os.dup(transport_socket.fileno())  # ours: that of a connection that ends may be used again meanwhile
        except OSError:
            return False
        try:
            is_sent = await self._send(data, descriptor, self.slot.address_of(number))
        finally:
            os.close(descriptor)
        if not is_sent:
            self.failed += 1
            transport.resume_reading()
            return False
        self.sent += 1
        transport.abort()  # this closes our descriptor and not the connection
        return True

    async def _send(self, data: bytes, descriptor: int, address: str) -> bool:
        """Send a datagram. The queue of a busy worker may be full: then try again, for a limited time."""
        deadline = asyncio.get_running_loop().time() + _SEND_SECONDS
        while self._socket is not None:
            try:
                self._socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))], 0, address)
            except BlockingIOError:
                if asyncio.get_running_loop().time() >= deadline:
                    return False
                await asyncio.sleep(_RETRY_SECONDS)
            except OSError:  # it does not run
                return False
            else:
                return True
        return False

    @contextmanager
    def receiving(self, create: Callable[[], asyncio.Protocol]) -> Iterator[None]:
        """Serve the connections that other workers hand over, by protocols of `create`."""
        path = self.slot.address_of(self.slot.number)
        Path(path).unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()

        def receive() -> None:
            with suppress(BlockingIOError):
                data, descriptors, _, _ = socket.recv_fds(endpoint, _DATAGRAM_BYTES + 1, 1)
                for descriptor in descriptors:
                    task = loop.create_task(self._serve(socket.socket(fileno=descriptor), data, create), name="handed over")
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as endpoint:
            endpoint.setblocking(False)
            endpoint.bind(path)
            self._socket = endpoint
            loop.add_reader(endpoint.fileno(), receive)
            try:
                yield
            finally:
                loop.remove_reader(endpoint.fileno())
                self._socket = None
                Path(path).unlink(missing_ok=True)
                for task in tasks:
                    task.cancel()

    async def _serve(self, connection: socket.socket, data: bytes, create: Callable[[], asyncio.Protocol]) -> None:
        connection.setblocking(False)
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(create, connection)
        except OSError as error:  # the client disconnected
            connection.close()
            log.debug("handover: connection not taken: %s", error)
        else:
            self.received += 1
            protocol.data_received(data)


HANDOVER: web.AppKey[Handover] = web.AppKey("handover", Handover)


def _head(request: web.Request, body: bytes) -> bytes:
    """Return the request line and headers; a chunked body gets a Content-Length, because it was read."""
    version = request.version
    lines = [f"{request.method} {request.raw_path} HTTP/{version.major}.{version.minor}".encode("utf-8", "surrogateescape")]
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    lines += [name + b": " + value for name, value in request.raw_headers if not (chunked and name.lower() in _LENGTHS)]
    if chunked:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", b""))


_LENGTHS = (b"transfer-encoding", b"content-length")
