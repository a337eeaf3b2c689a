"""What the tests of access share: the count of attempts, and a look for secrets when all of them are over."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.access.leaks import LEAKS
from tests.access.tally import PROPERTY, Tally

OUTSPOKEN = ("bridge", "aiohttp", "asyncio")
"""Loggers that may say all they can; those of other libraries say what the command lets them, warnings and worse."""


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Of this test."""
    made = Tally()
    yield made
    request.node.user_properties.append((PROPERTY, made.counts))


@pytest.fixture(scope="package", autouse=True)
def nothing_leaks() -> Iterator[None]:
    """No token, password or key that any of these tests used stands where others read, whichever of them brought it there."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in OUTSPOKEN}
    root.addHandler(LEAKS)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.removeHandler(LEAKS)
    assert LEAKS.found() == set()
