"""Socket.IO clients of a running bridge: real clients, a real broker, a real store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from bson.objectid import ObjectId
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from bridge.app import Bridge
from bridge.core.readings.reading import Reading
from bridge.settings import AccessSettings, HttpSettings, RealtimeSettings, StoreSettings
from bridge.stores import open_store
from tests.access.parts import ACCESS
from tests.conftest import StartBridge
from tests.realtime.clients import Bare, Listener, Polling, auth_headers, listening, publish_many
from tests.servers import until

TRANSPORTS = ["websocket", "polling"]
Open = Callable[..., Any]


@pytest.fixture
async def opened(start_bridge: StartBridge, broker_url: str, tmp_path: Path, access: AccessSettings) -> AsyncIterator[Open]:
    """Return a function that starts a bridge: `await opened(slow_seconds=1)`."""
    async with AsyncExitStack() as stack:

        async def start(http: HttpSettings | None = None, **realtime: Any) -> Bridge:
            settings = RealtimeSettings(**realtime)
            url = f"sqlite:///{tmp_path}/bridge.db"
            return await stack.enter_async_context(start_bridge(broker_url, url, http=http, realtime=settings, access=access))

        yield start


@pytest.fixture
async def bridge(opened: Open) -> Bridge:
    running: Bridge = await opened()
    return running


async def metric(bridge: Bridge, name: str) -> float:
    """Return the value of a line of `/metrics`, or 0."""
    url = f"http://127.0.0.1:{bridge.port}/metrics"
    async with aiohttp.ClientSession(headers=auth_headers(bridge)) as session, session.get(url) as answer:
        lines = (await answer.text()).splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)


async def temperatures_of(listener: Listener, count: int) -> list[float]:
    await until(lambda: len(listener.of("sensorData")) >= count, what=f"{count} readings")
    return listener.temperatures


def temperatures(count: int, first: int = 0) -> list[float]:
    return [n / 10 % 100 for n in range(first, first + count)]


# --- subscribing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_subscription_is_acknowledged_and_applied(bridge: Bridge, broker_url: str, transport: str) -> None:
    async with listening(bridge, transports=[transport]) as listener:
        answer = await listener.client.call("subscribe", {"devices": ["b", "a"]})
        assert answer == {"ok": True, "devices": ["a", "b"], "cursor": answer["cursor"], "replayed": 0}
        assert type(answer["cursor"]) is int
        await publish_many(broker_url, 30, devices="abc")
        await temperatures_of(listener, 20)
        assert {body["data"]["deviceId"] for body in listener.of("sensorData")} == {"a", "b"}
        answer = await listener.client.call("unsubscribe", {"devices": ["a"]})
        assert answer == {"ok": True, "devices": ["b"], "cursor": answer["cursor"]}
        await publish_many(broker_url, 30, first=30, devices="abc")
        await temperatures_of(listener, 30)
        assert {body["data"]["deviceId"] for body in listener.of("sensorData")[20:]} == {"b"}
        assert (await listener.client.call("subscribe"))["devices"] is None
        assert (await listener.client.call("unsubscribe"))["devices"] == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_invalid_request_is_acknowledged_with_the_error(bridge: Bridge, transport: str) -> None:
    async with listening(bridge, transports=[transport]) as listener:
        for event, body, text in (
            ("subscribe", {"devices": "a"}, "devices"),
            ("subscribe", {"since": -1}, "since"),
            ("subscribe", {"every": "1h"}, "an interval"),
            ("subscribe", {"device": []}, "device"),
            ("subscribe", "a", "the request"),
            ("subscribe", [], "the request"),
            ("subscribe", 0, "the request"),
            ("subscribe", False, "the request"),
            ("unsubscribe", {"devices": ["a"]}, "devices: this client receives every device"),
            ("unsubscribe", {"since": 1}, "since"),
            ("publish", {"temperature": 1}, "unknown event 'publish'"),
        ):
            answer = await listener.client.call(event, body)
            assert answer["ok"] is False
            assert text in answer["error"], event
        assert (await listener.client.call("subscribe", ({"devices": ["a"]}, "more")))["ok"], "further arguments are ignored"
        assert listener.client.connected


# --- replay ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_missed_records_are_replayed_in_order_from_store_and_memory(
    opened: Open, broker_url: str, tmp_path: Path, transport: str
) -> None:
    before = time.time_ns() // 1000 - 3_600_000_000
    old = [Reading(ObjectId(), "d", {"temperature": n / 10 % 100}, 1_767_000_000_000, 0, seq=before + n) for n in range(1200)]
    async with open_store(StoreSettings(url=SecretStr(f"sqlite:///{tmp_path}/bridge.db"))) as store:
        await store.prepare()
        await store.write(old, [], [])
    bridge = await opened(recent_records=1000)
    async with listening(bridge, transports=["websocket"]) as witness:
        await publish_many(broker_url, 1400, first=1200)
        await temperatures_of(witness, 1400)
        latest = witness.cursors[-10]
    async with listening(bridge, transports=[transport]) as listener:
        answer = await listener.client.call("subscribe", {"since": before, "limit": 5000}, timeout=30)
        assert answer["replayed"] == 2599, "all but the first, whose cursor was sent"
        await publish_many(broker_url, 5, first=2600)
        assert await temperatures_of(listener, 2604) == temperatures(2604, 1)
        assert listener.cursors == sorted(set(listener.cursors))
    async with listening(bridge, transports=[transport]) as recent:
        assert (await recent.client.call("subscribe", {"since": latest}))["replayed"] == 14
        assert await temperatures_of(recent, 14) == temperatures(14, 2591)
        limited = await recent.client.call("subscribe", {"since": before, "limit": 3})
        assert limited["replayed"] == 3
        await until(lambda: recent.of("gap"))
        (gap,) = recent.of("gap")
        assert list(gap) == ["from", "to", "missed"]
        assert gap["from"] == recent.cursors[-1] == before + 3


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_client_that_reconnects_with_its_last_cursor_receives_every_record_once(
    opened: Open, broker_url: str, transport: str
) -> None:
    bridge = await opened(settle_seconds=5)
    seen: list[float] = []
    cursor: int | None = None
    for round_ in range(5):
        publishing = asyncio.create_task(publish_many(broker_url, 200, first=200 * round_))
        async with listening(bridge, transports=[transport]) as listener:
            await listener.client.call("subscribe", {"since": cursor or 0, "limit": 10_000})
            await temperatures_of(listener, 50)
        await publishing
        seen += listener.temperatures
        cursor = listener.cursors[-1]
    async with listening(bridge, transports=[transport]) as listener:
        await listener.client.call("subscribe", {"since": cursor, "limit": 10_000})
        await until(lambda: len(seen) + len(listener.temperatures) >= 1000)
        seen += listener.temperatures
    assert seen == temperatures(1000)


# --- slow clients ------------------------------------------------------------------------------------------------------


async def publish_until_behind(bridge: Bridge, broker_url: str, quick: Listener, records: int) -> int:
    """Publish until the other client is so many records behind; return how many. Its connection holds thousands of them."""
    await until(lambda: quick.received)
    count = behind = 0
    while behind < records:
        await publish_many(broker_url, 2000, first=count)
        count += 2000
        await temperatures_of(quick, count)
        behind = 2 * count - round(await metric(bridge, "bridge_records_delivered_total"))
    return count


@pytest.mark.parametrize("access", ACCESS)
async def test_stalled_client_is_sent_every_record_once_when_it_reads_again(opened: Open, broker_url: str) -> None:
    bridge = await opened(client_buffer_bytes=64 * 1024, recent_records=1000, slow_seconds=300)
    async with Bare.stalled(bridge) as stalled, listening(bridge) as quick:
        count = await publish_until_behind(bridge, broker_url, quick, 2000)
        assert [(await stalled.reading())["cursor"] for _ in range(count)] == quick.cursors
        await publish_many(broker_url, 1, first=count)
        latest = await stalled.reading()
        await temperatures_of(quick, count + 1)
        assert latest["cursor"] == quick.cursors[-1], "it is live again"
        assert await metric(bridge, "bridge_clients_slow") == 0
        assert await metric(bridge, "bridge_records_missed_total") == 0


@pytest.mark.parametrize("access", ACCESS)
async def test_client_that_polls_slowly_is_sent_every_record_once(opened: Open, broker_url: str) -> None:
    bridge = await opened(client_buffer_bytes=64 * 1024, recent_records=1000, slow_seconds=300)
    async with Polling.connected(bridge) as polling, listening(bridge) as quick:
        await until(lambda: quick.received)
        await publish_many(broker_url, 5000)
        await temperatures_of(quick, 5000)
        assert await metric(bridge, "bridge_clients_slow") == 1
        while len(polling.cursors) < 5000:
            await polling.poll()
        assert polling.cursors == quick.cursors
        assert await metric(bridge, "bridge_clients_slow") == 0
        await publish_many(broker_url, 1, first=5000)
        while len(polling.cursors) < 5001:
            await polling.poll()
        await temperatures_of(quick, 5001)
        assert polling.cursors == quick.cursors, "it is live again"


async def test_stalled_client_receives_a_gap_if_it_is_further_behind_than_it_may_catch_up(
    opened: Open, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.realtime.hub.catch_up._PAGES_PER_COUNT", 1)
    bridge = await opened(client_buffer_bytes=64 * 1024, recent_records=1000, catch_up_records=2000, slow_seconds=300)
    async with Bare.stalled(bridge) as stalled, listening(bridge) as quick:
        await publish_until_behind(bridge, broker_url, quick, 5000)
        published = quick.cursors
        cursors: list[int] = []
        gaps: list[Any] = []
        while not cursors or cursors[-1] < published[-1]:
            name, body = await stalled.event()
            if name == "sensorData":
                cursors.append(body["cursor"])
            elif name == "gap":
                gaps.append((body["from"], body["to"], body["missed"]))
        assert gaps
        missed = [cursor for cursor in published if any(after < cursor <= until for after, until, _ in gaps)]
        assert sorted(cursors + missed) == published
        assert cursors == sorted(cursors)
        assert len(missed) == sum(number for _, _, number in gaps)
        assert await metric(bridge, "bridge_records_missed_total") == len(missed)
        answer = await stalled.call(f'["subscribe",{{"since":{gaps[0][0]},"limit":1}}]')
        assert answer["replayed"] == 1


@pytest.mark.parametrize("access", ACCESS)
async def test_client_that_never_reads_is_disconnected_even_if_it_answers_pings(opened: Open, broker_url: str) -> None:
    bridge = await opened(client_buffer_bytes=64 * 1024, slow_seconds=1)
    async with Bare.stalled(bridge), listening(bridge) as quick:
        count = 0
        while not await metric(bridge, 'bridge_clients_cut_total{reason="slow"}'):
            await publish_many(broker_url, 2000, first=count)
            count += 2000
            await temperatures_of(quick, count)
        await until_clients(bridge, 1)
        assert quick.temperatures == temperatures(count)


async def until_clients(bridge: Bridge, count: int) -> None:
    async def are() -> bool:
        return await metric(bridge, "bridge_clients") == count

    await until(are, what=f"{count} clients")


async def test_bridge_with_a_stalled_client_stops_within_its_deadline(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/stop.db") as bridge:
            await stack.enter_async_context(Bare.stalled(bridge))
            quick = await stack.enter_async_context(listening(bridge))
            polling = await stack.enter_async_context(listening(bridge, transports=["polling"]))
            await publish_many(broker_url, 5000)
            await temperatures_of(quick, 5000)
            assert polling.client.connected
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 10, "the stop deadline of the settings is 4 s"


# --- connections -------------------------------------------------------------------------------------------------------


async def closed(client: Bare) -> tuple[int, str]:
    """Return the code and reason with which the bridge closes the connection."""
    try:
        while True:
            await client.receive()
    except ConnectionClosed as error:
        return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")


async def test_websocket_without_connect_packet_is_closed(opened: Open) -> None:
    bridge = await opened(handshake_seconds=2)
    async with Bare.connected(bridge, joins=False) as client:
        assert await closed(client) == (1008, "handshake")
    assert await metric(bridge, 'bridge_clients_cut_total{reason="handshake"}') == 1


async def test_long_polling_client_without_connect_packet_is_closed(opened: Open) -> None:
    bridge = await opened(handshake_seconds=1)
    url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            sid = orjson.loads((await answer.text())[1:])["sid"]
        async with session.get(f"{url}&sid={sid}") as answer:
            assert (answer.status, await answer.text()) == (200, "1")
        async with session.get(f"{url}&sid={sid}") as answer:
            assert answer.status == 400


async def test_unfinished_upgrade_leaves_the_client_polling(opened: Open, broker_url: str) -> None:
    bridge = await opened()
    async with listening(bridge, transports=["polling"]) as listener:
        sid = listener.client.eio.sid
        url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=websocket&sid={sid}"
        async with aiohttp.ClientSession() as session:
            for text in ("what", "x", ""):
                async with session.ws_connect(url) as websocket:
                    await websocket.send_str(text)
                    assert (await websocket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)
            async with session.ws_connect(url) as first, session.ws_connect(url) as other:
                await first.send_str("2probe")
                assert await first.receive_str() == "3probe"
                assert (await other.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE), "one at a time"
        await publish_many(broker_url, 10)
        assert await temperatures_of(listener, 10) == temperatures(10)


async def test_refused_client_is_closed_however_often_it_retries(opened: Open) -> None:
    bridge = await opened()

    async def guess(client: Bare) -> None:
        while True:
            await client.send("40/admin,")
            await asyncio.sleep(0.1)

    async with Bare.connected(bridge, joins=False) as client:
        guessing = asyncio.create_task(guess(client))
        assert (await client.receive()).startswith("44/admin,")
        assert await closed(client) == (1008, "handshake")
        guessing.cancel()
    assert await metric(bridge, "bridge_clients") == 0


async def test_client_that_left_the_namespace_may_join_again_within_the_handshake_time(opened: Open) -> None:
    bridge = await opened(handshake_seconds=2)
    async with Bare.connected(bridge) as client:
        await client.send("41")
        await client.send("40")
        while not (await client.receive()).startswith("40{"):
            pass
        await client.send("41")
        assert await closed(client) == (1008, "handshake")


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"bytes", "binary"),
        ('451-["subscribe",{"_placeholder":true,"num":0}]', "binary"),
        ("4{}", "malformed"),
        ("4null", "malformed"),
        ("4-5", "malformed"),
        ("49", "malformed"),
        ("42", "malformed"),
        ("42[", "malformed"),
        ("42[]", "malformed"),
        ("42{}", "malformed"),
        ("42[1]", "malformed"),
        ("42[[]]", "malformed"),
        ('44{"message":"no"}', "malformed"),
        ('42["disconnect","x"]', "malformed"),
        ('42["\\u0063onnect",1,2,3,4]', "malformed"),
        ("41{}", "malformed"),
        ("431{}", "malformed"),
        ("40", "order"),
        ('42/nope,["subscribe"]', "order"),
    ],
)
async def test_invalid_packet_closes_the_connection_with_its_reason(
    bridge: Bridge, packet: str | bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bare.connected(bridge) as client:
        await client.send(packet)
        assert await closed(client) == (1008, reason)
    assert await metric(bridge, f'bridge_clients_cut_total{{reason="{reason}"}}') == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_websocket_client_that_vanishes_in_its_handshake_leaves_neither_session_nor_error(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = await opened(max_clients_per_address=20, handshake_seconds=60)
    headers = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng=="
    )
    for _ in range(300):
        await vanish(bridge, "GET /socket.io/?EIO=4&transport=websocket", headers)
    async with Bare.connected(bridge):
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_client_that_vanishes_before_its_body_causes_no_error(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    lengths = "Content-Length: 99999", "Content-Length: 99999\r\nExpect: 100-continue"
    async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}", headers=auth_headers(bridge)) as session:
        for length in lengths * 40:
            async with session.get("/socket.io/?EIO=4&transport=polling") as response:
                sid = orjson.loads((await response.text())[1:])["sid"]
            await vanish(bridge, f"POST /socket.io/?EIO=4&transport=polling&sid={sid}", f"Content-Type: text/plain\r\n{length}")
            await vanish(bridge, "POST /api/ingest", f"Content-Type: application/json\r\n{length}")
    async with Bare.connected(bridge):
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def vanish(bridge: Bridge, request: str, headers: str) -> None:
    """Send the head of a request, and disconnect without waiting for the response."""
    _, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
    login = "".join(f"{name}: {text}\r\n" for name, text in auth_headers(bridge).items())
    writer.write(f"{request} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{login}\r\n".encode())
    writer.transport.abort()


@pytest.mark.parametrize("access", ACCESS)
async def test_long_polling_client_with_binary_packets_is_disconnected_once(bridge: Bridge) -> None:
    url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession(headers=auth_headers(bridge)) as session:
        async with session.get(url) as answer:
            sid = orjson.loads((await answer.text())[1:])["sid"]
        await session.post(f"{url}&sid={sid}", data="40")
        await session.post(f"{url}&sid={sid}", data="\x1e".join(["bAAAA"] * 10))
        await until_clients(bridge, 0)
    assert await metric(bridge, 'bridge_clients_cut_total{reason="binary"}') == 1


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("packet", ['42["subscribe"]', "41", "431[]"])
async def test_packet_before_connect_closes_the_connection(bridge: Bridge, packet: str) -> None:
    async with Bare.connected(bridge, joins=False) as client:
        await client.send(packet)
        assert await closed(client) == (1008, "order")


async def test_client_that_does_not_answer_pings_is_removed(opened: Open) -> None:
    bridge = await opened(ping_interval_seconds=1, ping_timeout_seconds=1)
    async with Bare.connected(bridge) as client:
        received = [message async for message in client.socket]
        assert "1" not in received, "after a close packet python-socketio does not reconnect"
        assert client.socket.close_code == 1001
        await until_clients(bridge, 0)


@pytest.mark.parametrize("access", ACCESS)
async def test_client_that_exceeds_the_message_rate_is_disconnected(opened: Open) -> None:
    bridge = await opened(message_rate=1, message_burst=5)
    async with Bare.connected(bridge) as client:
        for _ in range(20):
            await client.send('42["subscribe"]')
        assert await closed(client) in [(1008, "rate"), (1006, "")]
    assert await metric(bridge, 'bridge_clients_cut_total{reason="rate"}') == 1


@pytest.mark.parametrize(("limit", "counted"), [("max_clients", "total"), ("max_clients_per_address", "address")])
async def test_connection_beyond_a_limit_is_refused_with_503(opened: Open, limit: str, counted: str) -> None:
    bridge = await opened(**{limit: 2})
    url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling"
    async with Bare.connected(bridge), aiohttp.ClientSession() as session:
        async with listening(bridge, transports=["polling"]) as polling:
            for more in ("", "&sid=", "&sid"):
                async with session.get(url + more) as answer:
                    assert answer.status == 503
                    assert answer.content_type == "application/problem+json"
                    assert answer.headers["Retry-After"] == "5"
                    assert "at most" in (await answer.json())["detail"]
            with pytest.raises(Exception, match="503"):
                async with Bare.connected(bridge):
                    pass
            assert polling.client.connected
        async with Bare.connected(bridge):
            pass
    assert await metric(bridge, f'bridge_clients_refused_total{{reason="{counted}"}}') == 4


async def test_clients_behind_a_trusted_proxy_are_counted_by_forwarded_address(opened: Open) -> None:
    http = HttpSettings.model_validate({"port": 0, "trusted_proxies": "127.0.0.1"})
    bridge = await opened(http, max_clients_per_address=1)
    url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling"

    async def status(*forwarded: str) -> int:
        async with aiohttp.ClientSession() as session:
            async with session.get(url, headers=[("X-Forwarded-For", value) for value in forwarded]) as answer:
                return answer.status

    assert await status("198.51.100.1") == 200
    assert await status("198.51.100.2") == 200
    assert await status("198.51.100.1") == 503
    assert await status("1.1.1.1, 198.51.100.1") == 503, "an entry that the client wrote itself"
    assert await status("1.1.1.1", "198.51.100.1") == 503, "even if the proxy adds a header of its own"
    assert [await status(f"2001:db8::{n}") for n in (1, 2)] == [200, 503], "an IPv6 network counts as one address"
    assert await status("2001:db8:0:1::1") == 200


# --- compression -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [True, False], ids=["with server context", "without server context"])
async def test_client_that_supports_compression_receives_compressed_messages(
    opened: Open, broker_url: str, *, context: bool
) -> None:
    bridge = await opened(compression=True)
    offers = [ClientPerMessageDeflateFactory(server_no_context_takeover=not context, client_max_window_bits=True)]
    async with Bare.connected(bridge, extensions=offers) as client, listening(bridge, transports=["websocket"]) as python:
        assert client.socket.protocol.extensions, "compression was agreed"
        await client.call('["subscribe",{}]')
        await publish_many(broker_url, 300)
        await temperatures_of(python, 300)
        got = [await client.reading() for _ in range(300)]
        assert [body["data"]["temperature"] for body in got] == temperatures(300) == python.temperatures
        answer = await client.call('["subscribe",{"since":0}]')
        assert (answer["ok"], answer["replayed"]) == (True, 0)


async def test_compression_is_off_by_default(bridge: Bridge) -> None:
    async with Bare.connected(bridge, compression="deflate") as client:
        assert client.socket.protocol.extensions == []


# --- order -------------------------------------------------------------------------------------------------------------


async def test_order_is_kept_during_upgrades_under_load_and_beside_acknowledgements(bridge: Bridge, broker_url: str) -> None:
    publishing = asyncio.create_task(publish_many(broker_url, 1500))
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listening(bridge)) for _ in range(10)]
        assert {listener.client.transport() for listener in listeners} == {"websocket"}
        for listener in listeners:
            answer = await listener.client.call("subscribe", {"since": 0, "limit": 10_000})
            assert answer["ok"]
        for listener in listeners:
            for _ in range(3):
                assert (await listener.client.call("subscribe", {}))["ok"]
        await publishing
        for listener in listeners:
            await temperatures_of(listener, 1500)
            assert sorted(listener.cursors) == sorted(set(listener.cursors)), "no record twice"
            descents = sum(second < first for first, second in pairwise(listener.cursors))
            assert descents <= 1, "only at the start of the replay"


# --- coalescing --------------------------------------------------------------------------------------------------------


async def test_coalescing_client_receives_the_latest_record_of_each_device(bridge: Bridge, broker_url: str) -> None:
    async with listening(bridge) as every_record, listening(bridge) as coalesced:
        assert (await coalesced.client.call("subscribe", {"every": "200ms"}))["ok"]
        await publish_many(broker_url, 600, devices="ab")
        await temperatures_of(every_record, 600)
        await until(lambda: coalesced.temperatures[-2:] == temperatures(2, 598))
        assert len(coalesced.cursors) < 600
        assert coalesced.cursors == sorted(set(coalesced.cursors))
        assert set(coalesced.cursors) <= set(every_record.cursors)
