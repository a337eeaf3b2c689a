"""Places of a cluster whose bridges share subscriptions: each has the lease on one, and the MQTT session `<cluster>-<place>`.

The broker gives a share of all messages to each session, also to those of bridges that are dead. So a survivor adopts the
session of a place that had no live bridge for `adopt_seconds`, until the place has one again. It ends the old lease first: the
former holder finds its place lost. A bridge that stops leaves its place vacant, which is adopted after the same time.

The clocks of two machines are never compared, as in `bridge.pipeline.lease`. A message that two bridges receive, because a
session changed hands, is one record: its `_id` is computed from it. So no lease decides what is stored.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping

from bridge.cluster.sessions.lease import LeasedSession, Observer, SessionLeases
from bridge.core.errors import PlaceTaken, StoreUnavailable
from bridge.pipeline.clock import monotonic_seconds
from bridge.pipeline.lease import LeaseHolder, holder_from_text, this_process
from bridge.ports import SwapStore

log = logging.getLogger(__name__)

PLACES = 64
_VACANT = ""
"""The value of a place whose bridge has ended: it has a session and no holder."""
_RENEWALS = 5  # within adopt_seconds
_WATCH_SECONDS = 0.25  # an adopted session is given up within this time and a read of the store
_OBSERVED_AT_ONCE = 8  # so that 64 bridges read the store 2,300 times a second, not 16,000
_REGISTER_ATTEMPTS = 2 * PLACES  # of bridges that start at the same time all but one have to try again


class Places:
    """The place of this bridge, and those that it adopted. Call `take`, then `run`, and `release` at the end."""

    def __init__(
        self,
        store: SwapStore,
        cluster: str,
        *,
        wanted: int | None = None,
        adopt_seconds: float = 10.0,
        holder: LeaseHolder | None = None,
        clock: Callable[[], float] = monotonic_seconds,
    ) -> None:
        """`cluster` is its name, without `/`, `+` and `#`; `wanted` the only place that is taken.

        `clock` gives seconds and never goes back.
        """
        self._store = store
        self._cluster = cluster
        self._wanted = wanted
        self._adopt_seconds = adopt_seconds
        self._watch_seconds = min(_WATCH_SECONDS, adopt_seconds / 10)
        self._clock = clock
        self._leases = SessionLeases(store, holder or this_process(), adopt_seconds, clock)
        self._looked_at = 0
        self._place = 0
        self.own: LeasedSession | None = None
        """The session of the place that this bridge took. It ends when the place is lost; then `take` another."""
        self._reported: LeasedSession | None = None
        self._adopted: dict[int, LeasedSession] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when `adopted` has changed."""

    @property
    def lost(self) -> str:
        """How the place of this bridge was lost, empty while it has one. `take` takes it back, or another."""
        return "" if self.own is None else self.own.end_reason

    @property
    def adopted(self) -> Mapping[int, LeasedSession]:
        """The sessions of other places that this bridge receives for."""
        return self._adopted

    @property
    def receives(self) -> bool:
        """Whether this bridge receives the messages of its place."""
        return self.own is not None and self.own.is_fresh

    async def take(self) -> int:
        """Take a place: the `wanted` one, else the first that has no live bridge, else the first that was never used.

        Waits up to `adopt_seconds` for the lease of a bridge that may be dead. Raises `PlaceTaken` if it renews it, and
        `StoreUnavailable`.
        """
        wanted = self._wanted
        if wanted is not None and not 1 <= wanted <= PLACES:
            raise ValueError(f"place {wanted}: must be 1 to {PLACES}")
        observer = Observer(self._clock)
        candidates = [wanted] if wanted else await self._candidates()
        while True:
            held: dict[int, LeaseHolder] = {}
            for place in candidates:
                key = self._key(place)
                found = await self._store.get(key)
                holder = holder_from_text(found)
                unchanged = observer.unchanged_seconds(key, found)
                if holder is None or self._leases.is_ours(holder) or self._leases.has_ended(holder, unchanged):
                    if await self._occupy(place, found):
                        return place
                elif key in observer.changed:
                    held[place] = holder
            if len(held) == len(candidates):
                raise _taken(self._cluster, wanted, held)
            await asyncio.sleep(self._watch_seconds)

    async def _candidates(self) -> list[int]:
        """All places, those that exist first: the session of one without a bridge has messages that wait."""
        existing = await self._existing()
        return [*existing, *(place for place in range(1, PLACES + 1) if place not in existing)]

    async def _occupy(self, place: int, found: str | None) -> bool:
        await self._register(place)
        lease = self._leases.new(self._key(place))
        if not await lease.take(found):
            return False
        await self._give_up(place, "it is the place of this bridge now")
        self._place, self.own = place, LeasedSession(self._client_id(place), lease)
        log.info("cluster: this bridge has place %d of %s", place, self._cluster)
        return True

    async def run(self) -> None:
        """Renew the leases of this bridge, and watch the other places, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew(), name="place renewal")
            tasks.create_task(self._watch(), name="place watch")

    async def release(self) -> None:
        """Leave the place vacant and give up the adopted ones, if the store is available. Not while `run` runs."""
        for place in list(self._adopted):
            await self._give_up(place, "this bridge stops")
        if self.own is not None:
            await self.own.release("this bridge stops")

    async def _renew(self) -> None:
        while True:
            delay = self._adopt_seconds / _RENEWALS
            try:
                if self.own is not None:
                    await self.own.renew()
                    self._report_loss(self.own)
                for session in list(self._adopted.values()):
                    await session.renew()
            except StoreUnavailable:
                delay = self._watch_seconds
            await asyncio.sleep(delay)

    def _report_loss(self, own: LeasedSession) -> None:
        if own.has_ended and own is not self._reported:
            self._reported = own
            log.warning(
                "cluster: place %d was %s: this bridge was stopped or cut off from the store for more than %g s; "
                "its MQTT connection is closed, and it takes a place again",
                self._place,
                own.end_reason,
                self._adopt_seconds,
            )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._watch_seconds)
            try:
                await self._observe()
            except StoreUnavailable as error:
                log.debug("cluster: places not read (%s): trying again", error)

    async def _observe(self) -> None:
        """Look at other places. Raises `StoreUnavailable`."""
        for place in self._next(await self._existing()):
            await self._observe_place(place)

    def _next(self, existing: list[int]) -> list[int]:
        """The places to look at now: the adopted ones, whose bridge may be back, and the next few of the others in turn."""
        is_own = self.own is not None and not self.own.has_ended
        others = [place for place in existing if place not in self._adopted and not (is_own and place == self._place)]
        behind = [place for place in others if place > self._looked_at]
        some = [*behind, *(place for place in others if place <= self._looked_at)][:_OBSERVED_AT_ONCE]
        if some:
            self._looked_at = some[-1]
        return [*self._adopted, *some]

    async def _observe_place(self, place: int) -> None:
        key = self._key(place)
        found, unchanged = await self._leases.unchanged(key)
        holder = holder_from_text(found)
        if holder is None:
            session = self._adopted.get(place)
            if session is not None and session.has_ended:
                await self._give_up(place, session.end_reason)
            elif session is None and found is not None and unchanged >= self._adopt_seconds:
                await self._adopt(place)
            return
        await self._give_up(place, f"{holder} has it")
        if self._leases.has_ended(holder, unchanged) and await self._store.swap(key, found, _VACANT):
            log.warning("cluster: place %d has no live bridge any more, it was that of %s", place, holder)
            await self._adopt(place)

    async def _adopt(self, place: int) -> None:
        """Adopt a vacant place, unless a live bridge has adopted it."""
        key = self._adoption_key(place)
        found, unchanged = await self._leases.unchanged(key)
        holder = holder_from_text(found)
        if holder is not None and not self._leases.is_ours(holder) and not self._leases.has_ended(holder, unchanged):
            return
        lease = self._leases.new(key)
        if await lease.take(found):
            self._adopted[place] = LeasedSession(self._client_id(place), lease, lambda: self._is_vacant(place))
            log.info("cluster: place %d adopted: this bridge receives its messages until it has a bridge again", place)
            self.on_change()

    async def _give_up(self, place: int, reason: str) -> None:
        session = self._adopted.pop(place, None)
        if session is not None:
            await session.release(reason)
            log.info("cluster: adopted place %d given up: %s", place, session.end_reason)
            self.on_change()

    async def _is_vacant(self, place: int) -> bool:
        return holder_from_text(await self._store.get(self._key(place))) is None

    def _client_id(self, place: int) -> str:
        return f"{self._cluster}-{place}"

    def _key(self, place: int) -> str:
        return f"cluster/{self._cluster}/place/{place}"

    def _adoption_key(self, place: int) -> str:
        return f"cluster/{self._cluster}/adopted/{place}"

    async def _existing(self) -> list[int]:
        """The places that were ever taken. Raises `StoreUnavailable`."""
        return _places_from_text(await self._store.get(self._existing_key))

    @property
    def _existing_key(self) -> str:
        return f"cluster/{self._cluster}/places"

    async def _register(self, place: int) -> None:
        """Have other bridges watch a place, from before it is taken. Raises `StoreUnavailable`."""
        for _ in range(_REGISTER_ATTEMPTS):
            found = await self._store.get(self._existing_key)
            existing = _places_from_text(found)
            if place in existing or await self._store.swap(self._existing_key, found, json.dumps(sorted({*existing, place}))):
                return
        raise StoreUnavailable(f"cluster: place {place} could not be registered: other bridges register all the time")


def _places_from_text(text: str | None) -> list[int]:
    """Inverse of a list of places in JSON, sorted; all of them if the text is not one, because none may be overlooked."""
    try:
        places = {int(place) for place in json.loads(text or "[]")}
    except (ValueError, TypeError):
        return list(range(1, PLACES + 1))
    return sorted(place for place in places if 1 <= place <= PLACES)


def _taken(cluster: str, wanted: int | None, held: Mapping[int, LeaseHolder]) -> PlaceTaken:
    if wanted is None:
        return PlaceTaken(f"cluster {cluster}: all {PLACES} places are taken by live bridges: at most {PLACES} are allowed")
    return PlaceTaken(
        f"cluster {cluster}: place {wanted} is taken by {held[wanted]}, which renews its lease: stop that bridge, "
        f"give this one another place, or none to take a free one (cluster.place, 1 to {PLACES})"
    )
