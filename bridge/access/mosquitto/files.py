"""Mosquitto's password and ACL files as text: the line of an account, and its rules.

Hashes are computed in Mosquitto's format `$7$` (PBKDF2 with SHA-512). So `mosquitto_passwd` need not be installed, since the
broker often runs in another container, and no password becomes a command-line argument that other users can read.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence

from bridge.core.readings.identity import DEVICE_ID_LENGTH
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings

KEY_ROUNDS = 101
"""PBKDF2 iterations for random keys, as in `mosquitto_passwd`. The broker is blocked while it hashes at a CONNECT."""

PASSWORD_ROUNDS = 20_000
"""The same for passwords that people choose."""

_SALT_BYTES = 12  # the only length that older versions of Mosquitto accept
_FORMAT = re.compile(r"\$7\$(\d{1,8})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)", re.ASCII)
_USER = re.compile(r"\s*user\s+(.*\S)\s*", re.ASCII)  # a name may contain spaces
_RULE = re.compile(r"\s*topic\s", re.ASCII)
_LEVELS_LIMIT = DEVICE_ID_LENGTH // 2
"""The most levels that a device id can have."""


def broker_user(device_id: str) -> str:
    """The user name of a device: its id, with colons as `%3A`, since a colon ends the name in the password file, and `%` as
    `%25`, so that the names of two devices differ.
    """
    return device_id.replace("%", "%25").replace(":", "%3A")


# --- passwords -----------------------------------------------------------------------------------------------------------


def hashed_password(password: str, rounds: int) -> str:
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def matches_password(password: str, hashed: str) -> bool:
    """Whether a password has this hash; False for a hash in another format."""
    match = _FORMAT.fullmatch(hashed)
    if match is None:
        return False
    try:
        salt, digest = base64.b64decode(match[2], validate=True), base64.b64decode(match[3], validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha512", password.encode(), salt, int(match[1]) or 1), digest)


def with_password(text: str, user: str, hashed: str | None) -> str:
    """The password file with a new hash for a user, or, with None, without the user. Other lines are unchanged."""
    lines = [line for line in _split(text) if not _is_account(line) or line.partition(":")[0] != user]
    return _join(lines if hashed is None else [*lines, f"{user}:{hashed}"])


def password_hash(text: str, user: str) -> str | None:
    """The hash of a user in the password file; None if the user has no account."""
    lines = (line.partition(":") for line in _split(text) if _is_account(line))
    return next((hashed.strip() for name, _, hashed in lines if name == user), None)


def _is_account(line: str) -> bool:
    return ":" in line and not line.startswith("#")


# --- rules ------------------------------------------------------------------------------------------------------------


def device_rules(settings: MqttSettings, device_id: str) -> tuple[str, ...]:
    """The rules of a device: it writes the topics of the subscriptions with its id, and reads its commands."""
    writes, reads = _written_topics(settings, device_id), settings.command_topic(device_id)
    return (*(f"topic write {topic}" for topic in writes), *((f"topic read {reads}",) if reads else ()))


def commanded_device(settings: MqttSettings, device_id: str) -> str | None:
    """Return another device to whose command topic the rules of a device would let it write: `x` for the id `x/command`."""
    commands = TopicPattern.parse(settings.commands.replace("{deviceId}", "{deviceId...}"))
    named = (captures["deviceId"] for topic in _written_topics(settings, device_id) if (captures := commands.match(topic)))
    return next((name for name in named if name != device_id), None)


def _written_topics(settings: MqttSettings, device_id: str) -> list[str]:
    topics = (TopicPattern.parse(subscription.pattern).topic_of(device_id) for subscription in settings.subscriptions)
    return [topic for topic in topics if topic is not None]


def bridge_rules(settings: MqttSettings, own_topics: Iterable[str] = ()) -> tuple[str, ...]:
    """The rules of the bridge: it reads every topic and the broker's statistics, and writes commands and `own_topics`.

    If device ids may have several levels, there is a rule for each number of levels: `#` would permit other topics too.
    """
    patterns = [settings.commands, *(subscription.pattern for subscription in settings.subscriptions)]
    several = any(TopicPattern.parse(pattern).several is not None for pattern in patterns)
    commands = TopicPattern.parse(settings.commands)
    writes = (commands.filled("/".join("+" * levels)) for levels in range(1, _LEVELS_LIMIT + 1 if several else 2))
    return ("topic read #", "topic read $SYS/#", *(f"topic write {topic}" for topic in (*writes, *own_topics)))


def with_rules(text: str, user: str, rules: Sequence[str]) -> str:
    """The ACL file with new rules for a user, or, without rules, without the user. Other lines are unchanged."""
    lines = [line for line, of_user in _lines(text, user) if not of_user]
    while lines and not lines[-1].strip():
        lines.pop()
    return _join([*lines, "", f"user {user}", *rules] if rules else lines)


def rules_of(text: str, user: str) -> list[str]:
    return [line.strip() for line, of_user in _lines(text, user) if of_user]


def _lines(text: str, user: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a user: the line `user NAME` and the rules directly after it."""
    of_user = False
    for line in _split(text):
        named = _USER.fullmatch(line)
        of_user = named[1] == user if named else of_user and _RULE.match(line) is not None
        yield line, of_user


def _split(text: str) -> list[str]:
    """Return the lines as Mosquitto reads them: other separators of Unicode do not end one."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def _join(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
