"""What callers who see some devices are told of alarms."""

from __future__ import annotations

from pathlib import Path

from bridge.settings import AlarmsSettings
from tests.access.parts import guarded
from tests.conftest import StartBridge
from tests.servers import until


async def test_mistakes_of_the_rules_file_are_for_those_who_see_all_devices(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    rules = tmp_path / "alarms.toml"
    rules.write_text("")
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db", alarms=AlarmsSettings(file=rules)) as made:
        rules.write_text("profile = 'office'")
        assert (await made.as_("admin", "POST", "/api/v1/alarms/rules/reload"))[0] == 422
        for who, is_told in (("viewer", True), ("kitchen", False), ("one", False), ("bounded", False)):
            status, found = await made.as_(who, "GET", "/api/v1/alarms/rules")
            assert (status, bool(found["rules"]), bool(found["file"]["error"])) == (200, True, is_told), who


async def test_alarms_and_their_acts_are_limited_to_the_scope(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        for device in ("stove", "cellar"):
            readings = [{"deviceId": device, "flameDetected": True, "temperature": number} for number in range(3)]
            assert (await made.as_("send", "POST", "/api/v1/readings", readings))[0] == 201

        async def are_stored() -> bool:
            return bool((await made.as_("viewer", "GET", "/api/v1/alarms/stats"))[1]["raised"] == 2)

        await until(are_stored, what="two stored alarms")
        _, found = await made.as_("viewer", "GET", "/api/v1/alarms")
        ids = {one["deviceId"]: one["id"] for one in found["alarms"]}
        assert sorted(ids) == ["cellar", "stove"]
        _, found = await made.as_("kitchen", "GET", "/api/v1/alarms?state=all")
        assert [one["deviceId"] for one in found["alarms"]] == ["stove"]
        _, found = await made.as_("kitchen", "GET", "/api/v1/alarms/stats")
        assert (found["raised"], found["standing"]["critical"]) == (1, 1)
        path = f"/api/v1/alarms/{ids['cellar']}"
        assert (await made.as_("kitchen", "GET", path))[0] == 404
        for act in ("acknowledge", "reset", "out-of-service", "in-service", "unshelve"):
            assert (await made.as_("kitchen", "POST", f"{path}/{act}", {}))[0] == 404
        assert (await made.as_("kitchen", "POST", f"{path}/shelve", {"seconds": 60}))[0] == 404
        _, found = await made.as_("kitchen", "POST", "/api/v1/alarms/acknowledge", {"ids": list(ids.values())})
        assert (found["acknowledged"], [one["id"] for one in found["refused"]]) == ([ids["stove"]], [ids["cellar"]])
        assert (await made.as_("one", "POST", f"{path}/acknowledge", {}))[0] == 403
