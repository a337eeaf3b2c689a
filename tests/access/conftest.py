"""What the tests of access share: the count of attempts, and a look for secrets when all of them are over."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.access.leaks import LEAKS
from tests.access.tally import PROPERTY, Tally


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Of this test."""
    made = Tally()
    yield made
    request.node.user_properties.append((PROPERTY, made.counts))


@pytest.fixture(scope="package", autouse=True)
def nothing_leaks() -> Iterator[None]:
    """No token, password or key that any of these tests used stands where others read, whichever of them brought it there."""
    root = logging.getLogger()
    level = root.level
    root.addHandler(LEAKS)
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(level)
    root.removeHandler(LEAKS)
    assert LEAKS.found() == set()
