"""`sensor-bridge export`, `import` and `rejected …`: what is kept, beside a bridge that runs or without one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.runner import FAILED, ConfigOption, console, counted, errors, run_loop, say
from bridge.core.message import RejectionReason
from bridge.core.query import QuarantineQuery, ReadingsQuery
from bridge.core.timestamp import parse_time
from bridge.maintenance.files import FileFormat
from bridge.settings.loader import load_settings

rejected = typer.Typer(no_args_is_help=True, help="Look at the messages that were rejected, try them again, remove them.")

CodeOption = Annotated[RejectionReason | None, typer.Option("--code", help="Only those rejected for this.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Only topics with this level.")]
TopicOption = Annotated[str | None, typer.Option("--topic", help="Only this topic.")]
FormatOption = Annotated[FileFormat | None, typer.Option("--format", help="Instead of what the file's ending says.")]


def _moment(text: str) -> int:
    milliseconds = parse_time(text)
    if milliseconds is None:
        raise typer.BadParameter("a time is ISO 8601 (UTC where it names no zone), or epoch seconds or milliseconds")
    return milliseconds


def export_readings(
    path: Annotated[Path, typer.Argument(metavar="FILE", help=".ndjson or .csv, with .gz if you like; - is standard output.")],
    config: ConfigOption = None,
    named: FormatOption = None,
    device: Annotated[list[str] | None, typer.Option(help="Only this device; may be repeated.")] = None,
    start: Annotated[int | None, typer.Option("--from", parser=_moment, metavar="TIME", help="Measured from then on.")] = None,
    end: Annotated[int | None, typer.Option("--to", parser=_moment, metavar="TIME", help="Measured before then.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last reading in FILE.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write FILE anew if it exists.")] = False,
) -> None:
    """Write stored readings to a file, in the order they were stored."""
    from bridge.maintenance.transfer import export_to

    store = load_settings(config).store
    query = ReadingsQuery(tuple(device) if device else None, start, end)
    written = run_loop(export_to(path, store, query, errors, named=named, resume=resume, force=force))
    errors.print(f"{written:,} readings exported", highlight=False)


def import_readings(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="As written by export; - is standard input.")],
    config: ConfigOption = None,
    named: FormatOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
) -> None:
    """Store the readings of a file. Those that are stored already are skipped, so it can be repeated."""
    from bridge.maintenance.transfer import import_from

    done = run_loop(import_from(path, load_settings(config).store, errors, named=named, strict=strict))
    errors.print(f"{done.stored:,} stored, {done.duplicate:,} there already, {done.bad:,} bad lines", highlight=False)
    sys.exit(FAILED if done.bad else 0)


@rejected.command("list")
def rejected_list(
    config: ConfigOption = None,
    messages: Annotated[bool, typer.Option("--messages", help="The messages, not the groups.")] = False,
    code: CodeOption = None,
    device: DeviceOption = None,
    topic: TopicOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many messages.")] = 20,
) -> None:
    """What was rejected and why, in groups; with --messages, the newest messages."""
    from bridge.maintenance.quarantine import list_groups, list_messages, prepared

    async def listing() -> None:
        async with prepared(load_settings(config).store) as (store, _):
            if messages or code or device or topic:
                await list_messages(store, QuarantineQuery(code, topic, device, limit=limit), console)
            else:
                await list_groups(store, console)

    run_loop(listing())


@rejected.command("show")
def rejected_show(identity: Annotated[str, typer.Argument(metavar="ID")], config: ConfigOption = None) -> None:
    """One rejected message, whole."""
    from bridge.maintenance.quarantine import as_id, prepared, show_message

    async def showing() -> None:
        async with prepared(load_settings(config).store) as (store, _):
            await show_message(store, as_id(identity), console)

    run_loop(showing())


@rejected.command("retry")
def rejected_retry(
    config: ConfigOption = None, code: CodeOption = None, device: DeviceOption = None, topic: TopicOption = None
) -> None:
    """Read rejected messages again with the settings of today; what is good now is stored and leaves the quarantine.

    Clients of a running bridge do not hear of it; they do if the bridge does it: POST /api/v1/rejected/retry.
    """
    from bridge.core.decode import Decoder
    from bridge.maintenance.quarantine import prepared
    from bridge.maintenance.retry import alone, strict
    from bridge.wiring import all_routes

    settings = load_settings(config)
    query = QuarantineQuery(code, topic, device)

    async def retrying() -> None:
        async with prepared(settings.store) as (store, cursor):
            decoder = await strict(Decoder(all_routes(settings)), settings.devices, store)
            with counted("trying again", await store.quarantine.count(query)) as advance:
                async with alone(store, cursor, decoder) as retrying:
                    retried = await retrying.retry(query, advance)
            console.print(retried.table)

    run_loop(retrying())


@rejected.command("clear")
def rejected_clear(
    config: ConfigOption = None,
    code: CodeOption = None,
    device: DeviceOption = None,
    topic: TopicOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove rejected messages for good."""
    from bridge.maintenance.quarantine import clear, prepared

    query = QuarantineQuery(code, topic, device)

    async def clearing() -> None:
        async with prepared(load_settings(config).store) as (store, _):
            count = await store.quarantine.count(query)
            if count and not yes:
                typer.confirm(f"Remove {count:,} rejected messages for good?", abort=True)
            with counted("removing", count) as advance:
                removed = await clear(store, query, advance)
            say(f"{removed:,} removed")

    run_loop(clearing())
