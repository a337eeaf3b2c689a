"""Files of readings: NDJSON or CSV, plain or gzip. An interrupted export can be resumed.

CSV begins with `time`, `device`, `name` and `room`; the values follow, with units in the header, then the rest of a record.
Each batch is one gzip member. Resuming truncates the file after its last whole member or, if it is plain, its last whole line.
"""

import csv
import enum
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
from bson.objectid import ObjectId

from bridge.core.errors import RecordError, TransferError
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, VALUE_NAMES
from bridge.core.readings.reading import Reading
from bridge.core.readings.record import RECORD_NAMES, parse_record

LINE_LIMIT_BYTES = 64 * 1024
_TAIL_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_TEXT_COLUMNS = {"_id", "aqiScale", "timestamp", "deviceId", "receivedAt"}
STANDARD_STREAM = Path("-")

_HEADINGS = {"timestamp": "time", "deviceId": "device"}
_LABELS = ("name", "room")
"""Columns about the device, which an import leaves out."""

_WITH_UNIT = re.compile(r"(\w+) \((.{1,32})\)")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a text that a spreadsheet would evaluate."""


class DeviceLabel(NamedTuple):
    """What people call a device, and where it is; empty if unknown."""

    name: str = ""
    room: str = ""


class FileFormat(enum.StrEnum):
    NDJSON = "ndjson"
    CSV = "csv"


_FORMAT_BY_SUFFIX = {
    ".ndjson": FileFormat.NDJSON,
    ".jsonl": FileFormat.NDJSON,
    ".json": FileFormat.NDJSON,
    ".csv": FileFormat.CSV,
}


def detect_format(path: Path, explicit: FileFormat | None) -> FileFormat:
    """Return `explicit`, or else the format that the file name implies. Raises `TransferError`."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    file_format = explicit or (FileFormat.NDJSON if path == STANDARD_STREAM else _FORMAT_BY_SUFFIX.get(suffix))
    if file_format is None:
        raise TransferError(f"{path}: unknown file name extension: use .ndjson or .csv, or give --format")
    return file_format


def _is_uncompressed(path: Path) -> bool:
    return path.suffix.lower() != ".gz"


# --- lines -----------------------------------------------------------------------------------------------------------


_ORDER = ("timestamp", "deviceId", *VALUE_NAMES, *(name for name in RECORD_NAMES if name not in VALUE_NAMES))
_COLUMNS = tuple(dict.fromkeys(_ORDER))
"""The keys of a record in the order of CSV; `_LABELS` come after the first two."""


def header(file_format: FileFormat) -> bytes:
    """The CSV header line; empty for NDJSON."""
    if file_format is not FileFormat.CSV:
        return b""
    time, device, *others = (_heading(name) for name in _COLUMNS)
    return (",".join((time, device, *_LABELS, *others)) + "\n").encode()


def _heading(name: str) -> str:
    unit = MEASUREMENTS_BY_NAME[name].unit if name in MEASUREMENTS_BY_NAME else ""
    return f"{name} ({unit})" if unit else _HEADINGS.get(name, name)


def lines(readings: Iterable[Reading], file_format: FileFormat, labels: Mapping[str, DeviceLabel] | None = None) -> bytes:
    """Return the lines of readings; in CSV with the `labels` of devices by their id."""
    if file_format is FileFormat.NDJSON:
        return b"".join(orjson.dumps(reading.public()) + b"\n" for reading in readings)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for reading in readings:
        public = reading.public()
        time, device, *others = (_cell(name, public[name]) if name in public else "" for name in _COLUMNS)
        label = (labels or {}).get(reading.device_id, DeviceLabel())
        rows.writerow((time, device, *map(_inert, label), *others))
    return text.getvalue().encode()


def _inert(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cell(name: str, value: object) -> str:
    """Texts are written as they are, other values as JSON (`true`, `25`, `25.0`), so they keep their type."""
    return str(value) if name in _TEXT_COLUMNS else orjson.dumps(value).decode()


class LineReader:
    """Parses lines in order; the first line of CSV names the columns."""

    def __init__(self, file_format: FileFormat) -> None:
        self._format = file_format
        self._columns: list[str | None] | None = None

    def read(self, line: bytes) -> Reading | None:
        """Return the reading of a line, or None for an empty line or the header. Raises `RecordError`."""
        record = self.record(line)
        return None if record is None else parse_record(record)

    def record(self, line: bytes) -> Mapping[str, Any] | None:
        """Return the fields of a line before validation."""
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
            raise RecordError(f"{len(cells)} cells; the header has {len(self._columns)}")
        pairs = zip(self._columns, cells, strict=True)
        return {name: cell if name in _TEXT_COLUMNS else _json(cell.encode(), name) for name, cell in pairs if cell and name}


def _json(text: bytes, column: str = "") -> Any:  # noqa: ANN401
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"{column or 'the line'} is not JSON: {error}") from None


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"not CSV: {error}") from None


def _columns(cells: list[str]) -> list[str | None]:
    """Return the record key of each column, None for one that is left out."""
    keys: list[str | None] = []
    for cell in cells:
        key = None if cell in _LABELS else _key(cell)
        if key in keys and key is not None:
            raise TransferError(f"{_COLUMNS_RULE}: {cell[:64]!r} is a repeated column")
        keys.append(key)
    if "deviceId" not in keys:
        raise TransferError(f"{_COLUMNS_RULE}: device is missing")
    return keys


_COLUMNS_RULE = "the first line of CSV must name the columns"
_KEYS = {heading: name for name, heading in _HEADINGS.items()}


def _key(cell: str) -> str:
    found = _WITH_UNIT.fullmatch(cell)
    name = _KEYS.get(cell, cell) if found is None else found[1]
    if name not in RECORD_NAMES:
        raise TransferError(f"{_COLUMNS_RULE}: {cell[:64]!r} is not a field of a reading")
    if found is not None and cell != _heading(name):
        raise TransferError(f"{_COLUMNS_RULE}: {cell[:64]!r} must be {_heading(name)!r}: units are not converted")
    return name


# --- reading a file --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputFile:
    """An open file: its lines, the number of bytes read so far, and its size in bytes (None: unknown).

    A line longer than `LINE_LIMIT_BYTES` is truncated to slightly more than that. Reading raises `TransferError`.
    """

    lines: Iterator[bytes]
    bytes_read: Callable[[], int]
    total: int | None


@contextmanager
def open_lines(path: Path) -> Iterator[InputFile]:
    """Open a file or standard input. Raises `TransferError`."""
    with _read_errors(path):
        raw = os.fdopen(os.dup(sys.stdin.fileno()), "rb") if path == STANDARD_STREAM else path.open("rb")
        total = None if path == STANDARD_STREAM else path.stat().st_size
    with raw:
        source = raw if path == STANDARD_STREAM or _is_uncompressed(path) else gzip.GzipFile(fileobj=raw)
        yield InputFile(_bounded_lines(source, path), raw.tell if total is not None else lambda: 0, total)


def _bounded_lines(source: Any, path: Path) -> Iterator[bytes]:  # noqa: ANN401 - files and GzipFile share no type
    with _read_errors(path):
        while line := source.readline(LINE_LIMIT_BYTES + 2):
            yield line
            while line and not line.endswith(b"\n"):  # skip the rest of an oversized line
                line = source.readline(LINE_LIMIT_BYTES)


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TransferError(f"{path}: damaged or truncated gzip file: {error}") from error
    except OSError as error:
        raise TransferError(f"{path}: {error.strerror or error}") from error


# --- writing a file --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where an export resumes: after the cursor `seq`; the file already holds the readings `ids` with this cursor."""

    seq: int = 0
    ids: frozenset[ObjectId] = frozenset()
    fresh: bool = True


class RecordWriter:
    """Writes readings batch by batch; a batch is flushed to the system when `write` returns.

    `BrokenPipeError` means that the reader of standard output has exited.
    """

    def __init__(
        self, file: IO[bytes], path: Path, file_format: FileFormat, labels: Mapping[str, DeviceLabel], *, fresh: bool
    ) -> None:
        """`fresh`: the file is empty."""
        self._file = file
        self._path = path
        self._format = file_format
        self._labels = labels
        self._header = header(file_format) if fresh else b""

    def write(self, readings: Sequence[Reading]) -> None:
        """Append a batch, preceded by the header if it is the first. Raises `TransferError`."""
        text, self._header = self._header + lines(readings, self._format, self._labels), b""
        if not text:
            return
        try:
            self._file.write(
                text if self._path == STANDARD_STREAM or _is_uncompressed(self._path) else gzip.compress(text, 6, mtime=0)
            )
            self._file.flush()
        except OSError as error:
            if self._path == STANDARD_STREAM:
                raise
            raise TransferError(f"{self._path}: {error.strerror or error}; continue with --resume") from error


@contextmanager
def open_output(
    path: Path, file_format: FileFormat, *, resume: bool, force: bool, labels: Mapping[str, DeviceLabel] | None = None
) -> Iterator[tuple[RecordWriter, ResumePoint]]:
    """Open a file or standard output for writing. Raises `TransferError`, also if the file exists and neither flag is set.

    A file that is new and still empty when the export fails is removed. `labels` are those of CSV.
    """
    if path == STANDARD_STREAM:
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
            writer = RecordWriter(out, path, file_format, labels or {}, fresh=True)
            yield writer, ResumePoint()
            writer.write(())  # the header, if there were no readings
        return
    exists = path.exists()
    if exists and not (resume or force):
        raise TransferError(f"{path} exists: --resume continues after its last reading, --force overwrites it")
    with _read_errors(path):
        opened = path.open("r+b" if exists and resume else "wb")
    with opened as file:
        with _read_errors(path):
            resume_point = _prepare_resume(file, path, file_format) if exists and resume else ResumePoint()
        writer = RecordWriter(file, path, file_format, labels or {}, fresh=resume_point.fresh)
        try:
            yield writer, resume_point
            writer.write(())
            os.fsync(file.fileno())
        except BaseException:
            if not exists and not file.tell():
                path.unlink(missing_ok=True)
            raise


def _prepare_resume(file: IO[bytes], path: Path, file_format: FileFormat) -> ResumePoint:
    """Truncate an incomplete end and find the last reading. A file that is not an export stays unchanged."""
    beginning = header(file_format) or b'{"_id":"'
    first = file.read(_CHUNK_BYTES)
    if not _is_uncompressed(path) and first:
        first = zlib.decompressobj(_GZIP_WINDOW).decompress(first)
    if first[: len(beginning)] != beginning[: len(first)]:
        raise TransferError(f"{path} is not an export of this version and cannot be continued: its first line differs")
    end, tail = _uncompressed_tail(file) if _is_uncompressed(path) else _gzip_tail(file)
    if tail and not tail.endswith(b"\n"):
        raise TransferError(f"{path} is not an export and cannot be continued: it ends within a line")
    last_lines = [line for line in tail.splitlines() if line + b"\n" != header(file_format)]
    resume_point = _resume_point(last_lines, path, file_format) if last_lines else ResumePoint(fresh=end == 0)
    file.truncate(end)
    file.seek(end)
    return resume_point


def _resume_point(last_lines: Sequence[bytes], path: Path, file_format: FileFormat) -> ResumePoint:
    reader = LineReader(file_format)
    reader.record(header(file_format))
    seq, ids = 0, set()
    try:
        for line in reversed(last_lines):
            record = reader.record(line) or {}
            if seq not in (0, int(record["seq"])):
                break
            seq = int(record["seq"])
            ids.add(parse_record(record).id)
    except (RecordError, KeyError, ValueError, TypeError) as error:
        raise TransferError(f"{path} is not an export and cannot be continued: {error}") from None
    return ResumePoint(seq, frozenset(ids), fresh=False)


def _uncompressed_tail(file: IO[bytes]) -> tuple[int, bytes]:
    """Return the end of the last whole line, and the last lines; the first of these is whole too."""
    size = file.seek(0, os.SEEK_END)
    start = max(size - _TAIL_BYTES, 0)
    file.seek(start)
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    if start:
        return start + len(whole), whole[whole.find(b"\n") + 1 :] or b"?"
    return len(whole), whole


def _gzip_tail(file: IO[bytes]) -> tuple[int, bytes]:
    """Return the end of the last whole member, and the last lines before it."""
    file.seek(0)
    member, end, offset, pending, tail = zlib.decompressobj(_GZIP_WINDOW), 0, 0, b"", b""
    while chunk := file.read(_CHUNK_BYTES):
        offset += len(chunk)
        while chunk:
            pending = (pending + member.decompress(chunk))[-_TAIL_BYTES:]
            chunk = member.unused_data
            if member.eof:
                end, tail, pending = offset - len(chunk), (tail + pending)[-_TAIL_BYTES:], b""
                member = zlib.decompressobj(_GZIP_WINDOW)
    return end, tail if len(tail) < _TAIL_BYTES else tail[tail.find(b"\n") + 1 :]
