"""Texts of strangers on a terminal: shown, never obeyed."""

from __future__ import annotations

import io
import re

import pytest
from bson.objectid import ObjectId
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from bridge.cli import runner
from bridge.cli.check import _print_failure, _print_success
from bridge.cli.data import rejected
from bridge.cli.map import explain
from bridge.core.discovery.attempts import try_formats
from bridge.core.query import QuarantinedMessage, QuarantineGroup
from bridge.tools.bench.report.terminal import TerminalDisplay
from bridge.tools.probe.results import ProbeReport
from bridge.tools.probe.table import print_report
from bridge.tools.tail import ReadingsTable
from bridge.tools.terminal import PlainConsole, printable
from tests.house import MODULES

HOSTILE = [
    "[/red]",
    "[bold",
    "[bold red]x[/]",
    "[link=http://e.example]x",
    ":boom:",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b2J",
    "a\rb",
    "\0",
    "\u202e",
    "[/]\x1b[2J",
]
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(params=HOSTILE, ids=ascii)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def a_console() -> PlainConsole:
    return PlainConsole(file=io.StringIO(), width=200)


def assert_shown(console: Console, text: str) -> None:
    output = shown(console)
    assert printable(text) in output
    assert OBEYED.search(output) is None


def test_console_shows_strings_tables_titles_and_texts_as_they_are(text: str) -> None:
    console = a_console()
    console.print(text)
    console.print(Text(text))
    console.out(text)
    table = Table(text, title=text)
    table.add_row(text)
    console.print(table)
    if text.isprintable():
        assert shown(console).count(text) == 6
    assert OBEYED.search(shown(console)) is None


def test_terminal_keeps_its_own_colours_and_progress(text: str) -> None:
    console = PlainConsole(file=io.StringIO(), width=200, force_terminal=True, color_system="standard")
    console.print(Text(text, style="red"))
    with Progress(console=console) as progress:
        progress.add_task("x", total=1)
    output = shown(console)
    assert "\x1b[31m" in output
    assert text.isprintable() == (text in output)
    assert "\x1b[?25l" in output, "the cursor is hidden while there is progress"


def test_lines_of_commands_show_texts_as_they_are(text: str) -> None:
    console = a_console()
    runner.print_line(text, console, "bold red")
    _print_success(console, text, text)
    _print_failure(console, text, text, text)
    TerminalDisplay(console).phase(text)
    assert shown(console).count(printable(text)) == 7
    assert OBEYED.search(shown(console)) is None


def test_quarantine_is_shown_as_it_is(text: str) -> None:
    console = a_console()
    message = QuarantinedMessage(ObjectId(), 0, text, text, text.encode(), text, text, text)
    rejected.print_messages(console, [message])
    rejected.print_message(console, message)
    rejected.print_groups(console, [QuarantineGroup(text, text, 1, 0, text)])
    assert_shown(console, text)


def test_map_shows_topic_and_payload_as_they_are(text: str) -> None:
    for console in (a_console(), Console(file=io.StringIO(), width=200)):
        explain(console, try_formats(f'{{"{text}": 1, "temperature": 20}}'.encode(), f"sensors/{text}/data", 0))
        explain(console, try_formats(text.encode(), text, 0))
        assert OBEYED.search(shown(console)) is None


def test_tail_and_probe_show_texts_as_they_are(text: str) -> None:
    console = a_console()
    table = ReadingsTable(5)
    table.add({"timestamp": text, "deviceId": text, "temperature": text})
    console.print(table)
    report = ProbeReport()
    report.check(text).add_failure(text, text)
    print_report(report, console)
    assert_shown(console, text)


def test_every_console_of_the_bridge_is_a_plain_one() -> None:
    makers = [name for name, source in MODULES.items() if re.search(r"\bConsole\(", source) and name != "bridge.tools.terminal"]
    assert makers == []
    obeying = [name for name, source in MODULES.items() if re.search(r"from_markup|rich\.markup|markup=True", source)]
    assert obeying == []
    assert isinstance(runner.console, PlainConsole)
    assert isinstance(runner.errors, PlainConsole)
