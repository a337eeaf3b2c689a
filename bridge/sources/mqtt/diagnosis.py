"""Why a connection to the broker fails, in a sentence that names the setting at fault.

Some faults leave no trace in the error: a TLS port closes a plain connection without a word, and the reverse. For these the
port is asked, with a packet that contains no user or password, what it speaks.
"""

import asyncio
import enum
import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from bridge.core.errors import BrokerUnavailable
from bridge.settings import MqttSettings

_URL = "mqtt.url (BRIDGE_MQTT__URL)"
_LOST, _UNSUPPORTED_PROTOCOL, _NOT_AUTHORIZED = 0x80, 0x84, 0x87  # reason codes of MQTT 5; those of 3.1.1 are converted by paho
_REFUSALS = {
    0x85: ("it does not accept the client id", "correct mqtt.client_id (BRIDGE_MQTT__CLIENT_ID)"),
    0x86: ("wrong user or password", "correct mqtt.username and mqtt.password, or those in mqtt.url"),
    0x88: ("it is not ready", "wait, or see its log"),
    0x89: ("it is too busy", "wait, or see its log"),
    0x8A: ("it has banned this client", "see its settings"),
    0x97: ("its quota is exceeded", "see its settings"),
    0x9F: ("it limits how often clients connect", "raise mqtt.reconnect_cap_seconds"),
}
_UNTRUSTED = frozenset({2, 18, 19, 20, 21, 24, 26})  # codes of OpenSSL: self-signed, unknown issuer, invalid authority
_HANDSHAKE_ERROR = "WebsocketConnectionError"  # paho's, which says nothing about what answered
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64

# A CONNECT of a client without name, user and password, with MQTT 5 and 3.1.1, and the first bytes of answers.
_CONNECT_5 = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x00"
_CONNECT_311 = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
_CONNACK, _REFUSED_VERSION_311 = b"\x20", b"\x20\x02\x00\x01"
_CLOSED, _HANDSHAKE_DONE = b"closed", b"handshake done"
_ALERT_SECONDS = 0.3
_HTTP_REQUEST, _HTTP = b"GET / HTTP/1.1\r\nHost: mqtt\r\nConnection: close\r\n\r\n", b"HTTP"


class Peer(enum.Enum):
    """What answers at a port."""

    MQTT = enum.auto()
    MQTT_TLS = enum.auto()
    MQTT_311 = enum.auto()
    TLS = enum.auto()
    HTTP = enum.auto()
    WANTS_CERTIFICATE = enum.auto()
    SILENT = enum.auto()
    UNKNOWN = enum.auto()
    UNREACHABLE = enum.auto()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, and what to do about it if that is known. `only_311`: the broker speaks MQTT 3.1.1 and not 5."""

    fault: str
    remedy: str = ""
    only_311: bool = False

    @property
    def reason(self) -> str:
        return f"{self.fault}: {self.remedy}" if self.remedy else self.fault


async def diagnose(error: BrokerUnavailable, settings: MqttSettings) -> Diagnosis:
    """Explain why a connection failed. Takes up to a few `mqtt.connect_timeout_seconds`; raises nothing but a cancellation."""
    if error.remedy:
        return Diagnosis(error.fault, error.remedy)
    causes = list(_causes(error))
    for cause in causes:
        if (diagnosis := _known(cause, settings)) is not None:
            return diagnosis
    if not any(isinstance(cause, OSError) or type(cause).__name__ == _HANDSHAKE_ERROR for cause in causes):
        return Diagnosis(str(error))
    return _explain(await _peer(settings), settings, str(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, also where `from None` hides it."""
    following: BaseException | None = error
    for _ in range(10):
        if following is None:
            return
        yield following
        following = following.__cause__ or following.__context__


def _known(cause: BaseException, settings: MqttSettings) -> Diagnosis | None:
    """Return the diagnosis for an error that says enough itself."""
    if (diagnosis := _refused(getattr(getattr(cause, "rc", None), "value", None), settings)) is not None:
        return diagnosis
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _untrusted(cause, settings)
    if isinstance(cause, ssl.SSLError):
        return _wants_certificate(cause)
    if isinstance(cause, socket.gaierror):
        fault = f"the host {settings.host} cannot be looked up ({cause.strerror})"
        return Diagnosis(fault, f"correct {_URL}, or check DNS")
    if isinstance(cause, ConnectionRefusedError):
        fault = f"connection refused: no program listens on port {settings.port} of {settings.host}"
        return Diagnosis(fault, f"start the broker, or correct host and port in {_URL}")
    if isinstance(cause, OSError) and cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN):
        return Diagnosis(f"no route to {settings.host} ({cause.strerror})", f"check the network, or correct {_URL}")
    return None


def _refused(code: int | None, settings: MqttSettings) -> Diagnosis | None:
    """Return the diagnosis for a reason code of the broker."""
    if code == _LOST:
        return Diagnosis("the connection was lost", "see whether the broker runs, and its log")
    if code == _UNSUPPORTED_PROTOCOL:
        return _only_311(settings)
    if code == _NOT_AUTHORIZED:
        who = "this user or password" if settings.login[0] else "a client without a user"
        remedy = "correct mqtt.username and mqtt.password, or those in mqtt.url, or permit it at the broker"
        return Diagnosis(f"the broker does not authorize {who}", remedy)
    if code in _REFUSALS:
        fault, remedy = _REFUSALS[code]
        return Diagnosis(f"the broker refuses the connection, {fault}", remedy)
    return None


def _only_311(settings: MqttSettings) -> Diagnosis:
    if settings.protocol == "3.1.1":
        return Diagnosis("the broker does not support MQTT 3.1.1", 'set mqtt.protocol (BRIDGE_MQTT__PROTOCOL) to "5"')
    remedy = 'set mqtt.protocol (BRIDGE_MQTT__PROTOCOL) to "3.1.1"'
    return Diagnosis("the broker supports MQTT 3.1.1 only", remedy, only_311=True)


def _untrusted(error: ssl.SSLCertVerificationError, settings: MqttSettings) -> Diagnosis:
    fault, authority = f"the broker's certificate is refused ({error.verify_message})", settings.tls.ca_file
    if error.verify_code in _UNTRUSTED and authority:
        return Diagnosis(fault, f"mqtt.tls.ca_file ({authority}) must contain the authority that signed it")
    if error.verify_code in _UNTRUSTED:
        remedy = "set mqtt.tls.ca_file (BRIDGE_MQTT__TLS__CA_FILE) to the PEM file of the authority that signed it"
        return Diagnosis(fault, remedy)
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return Diagnosis(fault, f"use a name of the certificate in {_URL}, or issue one for {settings.host}")
    if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
        return Diagnosis(fault, "renew it, or set the clock of this machine")
    return Diagnosis(fault, "give the broker a certificate that is valid here")


def _wants_certificate(error: ssl.SSLError) -> Diagnosis | None:
    """Return the diagnosis for a TLS alert about our own certificate; None for any other error of TLS."""
    reason = error.reason or ""
    if "ALERT" not in reason:
        return None
    if "REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return Diagnosis("the broker requires a client certificate", "set mqtt.tls.cert_file and mqtt.tls.key_file")
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return Diagnosis(f"the broker refuses our certificate ({reason})", "correct mqtt.tls.cert_file and mqtt.tls.key_file")
    return None


def _explain(peer: Peer, settings: MqttSettings, raw: str) -> Diagnosis:
    """Compare what the port speaks with what the URL expects."""
    where, scheme = f"port {settings.port} of {settings.host}", settings.scheme
    secure = "s" if settings.uses_tls else ""
    other_port = f"or the port for {scheme}://"
    match peer:
        case Peer.MQTT_311:
            return _only_311(settings)
        case Peer.WANTS_CERTIFICATE:
            return Diagnosis("the broker requires a client certificate", "set mqtt.tls.cert_file and mqtt.tls.key_file")
        case Peer.SILENT:
            fault = f"no answer from {where} within {settings.connect_timeout_seconds:g} s"
            return Diagnosis(fault, f"correct {_URL}, or check the network and its firewalls")
        case Peer.TLS if not settings.uses_tls:
            return Diagnosis(f"{where} expects TLS", f"use {scheme}s:// in {_URL}, {other_port}")
        case Peer.MQTT if settings.uses_tls:
            return Diagnosis(f"{where} speaks MQTT without TLS", f"use mqtt:// in {_URL}, {other_port}")
        case Peer.MQTT | Peer.MQTT_TLS if settings.websocket_path is not None:
            return Diagnosis(f"{where} speaks MQTT without WebSockets", f"use mqtt{secure}:// in {_URL}, {other_port}")
        case Peer.HTTP if settings.websocket_path is None:
            return Diagnosis(f"{where} speaks HTTP", f"use ws{secure}:// in {_URL} if it is the broker's, {other_port}")
        case Peer.HTTP:
            fault = f"{where} does not accept MQTT over WebSockets at the path {settings.websocket_path}"
            return Diagnosis(fault, f"correct the path in {_URL}, often /mqtt or /")
        case Peer.UNKNOWN:
            return Diagnosis(f"{where} closed the connection without an answer", f"correct {_URL}: is it an MQTT broker?")
        case _:
            return Diagnosis(raw)


async def _peer(settings: MqttSettings) -> Peer:
    """Find out what the port of the broker speaks."""
    accepts_311 = is_reached = False
    try:
        for request, context in _questions(settings):
            async with asyncio.timeout(settings.connect_timeout_seconds):
                answer = await _answer(settings, request, context)
            is_reached |= bool(answer)
            if request == _CONNECT_311:
                accepts_311 = answer.startswith(_CONNACK)
            elif accepts_311 and answer == _CLOSED:
                return Peer.MQTT_311
            elif (peer := _peer_of(answer, is_tls=context is not None)) is not None:
                return peer
    except TimeoutError:
        return Peer.SILENT
    except ssl.SSLError:
        return Peer.WANTS_CERTIFICATE
    return Peer.UNKNOWN if is_reached else Peer.UNREACHABLE


def _questions(settings: MqttSettings) -> Iterator[tuple[bytes, ssl.SSLContext | None]]:
    """Yield what to send, and whether over TLS: first as the URL says, then in the other way."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # only to see whether it speaks TLS; no secret is sent
    context = tls if settings.uses_tls else None
    yield _CONNECT_5, context
    if settings.websocket_path is None and settings.protocol == "5":
        yield _CONNECT_311, context
        yield _CONNECT_5, context  # again: a broker that was starting must not be taken for an old one
    yield _HTTP_REQUEST, context
    if context is None:
        yield b"", tls
    else:
        yield _CONNECT_5, None
        yield _HTTP_REQUEST, None


def _peer_of(answer: bytes, *, is_tls: bool) -> Peer | None:
    if answer == _REFUSED_VERSION_311 or answer[3:] == _UNSUPPORTED_PROTOCOL.to_bytes():
        return Peer.MQTT_311
    if answer.startswith(_CONNACK):
        return Peer.MQTT_TLS if is_tls else Peer.MQTT
    return {_HTTP: Peer.HTTP, _HANDSHAKE_DONE: Peer.TLS}.get(answer)


async def _answer(settings: MqttSettings, request: bytes, context: ssl.SSLContext | None) -> bytes:
    """Send bytes and return the first four of the answer, `_CLOSED` if there is none, or `_HANDSHAKE_DONE` without a request.

    Nothing if there is no connection, or no TLS on it. Raises `ssl.SSLError` if the peer requires a client certificate.
    """
    try:
        reader, writer = await asyncio.open_connection(settings.host, settings.port, ssl=context)
    except ssl.SSLError as error:
        if _wants_certificate(error):
            raise
        return b""
    except OSError:
        return b""
    try:
        if context is not None and request:
            with suppress(TimeoutError):  # an alert about a missing certificate would be lost by writing
                async with asyncio.timeout(_ALERT_SECONDS):
                    return await reader.read(4) or _CLOSED
        writer.write(request)
        return (await reader.read(4) or _CLOSED) if request else _HANDSHAKE_DONE
    except ssl.SSLError as error:
        if _wants_certificate(error):
            raise
        return _CLOSED
    except OSError:
        return _CLOSED
    finally:
        writer.transport.abort()
