"""The address and scheme of a client, past the proxies that are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from bridge.core.address import CACHE_SIZE
from bridge.settings import HttpSettings

Network = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Who the client is: the peer, or what a trusted proxy says in `X-Forwarded-For`, read from its end.

    Only as far as the proxies are trusted: what a client writes into the header itself stands before that.
    """
    address = peer or "unknown"
    for hop in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        parsed = _parse(address)
        if parsed is None or not any(parsed in network for network in trusted):
            break
        address = hop[:64]
    return str(_parse(address) or address)


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether what comes from this peer comes through a proxy that may say who its client is."""
    parsed = _parse(peer or "")
    return parsed is not None and any(parsed in network for network in trusted)


@lru_cache(CACHE_SIZE)
def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """Also with a port, as some proxies write it; an IPv4 address as such, however it came."""
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def client_address_of(request: web.Request, http: HttpSettings) -> str:
    """The client's, past the proxies that are trusted."""
    return client_address(request.remote, ",".join(request.headers.getall("X-Forwarded-For", ())), http.trusted_proxies)


def is_behind_tls(request: web.Request, http: HttpSettings) -> bool:
    """Whether the client came by https: to us, or to a proxy that is trusted and says so."""
    if request.secure:
        return True
    said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return said in ("https", "wss") and is_trusted(request.remote, http.trusted_proxies)
