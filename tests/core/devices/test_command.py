"""Commands as devices receive them."""

from __future__ import annotations

import pytest

from bridge.core.devices.command import Command, CommandValue


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("90", "90"), ("", ""), ("да", "да"), (90, "90"), (0, "0"), (-1.5, "-1.5"), (1e300, "1e+300"), (2**53, str(2**53)),
        (True, "true"), (False, "false"),
    ],
)  # fmt: skip
def test_value_reaches_the_device_as_text(value: CommandValue, text: str) -> None:
    command = Command("c1", "esp01", "servo1", value, "tester", 0, 1000)
    assert command.body() == {"command": "servo1", "value": text, "id": "c1"}
    assert command.public()["value"] == value


def test_command_without_a_value_has_no_value_key() -> None:
    assert Command("c1", "esp01", "reset", None, "tester", 0, 1000).body() == {"command": "reset", "id": "c1"}
