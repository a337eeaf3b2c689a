"""Export and import as commands on real stores: types, bad lines, and crashes without loss or duplicates."""

from __future__ import annotations

import asyncio
import csv
import gzip
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from bson.objectid import ObjectId
from hypothesis import given
from pydantic import SecretStr

from bridge.core.devices.device import Device
from bridge.core.errors import TransferError
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.core.readings.record import RECORD_NAMES
from bridge.maintenance.export_files import FileFormat, LineReader, detect_format, header, lines, open_lines, open_output
from bridge.maintenance.export_import import pages
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.cli.test_cli import ended, running
from tests.core.readings.test_record import readings as some_readings
from tests.fakes import MemoryStore
from tests.servers import REPO, free_port, until
from tests.stores.test_store_contract import START_MS, reading

MANY = 30_000


@pytest.fixture(params=["sqlite", "mongo"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else str(request.getfixturevalue("mongo_url"))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    async with open_store(StoreSettings(url=SecretStr(url))) as store:
        await store.prepare()
        yield store


async def everything(store: Store) -> list[Reading]:
    return [reading async for page in pages(store, ReadingsQuery()) for reading in page]


async def fill(store: Store, count: int) -> None:
    for start in range(1, count + 1, 1000):
        batch = [reading(n, device=f"d{n % 9}", at=n) for n in range(start, min(start + 1000, count + 1))]
        await store.write(batch, [], [])


def sample() -> list[Reading]:
    """Readings that cover every kind of field."""
    full = reading(
        1,
        values={"temperature": 20.0, "humidity": 41, "aqi": 3, "aqiScale": "epa", "flameDetected": False, "pm25": 0.1},
        quality={"eco2": 'not, "a" number', "timestamp": "ahead\nof us"},
        device_timestamp="2031-01-01",
        retained=True,
        extra={"uptime": 5, "fw": 'a, "b"', "relay": False, "Wifi.RSSI": -61.0},
    )
    return [full, reading(2, device="b", at=1, device_timestamp=12.0), reading(3, at=2, values={"battery": 0})]


def without_seq(readings: Sequence[Reading]) -> list[Reading]:
    """An import assigns new cursors."""
    return [replace(reading, seq=0) for reading in readings]


def types(readings: Sequence[Reading]) -> list[list[type]]:
    return [[type(value) for value in reading.values.values()] for reading in readings]


# --- round trip ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv", "a.ndjson.gz", "a.csv.gz"])
async def test_exported_and_imported_readings_are_equal(name: str, store_url: str, tmp_path: Path) -> None:
    async with opened(store_url) as store:
        await store.write(sample(), [], [])
    code, _, err = await ended(tmp_path, "export", name, BRIDGE_STORE__URL=store_url)
    assert code == 0, err
    assert "3 readings exported" in err
    other = f"sqlite:///{tmp_path}/other.db"
    code, _, err = await ended(tmp_path, "import", name, BRIDGE_STORE__URL=other)
    assert code == 0, err
    assert "3 stored, 0 already stored, 0 bad lines" in err
    async with opened(other) as store:
        found = await everything(store)
        assert without_seq(found) == without_seq(sample())
        assert types(found) == types(sample())
        assert found[0].seq > 3, "the cursor is assigned by this store"
        highest = found[-1].seq
    code, _, err = await ended(tmp_path, "import", name, BRIDGE_STORE__URL=other)
    assert code == 0
    assert "0 stored, 3 already stored, 0 bad lines" in err
    async with opened(other) as store:
        assert await store.prepare() == highest


async def test_ndjson_equals_the_public_form_and_csv_has_every_column(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        await store.write(sample(), [], [])
    await ended(tmp_path, "export", "a.ndjson", BRIDGE_STORE__URL=url)
    await ended(tmp_path, "export", "a.csv", BRIDGE_STORE__URL=url)
    written = (tmp_path / "a.ndjson").read_bytes().splitlines()
    assert [orjson.loads(line) for line in written] == [reading.public() for reading in sample()]
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    headings = list(rows[0])
    assert headings[:6] == ["time", "device", "name", "room", "temperature (°C)", "humidity (%RH)"]
    names = {"time": "timestamp", "device": "deviceId"} | dict.fromkeys(("name", "room"))
    keys = [names.get(heading, heading.partition(" ")[0]) for heading in headings]
    assert sorted(key for key in keys if key) == sorted(RECORD_NAMES)
    assert (rows[0]["temperature (°C)"], rows[0]["humidity (%RH)"], rows[0]["flameDetected"]) == ("20.0", "41", "false")
    assert orjson.loads(rows[0]["quality"]) == sample()[0].quality
    assert rows[2]["temperature (°C)"] == ""


async def test_csv_names_devices_and_rooms_and_is_imported_unchanged(tmp_path: Path) -> None:
    url, other = f"sqlite:///{tmp_path}/bridge.db", f"sqlite:///{tmp_path}/other.db"
    async with opened(url) as store:
        await store.write([reading(1, device="кухня", at=0), reading(2, device="b", at=0)], [], [])
        await store.devices.save([Device("кухня", name="Датчик, новый", room='Кухня "1"'), Device("b", name="=1+1")])
    assert (await ended(tmp_path, "export", "a.csv", BRIDGE_STORE__URL=url))[0] == 0
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["device"], row["name"], row["room"]) for row in csv.DictReader(file)]
    assert rows == [("кухня", "Датчик, новый", 'Кухня "1"'), ("b", "'=1+1", "")], "no name is a formula"
    code, _, err = await ended(tmp_path, "import", "a.csv", BRIDGE_STORE__URL=other)
    assert code == 0, err
    async with opened(url) as store, opened(other) as again:
        assert without_seq(await everything(again)) == without_seq(await everything(store))
    assert "0 stored, 2 already stored" in (await ended(tmp_path, "import", "a.csv", BRIDGE_STORE__URL=url))[2]


async def test_csv_of_an_older_release_is_imported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    text = f"{','.join(RECORD_NAMES)}\n"
    record = dict.fromkeys(RECORD_NAMES, "") | {"temperature": "20.5", "timestamp": "2026-01-31T12:00:00Z", "deviceId": "a"}
    (tmp_path / "a.csv").write_text(f"{text}{','.join(record.values())}\n", "utf-8")
    code, _, err = await ended(tmp_path, "import", "a.csv", BRIDGE_STORE__URL=url)
    assert (code, "1 stored" in err) == (0, True)
    async with opened(url) as store:
        assert [found.values for found in await everything(store)] == [{"temperature": 20.5}]


@given(some_readings())
def test_line_parses_to_the_reading_it_was_written_from(original: Reading) -> None:
    for form in FileFormat:
        reader = LineReader(form)
        text = header(form) + lines([original], form)
        assert text.count(b"\n") == (2 if form is FileFormat.CSV else 1), "one line for any content"
        (again,) = [found for line in text.splitlines(keepends=True) if (found := reader.read(line))]
        assert again == replace(original, seq=0)
        assert types([again]) == types([original])


async def test_export_filters_by_device_and_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        await store.write([reading(n, device=f"d{n % 3}", at=n * 1000) for n in range(1, 10)], [], [])
    options = ("--device", "d0", "--device", "d1", "--from", "2025-12-29T09:20:03Z", "--to", "1767000007")
    code, _, err = await ended(tmp_path, "export", "a.ndjson", *options, BRIDGE_STORE__URL=url)
    assert code == 0, err
    assert [orjson.loads(line)["seq"] for line in (tmp_path / "a.ndjson").read_bytes().splitlines()] == [3, 4, 6]
    code, _, err = await ended(tmp_path, "export", "b.ndjson", "--from", "tomorrow", BRIDGE_STORE__URL=url)
    assert (code, "today, yesterday, 7d or 12h (ago)" in " ".join(err.split())) == (2, True), err
    code, _, err = await ended(tmp_path, "export", "b.ndjson", "--from", "1d", "--to", "2d", BRIDGE_STORE__URL=url)
    assert (code, "must be before --to" in err) == (2, True), err


async def test_export_from_yesterday_begins_at_midnight_of_the_local_day(tmp_path: Path) -> None:
    url, zone = f"sqlite:///{tmp_path}/bridge.db", ZoneInfo("Asia/Kolkata")
    midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    start = round(midnight.timestamp() * 1000) - START_MS
    async with opened(url) as store:
        await store.write([reading(1, at=start - 1), reading(2, at=start), reading(3, at=start + 1)], [], [])
    environ = {"BRIDGE_STORE__URL": url, "TZ": "Asia/Kolkata"}
    for option in (
        "yesterday",
        f"{midnight:%Y-%m-%d}",
        f"{midnight:%Y-%m-%d 00:00}",
        f"{midnight.astimezone(UTC):%Y-%m-%dT%H:%MZ}",
    ):
        code, out, err = await ended(tmp_path, "export", "-", "--from", option, **environ)
        assert code == 0, err
        assert [orjson.loads(line)["seq"] for line in out.splitlines()] == [2, 3], option


async def test_export_of_an_unknown_device_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        await store.write([reading(1, device="kitchen")], [], [])
        await store.devices.save([Device("kitchen"), Device("silent")])
    code, _, err = await ended(tmp_path, "export", "a.csv", "--device", "kitchn", BRIDGE_STORE__URL=url)
    assert (code, err) == (1, "unknown device 'kitchn': it has no stored readings; did you mean 'kitchen'?\n")
    assert not (tmp_path / "a.csv").exists()
    code, _, err = await ended(tmp_path, "export", "a.csv", "--device", "silent", BRIDGE_STORE__URL=url)
    assert (code, "0 readings exported" in err) == (0, True), "a device that is registered is known"


async def test_export_from_an_unavailable_store_leaves_no_file(tmp_path: Path) -> None:
    environ = {"BRIDGE_STORE__URL": f"mongodb://127.0.0.1:{free_port()}/sensors", "BRIDGE_STORE__TIMEOUT_SECONDS": "0.5"}
    (tmp_path / "old.csv").write_text("mine")
    assert (await ended(tmp_path, "export", "a.csv", **environ))[0] == 1
    assert (await ended(tmp_path, "export", "old.csv", "--force", **environ))[0] == 1
    assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "old.csv").read_text() == "mine"


@pytest.mark.parametrize(("written", "stays"), [([], False), (sample(), True)], ids=["nothing", "a batch"])
def test_new_file_stays_after_a_failed_export_only_with_readings(written: list[Reading], stays: bool, tmp_path: Path) -> None:
    def fail() -> None:
        with open_output(tmp_path / "a.csv", FileFormat.CSV, resume=False, force=False) as (writer, _):
            if written:
                writer.write(written)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "a.csv").exists() is stays


async def between_pipes(*arguments: str, folder: Path, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bridge",
        *arguments,
        cwd=folder,
        env={"PYTHONPATH": str(REPO), "PATH": "", "BRIDGE_STORE__URL": url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def piped(*arguments: str, given: bytes = b"", folder: Path, url: str) -> tuple[int, bytes, bytes]:
    """Run a command between two pipes."""
    command = await between_pipes(*arguments, folder=folder, url=url)
    out, err = await asyncio.wait_for(command.communicate(given), 120)
    assert command.returncode is not None
    return command.returncode, out, err


@pytest.mark.parametrize("form", ["ndjson", "csv"])
async def test_export_and_import_through_pipes(form: str, tmp_path: Path) -> None:
    url, other = f"sqlite:///{tmp_path}/bridge.db", f"sqlite:///{tmp_path}/other.db"
    async with opened(url) as store:
        await store.write(sample(), [], [])
    code, out, err = await piped("export", "-", "--format", form, folder=tmp_path, url=url)
    assert code == 0, err
    code, _, err = await piped("import", "-", "--format", form, given=out, folder=tmp_path, url=other)
    assert code == 0, err
    async with opened(other) as store:
        assert without_seq(await everything(store)) == without_seq(sample())


async def test_export_to_a_reader_that_exits_succeeds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        await fill(store, 5000)
    command = f"{sys.executable} -m bridge export - | head -n 1"
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-o",
        "pipefail",
        "-c",
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin", "BRIDGE_STORE__URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(shell.communicate(), 120)
    assert orjson.loads(out)["seq"] == 1
    assert b"Traceback" not in err
    assert b"Broken" not in err
    assert shell.returncode == 0


async def test_export_of_an_empty_store_writes_only_the_header(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    for _ in range(2):
        code, _, err = await ended(tmp_path, "export", "a.csv", "--resume", BRIDGE_STORE__URL=url)
        assert code == 0, err
        assert (tmp_path / "a.csv").read_bytes() == header(FileFormat.CSV)
    assert (await ended(tmp_path, "export", "a.ndjson", BRIDGE_STORE__URL=url))[0] == 0
    assert (tmp_path / "a.ndjson").read_bytes() == b""


# --- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv.gz"])
async def test_killed_export_resumes_after_its_last_whole_line(name: str, store_url: str, tmp_path: Path) -> None:
    async with opened(store_url) as store:
        await fill(store, MANY)
        async with running(tmp_path, "export", name, BRIDGE_STORE__URL=store_url) as command:
            file = tmp_path / name
            await until(lambda: file.exists() and file.stat().st_size > 150_000)
            await command.kill()
        assert (await ended(tmp_path, "export", name, BRIDGE_STORE__URL=store_url))[0] == 1, "it exists"
        with file.open("r+b") as cut:
            cut.truncate(file.stat().st_size - 11)
        code, _, err = await ended(tmp_path, "export", name, "--resume", BRIDGE_STORE__URL=store_url)
        assert code == 0, err
        exported = int(err.rpartition(" readings exported")[0].split()[-1].replace(",", ""))
        assert 0 < exported < MANY, "killed midway and not restarted"
        await store.write([reading(MANY + 5, at=-1)], [], [])
        code, _, err = await ended(tmp_path, "export", name, "--resume", BRIDGE_STORE__URL=store_url)
        assert "1 readings exported" in err
    reader = LineReader(detect_format(file, None))
    with open_lines(file) as source:
        seqs = [record["seq"] for line in source.lines if (record := reader.record(line))]
    assert seqs == [*range(1, MANY + 1), MANY + 5]


async def test_import_killed_midway_and_repeated_loses_and_duplicates_nothing(store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    text = lines([reading(n, device=f"d{n % 9}", at=n) for n in range(1, MANY + 1)], FileFormat.NDJSON)
    file.write_bytes(text)
    async with opened(store_url) as store:
        command = await between_pipes("import", "-", "--format", "ndjson", folder=tmp_path, url=store_url)
        assert command.stdin is not None
        command.stdin.write(text[: len(text) // 2])  # it waits for the rest, and cannot finish before it is killed

        async def started() -> bool:
            return await store.count(ReadingsQuery()) > 0

        try:
            await until(started)
        finally:
            command.kill()
            await command.wait()
        before = await store.count(ReadingsQuery())
        assert 0 < before < MANY, "killed midway"
        code, _, err = await ended(tmp_path, "import", str(file), BRIDGE_STORE__URL=store_url)
        assert code == 0, err
        stored, already = (int(count.replace(",", "")) for count in re.findall(r"([\d,]+) (?:stored|already stored)", err))
        assert stored + already == MANY
        assert before <= already < MANY, "the database may finish a write after the kill"
        found = await everything(store)
        assert [stored_reading.timestamp_ms for stored_reading in found] == [
            reading(n, at=n).timestamp_ms for n in range(1, MANY + 1)
        ]
        seqs = [stored_reading.seq for stored_reading in found]
        assert seqs == sorted(set(seqs))


# --- two bridges on one store ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [MemoryStore])
async def test_readings_with_the_same_cursor_are_exported_once(store: Callable[[], Store], tmp_path: Path) -> None:
    memory = store()
    for n in range(2500):
        await memory.write([reading(1 + n // 700, at=n)], [], [])
    found = await everything(memory)
    assert len({item.id for item in found}) == len(found) == 2500
    file = tmp_path / "a.ndjson"
    for cut in (1, 699, 700, 1000, 1400, 2500):
        file.write_bytes(lines(found[:cut], FileFormat.NDJSON) + b'{"_id":"hal')
        with open_output(file, FileFormat.NDJSON, resume=True, force=False) as (_, resume_point):
            rest = [item async for page in pages(memory, ReadingsQuery(), resume_point) for item in page]
        assert [item.id for item in rest] == [item.id for item in found[cut:]]


# --- bad lines and bad files -----------------------------------------------------------------------------------------

BAD = b"\n".join(
    [
        orjson.dumps(sample()[0].public()),
        b"{",
        b"",
        b"[1]",
        orjson.dumps(sample()[1].public() | {"humdity": 1}),
        b'{"deviceId": "' + b"a" * 70_000 + b'"}',
        orjson.dumps(sample()[2].public()),
        b"\xff\xfe",
    ]
)


async def test_bad_lines_are_reported_by_number_and_skipped(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    (tmp_path / "a.ndjson").write_bytes(BAD)
    code, _, err = await ended(tmp_path, "import", "a.ndjson", BRIDGE_STORE__URL=url)
    assert code == 1
    assert "2 stored, 0 already stored, 5 bad lines" in err
    reported = [line.split(":")[0] for line in err.splitlines() if line.startswith("line ")]
    assert reported == ["line 2", "line 4", "line 5", "line 6", "line 8"]
    assert "line 5: 'humdity' is not a field of a reading" in err
    assert "line 6: longer than 65536 bytes" in err


async def test_strict_import_stops_at_the_first_bad_line(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(BAD)
    url = f"sqlite:///{tmp_path}/bridge.db"
    code, _, err = await ended(tmp_path, "import", "a.ndjson", "--strict", BRIDGE_STORE__URL=url)
    assert code == 1
    assert "a.ndjson: line 2: " in err
    assert "line 4" not in err


async def test_reading_refused_by_the_store_is_a_bad_line(mongo_url: str, database: Any, tmp_path: Path) -> None:
    async with opened(mongo_url):
        database.command("collMod", "readings", validator={"deviceId": "a"})
    (tmp_path / "a.ndjson").write_bytes(lines(sample(), FileFormat.NDJSON))
    code, _, err = await ended(tmp_path, "import", "a.ndjson", BRIDGE_STORE__URL=mongo_url)
    assert code == 1
    assert "line 2: the store refused it: Document failed validation" in err
    assert "2 stored, 0 already stored, 1 bad lines" in err


async def test_readings_before_the_damage_of_a_gzip_file_are_imported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    whole = gzip.compress(lines([reading(n, at=n) for n in range(1, 1501)], FileFormat.NDJSON))
    (tmp_path / "a.ndjson.gz").write_bytes(whole + gzip.compress(b"x" * 1000, mtime=0)[:-9])
    code, _, err = await ended(tmp_path, "import", "a.ndjson.gz", BRIDGE_STORE__URL=url)
    assert code == 1
    assert "damaged or truncated" in err
    async with opened(url) as store:
        assert await store.count(ReadingsQuery()) == 1500


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"deviceId,temprature\na,1\n", "'temprature' is not a field of a reading"),
        (b"temperature\n1\n", "device is missing"),
        (b"deviceId,timestamp,timestamp\na,1,1\n", "'timestamp' is a repeated column"),
        (b"deviceId,time,timestamp\na,1,1\n", "'timestamp' is a repeated column"),
        ("device,temperature (°F)\na,1\n".encode(), "'temperature (°F)' must be 'temperature (°C)': units are not converted"),
    ],
)
async def test_csv_with_unknown_columns_is_refused(text: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    code, _, err = await ended(tmp_path, "import", "a.csv", BRIDGE_STORE__URL=f"sqlite:///{tmp_path}/bridge.db")
    assert code == 1
    assert reason in err


async def test_spreadsheet_csv_with_few_columns_is_imported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    text = "\ufeffdeviceId,timestamp,temperature\r\na,2026-01-31T12:00:00Z,20.5\r\na,2026-01-31T12:01:00Z,warm\r\na,1\r\n"
    (tmp_path / "a.csv").write_text(text, "utf-8", newline="")
    for stored in ("1 stored, 0 already stored", "0 stored, 1 already stored"):
        code, _, err = await ended(tmp_path, "import", "a.csv", BRIDGE_STORE__URL=url)
        assert code == 1
        assert stored in err
        assert "line 3: temperature is not JSON" in err
        assert "line 4: 2 cells; the header has 3" in err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.ndjson", b"my diary\n"),
        ("a.ndjson", b"x" * 9_000_000),
        ("a.ndjson", b'{"_id":"x"}\n'),
        ("a.ndjson", b'{"_id":"' + b"0" * 9_000_000),
        ("a.csv", b"a,b\n1,2\n"),
        ("a.csv.gz", b"no gzip"),
        ("a.ndjson.gz", gzip.compress(b"my diary\n", mtime=0)),
        ("a.ndjson.gz", gzip.compress(b'{"_id":"x"', mtime=0)),
    ],
)
def test_file_that_is_not_an_export_is_not_changed(name: str, text: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text)
    with (
        pytest.raises(TransferError, match=r"cannot be continued|damaged"),
        open_output(path, detect_format(path, None), resume=True, force=False),
    ):
        pass
    assert path.read_bytes() == text


@pytest.mark.parametrize("name", ["a.txt", "a", "a.gz", "a.ndjson.zip"])
def test_unknown_extension_requires_the_format_option(name: str) -> None:
    with pytest.raises(TransferError, match="--format"):
        detect_format(Path(name), None)
    assert detect_format(Path(name), FileFormat.CSV) is FileFormat.CSV


async def test_file_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    for command in ("export", "import"):
        code, _, err = await ended(tmp_path, command, "none/a.csv", BRIDGE_STORE__URL=url)
        assert code == 1
        assert err.strip().endswith("No such file or directory")


async def test_full_disk_is_reported_and_the_export_can_be_resumed(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with opened(url) as store:
        await store.write(sample(), [], [])
    (tmp_path / "a.ndjson").symlink_to("/dev/full")
    code, _, err = await ended(tmp_path, "export", "a.ndjson", "--force", BRIDGE_STORE__URL=url)
    assert code == 1
    assert "No space left on device; continue with --resume" in err


def test_resume_point_holds_object_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(header(FileFormat.CSV) + lines(sample(), FileFormat.CSV))
    with open_output(path, FileFormat.CSV, resume=True, force=False) as (_, resume_point):
        assert (resume_point.seq, resume_point.ids, resume_point.fresh) == (3, frozenset({sample()[2].id}), False)
        assert all(isinstance(item, ObjectId) for item in resume_point.ids)
