"""Messages between the bridges of a cluster: sealed with the cluster's key, numbered, accepted once. Pure.

Anybody on the broker can publish to the bus. The format, all numbers big-endian:

    version (1 byte) | bridge (8) | number (8) | recipient (8, zeros: all bridges) | length of kind (1) | kind | body | MAC (16)

The MAC is BLAKE2b with the cluster's key, over the cluster's name and everything before the MAC.
"""

import enum
import hashlib
import hmac
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.core.errors import BridgeError

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
"""The largest sealed message."""
KIND_LIMIT_BYTES = 32
WINDOW = 1024
"""A message is refused if its number is this much below the highest of its sender (IPsec: RFC 4303, section 3.4.3)."""

_VERSION = 1
_HEADER = struct.Struct(">B8sQ8sB")
_MAC_BYTES = 16
_PERSON = b"sensor-bridge 1"  # at most 16 bytes
_KEY_BYTES = 32
_ALL_BRIDGES = bytes(8)
_BRIDGE_ID = re.compile("[0-9a-f]{16}")
_KIND = re.compile(rb"[a-z][a-z0-9_.-]*")
_WINDOW_BITS = (1 << WINDOW) - 1
_DEPARTED_LIMIT = 256  # windows of former members, which may return after a pause


class BusFault(enum.StrEnum):
    """Why a message of the bus is refused."""

    MALFORMED = "malformed"
    FORGED = "forged"
    REPLAYED = "replayed"
    """It was accepted before, or is too old to tell."""
    UNKNOWN_BRIDGE = "unknown_bridge"
    """It is authentic, but its sender is not a member."""
    NOT_FOR_US = "not_for_us"
    """It is for another bridge, or our own."""


class BusMessageError(BridgeError):
    """A message of the bus is refused; `fault` is the reason that the receiver counts."""

    def __init__(self, fault: BusFault, text: str) -> None:
        super().__init__(f"bus: message refused: {text}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Envelope:
    """An accepted message. `bridge` is the sender's id, which is new at each start of its process."""

    bridge: str
    number: int
    kind: str
    body: bytes


class _Authenticator:
    """Computes MACs for one cluster."""

    def __init__(self, key: bytes, cluster: str) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"the key of the cluster has {len(key)} bytes: must have {_KEY_BYTES}")
        name = cluster.encode()
        self._started = hashlib.blake2b(len(name).to_bytes(4), digest_size=_MAC_BYTES, key=key, person=_PERSON)
        self._started.update(name)

    def mac(self, *parts: bytes | memoryview) -> bytes:
        digest = self._started.copy()
        for part in parts:
            digest.update(part)
        return digest.digest()


class Sealer:
    """Seals the messages of one bridge."""

    def __init__(self, key: bytes, bridge: str, *, cluster: str) -> None:
        """`key` has 32 bytes; `bridge` is 16 hex digits, drawn at random at each start. Raises `ValueError`."""
        self._authenticator = _Authenticator(key, cluster)
        self._bridge = _bridge_bytes(bridge)
        self.number = 0
        """The number of the last message."""

    def seal(self, kind: str, body: bytes, *, to: str | None = None) -> bytes:
        """Return the message, for one bridge or all. Raises `ValueError` if the kind is not valid or the message too large."""
        name = kind.encode()
        if len(name) > KIND_LIMIT_BYTES or not _KIND.fullmatch(name):
            raise ValueError(f"kind {kind!r}: must be a-z, then a-z 0-9 _ . -, at most {KIND_LIMIT_BYTES} bytes")
        size = _HEADER.size + len(name) + len(body) + _MAC_BYTES
        if size > MESSAGE_LIMIT_BYTES:
            raise ValueError(f"the message has {size} bytes: may have {MESSAGE_LIMIT_BYTES}")
        recipient = _ALL_BRIDGES if to is None else _bridge_bytes(to)
        self.number += 1
        header = _HEADER.pack(_VERSION, self._bridge, self.number, recipient, len(name)) + name
        return b"".join((header, body, self._authenticator.mac(header, body)))


class _Window:
    """The numbers that were accepted of one sender: the highest, and a bit for each of the `WINDOW` up to it."""

    __slots__ = ("_bits", "_highest")

    def __init__(self, start: int) -> None:
        """No number up to `start` is accepted."""
        self._highest = start
        self._bits = _WINDOW_BITS

    def is_new(self, number: int) -> bool:
        age = self._highest - number
        return age < 0 or (age < WINDOW and not self._bits >> age & 1)

    def accept(self, number: int) -> None:
        age = self._highest - number
        if age >= 0:
            self._bits |= 1 << age
            return
        self._bits = (self._bits << -age | 1) & _WINDOW_BITS if -age < WINDOW else 1
        self._highest = number


class Opener:
    """Opens the messages of the other bridges. Each is accepted once; their order does not matter within `WINDOW`."""

    def __init__(self, key: bytes, own: str, *, cluster: str) -> None:
        """`own` is the id of this bridge. Raises `ValueError` as `Sealer` does."""
        self._authenticator = _Authenticator(key, cluster)
        self._own = _bridge_bytes(own)
        self._windows: dict[bytes, _Window] = {}
        self._departed: dict[bytes, _Window] = {}
        self._members: frozenset[str] = frozenset()

    @property
    def members(self) -> frozenset[str]:
        """The bridges whose messages are accepted."""
        return self._members

    def set_members(self, members: Mapping[str, int]) -> None:
        """Accept the messages of these bridges. The value is a number that the bridge has published in the store.

        For a bridge that is new here, messages up to that number are refused: they may be recordings. A bridge that was a
        member before keeps its window. Raises `ValueError` if an id is not valid.
        """
        known = self._departed | self._windows
        windows = {}
        for bridge, number in members.items():
            identity = _bridge_bytes(bridge)
            windows[identity] = known.pop(identity) if identity in known else _Window(number)
        self._windows = windows
        self._departed = dict(list(known.items())[-_DEPARTED_LIMIT:])
        self._members = frozenset(members)

    def open(self, data: bytes) -> Envelope:
        """Return the content of a message. Raises `BusMessageError`, and nothing else, whatever the bytes.

        What costs nothing to refuse is refused before the MAC is computed.
        """
        bridge, number, recipient, body_at = _parse(data)
        if bridge == self._own:
            raise BusMessageError(BusFault.NOT_FOR_US, "it is our own")
        if recipient not in (_ALL_BRIDGES, self._own):
            raise BusMessageError(BusFault.NOT_FOR_US, "it is for another bridge")
        window = self._windows.get(bridge)
        if window is not None and not window.is_new(number):
            raise BusMessageError(BusFault.REPLAYED, "it was accepted before, or is too old")
        content = memoryview(data)[:-_MAC_BYTES]
        if not hmac.compare_digest(self._authenticator.mac(content), data[-_MAC_BYTES:]):
            raise BusMessageError(BusFault.FORGED, "its MAC is not that of this cluster's key")
        if window is None:
            raise BusMessageError(BusFault.UNKNOWN_BRIDGE, f"bridge {bridge.hex()} is not a member")
        window.accept(number)
        kind = data[_HEADER.size : body_at].decode("ascii")
        return Envelope(bridge.hex(), number, kind, bytes(content[body_at:]))


def _parse(data: bytes) -> tuple[bytes, int, bytes, int]:
    """Return sender, number, recipient, and the offset of the body. Raises `BusMessageError`."""
    if not _HEADER.size + _MAC_BYTES < len(data) <= MESSAGE_LIMIT_BYTES:
        raise BusMessageError(BusFault.MALFORMED, f"it has {len(data)} bytes")
    version, bridge, number, recipient, kind_length = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise BusMessageError(BusFault.MALFORMED, f"it has version {version}, this bridge reads {_VERSION}")
    body_at = _HEADER.size + kind_length
    kind = data[_HEADER.size : body_at]
    if body_at + _MAC_BYTES > len(data) or kind_length > KIND_LIMIT_BYTES or not _KIND.fullmatch(kind):
        raise BusMessageError(BusFault.MALFORMED, "its kind is not valid")
    return bridge, number, recipient, body_at


def _bridge_bytes(bridge: str) -> bytes:
    if not _BRIDGE_ID.fullmatch(bridge) or not int(bridge, 16):
        raise ValueError(f"bridge id {bridge!r}: must be 16 hex digits, not all zeros")
    return bytes.fromhex(bridge)
