"""The signals that end a command cleanly."""

import asyncio
import signal
from collections.abc import Callable

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


def on_stop_signals(stop: Callable[[], object]) -> None:
    """Call `stop` at Ctrl-C, SIGTERM, and when the terminal is closed, unless `nohup` ignores that."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop)
