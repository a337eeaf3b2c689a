"""Two bridges for all pages: an open one, and one that requires a login."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.docs.site import PASSWORD, Site, running_site


@pytest.fixture(scope="session")
def docs_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.mosquitto(tmp_path_factory.mktemp("docs-mosquitto")) as url:
        yield url


@pytest.fixture(scope="session")
def open_site(tmp_path_factory: pytest.TempPathFactory, docs_broker: str) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("docs-open"), docs_broker) as site:
        yield site


@pytest.fixture(scope="session")
def required_site(tmp_path_factory: pytest.TempPathFactory, docs_broker: str) -> Iterator[Site]:
    access = {"BRIDGE_ACCESS__MODE": "required", "BRIDGE_ACCESS__ADMIN_PASSWORD": PASSWORD}
    with running_site(tmp_path_factory.mktemp("docs-required"), docs_broker, **access) as site:
        yield site
