"""Lists and progress bars of the commands. Texts are printed without markup or control characters."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from textwrap import wrap
from typing import Any

import orjson
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bridge.core.timestamp import parse_time
from bridge.tools.terminal import printable

_GAP = 2  # blanks between columns: one of the box, one of the padding
_PROSE_WIDTH = 16  # a text that wraps at words has at least this many, or else records are printed


@contextmanager
def progress_bar(console: Console, task: str, *, in_bytes: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a callback that takes the amount done and the total (None: unknown). The bar appears at its first call."""
    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    progress = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), count, TimeRemainingColumn(), console=console
    )
    bar = progress.add_task(task, total=None)

    def update(done: int, total: int | None) -> None:
        progress.start()
        progress.update(bar, completed=done, total=total)

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def counting_bar(console: Console, task: str, total: int) -> Iterator[Callable[[int], None]]:
    done = 0
    with progress_bar(console, task) as update:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            update(done, total)

        update(0, total)
        yield advance


# --- lists -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list. `prose` may be wrapped at its blanks; nothing else ever is, and nothing is cut."""

    name: str
    prose: bool = False
    number: bool = False


def print_list(console: Console, columns: Sequence[Column | str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print a table where the terminal is wide enough for it, else a record of lines per row; `empty` if there is no row.

    Where the width is short, columns without a value are left out first, and then headings and prose are wrapped. Output
    that is not a terminal is as wide as needed, unless COLUMNS is set.
    """
    if not rows:
        console.print(Text(printable(empty)), soft_wrap=True)
        return
    listed = [Column(column) if isinstance(column, str) else column for column in columns]
    cells = [[printable(cell) for cell in row] for row in rows]
    width = console.width if console.is_terminal or os.environ.get("COLUMNS") else None
    if width is not None and _width(listed, cells) > width:
        shown = [at for at in range(len(listed)) if at == 0 or any(row[at] for row in cells)]
        listed, cells = [listed[at] for at in shown], [[row[at] for at in shown] for row in cells]
        headed = _wrap_headings(listed, cells)
    else:
        headed = listed
    if width is not None and _width(headed, cells, wrapped=True) > width:
        _print_records(console, listed, cells)
    else:
        if width is None:
            console.width = max(console.width, _width(listed, cells))
        _print_table(console, headed, cells)


def print_json(console: Console, value: Any) -> None:  # noqa: ANN401 - JSON
    """Print indented JSON in which characters that a terminal would obey are escaped."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    safe = "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    console.print(Text(safe), soft_wrap=True)


def local_time(milliseconds: int | None, *, seconds: bool = False) -> str:
    """Return a time as `2026-11-30 04:03` in the time zone of the machine; empty for None."""
    if milliseconds is None:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M{':%S' if seconds else ''}}"


def local_time_of(text: str | None) -> str:
    """Return a time of the API, ISO 8601, in the time zone of the machine; empty for None."""
    return local_time(parse_time(text))


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, wrapped: bool = False) -> int:
    """Return the cells that a table needs; `wrapped`, with prose at its narrowest."""
    widths = []
    for at, column in enumerate(columns):
        texts = [*column.name.split("\n"), *(row[at] for row in rows)]
        width = max(map(cell_len, texts))
        if wrapped and column.prose:
            longest = max(cell_len(word) for text in texts for word in text.split(" "))
            width = min(width, max(longest, _PROSE_WIDTH))
        widths.append(width)
    return sum(widths) + _GAP * (len(widths) - 1)


def _wrap_headings(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Column]:
    """Wrap each heading at its blanks to the width of its values, or of its longest word."""
    wrapped = []
    for at, column in enumerate(columns):
        width = max(cell_len(text) for text in (*column.name.split(" "), *(row[at] for row in rows)))
        wrapped.append(replace(column, name="\n".join(wrap(column.name, width))))
    return wrapped


def _print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column.name, justify="right" if column.number else "left", no_wrap=not column.prose)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _print_records(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print `name  value` lines; a value longer than the line goes on in the next, as the terminal wraps it."""
    width = max(cell_len(column.name) for column in columns)
    for number, row in enumerate(rows):
        if number:
            console.print()
        for column, cell in zip(columns, row, strict=True):
            if cell:
                console.print(Text(f"{column.name:{width}}  {cell}"), soft_wrap=True)
