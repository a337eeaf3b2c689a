"""Commands that follow advice: those of the rules, not too often, never twice, and none while they are switched off."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from bridge.alarms.defaults import DEFAULT_RULES
from bridge.analysis.advice.desk import AdviceDesk
from bridge.analysis.advice.record import advice_from_document
from bridge.core.access.permissions import ANYONE
from bridge.core.devices.command import CommandState
from bridge.core.message import CommandAck
from bridge.ports import Store, StoredAlarm
from tests.alarms.folding import START_MS
from tests.analysis.advice.bodies import HOUR_MS, alarm, prediction, raised
from tests.analysis.advice.stage import FAN, Stage, store
from tests.servers import until

__all__ = ["store"]

RULES = {rule.id: rule for rule in DEFAULT_RULES}


def commands_told(bridge: Stage) -> list[tuple[str, str | None]]:
    """State and error of the commands in what was told."""
    return [(one["command"]["state"], one["command"]["error"]) for one in bridge.advised if one["command"] is not None]


async def test_rule_sends_its_command_which_is_stored_audited_and_told(store: Store) -> None:
    async with Stage(store, FAN).leading("fan") as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
    [body] = bridge.advised
    [command] = await bridge.commands_of("fan")
    assert (command.command, command.value, command.requested_by, command.state) == ("speed", 2, "rule:fan", CommandState.SENT)
    assert body["command"] == {
        "id": command.id,
        "rule": "fan",
        "deviceId": "fan",
        "command": "speed",
        "parameters": {"value": 2},
        "state": "sent",
        "error": None,
    }
    assert bridge.sent == [{"command": "speed", "value": "2", "id": command.id}]
    assert bridge.audit.records == [
        {"action": "command", "actor": "rule:fan", "target": "fan", "command": "speed", "id": command.id, "advice": body["id"]}
    ]
    [stored] = await store.actions.find(limit=10)
    assert advice_from_document(stored.body).public("")["command"] == body["command"]


async def test_history_shows_the_command_in_its_present_state(store: Store) -> None:
    async with Stage(store, FAN).leading("fan") as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
        await bridge.settled()
        bridge.commander.publish([CommandAck("fan", str(bridge.sent[0]["id"]), ok=True)])
        desk = AdviceDesk(store.actions, bridge.commander, bridge.switch, bridge.audit)

        async def is_confirmed() -> bool:
            [advice], _ = await desk.page(device_id=None, before=None, limit=10)
            made = (await desk.current(advice)).command
            return made is not None and made.state == "confirmed"

        await until(is_confirmed, 5, "the command is confirmed")


async def test_page_of_the_history_goes_on_after_advice_that_cannot_be_read(store: Store) -> None:
    async with Stage(store, FAN).leading("fan") as bridge:
        bridge.service.on_prediction(prediction("room-1", over_2000=0.62))
        await bridge.settled()
        [readable] = await store.actions.find(limit=10)
        damaged = StoredAlarm("f" * 24, "room-1", "ventilate", is_open=False, body={})
        await store.actions.write([], [damaged])
        desk = AdviceDesk(store.actions, bridge.commander, bridge.switch, bridge.audit)
        found, before = await desk.page(device_id=None, before=None, limit=1)
        assert (found, before) == ([], damaged.id)
        found, before = await desk.page(device_id=None, before=before, limit=1)
        assert [one.id for one in found] == [readable.id]


async def test_without_a_device_of_its_own_the_command_goes_to_the_device_of_the_advice(store: Store) -> None:
    async with Stage(store, FAN.replace('device = "fan"\n', "")).leading("room-1") as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
    assert [device for device, _ in bridge.mqtt.sent] == ["room-1"]


@pytest.mark.parametrize(
    "change",
    [
        ("enabled = false\n", {}),
        ('devices = ["hall-*"]\n', {}),
        ('sites = ["Work"]\n', {}),
        ('hours = { days = "mon-wed", from = "00:00", to = "23:59" }\n', {}),
        ("", {"field": "humidity", "over_70": 0.9}),
    ],
)
async def test_rule_applies_only_to_its_advice_place_and_time(store: Store, change: tuple[str, dict[str, Any]]) -> None:
    keys, more = change
    bridge = Stage(store, FAN + keys)
    bridge.sites = {"room-1": "Home"}
    async with bridge.leading("fan"):
        bridge.service.on_prediction(prediction(**(more or {"over_2000": 0.9})))
    assert len(bridge.advised) == 1
    assert (bridge.advised[0]["command"], bridge.sent) == (None, [])


async def test_the_first_rule_that_fits_sends_and_no_other(store: Store) -> None:
    second = FAN.replace('"fan"', '"window"')
    async with Stage(store, FAN + "enabled = false\n" + second + FAN.replace('name = "fan"', 'name = "third"')).leading(
        "fan", "window"
    ) as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.9))
    assert [device for device, _ in bridge.mqtt.sent] == ["window"]


# --- how often -------------------------------------------------------------------------------------------------------------


async def test_a_rule_waits_between_two_commands_to_a_device_also_over_restarts_and_at_another_bridge(store: Store) -> None:
    every = FAN + "every = 600\n"
    sent = 0
    for minutes, device, expected in ((0, "room-1", 1), (9, "room-2", 0), (10, "room-3", 1), (19, "room-4", 0)):
        async with Stage(store, every, START_MS + minutes * 60_000).leading("fan") as bridge:
            bridge.service.on_prediction(prediction(device, made_ms=bridge.now_ms, over_2000=0.9))
        assert len(bridge.advised) == 1, "advice is for each device"
        assert len(bridge.sent) == expected, device
        sent += expected
        if not expected:
            assert commands_told(bridge) == [("refused", "the rule sent one to this device less than 10 min ago")]
            assert bridge.service.commands.counts.refused == 1
    assert len(await bridge.commands_of("fan")) == sent


async def test_command_to_an_offline_device_is_refused_and_the_next_advice_need_not_wait(store: Store) -> None:
    async with Stage(store, FAN).leading() as bridge:
        bridge.commander.publish([])
        bridge.registry.connected("fan")
        bridge.registry.disconnected("fan")
        bridge.service.on_prediction(prediction(over_2000=0.9))
        await bridge.settled()
        assert commands_told(bridge) == [("refused", "device offline")]
        assert await bridge.commands_of("fan") == []
        bridge.registry.connected("fan")
        bridge.now_ms += 60_000
        bridge.service.on_alarms([raised(alarm(RULES["co2-air"], at_ms=bridge.now_ms))])
    assert [state for state, _ in commands_told(bridge)] == ["refused", "sent"]


async def test_command_to_an_unknown_device_is_refused(store: Store) -> None:
    async with Stage(store, FAN).leading() as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.9))
    [(state, error)] = commands_told(bridge)
    assert (state, "fan" in (error or "")) == ("refused", True)


async def test_command_that_may_wait_is_queued_for_an_offline_device(store: Store) -> None:
    async with Stage(store, FAN + "queue = true\nexpires = 300\n").leading() as bridge:
        bridge.registry.connected("fan")
        bridge.registry.disconnected("fan")
        bridge.service.on_prediction(prediction(over_2000=0.9))
    [command] = await bridge.commands_of("fan")
    assert (command.state, command.expires_ms - command.created_ms) == (CommandState.QUEUED, 300_000)
    assert commands_told(bridge) == [("queued", None)]


# --- the switch ------------------------------------------------------------------------------------------------------------


async def test_switch_stops_commands_at_every_bridge_at_once_and_advice_goes_on(store: Store) -> None:
    other = Stage(store)
    desk = AdviceDesk(store.actions, other.commander, other.switch, other.audit)
    assert (await desk.commands()).public() == {"enabled": True, "by": None, "changedAt": None}
    async with Stage(store, FAN + "every = 600\n").leading("fan") as bridge:
        for hours, enabled in enumerate((False, True, False)):
            state = await desk.switch_commands(ANYONE, "127.0.0.1", enabled=enabled)
            assert (state.enabled, state.by, state.changed_ms) == (enabled, "anyone", START_MS)
            assert await desk.commands() == state
            bridge.now_ms = START_MS + hours * HOUR_MS
            bridge.service.on_prediction(prediction(f"room-{hours}", made_ms=bridge.now_ms, over_2000=0.9))
            await bridge.settled()
            assert len(bridge.advised) == hours + 1
            assert (bridge.advised[-1]["command"] is not None) is enabled
    assert len(bridge.sent) == 1
    assert [one["action"] for one in other.audit.records] == [
        f"commands after advice {state}" for state in ("off", "on", "off")
    ]
    async with Stage(store, FAN, START_MS + 9 * HOUR_MS).leading("fan") as after:
        after.service.on_prediction(prediction(made_ms=after.now_ms, over_2000=0.9))
    assert (len(after.advised), after.sent) == (1, []), "the switch outlasts a restart"


# --- killed at each step ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


class KillingStore:
    """A store whose process dies at the n-th call that anything makes, before it takes effect or after."""

    def __init__(self, store: Any, die_at: int, *, after: bool) -> None:
        self._store = store
        self._die_at = die_at
        self._after = after
        self.calls = 0

    def _wrapped(self, target: Any) -> Any:
        owner = self

        class Part:
            def __getattr__(self, name: str) -> Any:
                return owner._call(getattr(target, name))

        return Part()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in ("actions", "alarms", "commands"):
            return self._wrapped(found)
        return self._call(found) if name in ("get", "swap", "put", "put_if_absent") else found

    def _call(self, method: Any) -> Any:
        async def called(*given: Any, **more: Any) -> Any:
            self.calls += 1
            is_last = self.calls == self._die_at
            if self.calls > self._die_at or (is_last and not self._after):
                raise Killed
            result = await method(*given, **more)
            if is_last:
                raise Killed
            return result

        return called

    @property
    def is_dead(self) -> bool:
        return self.calls >= self._die_at


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_bridge_killed_at_any_call_of_the_store_sends_no_command_twice_and_the_next_one_ends_what_it_began(
    store: Store, after: bool
) -> None:
    outcomes = set[tuple[int, int]]()
    for die_at in range(1, 100):
        device, now_ms = f"room-{die_at}", START_MS + die_at * 3 * HOUR_MS
        dying: Any = KillingStore(store, die_at, after=after)
        first = Stage(dying, FAN + "every = 600\n", now_ms)
        given = prediction(device, made_ms=now_ms, over_2000=0.9)
        with suppress(Killed):
            async with first.leading("fan"):
                first.service.on_prediction(given)
        async with Stage(store, FAN + "every = 600\n", now_ms + 60_000).leading("fan") as second:
            second.service.on_prediction(given)
            await second.settled()

            async def is_sent() -> bool:
                return all(one.is_final or one.state is CommandState.SENT for one in await second.commands_of("fan"))

            await until(is_sent, 10, "no command waits")
        stored = await store.actions.find(device_id=device, limit=10)
        assert len(stored) == 1, die_at
        assert not stored[0].is_open
        told, sent = len(first.advised) + len(second.advised), len(first.sent) + len(second.sent)
        made = advice_from_document(stored[0].body).command
        assert made is not None
        assert sum(one.id == made.id for one in await second.commands_of("fan")) == 1
        assert told <= 1
        assert sent <= 1
        outcomes.add((told, sent))
        if not dying.is_dead:
            assert (told, sent) == (1, 1)
            break
    else:
        pytest.fail("a hundred calls are not enough")
    assert die_at > 10
    assert outcomes <= {(1, 1), (1, 0), (0, 1)}, "lost is at most what was being sent when it was killed, or told"


async def test_command_that_is_found_late_is_not_sent(store: Store) -> None:
    for die_at in range(1, 100):
        dying: Any = KillingStore(store, die_at, after=True)
        with suppress(Killed):
            async with Stage(dying, FAN).leading("fan") as first:
                first.service.on_prediction(prediction(over_2000=0.9))
        if await store.actions.find(is_open=True, limit=1):
            break
    async with Stage(store, FAN, START_MS + 600_001).leading("fan") as second:
        await until(lambda: second.advised, 5, "it is ended")
    assert commands_told(second) == [("refused", "the bridge was not running when it was due")]
    assert second.sent == []


@pytest.mark.parametrize(
    ("rules", "enabled", "reason"),
    [
        ("", True, "the rule is not in force any more"),
        (FAN + "enabled = false\n", True, "the rule is not in force any more"),
        (FAN, False, "commands after advice are switched off"),
    ],
)
async def test_command_that_a_killed_bridge_left_is_not_sent_if_it_is_not_wanted_any_more(
    store: Store, rules: str, enabled: bool, reason: str
) -> None:
    for die_at in range(1, 100):
        dying: Any = KillingStore(store, die_at, after=True)
        with suppress(Killed):
            async with Stage(dying, FAN).leading("fan") as first:
                first.service.on_prediction(prediction(over_2000=0.9))
        if await store.actions.find(is_open=True, limit=1):
            break
    second = Stage(store, rules)
    await second.switch.set_enabled("ann", enabled=enabled)
    async with second.leading("fan"):
        await until(lambda: second.advised, 5, "it is ended")
    assert commands_told(second) == [("refused", reason)]
    assert second.sent == []
