"""The judgements that the page made wrongly, or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.air import european, us_epa
from bridge.air.averaging import HOUR_MS, HourlyMean
from bridge.air.judge import HOURLY_FIELDS, AirInput, AirScale, assess, worst
from tests.servers import REPO

NOW_MS = 1_768_478_400_000 + 20 * 60_000


def hours(mean: float, length: int = 24) -> list[HourlyMean]:
    return [HourlyMean(NOW_MS // HOUR_MS * HOUR_MS - (age + 1) * HOUR_MS, mean, 60) for age in range(length)]


def judged(
    values: Mapping[str, object], scale: AirScale = AirScale.US_EPA, dose: float | None = None
) -> dict[str, dict[str, object]]:
    """The assessments by key, of a device that has measured these values for a day."""
    by_hour = {name: hours(value) for name, value in values.items() if name in HOURLY_FIELDS and isinstance(value, float)}
    particles = values.get("pm25")
    recent = {"pm25": particles} if isinstance(particles, float) else {}
    return {one.indicator.key: one.public() for one in assess(AirInput(NOW_MS, values, by_hour, recent, dose), scale)}


def test_estimate_is_never_judged_as_carbon_dioxide_and_says_nothing_beside_a_measurement() -> None:
    alone = judged({"eco2": 2500})["index.eco2"]
    assert (alone["level"], alone["standard"]) == (1, "standard.estimate")
    assert "index.eco2" not in judged({"eco2": 2500, "co2": 640})
    assert judged({"eco2": 2500, "tvoc": 300, "aqi": 3, "aqiScale": "uba"}).keys() == {"index.tvoc"}


@pytest.mark.parametrize(
    ("ppm", "level", "advice"),
    [
        (4999, 3, "advice.co2.unacceptable"),
        (5000, 4, "advice.co2.work"),
        (30_000, 5, "advice.co2.leave"),
        (40_000, 5, "advice.co2.leave"),
    ],
)
def test_carbon_dioxide_that_harms_is_said(ppm: float, level: int, advice: str) -> None:
    assessment = judged({"co2": ppm})["index.co2"]
    assert (assessment["level"], assessment["advice"]) == (level, advice)


def test_particles_of_the_last_minutes_are_told_apart_from_the_now_cast() -> None:
    smoke = judged({"pm25": 500.0})
    assert (smoke["index.pm25.recent"]["level"], smoke["index.pm25.recent"]["levelKey"]) == (4, "level.recent.smoke")
    air = AirInput(NOW_MS, {"pm25": 500.0}, {"pm25": hours(5.0)}, {"pm25": 500.0})
    by_key = {one.indicator.key: one for one in assess(air)}
    assert by_key["index.aqi.pm25.now"].public()["levelKey"] == "level.epa.good"
    assert worst(list(by_key.values())) is by_key["index.pm25.recent"]


@pytest.mark.parametrize(("recent", "word"), [(55.4, "usual"), (55.5, "high"), (249.9, "high"), (250.0, "smoke")])
def test_words_for_the_last_minutes_are_no_category_of_an_index(recent: float, word: str) -> None:
    assessment = judged({"pm25": recent})["index.pm25.recent"]
    assert assessment["levelKey"] == f"level.recent.{word}"
    assert assessment["standard"] == "standard.recent"


# US EPA, table 2 of App. G: the index where each category ends, and one above.
@pytest.mark.parametrize(
    ("field", "concentration", "index", "level"),
    [
        ("no2", 53.9, 50, 0), ("no2", 54.0, 51, 1), ("no2", 100.0, 100, 1), ("no2", 360.0, 150, 2), ("no2", 649.0, 200, 3),
        ("no2", 1249.0, 300, 4), ("no2", 2049.0, 500, 5), ("o3", 54.9, 50, 0), ("o3", 70.0, 100, 1), ("o3", 85.0, 150, 2),
        ("o3", 105.0, 200, 3), ("o3", 200.0, 300, 4), ("o3", 400.0, 300, 4), ("so2", 35.0, 50, 0), ("so2", 75.0, 100, 1),
        ("so2", 185.0, 150, 2), ("so2", 304.0, 200, 3), ("so2", 604.0, 300, 4), ("so2", 1004.0, 500, 5),
    ],
)  # fmt: skip
def test_gases_have_the_us_index(field: str, concentration: float, index: int, level: int) -> None:
    assessment = judged({field: concentration})[f"index.aqi.{field}"]
    assert (assessment["value"], assessment["level"]) == (index, level)


def test_sulphur_dioxide_of_an_hour_alone_has_an_index_of_at_most_200() -> None:
    air = AirInput(NOW_MS, {"so2": 900.0}, {"so2": hours(900.0, 1)})
    assert [one.public()["value"] for one in assess(air)] == [200]


# Classes of the European index, in µg/m³ at 20 °C.
@pytest.mark.parametrize(
    ("field", "ends"),
    [
        ("pm25", (5, 15, 50, 90, 140)), ("pm10", (15, 45, 120, 195, 270)), ("no2", (10, 25, 60, 100, 150)),
        ("o3", (60, 100, 120, 160, 180)), ("so2", (20, 40, 125, 190, 275)),
    ],
)  # fmt: skip
def test_european_index_has_six_classes(field: str, ends: tuple[float, ...]) -> None:
    per_ppb = {"no2": 1.9125, "o3": 1.9954, "so2": 2.6634}.get(field, 1.0)
    for number, end in enumerate(ends):
        for micrograms, value in ((end - 0.1, number + 1), (end + 0.2, number + 2)):
            assessment = judged({field: micrograms / per_ppb}, AirScale.EUROPEAN)[f"index.eaqi.{field}"]
            assert (assessment["value"], assessment["level"]) == (value, value - 1)
    assert european.ENDS[field] == ends


def test_the_scale_that_is_chosen_is_the_only_one() -> None:
    values: dict[str, object] = {"pm25": 12.0, "no2": 30.0}
    assert {key.split(".")[1] for key in judged(values)} == {"aqi", "pm25"}
    assert {key.split(".")[1] for key in judged(values, AirScale.EUROPEAN)} == {"eaqi", "pm25"}


@pytest.mark.parametrize("scale", AirScale)
@pytest.mark.parametrize(
    ("values", "caveat"),
    [
        ({"pm25": 12.0}, "caveat.particles"),
        ({"pm10": 12.0}, "caveat.particles"),
        ({"no2": 12.0}, "caveat.gasIndex"),
        ({"coPpm": 12.0}, "caveat.gasSensor"),
        ({"ch4Ppm": 12.0}, "caveat.gasSensor"),
        ({"flameDetected": True}, "caveat.flameSensor"),
        ({"flameDetected": False}, "caveat.flameSensor"),
    ],
)
def test_what_simple_sensors_measure_is_marked_as_indicative_with_the_reason(
    values: dict[str, object], caveat: str, scale: AirScale
) -> None:
    marked = judged(values, scale)
    assert {assessment["indicative"] for assessment in marked.values()} == {True}
    assert caveat in {assessment["caveat"] for assessment in marked.values()}


@pytest.mark.parametrize("scale", AirScale)
@pytest.mark.parametrize("field", HOURLY_FIELDS)
def test_index_of_hours_says_that_it_is_made_for_outdoor_air(field: str, scale: AirScale) -> None:
    source = (REPO / "web" / "src" / "standards" / "messages.en.ts").read_text("utf-8")
    texts = dict(re.findall(r'^  "(caveat\.\w+)": "(.*)",$', source, re.MULTILINE))
    indices = [one for key, one in judged({field: 12.0}, scale).items() if "aqi" in key]
    assert indices
    assert all("outdoor air" in texts[str(one["caveat"])] or one["caveat"] == "caveat.rollingDay" for one in indices)


@pytest.mark.parametrize(("dose", "level"), [(0.0, 0), (0.3, 2), (0.5, 3), (0.99, 3), (1.0, 5)])
def test_carbon_monoxide_is_judged_by_its_dose_too(dose: float, level: int) -> None:
    assert judged({"coPpm": 60}, dose=dose)["index.co.dose"]["level"] == level


def test_dose_that_begins_to_grow_is_not_called_none() -> None:
    air = AirInput(NOW_MS, {"coPpm": 212}, co_dose=0.001, co_minutes_left=5.8)
    [dose] = [one.public() for one in assess(air) if one.indicator.key == "index.co.dose"]
    assert (dose["value"], dose["level"], dose["levelKey"], dose["minutesLeft"]) == (0, 2, "level.dose.rising", 5.8)


@pytest.mark.parametrize(("ppm", "advice"), [(100, "advice.co.leave"), (200, "advice.co.call"), (300, "advice.co.call")])
def test_nobody_waits_for_a_headache_at_200_ppm_of_carbon_monoxide(ppm: float, advice: str) -> None:
    assert judged({"coPpm": ppm})["index.co.now"]["advice"] == advice


@pytest.mark.parametrize("ppm", [30, 34, 50, 100, 200, 300, 800])
def test_standard_of_carbon_monoxide_is_named(ppm: float) -> None:
    assert judged({"coPpm": ppm})["index.co.now"]["standard"] == "standard.enCo"


@given(st.sampled_from(sorted(us_epa.SCALES)), st.floats(0, 5000), st.floats(0, 5000))
def test_index_never_falls_when_the_concentration_rises(field: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert us_epa.aqi(field, low)[0] <= us_epa.aqi(field, high)[0]


@given(
    st.dictionaries(
        st.sampled_from(["co2", "tvoc", "coPpm", "aqi", "flameDetected", "eco2"]), st.floats() | st.text() | st.none()
    )
)
def test_any_value_is_taken(values: dict[str, object]) -> None:
    assert all(one.public()["level"] in (None, 0, 1, 2, 3, 4, 5) for one in assess(AirInput(NOW_MS, values)))
