"""Ends a process that was told to end and does not: whatever it waits for, in the event loop, in a thread, or in C."""

import asyncio
import logging
import os
import sys
import threading
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

log = logging.getLogger(__name__)

_FAILED = 1
_LOG_SECONDS = 2.0
"""For the last line of the log, whose reader may have stopped."""
_NAMED = 20


class ExitDeadline:
    """From `start` on the process has `seconds` to end. Create it in the event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer = threading.Timer(seconds, self._exit)
        self._timer.daemon = True
        self._lock = threading.Lock()

    def start(self) -> None:
        """Safe to repeat: the first call counts."""
        if self._lock.acquire(blocking=False):
            self._timer.start()

    def _exit(self) -> None:
        reporting = threading.Thread(target=self._report, daemon=True)
        reporting.start()
        reporting.join(_LOG_SECONDS)
        os._exit(_FAILED)

    def _report(self) -> None:
        waiting = _waits_of_tasks(self._loop) + _waits_of_threads()
        log.error(
            "exit: still not stopped after %g s: ended with exit code %d; it waited for: %s",
            self._seconds,
            _FAILED,
            "; ".join(islice(waiting, _NAMED)) + (f"; and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""),
        )
        logging.shutdown()


def _waits_of_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Each task that has not ended, with the place in our code where it waits, those with a name first."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name().startswith("Task-"))
    return [f"{task.get_name()} ({place_of(task.get_coro())})" for task in tasks]


def _waits_of_threads() -> list[str]:
    """The threads that Python waits for at its end, each with what it does."""
    frames = sys._current_frames()  # noqa: SLF001 - documented for this
    running = [(thread.name, frames.get(thread.ident or 0)) for thread in threading.enumerate() if not thread.daemon]
    return [
        f"thread {name} ({line_of(frame.f_code, frame.f_lineno)})" for name, frame in running if frame and not _is_idle(frame)
    ]


def _is_idle(frame: FrameType) -> bool:
    """Whether this is a thread of an executor that has nothing to do."""
    return frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") == "concurrent.futures.thread"


def place_of(coroutine: Any) -> str:  # noqa: ANN401 - coroutines, generators, and what they wait for
    """Return the innermost function of the bridge in a chain of coroutines, and the innermost of all."""
    places: list[str] = []
    own: list[str] = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            places.append(line_of(frame.f_code, frame.f_lineno))
            if f"{os.sep}bridge{os.sep}" in frame.f_code.co_filename:
                own.append(places[-1])
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return ", then ".join(dict.fromkeys([*own[-1:], *places[-1:]]))


def line_of(code: CodeType, line: int) -> str:
    """Return a function with its file and line."""
    return f"{code.co_qualname} in {'/'.join(Path(code.co_filename).parts[-2:])}:{line}"
