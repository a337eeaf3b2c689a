"""Connection limits and message rates."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from bridge.http.proxies import client_address
from bridge.realtime.limits import ConnectionLimiter
from bridge.settings import RealtimeSettings

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        pytest.param("203.0.113.7", "", "203.0.113.7", id="no proxy"),
        pytest.param("203.0.113.7", "198.51.100.1", "203.0.113.7", id="a client that writes the header itself"),
        pytest.param("10.0.0.1", "198.51.100.1", "198.51.100.1", id="a proxy"),
        pytest.param("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1", id="a client that writes, behind a proxy"),
        pytest.param(
            "10.0.0.1", "1.1.1.1, 10.9.9.9, 198.51.100.1", "198.51.100.1", id="one that names a proxy, behind a proxy"
        ),
        pytest.param("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1", id="two proxies"),
        pytest.param("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", id="a client in the proxies' network"),
        pytest.param("10.0.0.1", "", "10.0.0.1", id="a proxy that says nothing"),
        pytest.param("10.0.0.1", " , ,, ", "10.0.0.1", id="a proxy that says nothing, at length"),
        pytest.param("10.0.0.1", " 198.51.100.1 ,", "198.51.100.1", id="spaces and an empty end"),
        pytest.param("10.0.0.1", "unknown", "unknown", id="a word"),
        pytest.param("10.0.0.1", "198.51.100.1, <script>", "<script>", id="junk is used as it is, and no entry before it"),
        pytest.param("10.0.0.1", "x" * 5000, "x" * 64, id="junk is cut"),
        pytest.param("10.0.0.1", "2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("fd00::1", "2001:DB8:0::1", "2001:db8::1", id="IPv6 in another spelling"),
        pytest.param("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1", id="a proxy seen by a socket for both"),
        pytest.param("::ffff:203.0.113.7", "1.1.1.1", "203.0.113.7", id="a client seen by a socket for both"),
        pytest.param("10.0.0.1", "198.51.100.1:5123", "198.51.100.1", id="with a port"),
        pytest.param("10.0.0.1", "[2001:db8::1]:5123", "2001:db8::1", id="IPv6 with a port"),
        pytest.param("10.0.0.1", "198.51.100.1, 10.0.0.2:80", "198.51.100.1", id="a proxy with a port"),
        pytest.param(None, "198.51.100.1", "unknown", id="no peer"),
    ],
)
def test_client_address_is_taken_from_trusted_proxies(peer: str | None, forwarded: str, client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_no_proxy_is_trusted_by_default() -> None:
    assert client_address("127.0.0.1", "198.51.100.1", ()) == "127.0.0.1"


def test_connections_are_limited_in_total_and_per_address_and_refusals_counted() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(max_clients=3, max_clients_per_address=2))
    for key in (1, 2):
        assert limiter.refusal("a") is None
        limiter.add(key, "a", 0)
    assert "too many clients from this address: at most 2" in (limiter.refusal("a") or "")
    assert limiter.refusal("b") is None
    limiter.add(3, "b", 0)
    assert "the bridge serves at most 3" in (limiter.refusal("c") or "")
    assert limiter.refused == {"address": 1, "total": 1}
    limiter.remove(1)
    assert limiter.refusal("a") is None
    assert len(limiter) == 2


def test_removed_connections_leave_nothing_behind() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(), required=True)
    for key in range(3):
        limiter.add(key, "a", 0)
        assert key in limiter
    limiter.mark_authenticated(1)
    for key in (0, 1, 2, 2, 99):
        limiter.remove(key)
    assert (
        len(limiter),
        limiter._deadlines,
        limiter._by_address,
        limiter._unauthenticated,
        limiter._unauthenticated_by_address,
    ) == (
        0,
        {},
        {},
        {},
        {},
    )


def test_ipv6_addresses_are_counted_per_network() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(max_clients_per_address=2))
    for key, address in enumerate(("2001:db8::1", "2001:db8::2")):
        limiter.add(key, address, 0)
    assert limiter.refusal("2001:db8:0:0:ffff::9") is not None
    assert limiter.refusal("2001:db8:0:1::1") is None
    limiter.remove(0)
    assert limiter.refusal("2001:db8::3") is None


def test_unauthenticated_connections_do_not_take_places_of_authenticated_ones() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(max_clients=1000), required=True)
    assert limiter.unauthenticated_limit == 100
    for key in range(100):
        assert limiter.refusal(f"10.0.0.{key}") is None
        limiter.add(key, f"10.0.0.{key}", 0)
    assert "not logged in yet" in (limiter.refusal("10.0.1.1") or "")
    assert limiter.refusal("10.0.1.1", known=True) is None
    assert limiter.refused == {"strangers": 1}
    limiter.mark_authenticated(0)
    assert limiter.refusal("10.0.1.1") is None


def test_one_address_may_take_half_of_the_unauthenticated_places() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(max_clients=10), required=True)
    assert limiter.unauthenticated_limit == 50
    limiter = ConnectionLimiter(RealtimeSettings(max_clients=200), required=True)
    for key in range(25):
        assert limiter.refusal("10.0.0.1") is None
        limiter.add(key, "10.0.0.1", 0)
    assert limiter.refusal("10.0.0.1") is not None
    assert limiter.refusal("10.0.0.2") is None


def test_unauthenticated_limit_does_not_apply_while_access_control_is_off() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(max_clients=200))
    for key in range(200):
        assert limiter.refusal("a") is None
        limiter.add(key, "a", 0)


def test_connection_is_overdue_after_the_handshake_time() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(handshake_seconds=10))
    limiter.add("early", "a", 0)
    limiter.add("late", "a", 5)
    limiter.add("shaken", "a", 0)
    limiter.handshake_done("shaken")
    assert limiter.overdue(9.9) == []
    assert limiter.overdue(10) == ["early"]
    assert limiter.overdue(99) == ["early", "late"]


def test_refused_connection_cannot_extend_its_deadline() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(handshake_seconds=10))
    limiter.add("guesser", "a", 0)
    for moment in range(5):
        limiter.set_deadline("guesser", 0.5, moment / 10)
    assert limiter.overdue(0.5) == ["guesser"]
    limiter.set_deadline("gone", 0.5, 0)
    assert "gone" not in limiter._deadlines


def test_accepted_connection_can_be_given_a_new_deadline() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(handshake_seconds=10))
    limiter.add("a", "a", 0)
    limiter.handshake_done("a")
    limiter.set_deadline("a", 10, 100)
    assert limiter.overdue(109) == []
    assert limiter.overdue(110) == ["a"]


def test_messages_are_limited_by_burst_and_rate() -> None:
    limiter = ConnectionLimiter(RealtimeSettings(message_rate=2, message_burst=5))
    limiter.add("a", "a", 0)
    assert [limiter.allow_message("a", 0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [limiter.allow_message("a", 1.0) for _ in range(3)] == [True, True, False]
    assert [limiter.allow_message("a", 1000.0) for _ in range(6)] == [True] * 5 + [False], "unused rate is limited"
    assert not limiter.allow_message("unknown", 0)
