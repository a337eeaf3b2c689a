"""Lists at 80 columns and as JSON, times and durations, the help, the completion, and the store of a demo."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import orjson
import pytest
import typer
from bson.objectid import ObjectId
from rich.cells import cell_len

from bridge.cli.commands import command_line
from bridge.cli.help import PANELS
from bridge.cli.options import parse_moment, parse_since, seconds_between
from bridge.cli.render import Column, print_json, print_list
from bridge.core.message import RejectionReason
from bridge.tools.tail import ReadingsTable
from bridge.tools.terminal import PlainConsole
from tests.cli.test_cli import ended, environ_of
from tests.conftest import StartBridge
from tests.forked import END_SECONDS
from tests.maintenance.test_quarantine import opened, rejected

LONG_ID = "zigbee2mqtt/0x00158d0001a2b3c4/bedroom-window-upstairs-on-the-left"
CYRILLIC = "Гостиная/датчик-воздуха-у-окна"
KEY = "21a32901433a8cc2"


# --- tables ----------------------------------------------------------------------------------------------------------


def narrow(width: int = 80) -> PlainConsole:
    return PlainConsole(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def shown(console: PlainConsole) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_list_that_fits_is_a_table_in_which_only_prose_is_wrapped_at_blanks() -> None:
    console = narrow()
    columns = ("id", "device", Column("count", number=True), Column("reason", prose=True))
    reason = "temperature is outside -90 to 200 degrees, as sent by a sensor without a probe"
    print_list(console, columns, [(KEY, CYRILLIC, "7", reason)], "none")
    lines = shown(console)
    assert lines[2].split()[:3] == [KEY, CYRILLIC, "7"]
    assert all(cell_len(line) <= 80 for line in lines)
    at = lines[0].index("reason")
    assert " ".join(line[at:].strip() for line in lines[2:]) == reason


def test_list_that_does_not_fit_is_a_record_per_row_with_everything_whole() -> None:
    console = narrow()
    print_list(console, ("id", "device", "site", "topic"), [(KEY, LONG_ID, "", f"{LONG_ID}/data")] * 2, "none")
    record = [f"id      {KEY}", f"device  {LONG_ID}", f"topic   {LONG_ID}/data"]
    whole = "".join(shown(console))
    assert "…" not in whole
    assert whole.count("".join(record)) == 2, whole
    assert "site" not in whole


def test_columns_without_a_value_are_left_out_before_records_are_printed() -> None:
    console = narrow(40)
    print_list(console, ("id", "a rather long heading", "name"), [(KEY, "", "bot")], "none")
    assert shown(console)[0].split() == ["id", "name"]


def test_headings_are_wrapped_before_records_are_printed() -> None:
    console = narrow(24)
    columns = (Column("field"), Column("error 1 h", number=True), Column("in 90% bounds", number=True))
    print_list(console, columns, [("co2 ppm", "22.4", "89.6%")], "none")
    assert [line.split() for line in shown(console)[:2]] == [["error", "in", "90%"], ["field", "1", "h", "bounds"]]
    assert shown(console)[-1].split() == ["co2", "ppm", "22.4", "89.6%"]


def test_list_without_rows_says_so() -> None:
    console = narrow()
    print_list(console, ("id",), [], "no users: add one")
    assert shown(console) == ["no users: add one"]


def test_output_that_is_no_terminal_is_as_wide_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console = PlainConsole(file=io.StringIO())
    print_list(console, ("id", "topic", Column("reason", prose=True)), [(LONG_ID, LONG_ID, "a b " * 50)], "none")
    [_, _, line] = shown(console)
    assert line.split()[:2] == [LONG_ID, LONG_ID]
    assert len(line.split()) == 102


def test_json_escapes_what_a_terminal_would_obey_and_stays_json() -> None:
    console, value = narrow(), {"name": "a\u202eb\x9b31m\u00ad\U000e0001 кухня"}
    print_json(console, value)
    text = "".join(shown(console))
    assert text.isprintable()
    assert "кухня" in text
    assert orjson.loads(text) == value


def test_live_table_leaves_out_values_for_which_there_is_no_room_and_cuts_no_id() -> None:
    console = narrow()
    table = ReadingsTable(3)
    values = {"temperature": 21.5, "humidity": 40, "co2": 800, "pm25": 3.5, "pressure": 1013.2, "noise": 35.1}
    for device in ("kitchen", LONG_ID):
        table.add({"timestamp": "2026-01-31T12:00:00.000Z", "deviceId": device, **values})
    console.print(table)
    lines = shown(console)
    assert all(cell_len(line) <= 80 for line in lines)
    start = lines[1].index("device")
    end = lines[1].index("temperature")
    assert "".join(line[start:end].strip() for line in lines[3:-1]).startswith(LONG_ID)
    assert "…" not in "".join(lines[1:])
    named = {name for name in values if name in lines[1]}
    left_out = {name for name in values if name in lines[-1]}
    assert named | left_out == set(values)
    assert named
    assert left_out


# --- as commands -----------------------------------------------------------------------------------------------------


async def test_rejected_messages_as_json_are_those_of_the_api(
    tmp_path: Path, broker_url: str, start_bridge: StartBridge
) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    now_ms = time.time_ns() // 1_000_000  # an older message is removed by the bridge
    bad = [
        rejected(f"home/{CYRILLIC}", b"\xff\x00", RejectionReason.NOT_JSON, received_ms=now_ms + number) for number in range(3)
    ]
    bad.append(rejected(f"home/{LONG_ID}", b"{}", RejectionReason.NO_MEASUREMENT, received_ms=now_ms + 3))
    async with start_bridge(broker_url, url) as bridge, opened(url) as store:
        await store.write([], bad, [])
        api = f"http://127.0.0.1:{bridge.port}/api/v1/rejected"
        async with aiohttp.ClientSession() as session, session.get(api) as response:
            expected = await response.json()
        environ = {"BRIDGE_STORE__URL": url, "COLUMNS": "80"}
        _, groups, _ = await ended(tmp_path / "a", "rejected", "list", "--json", **environ)
        _, messages, _ = await ended(tmp_path / "b", "rejected", "list", "--messages", "--json", **environ)
        _, table, _ = await ended(tmp_path / "c", "rejected", "list", "--messages", **environ)
    assert orjson.loads(groups) == expected["groups"]
    assert orjson.loads(messages) == expected["messages"]
    for one in expected["messages"]:
        assert one["_id"] in table, "an id is never cut"
        assert one["topic"] in table.replace("\n", "")
    assert all(cell_len(line) <= 80 for line in table.splitlines() if LONG_ID not in line)


@pytest.mark.parametrize("words", [("rejected", "list"), ("user", "list"), ("key", "list"), ("device", "list")], ids=" ".join)
async def test_empty_list_as_json_is_an_empty_array(words: tuple[str, ...], tmp_path: Path) -> None:
    code, out, err = await ended(tmp_path, *words, "--json", BRIDGE_STORE__URL=f"sqlite:///{tmp_path}/bridge.db")
    assert (code, orjson.loads(out), err) == (0, [], "")


async def test_commands_in_the_folder_of_a_demo_use_its_store_and_say_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    message = rejected("home/a", b"{", RejectionReason.NOT_JSON)
    async with opened(f"sqlite:///{tmp_path}/data/bridge.db") as store:
        await store.write([], [message], [])
    code, out, err = await ended(tmp_path, "rejected", "list", "--messages")
    assert (code, str(message.id) in out) == (0, True), err
    assert err == "store.url is not set: using data/bridge.db, the store of the demo\n"
    code, _, err = await ended(tmp_path, "rejected", "show", str(ObjectId()))
    assert (code, "no rejected message has the id" in err) == (1, True)
    own = f"sqlite:///{tmp_path}/own.db"
    code, out, err = await ended(tmp_path, "rejected", "list", BRIDGE_STORE__URL=own)
    assert (code, out.strip(), err) == (0, "the quarantine is empty", ""), "a store that is set is used"


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-11-01T08:30Z", 1_793_521_800_000),
        ("2026-11-01T08:30+02:00", 1_793_514_600_000),
        ("1793521800", 1_793_521_800_000),
        ("1793521800000", 1_793_521_800_000),
    ],
)
def test_time_with_a_zone_is_that_time(text: str, milliseconds: int) -> None:
    assert parse_moment(text) == milliseconds


def test_duration_is_that_long_ago_and_the_same_as_since() -> None:
    for text, seconds in (("90s", 90), ("5m", 300), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)):
        assert parse_moment("now") - parse_moment(text) == pytest.approx(seconds * 1000, abs=5000)
        assert parse_since(text) == pytest.approx(seconds, abs=5)
    assert parse_since("yesterday") - parse_since("1d") < 86_401 + 3600, "the midnight before, also where a clock was changed"


@pytest.mark.parametrize("text", ["tomorrow", "", "7 d", "d7", "2026-13-01", "9" * 400, "0001-01-01", "9999-12-31", "x" * 5000])
def test_text_that_is_no_time_is_refused_or_a_number(text: str) -> None:
    try:
        assert isinstance(parse_moment(text), int)
    except typer.BadParameter as error:
        assert "yesterday" in str(error)  # noqa: PT017 - either is right, nothing else is


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e3", "5 m", "601", "11m", ""])
def test_seconds_out_of_bounds_are_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"must be 0\.1 to 600 seconds"):
        seconds_between(0.1, 600)(text)
    assert [seconds_between(0.1, 600)(one) for one in ("0.5", "30", "90s", "5m", 5.0)] == [0.5, 30, 90, 300, 5]


@pytest.mark.parametrize(
    "words",
    [
        ("discover", "--seconds", "5x"),
        ("map", "--capture", "--topic", "a", "--seconds", "2d"),
        ("alarms", "try", "--since", "9"),
    ],
)
async def test_wrong_duration_is_exit_code_2(words: tuple[str, ...], tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, *words)
    assert (code, "must be" in err) == (2, True), err


# --- help and completion ---------------------------------------------------------------------------------------------


def test_every_command_is_under_a_heading() -> None:
    assert set(command_line().commands) == {name for names in PANELS.values() for name in names}
    assert all(getattr(command, "rich_help_panel", None) in PANELS for command in command_line().commands.values())


async def test_help_lists_headings_in_order_and_names_the_command(tmp_path: Path) -> None:
    code, out, _ = await ended(tmp_path, "--help", COLUMNS="80")
    assert code == 0
    assert "Usage: sensor-bridge [OPTIONS]" in out
    headings = [line.split()[1] for line in out.splitlines() if line.startswith("╭")]
    assert headings == ["Options", *PANELS]
    code, out, _ = await ended(tmp_path, "export", "--help", COLUMNS="80")
    assert (code, "<bool>" in out, "<list" in out) == (0, False, False)


@pytest.mark.parametrize(
    ("words", "completed"),
    [("ex", {"export"}), ("alarms li", {"list"}), ("export --fo", {"--format", "--force"})],
    ids=["command", "command of a group", "option"],
)
async def test_shell_completion_completes_commands_and_options(words: str, completed: set[str], tmp_path: Path) -> None:
    environ = environ_of({"COMP_WORDS": f"sensor-bridge {words}", "COMP_CWORD": str(len(words.split()))})
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "bridge"],
        cwd=tmp_path,
        env=environ | {"_SENSOR_BRIDGE_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )
    assert set(ran.stdout.split()) == completed, ran.stderr
