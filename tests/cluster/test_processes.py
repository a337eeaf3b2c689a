"""Bridges of a cluster as processes that are killed and stopped: no message is lost, with a real broker and database."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pymongo
import pytest

from bridge.sources.mqtt.client import mqtt_sender
from tests.cluster.member import ALONE
from tests.senders import patient
from tests.servers import REPO, Mosquitto, freeze, until

MESSAGES = 2000
Database = pymongo.database.Database[dict[str, Any]]


class MemberProcess:
    """See `tests.cluster.member`."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._said = folder / f"{name}.txt"
        self._logged = folder / f"{name}.log"
        with self._said.open("w") as said, self._logged.open("w") as logged:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.member", *arguments], cwd=REPO, stdout=said, stderr=logged
            )

    @property
    def said(self) -> list[str]:
        return self._said.read_text().splitlines()

    @property
    def warnings(self) -> str:
        return self._logged.read_text()

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    async def says(self, *lines: str) -> None:
        await until(lambda: self.said == list(lines), what=f"{lines}; said {self.said}, logged {self.warnings}")


class Members:
    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._ends = ExitStack()
        self._started = 0

    def start(self, place: str = "") -> MemberProcess:
        self._started += 1
        member = MemberProcess(self._folder, f"member{self._started}", *self._arguments, place)
        self._ends.callback(member.end)
        return member

    def end(self) -> None:
        self._ends.close()


@pytest.fixture
def members(tmp_path: Path, broker_url: str, mongo_url: str) -> Iterator[Members]:
    members = Members(tmp_path, broker_url, mongo_url, "5")  # a busy machine may take a second to renew
    yield members
    members.end()


async def send(url: str, first: int, count: int) -> None:
    async with mqtt_sender(patient(url)) as sender:
        for at in range(first, first + count, 400):
            numbers = range(at, min(at + 400, first + count))
            await asyncio.gather(*(sender.publish("sensors/a/data", b"%d" % number) for number in numbers))


async def test_no_message_is_lost_when_a_bridge_is_killed_and_its_owner_returns(
    members: Members, broker_url: str, database: Database
) -> None:
    victim, survivor = members.start("1"), members.start("2")
    await victim.says("place 1")
    await survivor.says("place 2")
    sending = asyncio.create_task(send(broker_url, 0, MESSAGES))
    await until(lambda: database.taken.count_documents({}) > 100, what="some messages")
    victim.end()
    assert database.taken.count_documents({}) < MESSAGES, "some were on their way"
    await survivor.says("place 2", "adopted [1]")
    await sending
    await until(lambda: database.taken.count_documents({}) == MESSAGES, what="all messages")

    owner = members.start("1")
    await owner.says("place 1")
    await survivor.says("place 2", "adopted [1]", "adopted []")
    await send(broker_url, MESSAGES, 200)
    await until(lambda: database.taken.count_documents({}) == MESSAGES + 200, what="the messages for both")
    assert owner.warnings == ""
    assert [line for line in survivor.warnings.splitlines() if "place 1 has no live bridge" not in line] == []


async def test_no_message_is_lost_when_a_bridge_stands_still_and_awakes(
    members: Members, broker_url: str, database: Database
) -> None:
    sleeper, survivor = members.start("1"), members.start("2")
    await sleeper.says("place 1")
    await survivor.says("place 2")
    sending = asyncio.create_task(send(broker_url, 0, MESSAGES))
    await until(lambda: database.taken.count_documents({}) > 100, what="some messages")
    freeze(sleeper.process.pid)
    await sending
    await survivor.says("place 2", "adopted [1]")
    await until(lambda: database.taken.count_documents({}) == MESSAGES, what="all messages")

    sleeper.process.send_signal(signal.SIGCONT)
    await sleeper.says("place 1", "place 1")
    await survivor.says("place 2", "adopted [1]", "adopted []")
    await send(broker_url, MESSAGES, 200)
    await until(lambda: database.taken.count_documents({}) == MESSAGES + 200, what="the messages for both")
    assert "place 1 was lost to nobody: the lease was ended" in sleeper.warnings
    assert [line for line in sleeper.warnings.splitlines() if "bridge.sources.mqtt" in line] == []


# --- one bridge receives -------------------------------------------------------------------------------------------------


async def started_in_turn(members: Members) -> tuple[MemberProcess, MemberProcess]:
    first = members.start(ALONE)
    await first.says("receives")
    return first, members.start(ALONE)


async def test_messages_of_a_device_stay_in_order_when_the_bridge_that_receives_is_killed(
    members: Members, broker_url: str, database: Database
) -> None:
    victim, survivor = await started_in_turn(members)
    sending = asyncio.create_task(send(broker_url, 0, MESSAGES))
    await until(lambda: database.taken.count_documents({}) > 100, what="some messages")
    victim.end()
    await sending
    await survivor.says("receives")
    await until(lambda: database.taken.count_documents({}) == MESSAGES, what="all messages")
    numbers = [int(one["_id"]) for one in database.taken.find().sort("$natural", 1)]
    assert numbers == sorted(numbers)


async def test_bridge_that_receives_and_stands_still_is_followed_and_stands_by_when_it_awakes(
    members: Members, broker_url: str, database: Database
) -> None:
    sleeper, survivor = await started_in_turn(members)
    sending = asyncio.create_task(send(broker_url, 0, MESSAGES))
    await until(lambda: database.taken.count_documents({}) > 100, what="some messages")
    freeze(sleeper.process.pid)
    await sending
    await survivor.says("receives")
    await until(lambda: database.taken.count_documents({}) == MESSAGES, what="all messages")
    sleeper.process.send_signal(signal.SIGCONT)
    await until(lambda: "the MQTT session sensor-bridge was lost to" in sleeper.warnings, what="the report")
    await send(broker_url, MESSAGES, 200)
    await until(lambda: database.taken.count_documents({}) == MESSAGES + 200, what="the other messages")
    assert sleeper.said == ["receives"]
    assert [line for line in sleeper.warnings.splitlines() if "bridge.sources.mqtt" in line] == []


async def test_no_message_is_lost_when_the_broker_is_started_again(tmp_path: Path, mongo_url: str, database: Database) -> None:
    """A restart of Mosquitto 2.0 loses shared subscriptions, not this one."""
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    members = Members(tmp_path, broker.url, mongo_url, "5")
    try:
        await started_in_turn(members)
        await send(broker.url, 0, 200)
        broker.stop()
        broker.start()
        await send(broker.url, 200, 400)
        await until(lambda: database.taken.count_documents({}) == 600, what="all messages")
    finally:
        members.end()
        broker.kill()
