"""Faults of the files of a SQLite store, while readings come by MQTT and HTTP."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.readings import id_of
from tests.faults.scenarios import Progress, Report, finish, wait_for_readings
from tests.faults.stage import SqliteStage
from tests.servers import until

IN_FLIGHT_SECONDS = 0.5
"""After this time an acknowledgement is of a reading that was stored after the fault."""
ENVIRONMENT = {"BRIDGE_HTTP__POST_SECONDS": "2"}


Change = Callable[[Path, Path], None]
"""Called with the file and a folder for what is kept."""


@dataclass(frozen=True)
class FileFault:
    """What happens to the file, what `/health/ready` must say of it, and how it is repaired."""

    name: str
    reason: str
    inject: Change
    repair: Change
    restart_before: bool = False
    """Whether the bridge is killed and started after the fault: what is open needs no rights."""
    restart_after: bool = False
    """Whether the file is gone, and only a restart takes a new one."""


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm")]


def _keep_links(path: Path, kept: Path) -> None:
    for file in _files(path):
        os.link(file, kept / file.name)


def _remove(path: Path, kept: Path) -> None:
    """Links keep what was stored until now; the verdict counts what is stored there later as lost."""
    _keep_links(path, kept)
    for file in _files(path):
        file.unlink()


def _remove_wal(path: Path, kept: Path) -> None:
    _keep_links(path, kept)
    _files(path)[1].unlink()


def _nothing(_path: Path, _kept: Path) -> None:
    """Leave all as it is: the restart repairs it."""


def _move_folder(path: Path, kept: Path) -> None:
    path.parent.rename(kept / "data")


def _move_folder_back(path: Path, kept: Path) -> None:
    (kept / "data").rename(path.parent)


def _replace(path: Path, kept: Path) -> None:
    path.rename(kept / path.name)
    path.touch()


def _put_back(path: Path, kept: Path) -> None:
    (kept / path.name).rename(path)


def _mode(mode: int) -> Change:
    return lambda path, _: path.parent.chmod(mode)


def _file_mode(mode: int) -> Change:
    return lambda path, _: path.chmod(mode)


FILE_FAULTS = {
    "removed": FileFault("file removed", "removed or moved", _remove, _nothing, restart_after=True),
    "wal-removed": FileFault("-wal removed", "-wal file was removed", _remove_wal, _nothing, restart_after=True),
    "moved": FileFault("folder moved away", "removed or moved", _move_folder, _move_folder_back),
    "replaced": FileFault("file replaced", "replaced by another", _replace, _put_back),
    "folder-rights": FileFault("folder without rights", "cannot be examined", _mode(0), _mode(0o700)),
    "file-rights": FileFault(
        "file read-only, SIGKILL", "file is read-only", _file_mode(0o400), _file_mode(0o600), restart_before=True
    ),
}


async def file_fault(
    folder: Path, progress: Progress, *, fault: FileFault, times: int = 5, seconds: float = 5, rate: int = 500
) -> Report:
    """While the fault lasts nothing is acknowledged and the bridge is not ready."""
    noticed: list[float] = []
    resumed: list[float] = []
    meanwhile = 0
    async with SqliteStage(folder, ENVIRONMENT).on() as stage, stage.load(rate), stage.poster.running():
        for n in range(times):
            progress(f"{fault.name}, {n + 1} of {times}, {stage.acknowledgements:,} acknowledged")
            await asyncio.sleep(2)
            kept = stage.folder / f"kept{n}"
            kept.mkdir()
            with stage.database.suspended():
                start = time.monotonic()
                fault.inject(stage.path, kept)
                if not stage.path.exists() and (kept / stage.path.name).exists():
                    stage.database.removed |= {row[0] for row in stage.database.readings_in(kept / stage.path.name)}
                if fault.restart_before:
                    stage.kill_bridge()
                    stage.start_bridge()
                await _until_not_ready_because(stage, fault.reason)
                noticed.append(time.monotonic() - start)
                await asyncio.sleep(max(start + IN_FLIGHT_SECONDS - time.monotonic(), 0))
                before = stage.acknowledgements
                await asyncio.sleep(seconds)
                meanwhile += stage.acknowledgements - before
                fault.repair(stage.path, kept)
                if fault.restart_after:
                    await stage.terminate_bridge()
                    stage.start_bridge()
                    await stage.ready()
            resumed.append(await wait_for_readings(stage))
        report = await finish(stage, f"SQLite: {fault.name} × {times}", f"{rate}/s, HTTP too", {}, {})
        stored = {row[0] for row in await stage.database.stored()} | stage.database.removed
        lost = sum(id_of(number) not in stored for number in stage.poster.acknowledged)
        report.measured = {
            "503 after s": max(noticed), "acknowledged meanwhile": meanwhile, "resumes s": max(resumed),
            "HTTP acknowledged": len(stage.poster.acknowledged), "HTTP lost": lost,
        }  # fmt: skip
        report.limits = {
            "503 after s": 30 if fault.restart_before else 10,
            "acknowledged meanwhile": 0,
            "resumes s": 5,
            "HTTP lost": 0,
        }
        return report


async def _until_not_ready_because(stage: SqliteStage, reason: str) -> None:
    async def said() -> bool:
        status, body = await stage.get("/health/ready")
        return status == 503 and reason in body.get("parts", {}).get("store", {}).get("reason", "")

    await until(said, 30, f"/health/ready says 503 because of {reason!r}")
