"""The signals that end a command cleanly, and SIGHUP, which makes a service read its files again."""

import asyncio
import os
import signal
from collections.abc import Callable

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


def on_stop_signals(stop: Callable[[], object], reload: Callable[[], object] | None = None) -> None:
    """Call `stop` at Ctrl-C, SIGTERM, and when the terminal is closed, unless `nohup` ignores that.

    A process without a terminal, as a service is, calls `reload` at SIGHUP instead, if it is given.
    """
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            handler = reload if name == "SIGHUP" and reload is not None and not _has_terminal() else stop
            asyncio.get_running_loop().add_signal_handler(number, handler)


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal, which sends SIGHUP when it is closed."""
    try:
        os.close(os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
