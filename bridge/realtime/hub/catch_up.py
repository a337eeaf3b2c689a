"""Clients that lag: each reads the log from its own offset, at its own pace, until it has reached the last record and is live.

A page is sent when little waits in the client's transport, so that a client that lags costs its offset and that much. Pages
come from the records in memory or, for a client that is further behind, from the store.
"""

import asyncio
from collections.abc import Callable

from bridge.core.errors import StoreUnavailable
from bridge.core.events import Gap
from bridge.realtime.hub.catch_up_pace import CatchUpPace
from bridge.realtime.hub.delivery import Delivery
from bridge.realtime.hub.recent import RecentPublications
from bridge.realtime.hub.recent_pages import PAGE, RecentPages
from bridge.realtime.hub.replay import ReplayPage, ReplaySource
from bridge.realtime.hub.session import Session

_GENTLE_PAGE = 25
"""Records of a page that is read from the store gently. One that is not shared yet takes 0.5 ms of the event loop."""

_PAGES_PER_COUNT = 400
"""After so many gentle pages from the store, or a quarter as many others, it is counted again how far a client is behind."""

_MEMORY_WORKERS = 1
_STORE_WORKERS = 2
"""Each sends a page between two turns of the event loop: a live record waits for at most three pages, 0.3 ms, at each step."""

_RETRY_SECONDS = 0.5


class CatchUp:
    """Sends pages in a few tasks that yield to the event loop after each step, so that live records wait for none of them."""

    def __init__(
        self,
        recent: RecentPublications,
        history: ReplaySource,
        delivery: Delivery,
        records_limit: int,
        go_live: Callable[[Session], None],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        """A client more than `records_limit` records behind those in memory misses the older ones. `go_live` receives a client
        that has reached the last record.
        """
        self._recent = recent
        self.pages = RecentPages(recent)
        self._history = history
        self._delivery = delivery
        self._records_limit = records_limit
        self._go_live = go_live
        self.due: dict[Session, None] = {}
        """Clients that will be sent a page, or are being sent one."""
        self.pace = CatchUpPace(monotonic)
        self._monotonic = monotonic
        self._gentle_read = asyncio.Lock()
        """Held while a page is read from the store gently: one at a time."""
        self._in_memory: asyncio.Queue[Session] = asyncio.Queue()
        self._in_store: asyncio.Queue[Session] = asyncio.Queue()

    def advance(self, session: Session) -> None:
        """Go on with a client, unless a request of it is in progress, which does so at its end."""
        if not session.lock.locked():
            self.finish(session)

    def finish(self, session: Session) -> None:
        """Make a client live if it was sent everything; otherwise it is sent a page as soon as its transport takes one.

        Does not yield to the event loop, so that no record is published between the last page and the first live batch.
        """
        if session.closed or session.live:
            return
        if session in self.due:  # its page comes next; what is published until then is for its subscription of now
            session.set_lags(True, self._monotonic())
            return
        self._delivery.remove(session)
        if session.subscription.every_ms is not None:
            self._jump(session)
        session.set_lags(session.offset < self._recent.last_offset, self._monotonic())
        if not session.lags:
            self._go_live(session)
            self.forget_unused()
        elif self._delivery.has_drained(session):
            self.due[session] = None
            (self._in_memory if self._recent.covers(session.offset) else self._in_store).put_nowait(session)
        else:
            self._delivery.wait_until_drained(session)

    def forget_unused(self) -> None:
        """Forget the shared pages if no client lags."""
        if not (self.due or self._delivery.slow):
            self.pages.clear()

    def _send(self, session: Session, page: ReplayPage) -> None:
        self._delivery.write(session, page.records)
        self._delivery.counts.delivered += len(page.records)
        session.offset = page.end_offset

    def _jump(self, session: Session) -> None:
        """Send a coalescing client the newest record of each device, and bring it to the last offset."""
        recent = self._recent.after(max(session.offset, self._recent.start_offset))
        newest = {record.device_id: record for record in recent if session.subscription.matches(record)}
        records = sorted(newest.values(), key=lambda record: record.seq)
        self._send(session, ReplayPage(records, self._recent.last_offset))

    # --- pages -------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send pages. Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, queue, workers in (
                ("memory", self._in_memory, _MEMORY_WORKERS),
                ("store", self._in_store, _STORE_WORKERS),
            ):
                for _ in range(workers):
                    tasks.create_task(self._work(queue), name=f"catch-up from {name}")

    async def _work(self, queue: asyncio.Queue[Session]) -> None:
        while True:
            session = await queue.get()
            if queue is self._in_memory and not self._recent.covers(session.offset):
                self._in_store.put_nowait(session)  # its records left the memory meanwhile: others do not wait for the store
                continue
            try:
                async with session.lock:
                    if not (session.closed or session.live):
                        await self._send_next(session)
            except StoreUnavailable:
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, queue.put_nowait, session)
                continue
            del self.due[session]
            self.advance(session)
            self.forget_unused()
            await self.pace.pause(session, len(self.due))

    async def _send_next(self, session: Session) -> None:
        """Send a page from memory or from the store."""
        if self._recent.covers(session.offset):
            page = self.pages.after(session.offset, session.encoder, session.subscription)
            if page.messages is not None:
                self._delivery.write_messages(session, page.messages)
                self._delivery.counts.delivered += page.messages.records
            session.offset = page.end_offset
        elif self.pace.is_gentle(session):
            async with self._gentle_read:
                await self._send_stored(session, _GENTLE_PAGE)
        else:
            await self._send_stored(session, PAGE)

    async def _send_stored(self, session: Session, limit: int) -> None:
        """Send a page, or a gap up to the records in memory if more than `records_limit` lie between."""
        subscription, until = session.subscription, self._recent.start_offset
        if session.pages_until_count <= 0:
            missed = await self._history.count(session.offset, until, subscription)
            if missed > self._records_limit:
                self._delivery.send_gap(session, Gap(session.offset, until, missed))
                session.delivered.start_range(subscription, session.offset, until)
                session.offset = until
                return
            session.pages_until_count = _PAGES_PER_COUNT
        self._send(session, await self._history.page(session.offset, self._recent.last_offset, subscription, limit))
        session.pages_until_count -= limit // _GENTLE_PAGE
