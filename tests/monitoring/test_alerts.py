"""Each alert fires when it should and is silent otherwise, as promtool evaluates the shipped rules on written series."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.monitoring.prometheus import CONFIG, RULES, promtool, rules

AT_MINUTE = 60
LABELS = 'job="sensor-bridge", instance="bridge:3000"'
Series = dict[str, str | None]

HEALTHY: Series = {
    "up": "1x120",
    'bridge_part_up{part="mqtt"}': "1x120",
    'bridge_part_up{part="store"}': "1x120",
    'bridge_messages_received_total{source="mqtt"}': "0+1000x120",
    'bridge_messages_settled_total{source="mqtt", outcome="stored"}': "0+1000x120",
    'bridge_messages_settled_total{source="mqtt", outcome="rejected"}': "3x120",
    'bridge_messages_settled_total{source="mqtt", outcome="dropped"}': "2x120",
    'bridge_readings_stored_total{source="mqtt"}': "0+1000x120",
    'bridge_messages_waiting{source="mqtt"}': "12x120",
    'bridge_write_seconds_bucket{le="0.025"}': "0+90x120",
    'bridge_write_seconds_bucket{le="0.5"}': "0+100x120",
    'bridge_write_seconds_bucket{le="1.0"}': "0+100x120",
    'bridge_write_seconds_bucket{le="+Inf"}': "0+100x120",
    "bridge_rejected_removed_total": "5x120",
    "bridge_broker_dropped_total": "7x120",
    'bridge_posts_refused_total{reason="store_away"}': "4x120",
    'bridge_posts_refused_total{reason="stopping"}': "4x120",
    "bridge_devices_unlisted_total": "1x120",
    'bridge_clients_cut_total{reason="slow"}': "20x120",
    'bridge_clients_cut_total{reason="ping"}': "0+5x120",
    'bridge_clients_refused_total{reason="total"}': "30x120",
    "bridge_login_attempts_delayed_total": "40x120",
    "bridge_audit_lost_total": "2x120",
    'bridge_notifications_total{target="family"}': "0+1x120",
    'bridge_notifications_failed_total{target="family"}': "0+1x120",
    'bridge_notifications_total{target="duty"}': "3x120",
    'bridge_notifications_failed_total{target="duty"}': "3x120",
    'bridge_watchdog_calls_total{outcome="answered"}': "0+1x120",
    'bridge_watchdog_calls_total{outcome="failed"}': "0+1x120",
    "bridge_alarm_pauses_total": "1x120",
    'bridge_event_loop_delay_seconds_bucket{le="0.01"}': "0+110x120",
    'bridge_event_loop_delay_seconds_bucket{le="0.25"}': "0+120x120",
    'bridge_event_loop_delay_seconds_bucket{le="1.0"}': "0+120x120",
    'bridge_event_loop_delay_seconds_bucket{le="+Inf"}': "0+120x120",
    "process_open_fds": "300x120",
    "process_max_fds": "1000x120",
    "process_start_time_seconds": "1000x120",
}
"""A bridge that had small troubles before and has none now: counters stand still, and what fails sometimes also succeeds."""


class Case(NamedTuple):
    """Series unlike those of a healthy bridge, with which the alert fires and almost fires. None: the series is missing."""

    fires: tuple[Series, ...]
    silent: tuple[Series, ...]
    also: frozenset[str] = frozenset()
    """Further alerts that fire with it."""


def case(fires: Series | tuple[Series, ...], silent: Series | tuple[Series, ...], *also: str) -> Case:
    return Case(
        fires if isinstance(fires, tuple) else (fires,),
        silent if isinstance(silent, tuple) else (silent,),
        frozenset(also),
    )


LEADS, RECEIVES = "bridge_cluster_leads", "bridge_cluster_receives"
OTHER_LEADS, OTHER_RECEIVES = (f'{one}{{job="sensor-bridge", instance="other:3000"}}' for one in (LEADS, RECEIVES))
MQTT, STORE = 'bridge_part_up{part="mqtt"}', 'bridge_part_up{part="store"}'
READINGS, WAITING = 'bridge_readings_stored_total{source="mqtt"}', 'bridge_messages_waiting{source="mqtt"}'
RECEIVED = 'bridge_messages_received_total{source="mqtt"}'
REJECTED, DROPPED = (f'bridge_messages_settled_total{{source="mqtt", outcome="{one}"}}' for one in ("rejected", "dropped"))
POSTS, STOPPING = (f'bridge_posts_refused_total{{reason="{one}"}}' for one in ("store_away", "stopping"))
SLOW, PINGS = (f'bridge_clients_cut_total{{reason="{one}"}}' for one in ("slow", "ping"))
REFUSED = 'bridge_clients_refused_total{reason="total"}'
SENT, FAILED = 'bridge_notifications_total{target="duty"}', 'bridge_notifications_failed_total{target="duty"}'
ANSWERED, CALLS_FAILED = (f'bridge_watchdog_calls_total{{outcome="{one}"}}' for one in ("answered", "failed"))
FAST_WRITES, FASTER_WRITES = 'bridge_write_seconds_bucket{le="0.5"}', 'bridge_write_seconds_bucket{le="0.025"}'
PUNCTUAL, VERY_PUNCTUAL = (f'bridge_event_loop_delay_seconds_bucket{{le="{one}"}}' for one in ("0.25", "0.01"))

CASES: dict[str, Case] = {
    "Down": case({"up": "1x58 0x60"}, {"up": "1x59 0x60"}),
    "Missing": case({"up": "1x45 _x60"}, {"up": "1x52 _x60"}),
    "Restarting": case(
        {"process_start_time_seconds": "1x35 2x4 3x4 4x4 5x120"},
        {"process_start_time_seconds": "1x35 2x4 3x4 4x120"},
    ),
    "BrokerUnavailable": case({MQTT: "1x57 0x60"}, {MQTT: "1x58 0x60"}),
    "StoreUnavailable": case({STORE: "1x58 0x60"}, ({STORE: "1x59 0x60"}, {STORE: "1x40 0x5 1x60"})),
    "NoLeader": case(
        {LEADS: "1x57 0x60", OTHER_LEADS: "0x120"}, ({LEADS: "1x30 0x60", OTHER_LEADS: "0x30 1x60"}, {LEADS: "1x59 0x60"})
    ),
    "NobodyReceives": case({RECEIVES: "1x57 0x60"}, ({RECEIVES: "1x59 0x60"}, {RECEIVES: "1x120"})),
    "NoReadings": case(
        ({READINGS: "0+1000x38 39000x120"}, {READINGS: None}),
        (
            {READINGS: "0+1000x44 45000x120"},
            {READINGS: "0x9 1x9 2x9 3x9 4x9 5x9 6x60"},
            {READINGS: "0+1000x20 21000x120", MQTT: "1x59 0x60"},  # no connection: another alert's subject
            {READINGS: None, RECEIVES: "0x120", OTHER_RECEIVES: "1x120"},  # another bridge of the cluster receives
        ),
    ),
    "ReadingsWaiting": case(
        {WAITING: "12x54 501x60"}, ({WAITING: "12x56 501x60"}, {WAITING: "12x50 800x4 12x2 800x60"}, {WAITING: "450x120"})
    ),
    "ReadingsWaitingRising": case(
        {WAITING: "12x40 1000+240x60"},
        ({WAITING: "12x40 9000x5 9000-10x60"}, {WAITING: "12x40 1000+200x60"}),
        "SensorBridgeReadingsWaiting",
    ),
    "StoreSlow": case(
        {FASTER_WRITES: "0+90x35 3150+50x60", FAST_WRITES: "0+100x35 3500+90x60"},
        ({FAST_WRITES: "0+96x120"}, {FASTER_WRITES: "0+90x52 4770x60", FAST_WRITES: "0+100x52 5300x60"}),
    ),
    "MessagesRejected": case({REJECTED: "0x35 0+11x60"}, ({REJECTED: "0+9x120"}, {REJECTED: "0x53 0+30x60"})),
    "QuarantineGrowing": case(
        {REJECTED: "0+120x120", RECEIVED: "0+20000x120"}, {REJECTED: "0+60x120", RECEIVED: "0+20000x120"}
    ),
    "QuarantineFull": case({"bridge_rejected_removed_total": "5x50 6x60"}, {"bridge_rejected_removed_total": None}),
    "BrokerDropsMessages": case({"bridge_broker_dropped_total": "7x55 9x60"}, {"bridge_broker_dropped_total": "7x40 9x60"}),
    "MessagesDropped": case({DROPPED: "2x55 3x60"}, {DROPPED: "2x40 3x60"}),
    "PostsRefused": case({POSTS: "4x40 5+1x60"}, ({POSTS: "4x57 5x60"}, {STOPPING: "0+1x120"})),
    "DevicesUnlisted": case({"bridge_devices_unlisted_total": "1x50 2x60"}, {"bridge_devices_unlisted_total": "1x58 2x60"}),
    "SlowClientsCut": case({SLOW: "20x50 27x60"}, ({SLOW: "20x50 24x60"}, {PINGS: "0+50x120"})),
    "ClientsRefused": case({REFUSED: "30x40 31.3+1.3x60"}, ({REFUSED: "0+1x120"}, {REFUSED: "30x57 300x60"})),
    "LoginAttempts": case(
        {"bridge_login_attempts_delayed_total": "40x50 65x60"}, {"bridge_login_attempts_delayed_total": "40x50 55x60"}
    ),
    "AuditLost": case({"bridge_audit_lost_total": "2x50 3x60"}, {"bridge_audit_lost_total": None}),
    "NotificationsFail": case(
        {FAILED: "3x46 4x2 5x60"},
        ({FAILED: "3x57 4x60"}, {FAILED: "3x46 4x2 5x60", SENT: "3x52 4x60"}),
    ),
    "WatchdogFails": case(
        {ANSWERED: "0+1x36 36x60"}, ({ANSWERED: "0+1x43 43x60"}, {ANSWERED: "9x50 10x60"}, {ANSWERED: None, CALLS_FAILED: None})
    ),
    "AlarmsLate": case({"bridge_alarm_pauses_total": "1x55 2x60"}, {"bridge_alarm_pauses_total": "1x40 2x60"}),
    "EventLoopDelayed": case(
        {PUNCTUAL: "0+120x35 4201+113x60", VERY_PUNCTUAL: "0+110x35 3851+50x60"},
        ({PUNCTUAL: "0+116x120"}, {PUNCTUAL: "0+120x52 0+0x60", VERY_PUNCTUAL: "0+110x52 0+0x60"}),
    ),
    "OpenFiles": case(
        {"process_open_fds": "300x50 801x60"}, ({"process_open_fds": "300x57 801x60"}, {"process_open_fds": "750x120"})
    ),
}


def firing(folder: Path, changed: Series, expected: set[str]) -> str:
    """Empty if exactly the expected alerts fire at minute 60, else what promtool says."""
    values = {name: text for name, text in (HEALTHY | changed).items() if text is not None}
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)]
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": _with_labels(name), "values": text} for name, text in values.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{AT_MINUTE}m",
                "exp_samples": samples,
            }
        ],
    }
    file = folder / "alerts.test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}), "utf-8")
    done = promtool("test", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout


def _with_labels(name: str) -> str:
    """The series of the bridge, unless the name has a job of its own."""
    if "job=" in name:
        return name
    metric, _, labels = name.partition("{")
    return f"{metric}{{{LABELS}" + (f", {labels}" if labels else "}")


def test_every_alert_has_a_case() -> None:
    assert [rule["alert"] for rule in rules()] == [f"SensorBridge{name}" for name in CASES]


def test_no_alert_fires_for_a_healthy_bridge(tmp_path: Path) -> None:
    assert firing(tmp_path, {}, set()) == ""


@pytest.mark.parametrize("name", CASES)
def test_alert_fires_when_it_should(tmp_path: Path, name: str) -> None:
    for series in CASES[name].fires:
        assert firing(tmp_path, series, {f"SensorBridge{name}", *CASES[name].also}) == "", series


@pytest.mark.parametrize("name", CASES)
def test_alert_is_silent_below_its_limit_and_before_its_time(tmp_path: Path, name: str) -> None:
    for series in CASES[name].silent:
        assert firing(tmp_path, series, set(CASES[name].also)) == "", series


def test_series_of_other_jobs_raise_no_alert(tmp_path: Path) -> None:
    other = 'job="other", instance="node:9100"'
    names = ("up", "process_open_fds", "process_max_fds", "bridge_audit_lost_total")
    values = ("0x120", "999x120", "1000x120", "0+1x120")
    assert firing(tmp_path, {f"{name}{{{other}}}": text for name, text in zip(names, values, strict=True)}, set()) == ""


def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    for arguments in (("check", "rules", "--lint=all", "--lint-fatal", str(RULES)), ("check", "config", str(CONFIG))):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout


def test_configuration_for_required_access_is_the_example_without_its_comment(tmp_path: Path) -> None:
    text = CONFIG.read_text("utf-8")
    assert text.count("    #? authorization") == 1
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("    #? authorization", "    authorization").replace("[alerts.yml]", f"[{RULES}]"), "utf-8")
    (job,) = yaml.safe_load(file.read_text("utf-8"))["scrape_configs"]
    assert job["authorization"] == {"credentials_file": "/etc/prometheus/key/metrics"}
    done = promtool("check", "config", "--syntax-only", str(file))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alert_has_a_time_a_severity_a_summary_and_an_action(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "action"}
    assert all(text.endswith(".") and len(text) > 20 for text in rule["annotations"].values())
