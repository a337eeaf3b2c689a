"""Messages without a reading: what a status may be."""

from __future__ import annotations

import pytest

from bridge.core.message import DeviceStatus, RejectionReason
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from tests.core.test_decode import NOW_MS, OWN, OWN_MS, STATUS, decode, rejection


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b"online", "online"),
        (b" offline\n", "offline"),
        (b'{"status": "online"}', "online"),
        (b'{"status": "asleep", "battery": 4}', "asleep"),
        ("работает".encode(), "работает"),
    ],
)
def test_status_is_a_text_or_an_object(payload: bytes, status: str) -> None:
    assert decode(payload, STATUS) == DeviceStatus("a", status, NOW_MS)


def test_status_with_a_plausible_timestamp_uses_it() -> None:
    assert decode({"status": "online", "timestamp": OWN}, STATUS) == DeviceStatus("a", "online", OWN_MS)
    assert decode({"status": "online", "timestamp": 5}, STATUS) == DeviceStatus("a", "online", NOW_MS)


def test_retained_status_is_accepted() -> None:
    assert decode(b"offline", STATUS, retained=True) == DeviceStatus("a", "offline", NOW_MS, is_retained=True)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", RejectionReason.NO_STATUS),
        (b"on\x00line", RejectionReason.NO_STATUS),
        (b"\xff\xfe\n\xff", RejectionReason.NO_STATUS),
        (b"x" * 65, RejectionReason.NO_STATUS),
        (b"{}", RejectionReason.NO_STATUS),
        (b'{"status": null}', RejectionReason.NO_STATUS),
        (b'{"status": 1}', RejectionReason.NO_STATUS),
        (b'{"status": ""}', RejectionReason.NO_STATUS),
        (b'{"status": ["online"]}', RejectionReason.NO_STATUS),
        (b'{"status": "\\ud800"}', RejectionReason.NO_STATUS),
        (b"{online}", RejectionReason.NOT_JSON),
        (b"x" * (PAYLOAD_LIMIT_BYTES + 1), RejectionReason.TOO_LARGE),
    ],
    ids=lambda one: repr(one)[:30],
)
def test_invalid_status_is_rejected(payload: bytes, code: RejectionReason) -> None:
    assert rejection(payload, STATUS).code is code


def test_status_without_a_valid_device_id_is_rejected() -> None:
    assert rejection(b"online", "states").code is RejectionReason.NO_DEVICE_ID
    assert rejection(b"online", "sensors/no\ngood/status").code is RejectionReason.NO_DEVICE_ID
