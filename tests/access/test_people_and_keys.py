"""Disabled users, the own password, and keys that are replaced, on a running bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.access.leaks import LEAKS
from tests.access.parts import PASSWORD, Guarded, guarded
from tests.conftest import StartBridge
from tests.servers import until

NEW_PASSWORD = "quite another pass phrase"
LEAKS.hide(NEW_PASSWORD)


@pytest.fixture
async def made(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        yield made


async def refreshed(made: Guarded, refresh: str) -> int:
    return (await made.ask("POST", "/auth/refresh", body={"refresh_token": refresh}))[0]


async def test_disabled_user_cannot_log_in_and_keeps_everything(made: Guarded) -> None:
    assert (await made.as_("admin", "PATCH", "/api/v1/users/kitchen", {"disabled": True}))[0] == 200
    assert await refreshed(made, made.refresh["kitchen"]) == 401
    status, problem, _ = await made.login("kitchen")
    assert (status, problem["code"]) == (401, "disabled")
    status, problem, _ = await made.login("kitchen", "a wrong password")
    assert (status, problem["code"]) == (401, "password"), "only who knows the password learns that it is disabled"
    status, user = await made.as_("admin", "PATCH", "/api/v1/users/kitchen", {"disabled": False})
    assert (status, user["disabled"], user["scope"]) == (200, False, {"devices": [], "sites": ["Kitchen"]})
    assert (await made.login("kitchen"))[0] == 200


async def test_last_admin_who_can_log_in_cannot_be_disabled_removed_or_demoted(made: Guarded) -> None:
    second = {"name": "second", "password": PASSWORD, "role": "admin"}
    assert (await made.as_("admin", "POST", "/api/v1/users", second))[0] == 201
    status, key = await made.as_("admin", "POST", "/api/v1/keys", {"name": "by admin", "rights": ["administer"]})
    LEAKS.hide(key["key"])
    assert (await made.as_("admin", "PATCH", "/api/v1/users/second", {"disabled": True}))[0] == 200
    for method, body in (("PATCH", {"disabled": True}), ("PATCH", {"role": "viewer"}), ("DELETE", None)):
        status, problem = await made.as_("admin", method, "/api/v1/users/admin", body)
        assert status == 409, method
        assert "create another admin first" in problem["detail"]


async def test_user_changes_their_own_password_and_only_their_other_sessions_end(made: Guarded) -> None:
    _, other, _ = await made.login("viewer")
    path, change = "/auth/password", {"current": PASSWORD, "new": NEW_PASSWORD}
    status, problem = await made.as_("viewer", "POST", path, {**change, "current": "a wrong one"})
    assert (status, problem["errors"][0]["field"]) == (422, "current")
    status, problem = await made.as_("viewer", "POST", path, {**change, "new": "short"})
    assert (status, problem["errors"][0]["field"]) == (422, "new")
    assert problem["errors"][0]["message"] == "must have 10 to 256 characters"
    assert (await made.as_("viewer", "POST", path, change))[0] == 204
    assert (await made.as_("viewer", "GET", "/auth/me"))[0] == 200
    assert [await refreshed(made, one) for one in (other["refresh_token"], made.refresh["viewer"])] == [401, 200]
    assert [(await made.login("viewer", word))[0] for word in (PASSWORD, NEW_PASSWORD)] == [401, 200]

    async def audited() -> bool:
        _, found = await made.as_("admin", "GET", "/api/v1/audit?about=viewer")
        return {"password changed", "password refused"} <= {one["act"] for one in found["acts"]}

    await until(audited, what="both in the audit log")


@pytest.mark.parametrize("who", ["see", "their boss"])
async def test_program_and_external_user_have_no_password_to_change(made: Guarded, who: str) -> None:
    status, problem = await made.as_(who, "POST", "/auth/password", {"current": PASSWORD, "new": NEW_PASSWORD})
    assert status == 403
    assert "logged in with a password" in problem["detail"]


async def test_wrong_current_passwords_are_throttled(made: Guarded) -> None:
    wrong = {"current": "a wrong one", "new": NEW_PASSWORD}
    answers = [(await made.as_("one", "POST", "/auth/password", wrong))[0] for _ in range(8)]
    assert answers[0] == 422
    assert answers[-1] == 429


async def test_replaced_key_has_the_same_rights_and_limits_and_the_old_one_ends(made: Guarded) -> None:
    _, old = await made.as_("admin", "POST", "/api/v1/keys", {"name": "grafana", "sites": ["Kitchen"], "days": 30})
    status, new = await made.as_("administer", "POST", f"/api/v1/keys/{old['id']}/rotate")
    assert status == 201
    for name in ("name", "kind", "rights", "scope", "channels", "by"):
        assert new[name] == old[name], name
    assert new["expires"] > old["expires"] or new["createdAt"] == old["createdAt"]
    made.keys |= {"old": old["key"], "new": new["key"]}
    assert [(await made.as_(one, "GET", "/api/v1/devices"))[0] for one in ("old", "new")] == [401, 200]
    _, listed = await made.as_("admin", "GET", "/api/v1/keys")
    assert [one["id"] for one in listed["keys"] if one["name"] == "grafana"] == [new["id"]]
    assert (await made.as_("admin", "POST", f"/api/v1/keys/{old['id']}/rotate"))[0] == 404


async def test_key_that_is_replaced_several_times_at_once_has_one_successor(made: Guarded) -> None:
    _, old = await made.as_("admin", "POST", "/api/v1/keys", {"name": "grafana"})
    path = f"/api/v1/keys/{old['id']}/rotate"
    answers = await asyncio.gather(*(made.as_("admin", "POST", path) for _ in range(6)))
    LEAKS.hide(old["key"], *(key["key"] for status, key in answers if status == 201))
    assert sorted(status for status, _ in answers) == [201, *[404] * 5]
    _, listed = await made.as_("admin", "GET", "/api/v1/keys")
    (left,) = [one["id"] for one in listed["keys"] if one["name"] == "grafana"]
    assert [left] == [key["id"] for status, key in answers if status == 201]
