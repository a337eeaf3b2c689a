"""Reads the history of advice, and switches its commands on and off, for the API of any bridge. Switching is audited."""

from dataclasses import replace

from bridge.analysis.advice.record import Advice
from bridge.analysis.advice.rule_commands import Commander
from bridge.analysis.advice.stored import advice_of
from bridge.analysis.advice.switch import CommandSwitch, SwitchState
from bridge.core.access.permissions import Identity
from bridge.core.devices.command import CommandState
from bridge.ports import AlarmStore, AuditLog

_CHANGING = frozenset({CommandState.QUEUED, CommandState.SENT})


class AdviceDesk:
    def __init__(self, store: AlarmStore, commander: Commander, switch: CommandSwitch, audit: AuditLog) -> None:
        self._store = store
        self._commander = commander
        self._switch = switch
        self._audit = audit

    async def page(self, *, device_id: str | None, before: str | None, limit: int) -> tuple[list[Advice], str | None]:
        """Return the next `limit` of advice, the newest first, without those that cannot be read.

        And the id to give as `before` for the next page; None after the last one. Raises `StoreUnavailable`.
        """
        stored = await self._store.find(device_id=device_id, is_open=False, before=before, limit=limit)
        return advice_of(stored), stored[-1].id if len(stored) == limit else None

    async def current(self, advice: Advice) -> Advice:
        """Return advice with its command in the state that it has now. Raises `StoreUnavailable`."""
        made = advice.command
        if made is None or made.state not in _CHANGING:
            return advice
        command = await self._commander.get(made.device_id, made.id)
        if command is None:  # its retention is over
            return advice
        return replace(advice, command=replace(made, state=command.state.value, error=command.error))

    async def commands(self) -> SwitchState:
        """Raises `StoreUnavailable`."""
        return await self._switch.state()

    async def switch_commands(self, actor: Identity, address: str, *, enabled: bool) -> SwitchState:
        """Raises `StoreUnavailable`."""
        state = await self._switch.set_enabled(actor.name or actor.kind.value, enabled=enabled)
        self._audit.record(
            f"commands after advice {'on' if enabled else 'off'}", actor=actor, address=address, target="actions"
        )
        return state
