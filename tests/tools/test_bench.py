"""The bench: what it counts, what it finds out about a bridge that errs, and every scenario on a real one. Never timings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from rich.console import Console

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.listeners import CursorSubscriber
from bridge.tools.bench.clients.publisher import connect_packet, publish_packet
from bridge.tools.bench.clients.readings import Readings
from bridge.tools.bench.clients.subscriber import PING, PONG, ReceiveBuffer, Stream, Subscriber
from bridge.tools.bench.command import BenchOptions, bench
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.html import html_page
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult, Figure, Report, UsageSample
from bridge.tools.bench.report.svg import linear, logarithmic, thinned
from bridge.tools.bench.run import Plan, chosen, run_plans
from bridge.tools.bench.scenarios.catalog import SCENARIOS
from bridge.tools.bench.scenarios.reconnect import ReconnectAudit, audit_reconnect
from bridge.tools.bench.scenarios.visits import Change, Visit
from bridge.tools.bench.scenarios.visits import audit_visits as visits_account
from bridge.tools.bench.systems import RunningBridge
from tests.bench.stand_in import Faults, StandIn, frame
from tests.cli.test_cli import ended, running
from tests.servers import REPO, free_port, until

ADDRESS = Address("127.0.0.1", 1)


class Quiet:
    """A screen that nobody looks at."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def progress(self, text: str) -> None:
        pass


# --- percentiles -----------------------------------------------------------------------------------------------------


def of(*milliseconds: float) -> Latencies:
    latencies = Latencies()
    for one in milliseconds:
        latencies.add(one / 1000)
    return latencies


def test_a_percentile_is_a_latency_that_was_measured() -> None:
    three = of(1, 2, 100)
    assert three.percentile(0.5) == pytest.approx(0.002, rel=0.002)
    assert three.percentile(0.99) == three.percentile(1) == 0.1
    assert of(7).percentile(0.5) == of(7).percentile(0.01) == 0.007
    assert Latencies().percentile(0.5) is None


def test_a_percentile_of_a_hundred_is_the_one_of_that_rank() -> None:
    hundred = of(*range(1, 101))
    for rank in (1, 50, 90, 99, 100):
        assert hundred.percentile(rank / 100) == pytest.approx(rank / 1000, rel=0.002)


@pytest.mark.parametrize("us", [0, 1, 1023, 1024, 1025, 2047, 2048, 77_777, 1_000_001, 3_600_000_000])
def test_a_bucket_is_at_most_a_fifth_of_a_percent_wide(us: int) -> None:
    latencies = of(us / 1000, 1e9)  # a larger one, so that the edge of the bucket shows
    edge = latencies.percentile(0.5)
    assert edge is not None
    assert us <= edge * 1e6 + 1e-6 <= max(us * 1.002, us + 1) + 1


# --- packets ---------------------------------------------------------------------------------------------------------


def test_packets_are_as_mqtt_3_1_1_has_them() -> None:
    assert connect_packet(b"me") == b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x00\x00\x02me"
    assert connect_packet(b"me", clean=True, login=("u", "p")) == b"\x10\x14\x00\x04MQTT\x04\xc2\0\0\0\x02me\0\x01u\0\x01p"
    assert publish_packet(7, b"t", b"x") == b"\x32\x06\x00\x01t\x00\x07x"
    assert publish_packet(7, b"t", b"x" * 200)[:3] == b"\x32\xcd\x01"


def test_readings_are_alike_by_seed_and_differ_by_number() -> None:
    first, second = Readings(1), Readings(1)
    assert [orjson.loads(first[n]) | {"timestamp": 0} for n in range(9)] == [
        orjson.loads(second[n]) | {"timestamp": 0} for n in range(9)
    ]
    assert len({first[n] for n in range(1000)}) == 1000


# --- counting --------------------------------------------------------------------------------------------------------


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self.written.append(piece)


def reading(cursor: int) -> bytes:
    return frame(b'42["sensorData",{"timestamp":"2026","data":{"_id":"6","deviceId":"a"},"cursor":%d}]' % cursor)


def fed(subscriber: Subscriber, arena: ReceiveBuffer, pieces: Sequence[bytes]) -> Wire:
    wire = Wire()
    subscriber.connection_made(cast("asyncio.Transport", wire))
    subscriber._talk = None
    for piece in pieces:
        arena.view[: len(piece)] = piece
        assert subscriber.get_buffer(0) is arena.view
        subscriber.buffer_updated(len(piece))
    return wire


TEXT = reading(1) + PING + reading(22) + frame(b'43[{"ok":true,"devices":null,"replayed":2,"cursor":22}]') + reading(333)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 13, 14, 64, 65, len(TEXT)])
def test_readings_and_pings_are_counted_wherever_the_pieces_end(size: int) -> None:
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    arena = ReceiveBuffer()
    plain, keeping = Subscriber(arena, ADDRESS), CursorSubscriber(arena, ADDRESS)
    assert fed(plain, arena, pieces).written == fed(keeping, arena, pieces).written == [PONG]
    assert plain.count == keeping.count == 3
    assert list(keeping.cursors) == [1, 22, 333]
    assert plain.received_bytes == len(TEXT)


def test_the_pieces_of_two_clients_are_not_mixed_in_their_one_buffer() -> None:
    arena = ReceiveBuffer()
    first, second = Subscriber(arena, ADDRESS), Subscriber(arena, ADDRESS)
    fed(first, arena, [reading(1)[:10]])
    fed(second, arena, [reading(1)[10:]])
    assert (first.count, second.count) == (0, 0)


def test_each_latency_is_from_its_own_publish() -> None:
    arena = ReceiveBuffer()
    subscriber, stream, told = Subscriber(arena, ADDRESS), Stream([0.0, 0.0], Latencies()), list[float]()
    fed(subscriber, arena, [reading(1)])
    subscriber.expect(2, stream, told.append)
    fed(subscriber, arena, [reading(2)])
    assert (stream.latencies.count, told, subscriber.missing) == (1, [], 1)
    fed(subscriber, arena, [reading(3), reading(4)])
    assert (stream.latencies.count, len(told), subscriber.missing) == (2, 1, -1)


def test_the_account_of_a_client_that_came_back() -> None:
    truth = range(100, 120)
    whole = [*range(105, 120)]
    assert audit_reconnect(truth, 104, whole, 10, 10) == ReconnectAudit(0, 0, 0, 0)
    assert audit_reconnect(truth, 104, [115, 116, *range(105, 115), *range(117, 120)], 12, 10) == ReconnectAudit(2, 0, 0, 0)
    assert audit_reconnect(truth, 104, [one for one in whole if one != 107], 10, 10) == ReconnectAudit(0, 1, 0, 0)
    assert audit_reconnect(truth, 104, [*whole[:5], whole[4], *whole[5:]], 11, 11) == ReconnectAudit(0, 0, 1, 0)
    assert audit_reconnect(truth, 104, [106, 105, *whole[2:]], 10, 10) == ReconnectAudit(0, 0, 0, 1)


# Of devices a and b; those of a are odd.
TRUTH = {"a": range(101, 200, 2), "b": range(102, 200, 2)}
A, B = frozenset("a"), frozenset("b")


def visited(got: Sequence[int]) -> Visit:
    """Who wished a after 110, heard 4, also b after 118, heard 4 more, no b from 126 on, and left at 131."""
    visit = Visit(got)
    visit.added(A, 110, Change(0, 4))
    visit.added(B, 118, Change(4, 6))
    visit.dropped(B, 126, Change(12, 12))
    visit.left(131)
    return visit


HEARD = [111, 113, 115, 117, 119, 120, *range(121, 128), 129, 131]


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (HEARD, (0, 0, 0, 0)),
        ([one for one in HEARD if one != 124], (1, 0, 0, 0)),
        ([*HEARD, 131], (0, 1, 0, 0)),
        ([*HEARD, 132], (0, 0, 1, 0)),
        ([102, *HEARD], (0, 0, 0, 0)),  # before its first answer it heard every device
        ([111, 113, 115, 117, 119, 121, 120, *HEARD[7:]], (0, 0, 0, 0)),  # the replay of b began late
        ([111, 115, 113, *HEARD[3:]], (0, 0, 0, 0)),  # the first replay too
        ([*HEARD[:8], HEARD[9], HEARD[8], *HEARD[10:]], (0, 0, 0, 1)),
        ([111, 110, 113, 112, *HEARD[2:]], (0, 0, 0, 1)),  # one step back is a beginning, a second is not
    ],
)
def test_the_account_of_a_client_that_changed_its_mind(got: list[int], said: tuple[int, ...]) -> None:
    one = visits_account([visited(got)], TRUTH)
    assert (one.holes, one.repeats, one.strangers, one.misordered) == said


def test_what_a_client_was_too_slow_for_is_no_hole_if_it_was_told() -> None:
    visit = visited([one for one in HEARD if not 120 < one <= 124])
    visit.gaps = [(120, 123)]
    one = visits_account([visit], TRUTH)
    assert (one.told, one.holes) == (3, 1)


def test_what_was_heard_on_one_connection_is_not_to_come_on_the_next() -> None:
    second = Visit([131, 133])
    second.added(A, 131, Change(0, 2))
    second.left(134)
    one = visits_account([visited(HEARD), second], TRUTH)
    assert (one.holes, one.repeats) == (0, 1)


# --- what it finds out -----------------------------------------------------------------------------------------------


async def measured(scenario: str, faults: Faults | None = None, **load: float) -> Report:
    """Of a stand-in that may err."""
    async with StandIn(faults).serving() as one:
        broker = MqttSettings.model_validate({"url": f"mqtt://127.0.0.1:{one.mqtt_port}"})
        system = RunningBridge(Address("127.0.0.1", one.port), broker, None)
        return await run_plans([Plan(SCENARIOS[scenario], system, load)], {}, 1, 0.5, Quiet())


def figure(report: Report, name: str) -> float | None:
    assert report.failures == []
    return report.measurements[-1].figures[name].value


async def test_a_reading_that_never_comes_is_a_failure_with_its_numbers() -> None:
    report = await measured("burst", Faults(loses=True), clients=3, burst=149)
    assert report.measurements == []
    assert report.failures == [
        "burst: bridge: delivered 148 of 149 readings to the slowest of 3 clients, then nothing to any of them within 0.5 s"
    ]


async def test_a_reading_that_comes_twice_is_a_failure() -> None:
    report = await measured("rooms", Faults(doubles=True), clients=2, rooms=1, rate=1000, seconds=0.1)
    assert report.failures == ["rooms: bridge: 2 readings came that were not expected: twice, or of others"]


async def test_a_clean_return_has_neither_holes_nor_repeats() -> None:
    report = await measured("reconnect", clients=8, burst=100, rate=400)
    assert [figure(report, name) for name in ("holes", "repeats", "out of order", "cut again")] == [0, 0, 0, 0]
    assert (figure(report, "readings replayed") or 0) >= 800


@pytest.mark.parametrize(("faults", "holes", "repeats"), [(Faults(holes=True), 8, 0), (Faults(repeats=True), 0, 8)])
async def test_holes_and_repeats_are_counted_at_every_client(faults: Faults, holes: int, repeats: int) -> None:
    report = await measured("reconnect", faults, clients=8, burst=100, rate=100)
    figures = report.measurements[-1].figures
    assert (figures["holes"].value, figures["repeats"].value) == (holes, repeats)
    assert report.failures == [f"reconnect: bridge: {'holes' if holes else 'repeats'}: 8"]


@pytest.mark.parametrize(
    ("faults", "end"),
    [(Faults(gap_after=100_000), "told"), (Faults(cut_after=100_000), "cut"), (Faults(), "got all")],
)
async def test_how_a_stalled_client_ends_is_found_out(faults: Faults, end: str) -> None:
    report = await measured("stalled", faults, clients=4, stalled=2, rate=4000, seconds=0.5)
    ends = {name: figure(report, f"stalled: {name}") for name in ("told", "cut", "got all", "uncertain")}
    assert ends == {"told": 0, "cut": 0, "got all": 0, "uncertain": 0} | {end: 2}


async def test_many_clients_are_read_in_turns_and_none_is_forgotten() -> None:
    report = await measured("many", clients=120, rate=500, seconds=0.2)
    row = report.measurements[0]
    assert (row.readings, row.deliveries) == (100, 12_000)
    assert row.latencies is not None
    assert row.latencies.count == 50 * 100


# --- the report ------------------------------------------------------------------------------------------------------


def row(**changes: Any) -> BenchResult:
    samples = [UsageSample(n / 4, n * 10, n * 20, n / 8, 50_000_000 + n, n / 16) for n in range(9)]
    given: dict[str, Any] = {
        "scenario": "steady", "system": "<bridge>", "clients": 2, "load": Load(), "readings": 80, "seconds": 2.0,
        "deliveries": 160, "received_bytes": 48_000, "bridge_cpu_seconds": 1.0, "bench_cpu_seconds": 0.5,
        "latencies": of(1, 2, 3, 90), "figures": {"holes": Figure(0)}, "samples": samples,
    }  # fmt: skip
    return BenchResult(**given | changes)


def loads_nothing(page: str) -> bool:
    return not re.search(r"""(src|href|url|@import|<script|<link|<iframe)\s*[=(]|https?:""", page)


@pytest.mark.parametrize(
    "changes", [{}, {"bridge_cpu_seconds": None, "samples": []}, {"latencies": None}, {"latencies": of(0)}]
)
def test_the_page_stands_by_itself_whatever_is_not_known(changes: dict[str, Any]) -> None:
    page = html_page(Report("2026-11-21", {"url": None, "load": {"rate": 5}}, [row(**changes), row()], ["</p><b>"], ["a note"]))
    assert loads_nothing(page)
    assert "&lt;bridge&gt;" in page
    assert "</p><b>" not in page
    assert page.count("<svg") == page.count("</svg>") >= 3
    assert "nan" not in page


def test_axes_end_at_round_numbers() -> None:
    assert list(linear([0, 930], str).ticks) == [0, 250, 500, 750, 1000]
    assert list(linear([], str).ticks) == [0, 1]
    assert list(logarithmic([0.0013, 0.04], str).ticks) == pytest.approx([0.001, 0.002, 0.005, 0.01, 0.02, 0.05])
    assert logarithmic([0.001, 0.001], str).high > 0.001
    wide = logarithmic([0.00001, 9.0], str)
    assert wide.place(wide.low) == 0
    assert wide.place(wide.high) == 1
    assert len(wide.ticks) <= 10


def test_thinning_keeps_every_peak() -> None:
    points = [(float(n), 1000.0 if n == 777 else 0.0) for n in range(10_000)]
    assert (777.0, 1000.0) in thinned(points, 400)
    assert len(thinned(points, 400)) <= 410


# --- on a real bridge ------------------------------------------------------------------------------------------------

SUBSCRIBE = any('"subscribe"' in path.read_text() for path in (REPO / "bridge" / "realtime").glob("*.py"))


async def test_the_command_starts_a_bridge_measures_it_and_writes_what_it_found(tmp_path: Path) -> None:
    few = ("--clients", "2", "--clients", "3", "--burst", "40", "--rate", "100", "--seconds", "0.3")
    code, out, err = await ended(tmp_path, "bench", *few, "--json", "b.json", "--html", "b.html")
    assert code == 0, err
    assert "readings/s" in out
    report = orjson.loads((tmp_path / "b.json").read_bytes())
    assert report["failures"] == []
    rows = report["measurements"]
    assert [(one["scenario"], one["clients"], one["readings"], one["deliveries"]) for one in rows] == [
        ("burst", 2, 40, 80), ("burst", 3, 40, 120), ("steady", 2, 30, 60), ("steady", 3, 30, 90),
    ]  # fmt: skip
    assert rows[0]["latency"] is None
    assert sum(count for _, count in rows[3]["latency"]["buckets"]) == rows[3]["latency"]["count"] == 90
    load = {"clients": 2, "rate": 100, "burst": 40, "seconds": 0.3, "rooms": 1, "stalled": 50, "way": "socketio"}
    assert rows[0]["load"] == load
    assert rows[0]["bench_cpu_seconds"] > 0
    assert {"at_seconds", "published", "delivered", "bridge_rss_bytes"} <= set(rows[0]["samples"][0])
    assert loads_nothing((tmp_path / "b.html").read_text())


@pytest.mark.skipif(not SUBSCRIBE, reason="this bridge knows no `subscribe` yet")
async def test_every_other_scenario_runs_on_a_real_bridge(tmp_path: Path, broker_url: str) -> None:
    few = ("--clients", "4", "--stalled", "2", "--rooms", "2", "--burst", "50", "--rate", "200", "--seconds", "0.3")
    names = ("many", "reconnect", "stalled", "churn", "rooms")
    code, _, err = await ended(tmp_path, "bench", *names, *few, "--broker", broker_url, "--json", "b.json")
    assert code == 0, err
    rows = {one["scenario"]: one for one in orjson.loads((tmp_path / "b.json").read_bytes())["measurements"]}
    turns = [f"stalled {n}: {count}" for n in (1, 2, 3) for count in ("none", 2)]
    assert list(rows) == ["many", "reconnect", *turns, "churn", "rooms"]
    assert [rows[name]["deliveries"] for name in ("many", *turns, "rooms")] == [240, *[120] * 6, 120]
    returned = rows["reconnect"]["figures"]
    assert [returned[name]["value"] for name in ("holes", "repeats", "out of order", "cut again")] == [0, 0, 0, 0]
    churned = rows["churn"]["figures"]
    assert [churned[name]["value"] for name in ("holes", "repeats", "not asked for", "out of order", "cut")] == [0, 0, 0, 0, 0]
    assert churned["changed over from polling"]["value"] > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "no scenario 'nonsense'; there are burst, steady, many, reconnect, stalled, churn, rooms"),
        (["--url", "http://127.0.0.1:1"], "--url needs --broker"),
        (["--url", "ftp://x", "--broker", "mqtt://x"], "ftp://x: a bridge's address looks like http://host:3000"),
        (["--broker", "mqtt://u:hunter2@x:99999"], "--broker"),
        (["--broker", "mqtt://u:hunter2@127.0.0.1:1"], "broker mqtt://127.0.0.1:1: "),
        (["--rate", "100000", "--seconds", "3600", "steady"], "more than 5,000,000 readings"),
    ],
)
async def test_what_cannot_be_measured_is_said(arguments: list[str], text: str, tmp_path: Path) -> None:
    code, out, err = await ended(tmp_path, "bench", *arguments)
    assert code == 1
    assert text in out + err
    assert "hunter2" not in out + err
    assert "Traceback" not in err


async def test_a_bridge_or_broker_that_is_away_is_said() -> None:
    options = BenchOptions(["burst"], url=f"http://127.0.0.1:{free_port()}", broker="mqtt://127.0.0.1:1")
    out, err = (Console(record=True, quiet=False, width=200, stderr=True) for _ in range(2))
    assert not await bench(options, out, err)
    assert "a client could not connect to http://127.0.0.1:" in out.export_text()


async def test_ctrl_c_ends_what_it_started(tmp_path: Path) -> None:
    async with running(tmp_path, "bench", "steady", "--clients", "2", "--seconds", "100") as command:
        await until(lambda: "readings/s for 100 s" in command.err or not command.running, what="a measurement under way")
        started = children(command._process.pid)
        assert len(started) >= 1, command.err
        command.press_ctrl_c()
        assert await command.end() == 1
        assert "stopped; what it started has ended" in command.err
        assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def children(pid: int) -> list[int]:
    """Of a process, as Linux knows them; none elsewhere."""
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def test_every_scenario_is_listed_with_its_idea() -> None:
    assert [one.name for one in chosen(list(SCENARIOS))] == list(SCENARIOS)
    with pytest.raises(BridgeError, match="no scenario 'x'"):
        chosen(["x"])
    assert "clients 2000" in SCENARIOS["many"].summary


@pytest.mark.parametrize("way", ["topics", "channels"])
async def test_clients_of_the_plain_websockets_are_measured_as_well(tmp_path: Path, way: str) -> None:
    few = ("--clients", "2", "--burst", "40", "--way", way)
    code, _, err = await ended(tmp_path, "bench", "burst", *few, "--json", "b.json")
    assert code == 0, err
    (row,) = orjson.loads((tmp_path / "b.json").read_bytes())["measurements"]
    assert (row["system"], row["deliveries"]) == (f"bridge, {way}", 80)


async def test_a_way_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, "bench", "burst", "--way", "pigeon")
    assert code != 0
    assert "socketio, topics, channels" in err
