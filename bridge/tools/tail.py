"""A live table of readings in the terminal, from a Socket.IO client."""

import asyncio
from collections import deque
from contextlib import nullcontext
from typing import Any

import orjson
import socketio
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.core.errors import BridgeError
from bridge.core.readings.measurements import MEASUREMENTS
from bridge.tools.terminal import printable

_FRAMES_PER_SECOND = 8
_CONNECT_SECONDS = 5


class ReadingsTable:
    def __init__(self, rows: int) -> None:
        self._readings: deque[dict[str, Any]] = deque(maxlen=rows)
        self.connected = False

    def add(self, data: dict[str, Any]) -> None:
        self._readings.appendleft(data)

    def __rich__(self) -> Table:
        present = [
            measurement for measurement in MEASUREMENTS if any(measurement.name in reading for reading in self._readings)
        ]
        state = ("connected", "green") if self.connected else ("connecting …", "yellow")
        table = Table(title=Text.assemble(state, "  ·  Ctrl-C stops"), title_justify="left", expand=False)
        table.add_column("time", no_wrap=True)
        table.add_column("device", no_wrap=True)
        for measurement in present:
            table.add_column(f"{measurement.name} {measurement.unit}".strip(), justify="right")
        for reading in self._readings:
            values = ("" if (value := reading.get(measurement.name)) is None else str(value) for measurement in present)
            cells = (str(reading["timestamp"])[11:23], str(reading.get("deviceId", "")), *values)
            table.add_row(*(Text(printable(cell)) for cell in cells))
        return table


async def tail(url: str, console: Console, *, plain: bool, count: int | None, token: str | None = None) -> None:
    """Print `sensorData` events until cancelled or after `count` readings.

    Raises `BridgeError` if the bridge is unavailable or refuses the connection.
    """
    table = ReadingsTable(rows=max(console.height - 6, 5))
    complete = asyncio.Event()
    received = 0
    client = socketio.AsyncClient(json=None)

    def on_data(body: dict[str, Any]) -> None:
        nonlocal received
        if complete.is_set():
            return
        table.add(body["data"])
        if plain:
            console.out(orjson.dumps(body["data"]).decode(), highlight=False)
        received += 1
        if received == count:
            complete.set()

    client.on("sensorData", on_data)
    client.on("connect", lambda: setattr(table, "connected", True))
    client.on("disconnect", lambda *_: setattr(table, "connected", False))
    errors: list[str] = []
    client.on("connect_error", lambda body=None: errors.extend([str(body["message"])] if isinstance(body, dict) else []))
    try:
        await client.connect(url, auth={"token": token} if token else None, wait_timeout=_CONNECT_SECONDS)
    except socketio.exceptions.ConnectionError as error:
        if errors:
            raise BridgeError(f"the bridge at {url} refuses the connection: {errors[0]} (--token)") from None
        raise BridgeError(f"no bridge answers at {url}: {error}") from None
    try:
        live = Live(get_renderable=table.__rich__, console=console, refresh_per_second=_FRAMES_PER_SECOND)
        with nullcontext() if plain else live:
            await complete.wait()
    finally:
        await client.disconnect()
