"""The bodies of the attack are what their encodings say, and every combination is sent."""

from __future__ import annotations

import zlib
from itertools import islice

import pytest

from tests.bench.hostile_bodies import FRAMINGS, METHODS, PATHS, bodies, deflate_bomb, hostile_requests

MEGABYTES = 1024


@pytest.mark.parametrize("window_bits", [15, 31, -15])
def test_deflate_bomb_is_a_gigabyte_of_zeros_in_a_megabyte(window_bits: int) -> None:
    bomb, inflate, megabyte = deflate_bomb(window_bits), zlib.decompressobj(window_bits), bytes(1 << 20)
    assert len(bomb) < 1.1e6
    for n in range(MEGABYTES):
        assert inflate.decompress(inflate.unconsumed_tail if n else bomb, len(megabyte)) == megabyte


def test_every_combination_is_sent_before_one_is_repeated() -> None:
    count = len(bodies()) * len(METHODS) * len(PATHS) * len(FRAMINGS)
    heads = [(request.head, len(request.body)) for request in islice(hostile_requests("localhost"), count)]
    assert len(set(heads)) == count
