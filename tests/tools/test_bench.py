"""The bench: its counters, the faults it detects, and every scenario on a real bridge. No assertions on timing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import orjson
import pytest
from rich.console import Console

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.publisher import connect_packet, publish_packet
from bridge.tools.bench.clients.readings import Readings
from bridge.tools.bench.clients.recording import CursorSubscriber
from bridge.tools.bench.clients.subscriber import PING, PONG, ReceiveBuffer, Stream, Subscriber
from bridge.tools.bench.command import BenchOptions, bench
from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.report.results import Report
from bridge.tools.bench.run import Plan, run_plans, select_scenarios
from bridge.tools.bench.scenarios.catalog import SCENARIOS
from bridge.tools.bench.scenarios.reconnect import ReconnectAudit, audit_reconnect
from bridge.tools.bench.systems import RunningBridge
from tests.bench.scenarios.catalog import ALL_SCENARIOS
from tests.bench.silent import SilentDisplay
from tests.bench.stand_in import Faults, StandIn, frame
from tests.cli.test_cli import ended, running
from tests.servers import free_port, until

ADDRESS = Address("127.0.0.1", 1)


# --- percentiles -----------------------------------------------------------------------------------------------------


def of(*milliseconds: float) -> Latencies:
    latencies = Latencies()
    for value in milliseconds:
        latencies.add(value / 1000)
    return latencies


def test_percentile_is_a_measured_latency() -> None:
    three = of(1, 2, 100)
    assert three.percentile(0.5) == pytest.approx(0.002, rel=0.002)
    assert three.percentile(0.99) == three.percentile(1) == 0.1
    assert of(7).percentile(0.5) == of(7).percentile(0.01) == 0.007
    assert Latencies().percentile(0.5) is None


def test_percentile_of_a_hundred_is_of_that_rank() -> None:
    hundred = of(*range(1, 101))
    for rank in (1, 50, 90, 99, 100):
        assert hundred.percentile(rank / 100) == pytest.approx(rank / 1000, rel=0.002)


@pytest.mark.parametrize("us", [0, 1, 1023, 1024, 1025, 2047, 2048, 77_777, 1_000_001, 3_600_000_000])
def test_bucket_is_at_most_a_fifth_of_a_percent_wide(us: int) -> None:
    latencies = of(us / 1000, 1e9)  # with a larger one, so that the upper edge of the bucket is returned
    edge = latencies.percentile(0.5)
    assert edge is not None
    assert us <= edge * 1e6 + 1e-6 <= max(us * 1.002, us + 1) + 1


# --- packets ---------------------------------------------------------------------------------------------------------


def test_packets_follow_mqtt_3_1_1() -> None:
    assert connect_packet(b"me") == b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x00\x00\x02me"
    assert connect_packet(b"me", clean=True, login=("u", "p")) == b"\x10\x14\x00\x04MQTT\x04\xc2\0\0\0\x02me\0\x01u\0\x01p"
    assert publish_packet(7, b"t", b"x") == b"\x32\x06\x00\x01t\x00\x07x"
    assert publish_packet(7, b"t", b"x" * 200)[:3] == b"\x32\xcd\x01"


def test_readings_are_equal_by_seed_and_differ_by_number() -> None:
    first, second = Readings(1), Readings(1)
    assert [orjson.loads(first[n]) | {"timestamp": 0} for n in range(9)] == [
        orjson.loads(second[n]) | {"timestamp": 0} for n in range(9)
    ]
    assert len({first[n] for n in range(1000)}) == 1000


# --- counting --------------------------------------------------------------------------------------------------------


class RecordingTransport:
    """A transport that records writes."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self.written.append(piece)


def reading(cursor: int) -> bytes:
    return frame(b'42["sensorData",{"timestamp":"2026","data":{"_id":"6","deviceId":"a"},"cursor":%d}]' % cursor)


def feed(subscriber: Subscriber, buffer: ReceiveBuffer, pieces: Sequence[bytes]) -> RecordingTransport:
    transport = RecordingTransport()
    subscriber.connection_made(cast("asyncio.Transport", transport))
    subscriber._responses = None
    for piece in pieces:
        buffer.view[: len(piece)] = piece
        assert subscriber.get_buffer(0) is buffer.view
        subscriber.buffer_updated(len(piece))
    return transport


TEXT = reading(1) + PING + reading(22) + frame(b'43[{"ok":true,"devices":null,"replayed":2,"cursor":22}]') + reading(333)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 13, 14, 64, 65, len(TEXT)])
def test_readings_and_pings_are_counted_at_any_split(size: int) -> None:
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    buffer = ReceiveBuffer()
    plain, recording = Subscriber(buffer, ADDRESS), CursorSubscriber(buffer, ADDRESS)
    assert feed(plain, buffer, pieces).written == feed(recording, buffer, pieces).written == [PONG]
    assert plain.count == recording.count == 3
    assert list(recording.cursors) == [1, 22, 333]
    assert plain.received_bytes == len(TEXT)


def test_clients_that_share_a_buffer_do_not_mix_their_data() -> None:
    buffer = ReceiveBuffer()
    first, second = Subscriber(buffer, ADDRESS), Subscriber(buffer, ADDRESS)
    feed(first, buffer, [reading(1)[:10]])
    feed(second, buffer, [reading(1)[10:]])
    assert (first.count, second.count) == (0, 0)


def test_latency_is_measured_from_its_own_publish() -> None:
    buffer = ReceiveBuffer()
    subscriber, stream, completed = Subscriber(buffer, ADDRESS), Stream([0.0, 0.0], Latencies()), list[float]()
    feed(subscriber, buffer, [reading(1)])
    subscriber.expect(2, stream, completed.append)
    feed(subscriber, buffer, [reading(2)])
    assert (stream.latencies.count, completed, subscriber.missing) == (1, [], 1)
    feed(subscriber, buffer, [reading(3), reading(4)])
    assert (stream.latencies.count, len(completed), subscriber.missing) == (2, 1, -1)


def test_audit_of_a_client_that_reconnected() -> None:
    published = range(100, 120)
    whole = [*range(105, 120)]
    assert audit_reconnect(published, 104, whole, 10, 10) == ReconnectAudit(0, 0, 0, 0)
    assert audit_reconnect(published, 104, [115, 116, *range(105, 115), *range(117, 120)], 12, 10) == ReconnectAudit(2, 0, 0, 0)
    assert audit_reconnect(published, 104, [cursor for cursor in whole if cursor != 107], 10, 10) == ReconnectAudit(0, 1, 0, 0)
    assert audit_reconnect(published, 104, [*whole[:5], whole[4], *whole[5:]], 11, 11) == ReconnectAudit(0, 0, 1, 0)
    assert audit_reconnect(published, 104, [106, 105, *whole[2:]], 10, 10) == ReconnectAudit(0, 0, 0, 1)


# --- detected faults -------------------------------------------------------------------------------------------------


async def measured(scenario: str, faults: Faults | None = None, patience: float = 30.0, **load: float) -> Report:
    """Run a scenario against a stand-in with faults."""
    async with StandIn(faults).serving() as stand_in:
        broker = MqttSettings.model_validate({"url": f"mqtt://127.0.0.1:{stand_in.mqtt_port}"})
        system = RunningBridge(Address("127.0.0.1", stand_in.port), broker, None)
        return await run_plans([Plan(ALL_SCENARIOS[scenario], system, load)], {}, 1, patience, SilentDisplay())


def figure(report: Report, name: str) -> float | None:
    assert report.failures == []
    return report.measurements[-1].figures[name].value


async def test_lost_reading_fails_with_its_numbers() -> None:
    report = await measured("burst", Faults(loses=True), patience=3, clients=3, burst=149)
    assert report.measurements == []
    assert report.failures == [
        "burst: bridge: delivered 148 of 149 readings to the slowest of 3 clients, then nothing to any of them within 3 s"
    ]


async def test_repeated_reading_fails() -> None:
    report = await measured("rooms", Faults(doubles=True), clients=2, rooms=1, rate=1000, seconds=0.1)
    assert report.failures == ["rooms: bridge: 2 unexpected readings: delivered twice, or of other devices"]


async def test_reconnect_without_faults_has_no_holes_or_repeats() -> None:
    report = await measured("reconnect", clients=8, burst=100, rate=400)
    assert [figure(report, name) for name in ("holes", "repeats", "out of order", "cut again")] == [0, 0, 0, 0]
    assert (figure(report, "readings replayed") or 0) >= 800


@pytest.mark.parametrize(("faults", "holes", "repeats"), [(Faults(holes=True), 8, 0), (Faults(repeats=True), 0, 8)])
async def test_holes_and_repeats_are_counted_per_client(faults: Faults, holes: int, repeats: int) -> None:
    report = await measured("reconnect", faults, clients=8, burst=100, rate=100)
    figures = report.measurements[-1].figures
    assert (figures["holes"].value, figures["repeats"].value) == (holes, repeats)
    assert report.failures == [f"reconnect: bridge: {'holes' if holes else 'repeats'}: 8"]


async def test_many_clients_are_all_read() -> None:
    report = await measured("many", clients=120, rate=500, seconds=0.2)
    row = report.measurements[0]
    assert (row.readings, row.deliveries) == (100, 12_000)
    assert row.latencies is not None
    assert row.latencies.count == 50 * 100


# --- on a real bridge ------------------------------------------------------------------------------------------------


async def test_command_starts_a_bridge_measures_it_and_writes_json(tmp_path: Path) -> None:
    few = ("--clients", "2", "--clients", "3", "--burst", "40", "--rate", "100", "--seconds", "0.3")
    code, out, err = await ended(tmp_path, "bench", *few, "--json", "b.json")
    assert code == 0, err
    assert "readings/s" in out
    report = orjson.loads((tmp_path / "b.json").read_bytes())
    assert report["failures"] == []
    rows = report["measurements"]
    assert [(row["scenario"], row["clients"], row["readings"], row["deliveries"]) for row in rows] == [
        ("burst", 2, 40, 80), ("burst", 3, 40, 120), ("steady", 2, 30, 60), ("steady", 3, 30, 90),
    ]  # fmt: skip
    assert rows[0]["latency"] is None
    assert sum(count for _, count in rows[3]["latency"]["buckets"]) == rows[3]["latency"]["count"] == 90
    load = {"clients": 2, "rate": 100, "burst": 40, "seconds": 0.3, "rooms": 1, "way": "socketio"}
    assert rows[0]["load"] == load
    assert rows[0]["bench_cpu_seconds"] > 0
    assert {"at_seconds", "published", "delivered", "bridge_rss_bytes"} <= set(rows[0]["samples"][0])


async def test_every_other_scenario_runs_on_a_real_bridge(tmp_path: Path, broker_url: str) -> None:
    few = ("--clients", "4", "--rooms", "2", "--burst", "50", "--rate", "200", "--seconds", "0.3")
    names = ("many", "reconnect", "rooms")
    code, _, err = await ended(tmp_path, "bench", *names, *few, "--broker", broker_url, "--json", "b.json")
    assert code == 0, err
    rows = {row["scenario"]: row for row in orjson.loads((tmp_path / "b.json").read_bytes())["measurements"]}
    assert list(rows) == ["many", "reconnect", "rooms"]
    assert [rows[name]["deliveries"] for name in ("many", "rooms")] == [240, 120]
    returned = rows["reconnect"]["figures"]
    assert [returned[name]["value"] for name in ("holes", "repeats", "out of order", "cut again")] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "unknown scenario 'nonsense': choose from burst, steady, many, reconnect, rooms"),
        (["--url", "http://127.0.0.1:1"], "--url needs --broker"),
        (["--url", "ftp://x", "--broker", "mqtt://x"], "ftp://x: not a bridge's address: expected http://host:3000"),
        (["--broker", "mqtt://u:hunter2@x:99999"], "--broker"),
        (["--broker", "mqtt://u:hunter2@127.0.0.1:1"], "broker mqtt://127.0.0.1:1: "),
        (["--rate", "100000", "--seconds", "3600", "steady"], "more than 5,000,000 readings"),
    ],
)
async def test_wrong_option_is_reported(arguments: list[str], text: str, tmp_path: Path) -> None:
    code, out, err = await ended(tmp_path, "bench", *arguments)
    assert code == 1
    assert text in out + err
    assert "hunter2" not in out + err
    assert "Traceback" not in err


async def test_unavailable_bridge_is_reported() -> None:
    options = BenchOptions(["burst"], url=f"http://127.0.0.1:{free_port()}", broker="mqtt://127.0.0.1:1")
    out, err = (Console(record=True, quiet=False, width=200, stderr=True) for _ in range(2))
    assert not await bench(options, out, err)
    assert "a client could not connect to http://127.0.0.1:" in out.export_text()


async def test_ctrl_c_stops_every_started_process(tmp_path: Path) -> None:
    async with running(tmp_path, "bench", "steady", "--clients", "2", "--seconds", "100") as command:
        await until(lambda: "readings/s for 100 s" in command.err or not command.running, what="a running measurement")
        started = children(command._process.pid)
        assert len(started) >= 1, command.err
        command.press_ctrl_c()
        assert await command.end() == 1
        assert "stopped, with every process that the bench started" in command.err
        assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def children(pid: int) -> list[int]:
    """Return the child processes on Linux; none elsewhere."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def test_every_scenario_has_a_summary() -> None:
    assert [scenario.name for scenario in select_scenarios(list(SCENARIOS))] == list(SCENARIOS)
    with pytest.raises(BridgeError, match="unknown scenario 'x'"):
        select_scenarios(["x"])
    assert "clients 2000" in SCENARIOS["many"].summary


@pytest.mark.parametrize("way", ["polling", "topics", "channels"])
async def test_clients_of_other_protocols_are_measured(tmp_path: Path, way: str) -> None:
    few = ("--clients", "2", "--burst", "40", "--way", way)
    code, _, err = await ended(tmp_path, "bench", "burst", *few, "--json", "b.json")
    assert code == 0, err
    (row,) = orjson.loads((tmp_path / "b.json").read_bytes())["measurements"]
    assert (row["system"], row["deliveries"]) == (f"bridge, {way}", 80)


async def test_unknown_protocol_is_refused(tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, "bench", "burst", "--way", "pigeon")
    assert code != 0
    assert "socketio, polling, topics, channels" in err
