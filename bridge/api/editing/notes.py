"""Notes of people about moments at devices, as charts show them."""

import asyncio
import time
from functools import partial
from typing import Annotated

from aiohttp import web
from bson.objectid import ObjectId
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.note_models import NewNote, NoteResponse, NotesPage
from bridge.api.readings.stored import QueryTime
from bridge.core.access.permissions import Permission
from bridge.core.devices.note import DEVICE_LIMIT, Note
from bridge.core.errors import TooManyNotes, UnknownNote
from bridge.core.readings.identity import normalize_device_id
from bridge.core.timestamp import parse_time
from bridge.devices.registry import Registry
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog, NoteStore
from bridge.settings import HttpSettings

_describes = partial(describes, tag="notes")
_PATH = "/api/v1/notes"
_DEVICES_LIMIT = 20
_LIMIT = 1000


class NotesParameters(BaseModel):
    """The query of `GET /api/v1/notes`: notes about these devices, from `from` to before `to`."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[
        tuple[Annotated[str, AfterValidator(normalize_device_id)], ...],
        Field(min_length=1, max_length=_DEVICES_LIMIT, description="may be repeated"),
    ]
    from_ms: Annotated[QueryTime, Field(alias="from")] = None
    to_ms: Annotated[QueryTime, Field(alias="to")] = None
    limit: Annotated[int, Field(ge=1, le=_LIMIT)] = 200

    def contains(self, note: Note) -> bool:
        return (self.from_ms is None or note.at_ms >= self.from_ms) and (self.to_ms is None or note.at_ms < self.to_ms)


class NotesApi:
    def __init__(
        self, notes: NoteStore, registry: Registry, authorizer: DeviceAuthorizer, audit: AuditLog, http: HttpSettings
    ) -> None:
        self._notes = notes
        self._registry = registry
        self._authorizer = authorizer
        self._audit = audit
        self._http = http
        self._adding = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._list),
            web.post(_PATH, self._add),
            web.delete(_PATH + "/{id:[0-9a-f]{24}}", self._remove),
        ]

    @_describes(
        "List notes about devices, the latest first",
        query=NotesParameters,
        answers={200: NotesPage},
        problems=(503,),
        permission=Permission.READ,
    )
    async def _list(self, request: web.Request) -> web.Response:
        asked = {name: request.query.getall(name) for name in request.query}
        query = NotesParameters.model_validate({name: one if name == "device" else one[-1] for name, one in asked.items()})
        found: list[Note] = []
        for device_id in dict.fromkeys(self._authorizer.devices(request, query.device) or ()):
            found += filter(query.contains, await self._notes.by_device(device_id))
        found.sort(key=lambda note: (note.at_ms, note.id), reverse=True)
        page = [note.public() for note in found[: query.limit]]
        return json_response({"notes": page, "more": len(found) > query.limit})

    @_describes(
        f"Write a note; a device has at most {DEVICE_LIMIT}",
        body=NewNote,
        answers={201: NoteResponse},
        problems=(404, 413, 503, 507),
        permission=Permission.COMMAND,
    )
    async def _add(self, request: web.Request) -> web.Response:
        body = NewNote.model_validate(await read_object(request))
        device_id = normalize_device_id(body.device)
        self._authorizer.check(request, device_id, Permission.COMMAND)
        self._registry.get(device_id)
        at_ms, now_ms = parse_time(body.at), time.time_ns() // 1_000_000
        assert at_ms is not None  # noqa: S101 - the model has checked it
        note = Note(str(ObjectId()), device_id, at_ms, body.text, identity_of(request).name, now_ms, body.field)
        async with self._adding:
            if len(await self._notes.by_device(device_id)) >= DEVICE_LIMIT:
                raise TooManyNotes(f"the limit of {DEVICE_LIMIT} notes of a device is reached: remove one first")
            await self._notes.add(note)
        self._record(request, "note added", device_id)
        return json_response(note.public(), status=201)

    @_describes("Remove a note", answers={204: None}, problems=(404, 503), permission=Permission.COMMAND)
    async def _remove(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        note = await self._notes.get(identity)
        if note is None or not self._authorizer.permits(request, note.device_id, Permission.COMMAND):
            raise UnknownNote(f"no note {identity} is known")
        await self._notes.remove(identity)
        self._record(request, "note removed", note.device_id)
        return web.Response(status=204)

    def _record(self, request: web.Request, action: str, device_id: str) -> None:
        address = client_address_of(request, self._http)
        self._audit.record(action, actor=identity_of(request), address=address, target=device_id)
