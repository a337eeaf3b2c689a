"""`sensor-bridge alarms`: against a server that answers as the bridge does, and on a real store."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from bson.objectid import ObjectId

from bridge.core.readings.reading import Reading
from bridge.settings import StoreSettings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.stores import open_store
from tests.cli.test_cli import ended
from tests.conftest import StartBridge
from tests.notify.alarms import record
from tests.realtime.clients import Plain
from tests.senders import patient

ALARM = record().public()
ID = ALARM["id"]
REFUSED = {"target": "hook", "ok": False, "error": "answered 500"}
ROUTES: Mapping[str, tuple[int, dict[str, Any]]] = {
    "GET /api/v1/alarms": (200, {"alarms": [ALARM], "next": ID, "catchingUp": True}),
    "POST /api/v1/alarms/acknowledge": (200, {"acknowledged": [ID], "refused": [{"id": "abc", "reason": "unknown alarm"}]}),
    f"POST /api/v1/alarms/{ID}/shelve": (200, {"alarm": ALARM | {"shelvedUntil": "2026-01-15T20:00:00.000Z"}}),
    "POST /api/v1/alarms/abc/shelve": (404, {"title": "Not Found", "detail": "no alarm has this id"}),
    "POST /api/v1/alarms/test": (
        200,
        {
            "results": [
                {"target": "family", "ok": True, "error": None},
                {"target": "hook", "ok": False, "error": "answered 500"},
            ]
        },
    ),
}


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, list[tuple[str, Any]]]]:
    requests: list[tuple[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        requests.append((f"{request.method} {request.path_qs}", orjson.loads(body) if body else None))
        status, content = ROUTES[f"{request.method} {request.path}"]
        return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as running:
        yield f"http://127.0.0.1:{running.port}", requests


async def test_alarms_are_listed(tmp_path: Path) -> None:
    async with server() as (url, requests):
        code, out, err = await ended(tmp_path, "alarms", "list", "--url", url, "--priority", "critical", "--device", "a/b")
    assert code == 0
    assert requests == [("GET /api/v1/alarms?state=standing&device=a/b&priority=critical&limit=100", None)]
    row = next(line for line in out.splitlines() if ID in line)
    for text in ("critical", "unacknowledged", "co-ceiling", "kitchen", "212 ppm", "2026-01-15 12:00"):
        assert text in row
    assert "there are more" in err
    assert "still evaluating" in err


async def test_alarms_are_acknowledged_and_refusals_named(tmp_path: Path) -> None:
    async with server() as (url, requests):
        code, out, err = await ended(tmp_path, "alarms", "ack", ID, "abc", "--url", url, "--comment", "seen")
    assert (code, out, err) == (1, f"{ID} acknowledged\n", "abc not acknowledged: unknown alarm\n")
    assert requests == [("POST /api/v1/alarms/acknowledge", {"ids": [ID, "abc"], "comment": "seen"})]


async def test_an_alarm_is_shelved(tmp_path: Path) -> None:
    async with server() as (url, requests):
        code, out, _ = await ended(tmp_path, "alarms", "shelve", ID, "--for", "8h", "--url", url)
        assert (code, out) == (0, f"{ID} shelved until 2026-01-15T20:00:00.000Z\n")
        assert requests == [(f"POST /api/v1/alarms/{ID}/shelve", {"seconds": 28_800})]
        code, _, err = await ended(tmp_path, "alarms", "shelve", "abc", "--for", "8h", "--url", url)
        assert (code, err) == (1, "no alarm has this id\n")


async def test_targets_are_tested(tmp_path: Path) -> None:
    async with server() as (url, requests):
        code, out, _ = await ended(tmp_path, "alarms", "test", "--url", url)
        await ended(tmp_path, "alarms", "test", "family", "--url", url)
    assert (code, out) == (1, "family: told\nhook: not told: answered 500\n")
    assert [body for _, body in requests] == [{}, {"target": "family"}]


async def test_no_bridge_is_one_sentence(tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, "alarms", "list", "--url", "http://127.0.0.1:9")
    assert code == 1
    assert err.startswith("no bridge answers at http://127.0.0.1:9: ")


@pytest.mark.parametrize("time", ["8", "0h", "x", "8 weeks"])
async def test_a_time_that_is_none_is_refused(time: str, tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, "alarms", "shelve", ID, "--for", time)
    assert code == 2
    assert "must be a number with s, m, h, d or w" in err


async def test_alarms_of_a_running_bridge_are_listed_shelved_and_acknowledged(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        mqtt_sender(patient(broker_url)) as sender,
        Plain.connected(bridge) as plain,
    ):
        for _ in range(3):
            await sender.publish("sensors/boiler/data", b'{"coPpm": 250}')
        told = await plain.receive("alert")
        alarm, at = told["alert_id"], ("--url", f"http://127.0.0.1:{bridge.port}")
        code, out, _ = await ended(tmp_path / "run", "alarms", "list", *at)
        assert code == 0
        assert "250 ppm" in next(line for line in out.splitlines() if alarm in line)
        assert await ended(tmp_path / "run", "alarms", "ack", alarm, *at, "--comment", "seen") == (
            0,
            f"{alarm} acknowledged\n",
            "",
        )
        code, out, _ = await ended(tmp_path / "run", "alarms", "shelve", alarm, "--for", "30m", *at)
        assert code == 0
        assert out.startswith(f"{alarm} shelved until 20")
        code, _, err = await ended(tmp_path / "run", "alarms", "ack", alarm, *at)
        assert code == 1
        assert err.startswith(f"{alarm} not acknowledged: ")


# --- try -------------------------------------------------------------------------------------------------------------------


async def test_rules_are_tried_on_the_stored_readings(tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    url = f"sqlite:///{tmp_path}/bridge.db"
    times = [(now_ms - 3_600_000 + number * 10_000, value) for number, value in enumerate([0, 250, 250, 310, 0, 0])]
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        readings = [Reading(ObjectId(), "boiler", {"coPpm": value}, at, at, seq=at * 1000) for at, value in times]
        await store.write(readings, [], [])
    code, out, err = await ended(tmp_path / "run", "alarms", "try", "--since", "2h", BRIDGE_STORE__URL=url)
    assert code == 0
    row = next(line for line in out.splitlines() if "co-ceiling" in line)
    assert "boiler" in row
    assert "310 ppm" in row
    assert re.search("^[1-9] alarms? in 6 readings of 1 device from ", err.splitlines()[-1])
    code, out, again = await ended(tmp_path / "run", "alarms", "try", "--since", "2h", "--json", BRIDGE_STORE__URL=url)
    assert (code, again) == (0, err)
    [alarm] = [one for one in orjson.loads(out) if one["rule"] == "co-ceiling"]
    assert (alarm["deviceId"], alarm["peak"]["value"]) == ("boiler", 310)
    rules = tmp_path / "rules.toml"
    rules.write_text('profile = "none"\n[rules.co-ceiling]\nlimit = 400\n')
    code, out, err = await ended(tmp_path / "run", "alarms", "try", "--rules", str(rules), BRIDGE_STORE__URL=url)
    assert (code, "co-ceiling" in out) == (0, False)
    assert "0 alarms in 6 readings" in err


async def test_every_mistake_of_a_rules_file_is_printed(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('profile = "office"\n[rules.heat]\nlimt = 5\n')
    code, _, err = await ended(tmp_path / "run", "alarms", "try", "--rules", str(rules))
    assert code == 2
    lines = err.splitlines()
    assert lines[0] == "wrong rules file"
    assert [line.split(": ")[:2] for line in lines[1:]] == [[str(rules), "profile"], [str(rules), "rules.heat.limt"]]
