"""A display for measurements without output."""

from __future__ import annotations


class SilentDisplay:
    def phase(self, text: str) -> None: ...

    def progress(self, text: str) -> None: ...
