"""A process of a cluster with what receives in a bridge: `python -m tests.cluster.member BROKER STORE ADOPT_SECONDS [PLACE]`.

It acknowledges a message once its payload is in the collection `taken`. Prints its place each time that it takes one, and
`adopted [1]` whenever that changes. With the place `one`, one process at a time receives, and prints `receives` when it begins.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import pymongo
from pymongo.errors import BulkWriteError

from bridge.cluster.sessions.places import Places
from bridge.cluster.sessions.receiver import Receiver
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Outcome
from bridge.pipeline.intake import Intake
from bridge.pipeline.lease import this_process
from bridge.settings import MqttSettings, StoreSettings
from bridge.sources.mqtt.adopted import AdoptedSessions
from bridge.sources.mqtt.source import MqttSource
from bridge.stores import open_store
from tests.fakes import RecordingPublisher

ALONE = "one"
_DUPLICATE = 11000
_BATCH, _SECONDS = 20, 0.02  # at most 1,000 messages a second, so that some always wait


async def handle(intake: Intake, url: str) -> None:
    async with pymongo.AsyncMongoClient[dict[str, object]](url) as client:
        taken = client.get_default_database()["taken"]
        async for messages in intake:
            try:
                await taken.insert_many([{"_id": message.payload} for message in messages], ordered=False)
            except BulkWriteError as error:
                if {one["code"] for one in error.details["writeErrors"]} != {_DUPLICATE}:
                    raise
            for message in messages:
                message.origin.acknowledge(message, Outcome.STORED)
            await asyncio.sleep(_SECONDS)


async def receive(places: Places, source: MqttSource) -> None:
    while True:
        print("place", await places.take(), flush=True)
        await source.run(places.own)


async def receive_alone(receiver: Receiver, source: MqttSource) -> None:
    while True:
        await receiver.take()
        session = receiver.own
        assert session is not None
        if session.receives:
            print("receives", flush=True)
        await source.run(session)


async def main(broker_url: str, store_url: str, adopt_seconds: str, place: str = "") -> None:
    settings, seconds = MqttSettings.model_validate({"url": broker_url}), float(adopt_seconds)
    async with open_store(StoreSettings.model_validate({"url": store_url})) as store:
        await store.prepare()
        intake = Intake(Ledger(), qos0_limit=1000, batch_limit=_BATCH)
        is_alone = place == ALONE
        source = MqttSource(
            settings,
            intake,
            Health(("mqtt",)),
            memory=store,
            publisher=RecordingPublisher(),
            share=None if is_alone else "plant",
            watch_drops=False,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(handle(intake, store_url), name="handler")
            if is_alone:
                receiver = Receiver(store, "plant", settings.client_id, this_process("plant"), take_over_seconds=seconds)
                tasks.create_task(receive_alone(receiver, source), name="session")
                tasks.create_task(receiver.run(), name="receiver")
                return
            places = Places(store, "plant", wanted=int(place) if place else None, adopt_seconds=seconds)
            adopted = AdoptedSessions(source, intake, lambda: places.adopted)

            def on_change() -> None:
                print("adopted", list(places.adopted), flush=True)
                adopted.on_change()

            places.on_change = on_change
            tasks.create_task(receive(places, source), name="own session")
            tasks.create_task(places.run(), name="places")
            tasks.create_task(adopted.run(), name="adopted sessions")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(main(*sys.argv[1:]))
