"""Format mapping, and its paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import FormatError
from bridge.core.formats.mapping import FieldPath, scale_value
from bridge.core.formats.registry import FormatName
from bridge.core.message import RejectionReason
from tests.core.formats.decoding import reading, rejection
from tests.core.test_decode import OWN, OWN_MS, assert_readable


def test_field_is_read_by_path_scale_and_offset() -> None:
    one = reading(FormatName.MAPPING, {"t": [{"val": 613}], "gas": {"co2": 645}, "temperature": 5})
    assert one.values == {"temperature": 21.3, "co2": 645}
    assert type(one.values["co2"]) is int


def test_device_id_and_timestamp_can_be_read_by_path() -> None:
    fields = {name: FieldPath.parse(path) for name, path in {"co2": "0.v", "deviceId": "1.id", "timestamp": "1.at"}.items()}
    one = reading(FormatName.MAPPING, [{"v": 645}, {"id": "b", "at": OWN}], "up", pattern="up", fields=fields)
    assert (one.device_id, one.timestamp_ms, one.values) == ("b", OWN_MS, {"co2": 645})


def test_missing_path_omits_its_field() -> None:
    assert reading(FormatName.MAPPING, {"t": [], "gas": {"co2": 645}}).values == {"co2": 645}


@pytest.mark.parametrize("body", [{}, [], {"t": {"0": None}}, {"gas": {"co2": None}}, {"gas": 5}])
def test_rejection_lists_the_paths_without_a_value(body: object) -> None:
    one = rejection(FormatName.MAPPING, body)
    assert one.code is RejectionReason.NO_MEASUREMENT
    assert one.reason == "no measurement: no value at 't.0.val', 'gas.co2'"


@pytest.mark.parametrize(
    ("body", "code"), [(b"21.5", RejectionReason.NOT_OBJECT), (b"x", RejectionReason.NOT_JSON), (b"", RejectionReason.NOT_JSON)]
)
def test_payload_other_than_object_or_list_is_rejected(body: bytes, code: RejectionReason) -> None:
    assert rejection(FormatName.MAPPING, body).code is code


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("a.b.0.c", ("a", "b", "0", "c")),
        ("a\\.b.c", ("a.b", "c")),
        ("a\\\\.b", ("a\\", "b")),
        ("Air Pressure.ä", ("Air Pressure", "ä")),
    ],
)
def test_path_is_split_into_steps_at_dots(text: str, steps: tuple[str, ...]) -> None:
    assert FieldPath.parse(text).steps == steps


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a\\", "a\\b", "x" * 257])
def test_invalid_path_raises_format_error(text: str) -> None:
    with pytest.raises(FormatError, match="is not a path") as caught:
        FieldPath.parse(text)
    assert_readable(str(caught.value))


@pytest.mark.parametrize(
    ("raw", "converted"),
    [(213, 21.3), (3, 0.3), ("215", 21.5), (-0.0, 0.0), ("x", "x"), (True, True), (None, None), ([1], [1])],
)
def test_only_numbers_are_scaled_and_rounded(raw: object, converted: object) -> None:
    assert scale_value(raw, 0.1) == converted


@given(st.text())
def test_any_text_is_a_path_or_raises_format_error(text: str) -> None:
    try:
        path = FieldPath.parse(text)
    except FormatError:
        return
    assert path.find({path.steps[0]: None}) is None
