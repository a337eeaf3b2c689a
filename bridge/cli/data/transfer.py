"""`sensor-bridge export` and `import`: readings to and from files, with or without a running bridge."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.options import FromOption, ToOption, load_store_settings
from bridge.cli.runner import FAILED, ConfigOption, errors, print_line, run_loop
from bridge.core.errors import TransferError
from bridge.core.query import ReadingsQuery
from bridge.core.readings.identity import normalize_device_id
from bridge.maintenance.export_files import FileFormat

FormatOption = Annotated[FileFormat | None, typer.Option("--format", help="File format. Default: from the file name.")]


def export_readings(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help=".ndjson or .csv, optionally with .gz; - writes to standard output.")
    ],
    config: ConfigOption = None,
    file_format: FormatOption = None,
    device: Annotated[list[str] | None, typer.Option(help="Only this device; may be repeated.")] = None,
    start: FromOption = None,
    end: ToOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue after the last reading in FILE.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
) -> None:
    """Write stored readings to a file, in the order in which they were stored.

    Times without a zone are local. CSV begins with time, device, name and room, and has units in its header.
    """
    from bridge.cli.render import progress_bar
    from bridge.maintenance.export_import import export_readings as write

    if start is not None and end is not None and start >= end:
        raise typer.BadParameter("must be before --to", param_hint="'--from'")
    store = load_store_settings(config).store
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

    settings = load_store_settings(config)
    with progress_bar(errors, "importing", in_bytes=True) as progress:
        result = run_loop(read(path, settings.store, settings.devices, progress, bad_line, file_format=file_format))
    print_line(f"{result.stored:,} stored, {result.duplicate:,} already stored, {result.bad:,} bad lines", errors)
    sys.exit(FAILED if result.bad else 0)
