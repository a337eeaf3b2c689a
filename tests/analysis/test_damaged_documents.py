"""Documents of the analysis that were damaged in the store: the bridge starts, and analyses what follows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.analysis.advice.switch import CommandSwitch
from tests.analysis.advice.test_advice_on_servers import rules_file
from tests.analysis.forecast_service.test_on_servers import get, history, service_of
from tests.analysis.posting import saturated
from tests.analysis.test_anomalies_on_servers import Asking
from tests.conftest import StartBridge
from tests.fakes import MemoryStore
from tests.servers import until

Change = Callable[[Any], object]
TABLES = ("anomaly_states", "anomalies", "anomaly_inputs", "forecast_states", "predictions", "actions")


def everywhere(value: object) -> Change:
    """Put another value in the place of every leaf, as deep as documents go."""

    def change(body: Any) -> object:
        if isinstance(body, dict):
            return {name: change(one) for name, one in body.items()}
        return [change(one) for one in body] if isinstance(body, list) else value

    return change


def below(name: str, value: object) -> Change:
    """Put another value in the place of one field, wherever a document has it."""

    def change(body: Any) -> object:
        if isinstance(body, dict):
            return {key: value if key == name else change(one) for key, one in body.items()}
        return [change(one) for one in body] if isinstance(body, list) else body

    return change


DAMAGES: dict[str, Change] = {
    "no JSON": lambda _body: None,
    "a list": lambda _body: [],
    "an empty object": lambda _body: {},
    "text in every place": everywhere("x"),
    "nothing in every place": everywhere(None),
    "a field of a later version": lambda body: {
        name: one | {"later": 1} if isinstance(one, dict) else one for name, one in body.items()
    },
    "an unknown kind": below("kind", "later"),
    "an unknown field": below("fields", ["later"]),
    "a time that is text": below("last_ms", "x"),
    "a value that is text": below("value", "x"),
    "no exceeded limits": below("exceeds", None),
}  # fmt: skip


def damage(path: Path, change: Change) -> None:
    with sqlite3.connect(path) as connection:
        waiting = orjson.dumps(
            {"body": '{"kind":"mark","device":"cellar","anomaly":"0","by":"anyone","at":1,"after":1}'}
        ).decode()
        connection.execute("insert or replace into anomaly_inputs values ('0000000000000005', ?)", (waiting,))
        connection.execute("update actions set open = 'yes', document = replace(document, '\"no\"', '\"yes\"')")
        for table in TABLES:
            for key, text in connection.execute(f"select id, document from {table}").fetchall():  # noqa: S608 - of this file
                document = orjson.loads(text)
                if document["body"] == "{oops":
                    continue
                body = change(orjson.loads(document["body"]))
                document["body"] = "{oops" if body is None else orjson.dumps(body).decode()
                connection.execute(f"update {table} set document = ? where id = ?", (orjson.dumps(document).decode(), key))  # noqa: S608
        for key, text in connection.execute("select key, value from state").fetchall():
            if key in ("anomalies.mark", "actions.commands"):
                body = change(orjson.loads(text))
                value = "{oops" if body is None else orjson.dumps(body).decode()
                connection.execute("update state set value = ? where key = ?", (value, key))
            elif key.startswith("actions.sent/"):
                connection.execute("update state set value = 'some time ago' where key = ?", (key,))


async def analyses(asking: Asking, number: int) -> bool:
    actions = (await asking.get("/actions"))["actions"]
    anomalies = (await asking.get("/anomalies"))["anomalies"]
    devices = [one["deviceId"] for one in (*actions, *anomalies)]
    return f"room-{number}" in devices and f"attic-{number}" in devices


async def test_bridge_starts_and_analyses_with_damaged_documents(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    path, alarms = tmp_path / "bridge.db", rules_file(tmp_path)
    async with history(f"sqlite:///{path}") as past:
        for number, change in enumerate((None, *DAMAGES.values())):
            if change is not None:
                damage(path, change)
            async with start_bridge(broker_url, past.url, alarms=alarms) as bridge, Asking.of(bridge) as asking:
                await asking.send(saturated("cellar", first=8 * number))
                await asking.send(saturated(f"attic-{number}"))
                await asking.send([{"deviceId": f"room-{number}", "co2": 2100}])
                await until(lambda n=number, asking=asking: analyses(asking, n), 20, "anomaly and advice")
                await until(lambda: service_of(bridge).round_seconds > 0, 20, "a round")
                await until(lambda: get(bridge), 20, "the forecast")
                for state in ("all", "wrong"):
                    await asking.get("/anomalies", state=state)
                await asking.post("/actions/commands", {"enabled": True})


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"enabled":"yes","by":null,"at":1}', '{"enabled":true,"by":null,"at":"x"}'])
async def test_commands_after_advice_are_off_while_their_switch_cannot_be_read(text: str) -> None:
    store = MemoryStore()
    switch = CommandSwitch(store, lambda: 5)
    assert (await switch.state()).enabled
    await store.put("actions.commands", text)
    assert not (await switch.state()).enabled
    await switch.set_enabled("anyone", enabled=True)
    assert (await switch.state()).enabled
