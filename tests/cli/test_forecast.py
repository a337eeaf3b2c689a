"""`sensor-bridge forecast try`, on real stores."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest
from bson.objectid import ObjectId

from bridge.core.readings.reading import Reading
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.analysis.forecast.synthetic import daily, first
from tests.cli.test_cli import ended

DAY = 24
HOUR_MS = 3_600_000


async def store_hours(url: str, device: str, values: list[float], field: str = "co2") -> None:
    """Store two readings in each of the last hours, whose mean is the value; and one now, whose hour is not over.

    Shortly before its end the next hour gets that one: the command may run in either.
    """
    now = time.time_ns() // 1_000_000
    start = now - now % HOUR_MS - len(values) * HOUR_MS
    times = [
        (start + number * HOUR_MS + half * HOUR_MS // 2, value + (10 if half else -10))
        for number, value in enumerate(values)
        for half in (0, 1)
    ]
    times.append((max(now, (now + 300_000) // HOUR_MS * HOUR_MS), 9999.0))
    readings = [Reading(ObjectId(), device, {field: value}, at, at, seq=at * 1000) for at, value in times]
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        await store.write(readings, [], [])


@pytest.fixture(params=["sqlite", "mongodb"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else str(request.getfixturevalue("mongo_url"))


async def test_forecasts_are_tried_on_the_stored_readings_of_a_device(store_url: str, tmp_path: Path) -> None:
    await store_hours(store_url, "office", first(daily(14), 30 * DAY, 1))
    code, out, err = await ended(
        tmp_path / "run", "forecast", "try", "--device", "office", "--since", "40d", BRIDGE_STORE__URL=store_url
    )
    assert code == 0, err
    row = next(line for line in out.splitlines() if "co2" in line)
    name, unit, hours, error, last_error, persistence, before, covered, shown, now = row.split()
    assert (name, unit, hours, now) == ("co2", "ppm", str(30 * DAY), "profile")
    assert float(error) < float(last_error) < 100
    assert 0 < int(persistence.removesuffix("%")) < 60
    assert 0 < int(before.removesuffix("%")) < 150
    assert 80 < float(covered.removesuffix("%")) < 97
    assert 40 < int(shown.removesuffix("%")) < 55
    again = await ended(
        tmp_path / "run", "forecast", "try", "--device", "office", "--since", "40d", BRIDGE_STORE__URL=store_url
    )
    assert again == (code, out, err)
    code, out, err = await ended(
        tmp_path / "run", "forecast", "try", "--device", "office", "--since", "40d", "--json", BRIDGE_STORE__URL=store_url
    )
    [figures] = orjson.loads(out)
    assert (code, figures["field"], figures["unit"], figures["now"]) == (0, "co2", "ppm", "profile")
    assert [f"{figures['errors'][at]:.3g}" for at in (0, 5)] == [error, last_error]
    assert [f"{figures[name]:.0%}" for name in ("ofPersistence", "ofDayBefore", "shown")] == [persistence, before, shown]
    assert f"{figures['inBounds']:.1%}" == covered


async def test_scores_are_a_table_at_80_columns(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    await store_hours(url, "office", [20 + value / 500 for value in first(daily(14), 4 * DAY, 1)], "temperature")
    code, out, _ = await ended(tmp_path / "run", "forecast", "try", "--device", "office", BRIDGE_STORE__URL=url, COLUMNS="80")
    assert code == 0
    assert all(len(line) <= 80 for line in out.splitlines()), out
    assert "temperature °C" in out
    assert out.splitlines()[-1].split()[-1] == "learning"


async def test_too_few_hours_are_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    await store_hours(url, "office", [500.0] * 20)
    code, out, err = await ended(tmp_path / "run", "forecast", "try", "--device", "office", BRIDGE_STORE__URL=url)
    assert code == 0
    assert "learning" in next(line for line in out.splitlines() if "co2" in line)
    assert "too few hours to compare" in err
    _, out, _ = await ended(tmp_path / "run", "forecast", "try", "--device", "office", "--json", BRIDGE_STORE__URL=url)
    [figures] = orjson.loads(out)
    assert (figures["errors"], figures["ofPersistence"], figures["inBounds"], figures["now"]) == (None, None, None, "learning")


async def test_carbon_monoxide_is_not_tried(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    await store_hours(url, "boiler", [20.0] * 20, "coPpm")
    code, out, err = await ended(tmp_path / "run", "forecast", "try", "--device", "boiler", BRIDGE_STORE__URL=url)
    assert (code, "coPpm" in out) == (0, False)
    assert "the device has no field that is forecast: co2, pm25, pm10, no2, o3, temperature, humidity\n" in err


async def test_a_device_without_readings_is_one_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    code, out, err = await ended(tmp_path, "forecast", "try", "--device", "attic", BRIDGE_STORE__URL=url)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("attic: no readings since 20")
    assert "before the current hour, which is left out" in err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--since", "90", "must be a date or time"),
        ("--since", "9999d", "must be at most 3660d"),
        ("--timezone", "Mars/Olympus", "Mars/Olympus"),
    ],
)
async def test_an_option_that_is_wrong_is_refused(option: str, value: str, message: str, tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, "forecast", "try", "--device", "attic", option, value)
    assert code == 2
    assert message in err
