"""An account at a Mosquitto broker as text: a line of its password file, and rules of its ACL file.

Hashes are made here, in Mosquitto's own form `$7$` (PBKDF2 with SHA-512). So nothing of Mosquitto need be installed where this
runs, which is often another container, and no password becomes an argument that everybody on the machine can read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence

from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings

KEY_ROUNDS = 101
"""As `mosquitto_passwd` has it. For keys, which are random: at every CONNECT the broker hashes, and does nothing else."""

PASSWORD_ROUNDS = 20_000
"""For what people choose."""

_SALT_BYTES = 12  # older ones read no other
_FORM = re.compile(r"\$7\$(\d{1,8})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)", re.ASCII)
_RULE = re.compile(r"\s*topic\s", re.ASCII)


def broker_user(device_id: str) -> str:
    """The name of a device at the broker: its id, with `%3A` for the colon, which ends a name in the password file."""
    return device_id.replace(":", "%3A")


# --- passwords -----------------------------------------------------------------------------------------------------------


def hashed_password(password: str, rounds: int) -> str:
    """As Mosquitto keeps it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def matches_password(password: str, kept: str) -> bool:
    """Whether it is the one whose hash is kept; not if that is of another form."""
    found = _FORM.fullmatch(kept)
    if found is None:
        return False
    try:
        salt, digest = base64.b64decode(found[2], validate=True), base64.b64decode(found[3], validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha512", password.encode(), salt, int(found[1]) or 1), digest)


def with_password(text: str, user: str, hashed: str | None) -> str:
    """The password file with another hash of this user, or without him; every other line as it was."""
    lines = [line for line in text.splitlines() if not _is_account(line) or line.partition(":")[0] != user]
    return _joined(lines if hashed is None else [*lines, f"{user}:{hashed}"])


def password_hash(text: str, user: str) -> str | None:
    """What the password file has of this user."""
    lines = (line.partition(":") for line in text.splitlines() if _is_account(line))
    return next((hashed.strip() for name, _, hashed in lines if name == user), None)


def _is_account(line: str) -> bool:
    return ":" in line and not line.startswith("#")


# --- rules ------------------------------------------------------------------------------------------------------------


def device_rules(settings: MqttSettings, device_id: str) -> tuple[str, ...]:
    """It sends on the topics that are named for it in the subscriptions, and hears its commands."""
    writes = [_filled(one.pattern, device_id) for one in settings.subscriptions]
    read = settings.command_topic(device_id)
    return (*(f"topic write {topic}" for topic in writes if topic), f"topic read {read}")


def _filled(pattern: str, device_id: str) -> str | None:
    """A pattern with a device's id in it; None: it is not about devices, or not by their ids."""
    parsed = TopicPattern.parse(pattern)
    if "deviceId" not in parsed.names:
        return None
    named = zip(parsed.names, parsed.levels, strict=True)
    return "/".join(device_id if name == "deviceId" else level for name, level in named)


def bridge_rules(settings: MqttSettings) -> tuple[str, ...]:
    """It hears everything, and what the broker says of itself; it sends commands."""
    return ("topic read #", "topic read $SYS/#", f"topic write {TopicPattern.parse(settings.commands).topic_filter}")


def with_rules(text: str, user: str, rules: Sequence[str]) -> str:
    """The ACL file with other rules of this user, or without him; every other line as it was."""
    lines = [line for line, mine in _whose(text, user) if not mine]
    while lines and not lines[-1].strip():
        lines.pop()
    return _joined([*lines, "", f"user {user}", *rules] if rules else lines)


def rules_of(text: str, user: str) -> list[str]:
    """What the ACL file has of this user."""
    return [line.strip() for line, mine in _whose(text, user) if mine]


def _whose(text: str, user: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is of this user: the line that names him, and the rules right behind it."""
    mine = False
    for line in text.splitlines():
        mine = line.split() == ["user", user] or (mine and _RULE.match(line) is not None)
        yield line, mine


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
