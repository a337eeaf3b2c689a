"""The tables of docs/ say what the code says: settings, measurements, routes, metrics, commands, reasons."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import chain

from bridge.air.score import SCALES
from bridge.alarms.conditions import Above, Below, Mean, NowCast
from bridge.alarms.defaults import DEFAULT_RULES, PROFILES
from bridge.alarms.rules import Rule
from bridge.cli.commands import command_line
from bridge.core.access.permissions import ROLE_PERMISSIONS, Permission
from bridge.core.message import Outcome, RejectionReason
from bridge.core.readings.measurements import MEASUREMENTS, Measurement
from bridge.settings import FieldSettings, SubscriptionSettings
from tests.docs.facts import column, settings_rows, tables
from tests.docs.site import Site
from tests.monitoring.prometheus import rules
from tests.servers import REPO

DOCS = REPO / "docs"


def test_every_setting_is_in_the_table_with_its_default_and_range() -> None:
    shown = [(row[0].strip("`"), row[1], row[2]) for row in tables(DOCS / "settings.md") if len(row) == 4]
    expected = chain(
        settings_rows(), settings_rows(SubscriptionSettings, "subscriptions."), settings_rows(FieldSettings, "fields.")
    )
    assert sorted(shown) == sorted(expected)


def test_every_setting_has_a_meaning() -> None:
    assert [row[0] for row in tables(DOCS / "settings.md") if len(row) == 4 and not row[3]] == []


def test_every_measurement_is_in_the_table_with_its_ranges() -> None:
    shown = [row for row in tables(DOCS / "sensors.md") if len(row) == 5]
    assert shown == [_measurement_row(one) for one in MEASUREMENTS]


def _measurement_row(one: Measurement) -> list[str]:
    refuse, usual = ("" if math.isinf(low) else f"{low:g} to {high:.12g}" for low, high in (one.refuse, one.usual))
    return [f"`{one.name}`", one.unit, refuse, usual, ", ".join(f"`{name}`" for name in one.aliases)]


def test_every_default_rule_is_in_the_table_with_its_limits_and_source() -> None:
    shown = {row[0]: row for row in tables(DOCS / "alarms.md") if len(row) == 6}
    assert list(shown) == [f"`{rule.id}`" for rule in DEFAULT_RULES]
    for rule in DEFAULT_RULES:
        _, raised, over, priority, profile, source = shown[f"`{rule.id}`"]
        if isinstance(rule.condition, Above | Below):
            limits = (f"{limit:,.10g} {rule.unit}" for limit in (rule.condition.limit, rule.condition.clear))
            assert (raised, over) == (f"{next(limits)}{_averaging_text(rule)}", next(limits))
        assert priority.partition(";")[0] == rule.priority + (", latched" if rule.latched else "")
        assert profile == next((name for name in ("home", "workplace") if rule.id in PROFILES[name]), "off")
        assert rule.standard is not None
        assert source == ("ours" if rule.standard.key == "standard.ours" else rule.standard.text)


def _averaging_text(rule: Rule) -> str:
    match rule.averaging:
        case Mean(minutes):
            return f", mean of {minutes} min" if minutes % 60 else f", mean of {minutes // 60} h"
        case NowCast():
            return ", NowCast"
        case _:
            return ", two of three" if rule.two_of_three else ""


def test_every_breakpoint_of_the_score_is_in_the_table() -> None:
    found = ((re.match("`([A-Za-z0-9]+)`, [^`]", row[0]), row[1]) for row in tables(DOCS / "websockets.md"))
    shown = {name[1]: points for name, points in found if name}
    assert shown == {name: ", ".join(f"{at:g}: {score}" for at, score in points) for name, points in SCALES.items()}


def test_every_route_is_in_the_table(open_site: Site) -> None:
    paths = {path for path in json.loads(open_site.get("/api/openapi.json"))["paths"] if "/api/v1/sensors" not in path}
    shown = {path.partition("?")[0] for path in column(DOCS / "http.md", r"(?:GET|POST|PATCH|DELETE) (/[^`? ]+)")}
    assert shown == paths


def test_every_metric_is_in_the_table(open_site: Site) -> None:
    names = set(re.findall(r"^# TYPE (bridge_\w+)", open_site.get("/metrics").decode(), re.MULTILINE))
    shown = set(column(DOCS / "operations.md", r"^`(bridge_\w+)`$"))
    assert shown == {name for name in names if not name.endswith("_created")}


def test_every_alert_rule_is_in_the_table_with_its_severity_and_time() -> None:
    shown = [tuple(row[:3]) for row in tables(DOCS / "monitoring.md") if len(row) == 4]
    assert shown == [(f"`{rule['alert']}`", rule["labels"]["severity"], rule["for"]) for rule in rules()]
    assert f"{len(shown)} alert rules" in (DOCS / "monitoring.md").read_text("utf-8")


def test_every_command_is_in_the_table() -> None:
    shown = set(column(DOCS / "cli.md", r"^`sensor-bridge ([a-z -]+)`$"))
    assert shown == set(_commands(command_line()))


def _commands(command: object, above: str = "") -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield above.strip()
    else:
        for name, one in inner.items():
            yield from _commands(one, f"{above} {name}")


def test_every_reason_of_the_quarantine_is_in_the_table() -> None:
    assert set(column(DOCS / "troubleshooting.md", r"^`([a-z_]+)`$")) >= {str(one) for one in RejectionReason}


def test_every_outcome_of_the_ledger_is_in_the_table() -> None:
    assert set(column(DOCS / "operations.md", r"^`([a-z]+)`$")) >= {str(one) for one in Outcome} | {"waiting"}


def test_every_permission_and_role_is_in_the_tables() -> None:
    rows = {row[0].strip("`"): row[1] for row in tables(DOCS / "access.md") if len(row) == 2}
    assert {str(one) for one in Permission} <= rows.keys()
    for role, rights in ROLE_PERMISSIONS.items():
        shown = set(Permission) if rows[role] == "all" else set(re.findall("`([a-z]+)`", rows[role]))
        assert shown == set(rights)


def test_what_people_ask_of_a_dashboard_is_shown_by_tests_that_exist() -> None:
    rows = [row for row in tables(DOCS / "dashboard.md") if len(row) == 3]
    for asked, _, tests in rows:
        for file, name in re.findall(r"`([\w/.]+)::(\w+)`", tests):
            assert re.search(rf"^(async )?def {name}\(", (REPO / file).read_text(), re.MULTILINE), asked
    assert all("::" in tests for *_, tests in rows)
    assert len(rows) >= 8
