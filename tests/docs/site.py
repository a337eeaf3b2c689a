"""A bridge as a reader of the documentation has it: started by its command, with a broker and a store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.foreign.clients import program
from tests.servers import START_SECONDS, free_port

PASSWORD = "correct horse battery staple"
READING = "sensors/hall/data", '{"temperature": 21.5, "co2": 640}'
_BIN = Path(sys.executable).parent
_CLIENTS_OF_A_BRIDGE = re.compile(
    r"sensor-bridge (tail|command|probe|bench|actions (?:list|on|off)|alarms (?:list|ack|shelve|test)|anomalies (?:list|wrong))"
    r"\b(?![^\n]*--url)"
)


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything is; `environ` is what a shell of the reader has set."""

    port: int
    broker_url: str
    environ: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, text: str) -> str:
        """A block with the addresses of this bridge and its broker in place of the default ones."""
        broker = urlsplit(self.broker_url).netloc
        host, _, port = broker.partition(":")
        for default, ours in (
            ("localhost:3000", f"127.0.0.1:{self.port}"),
            ("localhost:1883", broker),
            ('"localhost", 1883', f'"{host}", {port}'),
        ):
            text = text.replace(default, ours)
        return _CLIENTS_OF_A_BRIDGE.sub(rf"sensor-bridge \1 --url {self.url}", text)

    def get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310 - this bridge
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())


@contextmanager
def running_site(folder: Path, broker_url: str, **settings: str) -> Iterator[Site]:
    """Run `sensor-bridge run` with a SQLite store in `folder`, until it is ready; `settings` are further variables."""
    port, where = free_port(), urlsplit(broker_url)
    environ = {name: value for name, value in os.environ.items() if not name.upper().startswith("BRIDGE_")}
    environ |= {
        "PATH": f"{_BIN}{os.pathsep}{environ['PATH']}",
        "XDG_CONFIG_HOME": str(folder),
        "COLUMNS": "140",
        "BRIDGE_MQTT__URL": broker_url,
        "BRIDGE_MQTT__CLIENT_ID": f"docs-{uuid.uuid4().hex[:8]}",
        "BRIDGE_STORE__URL": f"sqlite:///{folder}/bridge.db",
        "BRIDGE_HTTP__PORT": str(port),
        **settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for client in ("mosquitto_pub", "mosquitto_sub"):  # they read their default options there
        (folder / client).write_text(f"-h {where.hostname}\n-p {where.port}\n")
    site = Site(port, broker_url, environ)
    log = folder / "bridge.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(_BIN / "sensor-bridge"), "run"], stdout=output, stderr=output, env=environ, cwd=folder, start_new_session=True
        )
    try:
        _wait_until_ready(site, process, log)
        publish(site, *READING)  # so that there is something to read
        _wait_until_stored(site)
        yield site
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait_until_ready(site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, f"the bridge ended:\n{log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"the bridge is not ready:\n{log.read_text()[-2000:]}"
        with suppress(OSError):
            site.get("/health/ready")
            return
        time.sleep(0.05)


def _wait_until_stored(site: Site) -> None:
    """Wait for the reading: the broker has it before the bridge stores it."""
    headers = {}
    if password := site.environ.get("BRIDGE_ACCESS__ADMIN_PASSWORD"):
        given = json.dumps({"username": "admin", "password": password, "cookies": False}).encode()
        login = urllib.request.Request(f"{site.url}/auth/login", given, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(login, timeout=10) as answer:  # noqa: S310
            headers["Authorization"] = f"Bearer {json.load(answer)['access_token']}"
    deadline = time.monotonic() + START_SECONDS
    while not json.loads(site.get("/api/v1/readings?device=hall", **headers))["readings"]:
        assert time.monotonic() < deadline, "the reading was not stored"
        time.sleep(0.05)


def send_command(site: Site, device: str) -> None:
    """Ask a device to do something; it waits if the device is offline."""
    body = b'{"command": "servo1", "value": "90", "queue": true, "expires": 30}'
    with urllib.request.urlopen(f"{site.url}/api/v1/devices/{device}/commands", body, timeout=10) as answer:  # noqa: S310
        answer.read()


def publish(site: Site, topic: str, message: str) -> None:
    """A message at QoS 1, by mosquitto's own client."""
    command = program("mosquitto_pub", package="mosquitto-clients")
    subprocess.run([command, "-q", "1", "-t", topic, "-m", message], env=dict(site.environ), check=True, timeout=30)
