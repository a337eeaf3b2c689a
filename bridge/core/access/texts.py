"""Texts that people type: titles, names, notes."""

import unicodedata

_JOINERS = "\u200c\u200d"
"""They join the parts of an emoji, and the letters of some scripts."""


def is_plain(text: str, also: str = "") -> bool:
    """Whether a text has only characters that people type: no control characters, and none that change the direction.

    Unlike `str.isprintable` it accepts every space, also the one that French has before a colon. `also` is accepted too.
    """
    return text.isprintable() or all(map(_is_typed, text.translate({ord(one): None for one in also})))


def _is_typed(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


def cleaned(text: str) -> str:
    """Return the text with what people do not type taken for a space, and each run of spaces made one."""
    return text if is_plain(text) else " ".join("".join(one if _is_typed(one) else " " for one in text).split())
