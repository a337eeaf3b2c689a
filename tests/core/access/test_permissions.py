"""Roles, permissions and scopes."""

from __future__ import annotations

import pytest

from bridge.core.access.permissions import ANYONE, ROLE_PERMISSIONS, Identity, IdentityKind, Permission, ResourceScope, Role


@pytest.mark.parametrize("right", Permission)
def test_anyone_has_every_permission_while_access_is_open(right: Permission) -> None:
    assert ANYONE.may(right)
    assert ANYONE.may(right, "a", "Home")


def test_viewer_has_only_read() -> None:
    assert ROLE_PERMISSIONS[Role.VIEWER] == {Permission.READ}


def test_operator_may_command_but_not_publish_manage_or_administer() -> None:
    assert Permission.COMMAND in ROLE_PERMISSIONS[Role.OPERATOR]
    assert ROLE_PERMISSIONS[Role.OPERATOR].isdisjoint({Permission.PUBLISH, Permission.MANAGE, Permission.ADMIN})


@pytest.mark.parametrize(
    ("device", "site", "allowed"),
    [("a", "", True), ("a", "Elsewhere", True), ("b", "Home", True), ("b", "Elsewhere", False), ("b", "", False)],
)
def test_scope_contains_its_devices_and_those_of_its_sites(device: str, site: str, *, allowed: bool) -> None:
    narrow = Identity(
        IdentityKind.PERSON, "p", ROLE_PERMISSIONS[Role.OPERATOR], ResourceScope(frozenset({"a"}), frozenset({"Home"}))
    )
    assert narrow.may(Permission.READ, device, site) is allowed
    assert not narrow.may(Permission.ADMIN, device, site)


def test_device_without_a_site_is_not_in_a_scope_of_the_empty_site() -> None:
    assert not ResourceScope(sites=frozenset({""})).contains("a", "")
