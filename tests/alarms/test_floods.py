"""When alarms are a flood, and the figures of how alarms are handled."""

from __future__ import annotations

from bridge.alarms.actions import ActionKind, OperatorAction
from bridge.alarms.conditions import Above
from bridge.alarms.floods import RaiseRate
from bridge.alarms.fold import AlarmFold
from bridge.alarms.kpis import kpis
from bridge.alarms.record import Transition
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.scope import DeviceFacts
from tests.alarms.folding import HOUR_MS, MINUTE_MS, SECOND_MS, START_MS, Bench, reading

HOT = Rule(id="hot", field="temperature", condition=Above(30, 25), priority=Priority.HIGH, message="", advice="")


def raises(number: int, every_ms: int, site: str | None = "Home", start_ms: int = START_MS) -> list[Transition]:
    """So many devices of a site that become hot one after the other."""
    fold, said = AlarmFold([HOT]), list[Transition]()
    for one in range(number):
        device, at_ms = f"{site}-{one}", start_ms + one * every_ms
        fold.set_facts(device, DeviceFacts(site), at_ms)
        said += fold.step(reading(at_ms, {"temperature": 31.0}, device=device))
    return said


def test_flood_begins_with_the_eleventh_alarm_and_ends_when_fewer_than_five_are_younger_than_ten_minutes() -> None:
    rate, times_ms = RaiseRate(), [START_MS + one * MINUTE_MS // 2 for one in range(11)]
    floods = []
    for at_ms in times_ms:
        rate.add(at_ms)
        floods.append(rate.is_flood)
    assert floods == [False] * 10 + [True]
    rate.update(times_ms[-1] + 8 * MINUTE_MS - 1)
    assert rate.is_flood
    rate.update(times_ms[-1] + 8 * MINUTE_MS)
    assert not rate.is_flood
    rate.update(times_ms[-1] + HOUR_MS)
    assert len(rate) == 0


def test_figures_of_a_day() -> None:
    bench = Bench([HOT], MINUTE_MS)
    bench.send(temperature=31.0)
    bench.now_ms += 30_000
    bench.act(ActionKind.ACKNOWLEDGE, "hot")
    bench.send(temperature=20.0)
    for transition_device in ("one", "two"):
        bench.said += bench.fold.step(reading(bench.now_ms, {"temperature": 31.0}, device=transition_device))
    bench.now_ms += 60_000
    bench.said += bench.fold.operate(OperatorAction(ActionKind.ACKNOWLEDGE, "two", "hot", "ada", bench.now_ms))
    figures = kpis(bench.said, START_MS, START_MS + 30 * HOUR_MS)
    assert figures.raised == 3
    assert figures.standing == {Priority.CRITICAL: 0, Priority.HIGH: 2, Priority.MEDIUM: 0, Priority.LOW: 0}
    assert figures.per_ten_minutes == 3 / 180
    assert figures.most_in_ten_minutes == 3
    assert (figures.flood_share, figures.chattering) == (0, [])
    assert len(figures.stale) == 2
    assert figures.acknowledge_median_seconds == 45
    assert figures.public()["standing"]["high"] == 2


def test_time_of_a_flood_is_from_the_eleventh_alarm_until_four_are_left() -> None:
    said = raises(20, SECOND_MS)
    figures = kpis(said, START_MS, START_MS + HOUR_MS)
    begins, ends = 10 * SECOND_MS, 15 * SECOND_MS + 10 * MINUTE_MS
    assert figures.flood_share == (ends - begins) / HOUR_MS
    assert figures.most_in_ten_minutes == 20
    two = kpis([*said, *raises(20, SECOND_MS, "Work", START_MS + 30 * MINUTE_MS)], START_MS, START_MS + HOUR_MS)
    assert two.flood_share == 2 * figures.flood_share


def test_chattering_is_three_raises_of_one_rule_and_device_in_a_minute() -> None:
    bench = Bench([HOT])
    for _ in range(3):
        bench.send(temperature=31.0)
        bench.send(temperature=20.0)
    assert kpis(bench.said, START_MS, bench.now_ms).chattering == [("kitchen", "hot")]
    assert kpis(raises(30, 1), START_MS, START_MS + HOUR_MS).chattering == []


def test_figures_of_a_time_without_alarms_are_zero() -> None:
    figures = kpis([], START_MS, START_MS)
    assert (figures.raised, figures.flood_share, figures.acknowledge_p90_seconds) == (0, 0, None)
