"""`bridge-client.js` in Chromium: live measurements, reconnection, and polling while there is no connection."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, WebSocketRoute

from bridge.app import Bridge
from bridge.settings import AccessSettings, HttpSettings
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.foreign.clients import curl
from tests.servers import free_port, until

REQUIRED = AccessSettings.model_validate({"mode": "required", "admin_password": "correct horse battery"})
LISTENING = """options => {
  window.heard = [];
  window.client = new BridgeClient(options);
  for (const name of ["measurements", "all", "alerts", "connected", "disconnected", "polling", "error"])
    client.on(name, (message) => heard.push([name, message]));
}"""


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path, access: AccessSettings) -> AsyncIterator[Bridge]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", access=access) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


class Client:
    """The client in a page, and what its handlers received."""

    def __init__(self, page: Page, port: int) -> None:
        self.page = page
        self.port = port

    async def start(self, **options: object) -> None:
        await self.page.evaluate(LISTENING, options)

    async def until_subscribed(self) -> None:
        """Wait until the bridge counts the client as a subscriber: what is stored from now on is sent to it."""

        async def is_subscribed() -> bool:
            answer = await curl(f"http://127.0.0.1:{self.port}/ws/stats")
            return answer.status == 200 and any(answer.json["subscriptions"].values())

        await until(is_subscribed, 20, "the subscription")

    async def stop_clock(self) -> None:
        """Let no time pass in the page but by its `clock`, however long the machine takes."""
        await self.page.clock.install(time=0)
        await self.page.clock.pause_at(1_000)

    async def call(self, expression: str) -> Any:
        return await self.page.evaluate(f"client.{expression}")

    async def heard(self, name: str) -> list[Any]:
        return [message for kind, message in await self.page.evaluate("heard") if kind == name]

    async def until(self, name: str, count: int = 1, seconds: float = 20) -> Any:
        """The last message of a name, once there are so many."""

        async def enough() -> bool:
            return len(await self.heard(name)) >= count

        await until(enough, seconds, f"{count} of {name}")
        return (await self.heard(name))[-1]

    async def post(self, device: str = "bureau1", *options: str, **measured: float) -> None:
        values = ", ".join(f'"{name}": {value}' for name, value in measured.items())
        body = f'{{"sensor_id": "{device}", "enseigne": "Maison", {values}}}'
        answer = await curl(f"http://127.0.0.1:{self.port}/api/ingest", "--json", body, *options)
        assert answer.status == 201, answer


@asynccontextmanager
async def opened(browser: Browser, port: int) -> AsyncIterator[Client]:
    page = await browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"http://127.0.0.1:{port}/examples/")
    await page.add_script_tag(url="/bridge-client.js")
    yield Client(page, port)
    assert errors == []
    await page.close()


@pytest.fixture
async def client(browser: Browser, bridge: Bridge) -> AsyncIterator[Client]:
    async with opened(browser, bridge.port) as running:
        yield running


class Line:
    """The page's sockets go through here: they can be cut, and kept from being opened."""

    def __init__(self) -> None:
        self.is_blocked = False
        self.answers = True
        self._open: list[WebSocketRoute] = []

    async def __call__(self, page_side: WebSocketRoute) -> None:
        if self.is_blocked:
            await page_side.close(code=1012, reason="blocked")
            return
        server = page_side.connect_to_server()
        server.on_message(lambda message: page_side.send(message) if self.answers else None)
        self._open.append(page_side)

    async def cut(self) -> None:
        for one in self._open:
            await one.close(code=1012, reason="cut")
        self._open.clear()


@pytest.fixture
async def line(client: Client) -> Line:
    line = Line()
    await client.page.route_web_socket(re.compile("/ws$"), line)
    return line


async def test_measurements_and_events_reach_the_handlers_of_their_topics(client: Client) -> None:
    await client.start()
    await client.until("connected")
    assert await client.call("isConnectionActive()") is True
    assert await client.call("isConnected") is True
    assert await client.call("subscriptions") == ["all"]
    await client.post(co2=645)
    measurement = await client.until("measurements")
    assert (measurement["sensor_id"], measurement["enseigne"], measurement["values"]) == ("bureau1", "Maison", {"CO2": 645})
    await curl(f"http://127.0.0.1:{client.port}/api/v1/events/alerts", "--json", '{"message": "CO2"}')
    assert (await client.until("alerts"))["message"] == "CO2"
    kinds = [message["type"] for message in await client.heard("all")]
    assert [kind for kind in kinds if kind not in ("module", "assessment")] == ["measurement", "alert"]


async def test_handler_subscribes_to_its_topic_and_can_be_removed(client: Client) -> None:
    await client.start(topics=["modules"], connect=False)
    assert sorted(await client.call("subscriptions")) == ["all", "measurements", "modules"], "what handlers were added for"
    await client.page.evaluate("""() => {
      client.unsubscribe(["all", "measurements"]);
      window.predictions = [];
      window.remove = client.on("predictions", (message) => predictions.push(message.n));
      client.connect();
    }""")
    await client.until("connected")
    assert sorted(await client.call("subscriptions")) == ["modules", "predictions"]
    stats = f"http://127.0.0.1:{client.port}/ws/stats"

    async def subscribed() -> bool:
        counts = (await curl(stats)).json["subscriptions"]
        return (counts["predictions"], counts["modules"], counts["all"]) == (1, 1, 0)

    await until(subscribed)
    url = f"http://127.0.0.1:{client.port}/api/v1/events/predictions"
    await curl(url, "--json", '{"n": 1}')
    await client.page.wait_for_function("predictions.length === 1")
    await client.page.evaluate("remove()")
    await curl(url, "--json", '{"n": 2}')
    await client.until("all", 0)
    assert await client.page.evaluate("predictions") == [1]


async def test_failing_handler_does_not_keep_a_message_from_the_others(client: Client) -> None:
    await client.start(connect=False)
    said: list[str] = []
    client.page.on("console", lambda message: said.append(message.text))
    await client.page.evaluate("""() => {
      client.on("measurement", () => { throw new Error("mine"); });
      client.on("measurement", () => heard.push(["second", {}]));
      client.connect();
    }""")
    await client.until("connected")
    await client.post(co2=500)
    await client.until("second")
    await until(lambda: any("a handler of measurement failed" in text for text in said))


async def test_lost_connection_is_back_within_two_seconds_and_nothing_comes_twice(client: Client, line: Line) -> None:
    await client.stop_clock()
    await client.start()
    await client.until_subscribed()
    await client.post(co2=500)
    await client.until("measurements")
    for count in (2, 3, 4):
        await line.cut()
        await client.until("disconnected", count - 1)
        await client.page.clock.run_for(2_000)
        await client.until("connected", count)
        await client.post(co2=500 + count)
        await client.until("measurements", count)
    assert [one["co2"] for one in await client.heard("measurements")] == [500, 502, 503, 504]


async def test_measurements_are_polled_every_three_seconds_while_sockets_are_blocked(client: Client, line: Line) -> None:
    polls: list[str] = []
    client.page.on("request", lambda request: polls.append(request.url) if "/ws/latest" in request.url else None)
    line.is_blocked = True
    await client.stop_clock()
    await client.post(co2=500)
    await client.start()
    assert await client.until("polling") == {"seconds": 3}
    first = await client.until("measurements")
    assert (first["values"], first["enseigne"], first["global_score"]) == ({"CO2": 500}, "Maison", 97)
    assert await client.call("isConnectionActive()") is False
    for count in (2, 3):
        await client.post(co2=400 + 100 * count)
        await client.page.clock.run_for(2_900)
        assert len(polls) == count - 1
        await client.page.clock.run_for(100)
        await client.until("measurements", count)
    assert all("since=" in url for url in polls[1:])
    assert len(await client.heard("error")) == 1, "once per outage"
    line.is_blocked = False

    async def reconnected() -> bool:
        await client.page.clock.run_for(100)
        return bool(await client.heard("connected"))

    await until(reconnected)
    assert await client.call("isPolling") is False
    await client.post(co2=800)
    assert (await client.until("measurements", 4))["co2"] == 800


async def test_what_was_missed_is_fetched_once_the_connection_is_back(client: Client, line: Line) -> None:
    await client.start(pollSeconds=3600)
    await client.until_subscribed()
    await client.post(co2=500)
    await client.until("measurements")
    line.is_blocked = True
    await line.cut()
    await client.until("polling")
    await client.page.wait_for_load_state("networkidle")
    await client.post(co2=600)
    await client.post("hall", co2=700)
    line.is_blocked = False
    await client.until("measurements", 3)
    assert [one["co2"] for one in await client.heard("measurements")] == [500, 600, 700]


async def test_dead_connection_is_noticed_by_its_silence(client: Client, line: Line) -> None:
    await client.page.clock.install()
    await client.start()
    await client.until("connected")
    line.answers = False
    await client.page.clock.fast_forward(25_500)
    await client.page.clock.fast_forward(10_500)
    assert (await client.until("disconnected"))["reason"] == "the bridge does not answer"
    line.answers = True
    await client.page.clock.fast_forward(2_000)
    await client.until("connected", 2)


async def test_disconnected_client_neither_reconnects_nor_polls_until_it_is_told_to(client: Client) -> None:
    await client.start()
    await client.until("connected")
    await client.call("disconnect()")
    assert await client.call("isConnected") is False
    stats = f"http://127.0.0.1:{client.port}/ws/stats"

    async def gone() -> bool:
        return bool((await curl(stats)).json["active_connections"] == 0)

    await until(gone)
    await client.post(co2=500)
    await client.page.clock.install()
    await client.page.clock.fast_forward(10_000)
    assert await client.heard("measurements") == []
    await client.call("connect()")
    await client.call("connect()")
    await client.until("connected", 2)
    assert (await curl(stats)).json["active_connections"] == 1


@pytest.mark.parametrize("access", [REQUIRED], ids=["required"])
@pytest.mark.parametrize("token", [None, "guess"])
async def test_refused_client_says_so_and_stops(client: Client, token: str | None) -> None:
    await client.start(**({} if token is None else {"token": token}))
    error = await client.until("error")
    assert error["code"] in (4401, 1006)
    assert await client.call("isPolling") is False
    assert await client.call("isConnected") is False


@pytest.mark.parametrize("access", [REQUIRED], ids=["required"])
async def test_token_lets_the_client_connect_and_poll(client: Client, line: Line) -> None:
    login = '{"username": "admin", "password": "correct horse battery"}'
    token = (await curl(f"http://127.0.0.1:{client.port}/auth/login", "--json", login)).json["access_token"]
    line.is_blocked = True
    await client.start(token=token)
    await client.until("polling")
    await client.post("bureau1", "-H", f"Authorization: Bearer {token}", co2=500)
    assert (await client.until("measurements"))["co2"] == 500
    line.is_blocked = False
    await client.until("connected")
    await client.post("bureau1", "-H", f"Authorization: Bearer {token}", co2=600)
    assert (await client.until("measurements", 2))["co2"] == 600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topics": ["weather"]}, "topics: weather: must be of measurements, predictions"),
        ({"pollSeconds": -1}, "pollSeconds: must be from 0 to 3600"),
        ({"url": "http://["}, "Invalid URL"),
    ],
)
async def test_wrong_option_is_named_with_what_is_allowed(client: Client, options: dict[str, Any], message: str) -> None:
    said = await client.page.evaluate(
        "options => { try { new BridgeClient(options) } catch (error) { return error.message } }", options
    )
    assert message in said


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "http://127.0.0.1:{}/", "ws://127.0.0.1:{}/ws"])
async def test_bridge_may_be_named_by_either_of_its_addresses(client: Client, url: str) -> None:
    await client.start(url=url.format(client.port))
    assert await client.until("connected") == {"url": f"ws://127.0.0.1:{client.port}/ws"}


async def test_page_polls_until_a_bridge_that_was_stopped_runs_again(
    start_bridge: StartBridge, browser: Browser, broker_url: str, tmp_path: Path
) -> None:
    http, store = HttpSettings(port=free_port()), f"sqlite:///{tmp_path}/bridge.db"
    start: Callable[[], Any] = lambda: start_bridge(broker_url, store, http=http, client_id="again")  # noqa: E731
    async with start():
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{http.port}/examples/")
        await page.add_script_tag(url="/bridge-client.js")
        client = Client(page, http.port)
        await client.start()
        await client.until_subscribed()
        await client.post(co2=500)
        await client.until("measurements")
    await client.until("polling")
    async with start():
        await client.until("connected", 2)
        await client.until_subscribed()
        await client.post(co2=600)
        assert (await client.until("measurements", 2))["co2"] == 600
