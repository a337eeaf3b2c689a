"""The figures of the tables, against those of their sources, each written down here once more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import log

import pytest

from bridge.air import european, hazards, indoor, us_epa
from bridge.air.averaging import HOUR_MS, HourlyMean, now_cast
from bridge.air.judge import AirInput, assess
from bridge.air.score import SCALES, global_score
from bridge.alarms.defaults import DEFAULT_RULES
from tests.servers import REPO

NOW_MS = 1_768_478_400_000
AT_20_C, AT_25_C = 24.055, 24.465
"""Litres of a mole at 1013 hPa: the European Union converts at 20 °C, the World Health Organization at 25 °C."""
MOLAR_MASS = {"no2": 46.006, "o3": 47.998, "so2": 64.066, "coPpm": 28.010}
LIMITS = {rule.id: rule.limit for rule in DEFAULT_RULES}

EPA_2024: Mapping[str, tuple[tuple[float, float], ...]] = {
    "pm25": ((0, 9.0), (9.1, 35.4), (35.5, 55.4), (55.5, 125.4), (125.5, 225.4), (225.5, 325.4)),
    "pm10": ((0, 54), (55, 154), (155, 254), (255, 354), (355, 424), (425, 604)),
    "coPpm": ((0, 4.4), (4.5, 9.4), (9.5, 12.4), (12.5, 15.4), (15.5, 30.4), (30.5, 50.4)),
    "no2": ((0, 53), (54, 100), (101, 360), (361, 649), (650, 1249), (1250, 2049)),
    "o3": ((0, 54), (55, 70), (71, 85), (86, 105), (106, 200)),
    "so2": ((0, 35), (36, 75), (76, 185), (186, 304), (305, 604), (605, 1004)),
}
"""Table 6 of EPA-454/B-24-002: PM2.5 and PM10 24 hours, CO 8 hours, NO2 1 hour, O3 8 hours, SO2 1 hour, from 305 24 hours."""
EPA_OZONE_HOUR = ((125, 164), (165, 204), (205, 404), (405, 604))
EPA_INDEX = ((0, 50), (51, 100), (101, 150), (151, 200), (201, 300), (301, 500))
EPA_STEP = {"pm25": 0.1, "coPpm": 0.1}
"""What one unit of the last decimal place is that truncation leaves; 1 for the others."""

EEA_2025 = {
    "pm25": (5, 15, 50, 90, 140), "pm10": (15, 45, 120, 195, 270), "no2": (10, 25, 60, 100, 150),
    "o3": (60, 100, 120, 160, 180), "so2": (20, 40, 125, 190, 275),
}  # fmt: skip


def hours(*means: float) -> list[HourlyMean]:
    return [HourlyMean(NOW_MS - (age + 1) * HOUR_MS, mean, 60) for age, mean in enumerate(means)]


@pytest.mark.parametrize("field", EPA_2024)
def test_index_has_both_ends_of_every_category_of_the_us_epa(field: str) -> None:
    for category, ((low, high), (least, most)) in enumerate(zip(EPA_2024[field], EPA_INDEX, strict=False)):
        assert us_epa.aqi(field, low) == (least, category)
        assert us_epa.aqi(field, high) == (most, category)


@pytest.mark.parametrize("field", EPA_2024)
def test_index_truncates_a_concentration_and_does_not_round_it_as_the_us_epa_says(field: str) -> None:
    for category, ((_, high), (_, most)) in enumerate(zip(EPA_2024[field], EPA_INDEX, strict=False)):
        assert us_epa.aqi(field, high + 0.99 * EPA_STEP.get(field, 1)) == (most, category)


def test_ozone_of_an_hour_has_an_index_from_125_ppb_as_the_us_epa_says() -> None:
    assert us_epa.ozone_hour_aqi(124.99) is None
    for category, ((low, high), (least, most)) in enumerate(zip(EPA_OZONE_HOUR, EPA_INDEX[2:], strict=True), start=2):
        assert us_epa.ozone_hour_aqi(low) == (least, category)
        assert us_epa.ozone_hour_aqi(high + 0.99) == (most, category)


def test_ozone_of_the_last_hour_is_judged_before_eight_hours_are_known_and_the_higher_index_comes_first() -> None:
    new = assess(AirInput(NOW_MS, {"o3": 420.0}, {"o3": hours(420.0)}))
    assert [(one.indicator.key, one.value) for one in new] == [("index.aqi.o3.hour", 316), ("index.aqi.o3", None)]
    peak = assess(AirInput(NOW_MS, {"o3": 170.0}, {"o3": hours(170.0, *[20.0] * 7)}))
    assert [(one.indicator.key, one.value) for one in peak] == [("index.aqi.o3.hour", 157), ("index.aqi.o3", 35)]
    calm = assess(AirInput(NOW_MS, {"o3": 60.0}, {"o3": hours(*[60.0] * 8)}))
    assert [one.indicator.key for one in calm] == ["index.aqi.o3"]


def test_now_cast_weighs_hours_as_the_us_epa_says() -> None:
    """EPA-454/B-24-002: the weight is the least over the highest of 12 hours, at least a half, to the power of the age."""
    assert now_cast([80.0, 60.0, 40.0]).value == pytest.approx((80 + 60 * 0.5 + 40 * 0.25) / 1.75)
    assert now_cast([80.0, 60.0]).value == pytest.approx((80 + 60 * 0.75) / 1.75)
    assert now_cast([80.0, None, 20.0]).value == pytest.approx((80 + 20 * 0.25) / 1.25)
    assert now_cast([80.0, None, None, 60.0]).hours_needed == 1
    assert now_cast([20.0] * 12 + [500.0]).value == 20


@pytest.mark.parametrize("field", EEA_2025)
def test_european_index_has_the_bands_of_the_eea_of_2025(field: str) -> None:
    assert european.ENDS[field] == EEA_2025[field]


@pytest.mark.parametrize(
    ("field", "micrograms", "litres", "at"),
    [("pm25", 5, 1, 5), ("pm25", 15, 1, 15), ("pm10", 15, 1, 15), ("pm10", 45, 1, 45)]
    + [(name, limit, AT_25_C, None) for name, limit in (("no2", 25), ("o3", 60), ("so2", 40))],
)
def test_score_begins_at_the_guidelines_of_the_who_of_2021(
    field: str, micrograms: float, litres: float, at: float | None
) -> None:
    value = micrograms if at is not None else micrograms * litres / MOLAR_MASS[field]
    breakpoints = [point for point, _ in SCALES[field]]
    assert min(abs(point - value) for point in breakpoints[:2]) < 0.8


def test_carbon_monoxide_of_the_who_guideline_for_a_day_has_the_full_score() -> None:
    assert 4 * AT_25_C / MOLAR_MASS["coPpm"] == pytest.approx(3.5, abs=0.01)
    assert global_score({"coPpm": 3.5}) == 100


@pytest.mark.parametrize(
    ("rule", "field", "micrograms", "litres"),
    [
        ("no2", "no2", 200, AT_25_C),  # WHO 2021, 1 hour
        ("so2", "so2", 500, AT_25_C),  # WHO 2021, 10 minutes
        ("o3", "o3", 180, AT_20_C),  # Directive (EU) 2024/2881, information threshold
        ("o3-high", "o3", 240, AT_20_C),  # the same, alert threshold
    ],
)
def test_limits_of_gases_are_those_of_the_who_and_of_the_european_union(
    rule: str, field: str, micrograms: float, litres: float
) -> None:
    assert LIMITS[rule] == round(micrograms * litres / MOLAR_MASS[field])


def test_ozone_alarm_and_european_index_convert_alike() -> None:
    limit = LIMITS["o3"]
    assert limit is not None
    for ppb, value in ((limit - 0.1, 5), (limit + 0.5, 6)):  # 180 µg/m³ ends "very poor"
        [assessment] = [european.pollutant("o3", [ppb])]
        assert assessment.value == value


def test_limits_at_work_are_those_of_the_niosh_pocket_guide_and_of_the_european_union() -> None:
    niosh = {"co-ceiling": 200, "co2-work": 5000, "co2-danger": 30_000, "alcohol": 1000}
    europe = {"co-work": 20, "toluene": 50, "acetone": 500}  # Directives (EU) 2017/164, 2006/15/EC, 2000/39/EC
    assert LIMITS.items() >= (niosh | europe).items()


def test_explosive_limits_are_those_of_iso_iec_80079_20_1() -> None:
    assert hazards.LOWER_LIMIT_PPM == {"ch4Ppm": 44_000, "lpgPpm": 14_000}
    for name, field in (("ch4", "ch4Ppm"), ("lpg", "lpgPpm")):
        assert LIMITS[f"{name}-low"] == 0.1 * hazards.LOWER_LIMIT_PPM[field]
        assert LIMITS[f"{name}-high"] == 0.2 * hazards.LOWER_LIMIT_PPM[field]


@pytest.mark.parametrize(("ppm", "word"), [(999, "harmless"), (1000, "elevated"), (2000, "elevated"), (2001, "unacceptable")])
def test_carbon_dioxide_has_the_guide_values_of_the_uba_of_2008(ppm: float, word: str) -> None:
    rating = indoor.co2(ppm).rating
    assert rating is not None
    assert rating.word == f"level.co2.{word}"


@pytest.mark.parametrize(("milligrams", "ppb"), [(0.3, 65), (1, 220), (3, 660), (10, 2200)])
def test_organic_compounds_have_the_levels_of_the_uba_of_2007(milligrams: float, ppb: float) -> None:
    assert ppb / milligrams == pytest.approx(218, abs=3)  # as sensor makers convert
    assert [indoor.tvoc(value).value for value in (ppb, ppb + 1)] == [
        level := 1 + [65, 220, 660, 2200].index(int(ppb)),
        level + 1,
    ]


def texts() -> dict[str, str]:
    source = (REPO / "web" / "src" / "standards" / "messages.en.ts").read_text("utf-8")
    return dict(re.findall(r'^  "([\w.]+)": "(.*)",$', source, re.MULTILINE))


def test_limit_for_a_working_day_is_not_called_one_of_8_hours_because_niosh_means_up_to_10() -> None:
    assert texts()["level.co2.work"] == "Above the limit for a working day (NIOSH)"


@pytest.mark.parametrize(("word", "end_ppm"), [("level.co.30", 50), ("level.co.50", 100)])
def test_stay_in_carbon_monoxide_is_no_longer_than_the_who_guidelines_of_2010_allow(word: str, end_ppm: float) -> None:
    """35 mg/m³ for an hour and 100 mg/m³ for a quarter of one, and a power law through both."""
    low, high = (milligrams * AT_25_C / MOLAR_MASS["coPpm"] for milligrams in (35, 100))
    allowed = 60 * (end_ppm / low) ** (log(15 / 60) / log(high / low))
    [stay] = re.findall(r"stay (\d+) minutes at most", texts()[word])
    assert allowed - 3 < int(stay) <= allowed


RETIRED = ("IEC 60079-20-1", "ISO 10156", "onspicuous", "Go and look", "alarm point")
"""A replaced standard, words that are not those of a source, and what sends people to a fire."""


def test_no_text_has_the_words_that_misled() -> None:
    files = [
        *(REPO / "web" / "src").rglob("*.ts"), *(REPO / "bridge" / "air").rglob("*.py"),
        *(REPO / "bridge" / "alarms").rglob("*.py"), *(REPO / "docs").glob("*.md"), REPO / "config" / "alarms.toml",
    ]  # fmt: skip
    found = [(file.name, word) for file in files for word in RETIRED if word in file.read_text("utf-8").replace("80079", "")]
    assert found == []
