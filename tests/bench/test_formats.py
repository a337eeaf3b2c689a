"""The cost of each payload format."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.errors import BridgeError
from tests.bench.formats import default_cost
from tests.servers import REPO


def test_default_format_is_measured_for_each_kind_of_message() -> None:
    costs = default_cost(REPO)
    assert set(costs) == {"exact names", "one value"}
    assert all(0 < cost < 10_000 for cost in costs.values())


def test_folder_that_is_no_checkout_is_refused_before_it_is_measured(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="not a checkout of the bridge"):
        default_cost(tmp_path)
