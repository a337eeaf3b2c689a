"""`sensor-bridge export`, `import` and `rejected …`: commands on stored data, with or without a running bridge."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.runner import FAILED, ConfigOption, console, errors, print_line, run_loop
from bridge.core.errors import TransferError
from bridge.core.message import RejectionReason
from bridge.core.query import QuarantineQuery, ReadingsQuery
from bridge.core.readings.identity import Cursor, normalize_device_id
from bridge.core.timestamp import parse_time
from bridge.maintenance.export_files import FileFormat
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.settings.loader import load_settings
from bridge.stores import open_store

rejected = typer.Typer(no_args_is_help=True, help="List, retry and remove rejected messages.")

CodeOption = Annotated[RejectionReason | None, typer.Option("--code", help="Only messages rejected with this code.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Only messages whose topic has this level.")]
TopicOption = Annotated[str | None, typer.Option("--topic", help="Only messages on this topic.")]
FormatOption = Annotated[FileFormat | None, typer.Option("--format", help="File format. Default: from the file name.")]


def _time(text: str) -> int:
    milliseconds = parse_time(text)
    if milliseconds is None:
        raise typer.BadParameter("expected ISO 8601 (UTC if it has no time zone), or epoch seconds or milliseconds")
    return milliseconds


def export_readings(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help=".ndjson or .csv, optionally with .gz; - writes to standard output.")
    ],
    config: ConfigOption = None,
    file_format: FormatOption = None,
    device: Annotated[list[str] | None, typer.Option(help="Only this device; may be repeated.")] = None,
    start: Annotated[int | None, typer.Option("--from", parser=_time, metavar="TIME", help="Measured at or after.")] = None,
    end: Annotated[int | None, typer.Option("--to", parser=_time, metavar="TIME", help="Measured before.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue after the last reading in FILE.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
) -> None:
    """Write stored readings to a file, in the order in which they were stored."""
    from bridge.cli.render import progress_bar
    from bridge.maintenance.export_import import export_readings as write

    store = load_settings(config).store
    query = ReadingsQuery(tuple(map(normalize_device_id, device)) if device else None, start, end)
    with progress_bar(errors, "exporting") as progress:
        written = run_loop(write(path, store, query, progress, file_format=file_format, resume=resume, force=force))
    print_line(f"{written:,} readings exported", errors)


def import_readings(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file written by export; - reads standard input.")],
    config: ConfigOption = None,
    file_format: FormatOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
) -> None:
    """Store the readings of a file. Readings that are already stored are skipped, so an import can be repeated."""
    from bridge.cli.render import progress_bar
    from bridge.maintenance.export_import import import_readings as read

    def bad_line(number: int, reason: str) -> None:
        if strict:
            raise TransferError(f"{path}: line {number}: {reason}")
        print_line(f"line {number}: {reason}", errors)

    store = load_settings(config).store
    with progress_bar(errors, "importing", in_bytes=True) as progress:
        result = run_loop(read(path, store, progress, bad_line, file_format=file_format))
    print_line(f"{result.stored:,} stored, {result.duplicate:,} already stored, {result.bad:,} bad lines", errors)
    sys.exit(FAILED if result.bad else 0)


@asynccontextmanager
async def _prepared(settings: StoreSettings) -> AsyncIterator[tuple[Store, Cursor]]:
    """The store, and a cursor above every stored reading."""
    async with open_store(settings) as store:
        yield store, Cursor(await store.prepare())


@rejected.command("list")
def rejected_list(
    config: ConfigOption = None,
    messages: Annotated[bool, typer.Option("--messages", help="List single messages instead of groups.")] = False,
    code: CodeOption = None,
    device: DeviceOption = None,
    topic: TopicOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of messages.")] = 20,
) -> None:
    """List rejected messages in groups by reason; with --messages or a filter, the newest messages."""
    from bridge.cli.render import print_groups, print_messages

    async def list_rejected() -> None:
        async with _prepared(load_settings(config).store) as (store, _):
            if messages or code or device or topic:
                query = QuarantineQuery(code, topic, device, limit=limit)
                print_messages(console, await store.quarantine.messages(query))
            else:
                print_groups(console, await store.quarantine.groups())

    run_loop(list_rejected())


@rejected.command("show")
def rejected_show(message_id: Annotated[str, typer.Argument(metavar="ID")], config: ConfigOption = None) -> None:
    """Print a rejected message with its payload."""
    from bridge.cli.render import print_message
    from bridge.maintenance.quarantine import get_message

    async def show() -> None:
        async with _prepared(load_settings(config).store) as (store, _):
            print_message(console, await get_message(store, message_id))

    run_loop(show())


@rejected.command("retry")
def rejected_retry(
    config: ConfigOption = None, code: CodeOption = None, device: DeviceOption = None, topic: TopicOption = None
) -> None:
    """Decode rejected messages again with the current settings. Valid ones are stored and leave the quarantine.

    Clients of a running bridge do not receive them; use POST /api/v1/rejected/retry for that.
    """
    from bridge.cli.render import counting_bar, print_retry_result
    from bridge.core.decode import Decoder
    from bridge.maintenance.retry import enforce_registration, standalone_retry, stored_profiles
    from bridge.wiring import load_routes

    settings = load_settings(config)
    query = QuarantineQuery(code, topic, device)

    async def retry() -> None:
        async with _prepared(settings.store) as (store, cursor):
            decoding = Decoder((), profiles=await stored_profiles(store))
            await load_routes(decoding, settings, store)
            decoder = await enforce_registration(decoding, settings.devices, store)
            with counting_bar(errors, "retrying", await store.quarantine.count(query)) as advance:
                async with standalone_retry(store, cursor, decoder) as quarantine:
                    result = await quarantine.retry(query, advance)
            print_retry_result(console, result)

    run_loop(retry())


@rejected.command("clear")
def rejected_clear(
    config: ConfigOption = None,
    code: CodeOption = None,
    device: DeviceOption = None,
    topic: TopicOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove rejected messages permanently."""
    from bridge.cli.render import counting_bar
    from bridge.maintenance.quarantine import clear

    query = QuarantineQuery(code, topic, device)

    async def remove() -> None:
        async with _prepared(load_settings(config).store) as (store, _):
            count = await store.quarantine.count(query)
            if count and not yes:
                typer.confirm(f"Remove {count:,} rejected messages permanently?", abort=True)
            with counting_bar(errors, "removing", count) as advance:
                removed = await clear(store, query, advance)
            print_line(f"{removed:,} removed")

    run_loop(remove())
