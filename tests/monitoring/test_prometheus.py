"""A real Prometheus with the shipped configuration scrapes a real bridge, and finds every series that is named somewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from bridge.app import Bridge
from bridge.settings import AccessSettings, AlarmsSettings, ClusterSettings
from tests.conftest import StartBridge
from tests.monitoring.prometheus import CONFIG, RULES, Prometheus, expressions, rules, selectors
from tests.servers import until

PASSWORD = "correct horse battery staple"
RULES_FILE = """
[[notify]]
name = "duty"
webhook = "http://127.0.0.1:9/hook"

[watchdog]
url = "http://127.0.0.1:9/ping"
"""
"""Nobody listens there: the series of targets and watchdog exist from the start."""


@asynccontextmanager
async def scraping(folder: Path, bridge: Bridge, key: str | None = None) -> AsyncIterator[Prometheus]:
    """A Prometheus with the shipped files: another address, a shorter interval, and the key if there is one."""
    text = CONFIG.read_text("utf-8").replace("bridge:3000", f"127.0.0.1:{bridge.port}").replace("[alerts.yml]", f"[{RULES}]")
    text = text.replace("15s", "1s")
    if key is not None:
        (folder / "metrics").write_text(f"{key}\n", "ascii")
        text = text.replace("    #? authorization", "    authorization").replace("/etc/prometheus/key", str(folder))
    config = folder / "prometheus.yml"
    config.write_text(text, "utf-8")
    assert yaml.safe_load(text)["rule_files"] == [str(RULES)]
    server = Prometheus(folder, config)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def post(bridge: Bridge, body: object, status: int) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{bridge.port}/api/v1/readings", json=body) as answer:
            assert answer.status == status, await answer.text()


async def test_prometheus_finds_every_series_that_rules_and_dashboard_name(
    broker_url: str, mongo_url: str, tmp_path: Path, start_bridge: StartBridge
) -> None:
    file = tmp_path / "alarms.toml"
    file.write_text(RULES_FILE, "utf-8")
    cluster = ClusterSettings(name="plant")
    async with start_bridge(broker_url, mongo_url, alarms=AlarmsSettings(file=file), cluster=cluster) as bridge:
        await post(bridge, {"deviceId": "hall", "temperature": 21.5}, 201)
        async with scraping(tmp_path, bridge) as prometheus:
            await until(lambda: prometheus.query('up{job="sensor-bridge"} == 1'), what="a scrape")
            named = {one for expression in expressions() for one in selectors(expression)}
            assert len(named) > 40
            unknown = set(named)

            def are_known() -> bool:  # a part that starts after the first scrape is in a later one
                unknown.difference_update([one for one in unknown if prometheus.ask("series", **{"match[]": one})])
                return not unknown

            await until(are_known, what="every series")
            for expression in expressions():
                prometheus.query(expression)  # an error of PromQL is answered 400, which raises

            await until(lambda: prometheus.query("bridge_write_seconds_count > 0"), what="a write")
            assert {rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]} <= {
                "ok",
                "unknown",
            }


async def test_alert_of_a_stopped_bridge_reaches_the_page_of_prometheus(
    broker_url: str, tmp_path: Path, start_bridge: StartBridge
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        async with scraping(tmp_path, bridge) as prometheus:
            await until(lambda: prometheus.query('up{job="sensor-bridge"} == 1'), what="a scrape")
            await until(lambda: _rule_states(prometheus).get("SensorBridgeDown") == "inactive", what="an evaluation")
            bridge.stop()
            await until(lambda: _rule_states(prometheus).get("SensorBridgeDown") == "pending", what="the alert")
            (alert,) = (one for one in prometheus.ask("alerts")["alerts"] if one["labels"]["alertname"] == "SensorBridgeDown")
            assert alert["labels"]["severity"] == "critical"
            assert alert["annotations"]["summary"] == f"127.0.0.1:{bridge.port} does not answer /metrics."
            assert set(_rule_states(prometheus)) == {rule["alert"] for rule in rules()}


def _rule_states(prometheus: Prometheus) -> dict[str, str]:
    return {rule["name"]: rule["state"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}


@pytest.mark.parametrize("right", ["see", "send"])
async def test_prometheus_needs_a_key_that_may_see_if_access_is_required(
    broker_url: str, tmp_path: Path, start_bridge: StartBridge, right: str
) -> None:
    access = AccessSettings.model_validate({"mode": "required", "admin_password": PASSWORD})
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", access=access) as bridge:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as session:
            login = {"username": "admin", "password": PASSWORD, "cookies": False}
            async with session.post("/auth/login", json=login) as answer:
                token = (await answer.json())["access_token"]
            body = {"name": "prometheus", "rights": [right]}
            async with session.post("/api/v1/keys", json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == 201, await answer.text()
                key = (await answer.json())["key"]
        async with scraping(tmp_path, bridge, key) as prometheus:
            expected = ("up", "") if right == "see" else ("down", "server returned HTTP status 403 Forbidden")

            def is_expected() -> bool:  # not of the first scrape, which may time out
                return [(one["health"], one["lastError"]) for one in prometheus.ask("targets")["activeTargets"]] == [expected]

            await until(is_expected, what=str(expected))
