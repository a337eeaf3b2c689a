"""The nightly run: bounds are lifted, and one issue says what broke."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.habits import load, script
from tests.servers import REPO

newest = load("newest")
RUN = "https://example.org/runs/7"


@pytest.mark.parametrize(
    ("requirement", "lifted"),
    [
        ("a", "a"),
        ("a>=1", "a>=1"),
        ("a>=1,<3", "a>=1"),
        ("a >= 1 , < 3", "a>= 1"),
        ("a<3", "a"),
        ("a<=3,!=2.1,>1", "a>1"),
        ("a~=1.2", "a>=1.2"),
        ("a==1.2", "a==1.2"),
        ("a[b,c]>=1,<3; python_version < '3.13'", "a[b,c]>=1; python_version < '3.13'"),
        ("a; sys_platform == 'linux'", "a; sys_platform == 'linux'"),
    ],
)
def test_upper_bound_is_lifted_and_the_rest_stays(requirement: str, lifted: str) -> None:
    assert newest.lifted(requirement) == lifted


def test_group_that_is_included_counts() -> None:
    project = {
        "project": {"dependencies": ["a>=1,<2"], "optional-dependencies": {"demo": ["b<3"]}},
        "dependency-groups": {"dev": [{"include-group": "docs"}, "c"], "docs": ["d~=4.1"], "other": ["e"]},
    }
    assert list(newest.python_requirements(project)) == ["a>=1", "b", "d>=4.1", "c"]


def printed(what: str) -> list[str]:
    run = subprocess.run([sys.executable, script("newest"), what], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def test_every_python_dependency_is_there_without_an_upper_bound() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))
    listed = printed("python")
    assert not [one for one in listed if "<" in one.partition(";")[0]]
    tested = [group for name, group in project["dependency-groups"].items() if name != "forecast-judges"]  # of a bench alone
    groups = [one for group in tested for one in group if isinstance(one, str)]
    wanted = [*project["project"]["dependencies"], *groups]
    assert {name(one) for one in wanted} <= {name(one) for one in listed}


def name(requirement: str) -> str:
    return re.split(r"[\s<>=!~;\[]", requirement)[0]


def test_every_package_of_the_page_is_there() -> None:
    package = json.loads((REPO / "web" / "package.json").read_text("utf-8"))
    assert printed("page") == [f"{one}@latest" for kind in ("dependencies", "devDependencies") for one in package[kind]]


# --- the issue -------------------------------------------------------------------------------------------------------


_GH = """#!{python}
import json, sys
with open("{calls}", "a") as calls:
    calls.write(json.dumps([*sys.argv[1:], sys.stdin.read()]) + "\\n")
if sys.argv[1:3] == ["issue", "list"]:
    print(open("{open}").read())
"""


class Tracker:
    """A `gh` on PATH that notes its calls, and knows one open issue or none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = folder / "calls"
        program = folder / "gh"
        program.write_text(_GH.format(python=sys.executable, calls=self._calls, open=folder / "open"))
        program.chmod(0o755)
        self.open()

    def open(self, *numbers: int) -> None:
        (self._folder / "open").write_text(json.dumps([{"number": number} for number in numbers]))

    def tell(self, *arguments: str) -> list[list[str]]:
        """Run the script; the calls that change something."""
        self._calls.write_text("")
        environment = os.environ | {"PATH": f"{self._folder}:{os.environ['PATH']}"}
        subprocess.run([sys.executable, script("newest_issue"), *arguments], env=environment, check=True, timeout=30)
        calls = [json.loads(line) for line in self._calls.read_text().splitlines()]
        return [call for call in calls if call[:2] not in (["issue", "list"], ["label", "create"])]


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    return Tracker(tmp_path)


def test_failure_opens_an_issue_with_the_run_and_what_is_beyond_our_bounds(tracker: Tracker, tmp_path: Path) -> None:
    report = tmp_path / "newest.txt"
    report.write_text("sensor-bridge 0.1.0 has requirement aiomqtt<3, but you have aiomqtt 3.0.0.\n")
    (call,) = tracker.tell("failed", RUN, str(report))
    assert call[:2] == ["issue", "create"]
    assert RUN in call[-1]
    assert "but you have aiomqtt 3.0.0" in call[-1]


def test_failure_updates_the_issue_that_is_open(tracker: Tracker, tmp_path: Path) -> None:
    tracker.open(12)
    (call,) = tracker.tell("failed", RUN, str(tmp_path / "no such file"))
    assert call[:3] == ["issue", "edit", "12"]
    assert RUN in call[-1]


def test_success_closes_the_issue_that_is_open(tracker: Tracker) -> None:
    tracker.open(12)
    (call,) = tracker.tell("passed", RUN)
    assert call[:3] == ["issue", "close", "12"]


def test_success_without_an_issue_changes_nothing(tracker: Tracker) -> None:
    assert tracker.tell("passed", RUN) == []
