"""`sensor-bridge run --workers N` as real processes: one port, sessions on any connection, workers that die."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import orjson
import pytest
import socketio
from pydantic import SecretStr

from bridge.app import Bridge
from bridge.http.handover import WorkerSlot
from bridge.settings import ClusterSettings, HttpSettings, MqttSettings, Settings, StoreSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.cli.test_cli import Command, ended, running
from tests.senders import patient
from tests.servers import Mongod, free_port, is_open, until

READY_SECONDS = 60.0
_STARTED = re.compile(r"worker (\d) of \d started, pid (\d+)")


def pids_of(command: Command) -> dict[str, int]:
    """The newest process of each worker, by its number."""
    return {number: int(pid) for number, pid in _STARTED.findall(command.err)}


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@asynccontextmanager
async def workers(folder: Path, count: int, broker_url: str, mongo_url: str) -> AsyncIterator[tuple[Command, str]]:
    """A running command whose workers are ready, and its URL."""
    port = free_port()
    environ = {"BRIDGE_HTTP__PORT": str(port), "BRIDGE_MQTT__URL": broker_url, "BRIDGE_STORE__URL": mongo_url}
    async with running(folder, "run", "--workers", str(count), **environ) as command:
        ready = "bridge.app: bridge: ready"
        await until(lambda: all(f"worker {n}: {ready}" in command.err for n in range(1, count + 1)), READY_SECONDS, ready)
        yield command, f"http://127.0.0.1:{port}"


async def answer(url: str, data: str | None = None) -> str:
    """The body of a request on a connection of its own."""
    method = "GET" if data is None else "POST"
    async with aiohttp.ClientSession() as session, session.request(method, url, data=data) as response:
        text = await response.text()
        assert response.status == 200, text
        return text


async def test_a_session_of_long_polling_works_on_any_connection(tmp_path: Path, broker_url: str, mongo_url: str) -> None:
    async with workers(tmp_path, 2, broker_url, mongo_url) as (_, url):
        polling = f"{url}/socket.io/?EIO=4&transport=polling"
        sids = [str(orjson.loads((await answer(polling))[1:])["sid"]) for _ in range(16)]
        assert {sid[:3] for sid in sids} == {"w1-", "w2-"}
        for sid in sids:
            assert await answer(f"{polling}&sid={sid}", "40") == "ok"
            assert (await answer(f"{polling}&sid={sid}")).startswith('40{"sid":"')
        metrics = [await answer(f"{url}/metrics") for _ in range(16)]  # of either worker
        assert any(
            int(found[1]) for found in re.finditer(r'bridge_worker_handovers_total\{outcome="sent"\} (\d+)', "".join(metrics))
        )
        async with aiohttp.ClientSession() as session, session.get(f"{polling}&sid=w7-gone") as response:
            assert (response.status, await response.json()) == (400, {"code": 1, "message": "Session ID unknown"})


async def test_clients_of_all_transports_receive_each_reading_once(tmp_path: Path, broker_url: str, mongo_url: str) -> None:
    heard: list[list[float]] = [[] for _ in range(12)]
    clients = [socketio.AsyncClient(reconnection=False) for _ in heard]
    async with workers(tmp_path, 2, broker_url, mongo_url) as (_, url):
        for client, own, transports in zip(
            clients, heard, (["polling", "websocket"], ["polling"], ["websocket"]) * 4, strict=True
        ):
            client.on("sensorData", lambda message, own=own: own.append(message["data"]["temperature"]))
            await client.connect(url, transports=transports, wait_timeout=30)
        await until(lambda: [one.transport() for one in clients] == ["websocket", "polling", "websocket"] * 4, what="upgrades")
        async with mqtt_sender(patient(broker_url)) as sender:
            for value in range(20):
                payload = {"temperature": value, "timestamp": 1_790_000_000 + value}
                await sender.publish("sensors/a/data", orjson.dumps(payload))
        await until(lambda: all(len(own) >= 20 for own in heard), what="20 readings at 12 clients")
        assert [sorted(own) for own in heard] == [list(range(20))] * 12
        assert all(own == heard[0] for own in heard)

        async def knows_both() -> bool:
            cluster = orjson.loads(await answer(f"{url}/websocket/status"))["cluster"]
            return (cluster["name"], cluster["bridges"]) == ("workers", 2)

        await until(knows_both, what="two workers of one cluster")
        for client in clients:
            await client.disconnect()


async def test_a_worker_that_is_killed_is_started_again_and_all_end_with_the_command(
    tmp_path: Path, broker_url: str, mongo_url: str
) -> None:
    async with workers(tmp_path, 2, broker_url, mongo_url) as (command, _):
        first = pids_of(command)
        os.kill(first["1"], signal.SIGKILL)
        await until(lambda: command.err.count("worker 1: bridge.app: bridge: ready") == 2, READY_SECONDS, "worker 1 again")
        assert "worker 1 ended (SIGKILL): its clients reconnect; again in 0.5 s" in command.err
        second = pids_of(command)
        assert (second["2"], second["1"] != first["1"]) == (first["2"], True)
        command.signal(signal.SIGTERM)
        assert await command.end() == 0
        assert [is_alive(pid) for pid in second.values()] == [False, False]
        assert command.err.count("bridge.app: bridge: stopped") == 2


@pytest.mark.parametrize("is_in_time", [True, False])
async def test_worker_accepts_clients_once_prepared_or_after_a_limit(
    broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_in_time: bool
) -> None:
    monkeypatch.setattr("bridge.app.WORKER_PREPARE_SECONDS", 1000.0 if is_in_time else 0.1)
    port, store = free_port(), Mongod(tmp_path / "mongod")
    settings = Settings(
        mqtt=MqttSettings(url=SecretStr(broker_url)),
        store=StoreSettings(url=store.url.replace("/?", "/workers?")),
        cluster=ClusterSettings(name="workers"),
        http=HttpSettings(port=port),
    )
    bridge = Bridge(settings, WorkerSlot(1, tmp_path))
    running = asyncio.create_task(bridge.run())
    try:
        if is_in_time:
            await until(lambda: bridge.health.parts["store"].reason != "starting", what="an unavailable store")
            assert not is_open(port)
            await asyncio.to_thread(store.start)
        await asyncio.wait_for(bridge.listening.wait(), READY_SECONDS)
        assert (is_open(port), bridge.health.parts["store"].up) == (True, is_in_time)
    finally:
        bridge.stop()
        await running
        store.kill()


async def test_workers_end_when_the_command_is_killed(tmp_path: Path, broker_url: str, mongo_url: str) -> None:
    async with workers(tmp_path, 2, broker_url, mongo_url) as (command, _):
        pids = pids_of(command).values()
        command.signal(signal.SIGKILL)
        await until(lambda: not any(map(is_alive, pids)), what="the end of all workers")


@pytest.mark.parametrize(
    ("environ", "mistake"),
    [
        ({"BRIDGE_STORE__URL": "sqlite:///b.db"}, "--workers: store.url names a SQLite file: several bridges need MongoDB"),
        (
            {"BRIDGE_CLUSTER__RECEIVE": "all", "BRIDGE_CLUSTER__PLACE": "2"},
            "--workers: cluster.place is set: each worker takes a place of its own, leave it unset",
        ),
    ],
)
async def test_settings_for_one_bridge_are_refused(tmp_path: Path, environ: dict[str, str], mistake: str) -> None:
    code, _, err = await ended(tmp_path, "run", "--workers", "2", **environ)
    assert (code, err) == (2, f"wrong settings\n{mistake}\n")
