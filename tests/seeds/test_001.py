"""Document 001: devices on a WebSocket, a web interface with logins, and a central server that sends commands."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
from playwright.async_api import Page, expect
from websockets.asyncio.client import connect

from bridge.app import Bridge
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.page.conftest import log_in
from tests.seeds.conftest import with_each_driver
from tests.seeds.system_001 import (
    ADMIN,
    FOLDER,
    OPERATOR,
    WAIT_SECONDS,
    Client,
    Program,
    System,
    client,
    output_of,
    running,
)
from tests.servers import until


@pytest.fixture
async def system(start_bridge: StartBridge, broker_url: str, mongo_url: str, driver: str, tmp_path: Path) -> System:
    made = System(start_bridge, broker_url, mongo_url, driver, tmp_path)
    assert await made.import_data() == 0, made.printed
    return made


# --- the whole system --------------------------------------------------------------------------------------------------


async def test_programs_of_the_document_run_unchanged(system: System, tmp_path: Path) -> None:
    async with system.bridge() as bridge, running(bridge, tmp_path, "device_sim_001.py", "esp01", "1234") as device:
        await device.until("подключено")
        assert await output_of(bridge, tmp_path, "central_001.py", *ADMIN, "esp01") == [
            "страница входа: 200",
            "вход: 302 /",
            "главная: 200",
            "телеметрия: telemetry работает 90 pressed",
            "команда servo1: True",
            "servo1: 45",
            "команда alarm: True",
            "status: авария",
            "нет данных: {'error': 'no data'}",
            "выход: 302 login",
            "после выхода: False",
        ]
        await device.until("команда: alarm None")
        assert device.lines == ["подключено", "команда: servo1 '45'", "команда: alarm None"]


async def test_curl_logs_in_commands_and_logs_out(system: System, tmp_path: Path) -> None:
    async with system.bridge() as bridge, running(bridge, tmp_path, "device_sim_001.py", "esp02", "5678") as device:
        async with client(bridge) as program:
            await program.login(*ADMIN)
            await until_telemetry(program, "esp02")
        login, sent, status, telemetry, logout = await output_of(
            bridge, tmp_path, "command.sh", *OPERATOR, "esp02", "servo2", "10"
        )
        assert (login, status, logout) == ("login 302", "send_command 202", "logout 302")
        assert orjson.loads(sent).items() >= {"device": "esp02", "command": "servo2", "value": "10"}.items()
        assert orjson.loads(telemetry)["type"] == "telemetry"
        await device.until("команда: servo2 '10'")


# --- devices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        ('{"type": "telemetry", "status": "работает"}', '{"error":"auth_required"}'),
        ('{"type": "auth", "name": "esp01", "password": "12345"}', '{"error":"unauthorized"}'),
        ('{"type": "auth", "name": "esp03", "password": "1234"}', '{"error":"unauthorized"}'),
    ],
)
async def test_device_without_the_right_password_is_told_so_and_closed(
    system: System, tmp_path: Path, first: str, answer: str
) -> None:
    async with system.bridge() as bridge:
        assert await output_of(bridge, tmp_path, "hello_001.py", first) == [answer, "закрыто"]


async def test_log_says_who_connects_sends_telemetry_and_disconnects(
    system: System, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "bridge")
    async with system.bridge() as bridge:
        async with running(bridge, tmp_path, "device_sim_001.py", "esp01", "1234"):
            await until(lambda: "devices: 'esp01' sent telemetry" in caplog.text, WAIT_SECONDS, what="telemetry in the log")
        await until(lambda: "devices: 'esp01' disconnected" in caplog.text, WAIT_SECONDS, what="the end in the log")
    assert "devices: 'esp01' connected" in caplog.text
    assert "1234" not in caplog.text


async def test_command_reaches_the_newest_connection_of_its_device_only(system: System, tmp_path: Path) -> None:
    command = {"device_name": "esp01", "command": "servo1", "value": "7"}
    async with system.bridge() as bridge, client(bridge) as program, AsyncExitStack() as stack:
        await program.login(*ADMIN)
        first, other, newest = [
            await stage(stack, bridge, tmp_path / name, *account)
            for name, account in (("a", ("esp01", "1234")), ("b", ("esp02", "5678")), ("c", ("esp01", "1234")))
        ]
        await first.until("отключено")
        assert (await program.post("/send_command", command))[0] == 202
        await newest.until("команда: servo1 '7'")
        assert first.lines == ["подключено", "отключено"]
        assert other.lines == ["подключено"]


async def stage(stack: AsyncExitStack, bridge: Bridge, folder: Path, name: str, password: str) -> Program:
    folder.mkdir()
    device = await stack.enter_async_context(running(bridge, folder, "device_sim_001.py", name, password))
    await device.until("подключено")
    return device


async def test_value_is_text_and_absent_without_one(system: System) -> None:
    async with system.bridge() as bridge, client(bridge) as program:
        await program.login(*ADMIN)
        async with connect(f"ws://127.0.0.1:{bridge.port}") as device:
            await device.send('{"type": "auth", "name": "esp01", "password": "1234"}')
            await until_status(program, "esp01", "online")
            for form, expected in (
                ({"value": "90"}, {"command": "servo1", "value": "90"}),
                ({"value": ""}, {"command": "servo1", "value": ""}),
                ({}, {"command": "servo1"}),
            ):
                await program.post("/send_command", {"device_name": "esp01", "command": "servo1"} | form)
                async with asyncio.timeout(WAIT_SECONDS):
                    heard = orjson.loads(await device.recv())
                heard.pop("id")
                assert heard == expected


async def test_command_to_a_device_that_was_never_heard_is_refused_as_offline(system: System, tmp_path: Path) -> None:
    async with system.bridge() as bridge, client(bridge) as program:
        await program.login(*ADMIN)
        devices = {one["id"]: (one["type"], one["status"]) for one in (await program.get("/api/v1/devices"))[2]["devices"]}
        assert devices == {"esp01": ("box", "offline"), "esp02": ("station", "offline")}
        status, _, problem = await program.post("/send_command", {"device_name": "esp02", "command": "servo1"})
        assert (status, problem["detail"]) == (409, "device offline")
        async with running(bridge, tmp_path, "device_sim_001.py", "esp02", "5678"):
            await until_status(program, "esp02", "online")
        await until_status(program, "esp02", "offline")
        assert (await program.post("/send_command", {"device_name": "esp02", "command": "servo1"}))[0] == 409


async def until_status(program: Client, device: str, status: str) -> None:
    async def there() -> bool:
        found: bool = (await program.get(f"/api/v1/devices/{device}"))[2]["status"] == status
        return found

    await until(there, WAIT_SECONDS, what=f"{device} {status}")


@with_each_driver
async def test_last_telemetry_message_is_returned_as_it_was_sent_also_after_a_restart(system: System, tmp_path: Path) -> None:
    sent = {"type": "telemetry", "status": "работает", "servo1": 90, "servo2": 90, "button1": "released", "button2": "pressed"}
    async with system.bridge() as bridge, client(bridge) as program:
        await program.login(*ADMIN)
        assert await program.telemetry("esp01") == {"error": "no data"}
        async with running(bridge, tmp_path, "device_sim_001.py", "esp01", "1234"):
            await until_telemetry(program, "esp01")
        assert list((await program.telemetry("esp01")).items()) == list(sent.items())
    async with system.bridge() as bridge, client(bridge) as program:
        await program.login(*ADMIN)
        assert list((await program.telemetry("esp01")).items()) == list(sent.items())


async def until_telemetry(program: Client, device: str) -> None:
    async def there() -> bool:
        return "error" not in await program.telemetry(device)

    await until(there, WAIT_SECONDS, what=f"telemetry of {device}")


# --- the web interface -------------------------------------------------------------------------------------------------


async def test_browser_follows_devices_and_sends_commands(system: System, tmp_path: Path) -> None:
    async with system.bridge() as bridge, chromium() as browser:
        base = f"http://127.0.0.1:{bridge.port}"
        context = await browser.new_context(locale="ru-RU", service_workers="block")
        page = await context.new_page()
        control = (FOLDER / "control.html").read_text("utf-8")
        await page.route(f"{base}/control.html", lambda route: route.fulfill(body=control, content_type="text/html"))
        await page.goto(f"{base}/login")
        await log_in(page, "admin", "wrong")
        await expect(page.get_by_role("alert")).to_have_text("Неверный логин или пароль")
        await log_in(page, *ADMIN)
        await expect(page.locator(".account .name")).to_have_text("admin")
        for name in ("esp01", "esp02"):
            await expect(page.locator(".card").filter(has_text=name)).to_contain_text("не в сети")
        await send(page, base, "esp01", "servo1", "45")
        await expect(page.get_by_role("status").filter(has_text="Устройство offline")).to_be_visible()
        async with running(bridge, tmp_path, "device_sim_001.py", "esp01", "1234") as device:
            await device.until("подключено")
            await page.goto(f"{base}/#/device/esp01")
            await expect(page.locator(".device .reported")).to_have_text("работает")
            await send(page, base, "esp01", "", "")
            await expect(page.get_by_role("status").filter(has_text="Заполните обязательные поля")).to_be_visible()
            await send(page, base, "esp01", "servo1", "45")
            await expect(page.get_by_role("status").filter(has_text="Команда servo1 отправлена")).to_be_visible()
            await device.until("команда: servo1 '45'")
            await expect(page.locator(".device-details")).to_contain_text("servo145")
            opened = await page.evaluate("performance.timeOrigin")
            await page.locator("[name=command]").fill("alarm")
            await page.locator(".commands [type=submit]").click()
            await expect(page.locator(".device .reported")).to_have_text("авария")
            assert await page.evaluate("performance.timeOrigin") == opened, "without a reload"
        await expect(page.locator(".device .reported")).to_have_text("было: авария")
        await page.goto(f"{base}/?refused=unavailable")
        await expect(page.get_by_role("status").filter(has_text="Ошибка")).to_be_visible()
        await page.goto(f"{base}/control.html")
        await page.get_by_text("Телеметрия").click()
        await expect(page.locator("#result")).to_contain_text('"status":"авария","servo1":45')
        await page.get_by_text("Выйти").click()
        await expect(page).to_have_url(f"{base}/login")
        await page.goto(base)
        await expect(page.locator("[name=password]")).to_be_visible()


async def send(page: Page, base: str, device: str, command: str, value: str) -> None:
    """Send the form of the document's own page."""
    await page.goto(f"{base}/control.html")
    await page.locator("[name=device_name]").select_option(device)
    await page.locator("[name=command]").fill(command)
    await page.locator("[name=value]").fill(value)
    await page.get_by_text("Отправить").click()


# --- logins ------------------------------------------------------------------------------------------------------------


async def test_browser_is_redirected_as_by_the_flask_server(system: System) -> None:
    async with system.bridge() as bridge, client(bridge, pages=True) as browser:
        own = {"Origin": browser.base}
        assert (await browser.get("/get_telemetry?device=esp01"))[:2] == (302, "login")
        assert (await browser.get("/logout"))[:2] == (302, "login")
        status, _, page = await browser.get("/login", Accept_Language="ru-RU,ru;q=0.9")
        assert status == 200
        assert 'name="username"' in page
        assert await browser.login("admin", "wrong", **own) == (302, "login?error=wrong")
        assert "Неверный логин или пароль" in (await browser.get("/login?error=wrong", Accept_Language="ru"))[2]
        assert await browser.login(*ADMIN, **own) == (302, "./")
        assert (await browser.get("/get_telemetry?device=esp01"))[2] == {"error": "no data"}
        assert (await browser.post("/send_command", {"device_name": "", "command": ""}, **own))[:2] == (
            302,
            "./?refused=missing",
        )
        form = {"device_name": "esp01", "command": "servo1", "value": "90"}
        assert (await browser.post("/send_command", form, **own))[:2] == (302, "./?refused=offline#/device/esp01")
        assert (await browser.get("/logout"))[:2] == (302, "login")
        assert (await browser.get("/get_telemetry?device=esp01"))[:2] == (302, "login")


async def test_cookie_of_a_browser_needs_a_csrf_token_without_an_origin_and_the_answer_says_how(system: System) -> None:
    form = {"device_name": "esp01", "command": "servo1"}
    async with system.bridge() as bridge, client(bridge) as program:
        await program.login(*ADMIN, Origin=program.base)  # as a browser does, so that its cookie may be in one
        status, _, problem = await program.post("/send_command", form)
        assert status == 403
        assert "GET /auth/csrf" in problem["detail"]
        assert "X-CSRF-Token" in problem["detail"]
        token = (await program.get("/auth/csrf"))[2]["csrf_token"]
        assert (await program.post("/send_command", form, X_CSRF_Token=token))[0] == 409
        assert (await program.post("/send_command", form | {"csrf_token": token}))[0] == 409
        assert (await program.post("/send_command", form, X_CSRF_Token=token[:-1]))[0] == 403
        assert (await program.post("/send_command", form, X_CSRF_Token=token, Origin="https://evil.example"))[0] == 403


async def test_password_hash_is_replaced_at_the_first_login(system: System) -> None:
    before = system.stored_users()
    assert {name: (user["role"], user["password"][:4]) for name, user in before.items()} == {
        "admin": ("admin", "$2b$"),
        "smena": ("operator", "$2b$"),
    }
    async with system.bridge() as bridge, client(bridge) as program:
        assert await program.login("smena", "wrong") == (302, "login?error=wrong")
        assert system.stored_users() == before
        assert await program.login(*OPERATOR) == (302, "./")
        after = system.stored_users()
        assert after["smena"]["password"].startswith("$argon2id$")
        assert after["admin"] == before["admin"]
        assert await program.login(*OPERATOR) == (302, "./")
        assert system.stored_users() == after


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not JSON"),
        ("[]", 'expected an object with the lists "users" and "devices"'),
        ('{"users": {}}', "users: must be a list of at most 10,000 objects"),
        ('{"users": [1]}', "users[0]: must be an object"),
        ('{"users": [{"username": "Анна", "password_hash": "x"}]}', "users[0].username: must be 1 to 64 characters"),
        ('{"users": [{"username": "a", "password_hash": "secret"}]}', "users[0].password_hash: is not a bcrypt hash"),
        ('{"users": [{"username": "a", "password_hash": "$2b$31$' + "x" * 53 + '"}]}', "31 rounds is not supported"),
        ('{"devices": [{"name": "a+b"}]}', "devices[0].name: "),
        ('{"devices": [{"name": "a", "password": []}]}', "devices[0].password: must be a text of 1 to 1024 characters"),
        ('{"devices": [{"name": "a"}, {"name": "a"}]}', "devices: 'a' is listed more than once"),
        ('{"devices": [{"name": "b", "type": "' + "x" * 1025 + '"}]}', "devices[0].type: must be a text of 1 to 1024"),
    ],
)
async def test_file_with_a_fault_is_refused_as_a_whole(system: System, text: str, fault: str) -> None:
    before, data = system.stored_users(), system.folder / "data.json"
    good = {"username": "new", "password_hash": "$2b$10$" + "x" * 53}
    body = text[:-1] + f', "users": [{orjson.dumps(good).decode()}]}}' if text.startswith('{"devices"') else text
    data.write_text(body, "utf-8")
    assert await system.import_data(data=data) == 1
    assert "nothing was imported" in system.printed
    assert fault in system.printed
    assert "secret" not in system.printed
    assert system.stored_users() == before


@with_each_driver
async def test_import_can_be_repeated_and_changes_nothing(system: System) -> None:
    users, settings = system.stored_users(), system.settings_file.read_text("utf-8")
    assert await system.import_data() == 0
    for line in ("users: 0 added, 2 already there", "devices: 0 added, 0 changed, 2 already there", "secrets: 0 added"):
        assert line in system.printed
    assert system.stored_users() == users
    assert system.settings_file.read_text("utf-8") == settings
    assert "1234" not in settings
