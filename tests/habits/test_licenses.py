"""The licenses of the packages that are bundled into the page are shipped with it."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.servers import REPO, missing

NOTICES = REPO / "web" / "dist" / "THIRD_PARTY_LICENSES.txt"


@pytest.fixture(scope="module")
def notices() -> str:
    if not (REPO / "web" / "dist" / "index.html").exists():
        missing("the page is not built: make install")
    return NOTICES.read_text("utf-8")


def test_every_dependency_of_the_page_is_listed_with_version_and_license_text(notices: str) -> None:
    lock = json.loads((REPO / "web" / "package-lock.json").read_text("utf-8"))["packages"]
    shipped = {path.rpartition("node_modules/")[2]: one["version"] for path, one in lock.items() if path and not one.get("dev")}
    assert {"preact", "uplot", "socket.io-client", "engine.io-client", "@preact/signals"} <= shipped.keys()
    for name, version in shipped.items():
        _, _, rest = notices.partition(f"\n{name} {version}")
        assert rest, f"{name} {version} is not listed"
        text = rest.partition("-" * 80)[2].partition("-" * 80)[0]
        assert "Permission is hereby granted" in text, f"{name} has no license text"
        assert "Copyright" in text, f"{name} names no owner"


def test_wheel_and_image_contain_the_built_page() -> None:
    wheel = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "web/dist" in wheel["only-include"]
    assert wheel["artifacts"] == ["web/dist/**"]
    image = (REPO / "docker" / "Dockerfile").read_text("utf-8")
    assert "COPY --from=page /web/dist web/dist" in image
