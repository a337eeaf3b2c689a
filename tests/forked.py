"""Commands of `sensor-bridge` as forks of a process that has imported the bridge: processes, without a second of imports each.

A test of how a command starts, or of its signals, starts `python -m bridge` (`tests.cli.test_cli.running`).
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO

import orjson

from tests.servers import REPO

END_SECONDS = 120.0  # generous: a command may wait for its share of a busy machine


class ForkServer:
    """One for all tests of a process, which ends with it. Runs one command at a time."""

    def __init__(self) -> None:
        kept = (name for name in os.environ if not name.upper().startswith("BRIDGE_") and name != "COLUMNS")
        environ = {name: os.environ[name] for name in kept}  # a console keeps the COLUMNS of its creation
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            cwd=REPO,
            env=environ | {"PYTHONPATH": str(REPO)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def run(self, folder: Path, environ: dict[str, str], *arguments: str) -> int:
        """The exit code of a command; its output is in the files `out.txt` and `err.txt` of its working folder."""
        with self._lock:
            requests, answers = self._process.stdin, self._process.stdout
            assert requests is not None
            assert answers is not None
            requests.write(orjson.dumps([str(folder), environ, arguments]) + b"\n")
            requests.flush()
            pid = int(answers.readline())
            killer = threading.Timer(END_SECONDS, _kill, (pid,))
            killer.start()
            try:
                return int(answers.readline())
            finally:
                killer.cancel()

    def _end(self) -> None:
        self._process.communicate()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


_shared: list[ForkServer] = []


def run(folder: Path, environ: dict[str, str], *arguments: str) -> int:
    """See `ForkServer.run`."""
    if not _shared:
        _shared.append(ForkServer())
    return _shared[0].run(folder, environ, *arguments)


def main() -> None:
    """Fork a command for each line of standard input; print its process id, then its exit code."""
    import bridge.cli.check
    import bridge.cli.commands
    import bridge.cli.demo
    import bridge.tools.bench.command
    import bridge.tools.probe.command
    import bridge.tools.tail  # noqa: F401

    gc.freeze()  # a collection in a fork would copy the memory that it shares
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "w")
    while line := requests.readline():
        folder, environ, arguments = orjson.loads(line)
        if (pid := os.fork()) == 0:
            os._exit(_code_of(folder, environ, arguments, answers))
        print(pid, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)


def _code_of(folder: str, environ: dict[str, str], arguments: list[str], answers: IO[str]) -> int:
    """Be the process of a command, and return its exit code: what Python does at its end would copy all memory."""
    from bridge.cli.main import main as command

    os.setsid()
    os.chdir(folder)
    for number, name, mode in ((0, os.devnull, os.O_RDONLY), (1, "out.txt", os.O_WRONLY), (2, "err.txt", os.O_WRONLY)):
        opened = os.open(name, mode | (os.O_CREAT | os.O_TRUNC if number else 0), 0o666)
        os.dup2(opened, number)
        os.close(opened)
    answers.close()
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = ["sensor-bridge", *arguments]
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
