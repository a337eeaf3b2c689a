"""A bridge with both drivers for MongoDB."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["pymongo", "motor"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver of the store: `start_bridge(broker_url, mongo_url, driver=driver)`."""
    return str(request.param)
