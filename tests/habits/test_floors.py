"""Lower bounds of dependencies: releases without vulnerabilities that were known when they were set."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from tests.habits import load, script
from tests.servers import REPO

floors = load("floors")
SECURITY_FLOORS = {
    "aiohttp": "3.14.5",
    "amqtt": "0.12.1",
    "orjson": "3.11.6",
    "PyJWT": "2.15",
    "pymongo": "4.18.2",
    "python-engineio": "4.15.1",
    "python-socketio": "5.18.1",
}
"""Never to be lowered."""


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


@pytest.mark.parametrize(
    ("requirement", "oldest"),
    [
        ("a>=1", "a==1"),
        ("a-b[c,d]>=1.2.3,<2; python_version < '3.13'", "a-b==1.2.3"),
        ("a < 3, >= 1", "a==1"),
        ("a~=1.4", "a==1.4"),
        ("a==1.4", "a==1.4"),
    ],
)
def test_oldest_allowed_release_is_the_lower_bound(requirement: str, oldest: str) -> None:
    assert floors.floor(requirement) == oldest


@pytest.mark.parametrize("requirement", ["a", "a<3", "a; python_version >= '3.11'"])
def test_requirement_without_a_lower_bound_is_an_error(requirement: str) -> None:
    with pytest.raises(ValueError, match="has no lower bound; write name>=version"):
        floors.floor(requirement)


def test_lower_bounds_are_not_below_the_security_floors() -> None:
    printed = subprocess.run([sys.executable, script("floors")], capture_output=True, text=True, check=True).stdout
    allowed = dict(line.split("==") for line in printed.splitlines())
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(allowed) == len(project["dependencies"]) + sum(map(len, project["optional-dependencies"].values()))
    assert {name: allowed[name] for name, floor in SECURITY_FLOORS.items() if version(allowed[name]) < version(floor)} == {}


def test_audit_asks_about_the_lower_bounds_too() -> None:
    makefile = (REPO / "Makefile").read_text("utf-8")
    audit = makefile.partition("\naudit:")[2].partition("\n.PHONY")[0]
    assert ".github/scripts/floors.py" in audit
