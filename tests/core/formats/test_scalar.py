"""Format scalar: one value per message."""

from __future__ import annotations

import pytest

from bridge.core.formats.registry import FormatName
from bridge.core.message import RejectionReason, StaleRetained
from tests.core.formats.decoding import decode, reading, rejection
from tests.core.test_decode import NOW_MS


@pytest.mark.parametrize(
    ("level", "payload", "values"),
    [
        ("temperature", b"21.5", {"temperature": 21.5}),
        ("temp", b" 21 \n", {"temperature": 21}),
        ("PM2.5", b'"8.5"', {"pm25": 8.5}),
        ("pm1_0", b"+3", {"pm1": 3}),
        ("tvoc", b"0", {"tvoc": 0}),
        ("flameDetected", b"ON", {"flameDetected": True}),
        ("flame_detected", b"off", {"flameDetected": False}),
        ("flameDetected", b"true", {"flameDetected": True}),
        ("flameDetected", b"0", {"flameDetected": False}),
    ],
)
def test_scalar_is_the_field_named_by_its_topic(level: str, payload: bytes, values: dict[str, object]) -> None:
    one = reading(FormatName.SCALAR, payload, f"sensors/a/{level}")
    assert (one.device_id, one.values, one.quality) == ("a", values, {})
    assert one.timestamp_ms == NOW_MS


def test_unusual_scalar_is_accepted_and_flagged() -> None:
    assert reading(FormatName.SCALAR, b"399", "sensors/a/eco2").quality == {"eco2": "outside 400..65000"}


@pytest.mark.parametrize(
    ("level", "payload", "code", "reason"),
    [
        ("temperature", b"nan", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"NaN", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"ON", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"true", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"-127", RejectionReason.NO_MEASUREMENT, "outside -90..200"),
        ("temperature", b"", RejectionReason.NO_MEASUREMENT, "the payload is empty"),
        ("temperature", b"null", RejectionReason.NO_MEASUREMENT, "the payload is null"),
        ("temperature", b'{"value": 1}', RejectionReason.NOT_SCALAR, "not one value but an object"),
        ("temperature", b"[1]", RejectionReason.NOT_SCALAR, "not one value but a list"),
        ("temperature", b"\xff\xfe", RejectionReason.NO_MEASUREMENT, "not a number"),
        ("uptime", b"12", RejectionReason.NO_MEASUREMENT, "unknown key 'uptime'"),
        ("temperature", b"1" * 70_000, RejectionReason.TOO_LARGE, "more than the 65536 allowed"),
    ],
)
def test_invalid_scalar_is_rejected(level: str, payload: bytes, code: RejectionReason, reason: str) -> None:
    one = rejection(FormatName.SCALAR, payload, f"sensors/a/{level}")
    assert one.code is code
    assert reason in one.reason


def test_retained_scalar_is_stale() -> None:
    assert decode(FormatName.SCALAR, b"21.5", retained=True) == StaleRetained()
