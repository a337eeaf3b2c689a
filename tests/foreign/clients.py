"""Clients of other people: curl, mosquitto's, `websockets`, `ws` and Socket.IO of Node, Chromium."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from playwright.async_api import Browser
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.servers import missing

SCRIPTS = Path(__file__).parent.parent / "clients"
SECONDS = 30.0


def program(*names: str, package: str | None = None) -> str:
    """The first of these programs that is there."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing(f"there is no {names[0]}; on Debian: apt-get install {package or names[0]}")
    return str(found)


async def run(*command: str, sent: bytes = b"", seconds: float = SECONDS) -> bytes:
    """What a program prints, which must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        printed, errors = await asyncio.wait_for(process.communicate(sent), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command[0]}: {errors.decode()[-2000:]}"
    return printed


# --- HTTP and MQTT -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl was answered; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def curl(url: str, *options: str, sent: bytes = b"") -> Answer:
    """`sent` is curl's standard input, for `--data-binary @-`."""
    printed = await run(program("curl"), "--silent", "--show-error", "--include", *options, url, sent=sent)
    head, _, body = printed.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


async def mosquitto_pub(broker_url: str, topic: str, message: str, *options: str) -> None:
    """Returns when the broker has it."""
    named = ("-h", str(urlsplit(broker_url).hostname), "-p", str(urlsplit(broker_url).port))
    await run(program("mosquitto_pub", package="mosquitto-clients"), *named, "-q", "1", "-t", topic, "-m", message, *options)


@asynccontextmanager
async def mosquitto_sub(broker_url: str, topic: str) -> AsyncIterator[Socket]:
    """Hears the messages of a topic; it is subscribed when it has heard one of another topic, which is sent until then."""
    named = ("-h", str(urlsplit(broker_url).hostname), "-p", str(urlsplit(broker_url).port))
    probe = f"probe/{uuid.uuid4().hex}"
    command = (program("mosquitto_sub", package="mosquitto-clients"), *named, "-q", "1", "-t", topic, "-t", probe)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.TaskGroup() as tasks:
        socket = Socket()
        reading = tasks.create_task(_take_lines(process.stdout, socket.take))
        try:
            async with asyncio.timeout(SECONDS):
                while socket.is_empty:
                    await mosquitto_pub(broker_url, probe, "{}")
            yield socket
        finally:
            reading.cancel()
            process.terminate()
            await process.wait()


async def _take_lines(stream: asyncio.StreamReader, take: Callable[[str], object]) -> None:
    while line := await stream.readline():
        take(line.decode().strip())


# --- WebSockets --------------------------------------------------------------------------------------------------------


class Socket:
    """What a client has heard and not looked at yet; the code, when it was closed."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[str | int] = asyncio.Queue()

    def take(self, item: str | int) -> None:
        """A message, or the code of the end."""
        self._inbox.put_nowait(item)

    @property
    def is_empty(self) -> bool:
        return self._inbox.empty()

    async def send(self, text: str) -> None:
        raise NotImplementedError

    async def say(self, body: object) -> None:
        await self.send(orjson.dumps(body).decode())

    async def hear(self, **having: object) -> Any:
        """The next message with these members; others are passed over."""
        async with asyncio.timeout(SECONDS):
            while True:
                item = await self._inbox.get()
                assert isinstance(item, str), f"closed with {item}"
                message = orjson.loads(item)
                if having.items() <= message.items():
                    return message

    async def closed(self) -> int:
        """The code of the end; what was heard before is passed over."""
        async with asyncio.timeout(SECONDS):
            while isinstance(item := await self._inbox.get(), str):
                pass
        return item


Open = Callable[[str], AbstractAsyncContextManager[Socket]]
"""Connects to a ws:// URL."""


class _PythonSocket(Socket):
    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self._connection = connection

    async def send(self, text: str) -> None:
        await self._connection.send(text)

    async def listen(self) -> None:
        try:
            async for message in self._connection:
                assert isinstance(message, str)
                self.take(message)
        except ConnectionClosed:
            pass
        self.take(self._connection.close_code or 1006)


@asynccontextmanager
async def python_socket(url: str, **options: Any) -> AsyncIterator[Socket]:
    """By `websockets`."""
    async with connect(url, **options) as connection, asyncio.TaskGroup() as tasks:
        socket = _PythonSocket(connection)
        listening = tasks.create_task(socket.listen())
        try:
            yield socket
        finally:
            listening.cancel()


class _NodeSocket(Socket):
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._process = process

    async def send(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")
        await self._process.stdin.drain()

    async def listen(self) -> None:
        assert self._process.stdout is not None
        await _take_lines(self._process.stdout, lambda line: self.take(next(iter(orjson.loads(line).values()))))


@asynccontextmanager
async def _node(script: str, *arguments: str) -> AsyncIterator[Socket]:
    command = (program("node", package="nodejs"), str(SCRIPTS / script), *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    async with asyncio.TaskGroup() as tasks:
        socket = _NodeSocket(process)
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), SECONDS) == b'"open"\n'
        listening = tasks.create_task(socket.listen())
        try:
            yield socket
        finally:
            listening.cancel()
            if process.returncode is None:
                process.terminate()
            await process.wait()


node_socket = partial(_node, "ws.mjs")
"""By Node's `ws`."""

node_socketio = partial(_node, "socketio.mjs")
"""By Node's `socket.io-client`: `(url, transport)`. It hears {event, body} and {answer}, and is to say [event, body]."""


class _BrowserSocket(Socket):
    def __init__(self, evaluate: Callable[[str, str], Any]) -> None:
        super().__init__()
        self._evaluate = evaluate

    async def send(self, text: str) -> None:
        await self._evaluate("text => socket.send(text)", text)


_IN_PAGE = """url => new Promise((done) => {
  window.socket = new WebSocket(url);
  socket.addEventListener("open", done);
  socket.addEventListener("message", ({ data }) => take(data));
  socket.addEventListener("close", ({ code }) => { take(code); done(); });
})"""


@asynccontextmanager
async def browser_socket(browser: Browser, url: str) -> AsyncIterator[Socket]:
    """By Chromium, on a page of the same origin."""
    page = await browser.new_page()
    socket = _BrowserSocket(page.evaluate)
    await page.goto(f"http://{urlsplit(url).netloc}/websocket/status")
    await page.expose_function("take", socket.take)
    await page.evaluate(_IN_PAGE, url)
    try:
        yield socket
    finally:
        await page.close()
