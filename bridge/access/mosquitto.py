"""Accounts at a Mosquitto broker: a line of its password file and rules of its ACL file for each.

Hashes are made here, in Mosquitto's own form `$7$` (PBKDF2 with SHA-512). So nothing of Mosquitto need be installed where this
runs, which is often another container, and no password becomes an argument that everybody on the machine can read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.core.errors import AccountError, BridgeError
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings

KEY_ROUNDS = 101
"""As `mosquitto_passwd` has it. For keys, which are random: at every CONNECT the broker hashes, and does nothing else."""

PASSWORD_ROUNDS = 20_000
"""For what people choose."""

_SALT_BYTES = 12  # older ones read no other
_FORM = re.compile(r"\$7\$(\d{1,8})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)", re.ASCII)
_PRIVATE = 0o600
_OTHERS = 0o007
_RULE = re.compile(r"\s*topic\s", re.ASCII)


class Accounts:
    """The two files, if the settings name them. Raises `BridgeError` for what cannot be read or written."""

    def __init__(self, settings: MqttSettings) -> None:
        """Nothing is read yet."""
        self._settings = settings
        files = settings.files
        self._passwords, self._acl, self._pid = files.passwords, files.acl, files.pid

    @property
    def kept(self) -> bool:
        """Whether there are such files."""
        return self._passwords is not None

    def knows(self, device_id: str) -> bool:
        """Whether there is an account of this device: by its rules, for other accounts are no concern of ours."""
        if self._passwords is None or self._acl is None or _hash_of(_read(self._passwords), user_of(device_id)) is None:
            return False
        hears = f"topic read {self._settings.command_topic(device_id)}"
        return hears in _rules_of(_read(self._acl), user_of(device_id))

    def check_free(self, device_id: str) -> None:
        """Raises `AccountError` for a name that is another's at the broker: the bridge's, or one somebody made by hand."""
        user = user_of(device_id)
        if user in (self._settings.client_id, self._settings.login[0]):
            raise AccountError("name", "is the bridge's own at the broker (mqtt.client_id, mqtt.username)")
        if self._passwords is not None and _hash_of(_read(self._passwords), user) is not None and not self.knows(device_id):
            raise AccountError("name", f"has an account in {self._passwords} that is no device's")

    def put_device(self, device_id: str, key: str | None) -> None:
        """An account for a device: it writes and reads on its own topics. Without a key the one it has stays."""
        hashed = None if key is None else hashed_password(key, KEY_ROUNDS)
        self._put(user_of(device_id), hashed, device_rules(self._settings, device_id))

    def put_bridge(self) -> str | None:
        """The bridge's own, by `mqtt.username` and `mqtt.password`; its name, or None where the settings have none."""
        user, password = self._settings.login
        if user is None or password is None or self._passwords is None:
            return None
        if ":" in user or not user.isprintable():
            raise BridgeError("mqtt.username: Mosquitto's password file holds no name with a colon")
        kept = _hash_of(_read(self._passwords), user)
        fresh = None if kept and matches(password, kept) else hashed_password(password, PASSWORD_ROUNDS)
        self._put(user, fresh, bridge_rules(self._settings))
        return user

    def remove_device(self, device_id: str) -> None:
        """Take its account away; safe to repeat."""
        if self._passwords is None or self._acl is None:
            return
        with _alone(self._passwords):
            user = user_of(device_id)
            _write(self._passwords, with_password(_read(self._passwords), user, None))
            _write(self._acl, with_rules(_read(self._acl), user, ()))

    def _put(self, user: str, hashed: str | None, rules: Sequence[str]) -> None:
        """The rules first: an account without rules may do nothing, and rules without an account are nobody's."""
        if self._passwords is None or self._acl is None:
            return
        with _alone(self._passwords):
            _write(self._acl, with_rules(_read(self._acl), user, rules))
            if hashed is not None or not self._passwords.exists():
                _write(self._passwords, with_password(_read(self._passwords), user, hashed))

    def reload(self) -> bool:
        """Have the broker read its files again, if its pid file is named and leads to it."""
        try:
            pid = int(self._pid.read_text("ascii")) if self._pid else 0
            name = Path(f"/proc/{pid}/comm")
            if pid <= 1 or (name.exists() and name.read_text().strip() != "mosquitto"):  # else a stale file ends somebody else
                return False
            os.kill(pid, signal.SIGHUP)
        except (OSError, ValueError):
            return False
        return True


def user_of(device_id: str) -> str:
    """The name of a device at the broker: its id, with `%3A` for the colon, which ends a name in the password file."""
    return device_id.replace(":", "%3A")


# --- passwords -----------------------------------------------------------------------------------------------------------


def hashed_password(password: str, rounds: int) -> str:
    """As Mosquitto keeps it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def matches(password: str, kept: str) -> bool:
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


def _hash_of(text: str, user: str) -> str | None:
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
    return ("topic read #", "topic read $SYS/#", f"topic write {TopicPattern.parse(settings.commands).filter}")


def with_rules(text: str, user: str, rules: Sequence[str]) -> str:
    """The ACL file with other rules of this user, or without him; every other line as it was."""
    lines = [line for line, mine in _whose(text, user) if not mine]
    while lines and not lines[-1].strip():
        lines.pop()
    return _joined([*lines, "", f"user {user}", *rules] if rules else lines)


def _rules_of(text: str, user: str) -> list[str]:
    return [line.strip() for line, mine in _whose(text, user) if mine]


def _whose(text: str, user: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is of this user: the line that names him, and the rules right behind it."""
    mine = False
    for line in text.splitlines():
        mine = line.split() == ["user", user] or (mine and _RULE.match(line) is not None)
        yield line, mine


# --- files ------------------------------------------------------------------------------------------------------------


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _read(path: Path) -> str:
    """Nothing where there is none."""
    try:
        return path.read_text("utf-8") if path.exists() else ""
    except (OSError, ValueError) as error:
        raise BridgeError(f"{path}: {getattr(error, 'strerror', None) or 'is no text'}") from None


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and safe on the disk. A new file is its owner's alone, the folder's owner's if we are root; one that
    was there keeps owner and mode, but for what the rest of the world may: Mosquitto will refuse files that it can read.
    """
    try:
        there = path.stat() if path.exists() else None
        if there is not None and path.read_text("utf-8") == text and not there.st_mode & _OTHERS:
            return
        owner = there or path.parent.stat()
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            fresh = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                if os.geteuid() == 0 or there is not None:
                    _give(file.fileno(), owner)
                os.fchmod(file.fileno(), there.st_mode & 0o777 & ~_OTHERS if there else _PRIVATE)
                fresh.replace(path)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise BridgeError(f"{path}: cannot be written: {error.strerror}; mqtt.files names it") from None


def _give(descriptor: int, owner: os.stat_result) -> None:
    """Who is not root gives nothing away; the file is his then."""
    with suppress(PermissionError):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two of us at once would each forget what the other wrote."""
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise BridgeError(f"{path.parent}: {error.strerror}; mqtt.files names it") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
