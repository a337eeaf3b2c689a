"""Commands in a process of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.servers import REPO

Command = Callable[..., Awaitable[tuple[int, str, str]]]
"""`await command("user", "list", given="")` returns exit code, standard output and standard error."""


def command_line(folder: Path, **environ: str) -> Command:
    """Run commands in this folder with only these environment variables."""
    whole = {"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin", "COLUMNS": "200", **environ}

    async def command(*arguments: str, given: str = "") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bridge", *arguments, cwd=folder, env=whole,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(given.encode())
        return process.returncode or 0, out.decode(), err.decode()

    return command
