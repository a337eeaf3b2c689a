"""The advice of a bridge on a real store, with a clock of its own and a device that takes commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.record import AlarmRecord
from bridge.alarms.rules_file import AlarmsFile, load
from bridge.alarms.scope import DeviceFacts
from bridge.analysis.advice.outdoor_air import OutdoorAir
from bridge.analysis.advice.rule_commands import RuleCommands
from bridge.analysis.advice.service import AdviceService, AdviceStores, AlarmView
from bridge.analysis.advice.switch import CommandSwitch
from bridge.core.devices.command import Command
from bridge.core.events import ActionAdvised
from bridge.core.message import DeviceStatus
from bridge.core.query import CommandsQuery
from bridge.devices.commands import CommandService
from bridge.devices.registry import Registry
from bridge.ports import Store
from bridge.settings import DevicesSettings, StoreSettings
from bridge.stores import open_store
from tests.alarms.folding import START_MS
from tests.devices.test_commands import RecordingTransport
from tests.fakes import RecordingPublisher
from tests.servers import until


@pytest.fixture(params=["sqlite", "mongo"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else request.getfixturevalue("mongo_url")
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        yield store


FAN = """
[[action]]
name = "fan"
advice = ["ventilate"]
device = "fan"
command = "speed"
value = 2
"""


class RecordingAudit:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def record(self, action: str, **details: Any) -> None:
        self.records.append({"action": action, **details, "actor": details["actor"].name})


class Stage:
    """One bridge. Another one of the same store is what this one is after a restart, or its successor."""

    def __init__(self, store: Store, rules: str = "", now_ms: int = START_MS, parts: AdviceStores | None = None) -> None:
        self.now_ms = now_ms
        self.store = store
        self.file: AlarmsFile = load(rules)
        self.standing: list[AlarmRecord] = []
        self.sites: dict[str, str] = {}
        self.ended = asyncio.Event()
        self.told = RecordingPublisher()
        self.mqtt = RecordingTransport()
        self.audit = RecordingAudit()
        settings = DevicesSettings()
        self.registry = Registry(store, settings, clock=self.clock)
        self.commander = CommandService(
            store.commands, self.registry, settings, socket=self.mqtt, mqtt=self.mqtt, clock=self.clock
        )
        self.commander.next, self.registry.next = self.registry, RecordingPublisher()
        self.switch = CommandSwitch(store, self.clock)
        commands = RuleCommands(
            store, self.commander, self.switch, lambda: self.file.actions, self.facts, self.audit, self.clock
        )
        rules_by_id = {rule.id: rule for rule in (*DEFAULT_RULES, *self.file.rules)}
        outdoor_air = OutdoorAir(store, lambda: self.file.outdoors, lambda _device: list(self.sites), self.clock)
        self.service = AdviceService(
            parts or store,
            self.told,
            AlarmView(rules_by_id.get, lambda: self.standing),
            outdoor_air.around,
            commands,
            self.clock,
        )

    def clock(self) -> int:
        return self.now_ms

    def facts(self, device_id: str) -> DeviceFacts:
        return DeviceFacts(site=self.sites.get(device_id))

    @asynccontextmanager
    async def leading(self, *online: str) -> AsyncIterator[Stage]:
        """Lead, with these devices online, and settle at the end."""
        await self.registry.load()
        await self.commander.load()
        self.commander.publish([DeviceStatus(device, "online", self.now_ms) for device in online])
        running = asyncio.create_task(self.service.run(), name="advice")
        sending = asyncio.create_task(self.commander.run(), name="commands")
        running.add_done_callback(lambda _: self.ended.set())
        try:
            await until(lambda: self.service._is_leading or running.done(), 5, "it leads")
            yield self
            await self.settled()
        finally:
            for task in (running, sending):
                task.cancel()
            await asyncio.wait([running, sending])
            for task in (running, sending):
                if not task.cancelled():
                    task.result()

    async def settled(self) -> None:
        """Wait until everything that was given is worked off."""
        await until(lambda: not self.service.waiting or self.ended.is_set(), 10, "nothing waits")

    @property
    def advised(self) -> list[dict[str, Any]]:
        return [event.body for event in self.told.events if isinstance(event, ActionAdvised)]

    @property
    def sent(self) -> list[dict[str, object]]:
        return [body for _, body in self.mqtt.sent]

    async def commands_of(self, device: str) -> Sequence[Command]:
        return await self.store.commands.find(CommandsQuery(device=device, limit=100))
