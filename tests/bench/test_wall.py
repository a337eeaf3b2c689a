"""The arithmetic of the bench of wall mode."""

from __future__ import annotations

import json

import pytest

from tests.bench.devtools import HeapParts, heap_parts
from tests.bench.wall import Sample, slope_per_hour, summary


def test_nodes_of_a_heap_snapshot_belong_to_the_page_the_compiler_or_the_browser() -> None:
    strings = ["Object", "system / InstructionStream", "system / WeakArrayList", "HTMLDivElement", "system / PropertyArray", ""]
    types = ["object", "string", "code", "native", "object shape"]
    nodes = [0, 0, 10, 1, 5, 20, 2, 1, 100, 3, 2, 200, 3, 3, 1000, 3, 4, 40, 4, 5, 300]
    meta = {"node_fields": ["type", "name", "self_size"], "node_types": [types, "string", "number"]}
    heap = {"snapshot": {"meta": meta}, "nodes": nodes, "strings": strings}
    assert heap_parts(json.dumps(heap)) == HeapParts(values_bytes=70, code_bytes=600, browser_bytes=1000)


def test_slope_is_that_of_a_line_through_all_points() -> None:
    assert slope_per_hour([(0, 5e6), (1800, 5.5e6), (3600, 6e6)]) == pytest.approx(1e6)
    assert slope_per_hour([(0, 5e6), (1800, 5.5e6)]) == 0


def test_summary_has_the_growth_of_the_heap_and_of_its_parts() -> None:
    samples = [
        Sample(60 * n, 4e6 + 1000 * n, 400, 30, "Hall", HeapParts(2_000_000, 1_000_000 + 1000 * n, 500_000)) for n in range(5)
    ]
    assert summary(samples) == "heap +60 KB an hour, values +0, code +60, browser +0; 5 samples"
