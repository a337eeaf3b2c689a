"""The server judges as the page did, except where the page was wrong.

`page_assessments.json` was written by the page's own code before it was replaced: values, hourly means (age in hours, mean,
count) and the assessments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.air.averaging import HOUR_MS, HourlyMean
from bridge.air.judge import AirInput, assess

NOON_MS = 1_768_478_400_000
NOW_MS = NOON_MS + 20 * 60_000
CASES: list[dict[str, Any]] = orjson.loads(Path(__file__).with_name("page_assessments.json").read_bytes())

RENAMED = {
    "standard.iecMethane": "standard.isoMethane",
    "standard.iecButane": "standard.isoButane",
    "level.co2.conspicuous": "level.co2.elevated",
    "advice.co2.conspicuous": "advice.co2.elevated",
}


def hours_of(means: object) -> list[HourlyMean]:
    if isinstance(means, dict):
        means = [[age, means["same"], 60] for age in range(1, means["hours"] + 1)]
    assert isinstance(means, list)
    return [HourlyMean(NOON_MS - age * HOUR_MS, mean, count) for age, mean, count in means]


def corrected(case: dict[str, Any], page: dict[str, Any]) -> dict[str, Any] | None:
    """What the page should have said; None: it should have said nothing."""
    values = case["values"]
    page = {key: RENAMED.get(value, value) if isinstance(value, str) else value for key, value in page.items()}
    match page["key"]:
        case "index.co2" if values["co2"] >= 30_000:  # a value that kills was "fewer people, more fresh air"
            return page | {"level": 5, "levelKey": "level.co2.danger", "advice": "advice.co2.leave", "order": 6}
        case "index.co2" if values["co2"] >= 5000:
            return page | {"level": 4, "levelKey": "level.co2.work", "advice": "advice.co2.work", "order": 4}
        case "index.co.now" if values["coPpm"] >= 200:  # nobody may be exposed to 200 ppm
            word = "level.co.200" if values["coPpm"] < 300 else "level.co.300"
            return page | {"levelKey": word, "advice": "advice.co.call", "order": 6}
        case "index.eco2":  # an estimate was judged as CO2
            raised = values["eco2"] >= 1000
            words = (
                {"levelKey": "level.eco2.raised", "advice": "advice.eco2.raised"}
                if raised
                else {"levelKey": "level.eco2.usual"}
            )
            return page | {"standard": "standard.estimate", "level": int(raised), "order": int(raised)} | words
    return page


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["values"] | case["hours"])[:70])
def test_server_judges_as_the_page_did_except_where_it_was_wrong(case: dict[str, Any]) -> None:
    air = AirInput(NOW_MS, case["values"], {name: hours_of(means) for name, means in case["hours"].items()})
    expected = [corrected(case, one) for one in case["assessments"]]
    judged = [one.public() for one in assess(air)]
    assert [{key: one.get(key) for key in wanted} for one, wanted in zip(judged, expected, strict=True) if wanted] == expected
