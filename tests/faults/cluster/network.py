"""Where the processes of a stage run: all on the loopback address, or each in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.servers import LOOPBACK

_INSIDE = "TESTS_PRIVATE_NETWORK"
_SWITCH, _SUBNET = "sb0", "10.77.0"
_DISABLED, _FORWARDING = "0", "3"  # states of a port of a Linux bridge


class Network(Protocol):
    """Gives processes their addresses, and cuts them off."""

    can_cut: bool
    proxy: str
    """The address from which HAProxy connects."""

    def add(self, name: str) -> str:
        """Return the address on which a process listens."""

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs a process at its address."""

    def cut(self, name: str) -> None:
        """Drop every packet from and to a process. Nobody is told."""

    def heal(self, name: str) -> None: ...


class Loopback:
    can_cut = False
    proxy = LOOPBACK

    def add(self, name: str) -> str:  # noqa: ARG002
        return LOOPBACK

    def command(self, name: str, command: Sequence[str]) -> list[str]:  # noqa: ARG002
        return list(command)

    def cut(self, name: str) -> None:
        raise NotImplementedError(name)

    def heal(self, name: str) -> None:
        raise NotImplementedError(name)


class Namespaces:
    """A namespace per process, joined by a switch in the namespace of this process, which `enter` made."""

    can_cut = True

    def __init__(self) -> None:
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self.proxy = ""

    def start(self) -> None:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", _SWITCH, "type", "bridge")
        _ip("addr", "add", f"{_SUBNET}.1/24", "dev", _SWITCH)
        _ip("link", "set", _SWITCH, "up")

    def stop(self) -> None:
        for name, holder in self._holders.items():
            _ip(
                "link", "delete", f"sb-{name}"
            )  # the kernel deletes it some time after the namespace, the next stage has it again
            holder.kill()
            holder.wait()
        self._holders.clear()
        _ip("link", "delete", _SWITCH)

    def add(self, name: str) -> str:
        number = len(self._holders) + 2
        address, port = f"{_SUBNET}.{number}", f"sb-{name}"
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self._holders[name] = holder
        own = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{holder.pid}/ns/net").readlink() == own:
            time.sleep(0.005)
        _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _ip("link", "set", port, "master", _SWITCH, "up")
        for arguments in (
            ("addr", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            subprocess.run(self.command(name, ["ip", *arguments]), check=True)
        if name == "balancer":
            self.proxy = address
        return address

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self._holders[name].pid), "--net", *command]

    def cut(self, name: str) -> None:
        _bridge("link", "set", "dev", f"sb-{name}", "state", _DISABLED)

    def heal(self, name: str) -> None:
        _bridge("link", "set", "dev", f"sb-{name}", "state", _FORWARDING)


@contextmanager
def network() -> Iterator[Network]:
    """Namespaces if this process is in a network of its own, else the loopback address."""
    if os.environ.get(_INSIDE) != "1":
        yield Loopback()
        return
    namespaces = Namespaces()
    namespaces.start()
    try:
        yield namespaces
    finally:
        namespaces.stop()


def enter_command() -> list[str] | None:
    """Return what a command is prefixed with to run in a network of its own; None if that is not possible here."""
    if any(shutil.which(program) is None for program in ("unshare", "nsenter", "ip", "bridge")):
        return None
    prefix = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    probe = "ip link add sb0 type bridge && unshare --net true"
    if subprocess.run([*prefix, "sh", "-c", probe], capture_output=True, check=False).returncode:
        return None
    return prefix


def enter() -> bool:
    """Run this program again in a network of its own, if that is possible. Returns whether it is in one."""
    is_inside = os.environ.get(_INSIDE) == "1"
    if not is_inside and (prefix := enter_command()) is not None:
        os.environ[_INSIDE] = "1"
        os.execvp(prefix[0], [*prefix, sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    return is_inside


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _bridge(*arguments: str) -> None:
    subprocess.run(["bridge", *arguments], check=True)
