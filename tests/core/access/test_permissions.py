"""Who may do what."""

from __future__ import annotations

import pytest

from bridge.core.access.permissions import ANYONE, ROLE_PERMISSIONS, Identity, IdentityKind, Permission, ResourceScope, Role


@pytest.mark.parametrize("right", Permission)
def test_anyone_may_do_all_while_access_is_open(right: Permission) -> None:
    assert ANYONE.may(right)
    assert ANYONE.may(right, "a", "Home")


def test_a_viewer_sees_and_does_nothing_else() -> None:
    assert ROLE_PERMISSIONS[Role.VIEWER] == {Permission.READ}


def test_an_operator_commands_and_does_not_administer() -> None:
    assert Permission.COMMAND in ROLE_PERMISSIONS[Role.OPERATOR]
    assert ROLE_PERMISSIONS[Role.OPERATOR].isdisjoint({Permission.PUBLISH, Permission.MANAGE, Permission.ADMIN})


@pytest.mark.parametrize(
    ("device", "site", "allowed"),
    [("a", "", True), ("a", "Elsewhere", True), ("b", "Home", True), ("b", "Elsewhere", False), ("b", "", False)],
)
def test_a_scope_is_its_devices_and_those_of_its_sites(device: str, site: str, *, allowed: bool) -> None:
    narrow = Identity(
        IdentityKind.PERSON, "p", ROLE_PERMISSIONS[Role.OPERATOR], ResourceScope(frozenset({"a"}), frozenset({"Home"}))
    )
    assert narrow.may(Permission.READ, device, site) is allowed
    assert not narrow.may(Permission.ADMIN, device, site)


def test_an_empty_scope_holds_no_device_not_even_one_without_a_site() -> None:
    assert not ResourceScope(sites=frozenset({""})).contains("a", "")
