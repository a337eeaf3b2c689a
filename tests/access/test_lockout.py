"""How long a guesser waits; by a clock that is given."""

from __future__ import annotations

import pytest

from bridge.access.lockout import _LIMIT, ADDRESS_CAP_SECONDS, USER_CAP_SECONDS, Lockout, LoginAttempt, delay_seconds


def guesses(lockout: Lockout, seconds: float, user: str = "alice", address: str = "192.0.2.1", begin: float = 0.0) -> int:
    """How many wrong guesses get through if one is made as soon as it may be."""
    now, count = begin, 0
    while now < begin + seconds:
        attempt = lockout.begin(user, address, now)
        if isinstance(attempt, LoginAttempt):
            count += 1
        else:
            now += attempt
    return count


def test_guessing_is_slowed_to_fewer_than_ten_a_minute_by_address() -> None:
    lockout = Lockout()
    for minute in range(60):
        assert guesses(lockout, 60, user=f"user{minute}", begin=minute * 60.0) < 10


def test_guessing_is_slowed_to_fewer_than_ten_a_minute_by_user_from_many_addresses() -> None:
    lockout = Lockout()
    for minute in range(60):
        count = 0
        for number in range(600):
            attempt = lockout.begin("alice", f"198.51.{minute}.{number % 250}", minute * 60.0 + number / 10)
            count += isinstance(attempt, LoginAttempt)
        assert count < 10


def test_a_hundred_guesses_at_once_are_a_hundred() -> None:
    lockout = Lockout()
    through = [lockout.begin("alice", "192.0.2.1", 0.0) for _ in range(100)]
    assert sum(isinstance(one, LoginAttempt) for one in through) == 3
    assert lockout.refused == 97


def test_who_logs_in_as_he_should_never_waits() -> None:
    lockout = Lockout()
    for number in range(100):
        attempt = lockout.begin("alice", "192.0.2.1", float(number))
        assert isinstance(attempt, LoginAttempt)
        attempt.succeeded()


def test_nobody_locks_a_user_out_from_where_he_is_known() -> None:
    lockout = Lockout()
    known = lockout.begin("alice", "192.0.2.1", 0.0)
    assert isinstance(known, LoginAttempt)
    known.succeeded()
    for number in range(1000):
        lockout.begin("alice", f"198.51.100.{number % 250}", 1.0)
    assert isinstance(lockout.begin("alice", "192.0.2.1", 1.0), LoginAttempt)


def test_elsewhere_a_user_waits_no_longer_than_the_cap() -> None:
    lockout = Lockout()
    for number in range(1000):
        lockout.begin("alice", f"198.51.{number // 250}.{number % 250}", number * USER_CAP_SECONDS)
    wait = lockout.begin("alice", "203.0.113.9", 1000 * USER_CAP_SECONDS)
    assert isinstance(wait, LoginAttempt) or wait <= USER_CAP_SECONDS


def test_an_account_of_his_own_washes_off_no_guess() -> None:
    lockout = Lockout()
    through = 0
    for number in range(60):
        mine = lockout.begin("mallory", "192.0.2.1", float(number))
        guess = lockout.begin(f"user{number}", "192.0.2.1", float(number))
        if isinstance(mine, LoginAttempt):
            mine.succeeded()
        through += isinstance(guess, LoginAttempt)
    assert through < 10


def test_an_ipv6_network_is_one_address() -> None:
    lockout = Lockout()
    through = [lockout.begin(f"user{n}", f"2001:db8:0:1::{n:x}", 0.0) for n in range(100)]
    assert sum(isinstance(one, LoginAttempt) for one in through) == 3
    assert isinstance(lockout.begin("x", "2001:db8:0:2::1", 0.0), LoginAttempt)


@pytest.mark.parametrize("cap", [USER_CAP_SECONDS, ADDRESS_CAP_SECONDS])
def test_the_wait_grows_and_ends_at_the_cap(cap: float) -> None:
    waits = [delay_seconds(failures, cap) for failures in range(2000)]
    assert waits == sorted(waits)
    assert (waits[2], waits[3], waits[-1]) == (0, 2, cap)


def test_who_asks_on_while_he_has_to_wait_pushes_nobodys_failures_out() -> None:
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
    """How many guesses get through of one who tries each as soon as he may."""
    return sum(isinstance(lockout.begin(*pair, tenth / 10), LoginAttempt) for tenth in range(600) for pair in pairs)


def test_users_who_are_known_at_an_address_are_guessed_there_no_faster_than_others() -> None:
    lockout, pairs = Lockout(), [(f"user{number}", "192.0.2.1") for number in range(5)]
    for pair in pairs:
        known(lockout, *pair)
    assert most_in_a_minute(lockout, pairs) < 10


def test_a_user_who_is_known_at_several_addresses_is_guessed_no_faster() -> None:
    lockout, pairs = Lockout(), [("alice", f"192.0.2.{number}") for number in range(5)]
    for pair in pairs:
        known(lockout, *pair)
    assert most_in_a_minute(lockout, pairs) < 10


def test_who_is_known_at_an_address_waits_for_others_there_no_longer_than_the_cap() -> None:
    lockout = Lockout()
    known(lockout, "alice", "192.0.2.1")
    guesses(lockout, 3600, user="bob")
    assert (lockout.begin("bob", "192.0.2.1", 3600.0) or 0) > USER_CAP_SECONDS  # type: ignore[operator]
    wait = lockout.begin("alice", "192.0.2.1", 3600.0)
    assert isinstance(wait, LoginAttempt) or wait <= USER_CAP_SECONDS


def test_an_attempt_that_was_none_is_not_counted() -> None:
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
