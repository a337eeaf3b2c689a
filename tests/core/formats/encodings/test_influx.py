"""Format influx: the grammar of the line protocol."""

from __future__ import annotations

import pytest

from bridge.core.formats.encodings.influx import influx_format
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import FormatName
from bridge.core.message import RejectionReason
from tests.core.formats.decoding import reading, rejection


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("air temperature=21.5", {"temperature": 21.5}),
        ("air co2=645i,pm25=8u", {"co2": 645, "pm25": 8}),
        ("air temperature=2.15e1,humidity=+40", {"temperature": 21.5, "humidity": 40}),
        ('air temperature=21.5,note="a, \\"b\\" c=d\ne"', {"temperature": 21.5}),
        ("air\\,\\ quality,room=a\\=b temperature=21.5", {"temperature": 21.5}),
        ("air flameDetected=T", {"flameDetected": True}),
        ("temperature value=21.5", {"temperature": 21.5}),
        ("  air   temperature=21.5   1795860000000000000  ", {"temperature": 21.5}),
    ],
)
def test_values_of_a_line_are_read(line: str, values: dict[str, object]) -> None:
    assert reading(FormatName.INFLUX, line.encode()).values == values


@pytest.mark.parametrize(
    "line",
    ["", "# only a comment", "air", "air temperature", "air temperature=", "air temperature=abc", ",a=b c=1", "air,room t=1",
     'air note="open', "air temperature=1 yesterday", "air temperature=1,", "{}"],
)  # fmt: skip
def test_text_that_is_no_line_is_rejected(line: str) -> None:
    one = rejection(FormatName.INFLUX, line.encode())
    assert one.code is RejectionReason.NOT_JSON
    assert "not line protocol" in one.reason


def test_lines_beyond_the_limit_are_named_as_not_taken() -> None:
    text = "\n".join(f"air,room=r{number} temperature=21.5" for number in range(1002))
    parsed = influx_format(Payload(text.encode()))
    assert len(parsed.samples) == 1000
    assert [leaf.reason for leaf in parsed.common] == ["beyond the 1000 lines of a message"] * 2
