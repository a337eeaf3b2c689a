"""The accounts of devices, and of the bridge, in the files of a Mosquitto: whole or not at all, and one of us at a time."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.access.mosquitto.files import (
    KEY_ROUNDS,
    PASSWORD_ROUNDS,
    bridge_rules,
    broker_user,
    device_rules,
    hashed_password,
    matches_password,
    password_hash,
    rules_of,
    with_password,
    with_rules,
)
from bridge.core.errors import AccountError, BridgeError
from bridge.settings import MqttSettings

_PRIVATE = 0o600
_OTHERS = 0o007


class BrokerAccounts:
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
        if (
            self._passwords is None
            or self._acl is None
            or password_hash(_read(self._passwords), broker_user(device_id)) is None
        ):
            return False
        hears = f"topic read {self._settings.command_topic(device_id)}"
        return hears in rules_of(_read(self._acl), broker_user(device_id))

    def check_free(self, device_id: str) -> None:
        """Raises `AccountError` for a name that is another's at the broker: the bridge's, or one somebody made by hand."""
        user = broker_user(device_id)
        if user in (self._settings.client_id, self._settings.login[0]):
            raise AccountError("name", "is the bridge's own at the broker (mqtt.client_id, mqtt.username)")
        if (
            self._passwords is not None
            and password_hash(_read(self._passwords), user) is not None
            and not self.knows(device_id)
        ):
            raise AccountError("name", f"has an account in {self._passwords} that is no device's")

    def put_device(self, device_id: str, key: str | None) -> None:
        """An account for a device: it writes and reads on its own topics. Without a key the one it has stays."""
        hashed = None if key is None else hashed_password(key, KEY_ROUNDS)
        self._put(broker_user(device_id), hashed, device_rules(self._settings, device_id))

    def put_bridge(self) -> str | None:
        """The bridge's own, by `mqtt.username` and `mqtt.password`; its name, or None where the settings have none."""
        user, password = self._settings.login
        if user is None or password is None or self._passwords is None:
            return None
        if ":" in user or not user.isprintable():
            raise BridgeError("mqtt.username: Mosquitto's password file holds no name with a colon")
        kept = password_hash(_read(self._passwords), user)
        fresh = None if kept and matches_password(password, kept) else hashed_password(password, PASSWORD_ROUNDS)
        self._put(user, fresh, bridge_rules(self._settings))
        return user

    def remove_device(self, device_id: str) -> None:
        """Take its account away; safe to repeat."""
        if self._passwords is None or self._acl is None:
            return
        with _alone(self._passwords):
            user = broker_user(device_id)
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
