"""Readings sent by each way in, and looked for at each way out and in the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bridge.core.timestamp import iso
from bridge.tools.probe.findings import Failed, Findings, PathResult, WayInResult
from bridge.tools.probe.listener import Listener, ReceivedReading
from bridge.tools.probe.samples import ProbeReading, ProbeReadings
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.probe.ways_in import WayIn

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """One reading, sent by several ways, and the ids that were answered."""

    sample: ProbeReading
    identities: set[str | None]


class Rounds:
    """Sends one reading at a time, so that none waits for another."""

    def __init__(self, target: ProbeTarget, samples: ProbeReadings, listeners: Sequence[Listener], findings: Findings) -> None:
        """`stored` counts the records that were found; all of them stay."""
        self._target = target
        self._samples = samples
        self._listeners = listeners
        self._findings = findings
        self.stored = 0

    async def send(self, name: str, way: WayIn, *, timed: bool = True) -> None:
        """By one way in. The first one is not `timed`: connections are made for it, and new listeners wait a moment."""
        sample, entry = self._samples.next(), self._findings.entry(name)
        listening = [one for one in self._listeners if not one.closed]
        for listener in listening:
            listener.expect(sample.key, name)
        entry.acknowledges = way.acknowledges
        entry.sent += 1
        started = time.monotonic()
        try:
            identity = await way.send(sample)
        except Failed as error:
            entry.refused += 1
            entry.complain(_with(error))
            return
        if timed:
            entry.acknowledged.add(time.monotonic() - started)
        await self._heard(sample)
        record = await self._judge_record(entry, way, sample, identity)
        for listener in listening:
            delivery = self._findings.delivery(name, listener.name)
            heard = self._judge(delivery, listener, sample, record)
            if heard is not None and timed:
                delivery.latencies.add(heard.at - started)

    async def _heard(self, sample: ProbeReading) -> None:
        """Until all have heard it, or patience is at its end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._target.patience):
                for listener in self._listeners:
                    await listener.wait(sample.key)

    async def _judge_record(self, entry: WayInResult, way: WayIn, sample: ProbeReading, identity: str | None) -> Record | None:
        """The one record that is stored; None, and a complaint, if it is not that."""
        try:
            found = await self._records(sample)
            wrong = _wrong(found, sample, identity, way.advice)
        except Failed as error:
            found, wrong = [], _with(error)
        if wrong:
            entry.not_stored += 1
            entry.complain(wrong)
        self.stored += len(found)
        return found[0] if len(found) == 1 else None

    async def _records(self, sample: ProbeReading) -> list[Record]:
        span = {"from": iso(sample.timestamp_ms), "to": iso(sample.timestamp_ms + 1)}
        answer = await self._target.ask("GET", "/api/v1/readings", device=sample.device, **span)
        found = answer.expect(200).json.get("readings")
        if not isinstance(found, list) or not all({"_id", "seq"} <= record.keys() for record in found):
            raise Failed(f"{answer.path} answers without readings that have _id and seq")
        return found

    def _judge(
        self, delivery: PathResult, listener: Listener, sample: ProbeReading, record: Record | None
    ) -> ReceivedReading | None:
        heard = listener.take(sample.key)
        if heard is None and record is None:
            return None  # nobody hears what is not stored: the way in has failed, not this way out
        delivery.taken += 1
        if heard is None:
            delivery.why = delivery.why or listener.closed
            return None
        delivery.heard += 1
        if difference := heard.difference(sample, record):
            delivery.different += 1
            delivery.why = delivery.why or difference
        return heard

    async def send_together(self, ways: Mapping[str, WayIn]) -> Sent:
        """The same reading by every way in; raises `Failed`. Judged once each of them has brought another one behind it."""
        sample = self._samples.next()
        for listener in self._listeners:
            listener.expect(sample.key, "")
        identities = {await way.send(sample) for way in ways.values()}
        await self._heard(sample)
        return Sent(sample, identities - {None})

    async def judge_together(self, sent: Sent) -> str:
        """It is one record and was heard once by each listener; raises `Failed`."""
        records = await self._records(sent.sample)
        self.stored += len(records)
        if {record["_id"] for record in records} != sent.identities | {record["_id"] for record in records[:1]}:
            raise Failed(f"it is stored {len(records)} times; answered were the _ids {', '.join(map(str, sent.identities))}")
        heard = [one.name for one in self._listeners if one.take(sent.sample.key)]
        again = [one.name for one in self._listeners if one.repeats.pop("", 0)]
        missed = [one.name for one in self._listeners if one.name not in heard and not one.closed]
        if missed or again:
            raise Failed(f"not heard by {', '.join(missed) or 'none'}; heard again by {', '.join(again) or 'none'}")
        return f"one record, heard once by each of {len(heard)} listeners"

    def end(self) -> None:
        """Note what came more than once."""
        for listener in self._listeners:
            for name, count in listener.repeats.items():
                self._findings.delivery(name, listener.name).repeated = count


def _wrong(found: Sequence[Record], sample: ProbeReading, identity: str | None, advice: str) -> str:
    """What is, in words; empty if nothing."""
    if len(found) != 1:
        return f"stored {len(found)} times" if found else advice
    if identity not in (None, found[0]["_id"]):
        return f"answered was the _id {identity}, stored is {found[0]['_id']}"
    different = [name for name, value in sample.values.items() if found[0].get(name) != value]
    return f"{', '.join(different)} is stored with another value than was sent" if different else ""


def _with(error: Failed) -> str:
    return f"{error}; {error.remedy}" if error.remedy else str(error)
