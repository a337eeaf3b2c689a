"""What `sensor-bridge check` says of the rules file of alarms, and beside a demo."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.test_cli import ended, running
from tests.servers import free_port, until


async def test_check_says_which_rules_of_alarms_are_in_force_and_who_is_told(tmp_path: Path, broker_url: str) -> None:
    usual = {"BRIDGE_MQTT__URL": broker_url, "BRIDGE_STORE__URL": "sqlite:///bridge.db", "BRIDGE_HTTP__PORT": "0"}
    code, out, _ = await ended(tmp_path / "run", "check", **usual)
    assert code == 0
    [default] = re.findall(
        r"^ok    alarms: no rules file \(alarms.file is not set\): profile home, (\d+) rules on, 0 targets$", out, re.MULTILINE
    )
    assert "      → nobody is told of alarms but the page: add a [[notify]] target to the rules file" in out
    rules = tmp_path / "alarms.toml"
    rules.write_text(
        '[rules.freezer]\nfield = "temperature"\nabove = -15\nclear = -17\n[[notify]]\nname = "a"\nto = ["ntfys://x/y"]\n'
    )
    code, out, _ = await ended(tmp_path / "run", "check", BRIDGE_ALARMS__FILE=str(rules), **usual)
    assert code == 0
    assert f"ok    alarms: rules file {rules}: profile home, {int(default) + 1} rules on, 1 target\n" in out
    assert "nobody is told" not in out


async def test_check_prints_every_mistake_of_the_rules_file(tmp_path: Path) -> None:
    rules = tmp_path / "alarms.toml"
    rules.write_text('[rules.freezer]\nfield = "temperature"\nabvoe = -15\n[[notify]]\nname = "a"\nto = ["hunter2"]\n')
    environ = {"BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}", "BRIDGE_STORE__URL": "sqlite:///bridge.db"}
    code, out, err = await ended(tmp_path / "run", "check", BRIDGE_ALARMS__FILE=str(rules), BRIDGE_HTTP__PORT="0", **environ)
    assert (code, err) == (2, "")
    assert f"fails alarms: {rules}: rules.freezer" in out
    assert "abvoe" in out
    assert f"\n{rules}: notify" in out
    assert "alarms.file (BRIDGE_ALARMS__FILE)" in out
    assert "hunter2" not in out


async def test_check_beside_a_demo_finds_its_store_and_its_bridge(tmp_path: Path) -> None:
    environ = {"BRIDGE_HTTP__PORT": str(free_port()), "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}"}
    async with running(tmp_path, "demo", "--history-days", "0", "--sensors", "0", **environ) as demo:
        await until(lambda: "Press Ctrl-C" in demo.out, what="the demo")
        code, out, err = await ended(tmp_path, "check", **environ)
    assert code == 0, out
    assert "ok    store sqlite:///data/bridge.db: answers and accepts writes\n" in out
    assert f"ok    port {environ['BRIDGE_HTTP__PORT']} on 127.0.0.1: in use by a running bridge\n" in out
    assert err.startswith("store.url is not set: using data/bridge.db, the store of the demo\n")
