"""`sensor-bridge probe` against real bridges: what holds, what does not and why, and what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from rich.console import Console

from bridge.app import Bridge
from bridge.core.errors import BridgeError
from bridge.core.timestamp import iso
from bridge.settings import DevicesSettings, MqttSettings
from bridge.tools.probe.checks import CHECKS
from bridge.tools.probe.findings import Failed, Findings
from bridge.tools.probe.listener import Listener, ReceivedReading
from bridge.tools.probe.rounds import Rounds
from bridge.tools.probe.run import Duration
from bridge.tools.probe.samples import ProbeReading, ProbeReadings
from bridge.tools.probe.table import show
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.probe.ways_in import POST, WAYS_IN, DeviceTopics, HttpWay, plain
from bridge.tools.probe.ways_out import ADMIN
from tests.cli.test_cli import ended, get, running
from tests.conftest import StartBridge
from tests.servers import free_port, mosquitto, until

WAYS_OUT = ("Socket.IO WebSocket", "Socket.IO polling", "/ws", "/api/v1/ws")
OPEN = DevicesSettings.model_validate({"admins": {"desk": "let me in"}})
CLOSED = DevicesSettings.model_validate({
    "open": False, "registration": "required", "credentials": {"tester": "1234"}, "admins": {"desk": "let me in"}
})  # fmt: skip

Report = dict[str, Any]


def url_of(bridge: Bridge) -> str:
    return f"http://127.0.0.1:{bridge.port}"


async def probed(folder: Path, url: str, *arguments: str, patience: float = 10) -> tuple[int, str, Report]:
    """Exit code, what stood on the screen, and what was written."""
    more = ("--url", url, "--patience", str(patience), "--json", "p.json")
    code, out, err = await ended(folder, "probe", *more, *arguments)
    assert "Traceback" not in err, err
    return code, out, orjson.loads((folder / "p.json").read_bytes())


def checks(report: Report, state: str) -> dict[str, str]:
    return {one["name"]: one["failure"] or one["said"] for one in report["checks"] if one["state"] == state}


# --- what holds ------------------------------------------------------------------------------------------------------


async def test_every_way_in_is_heard_once_by_every_way_out(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, tmp_path: Path
) -> None:
    async with start_bridge(broker_url, mongo_url, devices=OPEN) as bridge:
        given = ("--broker", broker_url, "--admin-token", "let me in")
        code, out, report = await probed(tmp_path / "run", url_of(bridge), *given)
        device, readings = report["device"], await stored(bridge, report["device"])
        known = await get(f"{url_of(bridge)}/api/v1/devices")
    assert code == 0, out
    assert (checks(report, "fails"), checks(report, "skipped")) == ({}, {})
    pairs = {(one["in"], one["out"]): one for one in report["deliveries"]}
    assert set(pairs) == {(way_in, way_out) for way_in in WAYS_IN for way_out in (*WAYS_OUT, ADMIN)}
    for one in pairs.values():
        assert (one["taken"], one["heard"], one["lost"], one["repeated"], one["different"]) == (2, 2, 0, 0, 0)
        assert one["seconds"]["p50"] > 0
    assert len(readings) == report["left"] == 9, "two by each way, and one by all of them"
    assert checks(report, "held")["one reading by 4 ways"] == "one record, heard once by each of 5 listeners"
    assert {"command by MQTT", "command by /ws/device", "test event", "/ws/stats", *CHECKS} <= set(checks(report, "held"))
    assert "everything tested held" in out
    assert f"9 readings of {device} stay in the store" in out
    assert known["devices"] == [], "it has cleaned up"


async def stored(bridge: Bridge, device: str) -> list[Report]:
    found: list[Report] = (await get(f"{url_of(bridge)}/api/v1/readings?device={device}"))["readings"]
    return found


async def test_a_long_run_goes_on_until_its_time_is_over_or_it_is_told_to_stop(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        given = ("--broker", broker_url, "--interval", "0.1")
        code, out, report = await probed(tmp_path / "once", url_of(bridge), *given, "--seconds", "1")
        assert code == 0, out
        assert "p99" in out
        assert all(one["heard"] == one["taken"] > 2 for one in report["deliveries"])
        assert {one["name"]: one["asked"] for one in report["checks"]}["ledger"] > 2

        arguments = ("probe", "--url", url_of(bridge), "--minutes", "5", *given, "--json", "p.json")
        async with running(tmp_path / "stopped", *arguments) as command:

            async def under_way() -> bool:
                devices = (await get(f"{url_of(bridge)}/api/v1/devices"))["devices"]
                return bool(devices) and len(await stored(bridge, devices[0]["id"])) > 12

            await until(under_way, what="some rounds")
            command.press_ctrl_c()
            assert await command.end() == 0, command.err
            assert "everything tested held" in command.out
        assert (await get(f"{url_of(bridge)}/api/v1/devices"))["devices"] == []


@pytest.mark.parametrize("secret", [("--password", "1234"), ("--device-token", "1234")])
async def test_where_not_everyone_may_be_a_device_credentials_open_the_way(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, secret: tuple[str, str]
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", devices=CLOSED) as bridge:
        given = ("--broker", broker_url, "--device", "tester", *secret)
        code, out, report = await probed(tmp_path / "run", url_of(bridge), *given)
    assert code == 0, out
    assert set(checks(report, "skipped")) == {f"{ADMIN} out"}
    assert {one["in"] for one in report["deliveries"]} == set(WAYS_IN)


async def test_what_cannot_be_tested_is_skipped_and_said(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", devices=CLOSED) as bridge:
        url = url_of(bridge)
        code, out, err = await ended(tmp_path / "run", "probe", "--url", url, BRIDGE_MQTT__URL="mqtt://127.0.0.1:1")
    assert (code, err) == (0, "")
    assert "no broker (mqtt://127.0.0.1:1: " in " ".join(out.split())
    assert "give --token or --device-token, or --device and --password" in out
    assert "3 skipped" in out


async def test_a_device_that_was_known_before_stays_known(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        async with aiohttp.ClientSession() as session:
            await session.post(f"{url_of(bridge)}/api/v1/devices", json={"id": "mine"})
        code, out, _ = await probed(tmp_path / "run", url_of(bridge), "--broker", broker_url, "--device", "mine")
        assert code == 0, out
        assert [one["id"] for one in (await get(f"{url_of(bridge)}/api/v1/devices"))["devices"]] == ["mine"]


# --- what does not ---------------------------------------------------------------------------------------------------


async def test_a_bridge_whose_store_is_away_is_told_of_by_name(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    away = f"mongodb://127.0.0.1:{free_port()}/sensors"
    async with start_bridge(broker_url, away, ready=False, timeout_seconds=1) as bridge:
        await until(lambda: bridge.health.parts["store"].reason != "starting", what="a reason")
        code, out, report = await probed(tmp_path / "run", url_of(bridge), "--broker", broker_url)
    assert code == 1
    failure = checks(report, "fails")["health"]
    assert "store: MongoDB: " in failure
    assert "none sent: the bridge cannot store them now" in out
    assert report["left"] == 0


async def test_another_broker_than_the_bridge_s_is_found_out(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    with mosquitto(tmp_path / "other") as other:
        if other == broker_url:
            pytest.skip("there is one broker only, by BRIDGE_TEST_MQTT_URL")
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
            code, out, report = await probed(tmp_path / "run", url_of(bridge), "--broker", other, patience=2)
    assert code == 1
    assert "MQTT: 2 of 2 not stored as one record: does the bridge read sensors/probe-" in out
    assert checks(report, "held")["one reading by 3 ways"] == "one record, heard once by each of 4 listeners"
    assert report["left"] == 7


async def test_a_bridge_that_stops_in_the_midst_of_it_is_told_of_and_so_is_what_is_left(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    arguments = ("probe", "--minutes", "5", "--interval", "0.1", "--patience", "1", "--json", "p.json", "--broker", broker_url)
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        async with running(tmp_path / "run", *arguments, "--url", url_of(bridge)) as command:
            await until(lambda: bridge.ledger.account("device").stored > 3, what="some rounds")
            bridge.stop()
            await until_cannot_connect(url_of(bridge))
            command.press_ctrl_c()
            assert await command.end() == 1
            assert "Traceback" not in command.err
            assert f"curl -X DELETE {url_of(bridge)}/api/v1/devices/probe-" in command.out
    failures = checks(orjson.loads((tmp_path / "run" / "p.json").read_bytes()), "fails")
    assert {f"{name} out" for name in WAYS_OUT} | {"device removed"} <= set(failures)


async def until_cannot_connect(url: str) -> None:
    async def away() -> bool:
        try:
            await get(url + "/health/live")
        except aiohttp.ClientError:
            return True
        return False

    await until(away, what="the end of the bridge")


@pytest.mark.parametrize(
    ("arguments", "name", "text"),
    [
        (["--broker", "mqtt://127.0.0.1:1"], "MQTT in", "no broker: mqtt://127.0.0.1:1: "),
        (["--admin-token", "wrong"], f"{ADMIN} out", "Invalid token"),
        (["--device", "tester", "--password", "wrong"], "/ws/device in", "unauthorized"),
        (["--device-token", "wrong"], "/ws/device in", "Invalid token"),
    ],
)
async def test_what_is_given_and_wrong_is_a_failure(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, arguments: list[str], name: str, text: str
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", devices=CLOSED) as bridge:
        code, _, report = await probed(tmp_path / "run", url_of(bridge), *arguments)
    assert code == 1
    assert text in checks(report, "fails")[name]


async def test_a_token_that_is_no_admin_s_is_found_out(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        code, _, report = await probed(tmp_path / "run", url_of(bridge), "--broker", broker_url, "--admin-token", "anything")
    assert code == 1
    assert "is the token one of devices.admins?" in checks(report, "fails")[f"{ADMIN} out"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--url", "http://127.0.0.1:1"], "no bridge answers at http://127.0.0.1:1: Connection refused"),
        (["--url", "ftp://x"], "ftp://x: a bridge's address looks like http://host:3000"),
        (["--device", "two words"], "--device 'two words': is 1 to 128 characters"),
        (["--password", "x"], "--password goes with --device"),
        (["--url", "http://127.0.0.1:1", "--broker", "ftp://u:hunter2@x"], "--broker: "),
    ],
)
async def test_a_wrong_url_or_option_is_one_sentence(arguments: list[str], text: str, tmp_path: Path) -> None:
    code, out, err = await ended(tmp_path, "probe", *arguments)
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert text in line
    assert "hunter2" not in line


# --- what a bridge may get wrong ---------------------------------------------------------------------------------------


@asynccontextmanager
async def answering(body: Any, path: str, status: int = 200) -> AsyncIterator[ProbeTarget]:
    """A server that is no bridge, and answers this there."""

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


ACCOUNT = {"received": 3, "stored": 1, "duplicate": 0, "rejected": 0, "dropped": 0, "waiting": 1}


@pytest.mark.parametrize(
    ("name", "path", "body", "text"),
    [
        (
            "ledger", "/websocket/status",
            {"success": True, "websocketEnabled": True, "ledger": {"mqtt": ACCOUNT}}, "the account of mqtt does not add up",
        ),
        ("/metrics", "/metrics", "}{ 1", "is not in Prometheus' format"),
        ("/metrics", "/metrics", "up 1\n", "has no bridge_part_up"),
        ("OpenAPI", "/api/openapi.json", {"openapi": "3.0.0"}, "is no OpenAPI 3.1 description"),
        ("OpenAPI", "/api/openapi.json", [1], "no JSON object"),
        ("page", "/", "nothing", "GET / is text/plain"),
        ("page", "/elsewhere", "", "GET / answers 404"),
    ],
)  # fmt: skip
async def test_what_is_not_as_the_contract_has_it_is_named(name: str, path: str, body: Any, text: str) -> None:
    async with answering(body, path) as target:
        with pytest.raises(Failed, match=text):
            await CHECKS[name](target)


async def test_what_is_no_bridge_is_told_from_one_that_is() -> None:
    async with answering("<html>", "/health/live") as target:
        with pytest.raises(BridgeError, match="is no Sensor Bridge"):
            await target.contact()


async def test_readings_take_the_bridge_s_time_where_clocks_differ() -> None:
    async with answering({"status": "ok"}, "/health/live") as target:
        here = target.now_ms()
        await target.contact()
        assert abs(target.now_ms() - here) < 60_000
        target._note_clock("Wed, 21 Oct 2015 07:28:00 GMT")
        assert iso(target.now_ms()).startswith("2015-10-21T07:2")


SAMPLES = ProbeReadings("probe-1", lambda: 1_767_000_000_000)


def test_no_two_samples_have_the_same_time() -> None:
    assert len({SAMPLES.next().key for _ in range(1000)}) == 1000


async def test_a_listener_tells_what_came_what_came_again_and_what_did_not() -> None:
    listener = Listener("ears")
    once, twice, never, strange = (SAMPLES.next() for _ in range(4))
    for one in (once, twice, never):
        listener.expect(one.key, "MQTT")
    for one in (once, twice, twice, strange):
        listener.note(one.key, ReceivedReading(0.0, one.values))
    assert listener.take(twice.key) is not None
    listener.note(twice.key, ReceivedReading(1.0, twice.values))
    await listener.wait(once.key)
    assert listener.repeats == {"MQTT": 2}
    assert listener.take(never.key) is None
    assert listener.take(strange.key) is None
    listener.end("cut")
    await listener.wait(never.key)


class Tampering:
    """A way in, and the listeners as ways out that err: one hears nothing, one twice, one something else."""

    acknowledges = True
    advice = "look"

    def __init__(self, way: HttpWay) -> None:
        self._way = way
        self.deaf, self.echo, self.liar = Listener("deaf"), Listener("echo"), Listener("liar")

    async def send(self, sample: ProbeReading) -> str | None:
        identity = await self._way.send(sample)
        for listener in (self.echo, self.echo, self.liar):
            body = dict(sample.values) if listener is self.echo else {**sample.values, "co2": 0}
            listener.note(sample.key, ReceivedReading(time.monotonic(), body, identity))
        return identity


async def test_what_is_lost_heard_again_or_not_as_sent_is_counted(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        aiohttp.ClientSession() as session,
    ):
        target, findings = ProbeTarget(url_of(bridge), session, 0.5), Findings()
        way = Tampering(HttpWay(target, "/api/v1/readings", plain))
        rounds = Rounds(target, ProbeReadings("probe-1", target.now_ms), (way.echo, way.liar, way.deaf), findings)
        for _ in range(2):
            await rounds.send(POST, way)
        way.deaf.end("cut")
        await rounds.send(POST, way)
        rounds.end()
    counted = {out: (one.taken, one.lost, one.repeated, one.different) for (_, out), one in findings.deliveries.items()}
    assert counted == {"deaf": (2, 2, 0, 0), "echo": (3, 0, 3, 0), "liar": (3, 0, 0, 3)}
    assert findings.entry(POST).held
    told = [text for one in findings.deliveries.values() for text in one.complaints]
    assert [text for text in told if "co2 is 0, sent was" in text] == [told[1]]
    assert told[::2] == ["3 of 3 heard again", "2 of 2 not heard in time"]
    console = Console(record=True, width=120, quiet=False, stderr=True)
    show(findings, console)
    assert f"fails  {POST} to deaf: 2 of 2 not heard in time" in console.export_text()


def test_a_record_that_differs_is_described() -> None:
    sample = SAMPLES.next()
    record = {"_id": "a", "seq": 7, **sample.values}
    assert ReceivedReading(0, sample.values, "a", 7).difference(sample, record) == ""
    assert ReceivedReading(0, sample.values).difference(sample, record) == ""
    assert ReceivedReading(0, sample.values, "b").difference(sample, record) == "its _id is b, that of the record a"
    assert ReceivedReading(0, sample.values, "a", 8).difference(sample, record) == "its cursor is 8, that of the record 7"
    assert "temperature is None" in ReceivedReading(0, {}).difference(sample, None)


def test_topics_are_those_of_the_subscriptions() -> None:
    given = {"subscriptions": [{"pattern": "a/+/{deviceId}"}, {"pattern": "b/{deviceId}/up"}], "commands": "b/{deviceId}/down"}
    assert DeviceTopics.of(MqttSettings.model_validate(given), "d") == DeviceTopics("b/d/up", "b/d/down", None)
    assert DeviceTopics.of(MqttSettings(), "d") == DeviceTopics("sensors/d/data", "sensors/d/command", "sensors/d/command/ack")


async def test_a_run_without_a_duration_is_one_round() -> None:
    assert [passed async for passed in Duration().rounds()] == [0.0]
    stopped = Duration(60, 0.1)
    stopped.stopped.set()
    assert [passed async for passed in stopped.rounds()] == [0.0]


def test_nothing_tested_is_nothing_held() -> None:
    findings = Findings()
    assert not findings.held
    findings.question("health").held("alive")
    assert findings.held
    findings.delivery("MQTT", "/ws").taken = 1
    assert (findings.held, findings.failed) == (False, 1)
