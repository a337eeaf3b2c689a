"""Commands that talk to a running bridge with access required, and the source of their token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bridge.core.errors import BridgeError
from bridge.tools.api_client import authorization_header, read_token
from tests.access.parts import Guarded, guarded
from tests.cli.test_cli import ended, running
from tests.conftest import StartBridge


@pytest.fixture
async def guarded_bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        yield made


async def full_key(guarded_bridge: Guarded) -> str:
    body = {"name": "tester", "rights": ["see", "send", "command", "manage"]}
    status, found = await guarded_bridge.as_("admin", "POST", "/api/v1/keys", body)
    assert status == 201
    return str(found["key"])


async def test_command_line_sends_a_command_with_permission_only(guarded_bridge: Guarded, tmp_path: Path) -> None:
    asked = ("command", "hall", "on", "--queue", "--url", guarded_bridge.base)
    (tmp_path / "token").write_text(guarded_bridge.tokens["operator"] + "\n")
    code, out, err = await ended(tmp_path / "a", *asked, "--token-file", str(tmp_path / "token"))
    assert (code, err, "queued" in out) == (0, "", True)
    code, _, err = await ended(tmp_path / "b", *asked, BRIDGE_TOKEN=guarded_bridge.tokens["viewer"])
    assert (code, "right to command" in err) == (1, True)
    code, _, err = await ended(tmp_path / "c", *asked)
    assert (code, "log in" in err) == (1, True)
    for said in (out, err):
        assert guarded_bridge.tokens["operator"] not in said


async def test_tail_is_limited_to_its_scope_and_reports_a_refusal(guarded_bridge: Guarded, tmp_path: Path) -> None:
    asked = ("tail", "--plain", "--count", "1", "--url", guarded_bridge.base)
    code, _, err = await ended(tmp_path / "a", *asked)
    assert (code, "refuses the connection: log in" in err) == (1, True), err
    async with running(tmp_path / "b", *asked, BRIDGE_TOKEN=guarded_bridge.tokens["kitchen"]) as command:
        said = 0
        while command.running:
            said += 1
            body = [{"deviceId": name, "temperature": 1, "timestamp": 1_767_100_000 + said} for name in ("hall", "stove")]
            assert (await guarded_bridge.as_("send", "POST", "/api/v1/readings", body))[0] == 201
            await asyncio.sleep(0.05)
        assert await command.end() == 0
        assert [orjson.loads(line)["deviceId"] for line in command.out.splitlines()] == ["stove"]


async def test_probe_passes_with_one_key(guarded_bridge: Guarded, broker_url: str, tmp_path: Path) -> None:
    asked = ("probe", "--url", guarded_bridge.base, "--broker", broker_url, "--patience", "10")
    code, out, _ = await ended(tmp_path / "a", *asked, BRIDGE_TOKEN=await full_key(guarded_bridge))
    assert code == 0, out
    assert "all checks passed" in out


async def test_bench_measures_a_bridge_with_access_required(guarded_bridge: Guarded, broker_url: str, tmp_path: Path) -> None:
    system = ("--url", guarded_bridge.base, "--broker", broker_url)
    asked = ("bench", "steady", *system, "--rate", "20", "--seconds", "1", "--clients", "2", "--json", "b.json")
    code, out, err = await ended(tmp_path / "a", *asked, BRIDGE_TOKEN=guarded_bridge.keys["see"])
    assert code == 0, out + err
    assert guarded_bridge.keys["see"] not in (tmp_path / "a" / "b.json").read_text()
    code, out, err = await ended(tmp_path / "b", *asked)
    assert code == 1


def test_token_must_come_from_one_source(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("sbk_1\nmore\n")
    assert read_token(None, path) == "sbk_1"
    assert read_token(" sbk_1 ", None) == "sbk_1"
    assert read_token(None, None) is None
    assert authorization_header(None) == {}
    path.write_text("\n")
    for given in (
        ("a", path),
        (None, path),
        (None, tmp_path / "none"),
        ("a b", None),
        ("a\nb: c", None),
        ("é", None),
        ("", None),
    ):
        with pytest.raises(BridgeError) as caught:
            read_token(*given)
        assert "a b" not in str(caught.value)
