"""The faults, each with its load and limits. `make faults` runs the long forms; the test suite runs short ones."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bridge.sources.mqtt.client import mqtt_sender
from tests.faults.proxy import Fault, FaultyProxy
from tests.faults.readings import id_of
from tests.faults.stage import MongoStage, Stage, Verdict, running_task
from tests.hostile import hostile
from tests.senders import patient
from tests.servers import missing, until

PROXY_FAULTS = (Fault.LATENCY, Fault.SLICES, Fault.BLACK_HOLE, Fault.RESET, Fault.HALF_OPEN, Fault.REFUSE)


@dataclass
class Report:
    """A row of the table: the fault, its load, the verdict, and further measurements with limits."""

    fault: str
    load: str
    verdict: Verdict
    measured: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.verdict.clean and all(self.measured[name] <= limit for name, limit in self.limits.items())


Progress = Callable[[str], None]


async def bridge_killed(folder: Path, progress: Progress, *, times: int = 30, count: int = 100_000, rate: int = 1000) -> Report:
    """SIGKILL of the bridge: at random, between store and acknowledgement, and between acknowledgement and publishing."""
    rng = random.Random(1)
    async with MongoStage(folder).on() as stage, stage.load(rate):
        for n in range(times):
            progress(f"kill {n + 1} of {times}, {stage.published:,} published")
            if n % 3 == 0:
                await asyncio.sleep(rng.uniform(0.1, 1))
            else:
                stage.kill_bridge()
                stage.start_bridge(f"{'after-store' if n % 3 == 1 else 'after-ack'}:{rng.randint(2, 40)}")
                await stage.bridge_died()
            stage.kill_bridge()
            stage.start_bridge()
            await stage.ready()
        progress(f"{times} kills done, waiting for the rest of the load")
        await until(lambda: stage.published >= count, count / rate + 60, f"{count} published")
        return await finish(stage, f"bridge SIGKILL × {times}", f"{stage.published:,} readings, {rate}/s", {}, {})


async def mongod_killed(
    folder: Path, progress: Progress, *, kills: int = 10, stops: int = 3, stop_seconds: float = 30, rate: int = 500
) -> Report:
    """SIGKILL of mongod, and SIGSTOP for `stop_seconds`."""
    resumed: list[float] = []
    noticed: list[float] = []
    async with MongoStage(folder).on() as stage, stage.load(rate):
        for n in range(kills):
            progress(f"mongod kill {n + 1} of {kills}")
            await asyncio.sleep(2)
            stage.mongod.kill()
            await asyncio.sleep(1)
            stage.mongod.start()
            resumed.append(await wait_for_readings(stage))
        for n in range(stops):
            progress(f"mongod stop {n + 1} of {stops}")
            await asyncio.sleep(2)
            stage.mongod.freeze()
            frozen = time.monotonic()
            noticed.append(await _until_not_ready(stage))
            await asyncio.sleep(max(frozen + stop_seconds - time.monotonic(), 0))
            stage.mongod.thaw()
            resumed.append(await wait_for_readings(stage))
        await asyncio.sleep(1)
        return await finish(
            stage, f"mongod SIGKILL × {kills}, stopped {stop_seconds:g} s × {stops}", f"{rate}/s",
            {"resumes s": max(resumed), "503 after s": max(noticed, default=0)}, {"resumes s": 5, "503 after s": 10},
        )  # fmt: skip


async def broker_killed(folder: Path, progress: Progress, *, kills: int = 10, rate: int = 500) -> Report:
    """SIGKILL of mosquitto."""
    resumed: list[float] = []
    async with MongoStage(folder).on() as stage, stage.load(rate):
        for n in range(kills):
            progress(f"mosquitto kill {n + 1} of {kills}")
            await asyncio.sleep(7)  # the broker saves its sessions every 5 s
            stage.broker.kill()
            stage.broker_died = True
            await asyncio.sleep(1)
            stage.broker.start()
            resumed.append(await wait_for_readings(stage))
        return await finish(
            stage, f"mosquitto SIGKILL × {kills}", f"{rate}/s", {"reconnects s": max(resumed)}, {"reconnects s": 5}
        )


async def links_faulty(
    folder: Path, progress: Progress, *, faults: tuple[Fault, ...] = PROXY_FAULTS, seconds: float = 8, rate: int = 500
) -> Report:
    """Each fault of the proxy on the MQTT link and on the MongoDB link."""
    resumed: list[float] = []
    half_open: list[float] = [0]
    async with MongoStage(folder).on() as stage, stage.load(rate):
        links: tuple[tuple[str, FaultyProxy], ...] = (("MQTT", stage.mqtt_link), ("MongoDB", stage.mongo_link))
        for name, link in links:
            for fault in faults:
                progress(f"{fault.value} on the {name} link")
                start = time.monotonic()
                link.set(fault)
                if fault is Fault.HALF_OPEN:
                    await wait_for_silence(stage)
                    await wait_for_readings(stage, 60)
                    half_open.append(time.monotonic() - start)
                else:
                    await asyncio.sleep(seconds)
                    link.set(Fault.NONE)
                    resumed.append(await wait_for_readings(stage, 60))
        return await finish(
            stage, f"{len(faults)} proxy faults on both links", f"{rate}/s",
            {"reconnects s": max(resumed), "half-open found s": max(half_open)}, {"reconnects s": 5, "half-open found s": 45},
        )  # fmt: skip


async def store_down(
    folder: Path,
    progress: Progress,
    *,
    seconds: float = 600,
    rate: int = 500,
    flood_rate: int = 2000,
    flood_seconds: float = 60,
) -> Report:
    """The database is unavailable for long, then a flood of QoS 0 follows."""
    memory: list[tuple[float, int]] = []
    async with MongoStage(folder).on() as stage:
        async with stage.load(rate):
            await asyncio.sleep(5)
            before = stage.memory_bytes()
            stage.mongod.kill()
            start = time.monotonic()
            while (elapsed := time.monotonic() - start) < seconds:
                progress(f"database down for {elapsed:.0f} of {seconds:g} s, {(stage.memory_bytes() - before) / 2**20:+.1f} MB")
                await asyncio.sleep(min(10, seconds))
        async with stage.watching_memory(memory):
            sent = await _flood(stage, flood_rate, flood_seconds)
            await until(lambda: _received_qos0(stage, sent), 60, "the flood has arrived")
            dropped = (await stage.answer("/websocket/status"))[1]["ledger"]["mqtt"]["dropped"]
            progress(f"{dropped:,} of {sent:,} QoS 0 dropped; the database starts")
            stage.mongod.start()
            report = await finish(
                stage, f"database down {seconds:g} s, then QoS 0 flood", f"{rate}/s, {flood_rate}/s",
                {}, {"memory +MB": 64, "QoS 0 miscounted": 0}, settle_seconds=600,
            )  # fmt: skip
        flooded = await stage.database.readings.count_documents({"deviceId": "flood"})
        report.measured = {
            "memory +MB": (max(size for _, size in memory) - before) / 2**20,
            "QoS 0 miscounted": abs(sent - dropped - flooded),
            "QoS 0 dropped": dropped,
        }
        return report


async def _received_qos0(stage: Stage, sent: int) -> bool:
    account = (await stage.get("/websocket/status"))[1].get("ledger", {}).get("mqtt", {})
    return bool(account) and account["dropped"] + min(sent, 10_000) >= sent


async def _flood(stage: Stage, rate: int, seconds: float) -> int:
    """Publish QoS 0 readings of a separate device; return how many were sent."""
    sent, start = 0, time.monotonic()
    async with mqtt_sender(patient(stage.broker.url)) as sender:
        while (elapsed := time.monotonic() - start) < seconds:
            while sent < elapsed * rate:
                payload = b'{"temperature": 1, "timestamp": %d}' % (1_700_000_000_000 + sent)
                await sender.publish("sensors/flood/data", payload, qos=0)
                sent += 1
            await asyncio.sleep(0.01)
    return sent


async def hostile_fifth(folder: Path, progress: Progress, *, count: int = 50_000, rate: int = 3000) -> Report:
    """One message in five is hostile."""
    source = random.Random(2)
    async with MongoStage(folder).on() as stage:
        await stage.database.rejected.create_index([("payload", "hashed")])  # every PUBACK is looked up
        bad = 0
        load = asyncio.create_task(stage.publish_for(rate * 4 // 5, count * 4 // 5))
        while not load.done():
            for _ in range(rate // 5 // 100):
                if bad < count // 5:
                    stage.publishers[bad % 5].publish(-1 - bad, b"sensors/d00/data", hostile(bad, source))
                    bad += 1
            await asyncio.sleep(0.01)
        while bad < count // 5:
            stage.publishers[bad % 5].publish(-1 - bad, b"sensors/d00/data", hostile(bad, source))
            bad += 1
            if bad % 200 == 0:
                await asyncio.sleep(0.01)
        progress("all sent")
        await stage.acknowledge()
        quarantined = await stage.database.rejected.count_documents({})
        return Report(
            "one message in five hostile", f"{count:,} messages", await stage.verdict(),
            {"bad not quarantined": bad - quarantined}, {"bad not quarantined": 0},
        )  # fmt: skip


async def bridge_terminated(folder: Path, progress: Progress, *, times: int = 20, rate: int = 1000) -> Report:
    """SIGTERM under load."""
    took: list[float] = []
    codes: list[int] = []
    async with MongoStage(folder).on() as stage, stage.load(rate):
        for n in range(times):
            await asyncio.sleep(1)
            seconds, code = await stage.terminate_bridge()
            progress(f"SIGTERM {n + 1} of {times}: {seconds:.2f} s, exit code {code}")
            took.append(seconds)
            codes.append(code)
            stage.start_bridge()
            await stage.ready()
        return await finish(
            stage, f"SIGTERM × {times}", f"{rate}/s",
            {"exit s": max(took), "exit codes not 0": sum(code != 0 for code in codes)}, {"exit s": 5, "exit codes not 0": 0},
        )  # fmt: skip


async def clock_jumps(
    folder: Path, progress: Progress, *, rate: int = 500, seconds: float = 5, offsets: Sequence[int] = (3600, 0, -3600, 0)
) -> Report:
    """The bridge's clock is an hour ahead, then an hour behind, with a restart in each; in the end a device falls silent.

    Each jump is said, `latest` advances, and silence is measured by a clock that nobody sets.
    """
    clock = folder / "clock"
    folder.mkdir(parents=True, exist_ok=True)
    clock.write_text("0")
    not_in_health, stuck = 0, 0
    async with (
        MongoStage(folder, environment={"BRIDGE_CLOCK": str(clock)}).on() as stage,
        stage.load(rate),
        running_task(_send(stage, "steady", 100_000), "load"),
    ):
        await asyncio.sleep(2)
        await wait_for_readings(stage)
        for offset in offsets:
            progress(f"clock {offset:+d} s")
            before = await _newest(stage)
            clock.write_text(str(offset))
            await asyncio.sleep(max(seconds, JUMP_NOTICED_SECONDS))
            not_in_health += not await _comes_true(partial(_clock_note, stage))
            stage.kill_bridge()
            stage.start_bridge()
            await stage.ready()
            await wait_for_readings(stage)
            await asyncio.sleep(seconds)
            stuck += not await _comes_true(partial(_is_newer, stage, before))
        progress("a device falls silent")
        silent = await _fall_silent(stage, clock)
        report = await finish(stage, "clock ± 1 h, SIGKILL in each", f"{rate}/s", {}, {})
        jumps = len(offsets) + 1
        report.measured = {
            "jumps not logged": jumps - stage.log_text().count("bridge: the clock was set"),
            "not in health": not_in_health,
            "no systemEvent": jumps - sum("clockJumpSeconds" in event["data"] for event in stage.listener.system_events),
            "latest stuck": stuck,
            "offline by mistake": sum(device != "silent" for _, device in stage.listener.offline),
            "silent device offline after s": silent,
        }
        report.limits = dict.fromkeys(report.measured, 0.0) | {"silent device offline after s": 15}
        return report


JUMP_NOTICED_SECONDS = 2.5
REPORTING_SECONDS = 1.2


async def _newest(stage: Stage) -> str:
    """Return the latest time of a device that sends all the time."""
    _, body = await stage.answer("/api/v1/readings/latest")
    return next((reading["timestamp"] for reading in body["readings"] if reading["deviceId"] == "d00"), "")


async def _is_newer(stage: Stage, before: str) -> bool:
    return await _newest(stage) > before


async def _comes_true(condition: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    """Return whether a condition holds within 15 s."""
    with suppress(AssertionError):
        await until(condition, 15)
        return True
    return False


async def _clock_note(stage: Stage) -> bool:
    _, body = await stage.answer("/health/ready")
    return "the clock was set" in body.get("parts", {}).get("clock", {}).get("reason", "")


async def _send(stage: Stage, device: str, count: int) -> None:
    """Send readings without a time, which are signs of life, with QoS 0, so that the verdict leaves them out."""
    async with mqtt_sender(patient(stage.broker.url)) as sender:
        for n in range(count):
            await sender.publish(f"sensors/{device}/data", b'{"temperature": %d}' % (n % 50), qos=0)
            await asyncio.sleep(REPORTING_SECONDS)


async def _fall_silent(stage: Stage, clock: Path) -> float:
    """Let a device send for a while, then never again while the clock jumps; return after how long it is offline."""
    await _send(stage, "silent", 6)
    last = time.monotonic() - REPORTING_SECONDS
    clock.write_text("3600")
    await until(lambda: any(device == "silent" for _, device in stage.listener.offline), 30, "the silent device is offline")
    return next(at for at, device in stage.listener.offline if device == "silent") - last


INDEXES = {"_id_": None, "seq": None, "device_timestamp": None, "retention": 3650 * 86_400}
"""Those of the readings, with their expiry in seconds."""


async def readings_dropped(
    folder: Path, progress: Progress, *, times: int = 2, rate: int = 500, retention_seconds: float = 60
) -> Report:
    """The collection of readings is dropped under load: later ones are stored, with indexes and expiry, and the log says so."""
    rebuilt: list[float] = []
    environment = {"BRIDGE_STORE__RETENTION_DAYS": "3650", "BRIDGE_RETENTION_SECONDS": str(retention_seconds)}
    async with MongoStage(folder, environment=environment).on() as stage, stage.load(rate):
        for n in range(times):
            await asyncio.sleep(3)
            with stage.database.suspended():
                await stage.database.drop("readings")
                dropped = time.monotonic()
                stage.database.removed.update(id_of(number) for number in range(stage.published))
            progress(f"readings dropped {n + 1} of {times}, {stage.published:,} published")
            await until(partial(_has_indexes, stage), retention_seconds + 60, "indexes and expiry are there again")
            rebuilt.append(time.monotonic() - dropped)
            await wait_for_readings(stage)
        report = await finish(stage, f"readings dropped × {times}", f"{rate}/s", {}, {})
        report.measured = {
            "indexes after s": max(rebuilt),
            "not logged": times - stage.log_text().count("mongodb: indexes missing: readings."),
        }
        report.limits = {"indexes after s": retention_seconds + 5, "not logged": 0}
        return report


async def _has_indexes(stage: MongoStage) -> bool:
    return await stage.database.indexes("readings") == INDEXES


async def disk_full(folder: Path, progress: Progress, *, rate: int = 500, seconds: float = 10) -> Report:
    """The database's disk fills up; if mongod exits, it is restarted once there is space."""
    disk = folder / "disk"
    with small_disk(disk, megabytes=500):
        async with MongoStage(folder, database=disk).on() as stage, stage.load(rate):
            await asyncio.sleep(3)
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(2**20)):
                    pass
            progress("the disk is full")
            await _until_not_ready(stage)
            await asyncio.sleep(seconds)
            filler.unlink()
            progress(f"space freed; mongod {'is running' if stage.mongod.is_running else 'has exited'}")
            if not stage.mongod.is_running:
                stage.mongod.start()
            resumed = await wait_for_readings(stage, 60)
            return await finish(stage, "disk full under the store", f"{rate}/s", {"resumes s": resumed}, {"resumes s": 5})


@contextmanager
def small_disk(at: Path, *, megabytes: int) -> Iterator[None]:
    """Mount a small file system in memory, which requires root."""
    at.mkdir(parents=True)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        missing(f"cannot mount a small disk: {mount.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


async def wait_for_silence(stage: Stage) -> None:
    """Wait until a client has received nothing for a second."""
    await until(lambda: time.monotonic() - stage.listener.last_at > 1, 10, "silence")


async def wait_for_readings(stage: Stage, seconds: float = 30) -> float:
    """Wait until a client receives readings again; return the seconds."""
    start = time.monotonic()
    await until(lambda: stage.listener.last_at > start, seconds, "readings are published again")
    return time.monotonic() - start


async def _until_not_ready(stage: Stage) -> float:
    start = time.monotonic()

    async def failing() -> bool:
        return (await stage.get("/health/ready"))[0] == 503

    await until(failing, 30, "/health/ready says 503")
    return time.monotonic() - start


async def finish(
    stage: Stage, fault: str, load: str, measured: dict[str, float], limits: dict[str, float], *, settle_seconds: float = 120
) -> Report:
    """Stop the load, wait for the acknowledgements, and report."""
    for task in asyncio.all_tasks():
        if task.get_name() == "load":
            task.cancel()
    await stage.acknowledge(settle_seconds)
    return Report(fault, load, await stage.verdict(), measured, limits)


Scenario = Callable[[Path, Progress], Coroutine[Any, Any, Report]]
SCENARIOS: dict[str, Scenario] = {
    "bridge-killed": bridge_killed,
    "mongod-killed": mongod_killed,
    "broker-killed": broker_killed,
    "links-faulty": links_faulty,
    "hostile": hostile_fifth,
    "terminated": bridge_terminated,
    "clock": clock_jumps,
    "readings-dropped": readings_dropped,
    "disk-full": disk_full,
    "store-down": store_down,
}
