"""Tables and progress bars of the commands on stored data. Message texts are printed without markup or control characters."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import QuarantinedMessage, QuarantineGroup
from bridge.core.timestamp import iso
from bridge.maintenance.retry import RetryResult
from bridge.tools.terminal import printable

_HEX_WIDTH = 16


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


def print_groups(console: Console, groups: Sequence[QuarantineGroup]) -> None:
    if not groups:
        console.print(Text("the quarantine is empty"))
        return
    table = Table(title=f"{sum(group.count for group in groups):,} rejected messages", title_justify="left")
    for column in ("code", "field", "count", "newest", "example"):
        table.add_column(column, justify="right" if column == "count" else "left", overflow="fold")
    for group in groups:
        add_row(table, group.code, group.field or "", f"{group.count:,}", iso(group.newest_ms), group.reason)
    console.print(table)


def print_messages(console: Console, messages: Sequence[QuarantinedMessage]) -> None:
    table = Table("id", "received", "topic", "code", "field", "reason")
    for message in messages:
        received = iso(message.received_ms)
        add_row(table, str(message.id), received, message.topic, message.code, message.field or "", message.reason)
    console.print(table)


def print_message(console: Console, message: QuarantinedMessage) -> None:
    truncated = " (truncated)" if len(message.payload) == PAYLOAD_LIMIT_BYTES else ""
    for name, text in (
        ("id", str(message.id)),
        ("received", iso(message.received_ms)),
        ("source", message.source),
        ("topic", message.topic),
        ("code", message.code),
        ("field", message.field or ""),
        ("reason", message.reason),
        ("retained", "yes" if message.retained else ""),
        ("payload", f"{len(message.payload)} bytes{truncated}"),
    ):
        if text:
            console.out(f"{name:9} {printable(text)}", highlight=False)
    console.out(format_payload(message.payload), highlight=False)


def print_retry_result(console: Console, result: RetryResult) -> None:
    table = Table("outcome", "reason")
    table.add_column("messages", justify="right")
    add_row(table, "stored", "", f"{result.stored:,}")
    add_row(table, "duplicate", "already stored", f"{result.duplicate:,}")
    if result.outdated:
        add_row(table, "out of date", "an old status or event", f"{result.outdated:,}")
    for (code, name), count in result.bad.most_common():
        add_row(table, "still bad", f"{code}: {name}" if name else code, f"{count:,}")
    console.print(table)


def format_payload(payload: bytes) -> str:
    """Return UTF-8 text with control characters escaped, or a hexadecimal dump of other bytes."""
    try:
        return printable(payload.decode("utf-8"), allowed="\n\t")
    except UnicodeDecodeError:
        rows = (payload[start : start + _HEX_WIDTH] for start in range(0, len(payload), _HEX_WIDTH))
        return "\n".join(
            f"{number * _HEX_WIDTH:05x}  {row.hex(' '):{3 * _HEX_WIDTH}} {_ascii(row)}" for number, row in enumerate(rows)
        )


def add_row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))


def _ascii(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
