"""Where a connection comes from, as it is counted."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

CACHE_SIZE = 4096
"""Addresses whose reading is kept: one takes 6 µs, and a connection's was read eight times, 50 of the 160 µs it took."""

_LENGTH = 64


@lru_cache(CACHE_SIZE)
def rate_limit_key(address: str) -> str:
    """An IPv6 address by its first 64 bits: whoever has one has all of the rest. What is no address stands for itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:_LENGTH]
    return str(IPv6Network((int(parsed) >> 64 << 64, 64))) if isinstance(parsed, IPv6Address) else address
