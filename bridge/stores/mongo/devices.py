"""The collections `devices` and `commands`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from bridge.core.devices import command, device
from bridge.core.devices.command import Command, CommandState, command_from_document
from bridge.core.devices.device import Device, device_from_document
from bridge.core.query import CommandsQuery
from bridge.stores.mongo.driver import DUPLICATE_KEY, Document, milliseconds, refusals, translated, utc

log = logging.getLogger(__name__)


class MongoDevices:
    """What is known of devices, one document each."""

    def __init__(self, devices: Any) -> None:  # noqa: ANN401 - Motor has no types
        """`devices` is the collection."""
        self._devices = devices

    async def all(self, limit: int) -> list[Device]:
        """By `_id`."""
        async with translated():
            found = self._devices.find({}, sort=[("_id", ASCENDING)], limit=limit)
            return [device_from_document(str(one["_id"]), _in_milliseconds(one, device.TIMES)) async for one in found]

    async def save(self, devices: Sequence[Device]) -> None:
        """One bulk of upserts."""
        updates = [
            UpdateOne({"_id": one.id}, {"$set": _in_dates(one.to_document(), device.TIMES)}, upsert=True) for one in devices
        ]
        if not updates:
            return
        async with translated():
            try:
                await self._devices.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                refused = refusals(error)
                if any(one.code == DUPLICATE_KEY for one in refused):  # two upserts at once: the next attempt updates
                    raise
                log.warning("the collection devices refused %d devices: %s", len(refused), refused[0].text)

    async def remove(self, device_id: str) -> None:
        """By `_id`."""
        async with translated():
            await self._devices.delete_one({"_id": device_id})


class MongoCommands:
    """What was asked of devices; bounded, by age, by a TTL index that the store keeps."""

    def __init__(self, commands: Any) -> None:  # noqa: ANN401 - Motor has no types
        """`commands` is the collection."""
        self._commands = commands

    async def add(self, new: Command) -> Command:
        """An insert; what is there already is read."""
        async with translated():
            try:
                await self._commands.insert_one({"_id": new.id, **_in_dates(new.to_document(), command.TIMES)})
            except DuplicateKeyError:
                return _command(await self._commands.find_one({"_id": new.id}))
        return new

    async def change(self, one: Command, was: CommandState) -> bool:
        """One update, which MongoDB does to a document whole or not at all."""
        async with translated():
            changed = await self._commands.update_one(
                {"_id": one.id, "state": str(was)}, {"$set": _in_dates(one.to_document(), command.TIMES)}
            )
        return int(changed.matched_count) == 1

    async def get(self, command_id: str) -> Command | None:
        """By `_id`."""
        async with translated():
            found = await self._commands.find_one({"_id": command_id})
        return _command(found) if found else None

    async def find(self, query: CommandsQuery) -> list[Command]:
        """By the index on device and time, or a scan of what is kept."""
        conditions: Document = {}
        if query.device is not None:
            conditions["device"] = query.device
        if query.state is not None:
            conditions["state"] = str(query.state)
        order = [("createdAt", DESCENDING), ("_id", DESCENDING)]
        async with translated():
            return [_command(one) async for one in self._commands.find(conditions, sort=order, limit=query.limit)]


def _command(document: Mapping[str, Any]) -> Command:
    return command_from_document(str(document["_id"]), _in_milliseconds(document, command.TIMES))


def _in_dates(kept: Document, times: Sequence[str]) -> Document:
    return kept | {name: utc(kept[name]) for name in times if kept[name] is not None}


def _in_milliseconds(document: Mapping[str, Any], times: Sequence[str]) -> Document:
    return {**document, **{name: milliseconds(document[name]) for name in times if document.get(name) is not None}}
