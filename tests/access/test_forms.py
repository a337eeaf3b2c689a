"""Login by form: cookies only for the right password, and only the pages of the bridge and programs may use them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.access.service import AuthService
from bridge.access.tokens import COOKIE, JAR
from bridge.core.access.permissions import Role
from bridge.core.errors import Unauthorized
from bridge.http.bodies import FORM
from bridge.settings import DevicesSettings
from tests.access.leaks import LEAKS
from tests.access.parts import PASSWORD, Guarded, access_settings, guarded
from tests.access.tally import Tally
from tests.access.test_lockout import minutes_from_the_third
from tests.access.test_service import Clock
from tests.access.ways import SESSION_COOKIE
from tests.conftest import StartBridge
from tests.fakes import MemoryStore

_COOKIE = re.compile(rf"{SESSION_COOKIE}=([^;]+); .*")
BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def guarded_bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        yield made


async def log_in(g: Guarded, name: str, password: str, **headers: str) -> tuple[int, str, str]:
    """Status, `Location`, and the session cookie: empty if none was set."""
    given = {"Content-Type": FORM} | {key.replace("_", "-"): text for key, text in headers.items()}
    body = f"username={name}&password={password.replace(' ', '+')}".encode()
    async with g.session.post(f"{g.base}/login", data=body, headers=given, allow_redirects=False) as answer:
        for header in answer.headers.getall("Set-Cookie", ()):
            assert "HttpOnly" in header
            assert "SameSite=Strict" in header
            if match := _COOKIE.fullmatch(header):
                LEAKS.hide(match[1])
                return answer.status, answer.headers["Location"], match[1]
        return answer.status, answer.headers.get("Location", ""), ""


async def may_read(g: Guarded, cookie: str, **headers: str) -> bool:
    given = {"Cookie": f"{SESSION_COOKIE}={cookie}"} | {key.replace("_", "-"): text for key, text in headers.items()}
    return (await g.ask("GET", "/api/v1/readings", given))[0] == 200


async def test_only_the_right_password_gives_a_cookie(guarded_bridge: Guarded, tally: Tally) -> None:
    g = guarded_bridge
    for name, password, may in (
        ("viewer", PASSWORD, True),
        (" Viewer ", PASSWORD, True),
        ("viewer", PASSWORD + "x", False),
        ("viewer", "", False),
        ("nobody", PASSWORD, False),
        ("", "", False),
        ("viewer' OR '1'='1", PASSWORD, False),
    ):
        status, location, cookie = await log_in(g, name.replace(" ", "+"), password)
        tally.note((name, may), may=may, let_in=cookie != "" and await may_read(g, cookie))
        assert status == 302
        assert location in (("./",) if may else ("login?error=wrong", "login?error=attempts"))
    tally.check()


async def test_pages_of_other_origins_cannot_log_a_user_in(guarded_bridge: Guarded, tally: Tally) -> None:
    g = guarded_bridge
    for origin, may in ((g.base, True), ("https://evil.example", False), ("null", False), ("http://127.0.0.1:1", False)):
        status, _, cookie = await log_in(g, "viewer", PASSWORD, Origin=origin)
        tally.note(origin, may=may, let_in=cookie != "")
        assert status == (302 if may else 403)
    tally.check()


async def test_lockout_delays_logins_by_form_and_says_how_long(
    guarded_bridge: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.access.lockout.delay_seconds", minutes_from_the_third)
    g, answers = guarded_bridge, set[str]()
    for _ in range(30):
        answers.add((await log_in(g, "viewer", "wrong"))[1])
    assert answers == {"login?error=wrong", "login?error=attempts"}
    body = f"username=viewer&password={PASSWORD.replace(' ', '+')}".encode()
    async with g.session.post(f"{g.base}/login", data=body, headers={"Content-Type": FORM}, allow_redirects=False) as answer:
        assert int(answer.headers["Retry-After"]) >= 1
    async with g.session.get(f"{g.base}/login?error=attempts") as page:
        assert "Too many attempts" in await page.text()


async def test_logout_ends_the_session_and_a_link_on_another_site_does_not(guarded_bridge: Guarded) -> None:
    g = guarded_bridge
    _, _, cookie = await log_in(g, "viewer", PASSWORD)
    for site in ("cross-site", "same-site"):
        headers = {"Cookie": f"{SESSION_COOKIE}={cookie}", "Sec-Fetch-Site": site, **BROWSER}
        async with g.session.get(f"{g.base}/logout", headers=headers, allow_redirects=False) as answer:
            assert (answer.status, answer.headers.getall("Set-Cookie", [])) == (302, [])
        assert await may_read(g, cookie)
    async with g.session.get(
        f"{g.base}/logout", headers={"Cookie": f"{SESSION_COOKIE}={cookie}"}, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "login")
        assert len(answer.headers.getall("Set-Cookie")) == 2
    assert not await may_read(g, cookie)


async def test_login_page_loads_nothing_and_shows_no_text_of_its_address(guarded_bridge: Guarded) -> None:
    g = guarded_bridge
    async with g.session.get(f"{g.base}/login?error=<script>alert(1)</script>") as answer:
        text = await answer.text()
        assert "script" not in text
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_browser_without_a_session_is_sent_to_the_login_page_and_a_program_is_told(guarded_bridge: Guarded) -> None:
    g = guarded_bridge
    for method, path in (("GET", "/get_telemetry?device=hall"), ("POST", "/send_command"), ("GET", "/logout")):
        async with g.session.request(
            method, g.base + path, headers={**BROWSER, "Origin": g.base}, allow_redirects=False
        ) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "login")
    for method, path in (("GET", "/get_telemetry?device=hall"), ("POST", "/send_command")):
        assert (await g.ask(method, path))[0] == 401
    assert (await g.ask("GET", "/api/v1/readings", BROWSER))[0] == 401


@pytest.mark.parametrize(("by_program", "use"), [(True, JAR), (False, COOKIE)])
async def test_cookie_of_a_session_is_renewed_in_the_second_half_of_its_time(by_program: bool, use: str) -> None:
    clock = Clock()
    access = AuthService(
        access_settings(admin_password=SecretStr(PASSWORD), refresh_days=1), DevicesSettings(), MemoryStore(), clock=clock
    )
    await access.load()
    cookie = (await access.login("admin", PASSWORD, "192.0.2.1", in_cookie=True, by_program=by_program)).cookie
    renewals = 0
    for _ in range(200):
        clock.now += 600
        try:
            identity = await access.identify(cookie, "192.0.2.1", in_cookie=True)
        except Unauthorized:  # the session has ended
            break
        assert access.is_of_program(cookie) is (use == JAR)
        following = await access.extend(identity, cookie)
        renewals += following is not None
        cookie = following or cookie
    assert renewals > 20
    assert 86_400 <= clock.now - Clock().now <= 86_400 + 3600 + 600, "no longer than the session and its last token"
    assert await access.extend(identity, cookie) is None


async def test_renewal_stops_when_the_user_is_removed() -> None:
    clock = Clock()
    access = AuthService(access_settings(admin_password=SecretStr(PASSWORD)), DevicesSettings(), MemoryStore(), clock=clock)
    await access.load()
    await access.users.add("eve", PASSWORD, Role.VIEWER)
    cookie = (await access.login("eve", PASSWORD, "192.0.2.1", in_cookie=True)).cookie
    identity = await access.identify(cookie, "192.0.2.1", in_cookie=True)
    clock.now += 3000
    assert await access.extend(identity, cookie) is not None
    await access.remove_user("eve")
    assert await access.extend(identity, cookie) is None
