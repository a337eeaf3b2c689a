"""The file of a SQLite store that is removed, replaced, moved, or was never a database."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bridge.core.errors import StoreUnavailable
from bridge.core.query import ReadingsQuery
from bridge.ports import Store
from bridge.settings import HttpSettings, StoreSettings
from bridge.stores import open_store
from tests.conftest import StartBridge
from tests.servers import until
from tests.stores.test_store_contract import reading

NOBODY = 65534


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    async with open_store(StoreSettings.model_validate({"url": f"sqlite:///{path}"})) as store:
        await store.prepare()
        yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "bridge.db"


async def refused(store: Store, seq: int, text: str) -> None:
    """A write, a ping and a new connection are refused with `text`."""
    with pytest.raises(StoreUnavailable, match=text):
        await store.write([reading(seq, at=seq)], [], [])
    with pytest.raises(StoreUnavailable, match=text):
        await store.ping()
    with pytest.raises(StoreUnavailable, match=text):
        await store.count(ReadingsQuery())  # the first call of its thread


async def stored(path: Path) -> int:
    async with opened(path) as store:
        return await store.count(ReadingsQuery())


async def test_removed_file_makes_the_store_unavailable_and_is_not_created_again(path: Path) -> None:
    async with opened(path) as store:
        await store.write([reading(1)], [], [])
        path.unlink()
        await refused(store, 2, f"{path}: the file was removed or moved while the bridge runs.*or the bridge restarts")
        assert not path.exists()


async def test_replaced_file_makes_the_store_unavailable_until_the_original_is_back(path: Path) -> None:
    async with opened(path) as store:
        await store.write([reading(1)], [], [])
        with sqlite3.connect(path.with_name("new")) as other:
            other.execute("CREATE TABLE theirs (id)")
        other.close()
        path.rename(path.with_name("kept"))
        path.with_name("new").rename(path)
        before = path.read_bytes()
        await refused(store, 2, f"{path}: the file was replaced by another one")
        assert path.read_bytes() == before, "the other file is left alone"
        path.with_name("kept").rename(path)
        assert (await store.write([reading(2, at=2)], [], [])).stored == {2}
        assert await store.count(ReadingsQuery()) == 2
    assert await stored(path) == 2


async def test_file_is_not_mistaken_for_a_new_one_after_a_connection_closed(path: Path) -> None:
    """The number of a free inode is given to the next file."""
    async with opened(path) as store:
        with pytest.raises(StoreUnavailable, match="no such table"):
            await store._writer.change("INSERT INTO missing VALUES (1)")  # type: ignore[attr-defined]
        path.unlink()
        for _ in range(20):
            path.touch()
            await refused(store, 1, "the file was replaced by another one")
            path.unlink()


async def test_copied_file_does_not_count_as_the_original(path: Path) -> None:
    async with opened(path) as store:
        await store.write([reading(1)], [], [])
        shutil.copy2(path, path.with_name("copy"))
        path.with_name("copy").replace(path)
        await refused(store, 2, "the file was replaced by another one")


async def test_moved_folder_makes_the_store_unavailable_until_it_is_moved_back(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    async with opened(path) as store:
        await store.write([reading(1)], [], [])
        path.parent.rename(elsewhere)
        await refused(store, 2, f"its folder {path.parent} was removed or moved")
        path.parent.mkdir()
        await refused(store, 2, f"its folder {path.parent} was replaced")
        path.parent.rmdir()
        elsewhere.rename(path.parent)
        assert (await store.write([reading(2, at=2)], [], [])).stored == {2}
        await store.ping()
    assert await stored(path) == 2


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
async def test_removed_side_file_makes_the_store_unavailable_and_a_restart_loses_nothing(path: Path, ending: str) -> None:
    async with opened(path) as store:
        await store.write([reading(1)], [], [])
        side = path.with_name(path.name + ending)
        side.unlink()
        await refused(store, 2, f"its {ending} file was removed")
        side.touch()
        await refused(store, 3, f"its {ending} file was replaced")
        side.unlink()
    assert await stored(path) >= 1


async def test_side_files_may_change_while_no_connection_is_open(path: Path) -> None:
    """SQLite removes them with the last connection, and creates others with the next."""
    async with opened(path) as store:
        for seq in range(1, 4):
            assert (await store.write([reading(seq, at=seq)], [], [])).stored == {seq}
            with pytest.raises(StoreUnavailable, match="no such table"):
                await store._writer.change("INSERT INTO missing VALUES (1)")  # type: ignore[attr-defined]
            path.with_name("bridge.db-wal").touch()  # so that its inode differs
            path.with_name(f"other{seq}").touch()
        assert await store.count(ReadingsQuery()) == 3


async def test_store_behind_a_symbolic_link_is_watched_too(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "real").mkdir()
    path.symlink_to(tmp_path / "real" / "readings.db")
    async with opened(path) as store:
        assert (await store.write([reading(1)], [], [])).stored == {1}
        (tmp_path / "real" / "readings.db-wal").unlink()
        await refused(store, 2, "its -wal file was removed")


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder of this process's user, who has no privileges during the test: those of root ignore modes."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


async def test_folder_without_rights_makes_the_store_unavailable_until_they_are_restored(unprivileged_folder: Path) -> None:
    path = unprivileged_folder / "bridge.db"
    async with opened(path) as store:
        await store.write([reading(1)], [], [])
        unprivileged_folder.chmod(0)
        await refused(store, 2, "cannot be examined: Permission denied")
        unprivileged_folder.chmod(0o700)
        assert (await store.write([reading(2, at=2)], [], [])).stored == {2}
    assert await stored(path) == 2


async def test_file_that_became_read_only_is_named_when_it_is_opened_again(unprivileged_folder: Path) -> None:
    path = unprivileged_folder / "bridge.db"
    async with opened(path) as store:
        path.chmod(0o400)
        assert (await store.write([reading(1)], [], [])).stored == {1}, "safe in the file that is open"
        with pytest.raises(StoreUnavailable, match="no such table"):
            await store._writer.change("INSERT INTO missing VALUES (1)")  # type: ignore[attr-defined]
        with pytest.raises(StoreUnavailable, match="the file is read-only or not accessible for the bridge's user"):
            await store.write([reading(2, at=2)], [], [])
        path.chmod(0o600)
        unprivileged_folder.chmod(0o500)
        with pytest.raises(StoreUnavailable, match=f"its folder {unprivileged_folder} is read-only"):
            await store.write([reading(2, at=2)], [], [])
        unprivileged_folder.chmod(0o700)
        assert (await store.write([reading(2, at=2)], [], [])).stored == {2}
    assert await stored(path) == 2


async def test_bridge_acknowledges_nothing_after_its_database_was_removed(
    broker_url: str, path: Path, start_bridge: StartBridge, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bridge")
    http = HttpSettings(port=0, post_seconds=3)
    async with (
        start_bridge(broker_url, f"sqlite:///{path}", http=http) as bridge,
        aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as session,
    ):

        async def post(temperature: float) -> int:
            async with session.post("/api/v1/readings", json={"deviceId": "a", "temperature": temperature}) as response:
                return response.status

        assert await post(20) == 201
        kept = path.with_name("kept")
        path.rename(kept)
        assert await post(21) == 503
        async with session.get("/health/ready") as response:
            assert response.status == 503
            assert "the file was removed or moved" in (await response.json())["parts"]["store"]["reason"]
        assert bridge.ledger.as_dict()["http"] | {"stored": 1, "waiting": 1} == bridge.ledger.as_dict()["http"]
        kept.rename(path)
        await until(lambda: bridge.health.ready)
        assert await post(22) == 201
    lines = [record.getMessage() for record in caplog.records if "available" in record.getMessage()]
    assert "the file was removed or moved" in lines[0]
    assert lines[-1].endswith("store available again") or lines[-1] == "store: available again"
    assert len(lines) <= 4, "each part that writes may say it once"
    assert await stored(path) == 3


# --- what is no database ---------------------------------------------------------------------------------------------


async def test_folder_is_refused_and_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(StoreUnavailable, match=f"{folder}: is a folder: store.url .* must name a file"):
        await stored(folder)
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"x", b"x" * 511, b"hello, world\n" * 1000, b"SQLite format 2\0" + bytes(5000)])
async def test_file_that_is_no_database_is_refused_and_left_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(StoreUnavailable, match=f"{path}: is not a SQLite database and was left unchanged: store.url"):
        await stored(path)
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (content, 0o644)
    assert list(tmp_path.iterdir()) == [path]


async def test_pipe_and_socket_are_refused_and_keep_their_modes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o622)
    mode = pipe.stat().st_mode
    with pytest.raises(StoreUnavailable, match="is a pipe"):
        await stored(pipe)
    assert pipe.stat().st_mode == mode
    with socket.socket(socket.AF_UNIX) as listener, tempfile.TemporaryDirectory() as folder:
        listener.bind(f"{folder}/s")
        with pytest.raises(StoreUnavailable, match="is a socket"):
            await stored(Path(folder, "s"))


async def test_empty_file_becomes_a_database_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch(0o644)
    assert await stored(path) == 0
    assert path.stat().st_mode & 0o777 == 0o600


async def test_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match=str(tmp_path / "file")):
        await stored(tmp_path / "file" / "bridge.db")
