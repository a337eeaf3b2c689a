"""Who reaches what `make up` starts: read from the configuration that Compose makes of our files. No engine is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.servers import REPO, missing

pytestmark = pytest.mark.containers

SHORT = re.compile(r"- (\S+):(\d+):\d+/tcp")
LONG = re.compile(r"host_ip: (\S+)\s+target: \d+\s+published: \"?(\d+)")
"""A published port as version 1 of Compose tells it, and as version 2."""

SECRETS = {"MQTT_PASSWORD": "only for tests", "ADMIN_PASSWORD": "only for tests"}
BRIDGE, MQTT, MONGO = "3000", "1883", "27017"


def configured(*asked: str, **environ: str) -> str:
    """The configuration that Compose makes for `make up`."""
    if shutil.which("make") is None or not (shutil.which("docker-compose") or shutil.which("docker")):
        missing("there is no Compose, or no make")
    ours = ("BIND", "REQUIRED", "COMPOSE_FILE", "MAKEFLAGS", "MAKELEVEL", "BRIDGE_HTTP__CORS_ORIGINS")
    own = {name: text for name, text in os.environ.items() if name not in ours} | environ
    lines = subprocess.run(
        ["make", "-n", "--no-print-directory", "up", *asked], cwd=REPO, env=own, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    (line,) = (one for one in lines if " up -d " in one)
    assert any("BRIDGE_HTTP__CORS_ORIGINS=" in one for one in lines)
    command = [*line.split()[: line.split().index("up")], "config"]
    told = subprocess.run(command, cwd=REPO, env=own, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


def published(*asked: str, **environ: str) -> set[tuple[str, str]]:
    """Address and port of everything that `make up` publishes."""
    text = configured(*asked, **environ)
    return set(SHORT.findall(text) + LONG.findall(text))


def test_origins_and_devices_of_the_environment_reach_the_bridge() -> None:
    text = configured(BRIDGE_HTTP__CORS_ORIGINS="https://your-frontend-domain.com")
    assert "BRIDGE_HTTP__CORS_ORIGINS: https://your-frontend-domain.com" in text
    assert re.search("BRIDGE_DEVICES__OPEN: .?true", text)
    assert "BRIDGE_DEVICES__OPEN" not in configured("REQUIRED=1", **SECRETS)


def test_what_is_open_is_on_this_machine_only_unless_somebody_says_otherwise() -> None:
    assert published() == {("127.0.0.1", BRIDGE), ("127.0.0.1", MQTT), ("127.0.0.1", MONGO)}
    assert published(BIND="0.0.0.0") == {("0.0.0.0", BRIDGE), ("0.0.0.0", MQTT), ("127.0.0.1", MONGO)}
    assert published(BRIDGE_PORT="8080", MONGO_PORT="1") == {("127.0.0.1", "8080"), ("127.0.0.1", MQTT), ("127.0.0.1", "1")}


def test_where_access_is_required_the_bridge_and_the_broker_are_reached_and_the_database_is_not() -> None:
    assert published("REQUIRED=1", **SECRETS) == {("0.0.0.0", BRIDGE), ("0.0.0.0", MQTT)}
    assert published("REQUIRED=1", **SECRETS, BIND="127.0.0.1") == {("127.0.0.1", BRIDGE), ("127.0.0.1", MQTT)}
