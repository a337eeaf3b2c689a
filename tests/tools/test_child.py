"""Programs that end with the process that started them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.tools import child
from tests.servers import REPO, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")

PARENT = """
import asyncio, sys
from pathlib import Path
from bridge.tools.bench.systems import child_process

async def main():
    async with child_process(["sleep", "600"], {}, Path(sys.argv[1])) as process:
        print(process.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_process_of_the_bench_ends_with_a_bench_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path)), stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(REPO)}
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    await until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0], what="the program")
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until(lambda: not runs(pid), what="the end of the program")


def test_program_is_not_started_for_a_parent_that_has_ended(tmp_path: Path) -> None:
    command = child.bound_command(["touch", str(tmp_path / "started")])
    command[command.index(str(os.getpid()))] = "1"
    assert subprocess.run(command, check=False).returncode == 127
    assert list(tmp_path.iterdir()) == []


def test_program_gets_arguments_exit_code_and_signals_as_if_started_directly(tmp_path: Path) -> None:
    script = "import signal, sys; print(sys.argv[1:], signal.getsignal(signal.SIGTERM) == 0); sys.exit(3)"
    ran = subprocess.run(
        child.bound_command([sys.executable, "-c", script, "a b", ""]), capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (3, "['a b', ''] True\n")
    piped = subprocess.run(child.bound_command(["sh", "-c", "trap"]), capture_output=True, text=True, check=False)
    assert "PIPE" not in piped.stdout
    missing = subprocess.run(child.bound_command([str(tmp_path / "none")]), capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert missing.stderr.endswith("none: cannot be started: No such file or directory\n")
