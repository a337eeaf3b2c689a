"""`sensor-bridge actions`, against a running bridge."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from tests.analysis.advice.test_advice_on_servers import STALE, actions, advised, rules_file
from tests.api.test_devices import Client
from tests.cli.test_cli import ended
from tests.conftest import StartBridge
from tests.servers import until


async def test_advice_is_listed_and_its_commands_are_turned_off_and_on(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/bridge.db"
    async with (
        start_bridge(broker_url, store, alarms=rules_file(tmp_path)) as bridge,
        aiohttp.ClientSession() as session,
    ):
        client = Client(bridge, session, broker_url)
        await client.publish("sensors/room-1/data", STALE)
        await advised(client)
        await client.publish("sensors/room-2/data", STALE)
        await advised(client, 2)

        async def are_refused() -> bool:  # stored as open before the command is sent
            return [one["command"]["state"] for one in (await actions(client))["actions"]] == ["refused"] * 2

        await until(are_refused, what="the outcome of the commands")
        folder = tmp_path / "run"
        code, out, err = await ended(folder, "actions", "list", "--url", client.url, COLUMNS="250")
        assert (code, err) == (0, "commands are on\n")
        [row] = [line for line in out.splitlines() if "room-1" in line]
        for text in ("ventilate", "Air the room: Carbon dioxide is 2,100 ppm, above 2,000 ppm.", "speed 2 to fan: refused ("):
            assert text in row
        code, out, err = await ended(folder, "actions", "list", "--url", client.url, "--limit", "1", COLUMNS="250")
        assert (code, "there are more" in err, "room-1" in out) == (0, True, False)
        code, out, err = await ended(folder, "actions", "list", "--url", client.url, "--device", "room-1", COLUMNS="250")
        assert (code, "room-2" in out) == (0, False)
        for word, enabled in (("off", False), ("on", True)):
            code, out, err = await ended(folder, "actions", word, "--url", client.url)
            assert (code, out) == (0, "")
            assert err.startswith(f"commands are {word}, by anyone, 20")
            assert (await actions(client))["commands"]["enabled"] is enabled
    code, out, err = await ended(tmp_path / "run", "actions", "off", "--url", client.url)
    assert (code, out, "no bridge answers at" in err) == (1, "", True)
