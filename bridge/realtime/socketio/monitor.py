"""Ends Engine.IO connections: on request, after a missing pong, and those that python-engineio leaves half open."""

import time

import engineio
from engineio.async_socket import AsyncSocket
from engineio.packet import Packet

from bridge.realtime.socketio.engineio import CLOSE, NOOP

_LAST_POLL_SECONDS = 5.0  # how long a closed client may take to poll once more and read the CLOSE


async def end(socket: AsyncSocket) -> None:
    """End a client's session now; the current or next poll returns CLOSE."""
    await socket.close(wait=False, abort=True)
    socket.queue.put_nowait(Packet(CLOSE))


async def stop(socket: AsyncSocket) -> None:
    """End a client's session because the bridge stops, once the client has read its queue: it shall reconnect.

    python-socketio does not reconnect after a CLOSE, so a poll returns without one; the next poll finds no server or session.
    """
    if socket.upgraded:
        await socket.close(reason=engineio.AsyncServer.reason.SERVER_DISCONNECT)
    else:
        await socket.close(wait=False, abort=True, reason=engineio.AsyncServer.reason.SERVER_DISCONNECT)
        socket.queue.put_nowait(Packet(NOOP))
        await socket.queue.join()


def close_connection(socket: AsyncSocket | None, reason: str) -> None:
    """Close the connection of a session that has ended, where python-engineio would leave it open.

    `reason` is one of `engineio.AsyncServer.reason`.
    """
    reasons = engineio.AsyncServer.reason
    if socket is None or reason not in (reasons.CLIENT_DISCONNECT, reasons.PING_TIMEOUT, reasons.TRANSPORT_ERROR):
        return
    if socket.upgraded:
        socket.queue.put_nowait(Packet(CLOSE))
    elif socket.queue.is_awaited:
        socket.queue.put_nowait(Packet(NOOP if reason == reasons.CLIENT_DISCONNECT else CLOSE))
    else:
        socket.queue.retire()


class ConnectionMonitor:
    """Checks every connection on each run, where python-engineio takes a `ping_timeout` to reach each one."""

    def __init__(self, server: engineio.AsyncServer) -> None:
        """`server` must not monitor its clients itself (`monitor_clients=False`)."""
        self._server = server
        self._closed_at: dict[str, float] = {}

    async def check(self, now: float) -> None:
        """End clients whose pong is overdue; forget closed ones that have read their CLOSE, or not polled for it in time."""
        sockets, oldest = self._server.sockets, time.time() - self._server.ping_timeout
        closed_at = {}
        for sid, socket in list(sockets.items()):
            if not socket.closed:
                if socket.last_ping and socket.last_ping < oldest:
                    await socket.check_ping_timeout()
                continue
            since = self._closed_at.get(sid, now)
            if not socket.queue.empty() and now - since < _LAST_POLL_SECONDS:
                closed_at[sid] = since
            else:
                sockets.pop(sid, None)
        self._closed_at = closed_at
