"""The lockout, with a given clock."""

from __future__ import annotations

import pytest

from bridge.access.lockout import _LIMIT, ADDRESS_CAP_SECONDS, FREE, USER_CAP_SECONDS, Lockout, LoginAttempt, delay_seconds


def guesses(lockout: Lockout, seconds: float, user: str = "alice", address: str = "192.0.2.1", begin: float = 0.0) -> int:
    """The number of wrong guesses that are allowed if each is made as soon as possible."""
    now, count = begin, 0
    while now < begin + seconds:
        attempt = lockout.begin(user, address, now)
        if isinstance(attempt, LoginAttempt):
            count += 1
        else:
            now += attempt
    return count


def minutes_from_the_third(failures: int, cap: float) -> float:  # noqa: ARG001
    """Instead of `delay_seconds`, for real time: the two seconds after the third failure may be over at once."""
    return 300.0 if failures >= FREE else 0.0


def test_address_gets_fewer_than_ten_guesses_a_minute() -> None:
    lockout = Lockout()
    for minute in range(60):
        assert guesses(lockout, 60, user=f"user{minute}", begin=minute * 60.0) < 10


def test_user_gets_fewer_than_ten_guesses_a_minute_from_many_addresses() -> None:
    lockout = Lockout()
    for minute in range(60):
        count = 0
        for number in range(600):
            attempt = lockout.begin("alice", f"198.51.{minute}.{number % 250}", minute * 60.0 + number / 10)
            count += isinstance(attempt, LoginAttempt)
        assert count < 10


def test_concurrent_guesses_are_all_counted() -> None:
    lockout = Lockout()
    through = [lockout.begin("alice", "192.0.2.1", 0.0) for _ in range(100)]
    assert sum(isinstance(one, LoginAttempt) for one in through) == 3
    assert lockout.refused == 97


def test_successful_logins_never_wait() -> None:
    lockout = Lockout()
    for number in range(100):
        attempt = lockout.begin("alice", "192.0.2.1", float(number))
        assert isinstance(attempt, LoginAttempt)
        attempt.succeeded()


def test_user_is_never_locked_out_at_a_known_address_by_others() -> None:
    lockout = Lockout()
    known = lockout.begin("alice", "192.0.2.1", 0.0)
    assert isinstance(known, LoginAttempt)
    known.succeeded()
    for number in range(1000):
        lockout.begin("alice", f"198.51.100.{number % 250}", 1.0)
    assert isinstance(lockout.begin("alice", "192.0.2.1", 1.0), LoginAttempt)


def test_user_waits_at_most_the_cap_at_a_new_address() -> None:
    lockout = Lockout()
    for number in range(1000):
        lockout.begin("alice", f"198.51.{number // 250}.{number % 250}", number * USER_CAP_SECONDS)
    wait = lockout.begin("alice", "203.0.113.9", 1000 * USER_CAP_SECONDS)
    assert isinstance(wait, LoginAttempt) or wait <= USER_CAP_SECONDS


def test_guesser_cannot_reset_failures_with_a_successful_login() -> None:
    lockout = Lockout()
    through = 0
    for number in range(60):
        mine = lockout.begin("mallory", "192.0.2.1", float(number))
        guess = lockout.begin(f"user{number}", "192.0.2.1", float(number))
        if isinstance(mine, LoginAttempt):
            mine.succeeded()
        through += isinstance(guess, LoginAttempt)
    assert through < 10


def test_ipv6_network_is_one_address() -> None:
    lockout = Lockout()
    through = [lockout.begin(f"user{n}", f"2001:db8:0:1::{n:x}", 0.0) for n in range(100)]
    assert sum(isinstance(one, LoginAttempt) for one in through) == 3
    assert isinstance(lockout.begin("x", "2001:db8:0:2::1", 0.0), LoginAttempt)


@pytest.mark.parametrize("cap", [USER_CAP_SECONDS, ADDRESS_CAP_SECONDS])
def test_wait_doubles_up_to_the_cap(cap: float) -> None:
    waits = [delay_seconds(failures, cap) for failures in range(2000)]
    assert waits == sorted(waits)
    assert (waits[2], waits[3], waits[-1]) == (0, 2, cap)


def test_refused_attempts_do_not_evict_failures_of_others() -> None:
    lockout = Lockout()
    assert guesses(lockout, 1, user="admin") == 3
    for number in range(3 * _LIMIT):
        lockout.begin(f"nobody{number}", "203.0.113.9", 1.0)
    assert isinstance(lockout.begin("admin", "192.0.2.1", 1.0), float)
    assert isinstance(lockout.begin("admin", "198.51.100.1", 1.0), float)


def known(lockout: Lockout, user: str, address: str) -> None:
    attempt = lockout.begin(user, address, -10_000.0)
    assert isinstance(attempt, LoginAttempt)
    attempt.succeeded()


def most_in_a_minute(lockout: Lockout, pairs: list[tuple[str, str]]) -> int:
    """The number of guesses that are allowed if each user is tried as soon as possible."""
    return sum(isinstance(lockout.begin(*pair, tenth / 10), LoginAttempt) for tenth in range(600) for pair in pairs)


def test_known_users_of_an_address_are_guessed_there_no_faster_than_others() -> None:
    lockout, pairs = Lockout(), [(f"user{number}", "192.0.2.1") for number in range(5)]
    for pair in pairs:
        known(lockout, *pair)
    assert most_in_a_minute(lockout, pairs) < 10


def test_user_known_at_several_addresses_is_guessed_no_faster() -> None:
    lockout, pairs = Lockout(), [("alice", f"192.0.2.{number}") for number in range(5)]
    for pair in pairs:
        known(lockout, *pair)
    assert most_in_a_minute(lockout, pairs) < 10


def test_known_user_waits_for_other_users_of_the_address_at_most_the_cap() -> None:
    lockout = Lockout()
    known(lockout, "alice", "192.0.2.1")
    guesses(lockout, 3600, user="bob")
    assert (lockout.begin("bob", "192.0.2.1", 3600.0) or 0) > USER_CAP_SECONDS  # type: ignore[operator]
    wait = lockout.begin("alice", "192.0.2.1", 3600.0)
    assert isinstance(wait, LoginAttempt) or wait <= USER_CAP_SECONDS


def test_cancelled_attempt_is_not_counted() -> None:
    lockout = Lockout()
    for number in range(100):
        attempt = lockout.begin("alice", "192.0.2.1", float(number))
        assert isinstance(attempt, LoginAttempt)
        attempt.cancel()


def test_memory_is_bounded() -> None:
    lockout = Lockout()
    for number in range(3 * _LIMIT):
        attempt = lockout.begin(f"user{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
        if isinstance(attempt, LoginAttempt):
            attempt.succeeded()
    assert all(len(of_kind) <= _LIMIT for of_kind in lockout._counts.values())
    assert len(lockout._known) <= _LIMIT
