"""Commands that operators' rules make of advice: at most one for each advice, and none more often than its rule says.

The id of a command follows from the advice and the rule, so a bridge that takes over from one that was killed finds it in the
store. When a rule last sent a command to a device is kept in the store too, and changed only by the bridge that read it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.alarms.rules_file.action_settings import ActionRule
from bridge.alarms.scope import DeviceFacts
from bridge.analysis.advice.policy import command_id
from bridge.analysis.advice.record import REFUSED, Advice, AdvisedCommand
from bridge.analysis.advice.switch import CommandSwitch
from bridge.core.access.permissions import Identity, IdentityKind, Permission
from bridge.core.devices.command import Command, CommandRequest
from bridge.core.errors import CommandRejected, UnknownDevice
from bridge.ports import AuditLog, SwapStore

FRESH_MS = 600_000
"""A bridge that finds advice whose command was not sent sends it within this time, or not at all."""

_NEVER = "0 "


class Commander(Protocol):
    """Sends commands: `bridge.devices.commands.CommandService`."""

    async def submit(self, request: CommandRequest, by: str) -> Command:
        """Store a command, then send or queue it. A repeated request with the same id returns the existing command.

        Raises `UnknownDevice`, `CommandRejected` and `StoreUnavailable`.
        """

    async def get(self, device_id: str, command_id: str) -> Command | None:
        """Return a command. Raises `StoreUnavailable`."""


@dataclass(slots=True)
class RuleCommandCounters:
    """Commands since the start, by outcome."""

    sent: int = 0
    refused: int = 0


class RuleCommands:
    """`plan` finds the rule for advice, `send` sends its command."""

    def __init__(
        self,
        store: SwapStore,
        commander: Commander,
        switch: CommandSwitch,
        rules: Callable[[], Sequence[ActionRule]],
        facts: Callable[[str], DeviceFacts],
        audit: AuditLog,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`clock` gives milliseconds since the epoch."""
        self.switch = switch
        self.counts = RuleCommandCounters()
        self._store = store
        self._commander = commander
        self._rules = rules
        self._facts = facts
        self._audit = audit
        self._clock = clock

    async def plan(self, advice: Advice) -> AdvisedCommand | None:
        """Return the command of the first rule for this advice; None without one, or while commands are off.

        Raises `StoreUnavailable`.
        """
        facts, now_ms = self._facts(advice.device_id), self._clock()
        for rule in self._rules():
            is_meant = not facts.is_retired and advice.kind in rule.advice and rule.scope.includes(advice.device_id, facts)
            if rule.enabled and is_meant and rule.scope.is_open(now_ms):
                if not (await self.switch.state()).enabled:
                    return None
                return AdvisedCommand(
                    id=command_id(advice.id, rule.name),
                    rule=rule.name,
                    device_id=rule.device or advice.device_id,
                    command=rule.command,
                    parameters={} if rule.value is None else {"value": rule.value},
                )
        return None

    async def send(self, advice: Advice) -> Advice:
        """Send the planned command unless it was sent before; return the advice with its state. Raises `StoreUnavailable`."""
        planned = advice.command
        if planned is None:
            return advice
        existing = await self._commander.get(planned.device_id, planned.id)
        if existing is not None:
            return advice.with_state(existing.state, existing.error)
        rule = next((one for one in self._rules() if one.enabled and one.name == planned.rule), None)
        if rule is None:
            return self._refused(advice, "the rule is not in force any more")
        if not (await self.switch.state()).enabled:
            return self._refused(advice, "commands after advice are switched off")
        if self._clock() - advice.at_ms > FRESH_MS:
            return self._refused(advice, "the bridge was not running when it was due")
        return await self._submit(advice, planned, rule)

    async def _submit(self, advice: Advice, planned: AdvisedCommand, rule: ActionRule) -> Advice:
        key = f"actions.sent/{rule.name}/{planned.device_id}"
        before = await self._store.get(key)
        sent_ms, _, advice_id = (before or _NEVER).partition(" ")
        mark, unmarked = f"{self._clock()} {advice.id}", before or _NEVER
        if advice_id == advice.id:  # marked before a restart
            mark, unmarked = unmarked, _NEVER
        else:
            if sent_ms.isdecimal() and 0 <= self._clock() - int(sent_ms) < rule.every_seconds * 1000:
                return self._refused(advice, f"the rule sent one to this device less than {_duration(rule.every_seconds)} ago")
            if not await self._store.swap(key, before, mark):
                return self._refused(advice, "another bridge has just sent one")
        request = CommandRequest(
            device=planned.device_id,
            command=planned.command,
            value=planned.parameters.get("value"),
            queue=rule.queue,
            expires=rule.expires_seconds,
            id=planned.id,
        )
        actor = f"rule:{rule.name}"
        try:
            command = await self._commander.submit(request, actor)
        except (CommandRejected, UnknownDevice) as error:
            await self._store.swap(key, mark, unmarked)  # nothing was sent: the next advice need not wait
            return self._refused(advice, str(error))
        self.counts.sent += 1
        self._audit.record(
            "command",
            actor=Identity(IdentityKind.PROGRAM, actor, frozenset({Permission.COMMAND})),
            target=command.device_id,
            command=command.command,
            id=command.id,
            advice=advice.id,
        )
        return advice.with_state(command.state, command.error)

    def _refused(self, advice: Advice, reason: str) -> Advice:
        self.counts.refused += 1
        return advice.with_state(REFUSED, reason)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds % 3600 == 0 else f"{seconds / 60:g} min"
