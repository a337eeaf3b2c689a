"""Waits of PyMongo that may be cancelled, for Python 3.11.

PyMongo waits for a server with `wait_for(condition.wait(), timeout)`. Before Python 3.12 `wait_for` runs that in a task of its
own. If the caller is cancelled while this task takes the condition's lock again, the caller releases a lock that it does not
hold, and the task keeps it for ever. From then on each call that needs a server waits without end, also after MongoDB is
available again, and ignores its timeout and cancellation: a bridge that should stop never did.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from pymongo import lock

T = TypeVar("T")


async def wait_in_task(awaitable: Awaitable[T], timeout: float | None) -> T:
    """As `asyncio.wait_for` of Python 3.12: wait in the task of the caller. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout):
        return await awaitable


def make_waits_cancellable() -> None:
    """Have PyMongo wait by `wait_in_task`. Safe to repeat."""
    setattr(lock, "wait_for", wait_in_task)  # noqa: B010 - a name of the module that mypy does not know
