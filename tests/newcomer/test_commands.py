"""The newcomer runs documented commands only."""

from __future__ import annotations

import pytest

from tests.newcomer.commands import COMMANDS, Command


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.text.splitlines()[0])
def test_command_of_the_newcomer_is_in_the_documentation(command: Command) -> None:
    assert command.is_documented, f"{command.page} does not have {command.text!r}: change both, or neither"


def test_command_that_differs_from_its_page_is_noticed() -> None:
    assert not Command("README.md", "make ru").is_documented
    assert not Command("docs/troubleshooting.md", "sensor-bridge rejected").is_documented
