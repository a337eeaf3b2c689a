"""A live table of readings in the terminal, from a Socket.IO client."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

import orjson
import socketio
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.core.errors import BridgeError
from bridge.core.readings.measurements import MEASUREMENTS
from bridge.core.timestamp import parse_time
from bridge.tools.api_client import no_bridge
from bridge.tools.terminal import printable

_FRAMES_PER_SECOND = 8
_CONNECT_SECONDS = 5
_TIME_WIDTH = len("12:00:00.000")
_DEVICE_WIDTH = 12  # a longer id is folded where the terminal is narrow, never cut
_GAP = 2  # between columns: one of the box, one of the padding


class ReadingsTable:
    def __init__(self, rows: int) -> None:
        self._readings: deque[dict[str, Any]] = deque(maxlen=rows)
        self.connected = False

    def add(self, data: dict[str, Any]) -> None:
        self._readings.appendleft(data)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a table of the measurements for which there is room, and a line that names the others."""
        names = [printable(str(reading.get("deviceId", ""))) for reading in self._readings]
        room = options.max_width - _TIME_WIDTH - _GAP
        device_width = min(max(map(cell_len, ["device", *names])), max(room // 2, _DEVICE_WIDTH))
        columns = self._columns()
        shown = _fitting(columns, room - device_width)
        state = ("connected", "green") if self.connected else ("connecting …", "yellow")
        yield Text.assemble(state, "  ·  Ctrl-C stops")
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("time", no_wrap=True)
        table.add_column("device", max_width=device_width, overflow="fold")
        for column in columns[:shown]:
            table.add_column(column[0], justify="right", no_wrap=True)
        for at, (reading, name) in enumerate(zip(self._readings, names, strict=True)):
            values = (Text(column[1][at]) for column in columns[:shown])
            table.add_row(Text(_local_clock(reading.get("timestamp"))), Text(name), *values)
        yield table
        if left_out := [column[0].partition(" ")[0] for column in columns[shown:]]:
            yield Text(f"no room for {', '.join(left_out)}: widen the terminal, or --json", "dim")

    def _columns(self) -> list[tuple[str, list[str]]]:
        """Return the heading and the cells of each measurement that a listed reading has."""
        return [
            (f"{one.name} {one.unit}".strip(), [_cell(reading.get(one.name)) for reading in self._readings])
            for one in MEASUREMENTS
            if any(one.name in reading for reading in self._readings)
        ]


def _fitting(columns: Sequence[tuple[str, list[str]]], width: int) -> int:
    """Return how many columns fit into a width, in characters."""
    for at, (heading, cells) in enumerate(columns):
        width -= _GAP + max(map(cell_len, [heading, *cells]))
        if width < 0:
            return at
    return len(columns)


def _cell(value: object) -> str:
    return "" if value is None else printable(str(value))


def _local_clock(timestamp: object) -> str:
    milliseconds = parse_time(timestamp)
    if milliseconds is None:
        return ""
    return f"{datetime.fromtimestamp(milliseconds // 1000).astimezone():%H:%M:%S}.{milliseconds % 1000:03d}"


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
        raise no_bridge(url, error) from None
    try:
        live = Live(table, console=console, refresh_per_second=_FRAMES_PER_SECOND)
        with nullcontext() if plain else live:
            await complete.wait()
    finally:
        await client.disconnect()
