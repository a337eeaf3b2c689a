"""Pages of what a caller may read."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

PAGE = 1000
"""How many records are read from the store at a time."""


class OfDevice(Protocol):
    @property
    def device_id(self) -> str:
        """The device that a record is about."""


T = TypeVar("T", bound=OfDevice)


async def readable(
    page_before: Callable[[str | None], Awaitable[tuple[list[T], str | None]]],
    permits: Callable[[str], bool],
    before: str | None,
    limit: int,
) -> list[T]:
    """Read pages from the store until there is one record more than `limit` whose device `permits`, or no page more.

    `page_before` returns the records of a page and the `before` of the next one; None after the last page.
    """
    found: list[T] = []
    while len(found) <= limit:
        page, before = await page_before(before)
        found += [one for one in page if permits(one.device_id)]
        if before is None:
            break
    return found
