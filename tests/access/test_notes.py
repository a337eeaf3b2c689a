"""Notes about moments at devices: what is taken, and who may read, write and remove them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bridge.core.devices.note import DEVICE_LIMIT, TEXT_LENGTH
from tests.access.leaks import LEAKS
from tests.access.parts import guarded
from tests.conftest import StartBridge
from tests.servers import until

AT = "2026-01-31T12:00:00.000Z"


async def test_notes_are_written_with_command_read_within_the_scope_and_audited(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:

        def body(device: str, **more: Any) -> dict[str, Any]:
            return {"device": device, "at": AT, "text": " window opened\n", **more}

        for who, status in (("viewer", 403), ("send", 403), ("operator", 201), ("admin", 201)):
            assert (await made.as_(who, "POST", "/api/v1/notes", body("cellar")))[0] == status, who
        status, note = await made.as_("kitchen", "POST", "/api/v1/notes", body("stove", field="co2"))
        assert status == 201
        assert note | {"id": "", "createdAt": "", "by": ""} == {
            "id": "", "device": "stove", "field": "co2", "at": AT, "text": "window opened", "by": "", "createdAt": "",
        }  # fmt: skip
        assert note["by"]
        hidden = await made.as_("kitchen", "POST", "/api/v1/notes", body("cellar"))
        assert (hidden[0], hidden[1]["detail"]) == (404, "no device 'cellar' is known")
        assert (await made.as_("operator", "POST", "/api/v1/notes", body("nobody")))[0] == 404

        both = "/api/v1/notes?device=cellar&device=stove"
        _, found = await made.as_("viewer", "GET", both)
        assert [one["device"] for one in found["notes"]] == ["stove", "cellar", "cellar"]
        assert found["more"] is False
        assert (await made.as_("viewer", "GET", f"{both}&limit=1"))[1]["more"] is True
        assert (await made.as_("viewer", "GET", f"{both}&from=2026-02-01"))[1]["notes"] == []
        assert len((await made.as_("viewer", "GET", f"{both}&from={AT}&to=2026-02-01"))[1]["notes"]) == 3
        assert (await made.as_("viewer", "GET", "/api/v1/notes"))[0] == 400, "without a device"
        _, own = await made.as_("kitchen", "GET", both)
        assert [one["id"] for one in own["notes"]] == [note["id"]]

        other = f"/api/v1/notes/{next(one['id'] for one in found['notes'] if one['device'] == 'cellar')}"
        assert (await made.as_("viewer", "DELETE", other))[0] == 403
        assert (await made.as_("kitchen", "DELETE", other))[0] == 404
        assert (await made.as_("operator", "DELETE", other))[0] == 204
        assert (await made.as_("operator", "DELETE", other))[0] == 404

        async def is_audited() -> bool:
            acts = [one["act"] for one in (await made.as_("admin", "GET", "/api/v1/audit?about=cellar"))[1]["acts"]]
            return acts.count("note removed") == 1 and acts.count("note added") >= 1

        await until(is_audited, what="the notes in the audit log")


async def test_notes_and_titles_are_taken_as_people_type_them_without_what_deceives(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        typed = ("Fenêtre ouverte\u00a0: 20\u202f%", "visite \U0001f468\u200d\U0001f469\u200d\U0001f467", "می\u200cشود")
        deceiving = ("a\u202eb", "a\u2066b", "a\u200bb", "a\u2028b", "a\x00b", "a\x7fb", "\ue000")
        for text in (*typed, *deceiving):
            status, note = await made.as_("operator", "POST", "/api/v1/notes", {"device": "hall", "at": AT, "text": text})
            assert (status, note.get("text")) == ((201, text) if text in typed else (400, None)), ascii(text)
            new = {"title": text, "view": "#/", "sites": [text]}
            status, link = await made.as_("admin", "POST", "/api/v1/links", new)
            assert status == (201 if text in typed else 422), ascii(text)
            if status == 201:
                LEAKS.hide(link["token"])
                assert (link["title"], link["scope"]["sites"]) == (text, [text])


async def test_notes_are_bounded_in_length_and_number(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        good = {"device": "hall", "at": AT, "text": "x"}
        for wrong in (
            {"text": "x" * (TEXT_LENGTH + 1)}, {"text": " \n"}, {"text": "a\x00b"}, {"text": "a\x1b[2J"}, {"text": 1},
            {"at": "soon"}, {"at": "9999-01-01T00:00:00Z"}, {"field": "nothing"}, {"device": ""}, {"more": 1},
        ):  # fmt: skip
            assert (await made.as_("operator", "POST", "/api/v1/notes", good | wrong))[0] in (400, 404), wrong
        for number in range(DEVICE_LIMIT - 5):
            assert (await made.as_("operator", "POST", "/api/v1/notes", good | {"text": "ы" * TEXT_LENGTH}))[0] == 201, number
        at_once = await asyncio.gather(*(made.as_("operator", "POST", "/api/v1/notes", good) for _ in range(20)))
        assert sorted(status for status, _ in at_once) == [201] * 5 + [507] * 15
        status, full = await made.as_("operator", "POST", "/api/v1/notes", good)
        assert (status, full["detail"]) == (507, f"the limit of {DEVICE_LIMIT} notes of a device is reached: remove one first")
