"""Every row of the five documents is shown by a test that exists."""

from __future__ import annotations

import pytest

from tests.seeds.rows import FOLDER, Row, all_rows


@pytest.mark.parametrize("row", all_rows(), ids=lambda row: f"{row.document}-{row.text[:40]}")
def test_row_names_a_test(row: Row) -> None:
    file, _, name = row.test.partition("::")
    source = (FOLDER / file).read_text("utf-8")
    assert f"def {name.partition('[')[0]}(" in source
