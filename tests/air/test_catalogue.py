"""Every key that the bridge sends has a text on the page, and the page has no text that the bridge cannot send."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bridge.air import european, hazards, us_epa
from bridge.air.assessment import Assessment
from bridge.air.averaging import DAY_HOURS, HOUR_MS, HourlyMean
from bridge.air.judge import AirInput, AirScale, assess
from tests.servers import REPO

CATALOGUE = REPO / "web" / "src" / "standards" / "messages.en.ts"
NOW_MS = 1_768_478_400_000
WORDS = ("key", "standard", "averaging", "unit", "caveat", "levelKey", "advice")


def hours(mean: float) -> list[HourlyMean]:
    return [HourlyMean(NOW_MS - age * HOUR_MS, mean, 60) for age in range(1, DAY_HOURS + 1)]


LATEST: tuple[Mapping[str, object], ...] = (
    *({"coPpm": ppm} for ppm in (0, 30, 50, 100, 200, 300)),
    *({"co2": ppm} for ppm in (600, 1500, 2500, 6000, 35_000)),
    *({"eco2": ppm} for ppm in (600, 1500)),
    *({"tvoc": ppb} for ppb in (50, 100, 500, 1000, 3000)),
    *({"aqi": index, "aqiScale": "uba"} for index in range(1, 6)),
    *({"aqi": index, "aqiScale": "epa"} for index in (0, *(high for _, high in us_epa.INDEX_BANDS))),
    *({gas: limit * part} for gas, limit in hazards.LOWER_LIMIT_PPM.items() for part in (0, 0.1, 0.2, 1)),
    *({"flameDetected": flame} for flame in (True, False)),
    *({name: 1} for name in us_epa.SCALES),  # without hours
)


def inputs() -> Iterator[AirInput]:
    """Values of every class of every standard, each alone, because some hide others."""
    yield from (AirInput(NOW_MS, values) for values in LATEST)
    doses, standards = (0, 0.1, 0.5, 1), (hazards.EN_STANDARD, hazards.UL_STANDARD)
    yield from (AirInput(NOW_MS, {"coPpm": 40}, co_dose=dose, co_standard=standard) for dose in doses for standard in standards)
    yield from (AirInput(NOW_MS, {}, recent={"pm25": mean}) for mean in (0, 60, 300))
    for name, scale in us_epa.SCALES.items():
        ends = [high for _, high in scale.bands] + list(european.ENDS.get(name, ()))
        yield from (AirInput(NOW_MS, {}, {name: hours(mean)}) for mean in (0, *ends, *(end + 1 for end in ends)))


def judged() -> list[Assessment]:
    return [one for air in inputs() for scale in AirScale for one in assess(air, scale)]


def keys_of_the_bridge() -> set[str]:
    sent = {one.public()[word] for one in judged() for word in WORDS}
    return {key for key in sent if isinstance(key, str)}


def keys_of_the_page() -> set[str]:
    return set(re.findall(r'^  "([\w.]+)":', CATALOGUE.read_text("utf-8"), re.MULTILINE))


def test_page_and_bridge_have_the_same_keys() -> None:
    assert sorted(keys_of_the_page() - keys_of_the_bridge()) == []
    assert sorted(keys_of_the_bridge() - keys_of_the_page()) == []


def test_every_key_in_the_tables_is_among_those_judged() -> None:
    """A class added to a table must be reached by `inputs`, or its key is not compared."""
    source = "".join(file.read_text("utf-8") for file in (REPO / "bridge" / "air").glob("*.py"))
    named = set(re.findall(r'"((?:index|standard|averaging|unit|level|advice|caveat)\.[\w.]*\w)"', source))
    assert len(named) > 70
    assert sorted(named - keys_of_the_bridge()) == []
