"""`sensor-bridge probe` against real bridges: what passes, what fails and why, and what it leaves behind."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from rich.cells import cell_len
from rich.console import Console

from bridge.app import Bridge
from bridge.core.errors import BridgeError
from bridge.core.timestamp import iso
from bridge.settings import DevicesSettings, MqttSettings
from bridge.tools.probe.checks import CHECKS
from bridge.tools.probe.inputs import INPUTS, POST, DeviceTopics, HttpInput, encode_reading
from bridge.tools.probe.listener import Listener, ReceivedReading
from bridge.tools.probe.outputs import ADMIN
from bridge.tools.probe.readings import ProbeReading, ProbeReadings
from bridge.tools.probe.results import Failed, ProbeReport
from bridge.tools.probe.rounds import Rounds
from bridge.tools.probe.run import Schedule
from bridge.tools.probe.table import _paths_table, print_report
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.terminal import PlainConsole
from tests.cli.test_cli import ended, get, running
from tests.conftest import StartBridge
from tests.servers import free_port, mosquitto, until

OUTPUTS = ("Socket.IO WebSocket", "Socket.IO polling", "/ws", "/api/v1/ws")
OPEN = DevicesSettings.model_validate({"admins": {"desk": "let me in"}})
CLOSED = DevicesSettings.model_validate({
    "open": False, "registration": "required", "credentials": {"tester": "1234"}, "admins": {"desk": "let me in"}
})  # fmt: skip

Report = dict[str, Any]


def url_of(bridge: Bridge) -> str:
    return f"http://127.0.0.1:{bridge.port}"


async def probed(folder: Path, url: str, *arguments: str, patience: float = 10) -> tuple[int, str, Report]:
    """Run a probe; return exit code, standard output and JSON report."""
    options = ("--url", url, "--patience", str(patience), "--json", "p.json")
    code, out, err = await ended(folder, "probe", *options, *arguments)
    assert "Traceback" not in err, err
    return code, out, orjson.loads((folder / "p.json").read_bytes())


def checks(report: Report, state: str) -> dict[str, str]:
    return {check["name"]: check["failure"] or check["said"] for check in report["checks"] if check["state"] == state}


# --- probes that pass ------------------------------------------------------------------------------------------------


async def test_every_input_is_received_once_from_every_output(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, tmp_path: Path
) -> None:
    async with start_bridge(broker_url, mongo_url, devices=OPEN) as bridge:
        given = ("--broker", broker_url, "--admin-token", "let me in")
        code, out, report = await probed(tmp_path / "run", url_of(bridge), *given)
        device, readings = report["device"], await stored(bridge, report["device"])
        known = await get(f"{url_of(bridge)}/api/v1/devices")
    assert code == 0, out
    assert (checks(report, "fails"), checks(report, "skipped")) == ({}, {})
    paths = {(path["in"], path["out"]): path for path in report["deliveries"]}
    assert set(paths) == {(name, output) for name in INPUTS for output in (*OUTPUTS, ADMIN)}
    for path in paths.values():
        assert (path["taken"], path["heard"], path["lost"], path["repeated"], path["different"]) == (2, 2, 0, 0, 0)
        assert path["seconds"]["p50"] > 0
    assert len(readings) == report["left"] == 9, "two through each input, and one through all of them"
    assert checks(report, "held")["one reading through 4 inputs"] == "one record, received once by each of 5 listeners"
    assert {"command by MQTT", "command by /ws/device", "test event", "/ws/stats", *CHECKS} <= set(checks(report, "held"))
    assert "all checks passed" in out
    assert f"9 readings of {device} stay in the store" in out
    assert known["devices"] == [], "the device is removed"


async def stored(bridge: Bridge, device: str) -> list[Report]:
    readings: list[Report] = (await get(f"{url_of(bridge)}/api/v1/readings?device={device}"))["readings"]
    return readings


async def test_long_run_ends_after_its_duration_or_on_ctrl_c(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        given = ("--broker", broker_url, "--interval", "0.1")
        code, out, report = await probed(tmp_path / "once", url_of(bridge), *given, "--seconds", "6")
        assert code == 0, out
        assert "p99" in out
        assert all(path["heard"] == path["taken"] > 2 for path in report["deliveries"])
        assert {check["name"]: check["asked"] for check in report["checks"]}["ledger"] > 2

        arguments = ("probe", "--url", url_of(bridge), "--minutes", "5", *given, "--json", "p.json")
        async with running(tmp_path / "stopped", *arguments) as command:

            async def started() -> bool:
                devices = (await get(f"{url_of(bridge)}/api/v1/devices"))["devices"]
                return bool(devices) and len(await stored(bridge, devices[0]["id"])) > 12

            await until(started, what="some rounds")
            command.press_ctrl_c()
            assert await command.end() == 0, command.err
            assert "all checks passed" in command.out
        assert (await get(f"{url_of(bridge)}/api/v1/devices"))["devices"] == []


@pytest.mark.parametrize("secret", [("--password", "1234"), ("--device-token", "1234")])
async def test_device_credentials_are_used_when_devices_must_authenticate(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, secret: tuple[str, str]
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", devices=CLOSED) as bridge:
        given = ("--broker", broker_url, "--device", "tester", *secret)
        code, out, report = await probed(tmp_path / "run", url_of(bridge), *given)
    assert code == 0, out
    assert set(checks(report, "skipped")) == {f"{ADMIN} out"}
    assert {path["in"] for path in report["deliveries"]} == set(INPUTS)


async def test_checks_that_cannot_run_are_skipped_with_a_reason(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", devices=CLOSED) as bridge:
        url = url_of(bridge)
        code, out, err = await ended(tmp_path / "run", "probe", "--url", url, BRIDGE_MQTT__URL="mqtt://127.0.0.1:1")
    assert (code, err) == (0, "")
    assert "broker unavailable (mqtt://127.0.0.1:1: " in " ".join(out.split())
    assert "give --token or --device-token, or --device and --password" in out
    assert "3 skipped" in out


async def test_device_registered_before_stays_registered(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        async with aiohttp.ClientSession() as session:
            await session.post(f"{url_of(bridge)}/api/v1/devices", json={"id": "mine"})
        code, out, _ = await probed(tmp_path / "run", url_of(bridge), "--broker", broker_url, "--device", "mine")
        assert code == 0, out
        assert [device["id"] for device in (await get(f"{url_of(bridge)}/api/v1/devices"))["devices"]] == ["mine"]


# --- probes that fail ------------------------------------------------------------------------------------------------


async def test_unavailable_store_is_reported_by_name(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    unavailable = f"mongodb://127.0.0.1:{free_port()}/sensors"
    async with start_bridge(broker_url, unavailable, ready=False, timeout_seconds=1) as bridge:
        await until(lambda: bridge.health.parts["store"].reason != "starting", what="a reason")
        code, out, report = await probed(tmp_path / "run", url_of(bridge), "--broker", broker_url)
    assert code == 1
    failure = checks(report, "fails")["health"]
    assert "store: MongoDB: " in failure
    assert "none sent: the bridge's store is unavailable" in out
    assert report["left"] == 0


async def test_broker_that_is_not_the_bridges_is_detected(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "other") as other:
        if other == broker_url:
            pytest.skip("BRIDGE_TEST_MQTT_URL allows only one broker")
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
            code, out, report = await probed(tmp_path / "run", url_of(bridge), "--broker", other, patience=4)
    assert code == 1
    assert "MQTT: 2 of 2 not stored as one record: check that the bridge subscribes to sensors/probe-" in out
    assert checks(report, "held")["one reading through 3 inputs"] == "one record, received once by each of 4 listeners"
    assert report["left"] == 7


async def test_bridge_that_stops_during_the_run_is_reported_with_the_remaining_device(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    arguments = ("probe", "--minutes", "5", "--interval", "0.1", "--json", "p.json", "--broker", broker_url)
    async with AsyncExitStack() as stack:
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
            command = await stack.enter_async_context(running(tmp_path / "run", *arguments, "--url", url_of(bridge)))
            await until(lambda: bridge.ledger.account("device").stored > 3, what="some rounds")
        # Every connection of the bridge is closed now.
        await until(lambda: not are_half_closed(bridge.port), what="the probe has noticed")
        command.press_ctrl_c()
        assert await command.end() == 1
        assert "Traceback" not in command.err
        assert f"curl -X DELETE {url_of(bridge)}/api/v1/devices/probe-" in command.out
    failures = checks(orjson.loads((tmp_path / "run" / "p.json").read_bytes()), "fails")
    assert {f"{name} out" for name in OUTPUTS} | {"device removed"} <= set(failures)


def are_half_closed(port: int) -> bool:
    """Whether there are connections to a port that its server has closed and the client has not. On Linux only."""
    with suppress(OSError):
        connections = map(str.split, Path("/proc/net/tcp").read_text("ascii").splitlines())
        return any(peer.endswith(f":{port:04X}") and state == "08" for _, _, peer, state, *_ in connections)
    return False


@pytest.mark.parametrize(
    ("arguments", "name", "text"),
    [
        (["--broker", "mqtt://127.0.0.1:1"], "MQTT in", "broker unavailable: mqtt://127.0.0.1:1: "),
        (["--admin-token", "wrong"], f"{ADMIN} out", "Invalid token"),
        (["--device", "tester", "--password", "wrong"], "/ws/device in", "unauthorized"),
        (["--device-token", "wrong"], "/ws/device in", "Invalid token"),
    ],
)
async def test_wrong_option_fails(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, arguments: list[str], name: str, text: str
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", devices=CLOSED) as bridge:
        code, _, report = await probed(tmp_path / "run", url_of(bridge), *arguments)
    assert code == 1
    assert text in checks(report, "fails")[name]


async def test_any_token_listens_where_no_secret_is_set(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        code, out, report = await probed(tmp_path / "run", url_of(bridge), "--broker", broker_url, "--admin-token", "anything")
    assert (code, checks(report, "fails")) == (0, {}), out
    assert ADMIN in {path["out"] for path in report["deliveries"]}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--url", "http://127.0.0.1:1"], "no bridge answers at http://127.0.0.1:1: Connection refused"),
        (["--url", "ftp://x"], "ftp://x: not a bridge's address: expected http://host:3000"),
        (["--device", "two+words"], "--device 'two+words' contains '+': must be 1 to 128 printable characters"),
        (["--password", "x"], "--password needs --device"),
        (["--url", "http://127.0.0.1:1", "--broker", "ftp://u:hunter2@x"], "--broker: "),
    ],
)
async def test_invalid_url_or_option_is_one_line(arguments: list[str], text: str, tmp_path: Path) -> None:
    code, out, err = await ended(tmp_path, "probe", *arguments)
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert text in line
    assert "hunter2" not in line


# --- checks against faulty servers -------------------------------------------------------------------------------------


@asynccontextmanager
async def answering(body: Any, path: str, status: int = 200) -> AsyncIterator[ProbeTarget]:
    """A server that is not a bridge and responds with `body` at `path`."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body, status=status) if not isinstance(body, str) else web.Response(text=body)

    app = web.Application()
    app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield ProbeTarget(f"http://127.0.0.1:{port}", session, 5)
    finally:
        await runner.cleanup()


ACCOUNT = {"received": 3, "stored": 1, "duplicate": 0, "rejected": 0, "ignored": 0, "dropped": 0, "waiting": 1, "readings": 1}


@pytest.mark.parametrize(
    ("name", "path", "body", "text"),
    [
        (
            "ledger", "/websocket/status",
            {"success": True, "websocketEnabled": True, "ledger": {"mqtt": ACCOUNT}}, "the account of mqtt does not add up",
        ),
        ("/metrics", "/metrics", "}{ 1", "not in Prometheus' format"),
        ("/metrics", "/metrics", "up 1\n", "bridge_part_up is missing"),
        ("OpenAPI", "/api/openapi.json", {"openapi": "3.0.0"}, "not an OpenAPI 3.1 document"),
        ("OpenAPI", "/api/openapi.json", [1], "not a JSON object"),
        ("page", "/", "nothing", "GET /: text/plain"),
        ("page", "/elsewhere", "", "GET /: the response is 404"),
    ],
)  # fmt: skip
async def test_violation_of_the_contract_is_reported(name: str, path: str, body: Any, text: str) -> None:
    async with answering(body, path) as target:
        with pytest.raises(Failed, match=text):
            await CHECKS[name](target)


async def test_server_that_is_not_a_bridge_is_rejected() -> None:
    async with answering("<html>", "/health/live") as target:
        with pytest.raises(BridgeError, match="is not a Sensor Bridge"):
            await target.check_is_bridge()


async def test_readings_use_the_bridges_time_if_clocks_differ() -> None:
    async with answering({"status": "ok"}, "/health/live") as target:
        local_ms = target.now_ms()
        await target.check_is_bridge()
        assert abs(target.now_ms() - local_ms) < 60_000
        target._update_clock("Wed, 21 Oct 2015 07:28:00 GMT")
        assert iso(target.now_ms()).startswith("2015-10-21T07:2")


READINGS = ProbeReadings("probe-1", lambda: 1_767_000_000_000)


def test_timestamps_are_unique() -> None:
    assert len({READINGS.next().key for _ in range(1000)}) == 1000


async def test_listener_distinguishes_received_repeated_and_missing_readings() -> None:
    listener = Listener("output")
    once, twice, never, unexpected = (READINGS.next() for _ in range(4))
    for reading in (once, twice, never):
        listener.expect(reading.key, "MQTT")
    for reading in (once, twice, twice, unexpected):
        listener.add(reading.key, ReceivedReading(0.0, reading.values))
    assert listener.take(twice.key) is not None
    listener.add(twice.key, ReceivedReading(1.0, twice.values))
    await listener.wait(once.key)
    assert listener.repeats == {"MQTT": 2}
    assert listener.take(never.key) is None
    assert listener.take(unexpected.key) is None
    listener.close("cut")
    await listener.wait(never.key)


class FaultyOutputs:
    """An input, with listeners of faulty outputs: one receives nothing, one every reading twice, one other values."""

    acknowledges = True
    advice = "look"

    def __init__(self, source: HttpInput) -> None:
        self._source = source
        self.lossy, self.repeating, self.altering = Listener("lossy"), Listener("repeating"), Listener("altering")

    async def send(self, reading: ProbeReading) -> str | None:
        record_id = await self._source.send(reading)
        for listener in (self.repeating, self.repeating, self.altering):
            body = dict(reading.values) if listener is self.repeating else {**reading.values, "co2": 0}
            listener.add(reading.key, ReceivedReading(time.monotonic(), body, record_id))
        return record_id


async def test_lost_repeated_and_altered_readings_are_counted(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        aiohttp.ClientSession() as session,
    ):
        target, report = ProbeTarget(url_of(bridge), session, 2.5), ProbeReport()
        source = FaultyOutputs(HttpInput(target, "/api/v1/readings", encode_reading))
        listeners = (source.repeating, source.altering, source.lossy)
        rounds = Rounds(target, ProbeReadings("probe-1", target.now_ms), listeners, report)
        for _ in range(2):
            await rounds.send(POST, source)
        source.lossy.close("cut")
        await rounds.send(POST, source)
        rounds.finish()
    paths = report.paths
    counts = {name: (path.accepted, path.lost, path.repeated, path.different) for (_, name), path in paths.items()}
    assert counts == {"lossy": (2, 2, 0, 0), "repeating": (3, 0, 3, 0), "altering": (3, 0, 0, 3)}
    assert heading(report).split()[1:6] == ["accepted", "received", "lost", "twice", "differ"]
    assert report.input(POST).passed
    complaints = [text for path in paths.values() for text in path.complaints]
    assert [text for text in complaints if "co2 is 0, sent was" in text] == [complaints[1]]
    assert complaints[::2] == ["3 of 3 received again", "2 of 2 not received in time"]
    console = Console(record=True, width=120, quiet=False, stderr=True)
    print_report(report, console)
    assert f"fails  {POST} to lossy: 2 of 2 not received in time" in console.export_text()


def test_difference_from_the_record_is_described() -> None:
    reading = READINGS.next()
    record = {"_id": "a", "seq": 7, **reading.values}
    assert ReceivedReading(0, reading.values, "a", 7).difference(reading, record) == ""
    assert ReceivedReading(0, reading.values).difference(reading, record) == ""
    assert ReceivedReading(0, reading.values, "b").difference(reading, record) == "its _id is b, that of the record a"
    assert ReceivedReading(0, reading.values, "a", 8).difference(reading, record) == "its cursor is 8, that of the record 7"
    assert "temperature is None" in ReceivedReading(0, {}).difference(reading, None)


def test_topics_are_derived_from_the_subscriptions() -> None:
    settings = {
        "subscriptions": [{"pattern": "a/+/{deviceId}"}, {"pattern": "b/{deviceId}/up"}],
        "commands": "b/{deviceId}/down",
    }
    assert DeviceTopics.of(MqttSettings.model_validate(settings), "d") == DeviceTopics("b/d/up", "b/d/down", None)
    assert DeviceTopics.of(MqttSettings(), "d") == DeviceTopics("sensors/d/data", "sensors/d/command", "sensors/d/command/ack")


async def test_schedule_without_a_duration_has_one_round() -> None:
    assert [seconds async for seconds in Schedule().rounds()] == [0.0]
    stopped = Schedule(60, 0.1)
    stopped.stopped.set()
    assert [seconds async for seconds in stopped.rounds()] == [0.0]


def test_report_without_checks_does_not_pass() -> None:
    report = ProbeReport()
    assert not report.passed
    report.check("health").add_pass("alive")
    assert report.passed
    report.path("MQTT", "/ws").accepted = 1
    assert (report.passed, report.failed) == (False, 1)


def heading(report: ProbeReport) -> str:
    """The first line of the table of paths at 80 columns, of which no line is longer and nothing is cut."""
    console = PlainConsole(file=io.StringIO(), width=80)
    console.print(_paths_table(report))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert not any("…" in line or cell_len(line) > 80 for line in lines), lines
    return next(line for line in lines if "accepted" in line)


def test_table_of_paths_without_errors_has_no_columns_for_them() -> None:
    report = ProbeReport()
    for output in ("Socket.IO WebSocket", "/api/v1/ws"):
        path = report.path(POST, output)
        path.accepted = path.received = 1_000_000
        path.latencies.add(0.0123)
    report.input(POST).acknowledges = True
    assert heading(report).split() == ["input", "accepted", "received", "p50", "p99", "max"]
