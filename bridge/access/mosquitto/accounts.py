"""The accounts of devices and of the bridge in Mosquitto's password and ACL files, replaced atomically under a lock."""

import os
import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.access.mosquitto.files import (
    KEY_ROUNDS,
    PASSWORD_ROUNDS,
    bridge_rules,
    broker_user,
    commanded_device,
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
    """The accounts in the files named by `mqtt.files`. Raises `BridgeError` if a file cannot be read or written."""

    def __init__(self, settings: MqttSettings, own_topics: Iterable[str] = ()) -> None:
        """`own_topics` are topic filters of what the bridge publishes besides commands."""
        self._settings = settings
        self._own_topics = tuple(own_topics)
        files = settings.files
        self._passwords, self._acl, self._pid = files.passwords, files.acl, files.pid

    @property
    def configured(self) -> bool:
        return self._passwords is not None

    def has_device(self, device_id: str) -> bool:
        """Whether a device has an account created by the bridge, which has the ACL rules of a device."""
        if (
            self._passwords is None
            or self._acl is None
            or password_hash(_read(self._passwords), broker_user(device_id)) is None
        ):
            return False
        rules = device_rules(self._settings, device_id)
        return bool(rules) and rules[-1] in rules_of(_read(self._acl), broker_user(device_id))

    def check_free(self, device_id: str) -> None:
        """Raise `AccountError` if the name belongs to the bridge or to an account that was created by hand, or has no topic."""
        user = broker_user(device_id)
        if self._passwords is not None and not device_rules(self._settings, device_id):
            raise AccountError("name", "has no MQTT topic in these settings: one that begins with $ is the broker's own")
        if other := commanded_device(self._settings, device_id):
            raise AccountError(
                "name", f"would let the device send commands to {other!r}, by mqtt.commands and mqtt.subscriptions"
            )
        if user in (self._settings.client_id, self._settings.login[0]):
            raise AccountError("name", "is the bridge's own name at the broker (mqtt.client_id, mqtt.username)")
        if (
            self._passwords is not None
            and password_hash(_read(self._passwords), user) is not None
            and not self.has_device(device_id)
        ):
            raise AccountError("name", f"has an account in {self._passwords} that is not a device's")

    def put_device(self, device_id: str, key: str | None) -> None:
        """Create or update a device's account, which may write and read its own topics. Without `key` the password stays."""
        hashed = None if key is None else hashed_password(key, KEY_ROUNDS)
        self._put(broker_user(device_id), hashed, device_rules(self._settings, device_id))

    def put_bridge(self) -> str | None:
        """Create or update the bridge's account, from `mqtt.username` and `mqtt.password`. Return its name, or None."""
        user, password = self._settings.login
        if user is None or password is None or self._passwords is None:
            return None
        if ":" in user or not user.isprintable():
            raise BridgeError("mqtt.username: a name in Mosquitto's password file cannot contain a colon")
        before = password_hash(_read(self._passwords), user)
        hashed = None if before and matches_password(password, before) else hashed_password(password, PASSWORD_ROUNDS)
        self._put(user, hashed, bridge_rules(self._settings, self._own_topics))
        return user

    def remove_device(self, device_id: str) -> None:
        if self._passwords is None or self._acl is None:
            return
        with _locked(self._passwords):
            user = broker_user(device_id)
            _write(self._passwords, with_password(_read(self._passwords), user, None))
            _write(self._acl, with_rules(_read(self._acl), user, ()))

    def _put(self, user: str, hashed: str | None, rules: Sequence[str]) -> None:
        """Writes the rules first: rules without an account are harmless."""
        if self._passwords is None or self._acl is None:
            return
        with _locked(self._passwords):
            _write(self._acl, with_rules(_read(self._acl), user, rules))
            if hashed is not None or not self._passwords.exists():
                _write(self._passwords, with_password(_read(self._passwords), user, hashed))

    def reload(self) -> bool:
        """Make the broker reload its files (SIGHUP), if the settings name its pid file. Return whether it was signalled."""
        try:
            pid = int(self._pid.read_text("ascii")) if self._pid else 0
            name = Path(f"/proc/{pid}/comm")
            if pid <= 1 or (
                name.exists() and name.read_text().strip() != "mosquitto"
            ):  # a stale pid file may name another process, which SIGHUP would end
                return False
            os.kill(pid, signal.SIGHUP)
        except (OSError, ValueError):
            return False
        return True


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8") if path.exists() else ""
    except (OSError, ValueError) as error:
        raise BridgeError(f"{path}: {getattr(error, 'strerror', None) or 'is not a text file'}") from None


def _write(path: Path, text: str) -> None:
    """Replace a file atomically, and fsync it. An existing file keeps owner and mode, a new one is private (0600) and, if the
    bridge runs as root, belongs to the owner of the folder. Other users get no access: Mosquitto will refuse such files.
    """
    try:
        before = path.stat() if path.exists() else None
        if before is not None and path.read_text("utf-8") == text and not before.st_mode & _OTHERS:
            return
        owner = before or path.parent.stat()
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                if os.geteuid() == 0 or before is not None:
                    with suppress(PermissionError):  # only root may change the owner
                        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777 & ~_OTHERS if before else _PRIVATE)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise BridgeError(f"{path}: cannot be written: {error.strerror}; mqtt.files names it") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on the folder of a file, so that no concurrent change is lost."""
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
