"""The memory of a page, by a connection of the DevTools protocol that is open only while it measures."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.servers import until

_ANSWER_SECONDS = 60.0
_BY_COMPILER = ("code", "object shape")
_DEPENDENT_CODE = "system / WeakArrayList"
_OF_V8 = "system / "


@dataclass(frozen=True, slots=True)
class HeapParts:
    """What a heap snapshot consists of."""

    values_bytes: int
    """Objects, arrays, strings and functions: what a leak of the page would add to."""
    code_bytes: int
    """What V8 makes of the scripts: bytecode, machine code, shapes of objects, and which code depends on them."""
    browser_bytes: int
    """Objects of the browser: elements, styles, and its record of requests, long tasks and long frames, which has a limit."""

    @classmethod
    def names(cls) -> list[str]:
        return [one.name for one in fields(cls)]


def heap_parts(snapshot: str) -> HeapParts:
    """Add up the nodes of a heap snapshot."""
    heap = json.loads(snapshot)
    meta, nodes, strings = heap["snapshot"]["meta"], heap["nodes"], heap["strings"]
    columns, types = meta["node_fields"], meta["node_types"][0]
    step = len(columns)
    kind, name, size = (nodes[columns.index(column) :: step] for column in ("type", "name", "self_size"))
    values = code = browser = 0
    for of_type, of_name, of_bytes in zip(kind, name, size, strict=True):
        if types[of_type] in _BY_COMPILER or strings[of_name] == _DEPENDENT_CODE:
            code += of_bytes
        elif types[of_type] == "native" and not strings[of_name].startswith(_OF_V8):
            browser += of_bytes
        else:
            values += of_bytes
    return HeapParts(values, code, browser)


class RefusedCommandError(Exception):
    """The browser's answer to a command was an error."""


class DevTools:
    """Commands to one page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._commands = 0

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        return (await self._send(method, parameters))[0]

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, awaited if it is a promise."""
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def is_loaded(self) -> bool:
        try:
            return bool(await self.evaluate("location.protocol === 'http:' && document.readyState === 'complete'"))
        except RefusedCommandError:
            return False  # between two documents, there is nothing to evaluate in

    async def metrics(self) -> dict[str, float]:
        """Return the browser's metrics after two collections, because the first one may leave what finalizers held."""
        await self.send("Performance.enable")
        for _ in range(2):
            await self.send("HeapProfiler.collectGarbage")
        return {one["name"]: float(one["value"]) for one in (await self.send("Performance.getMetrics"))["metrics"]}

    async def heap_parts(self) -> HeapParts:
        """Take a heap snapshot; V8 collects garbage for it."""
        events = (await self._send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False}))[1]
        chunks = [one["params"]["chunk"] for one in events if one["method"] == "HeapProfiler.addHeapSnapshotChunk"]
        return await asyncio.to_thread(heap_parts, "".join(chunks))

    async def _send(self, method: str, parameters: dict[str, object]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the answer, and the events that came before it."""
        self._commands += 1
        await self._connection.send(json.dumps({"id": self._commands, "method": method, "params": parameters}))
        events: list[dict[str, Any]] = []
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                message = json.loads(await self._connection.recv())
                if message.get("id") == self._commands:
                    if "error" in message:
                        raise RefusedCommandError(f"{method}: {message['error']}")
                    return message["result"], events
                events.append(message)


@asynccontextmanager
async def attached(port: int) -> AsyncIterator[DevTools]:
    """Attach to the only page of the browser at this port, and detach at the end."""

    def address() -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                pages = [one["webSocketDebuggerUrl"] for one in json.load(answer) if one["type"] == "page"]
        except OSError:
            return None  # it is starting
        return pages[0] if pages else None

    async with asyncio.timeout(_ANSWER_SECONDS):
        while (url := await asyncio.to_thread(address)) is None:
            await asyncio.sleep(0.1)
    async with connect(url, max_size=None) as connection:
        page = DevTools(connection)
        await until(page.is_loaded, what="the page")
        yield page
