"""The Grafana dashboard is well-formed, and explains itself. Grafana is not needed."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.monitoring.prometheus import FOLDER, dashboard, panels, selectors

GRID_COLUMNS = 24


def test_ids_of_panels_and_names_of_targets_are_unique() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert sorted(set(ids)) == sorted(ids)
    for panel in panels():
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names), panel["title"]
    titles = [panel["title"] for panel in dashboard()["panels"]]
    assert sorted(set(titles)) == sorted(titles)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_panel_has_a_title_a_unit_a_description_and_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [source] * (
        1 + len(panel["targets"])
    )
    for target in panel["targets"]:
        assert selectors(target["expr"]), target["expr"]
        assert all('{job="sensor-bridge", instance=~"$instance"' in one for one in selectors(target["expr"])), target["expr"]


def test_panels_do_not_overlap_and_fit_the_grid() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= GRID_COLUMNS for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_every_variable_in_an_expression_is_defined() -> None:
    defined = {f"${one['name']}" for one in dashboard()["templating"]["list"]} | {"$__rate_interval"}
    used = {
        word
        for panel in panels()
        for target in panel["targets"]
        for word in ("$" + rest.split('"')[0].split("]")[0] for rest in target["expr"].split("$")[1:])
    }
    assert used
    assert used <= defined


def test_provisioning_finds_the_dashboard_and_names_the_prometheus_of_compose() -> None:
    (provider,) = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/sensor-bridge.yml").read_text("utf-8"))["providers"]
    assert provider["options"] == {"path": "/etc/grafana/dashboards"}
    (source,) = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"))["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
