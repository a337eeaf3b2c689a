"""Data sets for the bench: one that cannot be installed is named, with the reason, and skipped."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bench.anomalies import Results
from tests.bench.datasets import DatasetMissing, _install


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('no network')"], "no network"),
        ([sys.executable, "-c", ""], "table.csv is not in it"),
        (["/no/such/program"], "No such file or directory"),
    ],
)
def test_data_set_that_cannot_be_installed_is_named_with_the_reason(command: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=f"motes: cannot be installed: .*{reason}"):
        _install(tmp_path / "table.csv", "motes", command)


def test_data_set_that_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    (tmp_path / "table.csv").touch()
    _install(tmp_path / "table.csv", "motes", ["/no/such/program"])


def test_missed_targets_are_counted() -> None:
    results = Results()
    results.add("data", "one", "3", "2", is_met=False)
    results.add("data", "another", "1", "2", is_met=True)
    assert (results.missed, results.table.row_count) == (1, 2)
