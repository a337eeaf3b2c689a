"""`make up MONITORING=1`: what Compose would start, and the scripts in it, without the images of Prometheus and Grafana."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.prometheus import CONFIG, RULES, promtool
from tests.servers import REPO

DOCKER = REPO / "docker"
BASE = yaml.safe_load((DOCKER / "compose.monitoring.yaml").read_text("utf-8"))
REQUIRED = yaml.safe_load((DOCKER / "compose.monitoring-required.yaml").read_text("utf-8"))
SECRETS = {"MQTT_PASSWORD": "a", "ADMIN_PASSWORD": "b", "GRAFANA_PASSWORD": "c"}
COMMAND_SECONDS = 60


def compose_files(*variables: str) -> list[str]:
    """The files that `make up` combines."""
    done = subprocess.run(["make", "-n", "up", *variables], cwd=REPO, capture_output=True, text=True, check=True)
    return re.findall(r"-f (docker/\S+)", done.stdout)


def combined(*variables: str) -> Any:
    """The services as Compose combines them, version 1 or 2; skipped where there is neither."""
    for command in (["docker", "compose"], ["docker-compose"]):
        known = (
            shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
        )
        if known:
            files = [part for file in compose_files(*variables) for part in ("-f", file)]
            done = subprocess.run(
                [*command, *files, "config"],
                cwd=REPO,
                env={**os.environ, **SECRETS},
                capture_output=True,
                text=True,
                check=False,
                timeout=COMMAND_SECONDS,
            )
            assert done.returncode == 0, done.stderr
            return yaml.safe_load(done.stdout)
    pytest.skip("there is no Docker Compose")


def script(service: str) -> str:
    """The shell script that a service of the overlay for required access runs."""
    found = REQUIRED["services"][service]
    assert found["entrypoint"] == ["sh", "-c"]
    (text,) = found["command"]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize(
    ("variables", "files"),
    [
        ([], ["compose", "compose.open"]),
        (["MONITORING=1"], ["compose", "compose.open", "compose.monitoring"]),
        (
            ["MONITORING=1", "REQUIRED=1"],
            ["compose", "compose.required", "compose.monitoring", "compose.monitoring-required"],
        ),
    ],
    ids=["without", "open", "required"],
)
def test_make_up_combines_the_files(variables: list[str], files: list[str]) -> None:
    assert compose_files(*variables) == [f"docker/{name}.yaml" for name in files]


@pytest.mark.parametrize("variables", [["MONITORING=1"], ["MONITORING=1", "REQUIRED=1"]], ids=["open", "required"])
def test_compose_combines_prometheus_and_grafana_with_the_bridge(variables: list[str]) -> None:
    services = combined(*variables)["services"]
    expected = {"bridge", "mosquitto", "mongo", "mongo-init", "prometheus", "grafana"}
    assert set(services) == expected | ({"accounts", "metrics-key"} if "REQUIRED=1" in variables else set())
    for name in ("prometheus", "grafana"):
        (port,) = services[name]["ports"]
        assert (port["host_ip"] if isinstance(port, dict) else port.partition(":")[0]) == "127.0.0.1"
        assert services[name]["read_only"] is True
    environment = services["grafana"]["environment"]
    required = "REQUIRED=1" in variables
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == ("false" if required else "true")
    assert environment.get("GF_SECURITY_ADMIN_PASSWORD") == (SECRETS["GRAFANA_PASSWORD"] if required else None)


def test_images_have_versions_and_configuration_is_read_only() -> None:
    for service in BASE["services"].values():
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/]+:v?\d+\.\d+\.\d+\}", service["image"])
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert mode == ["ro"], volume
                assert (DOCKER / source).exists(), volume
            else:
                assert source in BASE["volumes"], volume
            assert target.startswith("/")


def test_prometheus_reads_the_files_that_are_mounted_and_scrapes_the_bridge_of_compose() -> None:
    mounts = {
        target: DOCKER / source for source, target, *_ in (one.split(":") for one in BASE["services"]["prometheus"]["volumes"])
    }
    assert mounts["/etc/prometheus/bridge/prometheus.yml"].resolve() == CONFIG
    assert mounts["/etc/prometheus/bridge/alerts.yml"].resolve() == RULES
    assert "--config.file=/etc/prometheus/bridge/prometheus.yml" in BASE["services"]["prometheus"]["command"]
    (job,) = yaml.safe_load(CONFIG.read_text("utf-8"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["bridge:3000"]}]


def test_script_of_prometheus_makes_a_configuration_with_the_key(tmp_path: Path) -> None:
    text, started, _ = script("prometheus").partition("exec prometheus")
    assert started
    text = text.replace("/etc/prometheus/bridge", str(CONFIG.parent)).replace("/tmp", str(tmp_path))  # noqa: S108 - in a container
    subprocess.run(["sh", "-ec", text], check=True, timeout=COMMAND_SECONDS)
    made = tmp_path / "prometheus.yml"
    (job,) = yaml.safe_load(made.read_text("utf-8"))["scrape_configs"]
    key = job["authorization"]["credentials_file"]
    mounted = dict(one.split(":")[:2] for one in REQUIRED["services"]["prometheus"]["volumes"])
    assert key == f"{mounted['metrics-key']}/metrics"
    done = promtool("check", "config", "--syntax-only", str(made))
    assert done.returncode == 0, done.stdout


def test_script_of_the_key_creates_it_once(tmp_path: Path) -> None:
    assert REQUIRED["services"]["metrics-key"]["volumes"] == ["metrics-key:/bridge/data"]
    text = script("metrics-key").replace("/bridge/data", str(tmp_path))
    environ = {name: value for name, value in os.environ.items() if not name.upper().startswith("BRIDGE_")}
    environ |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPO),
        "BRIDGE_STORE__URL": f"sqlite:///{tmp_path}/bridge.db",
    }
    subprocess.run(["sh", "-c", text], check=True, cwd=tmp_path, env=environ, timeout=COMMAND_SECONDS)
    key = (tmp_path / "metrics").read_text("ascii")
    assert re.fullmatch(r"sbk_\S+\n", key)
    assert (tmp_path / "metrics").stat().st_mode & 0o777 == 0o640
    subprocess.run(["sh", "-c", text], check=True, cwd=tmp_path, env=environ, timeout=COMMAND_SECONDS)
    assert (tmp_path / "metrics").read_text("ascii") == key
