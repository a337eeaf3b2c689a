"""The tables `devices` and `commands`: a JSON document a row, beside what is asked for by SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bridge.core.devices.command import Command, CommandState, command_from_document
from bridge.core.devices.device import Device, device_from_document
from bridge.core.query import CommandsQuery
from bridge.stores.sqlite.worker import Connection, Worker

_STEP = 1000
_SAVE_DEVICE = """
INSERT INTO devices (id, status, status_at, document) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
status = excluded.status, status_at = excluded.status_at, document = excluded.document
"""
_ADD_COMMAND = """
INSERT INTO commands (id, device_id, created_at, state, document) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_CHANGE_COMMAND = "UPDATE commands SET state = ?, document = ? WHERE id = ? AND state = ?"
_OLD = f"DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE created_at < ? LIMIT {_STEP})"  # noqa: S608


class SqliteDevices:
    """What is known of devices."""

    def __init__(self, writer: Worker, reader: Worker) -> None:
        """The store's own threads."""
        self._writer = writer
        self._reader = reader

    async def all(self, limit: int) -> list[Device]:
        """By id. The columns win over the document: a status is written with its batch, the document a little later."""
        rows = await self._reader.rows("SELECT id, status, status_at, document FROM devices ORDER BY id LIMIT ?", [limit])
        return [
            device_from_document(device_id, json.loads(document or "{}") | {"status": status, "statusAt": status_at})
            for device_id, status, status_at, document in rows
        ]

    async def save(self, devices: Sequence[Device]) -> None:
        """One transaction."""
        rows = [(one.id, one.status, one.status_ms, json.dumps(one.to_document())) for one in devices]
        await self._writer.call(lambda connection: connection.executemany(_SAVE_DEVICE, rows))

    async def remove(self, device_id: str) -> None:
        """By id."""
        await self._writer.change("DELETE FROM devices WHERE id = ?", [device_id])


class SqliteCommands:
    """What was asked of devices; bounded by `remove_older`."""

    def __init__(self, writer: Worker, reader: Worker) -> None:
        """The store's own threads."""
        self._writer = writer
        self._reader = reader

    async def add(self, new: Command) -> Command:
        """One transaction."""

        def add(connection: Connection) -> tuple[str, str]:
            row = (new.id, new.device_id, new.created_ms, str(new.state), json.dumps(new.to_document()))
            connection.execute(_ADD_COMMAND, row)
            there: tuple[str, str] = connection.execute("SELECT id, document FROM commands WHERE id = ?", [new.id]).fetchone()
            return there

        return _command(await self._writer.call(add))

    async def change(self, one: Command, was: CommandState) -> bool:
        """One statement: SQLite lets one writer at a time at the file."""
        row = (str(one.state), json.dumps(one.to_document()), one.id, str(was))
        return await self._writer.change(_CHANGE_COMMAND, row) == 1

    async def get(self, command_id: str) -> Command | None:
        """By id."""
        rows = await self._reader.rows("SELECT id, document FROM commands WHERE id = ?", [command_id])
        return _command(rows[0]) if rows else None

    async def find(self, query: CommandsQuery) -> list[Command]:
        """By the index on the time."""
        rows = await self._reader.rows(
            "SELECT id, document FROM commands WHERE device_id = ifnull(?, device_id) AND state = ifnull(?, state) "
            "ORDER BY created_at DESC, id DESC LIMIT ?",
            [query.device, None if query.state is None else str(query.state), query.limit],
        )
        return [_command(row) for row in rows]

    async def remove_older(self, before_ms: int) -> int:
        """Remove what was asked before; how many."""
        return await self._writer.change_stepwise(_OLD, [before_ms], _STEP)


def _command(row: tuple[str, str]) -> Command:
    return command_from_document(row[0], json.loads(row[1]))
