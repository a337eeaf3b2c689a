"""The identity of records, and the cursor from which clients resume."""

import re
import struct
import unicodedata
from collections.abc import Collection, Mapping
from functools import cache
from hashlib import blake2b
from typing import Any

from bson.objectid import ObjectId

from bridge.core.errors import DeviceIdError
from bridge.core.readings.measurements import Value

DEVICE_ID_RULE = (
    "1 to 128 printable characters of any script, without + or #, without a space at either end, and where it has several "
    "levels (a/b), none of them empty, . or .."
)
"""`.` and `..` are steps in a URL: clients resolve them before they send a request, so such a device could not be addressed.

Printable is what `str.isprintable` accepts: no control characters, no spaces but the plain one, and no format characters, which
include those that hide or reorder text (bidirectional controls, zero-width characters).
"""

DEVICE_ID_LENGTH = 128
"""Characters. At most 512 bytes of UTF-8, and 1,536 in a URL."""

_LEVEL_CHARACTER = r"/+#\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3000\ufeff"
_LEVEL = rf"([^{_LEVEL_CHARACTER}]*[^.{_LEVEL_CHARACTER}][^{_LEVEL_CHARACTER}]*|\.{{3,}})"

DEVICE_ID_PATTERN = rf"^(?! )(?!.* $){_LEVEL}(/{_LEVEL})*$"
"""The rule as a regular expression of JSON Schema, which has no class of printable characters: a few more texts match it.

The length is checked separately.
"""

COMMAND_ID_RULE = "1 to 128 characters of A-Z a-z 0-9 . _ : -, but not . or .."
COMMAND_ID_PATTERN = r"^([A-Za-z0-9._:-]*[A-Za-z0-9_:-][A-Za-z0-9._:-]*|\.{3,})$"
"""The characters of the rule as a regular expression of JSON Schema; the length is checked separately."""

_PLAIN = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._:-]{1,128}", re.ASCII)
_UNNORMALIZED_LENGTH = 4 * DEVICE_ID_LENGTH  # NFC shortens a text to a quarter at most

INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Characters that count as printable and are not visible, such as fillers; refused too."""

_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_SECONDS = struct.Struct(">I")
_NEGATIVE_ZERO = struct.pack(">d", -0.0)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)  # JavaScript represents all of them exactly

CURSOR_LIMIT = 2**53
"""Cursors stay below this (until the year 2255), so that JavaScript represents them exactly."""


def is_device_id(text: object) -> bool:
    """Whether the value is a text that follows `DEVICE_ID_RULE`, and is in NFC."""
    return isinstance(text, str) and (
        _PLAIN.fullmatch(text) is not None or (_device_id_fault(text) is None and unicodedata.is_normalized("NFC", text))
    )


def parse_device_id(value: object) -> str:
    """Return a device id in NFC, so that two spellings of a text are one device.

    Raises `DeviceIdError` with the fault and the rule. An ASCII id without spaces costs 0.2 µs, any other at most 1.6 µs.
    """
    if not isinstance(value, str):
        raise DeviceIdError("is not a text", DEVICE_ID_RULE)
    if _PLAIN.fullmatch(value) is not None:
        return value
    text = normalize_device_id(value)
    fault = _device_id_fault(text)
    if fault is not None:
        raise DeviceIdError(fault, DEVICE_ID_RULE)
    return text


def normalize_device_id(text: str) -> str:
    """Return the text in NFC, to look up a device by a text that may not be a device id."""
    return text if len(text) > _UNNORMALIZED_LENGTH else unicodedata.normalize("NFC", text)


def _device_id_fault(text: str) -> str | None:
    """Return the first fault of a text as a device id."""
    if not 0 < len(text) <= DEVICE_ID_LENGTH:
        return f"has {len(text)} characters" if text else "is empty"
    if not text.isprintable() or _INVISIBLE.search(text):
        return f"contains {_character_name(text)}"
    if text[0] == " " or text[-1] == " ":
        return f"{'begins' if text[0] == ' ' else 'ends'} with a space"
    if "+" in text or "#" in text:
        return f"contains {'+' if '+' in text else '#'!r}"
    if bad := {"", ".", ".."}.intersection(text.split("/")):
        level = min(bad)
        return f"has the level {level!r}" if level else "has an empty level"
    return None


def _character_name(text: str) -> str:
    """Return the code point and the name of the first character that is not printable or not visible."""
    character = next(one for one in text if not one.isprintable() or _INVISIBLE.match(one))
    return f"U+{ord(character):04X} {unicodedata.name(character, unicodedata.category(character))}"


def number_or_text(identity: str) -> int | str:
    """Return an id as channels send it: a number if it is written as one, otherwise the text."""
    return int(identity) if _NUMBER.fullmatch(identity) else identity


def text_of_id(value: object) -> object:
    """Return the text of an id that may be a whole number in JSON; any other value as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def is_command_id(text: object) -> bool:
    """Whether the value is a text that follows `COMMAND_ID_RULE`."""
    return isinstance(text, str) and _PLAIN.fullmatch(text) is not None


def record_id(device_id: str, device_ms: int, values: Mapping[str, Value]) -> ObjectId:
    """Return the `_id` of a reading: the seconds of the device's time, then 64 bits of BLAKE2b over device, time and values.

    Values are compared as numbers (25 equals 25.0), so a reading that arrives twice, or from two sources, is one record.
    Two different readings of the same second collide with probability 1 in 2^64.
    """
    digest = blake2b(_identifying(device_id, str(device_ms), values), digest_size=8).digest()
    return ObjectId(_SECONDS.pack(device_ms // 1000 & 0xFFFFFFFF) + digest)


def message_id(device_id: str, seed: str, values: Mapping[str, Value]) -> ObjectId:
    """Return the `_id` of a reading without a timestamp whose message has a `seed`: 96 bits of BLAKE2b over all three."""
    return ObjectId(blake2b(_identifying(device_id, seed, values), digest_size=12).digest())


def _identifying(device_id: str, when: str, values: Mapping[str, Value]) -> bytes:
    """Return the names as text, then the numbers as doubles: 1.1 µs for nine fields, against 2.2 µs for JSON.

    `aqiScale`, the only text value, is appended to the names.
    """
    names = "\0".join((device_id, when, *values))
    numbers: Collection[Any] = values.values()
    if "aqiScale" in values:
        names += f"\0{values['aqiScale']}"
        numbers = [value for value in numbers if not isinstance(value, str)]
    packed = _doubles(len(numbers)).pack(*numbers)
    if _NEGATIVE_ZERO in packed:  # or the bytes of two adjacent numbers look like it
        packed = _doubles(len(numbers)).pack(*(value + 0.0 for value in numbers))
    return names.encode() + packed


@cache
def _doubles(count: int) -> struct.Struct:
    return struct.Struct(f">{count}d")


class Cursor:
    """Assigns `seq`: microseconds since the epoch, strictly increasing even if the clock stops or goes back."""

    def __init__(self, last: int = 0) -> None:
        """`last` is the highest cursor assigned so far, 0 for none."""
        self._last = last

    @property
    def last(self) -> int:
        return self._last

    def resume_above(self, last: int) -> None:
        """Continue above `last`, the highest cursor in the store, if it is ahead."""
        self._last = max(self._last, last)

    def next(self, now_us: int) -> int:
        self._last = max(now_us, self._last + 1)
        return self._last
