"""A bridge with MongoDB, and what is different with the other driver."""

from __future__ import annotations

import pytest

with_each_driver = pytest.mark.parametrize("driver", ["pymongo", "motor"])
"""For tests of what is stored and read; programs run with one. That both do the same is shown by the contract of stores."""


@pytest.fixture
def driver() -> str:
    """The driver of the store: `start_bridge(broker_url, mongo_url, driver=driver)`."""
    return "pymongo"
