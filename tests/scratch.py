"""The folder for the files of tests: in memory where there is room. On a disk the databases of all workers take turns."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, not a file of known name
_ENOUGH_BYTES = 6 << 30
"""A mongod takes 300 MB, and each worker has up to four. In containers the folder has 64 MB by default."""


def use_memory() -> None:
    """Keep temporary files of this process and its children in memory, unless the caller chose a folder by TMPDIR."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if min(shutil.disk_usage(_MEMORY).free, _available_bytes()) >= _ENOUGH_BYTES:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # looked up again


def _available_bytes() -> int:
    """Of memory, which the files share with all processes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
