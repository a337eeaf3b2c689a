"""What a target is, and how long it may take."""

from collections.abc import Collection
from typing import Protocol

from bridge.notify.merging import Notification

DEADLINE_SECONDS = 15.0


class NotifyTarget(Protocol):
    async def send(self, message: Notification, done: Collection[str], /) -> None:
        """Send a message to the recipients that are not in `done`. Raises `DeliveryFailed`, with those that have it now.

        The caller sets the deadline.
        """

    async def close(self) -> None:
        """Release what it holds."""
