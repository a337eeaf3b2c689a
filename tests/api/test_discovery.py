"""Surveys of the broker's topics by HTTP, on a running bridge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_ingest import Poster, posting
from tests.cli.test_discover import LATEST, MESSAGES, publishing
from tests.conftest import StartBridge
from tests.servers import until

PATH = "/api/v1/discovery"


@pytest.fixture
async def poster(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Poster]:
    async with posting(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as one:
        yield one


async def surveyed(poster: Poster, seconds: float = 2.5) -> dict[str, Any]:
    status, _, _ = await poster.post({"seconds": seconds}, PATH)
    assert status == 202

    async def finished() -> bool:
        return bool((await poster.get(PATH))["state"] != "listening")

    await until(finished)
    answer: dict[str, Any] = await poster.get(PATH)
    return answer


async def test_each_finding_is_taken_in_with_one_request_and_all_values_arrive(poster: Poster, broker_url: str) -> None:
    async with publishing(broker_url, MESSAGES):
        before = await surveyed(poster)
        assert (before["state"], before["dropped"]) == ("finished", 0)
        for finding in before["findings"]:
            if finding["state"] == "new":
                body = {"pattern": finding["pattern"], "format": finding["format"]}
                status, _, _ = await poster.post(body, "/api/v1/subscriptions")
                assert status == 201

        async def there() -> bool:
            latest = (await poster.get("/api/v1/readings/latest"))["readings"]
            return {one["deviceId"] for one in latest} >= LATEST.keys()

        await until(there)
        after = await surveyed(poster)
        assert {one["state"] for one in after["findings"]} == {"subscribed", "no readings"}
        assert poster.bridge.ledger.account("mqtt").rejected == 0  # before the retained messages are removed by empty ones


async def test_results_are_there_while_it_listens_and_only_one_survey_runs(poster: Poster, broker_url: str) -> None:
    async with publishing(broker_url, MESSAGES):
        assert (await poster.get(PATH))["state"] == "idle"
        await poster.post({"seconds": 60}, PATH)
        status, answer, _ = await poster.post({"seconds": 60}, PATH)
        assert (status, "running already" in answer["detail"]) == (409, True)

        async def some() -> bool:
            now = await poster.get(PATH)
            return now["state"] == "listening" and len(now["findings"]) > 3

        await until(some)


@pytest.mark.parametrize("body", [{"seconds": 0}, {"seconds": 601}, {"seconds": "x"}, {"nonsense": 1}])
async def test_wrong_duration_is_refused(poster: Poster, body: Any) -> None:
    status, _, _ = await poster.post(body, PATH)
    assert status == 400
