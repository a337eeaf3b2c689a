"""Arrays of numbers as text, for documents."""

import base64
import sys
from array import array
from typing import Any


def packed(numbers: "array[Any]") -> str:
    """Return numbers as base64 of little-endian bytes. Texts follow each other if their bytes are a multiple of three."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return base64.b64encode(numbers).decode()


def unpacked(kind: str, text: str | bytes) -> "array[Any]":
    """Inverse of `packed`. Raises `ValueError`."""
    numbers = array(kind, base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
