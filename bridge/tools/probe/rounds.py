"""Send readings through each input, and look for them at each output and in the store."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bridge.core.timestamp import iso
from bridge.tools.probe.inputs import Input
from bridge.tools.probe.listener import Listener, ReceivedReading
from bridge.tools.probe.readings import ProbeReading, ProbeReadings
from bridge.tools.probe.results import Failed, InputResult, PathResult, ProbeReport
from bridge.tools.probe.target import ProbeTarget

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SharedReading:
    """A reading sent through several inputs, and the `_id`s they returned."""

    reading: ProbeReading
    ids: set[str | None]


class Rounds:
    """Sends one reading at a time, so that none waits for another."""

    def __init__(
        self, target: ProbeTarget, readings: ProbeReadings, listeners: Sequence[Listener], report: ProbeReport
    ) -> None:
        self._target = target
        self._readings = readings
        self._listeners = listeners
        self._report = report
        self.stored = 0
        """Records in the store."""

    async def send(self, name: str, source: Input, *, timed: bool = True) -> None:
        """Send a reading through one input. The first one is not `timed`: it may establish connections."""
        reading, result = self._readings.next(), self._report.input(name)
        listening = [listener for listener in self._listeners if not listener.closed]
        for listener in listening:
            listener.expect(reading.key, name)
        result.acknowledges = source.acknowledges
        result.sent += 1
        started = time.monotonic()
        try:
            record_id = await source.send(reading)
        except Failed as error:
            result.refused += 1
            result.set_reason(error.with_remedy)
            return
        if timed:
            result.latencies.add(time.monotonic() - started)
        await self._wait_for_listeners(reading)
        record = await self._check_record(result, source, reading, record_id)
        for listener in listening:
            path = self._report.path(name, listener.name)
            received = self._check_delivery(path, listener, reading, record)
            if received is not None and timed:
                path.latencies.add(received.at - started)

    async def _wait_for_listeners(self, reading: ProbeReading) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._target.patience):
                for listener in self._listeners:
                    await listener.wait(reading.key)

    async def _check_record(
        self, result: InputResult, source: Input, reading: ProbeReading, record_id: str | None
    ) -> Record | None:
        """Return the stored record; None if there is not exactly one."""
        try:
            records = await self._find_records(reading)
            error = _record_error(records, reading, record_id, source.advice)
        except Failed as failure:
            records, error = [], failure.with_remedy
        if error:
            result.not_stored += 1
            result.set_reason(error)
        self.stored += len(records)
        return records[0] if len(records) == 1 else None

    async def _find_records(self, reading: ProbeReading) -> list[Record]:
        span = {"from": iso(reading.timestamp_ms), "to": iso(reading.timestamp_ms + 1)}
        response = await self._target.request("GET", "/api/v1/readings", device=reading.device, **span)
        records = response.expect(200).json.get("readings")
        if not isinstance(records, list) or not all({"_id", "seq"} <= record.keys() for record in records):
            raise Failed(f"{response.request}: the response has no readings with _id and seq")
        return records

    def _check_delivery(
        self, path: PathResult, listener: Listener, reading: ProbeReading, record: Record | None
    ) -> ReceivedReading | None:
        received = listener.take(reading.key)
        if received is None and record is None:
            return None  # a reading that is not stored is not delivered: the input has failed, not this output
        path.accepted += 1
        if received is None:
            path.reason = path.reason or listener.closed
            return None
        path.received += 1
        if difference := received.difference(reading, record):
            path.different += 1
            path.reason = path.reason or difference
        return received

    async def send_shared(self, inputs: Mapping[str, Input]) -> SharedReading:
        """Send the same reading through every input. Raises `Failed`.

        Check it after each input has delivered another reading, because a repetition may arrive until then.
        """
        reading = self._readings.next()
        for listener in self._listeners:
            listener.expect(reading.key, "")
        ids = {await source.send(reading) for source in inputs.values()}
        await self._wait_for_listeners(reading)
        return SharedReading(reading, ids - {None})

    async def check_shared(self, shared: SharedReading) -> str:
        """Check that it is one record and was received once by each listener. Raises `Failed`."""
        records = await self._find_records(shared.reading)
        self.stored += len(records)
        if {record["_id"] for record in records} != shared.ids | {record["_id"] for record in records[:1]}:
            raise Failed(f"stored {len(records)} times; the returned _ids are {', '.join(map(str, shared.ids))}")
        received = [listener.name for listener in self._listeners if listener.take(shared.reading.key)]
        repeated = [listener.name for listener in self._listeners if listener.repeats.pop("", 0)]
        missed = [listener.name for listener in self._listeners if listener.name not in received and not listener.closed]
        if missed or repeated:
            raise Failed(f"not received by {', '.join(missed) or 'none'}; received again by {', '.join(repeated) or 'none'}")
        return f"one record, received once by each of {len(received)} listeners"

    def finish(self) -> None:
        for listener in self._listeners:
            for name, count in listener.repeats.items():
                self._report.path(name, listener.name).repeated = count


def _record_error(records: Sequence[Record], reading: ProbeReading, record_id: str | None, advice: str) -> str:
    """Describe the first error of the stored records; empty if there is none."""
    if len(records) != 1:
        return f"stored {len(records)} times" if records else advice
    if record_id not in (None, records[0]["_id"]):
        return f"the returned _id is {record_id}, the stored one {records[0]['_id']}"
    different = [name for name, value in reading.values.items() if records[0].get(name) != value]
    return f"the stored value differs from the sent one: {', '.join(different)}" if different else ""
