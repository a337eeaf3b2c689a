"""Prometheus and promtool for the tests, and what the shipped rules and dashboard ask of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from tests.servers import REPO, Process, free_port, missing

FOLDER = REPO / "config" / "monitoring"
RULES = FOLDER / "alerts.yml"
CONFIG = FOLDER / "prometheus.yml"
DASHBOARD = FOLDER / "grafana" / "dashboards" / "sensor-bridge.json"
_COMMAND_SECONDS = 30.0
_METRIC = re.compile(r"\b(?P<name>(?:bridge|process)_\w+|up)\b(?P<labels>\{[^}]*\})?")


def program(name: str) -> str:
    """`prometheus` or `promtool`, of the Debian package or a release archive on PATH."""
    found = shutil.which(name)
    if found is None:
        missing(f"there is no {name}; on Debian: apt-get install prometheus")
    return str(found)


def promtool(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; its output is in `stdout`."""
    return subprocess.run(
        [program("promtool"), *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )


class Prometheus(Process):
    """One with a configuration file, and its data below `folder`."""

    def __init__(self, folder: Path, config: Path) -> None:
        port = free_port()
        command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        super().__init__([*command, f"--web.listen-address=127.0.0.1:{port}"], port, folder / "prometheus.log")

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10) as answer:
            return bool(answer.status == HTTPStatus.OK)
        return False

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result


def rules() -> list[dict[str, Any]]:
    """The shipped alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The shipped dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, without its rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Every expression of rules and dashboard, with the variables of the dashboard replaced."""
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        yield from (_without_variables(target["expr"]) for target in panel["targets"])


def _without_variables(expression: str) -> str:
    return expression.replace('"$instance"', '".+"').replace("$__rate_interval", "1m")


def selectors(expression: str) -> list[str]:
    """The series that an expression names, with their label matchers."""
    return [match["name"] + (match["labels"] or "") for match in _METRIC.finditer(expression)]
