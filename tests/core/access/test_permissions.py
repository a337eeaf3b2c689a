"""Who may do what."""

from __future__ import annotations

import pytest

from bridge.core.access.permissions import ANYONE, RIGHTS, Identity, Kind, Right, Role, Scope


@pytest.mark.parametrize("right", Right)
def test_anyone_may_do_all_while_access_is_open(right: Right) -> None:
    assert ANYONE.may(right)
    assert ANYONE.may(right, "a", "Home")


def test_a_viewer_sees_and_does_nothing_else() -> None:
    assert RIGHTS[Role.VIEWER] == {Right.SEE}


def test_an_operator_commands_and_does_not_administer() -> None:
    assert Right.COMMAND in RIGHTS[Role.OPERATOR]
    assert RIGHTS[Role.OPERATOR].isdisjoint({Right.SEND, Right.MANAGE, Right.ADMINISTER})


@pytest.mark.parametrize(
    ("device", "site", "allowed"),
    [("a", "", True), ("a", "Elsewhere", True), ("b", "Home", True), ("b", "Elsewhere", False), ("b", "", False)],
)
def test_a_scope_is_its_devices_and_those_of_its_sites(device: str, site: str, *, allowed: bool) -> None:
    narrow = Identity(Kind.PERSON, "p", RIGHTS[Role.OPERATOR], Scope(frozenset({"a"}), frozenset({"Home"})))
    assert narrow.may(Right.SEE, device, site) is allowed
    assert not narrow.may(Right.ADMINISTER, device, site)


def test_an_empty_scope_holds_no_device_not_even_one_without_a_site() -> None:
    assert not Scope(sites=frozenset({""})).holds("a", "")
