"""10,000 hostile payloads in a stream of valid ones: the valid are stored, the others are quarantined with a reason."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import pymongo
import pytest

from bridge.settings import AccessSettings
from bridge.sources.mqtt.client import SENDER_WINDOW, mqtt_sender
from tests.access.parts import ACCESS
from tests.conftest import StartBridge
from tests.hostile import good, hostile
from tests.senders import patient
from tests.servers import until

HOSTILE, GOOD = 10_000, 2_000


@pytest.mark.parametrize("access", ACCESS)
async def test_10000_hostile_payloads_do_not_keep_valid_readings_from_being_stored(
    start_bridge: StartBridge,
    broker_url: str,
    mongo_url: str,
    database: pymongo.database.Database[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    access: AccessSettings,
) -> None:
    caplog.set_level(logging.INFO)
    source = random.Random(20261121)
    payloads = [("good", good(n)) for n in range(GOOD)] + [("bad", hostile(n, source)) for n in range(HOSTILE)]
    source.shuffle(payloads)
    async with start_bridge(broker_url, mongo_url, access=access, timeout_seconds=60) as bridge:
        line = bridge.ledger.account("mqtt")
        async with mqtt_sender(patient(broker_url)) as sender:
            for start in range(0, len(payloads), SENDER_WINDOW):
                part = payloads[start : start + SENDER_WINDOW]
                await asyncio.gather(*(sender.publish(f"sensors/d{n % 7}/data", one) for n, (_, one) in enumerate(part)))
        await until(lambda: line.received == GOOD + HOSTILE and not line.waiting, 60, "the end of the stream")
        assert bridge.ledger.as_dict() == {
            "mqtt": {
                "received": GOOD + HOSTILE, "stored": GOOD, "duplicate": 0, "rejected": HOSTILE, "ignored": 0, "dropped": 0,
                "waiting": 0, "readings": GOOD,
            }
        }  # fmt: skip
    assert database["readings"].count_documents({}) == GOOD
    quarantined = list(database["rejected"].find())
    assert sorted(one["payload"] for one in quarantined) == sorted(
        payload[:65536] for kind, payload in payloads if kind == "bad"
    )
    for one in quarantined:
        assert one["reason"].isprintable()
        assert one["reason"].isascii()
        assert 10 < len(one["reason"]) < 400
        assert one["topic"].startswith("sensors/d")
        assert one["source"] == "mqtt"
    assert {one["code"] for one in quarantined} == {"not_json", "not_object", "too_large", "no_measurement"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info]
