"""Health of parts with several checks."""

from __future__ import annotations

from bridge.core.health import Health, PartHealth


def test_part_is_starting_until_it_first_reports_up() -> None:
    health = Health(("store",))
    assert health.parts == {"store": PartHealth(up=False, reason="starting")}
    assert not health.down("store", "no answer"), "it was not up before"
    assert health.up("store")
    assert (health.ready, health.parts) == (True, {"store": PartHealth(up=True)})


def test_bridge_that_stops_is_not_ready_and_reports_no_change_of_a_component() -> None:
    health, changes = Health(("store",)), list[tuple[str, bool]]()
    health.up("store")
    health.on_change = lambda part, up: changes.append((part, up))
    health.stop()
    assert not health.ready
    assert health.parts == {"store": PartHealth(up=True), "bridge": PartHealth(up=False, reason="stopping")}
    assert changes == []


def test_first_check_that_passes_ends_the_start() -> None:
    health = Health(("store",))
    assert health.up("store", "ping")
    assert health.ready


def test_part_is_down_until_the_check_that_failed_passes() -> None:
    health = Health(("store",))
    health.up("store")
    assert health.down("store", "disk is full", "write")
    for _ in range(3):
        assert not health.up("store", "ping"), "a ping does not end a failed write"
        assert not health.down("store", "disk is full", "write"), "reported once"
    assert health.parts["store"] == PartHealth(up=False, reason="disk is full")
    assert health.up("store", "write")
    assert not health.up("store", "write"), "reported once"


def test_part_is_up_again_after_the_last_check_passes_and_shows_the_latest_reason() -> None:
    health = Health(("store",))
    health.up("store")
    assert health.down("store", "disk is full", "write")
    assert not health.down("store", "file removed", "ping")
    assert health.parts["store"].reason == "file removed"
    assert not health.up("store", "ping")
    assert health.parts["store"].reason == "disk is full"
    assert health.up("store", "write")
    assert health.ready


def test_note_is_shown_while_its_part_is_up_and_never_makes_the_bridge_unready() -> None:
    health = Health(("store",))
    health.up("store")
    health.annotate("clock", "was set")
    health.annotate("store", "is slow")
    assert (health.ready, health.parts["clock"]) == (True, PartHealth(up=True, reason="was set"))
    health.down("store", "disk is full", "write")
    assert health.parts["store"] == PartHealth(up=False, reason="disk is full")
    assert health.up("store", "write")
    assert health.parts["store"] == PartHealth(up=True, reason="is slow")


def test_part_that_is_down_says_since_when_and_not_since_its_latest_reason() -> None:
    times = iter((1_000, 2_000, 3_000))
    health = Health(("store",), clock=lambda: next(times))
    assert health.parts["store"].since_ms == 1_000
    health.up("store")
    assert health.parts["store"].since_ms is None
    health.down("store", "disk is full", "write")
    health.down("store", "file removed", "ping")
    assert health.parts["store"].since_ms == 2_000
    health.stop()
    assert health.parts["bridge"].since_ms == 3_000
