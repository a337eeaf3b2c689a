"""The bands of charts are what values are judged by."""

from __future__ import annotations

import pytest

from bridge.air.bands import FieldBands, field_bands
from bridge.air.judge import AirScale
from tests.air.test_judge import judged

BANDS = [(scale, one) for scale in AirScale for one in field_bands(scale)]


@pytest.mark.parametrize(("scale", "bands"), BANDS, ids=[f"{scale}-{one.indicator.key}" for scale, one in BANDS])
def test_value_on_either_side_of_each_border_is_judged_as_its_band_says(scale: AirScale, bands: FieldBands) -> None:
    key, field = bands.indicator.key, bands.indicator.field
    is_index = field == "aqi"  # which is a whole number
    for number, band in enumerate(bands.bands):
        near = 0.0 if is_index else max(0.06, band.start / 1000)
        values: dict[str, object] = {field: band.start + near}
        if is_index:
            values["aqiScale"] = "uba" if key.endswith("uba") else "epa"
        assert judged(values, scale)[key]["levelKey"] == band.rating.word
        if number:
            values[field] = band.start - (near or 1.0)
            assert judged(values, scale)[key]["levelKey"] == bands.bands[number - 1].rating.word


@pytest.mark.parametrize("scale", AirScale)
def test_bands_rise_in_value_and_level_and_name_what_an_assessment_names(scale: AirScale) -> None:
    keys = [one.indicator.key for one in field_bands(scale)]
    assert len(keys) == len(set(keys))
    for one in field_bands(scale):
        starts, levels = [band.start for band in one.bands], [band.rating.level for band in one.bands]
        assert starts == sorted(set(starts))
        assert levels == sorted(levels)
        assert one.public()["standard"].startswith("standard.")
