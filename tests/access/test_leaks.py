"""The leak check finds planted secrets."""

from __future__ import annotations

import base64
import logging
from urllib.parse import quote

import pytest

from tests.access.leaks import LEAKS, Leaks, forms

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlIG9mIHRoZSB0b2tlbg"
KEY = "sbk_0123456789abcdef_A-secret_that/nobody+knows"
PASSWORD = "correct horse & battery"


@pytest.mark.parametrize(
    "said",
    [
        f"a token: {TOKEN}",
        f"half of it: {TOKEN[20:]}",
        f"GET /x?token={quote(KEY, safe='')}",
        f"what opens: {KEY[21:]}",
        f'{{"detail": "{PASSWORD} is wrong"}}',
        f"/login?password={quote(PASSWORD, safe='')}",
        *(f"Basic {base64.b64encode(f'{name}:{PASSWORD}'.encode()).decode()}" for name in ("a", "ab", "abc")),
    ],
)
@pytest.mark.parametrize("where", ["log", "answer"])
def test_planted_secret_is_found(said: str, where: str) -> None:
    leaks, log = Leaks(), logging.getLogger("bridge.planted")
    leaks.hide(TOKEN, KEY, PASSWORD)
    log.propagate = False  # or the check at the end of this run would find it
    log.addHandler(leaks)
    if where == "log":
        log.error("%s", said)
    else:
        leaks.say("answer", said)
    log.removeHandler(leaks)
    assert len(leaks.found()) == 1


def test_secret_in_a_traceback_is_found() -> None:
    leaks, log = Leaks(), logging.getLogger("bridge.planted")
    leaks.hide(KEY)
    log.propagate = False
    log.addHandler(leaks)
    log.error("went wrong", exc_info=ValueError(KEY))
    log.removeHandler(leaks)
    assert leaks.found() == {"log of bridge.planted: sbk_01…"}


def test_harmless_text_is_not_reported() -> None:
    leaks = Leaks()
    leaks.hide(TOKEN, KEY, PASSWORD)
    for said in ("sbk_0123456789abcdef was removed", "eyJhbGciOiJIUzI1NiJ9", "correct", ""):
        leaks.say("log", said)
    assert leaks.found() == set()
    assert all(len(form) >= 8 for form in forms("ab"))


def test_leak_check_of_this_run_is_active() -> None:
    before = LEAKS.seen[1]
    logging.getLogger("bridge.under_way").debug("said")
    assert LEAKS in logging.getLogger().handlers
    assert LEAKS.seen[1] > before
