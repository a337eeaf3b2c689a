"""The entry of the command line. It imports almost nothing: Ctrl-C ends it cleanly while the rest is imported."""

import gc
import os
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Run a command. Ctrl-C is exit code 130 from the first moment on, without a traceback."""
    importing = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if importing:  # a `KeyboardInterrupt` could be swallowed by any module that is being imported
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        gc.disable()  # imports leave no garbage, and the collector would take a sixth of the start; `run_loop` enables it
        from bridge.cli.commands import run_command

        if importing:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run_command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
