"""Fixtures of the access tests: the tally of attempts, and the leak check at the end of the run."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.access.leaks import LEAKS
from tests.access.tally import PROPERTY, Tally

OUTSPOKEN = ("bridge", "aiohttp", "asyncio")
"""Loggers set to DEBUG; those of other libraries log warnings and worse, as in production."""


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The tally of this test."""
    made = Tally()
    yield made
    request.node.user_properties.append((PROPERTY, made.counts))


@pytest.fixture(scope="package", autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Fail if a token, password or key of any of these tests is in a log, a response or an error."""
    yield
    assert LEAKS.found() == set()


@pytest.fixture(autouse=True)
def searched_logs() -> Iterator[None]:
    """Let the leak check search the logs of this test, at every level. Tests of other packages may run between two of these."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in OUTSPOKEN}
    root.addHandler(LEAKS)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.removeHandler(LEAKS)
