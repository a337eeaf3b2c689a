"""The commands as real processes with real brokers: output and exit codes."""

from __future__ import annotations

import ast
import asyncio
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import socketio
from pydantic import SecretStr

from bridge import __version__
from bridge.app import Bridge
from bridge.settings import HttpSettings, MqttSettings, Settings, StoreSettings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.tools.local_broker import _amqtt
from bridge.tools.simulator import simulate
from tests import forked
from tests.conftest import StartBridge
from tests.forked import END_SECONDS
from tests.senders import patient
from tests.servers import REPO, Mosquitto, free_port, freeze, until

FEW_BYTES = 4096
"""Of a file: more than the output of a command, less than a page of SQLite with its header."""


def environ_of(more: dict[str, str]) -> dict[str, str]:
    """The environment of a command: this process's, without settings of a bridge but these."""
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith("BRIDGE_")}
    return own | {"PYTHONPATH": str(REPO), "COLUMNS": "200", **more}


class Command:
    """`sensor-bridge` as a process in its own folder; its output goes to files there."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        self._environ = environ_of(environ)
        self._process: asyncio.subprocess.Process

    async def start(self, *arguments: str, module: str = "bridge", terminal: int | None = None) -> None:
        """`terminal` becomes the controlling terminal of the process."""
        with self._path("out").open("wb") as out, self._path("err").open("wb") as err:
            command = (sys.executable, "-m", module, *arguments)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._folder,
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                pass_fds=() if terminal is None else (terminal,),
                preexec_fn=None if terminal is None else partial(fcntl.ioctl, terminal, termios.TIOCSCTTY, 0),
            )

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.txt"

    @property
    def out(self) -> str:
        return self._path("out").read_text("utf-8")

    @property
    def err(self) -> str:
        return self._path("err").read_text("utf-8")

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        return self._process.pid

    def press_ctrl_c(self) -> None:
        """Send SIGINT to the process group, as a terminal does."""
        os.killpg(self._process.pid, signal.SIGINT)

    async def until_busy_for(self, seconds: float) -> None:
        """Wait until Python catches SIGINT and has used `seconds` of CPU since then, or has logged something. On Linux only."""
        await until(lambda: self._catches(signal.SIGINT), what="a handler of SIGINT")
        begin = self._cpu_seconds()
        await until(
            lambda: not self.running or self.err or self._cpu_seconds() - begin >= seconds, what=f"{seconds:g} s of CPU"
        )

    def _catches(self, number: int) -> bool:
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)

    def _cpu_seconds(self) -> float:
        """Of all threads, in user and in kernel mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def end(self) -> int:
        async with asyncio.timeout(END_SECONDS):
            return await self._process.wait()

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def until_out(self, text: str) -> None:
        await until(lambda: text in self.out or not self.running, what=f"{text!r} on standard output")
        assert text in self.out, self.err


@asynccontextmanager
async def running(folder: Path, *arguments: str, **environ: str) -> AsyncIterator[Command]:
    """A running command; killed at the end if it has not exited."""
    folder.mkdir(parents=True, exist_ok=True)
    command = Command(folder, environ)
    await command.start(*arguments)
    try:
        yield command
    finally:
        await command.kill()


async def ended(folder: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a command that exits."""
    folder.mkdir(parents=True, exist_ok=True)
    code = await asyncio.to_thread(forked.run, folder, environ_of(environ), *arguments)
    return code, (folder / "out.txt").read_text("utf-8"), (folder / "err.txt").read_text("utf-8")


@contextmanager
def held_port() -> Iterator[int]:
    """A reserved port without a listener."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield int(reserved.getsockname()[1])


@contextmanager
def taken_port() -> Iterator[int]:
    """A port with a listener."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def get(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        body: dict[str, Any] = await response.json()
        return body


async def readings_at(port: int) -> list[dict[str, Any]]:
    try:
        latest = await get(f"http://127.0.0.1:{port}/api/v1/readings/latest")
    except (aiohttp.ClientError, OSError):
        return []
    readings: list[dict[str, Any]] = latest.get("readings", [])  # absent in the problem document of an unavailable store
    return readings


# --- the start of the process ----------------------------------------------------------------------------------------


def _python_in(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command from a process that first runs `script` in its working folder `folder`."""
    folder.mkdir()
    code = f"import os, sys; {script}; os.execv(sys.executable, [sys.executable, '-m', 'bridge', *sys.argv[1:]])"
    environ = {"BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}", "BRIDGE_STORE__TIMEOUT_SECONDS": "0.5"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environ_of(environ),
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )


REMOVED = "os.rmdir(os.getcwd())"


@pytest.mark.parametrize(
    "arguments",
    [("demo",), ("export", "out.ndjson"), ("import", "in.ndjson"), ("check",), ("simulate",), ("run", "--config", "x.toml")],
    ids=" ".join,
)
async def test_command_in_a_removed_folder_fails_with_a_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = await asyncio.to_thread(_python_in, tmp_path / "gone", REMOVED, *arguments)
    assert ran.returncode in (1, 2)
    assert "Traceback" not in ran.stderr
    assert ran.stderr.strip() or "fails" in ran.stdout


UNREADABLE = "import ctypes; [ctypes.CDLL(None).prctl(24, right, 0, 0, 0) for right in (1, 2)]; os.chmod('.', 0)"
"""For root too: it gives up the capabilities to read what its modes do not allow."""


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
@pytest.mark.parametrize("arguments", [("run",), ("demo",), ("check",), ("export", "out.ndjson")], ids=" ".join)
async def test_command_in_an_unreadable_folder_fails_with_a_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = await asyncio.to_thread(_python_in, tmp_path / "closed", UNREADABLE, *arguments)
    (tmp_path / "closed").chmod(0o700)
    assert ran.returncode in (1, 2)
    assert "Traceback" not in ran.stderr
    assert "must not be read by this user: start the command in another folder" in ran.stderr + ran.stdout


# Python itself starts in 0.03 s of CPU, and the bridge in 1.2 s: wall time would be another moment on a busy machine.
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("cpu_seconds", [0.15, 0.3, 0.5, 0.8])
async def test_ctrl_c_in_the_first_second_is_exit_code_130_without_a_traceback(cpu_seconds: float, tmp_path: Path) -> None:
    environ = {"BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}", "BRIDGE_HTTP__PORT": str(free_port())}
    async with running(tmp_path, "run", **environ, BRIDGE_STORE__URL="sqlite:///bridge.db") as command:
        await command.until_busy_for(cpu_seconds)
        command.press_ctrl_c()
        code = await command.end()
        assert code == 130 or (code == 0 and "bridge: stopped" in command.err), command.err
        assert "Traceback" not in command.err


def test_entry_imports_nothing_that_takes_time() -> None:
    code = "import sys; before = set(sys.modules); import bridge.cli.main; print(sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    imported = set(ast.literal_eval(ran.stdout))
    assert {name for name in imported if name.startswith("bridge")} == {"bridge", "bridge.cli", "bridge.cli.main"}
    assert not imported & {"typer", "rich", "asyncio", "pydantic", "logging", "pathlib"}


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["version", "--version"])
async def test_version_is_printed(argument: str, tmp_path: Path) -> None:
    assert await ended(tmp_path, argument) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("command", ["run", "demo", "simulate"])
async def test_all_wrong_settings_are_printed_at_once(command: str, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text("[http]\nprot = 1\n")
    wrong = {"BRIDGE_HTTP__PORT": "x", "BRIDGE_LOG__LEVEL": "[/red]", "BRIDGE_MQTT__URL": "mqtt://user:hunter2"}
    code, out, err = await ended(tmp_path, command, "--config", "bridge.toml", **wrong)
    assert code == 2
    assert out == ""
    assert "environment BRIDGE_HTTP__PORT: http.port = 'x'" in err
    assert "environment BRIDGE_LOG__LEVEL: log.level = '[/red]'" in err
    assert "bridge.toml:2: http.prot: is not a setting" in err
    assert "environment BRIDGE_MQTT__URL: mqtt.url: " in err
    assert len(err.splitlines()) == 5
    assert "hunter2" not in err


# --- check -----------------------------------------------------------------------------------------------------------


async def test_check_succeeds_when_everything_is_available(tmp_path: Path, broker_url: str) -> None:
    store = f"sqlite:///{tmp_path}/bridge.db"
    port = str(free_port())
    code, out, err = await ended(
        tmp_path / "run", "check", BRIDGE_MQTT__URL=broker_url, BRIDGE_STORE__URL=store, BRIDGE_HTTP__PORT=port
    )
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["ok"] * 5 + ["→"]


async def test_check_names_each_failure_with_a_remedy(tmp_path: Path) -> None:
    unused = free_port()
    (tmp_path / "file").write_text("")
    with taken_port() as taken:
        code, out, err = await ended(
            tmp_path / "run",
            "check",
            BRIDGE_MQTT__URL=f"mqtt://user:hunter2@127.0.0.1:{unused}",
            BRIDGE_STORE__URL=f"sqlite:///{tmp_path}/file/bridge.db",
            BRIDGE_HTTP__PORT=str(taken),
        )
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith("ok ")
    for line, failing, remedy in zip(
        (1, 3, 5),
        (f"broker mqtt://127.0.0.1:{unused}", f"store sqlite:///{tmp_path}/file/bridge.db", f"port {taken} on 127.0.0.1"),
        ("BRIDGE_MQTT__URL", "BRIDGE_STORE__URL", "BRIDGE_HTTP__PORT"),
        strict=True,
    ):
        assert lines[line].startswith(f"fails {failing}: ")
        assert remedy in lines[line + 1]
    assert "hunter2" not in out


def overlapping(*patterns: str) -> str:
    return orjson.dumps([{"pattern": pattern} for pattern in patterns]).decode()


async def test_check_names_overlapping_subscriptions(tmp_path: Path, broker_url: str) -> None:
    code, out, _ = await ended(
        tmp_path / "run",
        "check",
        BRIDGE_MQTT__URL=broker_url,
        BRIDGE_MQTT__SUBSCRIPTIONS=overlapping("a/{deviceId}/{field}", "a/{deviceId}/data", "{site}/{deviceId}/data"),
        BRIDGE_STORE__URL="sqlite:///bridge.db",
        BRIDGE_HTTP__PORT="0",
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[1] == f"ok    broker {broker_url}: accepts connections and 2 subscriptions, MQTT 5"
    assert lines[2].startswith("      → a/{deviceId}/data is never used: a/{deviceId}/{field} matches the same topics")
    assert all(line.startswith("      → ") for line in lines[2:5])


async def test_check_reports_a_refused_subscription(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                first, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                if first >> 4 == 1:
                    writer.write(b"\x20\x03\x00\x00\x00")
                elif first >> 4 == 8:
                    writer.write(b"\x90\x04" + body[:2] + b"\x00" + (b"\x87" if b"home" in body else b"\x01"))
        writer.close()

    broker = await asyncio.start_server(serve, "127.0.0.1", 0)
    code, out, _ = await ended(
        tmp_path / "run",
        "check",
        BRIDGE_MQTT__URL=f"mqtt://127.0.0.1:{broker.sockets[0].getsockname()[1]}",
        BRIDGE_MQTT__SUBSCRIPTIONS=overlapping("home/{deviceId}", "lab/{deviceId}"),
        BRIDGE_STORE__URL="sqlite:///bridge.db",
        BRIDGE_HTTP__PORT="0",
    )
    broker.close()
    assert code == 1
    assert "the broker refuses to subscribe to home/+ (Not authorized)\n" in out
    assert "      → permit it for this user, or change mqtt.subscriptions" in out


async def test_check_says_what_to_set_for_a_broker_of_mqtt_3_1_1(tmp_path: Path) -> None:
    port = free_port()
    async with _amqtt("127.0.0.1", port):
        url = f"mqtt://127.0.0.1:{port}"
        environ = {"BRIDGE_MQTT__URL": url, "BRIDGE_STORE__URL": "sqlite:///bridge.db", "BRIDGE_HTTP__PORT": "0"}
        code, out, _ = await ended(tmp_path / "run", "check", **environ)
    assert code == 0
    assert f"broker {url}: accepts connections and 4 subscriptions, MQTT 3.1.1" in out
    assert '→ the broker does not support MQTT 5: set mqtt.protocol (BRIDGE_MQTT__PROTOCOL) to "3.1.1"' in out


async def test_check_reports_an_unavailable_database_within_its_deadline(tmp_path: Path, broker_url: str) -> None:
    code, out, err = await ended(
        tmp_path / "run",
        "check",
        BRIDGE_MQTT__URL=broker_url,
        BRIDGE_STORE__URL=f"mongodb://user:hunter2@127.0.0.1:{free_port()}/sensors",
        BRIDGE_STORE__TIMEOUT_SECONDS="0.5",
        BRIDGE_HTTP__PORT="0",
    )
    assert (code, err) == (1, "")
    assert "fails store mongodb://127.0.0.1:" in out
    assert "hunter2" not in out


async def test_check_prints_wrong_settings(tmp_path: Path) -> None:
    code, out, err = await ended(tmp_path, "check", BRIDGE_HTTP__PORT="[/red]")
    assert (code, err) == (2, "")
    assert "environment BRIDGE_HTTP__PORT: http.port = '[/red]'" in out


@pytest.mark.parametrize(
    ("environ", "texts"),
    [
        ({"BRIDGE_HTTP__TLS__CERT_FILE": "/absent.pem"}, ["http.tls: /absent.pem: "]),
        ({"BRIDGE_MQTT__URL": "mqtts://127.0.0.1:1", "BRIDGE_MQTT__TLS__CA_FILE": "text"}, ["mqtt.tls: text: "]),
        (
            {
                "BRIDGE_MQTT__URL": "mqtts://127.0.0.1:1",
                "BRIDGE_MQTT__TLS__CERT_FILE": "/absent.pem",
                "BRIDGE_HTTP__TLS__CERT_FILE": "text",
                "BRIDGE_HTTP__TLS__KEY_FILE": "key",
            },
            ["mqtt.tls: /absent.pem: ", "http.tls: text, key: "],
        ),
    ],
    ids=["port", "broker", "both"],
)
@pytest.mark.parametrize("command", ["run", "check", "demo"])
async def test_certificate_that_cannot_be_used_is_a_wrong_setting(
    tmp_path: Path, command: str, environ: dict[str, str], texts: list[str]
) -> None:
    (tmp_path / "text").write_text("no certificate")
    usual = {"BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}", "BRIDGE_HTTP__PORT": "0"}
    code, out, err = await ended(tmp_path, command, **usual | environ)
    assert code == 2
    assert all(text in out + err for text in texts)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mongodb://user:hunter2#x@127.0.0.1/sensors", "a / ? or # in the user or password must be written %2F %3F %23"),
        ("mongodb://user:hunter2@home@127.0.0.1/sensors", "an @ : or % in the user or password must be written %40 %3A %25"),
        ("mongodb://user:hunter2%@127.0.0.1/sensors", "an @ : or % in the user or password must be written %40 %3A %25"),
        ("mongodb://:hunter2@127.0.0.1/sensors", "store.url (BRIDGE_STORE__URL): the driver refuses it"),
        ("mongodb://user:hunter2@127.0.0.1/a b", "store.url (BRIDGE_STORE__URL): the driver refuses it"),
        (
            "mongodb://user:hunter2@a,b/?directConnection=true",
            "store.url (BRIDGE_STORE__URL): the driver refuses it",
        ),
    ],
)
@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_wrong_database_url_is_one_sentence_without_the_password(
    tmp_path: Path, url: str, reason: str, driver: str
) -> None:
    environ = {"BRIDGE_STORE__URL": url, "BRIDGE_STORE__DRIVER": driver, "BRIDGE_HTTP__PORT": "0"}
    environ |= {"BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}"}
    code, out, err = await ended(tmp_path / "run", "run", **environ)
    assert (code, out) == (2, "")
    assert reason in err
    assert "hunter2" not in err
    assert len(err.splitlines()) == 2, err
    code, out, err = await ended(tmp_path / "check", "check", **environ)
    assert (code, err) == (2, "")
    assert reason in out
    assert "hunter2" not in out


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:3000", "must begin with http:// or https://"),
        ("http://[::1", "not a URL"),
        ("http://a..b:3000", "the host is not a name"),
        ("http://localhost:99999", "a number from 1 to 65535"),
        ("http://user:hunter2@localhost:3000", "must not contain a user or password; use --token"),
        ("http://user:hunter2@x@localhost:3000", "must not contain a user or password; use --token"),
        ("http://user:hunter2/@localhost:3000", "must"),
        ("", "must begin with http:// or https://"),
    ],
)
@pytest.mark.parametrize("command", ["tail", "command a b"])
async def test_wrong_url_of_a_bridge_is_one_sentence_without_the_password(
    tmp_path: Path, command: str, url: str, reason: str
) -> None:
    code, out, err = await ended(tmp_path, *command.split(), "--url", url)
    assert (code, out) == (2, "")
    assert reason in " ".join(err.replace("│", "").split())
    assert "hunter2" not in err


@pytest.mark.parametrize("command", ["probe", "bench --broker mqtt://127.0.0.1:1"])
async def test_url_with_a_password_is_refused_without_printing_it(tmp_path: Path, command: str) -> None:
    for url in ("http://user:hunter2@localhost:3000", "http://user:hunter2@[::1", "ftp://user:hunter2/@localhost"):
        code, out, err = await ended(tmp_path, *command.split(), "--url", url)
        assert (code, out) == (1, "")
        assert err.splitlines() == [
            "--url: must not contain a user or password: use --token or --token-file; expected http://host:3000"
        ]


# --- demo ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def demo(folder: Path, history_days: int = 0) -> AsyncIterator[tuple[Command, int, int]]:
    """The demo on free ports; yields the command, the HTTP port and the broker's port."""
    http, mqtt = free_port(), free_port()
    environ = {"BRIDGE_HTTP__PORT": str(http), "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{mqtt}"}
    async with running(folder, "demo", "--sensors", "6", "--history-days", str(history_days), **environ) as command:
        await command.until_out("Press Ctrl-C to stop everything.")
        try:
            yield command, http, mqtt
        finally:
            if command.running:  # so that it stops its broker
                command.signal(signal.SIGTERM)
                await command.end()


async def test_demo_prints_its_addresses_and_stores_readings(tmp_path: Path) -> None:
    async with demo(tmp_path) as (command, http, mqtt):
        for text in (
            f"http://localhost:{http}",
            f"mqtt://127.0.0.1:{mqtt}",
            "sqlite:///data/bridge.db",
            "6 simulated",
            f"mosquitto_pub -p {mqtt}",
            "pages on localhost and pages opened from a file may read; others: BRIDGE_HTTP__CORS_ORIGINS=",
        ):
            assert text in command.out
        await until(lambda: _have_readings(http, devices=2), what="readings")
        await until(lambda: _stored_more(http, 2), what="their account")
        ledger = (await get(f"http://127.0.0.1:{http}/websocket/status"))["ledger"]["mqtt"]
        assert ledger["rejected"] == ledger["dropped"] == 0


async def _have_readings(port: int, devices: int) -> bool:
    return len(await readings_at(port)) >= devices


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
async def test_signal_stops_the_demo_and_its_broker(number: signal.Signals, tmp_path: Path) -> None:
    async with demo(tmp_path) as (command, http, mqtt):
        await until(lambda: _have_readings(http, devices=1), what="readings")
        assert answers(mqtt)
        command.signal(number)
        assert await command.end() == 0
        assert "stopping" in command.out
        assert "Traceback" not in command.err
        assert "WARNING" not in command.err
        assert "ERROR" not in command.err
        assert not answers(mqtt)
        assert not answers(http)


async def test_demo_writes_its_history_once(tmp_path: Path) -> None:
    async with demo(tmp_path, history_days=1) as (command, http, _):
        assert "simulated readings of the last day written" in command.out
        await until(lambda: _ready(http), what="the store")  # the addresses are printed before
        body = await get(f"http://127.0.0.1:{http}/api/v1/readings?device=kitchen&limit=1&since=0")
        assert body["readings"][0]["extra"] == {"simulated": True}
    async with demo(tmp_path, history_days=1) as (command, _, _):
        assert "history" not in command.out


async def test_second_start_of_the_demo_shows_no_alarm(tmp_path: Path) -> None:
    for _ in range(2):
        async with demo(tmp_path) as (_, http, _):
            await until(partial(_stored_more, http, 20), what="readings of this start")
            body = await get(f"http://127.0.0.1:{http}/api/v1/alarms")
            assert [one["message"] for one in body["alarms"]] == []


async def test_broker_ends_with_a_demo_that_is_killed(tmp_path: Path) -> None:
    async with demo(tmp_path) as (command, _, mqtt):
        assert answers(mqtt)
        await command.kill()
        await until(lambda: not answers(mqtt), what="the broker's end")


def broker_pid(folder: Path) -> int | None:
    """The process of the demo's broker."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[0].endswith(b"mosquitto") and path.with_name("cwd").resolve() == folder.resolve():
                return int(path.parent.name)
    return None


async def test_killed_broker_is_started_again_and_readings_resume(tmp_path: Path) -> None:
    async with demo(tmp_path) as (command, http, _):
        await until(lambda: _have_readings(http, devices=1), what="readings")
        first = broker_pid(tmp_path)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await command.until_out("broker: mosquitto was ended by SIGKILL: starting it again in 0.5 s")
        await command.until_out("broker: mosquitto runs again")
        second = broker_pid(tmp_path)
        assert second not in (None, first)
        before = await _stored(http)
        await until(lambda: _stored_more(http, before + 20), what="readings again")
        command.signal(signal.SIGTERM)
        assert await command.end() == 0
        assert "Traceback" not in command.err
        await until(lambda: broker_pid(tmp_path) is None, what="the broker's end")


async def _stored(port: int) -> int:
    ledger = (await get(f"http://127.0.0.1:{port}/websocket/status"))["ledger"]
    return int(ledger["mqtt"]["stored"]) if "mqtt" in ledger else 0


async def _stored_more(port: int, count: int) -> bool:
    return await _stored(port) >= count


async def test_ctrl_c_in_a_terminal_stops_the_broker_after_the_bridge(tmp_path: Path) -> None:
    async with demo(tmp_path) as (command, http, mqtt):
        await until(lambda: _have_readings(http, devices=1), what="readings")
        command.press_ctrl_c()
        assert await command.end() == 0
        assert "Traceback" not in command.err
        assert "WARNING" not in command.err
        assert not answers(mqtt)


async def test_demo_check_and_bench_work_over_ipv6_alone(tmp_path: Path) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    http, mqtt = free_port(), free_port()
    environ = {"BRIDGE_HTTP__HOST": "::1", "BRIDGE_HTTP__PORT": str(http), "BRIDGE_MQTT__URL": f"mqtt://[::1]:{mqtt}"}
    async with running(tmp_path / "run", "demo", "--history-days", "0", **environ) as command:
        await until(lambda: "Press Ctrl-C" in command.out, seconds=60, what="the demo")
        assert f"mqtt://[::1]:{mqtt}" in command.out
        url = f"http://[::1]:{http}"

        async def has_readings() -> bool:
            return len((await get(f"{url}/api/v1/readings/latest")).get("readings", [])) == 3

        await until(has_readings, what="readings of the simulated sensors")
        code, out, _ = await ended(tmp_path / "check", "check", **environ)
        assert code == 1
        assert f"broker mqtt://[::1]:{mqtt}: accepts connections" in out
        assert f"ok    port {http} on ::1: in use by a running bridge\n" in out
        code, out, err = await ended(
            tmp_path / "bench", "bench", "steady", "--url", url, "--broker", f"mqtt://[::1]:{mqtt}", "--seconds", "1", **environ
        )
        assert code == 0, out + err


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_demo_on_a_taken_http_port_prints_one_line_and_stops_the_broker(tmp_path: Path) -> None:
    mqtt = free_port()
    with taken_port() as taken:
        environ = {"BRIDGE_HTTP__PORT": str(taken), "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{mqtt}"}
        code, _, err = await ended(tmp_path, "demo", "--history-days", "0", **environ)
    assert code == 1
    [line] = [line for line in err.splitlines() if " INFO " not in line]
    assert f"port {taken} on 127.0.0.1 is in use" in line
    assert "BRIDGE_HTTP__PORT" in line
    assert not answers(mqtt)


async def test_demo_on_a_taken_broker_port_prints_one_line(tmp_path: Path) -> None:
    with taken_port() as taken:
        environ = {"BRIDGE_HTTP__PORT": "0", "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{taken}"}
        code, out, err = await ended(tmp_path, "demo", **environ)
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert f"port {taken} on 127.0.0.1" in line
    assert "BRIDGE_MQTT__URL=mqtt://" in line


# --- simulate and tail -----------------------------------------------------------------------------------------------


async def test_simulate_publishes_the_count_and_then_offline_statuses(
    tmp_path: Path, broker_url: str, start_bridge: StartBridge
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        arguments = ("simulate", "--count", "20", "--seed", "1", "--rate", "500", "--devices", "4")
        code, out, err = await ended(tmp_path / "run", *arguments, BRIDGE_MQTT__URL=broker_url)
        assert (code, err) == (0, "")
        assert "4 devices" in out
        assert "seed 1" in out
        account = bridge.ledger.account("mqtt")
        await until(lambda: account.stored == 28 and not account.waiting, what="20 readings and 8 statuses")
        assert account.received == 28
        assert len(await readings_at(bridge.port)) == 4


async def test_simulate_without_a_broker_prints_one_line(tmp_path: Path) -> None:
    with held_port() as port:
        code, _, err = await ended(tmp_path, "simulate", "--count", "1", BRIDGE_MQTT__URL=f"mqtt://127.0.0.1:{port}")
    assert code == 1
    assert err.startswith(f"mqtt://127.0.0.1:{port}: ")
    assert len(err.splitlines()) == 1, err


async def test_signal_stops_simulate_without_an_error(tmp_path: Path, broker_url: str, start_bridge: StartBridge) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        running(tmp_path / "run", "simulate", "--rate", "50", BRIDGE_MQTT__URL=broker_url) as command,
    ):
        account = bridge.ledger.account("mqtt")
        await until(lambda: account.stored > 5, what="readings")
        command.signal(signal.SIGINT)
        assert await command.end() == 0
        assert command.err == ""


async def test_tail_prints_exactly_the_count_of_readings(tmp_path: Path, broker_url: str, start_bridge: StartBridge) -> None:
    settings = MqttSettings(url=SecretStr(broker_url))
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        url = f"http://127.0.0.1:{bridge.port}"
        async with running(tmp_path / "run", "tail", "--plain", "--count", "3", "--url", url) as command:
            await until(lambda: _clients(url, at_least=1), what="a connected client")
            await simulate(settings, devices=2, rate=5000, seed=1, count=50)  # many at once
            assert await command.end() == 0
            lines = [orjson.loads(line) for line in command.out.splitlines()]
            assert len(lines) == 3
            assert {line["deviceId"] for line in lines} <= {"living-room", "kitchen"}
            assert all(line["_id"] and line["seq"] and "temperature" in line for line in lines)
            assert command.err == ""


async def _clients(url: str, at_least: int) -> bool:
    return bool((await get(f"{url}/websocket/status"))["connectedClients"] >= at_least)


async def test_tail_prints_readings_of_the_demo(tmp_path: Path) -> None:
    async with demo(tmp_path / "demo") as (_, http, _):
        code, out, err = await ended(tmp_path / "tail", "tail", "--plain", "--count", "3", "--url", f"http://127.0.0.1:{http}")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 3


async def test_tail_without_a_bridge_prints_one_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    code, out, err = await ended(tmp_path, "tail", "--url", url)
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert line.startswith(f"no bridge answers at {url}: ")


# --- run -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["mongodb", "sqlite"])
async def test_run_waits_for_broker_and_store_and_stops_on_sigterm(store: str, tmp_path: Path) -> None:
    http = free_port()
    (tmp_path / "file").write_text("")  # so that the database folder cannot be created
    unavailable = {"mongodb": f"mongodb://127.0.0.1:{free_port()}/sensors", "sqlite": f"sqlite:///{tmp_path}/file/bridge.db"}
    environ = {
        "BRIDGE_HTTP__PORT": str(http),
        "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}",
        "BRIDGE_STORE__URL": unavailable[store],
        "BRIDGE_STORE__TIMEOUT_SECONDS": "0.5",
    }
    async with running(tmp_path / "run", "run", **environ) as command:
        await until(lambda: _failing(http, "store"), what="a failing store in /health")
        await until(lambda: "readings wait at the broker" in command.err, what="a log line about the store")
        assert command.running
        command.signal(signal.SIGTERM)
        assert await command.end() == 0
        assert "Traceback" not in command.err


async def test_run_continues_while_the_broker_is_unavailable(tmp_path: Path) -> None:
    http = free_port()
    environ = {
        "BRIDGE_HTTP__PORT": str(http),
        "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}",
        "BRIDGE_STORE__URL": "sqlite:///data/bridge.db",
    }
    async with running(tmp_path / "run", "run", **environ) as command:
        await until(lambda: "store: ready" in command.err, what="the store")
        assert await _failing(http, "mqtt")
        assert not await _failing(http, "store")
        command.signal(signal.SIGTERM)
        assert await command.end() == 0
        assert "Traceback" not in command.err


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
async def test_store_that_cannot_be_written_to_is_unavailable_although_nothing_is_sent(tmp_path: Path, broker_url: str) -> None:
    """It answers every ping, as on a full disk; the bridge's own writes show that it is none."""
    async with ready_bridge(tmp_path / "run", f"sqlite:///{tmp_path}/bridge.db", broker_url) as (command, http):
        assert not await _failing(http, "store")
        no_limit = resource.prlimit(command.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (FEW_BYTES, no_limit[1]))
        await until(lambda: _failing(http, "store"), what="a failing store in /health")
        resource.prlimit(command.pid, resource.RLIMIT_FSIZE, no_limit)
        await until(lambda: _ready(http), what="ready again")
        assert command.err.count(": changes wait, retrying") == 1
        assert command.err.count("store available again") == 1
        assert "Traceback" not in command.err


async def _failing(port: int, part: str) -> bool:
    try:
        return part in (await get(f"http://127.0.0.1:{port}/health"))["failing"]
    except aiohttp.ClientError:
        return False


async def test_closed_terminal_stops_run_cleanly_unless_nohup_ignores_it(tmp_path: Path, broker_url: str) -> None:
    window, terminal = os.openpty()
    command = Command(tmp_path, _environ(tmp_path, f"sqlite:///{tmp_path}/one.db", broker_url)[1])
    await command.start("run", terminal=terminal)
    try:
        os.close(terminal)
        await until(lambda: "store: ready" in command.err, what="the store")
        os.close(window)
        assert await command.end() == 0
        assert "bridge: stopped" in command.err
    finally:
        await command.kill()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with ready_bridge(tmp_path / "two", f"sqlite:///{tmp_path}/two.db", broker_url) as (command, _):
            command.signal(signal.SIGHUP)
            command.signal(signal.SIGTERM)
            assert await command.end() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_service_reads_its_rules_again_at_sighup(tmp_path: Path, broker_url: str) -> None:
    rules = tmp_path / "alarms.toml"
    rules.write_text('profile = "none"\n')
    folder, store = tmp_path / "one", f"sqlite:///{tmp_path}/one.db"
    async with ready_bridge(folder, store, broker_url, BRIDGE_ALARMS__FILE=str(rules)) as (command, _):
        rules.write_text('profile = "home"\n')
        command.signal(signal.SIGHUP)
        await until(lambda: "rules in force" in command.err, what="the rules")
        rules.write_text('profile = "hume"\n')
        command.signal(signal.SIGHUP)
        await until(lambda: "alarms: the old rules stay: " in command.err, what="the mistake")
        command.signal(signal.SIGTERM)
        assert await command.end() == 0


async def test_run_on_a_taken_port_prints_one_line(tmp_path: Path) -> None:
    with taken_port() as taken:
        environ = {"BRIDGE_HTTP__PORT": str(taken), "BRIDGE_STORE__URL": "sqlite:///data/bridge.db"}
        code, out, err = await ended(tmp_path, "run", **environ)
    assert (code, out) == (1, "")
    [line] = err.splitlines()
    assert f"port {taken} on 127.0.0.1 is in use" in line
    assert "BRIDGE_HTTP__PORT" in line


async def test_run_says_where_it_listens_and_when_it_is_ready(tmp_path: Path) -> None:
    broker, http = Mosquitto(tmp_path / "mosquitto"), free_port()
    environ = {
        "BRIDGE_HTTP__PORT": str(http),
        "BRIDGE_MQTT__URL": broker.url.replace("://", "://bridge:hunter2@"),
        "BRIDGE_MQTT__SUBSCRIPTIONS": overlapping("a/{deviceId}/{field}", "b/{deviceId}"),
        "BRIDGE_STORE__URL": "sqlite:///data/bridge.db",
    }
    async with running(tmp_path / "run", "run", **environ) as command:
        try:
            await until(lambda: f"bridge: listening at http://localhost:{http}\n" in command.err, what="the address")
            await until(lambda: "no connection to" in command.err, what="the first failure")
            assert "bridge: ready" not in command.err
            broker.start()
            ready = (
                f"bridge: ready: page at http://localhost:{http}, receives a/{{deviceId}}/{{field}}, b/{{deviceId}} "
                f"from {broker.url}, stores into sqlite:///data/bridge.db\n"
            )
            await until(lambda: ready in command.err, what="the line that it is ready")
            assert "hunter2" not in command.err
        finally:
            broker.kill()


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("mqtt://user:hunter2#x@127.0.0.1:1", "a / ? or # in the user or password must be written %2F %3F %23"),
        ("mqtt://user:hunter2/x@127.0.0.1:1", "set mqtt.username and mqtt.password, where they are written as they are"),
        ("mqtt://user:hunter2[x@127.0.0.1:1", "a [ or ] in the user or password must be written %5B %5D"),
    ],
)
@pytest.mark.parametrize("command", ["run", "simulate", "demo"])
async def test_password_that_cuts_the_url_is_one_sentence(tmp_path: Path, command: str, url: str, remedy: str) -> None:
    code, out, err = await ended(tmp_path, command, BRIDGE_MQTT__URL=url)
    assert (code, out) == (2, "")
    assert remedy in err
    assert "hunter2" not in err
    assert len(err.splitlines()) == 2


# --- a clock that is set right ---------------------------------------------------------------------------------------


async def test_bridge_whose_clock_was_ahead_and_is_set_right_shows_present_values_and_says_so(
    tmp_path: Path, broker_url: str
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("7200")
    http, environ = _environ(tmp_path / "run", f"sqlite:///{tmp_path}/bridge.db", broker_url)
    (tmp_path / "run").mkdir()
    command = Command(tmp_path / "run", environ | {"BRIDGE_CLOCK": str(clock)})
    await command.start("run", module="tests.faults.armed")
    url = f"http://127.0.0.1:{http}"
    try:
        await until(lambda: _ready(http), what="ready")

        async def publish(temperature: float) -> None:
            async with mqtt_sender(patient(broker_url)) as sender:
                await sender.publish("sensors/a/data", orjson.dumps({"temperature": temperature}))

        async def shown(temperature: float) -> bool:
            latest, devices = await readings_at(http), await get(f"{url}/api/v1/devices")
            last = [one["lastReading"]["temperature"] for one in devices["devices"] if "lastReading" in one]
            return [one["temperature"] for one in latest] == [temperature] == last[:1]

        await publish(1.5)
        await until(lambda: shown(1.5), what="the value under the wrong clock")
        async with listening_at(url) as events:
            clock.write_text("0")
            await until(lambda: events, what="a systemEvent")
            assert "the clock was set back by 7," in events[0]["message"]
            assert events[0]["data"]["clockJumpSeconds"] == pytest.approx(-7200, abs=3)
            await publish(2.5)
            await until(lambda: shown(2.5), what="the value under the right clock")
            assert len(events) == 1
        health = await get(f"{url}/health")
        assert health["status"] == "ok"
        assert health["parts"]["clock"]["status"] == "ok"
        assert events[0]["message"] in health["parts"]["clock"]["reason"]
        assert command.err.count("the clock was set back") == 1
    finally:
        await command.kill()


async def _ready(port: int) -> bool:
    try:
        return bool((await get(f"http://127.0.0.1:{port}/health"))["status"] == "ok")
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def listening_at(url: str) -> AsyncIterator[list[dict[str, Any]]]:
    """The system events of a Socket.IO client."""
    client, events = socketio.AsyncClient(), list[dict[str, Any]]()
    client.on("systemEvent", events.append)
    await client.connect(url, wait_timeout=30)
    try:
        yield events
    finally:
        await client.disconnect()


# --- two bridges, one store ------------------------------------------------------------------------------------------


def _environ(folder: Path, store: str, broker: str) -> tuple[int, dict[str, str]]:
    http = free_port()
    return http, {
        "BRIDGE_HTTP__PORT": str(http),
        "BRIDGE_MQTT__URL": broker,
        "BRIDGE_MQTT__CLIENT_ID": f"{folder.name}-{http}",
        "BRIDGE_STORE__URL": store,
    }


@asynccontextmanager
async def ready_bridge(folder: Path, store: str, broker: str, **more: str) -> AsyncIterator[tuple[Command, int]]:
    http, environ = _environ(folder, store, broker)
    async with running(folder, "run", **environ, **more) as command:
        await until(lambda: "store: ready" in command.err, what="the store")
        yield command, http


@pytest.fixture(params=["mongodb", "sqlite"])
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("mongo_url")) if request.param == "mongodb" else f"sqlite:///{tmp_path}/shared.db"


async def test_second_bridge_on_a_store_is_refused_with_a_sentence(tmp_path: Path, shared_store: str, broker_url: str) -> None:
    async with ready_bridge(tmp_path / "one", shared_store, broker_url) as (first, http):
        code, out, err = await ended(tmp_path / "two", "run", **_environ(tmp_path / "two", shared_store, broker_url)[1])
        assert (code, out) == (1, "")
        assert "store: in use by bridge " in err
        assert "waiting until its lease ends (at most 15 s), or stop it" in err
        assert err.splitlines()[-1].startswith("store: in use by bridge ")
        assert "which renews its lease: stop that bridge, or give this one another database" in err.splitlines()[-1]
        assert "Traceback" not in err
        assert first.running
        assert not await _failing(http, "store")


async def test_commands_work_beside_a_running_bridge(tmp_path: Path, shared_store: str, broker_url: str) -> None:
    async with ready_bridge(tmp_path / "one", shared_store, broker_url):
        environ = _environ(tmp_path / "two", shared_store, broker_url)[1]
        for arguments in (
            ("export", "-", "--format", "ndjson"),
            ("rejected", "retry"),
            ("key", "add", "x"),
            ("device", "add", "d"),
        ):
            code, _, err = await ended(tmp_path / "two", *arguments, **environ)
            assert code == 0, (arguments, err)


async def test_successor_of_a_killed_bridge_starts_at_once(tmp_path: Path, shared_store: str, broker_url: str) -> None:
    async with ready_bridge(tmp_path / "one", shared_store, broker_url) as (first, _):
        await first.kill()
        async with ready_bridge(tmp_path / "two", shared_store, broker_url) as (second, _):
            assert "waiting" not in second.err
            assert "taken over" in second.err


async def test_bridge_that_awakes_without_its_lease_stores_nothing_and_says_so(
    tmp_path: Path, mongo_url: str, broker_url: str
) -> None:
    """With MongoDB: a process that is stopped within a transaction of SQLite keeps the file locked."""
    store = mongo_url
    async with ready_bridge(tmp_path / "one", store, broker_url) as (first, _):
        freeze(first.pid)
        async with ready_bridge(tmp_path / "two", store, broker_url) as (second, http):
            assert "waiting until its lease ends" in second.err
            first.signal(signal.SIGCONT)
            assert await first.end() == 1
            last = first.err.splitlines()[-1]
            assert last.startswith("store: the lease was lost to bridge ")
            assert "stores nothing any more" in last
            assert "Traceback" not in first.err
            assert not await _failing(http, "store")


# --- the embedded broker ---------------------------------------------------------------------------------------------


async def test_embedded_broker_carries_readings_end_to_end(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(
        mqtt=MqttSettings(url=SecretStr(f"mqtt://127.0.0.1:{port}"), protocol="3.1.1"),
        store=StoreSettings(url=SecretStr(f"sqlite:///{tmp_path}/bridge.db")),
        http=HttpSettings(port=0),
    )
    async with _amqtt("127.0.0.1", port), asyncio.TaskGroup() as tasks:
        bridge = Bridge(settings)
        bridge_task = tasks.create_task(bridge.run(), name="bridge")
        await until(lambda: bridge.health.ready, what="ready")
        await simulate(settings.mqtt, devices=2, rate=100, seed=1, count=10)
        account = bridge.ledger.account("mqtt")
        await until(lambda: account.stored == 14 and not account.waiting, what="10 readings and 4 statuses")
        assert {reading["deviceId"] for reading in await readings_at(bridge.port)} == {"living-room", "kitchen"}
        bridge.stop()
        await bridge_task
    assert not answers(port)
