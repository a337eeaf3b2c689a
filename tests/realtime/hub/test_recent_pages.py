"""Pages of the records in memory that clients share."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.access.permissions import ResourceScope
from bridge.core.devices.location import Location
from bridge.core.events import SystemEvent
from bridge.realtime.auth.visibility import DeviceFilter
from bridge.realtime.hub import recent_pages
from bridge.realtime.hub.encoding import SENT_AT_PLACEHOLDER, Messages, Publication
from bridge.realtime.hub.hub import Hub
from bridge.realtime.hub.recent import RecentPublications
from bridge.realtime.hub.recent_pages import PAGE, RecentPages
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.socketio.codec import CODEC
from tests.fakes import MemoryStore
from tests.realtime.parts import published, reading, readings, small

B = Subscription(frozenset("b"))


def held(count: int, capacity: int = 10_000) -> RecentPublications:
    recent = RecentPublications(capacity)
    recent.extend(published(*range(1, count + 1)))
    return recent


def counts(pages: RecentPages, cursor: int, until: int, subscription: Subscription = ALL) -> list[int]:
    """The numbers of records of the pages from a cursor on."""
    found = []
    while cursor < until:
        page = pages.after(cursor, CODEC, subscription)
        assert page.end_offset > cursor
        found.append(page.messages.records if page.messages else 0)
        cursor = page.end_offset
    return found


@given(st.integers(1, 700), st.integers(100, 700), st.data())
def test_pages_from_any_record_hold_the_rest_and_end_where_those_of_others_do(
    count: int, capacity: int, data: st.DataObject
) -> None:
    recent = held(count, capacity)
    cursor = data.draw(st.integers(recent.start_offset, count - 1))
    pages = RecentPages(recent)
    found = counts(pages, cursor, count)
    assert sum(found) == count - cursor
    assert all(records == PAGE for records in found[1:-1])
    assert found[0] == min(PAGE - cursor % PAGE, count - cursor)
    assert found == counts(pages, cursor, count), "the same pages again"


def test_clients_that_fell_behind_at_other_records_share_all_pages_but_the_first() -> None:
    pages = RecentPages(held(1000))
    first, second = (pages.after(cursor, CODEC, ALL) for cursor in (13, 77))
    assert first.end_offset == second.end_offset == PAGE
    assert pages.after(PAGE, CODEC, ALL) is pages.after(PAGE, CODEC, ALL)
    assert pages.after(PAGE, CODEC, B) is not pages.after(PAGE, CODEC, ALL)


def test_page_up_to_the_last_record_is_read_again() -> None:
    recent = held(150)
    pages = RecentPages(recent)
    assert counts(pages, 100, 150) == [50]
    recent.extend(published(*range(151, 161)))
    assert counts(pages, 100, 160) == [60]


def test_page_without_matching_records_is_passed_over() -> None:
    pages = RecentPages(held(250))
    assert counts(pages, 0, 250, B) == [0, 0, 0]


def test_page_is_read_again_after_a_record_was_replaced() -> None:
    recent = held(200)
    pages = RecentPages(recent)
    assert counts(pages, 0, 200) == [100, 100]
    recent.replace(50, None)
    recent.replace(60, Publication(reading(60, "moved")))
    pages.clear()
    page = pages.after(0, CODEC, ALL)
    assert page.messages is not None
    assert page.messages.records + counts(pages, page.end_offset, 200)[0] == 199
    assert b'"moved"' in page.messages.with_time(b"")


class OneSite:
    """All devices are at one site, which they may be moved to another from."""

    site = "plant"

    def location(self, device_id: str) -> Location:
        return Location(site=self.site, room=device_id)

    def devices_at(self, sites: Collection[str]) -> Iterable[str]:
        return ("a",) if self.site in sites else ()


def test_pages_of_a_client_that_may_read_a_site_follow_the_devices_that_are_moved() -> None:
    sites = OneSite()
    subscription = Subscription(device_filter=DeviceFilter(ResourceScope(sites=frozenset(["plant"])), sites))
    pages = RecentPages(held(100))
    assert counts(pages, 0, 100, subscription) == [100]
    sites.site = "office"
    assert counts(pages, 0, 100, subscription) == [0]


def test_pages_in_memory_are_limited() -> None:
    recent, count = held(10_000), recent_pages._PAGES_LIMIT * PAGE + 500
    pages = RecentPages(recent)
    counts(pages, 0, count)
    assert len(pages._pages) == recent_pages._PAGES_LIMIT


def test_time_of_sending_is_filled_in_alike_in_divided_messages() -> None:
    messages = Messages([*published(1, 2, 3), Publication(SystemEvent("info", "hello"))], CODEC)
    whole = messages.with_time(b"2026-01-01T00:00:00.000Z")
    messages.divide()
    assert messages.with_time(b"2026-01-01T00:00:00.000Z") == whole
    assert SENT_AT_PLACEHOLDER.encode() not in whole


def test_hub_forgets_pages_when_a_record_is_replaced() -> None:
    hub = Hub(MemoryStore(), small(recent_records=1000))
    records = readings(*range(1, 101))
    hub.publish(records)
    pages = hub._catch_up.pages
    assert counts(pages, 0, 100) == [100]
    hub.replace_recent(records[7], None)
    assert counts(pages, 0, 100) == [99]
