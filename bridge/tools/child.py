"""Start a program that ends with this process, however this one ends. Linux sends SIGTERM; elsewhere the program may stay.

Run as a script between fork and the program, without the rest of the bridge: code between fork and exec must not run in a
process that has threads, and the script starts in some milliseconds.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_NOT_STARTED = 127


def bound_command(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` under the same process id and ends it when the calling process ends."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):  # it ended before it could be watched
        sys.exit(_NOT_STARTED)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program inherits that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]}: cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
