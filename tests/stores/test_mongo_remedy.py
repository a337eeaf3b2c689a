"""MongoDB's faults at start: each names the setting to correct, with either driver, and shows no password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.errors import StoreUnavailable
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.servers import Mongod, free_port

SECRET = "hunter2"

pytestmark = [
    pytest.mark.parametrize("driver", ["pymongo", "motor"]),
]


async def remedy(url: str, driver: str, **more: str) -> str:
    settings = StoreSettings.model_validate({"url": url, "driver": driver, "timeout_seconds": 1.5, **more})
    with pytest.raises(StoreUnavailable) as caught:
        async with open_store(settings) as store:
            await store.prepare()
    assert SECRET not in str(caught.value)
    assert str(caught.value) == f"{caught.value.fault}: {caught.value.remedy}"
    return caught.value.remedy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a server at 127.0.0.1, which is its own authority."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return both


@pytest.fixture(scope="module")
def tls_port(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    options = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(certificate))
    server = Mongod(tmp_path_factory.mktemp("tls"), *options, alone=True)
    server.start()
    yield server.port
    server.kill()


@pytest.fixture(scope="module")
def closed_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that requires a login."""
    server = Mongod(tmp_path_factory.mktemp("closed"), "--auth", alone=True)
    server.start()
    yield server.port
    server.kill()


async def test_server_that_does_not_run(driver: str) -> None:
    url = f"mongodb://user:{SECRET}@127.0.0.1:{free_port()}/air"
    assert await remedy(url, driver) == "start MongoDB, or correct host and port in store.url (BRIDGE_STORE__URL)"


async def test_unknown_host(driver: str) -> None:
    assert (await remedy("mongodb://no-such-host.invalid/air", driver)).startswith("correct the host in store.url")
    assert "needs SRV records in DNS" in await remedy("mongodb+srv://no-such-host.invalid/air", driver)


async def test_unknown_authority_and_other_name(driver: str, tls_port: int, certificate: Path) -> None:
    text = await remedy(f"mongodb://127.0.0.1:{tls_port}/air?tls=true", driver)
    assert text.startswith("add tlsCAFile=/path/to/ca.pem to store.url (BRIDGE_STORE__URL)")
    text = await remedy(f"mongodb://localhost:{tls_port}/air?tls=true&tlsCAFile={certificate}", driver)
    assert text == "use a name of the server's certificate in store.url (BRIDGE_STORE__URL)"


async def test_tls_and_plain_connections_mixed_up(driver: str, tls_port: int, closed_port: int) -> None:
    assert "add tls=true to store.url" in await remedy(f"mongodb://127.0.0.1:{tls_port}/air", driver)
    assert "remove tls=true from store.url" in await remedy(f"mongodb://127.0.0.1:{closed_port}/air?tls=true", driver)


async def test_wrong_login(driver: str, closed_port: int) -> None:
    url = f"mongodb://127.0.0.1:{closed_port}/air"
    for text in (
        await remedy(url.replace("://", f"://user:{SECRET}@"), driver),
        await remedy(url, driver, username="user", password=f"{SECRET}#@/:%"),
    ):
        assert text.startswith("correct user, password and authSource in store.url (BRIDGE_STORE__URL), or store.username")
    assert (await remedy(url, driver)).startswith("give a user with the role readWrite on this database in store.url")
