"""Every scenario: those of `sensor-bridge bench`, and those that audit the delivery promises of the hub."""

from __future__ import annotations

from bridge.tools.bench.load import Load
from bridge.tools.bench.scenarios.catalog import SCENARIOS, Scenario
from tests.bench.scenarios.churn import churn
from tests.bench.scenarios.lagging import LaggingLoad, lagging
from tests.bench.scenarios.stalled import StalledLoad, stalled

ALL_SCENARIOS = SCENARIOS | {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "stalled",
            "some clients stop reading: does it affect the others, and is each stalled one told of its gap or disconnected?",
            StalledLoad(clients=200, rate=1000),
            ("clients", "stalled", "rate", "seconds"),
            stalled,
        ),
        Scenario(
            "lagging",
            "a burst to clients that read more slowly than it comes: do they receive all of it, and does one that does not lag "
            "receive its readings later?",
            LaggingLoad(clients=51, burst=20_000, seconds=4),
            ("clients", "burst", "pace", "rate", "seconds", "way"),
            lagging,
        ),
        Scenario(
            "churn",
            "clients connect, disconnect, upgrade from polling and change subscriptions: does each receive all of it, once and "
            "in order? Latency is measured at one client that stays",
            Load(clients=200, rate=1000, seconds=60, rooms=10),
            ("clients", "rooms", "rate", "seconds"),
            churn,
        ),
    )
}
