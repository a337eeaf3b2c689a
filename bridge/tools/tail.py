"""A live table of readings in the terminal, as any Socket.IO client could show it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import orjson
import socketio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bridge.core.errors import BridgeError
from bridge.core.readings.measurements import MEASUREMENTS

_FRAMES_PER_SECOND = 8
_CONNECT_SECONDS = 5


class ReadingsTable:
    """The newest readings, newest on top."""

    def __init__(self, rows: int) -> None:
        """Show at most `rows`."""
        self._readings: deque[dict[str, Any]] = deque(maxlen=rows)
        self.connected = False

    def add(self, data: dict[str, Any]) -> None:
        """A reading came."""
        self._readings.appendleft(data)

    def __rich__(self) -> Table:
        """Columns for what the shown readings have."""
        shown = [one for one in MEASUREMENTS if any(one.name in reading for reading in self._readings)]
        state = "[green]connected[/]" if self.connected else "[yellow]connecting …[/]"
        table = Table(title=f"{state}  ·  Ctrl-C ends", title_justify="left", expand=False)
        table.add_column("time", no_wrap=True)
        table.add_column("device", no_wrap=True)
        for one in shown:
            table.add_column(f"{one.name} {one.unit}".strip(), justify="right")
        for reading in self._readings:
            values = ("" if (value := reading.get(one.name)) is None else str(value) for one in shown)
            table.add_row(str(reading["timestamp"])[11:23], str(reading.get("deviceId", "")), *values)
        return table


async def tail(url: str, console: Console, *, plain: bool, count: int | None, token: str | None = None) -> None:
    """Show `sensorData` from `url` until cancelled or `count` readings; raises `BridgeError` if nothing answers there, or it is
    not let in.
    """
    table = ReadingsTable(rows=max(console.height - 6, 5))
    enough = asyncio.Event()
    received = 0
    client = socketio.AsyncClient(json=None)

    def on_data(body: dict[str, Any]) -> None:
        nonlocal received
        if enough.is_set():
            return
        table.add(body["data"])
        if plain:
            console.out(orjson.dumps(body["data"]).decode(), highlight=False)
        received += 1
        if received == count:
            enough.set()

    client.on("sensorData", on_data)
    client.on("connect", lambda: setattr(table, "connected", True))
    client.on("disconnect", lambda *_: setattr(table, "connected", False))
    refused: list[str] = []
    client.on("connect_error", lambda body=None: refused.extend([str(body["message"])] if isinstance(body, dict) else []))
    try:
        await client.connect(url, auth={"token": token} if token else None, wait_timeout=_CONNECT_SECONDS)
    except socketio.exceptions.ConnectionError as error:
        if refused:
            raise BridgeError(f"the bridge at {url} does not let us in: {refused[0]} (--token)") from None
        raise BridgeError(f"no bridge answers at {url}: {error}") from None
    try:
        with _shown(table, console, plain=plain):
            await enough.wait()
    finally:
        await client.disconnect()


def _shown(table: ReadingsTable, console: Console, *, plain: bool) -> Any:  # noqa: ANN401 - a context manager of either kind
    from contextlib import nullcontext

    if plain:
        return nullcontext()
    return Live(get_renderable=table.__rich__, console=console, refresh_per_second=_FRAMES_PER_SECOND)
