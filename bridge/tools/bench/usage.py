"""CPU time and memory of a process, from /proc."""

import os
import sys
from pathlib import Path

NO_PROC = "" if sys.platform == "linux" else "this system has no /proc: CPU and memory of the bridge are unknown"


class Usage:
    """The usage of the process `pid`, which need not be a child; None where it is unknown."""

    def __init__(self, pid: int | None) -> None:
        self._folder = Path(f"/proc/{pid}") if pid and not NO_PROC else None

    def cpu_seconds(self) -> float | None:
        """User and system time of all threads, in steps of 10 ms."""
        text = self._read("stat")
        if text is None:
            return None
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int | None:
        text = self._read("statm")
        return None if text is None else int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _read(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text() if self._folder else None
        except OSError:
            return None
