"""The cost of each payload format."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.errors import BridgeError
from tests.bench.formats import paired_costs
from tests.servers import REPO


def test_default_format_is_measured_for_each_kind_of_message() -> None:
    costs = paired_costs(REPO, REPO, pairs=1)
    assert {"exact names", "one value", "aliases", "values in an object", "an unknown key"} <= costs.keys()
    assert all(0 < cost < 10_000 for pairs in costs.values() for pair in pairs for cost in pair)


def test_folder_that_is_no_checkout_is_refused_before_it_is_measured(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="not a checkout of the bridge"):
        paired_costs(REPO, tmp_path, pairs=1)
