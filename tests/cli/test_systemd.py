"""The systemd unit: it is valid, its sandbox is tight, and the bridge runs without memory that is writable and executable."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from bridge.settings import Settings
from tests.servers import REPO, free_port, until

UNIT = REPO / "config" / "sensor-bridge.service"
SANDBOX = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "CapabilityBoundingSet": "",
    "StateDirectory": "sensor-bridge",
    "WorkingDirectory": "%S/sensor-bridge",
    "Restart": "on-failure",
}
HIGHEST_EXPOSURE = 20
"""In tenths, by `systemd-analyze security`; a service without a sandbox has 96."""

WITHOUT_WRITABLE_CODE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for option in (38, 65):  # PR_SET_NO_NEW_PRIVS; PR_SET_MDWE, of Linux 6.3
    if libc.prctl(option, 1, 0, 0, 0):
        sys.exit(99)
os.execv(sys.argv[1], sys.argv[1:])
"""


def settings_of(section: str) -> dict[str, list[str]]:
    """The values of each name; a name may be given several times."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in UNIT.read_text("utf-8").splitlines():
        if line.startswith("["):
            inside = line == f"[{section}]"
        elif inside and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_service_is_sandboxed_and_restarted_after_a_failure() -> None:
    service = settings_of("Service")
    assert {name: service.get(name) for name in SANDBOX} == {name: [value] for name, value in SANDBOX.items()}
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert settings_of("Install") == {"WantedBy": ["multi-user.target"]}


def test_bridge_has_more_time_to_stop_than_it_takes() -> None:
    assert float(settings_of("Service")["TimeoutStopSec"][0]) > 2 * Settings.model_fields["stop_seconds"].default


def test_documentation_says_where_the_unit_has_its_files() -> None:
    page = (REPO / "docs" / "operations.md").read_text("utf-8")
    assert settings_of("Service")["ExecStart"] == ["/opt/sensor-bridge/bin/sensor-bridge run"]
    assert "BRIDGE_CONFIG=/etc/sensor-bridge/bridge.toml" in settings_of("Service")["Environment"][0].split()
    for path in ("/opt/sensor-bridge", "/etc/sensor-bridge/bridge.toml", "/var/lib/sensor-bridge"):
        assert path in page


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_mistake_and_little_exposure(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/sensor-bridge/bin/sensor-bridge", sys.executable))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={HIGHEST_EXPOSURE}", str(unit)]
    exposed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert exposed.returncode == 0, exposed.stdout


async def test_bridge_runs_and_stops_without_memory_that_is_writable_and_executable(tmp_path: Path, broker_url: str) -> None:
    port = free_port()
    environ = {
        "PYTHONPATH": str(REPO),
        "BRIDGE_MQTT__URL": broker_url,
        "BRIDGE_MQTT__CLIENT_ID": f"systemd-{port}",
        "BRIDGE_STORE__URL": f"sqlite:///{tmp_path}/bridge.db",
        "BRIDGE_HTTP__PORT": str(port),
        "BRIDGE_ACCESS__MODE": "required",
        "BRIDGE_ACCESS__ADMIN_PASSWORD": "correct horse battery staple",
    }
    bridge = (sys.executable, "-m", "bridge", "run")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT_WRITABLE_CODE, *bridge, cwd=tmp_path, env=environ, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as session:
            login = {"username": "admin", "password": "correct horse battery staple", "cookies": False}

            async def status() -> int | None:
                try:
                    async with session.post(f"http://127.0.0.1:{port}/auth/login", json=login) as answer:
                        return answer.status
                except aiohttp.ClientConnectionError:
                    return None

            async def let_in() -> bool:
                return process.returncode is not None or await status() == 200

            await until(let_in, what="a login")
            if process.returncode == 99:
                pytest.skip("this kernel cannot deny such memory to a process (Linux 6.3)")
            assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        allowed = float(settings_of("Service")["TimeoutStopSec"][0])
        assert await asyncio.wait_for(process.wait(), allowed) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
