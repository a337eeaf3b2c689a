"""The rows of the five documents: each message, field, type, status code, parameter, variable, menu item and promise.

`python -m tests.seeds.rows` prints the table. A row of `rows.toml` has the `text` of the promise, in English, and `test`: the
test that shows it (`test_000.py::test_name`).
"""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    document: str
    text: str
    test: str


def rows_of(file: Path) -> list[Row]:
    return [Row(file.parent.name, **row) for row in tomllib.loads(file.read_text("utf-8"))["row"]]


def all_rows() -> list[Row]:
    return [row for file in sorted(FOLDER.glob("*/rows.toml")) for row in rows_of(file)]


def main() -> None:
    """Print the rows, and how many each document has."""
    rows = all_rows()
    table = Table("document", "row", "shown by", highlight=False)
    for row in rows:
        table.add_row(row.document, row.text, row.test)
    console = Console()
    console.print(table)
    counts = Counter(row.document for row in rows)
    console.print(", ".join(f"{name}: {counts[name]}" for name in sorted(counts)))


if __name__ == "__main__":
    main()
