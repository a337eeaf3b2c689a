"""The address and scheme of a client behind trusted proxies."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from bridge.core.rate_limit_key import CACHE_SIZE
from bridge.settings import HttpSettings

Network = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The client's address: the peer or, behind trusted proxies, the last untrusted address in `X-Forwarded-For`.

    The header is read from its end, since each proxy appends the address of its peer: entries before the first untrusted
    address may be forged by the client.
    """
    address = peer or "unknown"
    for hop in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        parsed = _parse(address)
        if parsed is None or not any(parsed in network for network in trusted):
            break
        address = hop[:64]
    return str(_parse(address) or address)


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether a peer is a trusted proxy, whose `X-Forwarded-*` headers count."""
    parsed = _parse(peer or "")
    return parsed is not None and any(parsed in network for network in trusted)


@lru_cache(CACHE_SIZE)
def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """Parse an address, with a port as some proxies append it. An IPv4-mapped IPv6 address becomes IPv4."""
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def client_address_of(request: web.Request, http: HttpSettings) -> str:
    """The address of a request's client, as in `client_address`."""
    return client_address(request.remote, ",".join(request.headers.getall("X-Forwarded-For", ())), http.trusted_proxies)


def is_behind_tls(request: web.Request, http: HttpSettings) -> bool:
    """Whether the client uses TLS: directly, or according to `X-Forwarded-Proto` from a trusted proxy."""
    if request.secure:
        return True
    scheme = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return scheme in ("https", "wss") and is_trusted(request.remote, http.trusted_proxies)
