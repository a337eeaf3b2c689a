"""The audit trail, with a given clock."""

from __future__ import annotations

import pytest

from bridge.access.audit import SOURCES_LIMIT, WAITING_LIMIT, AuditTrail
from bridge.core.access.audit import AuditEvent, AuditQuery
from bridge.core.access.permissions import NOBODY, Identity, IdentityKind
from tests.access.test_service import Clock
from tests.fakes import MemoryAudit

ALICE = Identity(IdentityKind.PERSON, "alice", frozenset())


class Trail(AuditTrail):
    """An audit trail with its written events."""

    def __init__(self) -> None:
        self.now, self.kept = Clock(), MemoryAudit()
        super().__init__(self.kept, clock=self.now)

    async def written(self, *, last: bool = False) -> list[AuditEvent]:
        """Every event, oldest first."""
        await self.write(last=last)
        return (await self.kept.find(AuditQuery(limit=100_000)))[::-1]


@pytest.fixture
def trail() -> Trail:
    return Trail()


def counted(acts: list[AuditEvent]) -> list[tuple[str, str, int]]:
    return [(one.address, one.target, one.count) for one in acts]


async def test_unauthenticated_refusals_are_two_records_a_minute_per_address_and_kind(trail: Trail) -> None:
    routes = [f"GET /api/v1/{number}" for number in range(88)]
    for second in range(10):
        for about in routes:
            trail.record("refused", actor=NOBODY, address=f"2001:db8::{second}:1", target=about, why="malformed")
        await trail.write()
        trail.now.now += 1
    ((place, about, times),) = counted(await trail.written())
    assert (place, times) == ("2001:db8::/64", 88)
    assert (about.startswith("GET /api/v1/0, GET /api/v1/1, "), about.endswith(", …"), len(about) <= 200) == (True, True, True)
    trail.now.now += 60
    assert [one.count for one in await trail.written()] == [88, 792]
    trail.now.now += 60
    assert len(await trail.written()) == 2


async def test_refusals_of_another_kind_or_address_are_separate_records(trail: Trail) -> None:
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "unknown"):
        trail.record("refused", actor=NOBODY, address=address, target="GET /", why="malformed")
    trail.record("refused", actor=NOBODY, address="192.0.2.1", target="GET /", why="expired")
    trail.record("login refused", actor=NOBODY, address="192.0.2.1", target="alice")
    trail.record("login refused", actor=NOBODY, address="192.0.2.1", target="bob")
    trail.record("login refused", actor=NOBODY, address="192.0.2.1", target="bob")
    assert sorted(
        (one.action, one.address, one.target, one.details.get("why", ""), one.count) for one in await trail.written()
    ) == [
        ("login refused", "192.0.2.1", "alice", "", 1),
        ("login refused", "192.0.2.1", "bob", "", 2),
        ("refused", "192.0.2.1", "GET /", "expired", 1),
        ("refused", "192.0.2.1", "GET /", "malformed", 1),
        ("refused", "192.0.2.2", "GET /", "malformed", 1),
        ("refused", "2001:db8:0:1::/64", "GET /", "malformed", 1),
        ("refused", "2001:db8::/64", "GET /", "malformed", 1),
        ("refused", "unknown", "GET /", "malformed", 1),
    ]


async def test_refusals_from_too_many_addresses_are_counted_together(trail: Trail) -> None:
    for number in range(2 * SOURCES_LIMIT):
        trail.record("refused", actor=NOBODY, address=f"10.0.{number // 250}.{number % 250}", target="GET /", why="malformed")
    acts = await trail.written()
    assert len(acts) == SOURCES_LIMIT + 1
    assert counted(acts)[-1] == ("", "GET /", SOURCES_LIMIT)


async def test_held_back_refusals_are_written_at_shutdown(trail: Trail) -> None:
    for _ in range(3):
        trail.record("refused", actor=NOBODY, address="192.0.2.1", target="GET /", why="malformed")
        await trail.write()
    assert [one.count for one in await trail.written()] == [1]
    assert [one.count for one in await trail.written(last=True)] == [1, 2]


async def test_unauthenticated_refusals_leave_room_for_other_events(trail: Trail) -> None:
    for number in range(WAITING_LIMIT):
        trail.record("login refused", actor=NOBODY, address="192.0.2.1", target=f"user {number}")
        trail.now.now += 60
    trail.record("command", actor=ALICE, target="hall")
    assert trail.lost == WAITING_LIMIT // 2
    assert "alice" in {event.actor for event in await trail.written()}


async def test_events_of_authenticated_actors_are_separate_records(trail: Trail) -> None:
    for about in ("hall", "stove", "hall"):
        trail.record("command", actor=ALICE, address="2001:db8::1", target=about)
    assert counted(await trail.written()) == [("2001:db8::1", "hall", 2), ("2001:db8::1", "stove", 1)]
