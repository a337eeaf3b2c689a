"""`make up` as a person runs it: the shipped image beside a real broker and a real database, restarts included.

Containers and volumes are found by the labels that both versions of Compose give them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import socketio
from bson import ObjectId
from pymongo import AsyncMongoClient

from tests.servers import REPO, docker_runs, missing, until

pytestmark = pytest.mark.containers

BUILD_SECONDS = 900.0
"""A first build fetches base images, npm and Python packages."""
COMMAND_SECONDS = 90.0
READY_SECONDS = 120.0
DELIVERY_SECONDS = 60.0
STOP_SECONDS = 5.0
"""What the bridge promises; docker itself needs a moment more."""

TOPIC = "sensors/roof-1/data"
SERVICES = ("bridge", "mosquitto", "mongo", "mongo-init", "haproxy", "bridge1", "bridge2", "bridge3", "mongo1")


async def run(*command: str, env: Mapping[str, str] | None = None, seconds: float = COMMAND_SECONDS) -> str:
    """What a command prints, which must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=REPO,
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
        raise AssertionError(f"{' '.join(command)} took over {seconds:g} s:\n{output.decode()[-4000:]}") from None
    assert process.returncode == 0, f"{' '.join(command)} failed:\n{output.decode()[-4000:]}"
    return output.decode()


@dataclass(frozen=True, slots=True)
class Stack:
    """One `make up` under a name and on ports of its own."""

    project: str
    bridge_port: int
    mqtt_port: int
    mongo_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.bridge_port}"

    async def make(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> None:
        own = {
            "COMPOSE_PROJECT_NAME": self.project,
            "BRIDGE_PORT": str(self.bridge_port),
            "MQTT_PORT": str(self.mqtt_port),
            "MONGO_PORT": str(self.mongo_port),
        }
        await run("make", *arguments, env=own, seconds=seconds)

    async def listed(self, kind: str, *options: str) -> list[str]:
        """Ids of our containers, volumes or networks."""
        label = f"label=com.docker.compose.project={self.project}"
        return (await run("docker", kind, "ls", "--quiet", "--filter", label, *options)).split()

    async def container(self, service: str) -> str:
        (found,) = await self.listed("container", "--all", "--filter", f"label=com.docker.compose.service={service}")
        return found

    async def inside(self, service: str, *command: str) -> str:
        return await run("docker", "exec", await self.container(service), *command)

    async def volumes_in_use(self) -> list[str]:
        """Also the nameless ones that an image declares; Compose leaves those behind."""
        names = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        return (await run("docker", "inspect", "--format", names, *await self.listed("container", "--all"))).split()

    async def state(self, service: str) -> Any:
        return json.loads(await run("docker", "inspect", "--format", "{{json .State}}", await self.container(service)))

    async def publishes(self, **fields: float) -> bool:
        """Whether the broker took a reading; a broker that is starting does not."""
        body = json.dumps(fields)
        try:
            await self.inside("mosquitto", "mosquitto_pub", "-h", "localhost", "-q", "1", "-t", TOPIC, "-m", body)
        except AssertionError:
            return False
        return True

    async def logs(self) -> str:
        told = ""
        for service in SERVICES:
            for found in await self.listed("container", "--all", "--filter", f"label=com.docker.compose.service={service}"):
                told += f"--- {service}\n{await run('docker', 'logs', '--tail', '30', found)}"
        return told

    async def remove(self) -> None:
        """Everything of ours but the image, whatever the test left."""
        if containers := await self.listed("container", "--all"):
            await run("docker", "container", "rm", "--force", "--volumes", *containers)
        if networks := await self.listed("network"):
            await run("docker", "network", "rm", *networks)
        if volumes := await self.listed("volume"):
            await run("docker", "volume", "rm", *volumes)


def free_ports() -> tuple[int, int, int]:
    """Three different ones, free on every address, and below the range of which clients and other containers are given
    theirs: a build lies between this and their use.
    """
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            found.append(port)
        if len(found) == 3:
            return found[0], found[1], found[2]
    raise AssertionError("no free ports between 20000 and 32000")


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[Stack]:
    """Nothing runs yet; whatever does in the end is removed with its volumes."""
    if shutil.which("make") is None or not docker_runs():
        missing("there is no Docker engine, or no make")
    stack = Stack(f"bridge-test-{uuid.uuid4().hex[:8]}", *free_ports())
    try:
        yield stack
    finally:
        print(await stack.logs())  # pytest shows it when the test fails
        await stack.remove()


class Listener:
    """A Socket.IO client, and what it heard."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.client.on("sensorData", self._heard.put)

    async def reading(self, **fields: float) -> dict[str, Any]:
        """The next reading, which has these fields."""
        message = await asyncio.wait_for(self._heard.get(), DELIVERY_SECONDS)
        data: dict[str, Any] = message["data"]
        assert fields.items() <= data.items()
        return data


@asynccontextmanager
async def listening(url: str, transport: str | None = None) -> AsyncIterator[Listener]:
    """`transport`: the only one that the client uses. It tries again, as the balancer needs a moment to leave a bridge."""
    listener = Listener()
    await listener.client.connect(url, transports=transport and [transport], wait_timeout=10, retry=transport is not None)
    try:
        yield listener
    finally:
        await listener.client.disconnect()


async def get(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as answer:
        return answer.status, await answer.text()


async def until_ready(session: aiohttp.ClientSession) -> None:
    async def ready() -> bool:
        try:
            status, _ = await get(session, "/health/ready")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return status == 200

    await until(ready, READY_SECONDS, "/health/ready")


async def stored(stack: Stack, data: dict[str, Any]) -> dict[str, Any]:
    """The record of a reading that was heard. It is there already: stored first, then published."""
    async with AsyncMongoClient[dict[str, Any]]("127.0.0.1", stack.mongo_port, directConnection=True) as client:
        record = await client["sensors"]["readings"].find_one({"_id": ObjectId(data["_id"])})
    assert record is not None
    return record


async def test_make_up_carries_readings_from_mosquitto_to_mongodb_and_socketio_through_restarts(stack: Stack) -> None:
    await stack.make("up", seconds=BUILD_SECONDS)
    async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(5)) as session:
        await until_ready(session)

        status, page = await get(session, "/")
        assert (status, "<!doctype html>" in page.lower()) == (200, True)
        status, script = await get(session, "/socket.io/socket.io.js")
        assert (status, "Socket.IO" in script) == (200, True)

        async with listening(stack.url) as listener:
            assert await stack.publishes(temperature=21.5, humidity=40)
            heard = await listener.reading(temperature=21.5, humidity=40)
            record = await stored(stack, heard)
            assert (record["deviceId"], record["temperature"]) == ("roof-1", 21.5)

            await run("docker", "restart", await stack.container("mongo"), await stack.container("mosquitto"))
            await until(lambda: stack.publishes(temperature=22.5), DELIVERY_SECONDS, "the restarted broker")
            heard = await listener.reading(temperature=22.5)
            assert (await stored(stack, heard))["temperature"] == 22.5

        _, told = await get(session, "/websocket/status")
        account = json.loads(told)["ledger"]["mqtt"]
        assert (account["received"], account["stored"]) == (2, 2)

        assert await stack.inside("bridge", "id", "-u") == "10001\n"
        await until(lambda: healthy(stack), READY_SECONDS, "the health check of the image")
        await stops_by_itself(stack)

        volumes = await stack.volumes_in_use()
        await stack.make("down")
        assert await stack.listed("container", "--all") == []
        assert sorted(await stack.listed("volume")) == sorted(volumes)

        await stack.make("up", seconds=BUILD_SECONDS)
        await until_ready(session)
        _, latest = await get(session, "/api/v1/readings/latest")
        assert [reading["_id"] for reading in json.loads(latest)["readings"]] == [heard["_id"]]
    await stack.make("down")


async def need_image(name: str) -> None:
    """Skip the test if an image is neither on this machine nor to be had from the registry."""
    for command in (("image", "inspect", name), ("pull", "--quiet", name)):
        try:
            await run("docker", *command)
        except AssertionError:
            continue
        return
    pytest.skip(f"no image of {name}: neither on this machine nor from the registry")


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_of_three_bridges_receives_readings_while_a_bridge_is_stopped(stack: Stack, transport: str) -> None:
    await need_image("haproxy:lts")
    await stack.make("up", "CLUSTER=1", seconds=BUILD_SECONDS)
    async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(5)) as session:
        await until_ready(session)
        await until(lambda: three_bridges(session), READY_SECONDS, "three bridges")
        for stopped in ("bridge1", "bridge2"):
            async with listening(stack.url.replace("127.0.0.1", "localhost"), transport) as listener:  # cookies need a name
                assert await stack.publishes(temperature=21.5)
                await listener.reading(temperature=21.5)
            await run("docker", "stop", "--time", "30", await stack.container(stopped))
        async with listening(stack.url.replace("127.0.0.1", "localhost"), transport) as listener:
            await until(lambda: stack.publishes(temperature=22.5), DELIVERY_SECONDS, "the broker")
            await listener.reading(temperature=22.5)
        await until(lambda: leads_alone(stack), READY_SECONDS, "the last bridge leads")
    await stack.make("down", "CLUSTER=1")


async def leads_alone(stack: Stack) -> bool:
    """Whether the third bridge is the only one of its cluster, which has no faults: the status fails until it leads."""
    with suppress(AssertionError):
        state = json.loads(await stack.inside("bridge3", "sensor-bridge", "cluster", "status", "--json"))
        return (state["cluster"], [one["leads"] for one in state["bridges"]], state["faults"]) == ("plant", [True], [])
    return False


async def three_bridges(session: aiohttp.ClientSession) -> bool:
    status, told = await get(session, "/websocket/status")
    return status == 200 and json.loads(told)["cluster"]["bridges"] == 3


async def healthy(stack: Stack) -> bool:
    state = await stack.state("bridge")
    return bool(state["Health"]["Status"] == "healthy")


async def stops_by_itself(stack: Stack) -> None:
    """Docker asks, and need not kill."""
    bridge = await stack.container("bridge")
    began = time.monotonic()
    await run("docker", "stop", "--time", "30", bridge)
    assert time.monotonic() - began < STOP_SECONDS + 1
    assert (await stack.state("bridge"))["ExitCode"] == 0
