"""Advice is for those who see its device, and the switch of its commands for those who may command all of them."""

from __future__ import annotations

from pathlib import Path

from bridge.settings import AlarmsSettings
from tests.access.parts import guarded
from tests.conftest import StartBridge
from tests.servers import until

RULES = """
profile = "none"

[rules.stale]
field = "co2"
above = 2000
clear = 1000

[[action]]
name = "fan"
advice = ["ventilate"]
command = "fan"
queue = true
"""


async def test_advice_is_limited_to_the_scope_and_its_commands_to_those_who_command_all(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    rules = tmp_path / "alarms.toml"
    rules.write_text(RULES)
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db", alarms=AlarmsSettings(file=rules)) as made:
        for device in ("stove", "cellar"):
            assert (await made.as_("send", "POST", "/api/v1/readings", [{"deviceId": device, "co2": 2500}]))[0] == 201

        async def are_there() -> bool:
            return len((await made.as_("viewer", "GET", "/api/v1/actions"))[1]["actions"]) == 2

        await until(are_there, what="two advised")
        for who, devices in (("viewer", ["cellar", "stove"]), ("kitchen", ["stove"]), ("one", [])):
            _, found = await made.as_(who, "GET", "/api/v1/actions")
            assert sorted(one["deviceId"] for one in found["actions"]) == devices, who
            assert found["next"] is None
        _, found = await made.as_("kitchen", "GET", "/api/v1/actions?device=cellar")
        assert found["actions"] == []
        _, found = await made.as_("kitchen", "GET", "/api/v1/actions?limit=1")
        assert ([one["deviceId"] for one in found["actions"]], found["next"]) == (["stove"], None)
        path = "/api/v1/actions/commands"
        assert (await made.ask("GET", "/api/v1/actions", {}))[0] == 401
        for who, status in (("viewer", 403), ("one", 403), ("kitchen", 403), ("operator", 200), ("admin", 200)):
            assert (await made.as_(who, "POST", path, {"enabled": False}))[0] == status, who
        await made.bridge._components.access.service.audit.write()  # type: ignore[union-attr]
        _, log = await made.as_("admin", "GET", "/api/v1/audit?limit=1000")
        acts = {(one["act"], one["by"], one["about"]) for one in log["acts"]}
        assert {("commands after advice off", "operator", "actions"), ("commands after advice off", "admin", "actions")} <= acts
        assert {("command", "rule:fan", "stove"), ("command", "rule:fan", "cellar")} <= acts
