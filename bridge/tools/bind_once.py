"""Whether a server could listen on a port."""

import socket


def bind_once(host: str, port: int) -> None:
    """Bind every address of `host`, IPv4 or IPv6, and release it. Raises `OSError` if one cannot be bound."""
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # as a server does: `::` is for IPv6 only, and IPv4 has a socket of its own
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
