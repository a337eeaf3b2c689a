"""The image on its own, as an orchestrator runs it: as any user of the group 0, with a read-only root and no capability."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.containers.test_compose import BUILD_SECONDS, READY_SECONDS, run
from tests.servers import docker_runs, free_port, missing, until

pytestmark = pytest.mark.containers

IMAGE = "sensor-bridge:tested"
NAME = f"sensor-bridge-{uuid.uuid4().hex[:8]}"
LOCKED = ("--read-only", "--user", "54321:0", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def image() -> str:
    if not docker_runs():
        missing("there is no Docker")
    await run("docker", "build", "--file", "docker/Dockerfile", "--tag", IMAGE, ".", seconds=BUILD_SECONDS)
    return IMAGE


@pytest_asyncio.fixture
async def volume() -> AsyncIterator[str]:
    await run("docker", "volume", "create", NAME)
    try:
        yield NAME
    finally:
        await run("docker", "rm", "--force", NAME)
        await run("docker", "volume", "rm", NAME)


@pytest.mark.parametrize("host", ["0.0.0.0", "::1"])
async def test_image_stores_and_is_healthy_as_any_user_with_a_read_only_root(image: str, volume: str, host: str) -> None:
    environ = {
        "BRIDGE_HTTP__HOST": host,
        "BRIDGE_HTTP__PORT": str(free_port()),
        "BRIDGE_MQTT__URL": "mqtt://127.0.0.1:1",
        "BRIDGE_STORE__URL": "sqlite:////bridge/data/bridge.db",
    }
    settings = [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]
    await run("docker", "run", "--detach", "--name", NAME, *LOCKED, "--volume", f"{volume}:/bridge/data", *settings, image)

    async def healthy() -> bool:
        state = json.loads(await run("docker", "inspect", "--format", "{{json .State}}", NAME))
        return bool(state["Running"] and state["Health"]["Status"] == "healthy")

    async def ready() -> bool:
        return "store: ready" in await run("docker", "logs", NAME)

    await until(ready, seconds=READY_SECONDS, what="a store in the volume")
    await until(healthy, seconds=READY_SECONDS, what="healthy")
    assert "Traceback" not in await run("docker", "logs", NAME)
