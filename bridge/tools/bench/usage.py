"""What a process has used, as Linux tells under /proc."""

from __future__ import annotations

import os
import sys
from pathlib import Path

NO_PROC = "" if sys.platform == "linux" else "this system has no /proc, so the bridge's CPU and memory are not known"


class Usage:
    """Of the process `pid`; all is None where that is not known."""

    def __init__(self, pid: int | None) -> None:
        """It need not be a child of ours."""
        self._folder = Path(f"/proc/{pid}") if pid and not NO_PROC else None

    def cpu_seconds(self) -> float | None:
        """User and system time of all its threads so far, in ticks of 10 ms."""
        text = self._read("stat")
        if text is None:
            return None
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int | None:
        """Memory it holds now."""
        text = self._read("statm")
        return None if text is None else int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _read(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text() if self._folder else None
        except OSError:
            return None
