"""Files of readings: NDJSON or CSV, plain or gzip; written so that they can be continued after any interruption.

A gzip file gets one member a batch: what a crash leaves behind the last whole member, or the last whole line, is cut off.
"""

from __future__ import annotations

import csv
import enum
import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson
from bson.objectid import ObjectId

from bridge.core.errors import RecordError, TransferError
from bridge.core.readings.reading import Reading
from bridge.core.readings.record import RECORD_NAMES, parse_record

LINE_LIMIT_BYTES = 64 * 1024
_TAIL_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_TEXTS = {"_id", "aqiScale", "timestamp", "deviceId", "receivedAt"}
STANDARD = Path("-")


class FileFormat(enum.StrEnum):
    """How a reading is a line."""

    NDJSON = "ndjson"
    CSV = "csv"


_ENDINGS = {".ndjson": FileFormat.NDJSON, ".jsonl": FileFormat.NDJSON, ".json": FileFormat.NDJSON, ".csv": FileFormat.CSV}


def format_of(path: Path, named: FileFormat | None) -> FileFormat:
    """The format that is named, or that the file's ending says; raises `TransferError`."""
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    found = named or (FileFormat.NDJSON if path == STANDARD else _ENDINGS.get(ending))
    if found is None:
        raise TransferError(f"{path}: the ending says neither NDJSON nor CSV: name it with --format")
    return found


def _is_plain(path: Path) -> bool:
    return path.suffix.lower() != ".gz"


# --- lines -----------------------------------------------------------------------------------------------------------


def header(form: FileFormat) -> bytes:
    """What stands before the first reading."""
    return (",".join(RECORD_NAMES) + "\n").encode() if form is FileFormat.CSV else b""


def lines(readings: Iterable[Reading], form: FileFormat) -> bytes:
    """A line each."""
    if form is FileFormat.NDJSON:
        return b"".join(orjson.dumps(reading.public()) + b"\n" for reading in readings)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for reading in readings:
        public = reading.public()
        rows.writerow(_cell(name, public[name]) if name in public else "" for name in RECORD_NAMES)
    return text.getvalue().encode()


def _cell(name: str, value: object) -> str:
    """Texts as they are, all else as JSON: `true`, `25`, `25.0`, `{"eco2":"not a number"}`. So it keeps its type."""
    return str(value) if name in _TEXTS else orjson.dumps(value).decode()


class LineReader:
    """Makes readings of lines, one after the other; the first line of CSV names the columns."""

    def __init__(self, form: FileFormat) -> None:
        """Nothing is read yet."""
        self._format = form
        self._columns: list[str] | None = None

    def read(self, line: bytes) -> Reading | None:
        """The reading of a line, None for an empty line or the header; raises `RecordError`."""
        reading = self.record(line)
        return None if reading is None else parse_record(reading)

    def record(self, line: bytes) -> Mapping[str, Any] | None:
        """What a line says, not yet judged."""
        if not line.strip():
            return None
        if len(line) > LINE_LIMIT_BYTES:
            raise RecordError(f"longer than {LINE_LIMIT_BYTES} bytes")
        if self._format is FileFormat.NDJSON:
            record = _json(line)
            if not isinstance(record, dict):
                raise RecordError("not a JSON object")
            return record
        cells = _cells(line)
        if self._columns is None:
            self._columns = _columns(cells)
            return None
        if len(cells) != len(self._columns):
            raise RecordError(f"{len(cells)} cells, where the header has {len(self._columns)}")
        named = zip(self._columns, cells, strict=True)
        return {name: cell if name in _TEXTS else _json(cell.encode(), name) for name, cell in named if cell}


def _json(text: bytes, where: str = "") -> Any:  # noqa: ANN401
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"{where or 'the line'} is not JSON: {error}") from None


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"not CSV: {error}") from None


def _columns(cells: list[str]) -> list[str]:
    unknown = [cell for cell in cells if cell not in RECORD_NAMES]
    if unknown or len(set(cells)) < len(cells) or "deviceId" not in cells:
        said = f"{unknown[0][:64]!r} is no field of a reading" if unknown else "deviceId is missing, or a column stands twice"
        raise TransferError(f"the first line of CSV names the columns: {said}")
    return cells


# --- reading a file --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that is being read: its lines, how many of its bytes are read so far, and of how many (None: nobody knows).

    A line longer than `LINE_LIMIT_BYTES` comes cut, a little longer than that. Reading raises `TransferError`.
    """

    lines: Iterator[bytes]
    position: Callable[[], int]
    total: int | None


@contextmanager
def opened_lines(path: Path) -> Iterator[InputFile]:
    """The lines of a file, or of standard input; raises `TransferError`."""
    with _read_errors(path):
        raw = os.fdopen(os.dup(sys.stdin.fileno()), "rb") if path == STANDARD else path.open("rb")
        total = None if path == STANDARD else path.stat().st_size
    with raw:
        source = raw if path == STANDARD or _is_plain(path) else gzip.GzipFile(fileobj=raw)
        yield InputFile(_bounded_lines(source, path), raw.tell if total is not None else lambda: 0, total)


def _bounded_lines(source: Any, path: Path) -> Iterator[bytes]:  # noqa: ANN401 - files and GzipFile have no common type
    with _read_errors(path):
        while line := source.readline(LINE_LIMIT_BYTES + 2):
            yield line
            while line and not line.endswith(b"\n"):  # the rest of a line too long
                line = source.readline(LINE_LIMIT_BYTES)


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TransferError(f"{path}: the gzip file is damaged or cut: {error}") from error
    except OSError as error:
        raise TransferError(f"{path}: {error.strerror or error}") from error


# --- writing a file --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a file goes on: after the cursor `seq`, whose readings `ids` it has already."""

    seq: int = 0
    ids: frozenset[ObjectId] = frozenset()
    fresh: bool = True


class RecordFile:
    """A file of readings, written batch by batch; what is written is with the system when `write` returns.

    `BrokenPipeError` means that nobody reads our standard output any more.
    """

    def __init__(self, file: IO[bytes], path: Path, form: FileFormat, *, fresh: bool) -> None:
        """`fresh`: there is nothing in it yet."""
        self._file = file
        self._path = path
        self._format = form
        self._header = header(form) if fresh else b""

    def write(self, readings: Sequence[Reading]) -> None:
        """Add a batch, the header before the first one; raises `TransferError`."""
        text, self._header = self._header + lines(readings, self._format), b""
        if not text:
            return
        try:
            self._file.write(text if self._path == STANDARD or _is_plain(self._path) else gzip.compress(text, 6, mtime=0))
            self._file.flush()
        except OSError as error:
            if self._path == STANDARD:
                raise
            raise TransferError(f"{self._path}: {error.strerror or error}; with --resume it goes on from there") from error


@contextmanager
def record_file(path: Path, form: FileFormat, *, resume: bool, force: bool) -> Iterator[tuple[RecordFile, ResumePoint]]:
    """The file to write and where to go on; raises `TransferError`, also if it exists and neither flag is set."""
    if path == STANDARD:
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
            writing = RecordFile(out, path, form, fresh=True)
            yield writing, ResumePoint()
            writing.write(())  # the header, if there was nothing else
        return
    exists = path.exists()
    if exists and not (resume or force):
        raise TransferError(f"{path} exists: --resume goes on after its last reading, --force writes it anew")
    with _read_errors(path):
        there = path.open("r+b" if exists and resume else "wb")
    with there as file:
        with _read_errors(path):
            place = _resume(file, path, form) if exists and resume else ResumePoint()
        writing = RecordFile(file, path, form, fresh=place.fresh)
        yield writing, place
        writing.write(())
        os.fsync(file.fileno())


def _resume(file: IO[bytes], path: Path, form: FileFormat) -> ResumePoint:
    """Cut off what is not whole, and find the last reading. A file that is not ours is left as it is."""
    beginning = header(form) or b'{"_id":"'
    first = file.read(_CHUNK_BYTES)
    if not _is_plain(path) and first:
        first = zlib.decompressobj(_GZIP_WINDOW).decompress(first)
    if first[: len(beginning)] != beginning[: len(first)]:
        raise TransferError(f"{path} does not begin like an export of this version, so it cannot be continued")
    end, tail = _plain_tail(file) if _is_plain(path) else _gzip_tail(file)
    if tail and not tail.endswith(b"\n"):
        raise TransferError(f"{path} was not written by an export, so it cannot be continued: it ends within a line")
    found = [line for line in tail.splitlines() if line + b"\n" != header(form)]
    place = _last_place(found, path, form) if found else ResumePoint(fresh=end == 0)
    file.truncate(end)
    file.seek(end)
    return place


def _last_place(found: Sequence[bytes], path: Path, form: FileFormat) -> ResumePoint:
    reader = LineReader(form)
    reader.record(header(form))
    seq, ids = 0, set()
    try:
        for line in reversed(found):
            record = reader.record(line) or {}
            if seq not in (0, int(record["seq"])):
                break
            seq = int(record["seq"])
            ids.add(parse_record(record).id)
    except (RecordError, KeyError, ValueError, TypeError) as error:
        raise TransferError(f"{path} was not written by an export, so it cannot be continued: {error}") from None
    return ResumePoint(seq, frozenset(ids), fresh=False)


def _plain_tail(file: IO[bytes]) -> tuple[int, bytes]:
    """Where the last whole line ends, and the last lines; the first of them is whole too."""
    size = file.seek(0, os.SEEK_END)
    start = max(size - _TAIL_BYTES, 0)
    file.seek(start)
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    if start:
        return start + len(whole), whole[whole.find(b"\n") + 1 :] or b"?"
    return len(whole), whole


def _gzip_tail(file: IO[bytes]) -> tuple[int, bytes]:
    """Where the last whole member ends, and the last lines up to there."""
    file.seek(0)
    member, end, position, held, tail = zlib.decompressobj(_GZIP_WINDOW), 0, 0, b"", b""
    while chunk := file.read(_CHUNK_BYTES):
        position += len(chunk)
        while chunk:
            held = (held + member.decompress(chunk))[-_TAIL_BYTES:]
            chunk = member.unused_data
            if member.eof:
                end, tail, held = position - len(chunk), (tail + held)[-_TAIL_BYTES:], b""
                member = zlib.decompressobj(_GZIP_WINDOW)
    return end, tail if len(tail) < _TAIL_BYTES else tail[tail.find(b"\n") + 1 :]
