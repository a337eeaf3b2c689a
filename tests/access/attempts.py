"""Authentication attempts as data: credentials and whether they are valid. Every entry point is tried with all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bridge.core.readings.identity import record_id
from bridge.http.bodies import FORM
from tests.access.parts import DEVICE_SECRET, SECRET, Guarded, claims, encoded, key_id, own_tokens, signed
from tests.access.ways import SESSION_COOKIE

RAW = SECRET.encode()


def now() -> int:
    """The time in seconds, of the attempt: a whole run of the tests may take longer than a token is valid."""
    return int(time.time())


@dataclass(frozen=True)
class Credential:
    """A credential; `good` if it may read, `sends` if it may publish."""

    name: str
    show: Callable[[Guarded], str]
    good: bool = False
    sends: bool = False


A_GUESS = "the secret of a device"
"""Valid at the device path, unless a lockout is active."""


def header(**more: object) -> dict[str, Any]:
    given = {"alg": "HS256", "typ": "JWT", "kid": key_id()} | more
    return {name: value for name, value in given.items() if value is not None}


def own(**more: object) -> str:
    """An own token with these claims replaced."""
    return signed(header(), claims(**more), RAW)


def headed(**more: object) -> str:
    """An own token with these header fields replaced."""
    return signed(header(**more), claims(), RAW)


def changed(token: str, part: int, text: str) -> str:
    """The token with one part replaced and the old signature."""
    parts = token.split(".")
    parts[part] = text
    return ".".join(parts)


_OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_OTHER_EC = ec.generate_private_key(ec.SECP256R1())

CREDENTIALS: tuple[Credential, ...] = (
    # --- valid
    Credential("a token of a login", lambda g: g.tokens["viewer"], good=True),
    Credential("a token made by hand as the bridge makes them", lambda _: own(), good=True),
    Credential("an API key that may see", lambda g: g.keys["see"], good=True),
    Credential("RS256 of the identity provider", lambda g: g.provider.token(), good=True),
    Credential("ES256 of the identity provider", lambda g: g.provider.token("ES256", "e1"), good=True),
    Credential("for several audiences, one of them ours", lambda g: g.provider.token(aud=["x", "air"]), good=True),
    # --- algorithms
    Credential("alg none", lambda _: f"{encoded(header(alg='none'))}.{encoded(claims())}."),
    Credential("alg None, capitalised", lambda _: f"{encoded(header(alg='None'))}.{encoded(claims())}."),
    Credential("alg none with a signature", lambda _: headed(alg="none")),
    Credential("alg missing", lambda _: headed(alg=None)),
    Credential("alg a list", lambda _: headed(alg=["HS256"])),
    Credential("alg a number", lambda _: headed(alg=256)),
    Credential("alg in small letters", lambda _: headed(alg="hs256")),
    Credential("HS384 with our secret", lambda _: jwt.encode(claims(), RAW, "HS384", {"kid": key_id()})),
    Credential("HS512 with our secret", lambda _: jwt.encode(claims(), RAW, "HS512", {"kid": key_id()})),
    Credential(
        "HS256 by their public key, as theirs",
        lambda g: signed({"alg": "HS256", "kid": "r1"}, theirs(), g.provider.public_pem),
    ),
    Credential("HS256 by their public key, as ours", lambda g: signed(header(), claims(), g.provider.public_pem)),
    Credential("RS256 of theirs with our kid", lambda g: g.provider.token(key_id=key_id())),
    Credential("RS256 header over our HS256", lambda _: headed(alg="RS256")),
    Credential("PS256 by their key", lambda g: jwt.encode(theirs(), g.provider.rsa, "PS256", {"kid": "r1"})),
    Credential("RS512 by their key", lambda g: jwt.encode(theirs(), g.provider.rsa, "RS512", {"kid": "r1"})),
    Credential("ES256 by the kid of an RSA key", lambda g: g.provider.token("ES256", "r1")),
    Credential("RS256 by the kid of an EC key", lambda g: g.provider.token("RS256", "e1")),
    # --- keys
    Credential("signed with another secret", lambda _: signed(header(), claims(), b"x" * 48)),
    Credential("signed with no secret", lambda _: signed(header(), claims(), b"")),
    Credential("our secret, another kid", lambda _: headed(kid="1")),
    Credential("no kid", lambda _: headed(kid=None)),
    Credential("kid a path", lambda _: signed(header(kid="../../../../dev/null"), claims(), b"")),
    Credential("kid an injection", lambda _: headed(kid="' UNION SELECT 'x")),
    Credential("kid an operator", lambda _: headed(kid={"$gt": ""})),
    Credential("kid a number", lambda _: headed(kid=0)),
    Credential("kid null", lambda _: signed({**header(), "kid": None}, claims(), RAW)),
    Credential("kid a NUL", lambda _: headed(kid=f"{key_id()}\0")),
    Credential("RS256 by a key that is not theirs", lambda g: g.provider.token(key=_OTHER_RSA)),
    Credential("ES256 by a key that is not theirs", lambda g: g.provider.token("ES256", "e1", _OTHER_EC)),
    Credential("RS256 of an unknown kid", lambda g: g.provider.token(key_id="r9")),
    Credential("RS256 without a kid", lambda g: g.provider.token(key_id=None)),
    Credential("its own key in the header", lambda g: by_own_key(g, jwk=True)),
    Credential("its own key by a URL in the header", lambda g: by_own_key(g, jku=True)),
    # --- extensions in headers
    Credential("crit that nobody knows", lambda _: headed(crit=["exp2"], exp2=1)),
    Credential("crit empty", lambda _: headed(crit=[])),
    Credential("crit b64", lambda _: headed(crit=["b64"], b64=False)),
    Credential("b64 without crit", lambda _: headed(b64=False)),
    Credential("crit of theirs", lambda g: jwt.encode(theirs(), g.provider.rsa, "RS256", {"kid": "r1", "crit": ["x"], "x": 1})),
    # --- claims
    Credential("expired", lambda _: own(exp=now() - 1)),
    Credential("expired long ago, of theirs", lambda g: g.provider.token(exp=now() - 3600)),
    Credential("not valid yet", lambda _: own(nbf=now() + 600)),
    Credential("not valid yet, of theirs", lambda g: g.provider.token(nbf=now() + 600)),
    Credential("no exp", lambda _: own(exp=None)),
    Credential("no exp, of theirs", lambda g: g.provider.token(exp=None)),
    Credential("exp a text", lambda _: own(exp="4000000000")),
    Credential("exp true", lambda _: own(exp=True)),
    Credential("exp infinite", lambda _: signed(header(), b'{"exp":1e999,' + encoded_claims(), RAW)),
    Credential("exp not a number", lambda _: signed(header(), b'{"exp":NaN,' + encoded_claims(), RAW)),
    Credential("exp far too large", lambda _: own(exp=2**62)),
    Credential("another issuer", lambda _: own(iss="someone")),
    Credential("another issuer, of theirs", lambda g: g.provider.token(iss="https://evil.example")),
    Credential("their issuer, our signature", lambda _: own(iss="https://id.example.org", aud="air")),
    Credential("our issuer, their signature", lambda g: g.provider.token(iss="sensor-bridge", aud="sensor-bridge")),
    Credential("another audience", lambda _: own(aud="someone")),
    Credential("another audience, of theirs", lambda g: g.provider.token(aud="someone")),
    Credential("no audience", lambda _: own(aud=None)),
    Credential("no issuer, of theirs", lambda g: g.provider.token(iss=None)),
    Credential("no subject", lambda _: own(sub=None)),
    Credential("a subject that is a number", lambda _: own(sub=1)),
    Credential("no jti", lambda _: own(jti=None)),
    Credential("a role nobody knows", lambda _: own(role="root")),
    Credential("a role that is a list", lambda _: own(role=["admin"])),
    Credential("a scope that is a text", lambda _: own(scope="all")),
    Credential("no session", lambda _: own(sid=None)),
    Credential("no use, as of a version that did not tell tokens of cookies apart", lambda _: own(use=None)),
    Credential("a use nobody knows", lambda _: own(use="refresh")),
    Credential("a use that is a list", lambda _: own(use=["access"])),
    Credential("a session that is an object", lambda _: own(sid={"$ne": ""})),
    Credential("nobody's role at the provider", lambda g: g.provider.token(roles=["guest"])),
    Credential("no role at the provider", lambda g: g.provider.token(roles=None)),
    # --- format
    Credential("claims changed after signing", lambda g: changed(g.tokens["viewer"], 1, encoded(claims()))),
    Credential("cut in the signature", lambda g: g.tokens["viewer"][:-4]),
    Credential("cut in the claims", lambda g: g.tokens["viewer"][:120]),
    Credential("without its signature", lambda g: changed(g.tokens["viewer"], 2, "")),
    Credential("two signatures", lambda g: g.tokens["viewer"] + "." + g.tokens["viewer"].split(".")[2]),
    Credential("a part that is no base64", lambda g: changed(g.tokens["viewer"], 1, "%%%%")),
    Credential("a header that is no JSON", lambda g: changed(g.tokens["viewer"], 0, encoded(b"no"))),
    Credential("a header that is a list", lambda g: changed(g.tokens["viewer"], 0, encoded([1]))),
    Credential("claims that are a list", lambda _: signed(header(), [1], RAW)),
    Credential("a header nested a thousand deep", lambda _: signed(b"[" * 1500, claims(), RAW)),
    Credential("claims nested a thousand deep", lambda _: signed(header(), b'{"a":' * 1000, RAW)),
    Credential("huge", lambda _: own(more="x" * 5000)),
    Credential("what is no token", lambda _: "secret"),
    Credential("dots alone", lambda _: ".."),
    # --- keys and secrets
    Credential("a key that does not exist", lambda _: "sbk_" + "0" * 16 + "_" + "A" * 43),
    Credential("the id of a key with another secret", lambda g: g.keys["see"][:21] + "A" * 43),
    Credential("a key cut short", lambda g: g.keys["see"][:-1]),
    Credential("a key with more behind it", lambda g: g.keys["see"] + "A"),
    Credential("a key's id alone", lambda g: g.keys["see"][:20]),
    Credential("a key that may only send", lambda g: g.keys["send"], sends=True),
    Credential("a key of a device", lambda g: g.keys["hall"], sends=True),
    Credential(A_GUESS, lambda _: DEVICE_SECRET),
    Credential("what renews a session", lambda g: g.refresh["viewer"]),
    Credential("the signing secret", lambda _: SECRET.replace(" ", "")),
)


def theirs(**more: object) -> dict[str, Any]:
    return {"iss": "https://id.example.org", "aud": "air", "sub": "eve", "exp": now() + 600, "roles": ["staff"]} | more


def encoded_claims() -> bytes:
    """The claims without `exp`, as the rest of a JSON object."""
    import orjson

    return orjson.dumps(claims(exp=None))[1:]


def by_own_key(g: Guarded, *, jwk: bool = False, jku: bool = False) -> str:
    """A token signed by a key that its own header names."""
    more: dict[str, Any] = {"jwk": g.provider.jwk(_OTHER_RSA, "r7")} if jwk else {}
    if jku:
        more["jku"] = g.provider.url
    return jwt.encode(theirs(), _OTHER_RSA, "RS256", {"kid": "r7", **more})


@dataclass(frozen=True)
class Asked:
    """A request by one of `parts.PEOPLE` or by a key, and the expected status."""

    who: str
    method: str
    path: str
    status: int
    body: Any = None
    without: str = field(default="")
    """Text that must not be in the response."""

    def __str__(self) -> str:
        return f"{self.who} {self.method} {self.path}: {self.status}"


READING = {"temperature": 21, "timestamp": 1_767_000_500}


def reading_of(device: str) -> str:
    """The path of the reading that each device of these tests has."""
    return f"/api/v1/readings/{record_id(device, 1_767_000_000_000, {'temperature': 20})}"


CROSSINGS: tuple[Asked, ...] = (
    # --- roles
    Asked("viewer", "GET", "/api/v1/readings", 200),
    Asked("viewer", "POST", "/api/v1/devices/hall/commands", 403, {"command": "on", "queue": True}),
    Asked("viewer", "POST", "/send_command", 403),
    Asked("viewer", "POST", "/api/v1/readings", 403, {"deviceId": "hall", **READING}),
    Asked("viewer", "POST", "/api/ingest", 403, {"deviceId": "hall", **READING}),
    Asked("viewer", "POST", "/api/v1/events/alerts", 403, {"level": "high"}),
    Asked("viewer", "POST", "/api/v1/ws/test-event", 403),
    Asked("viewer", "POST", "/api/v1/devices", 403, {"id": "new"}),
    Asked("viewer", "PATCH", "/api/v1/devices/hall", 403, {"name": "x"}),
    Asked("viewer", "DELETE", "/api/v1/sensors/hall", 403),
    Asked("viewer", "GET", "/api/v1/rejected", 403),
    Asked("viewer", "POST", "/api/v1/rejected/retry", 403),
    Asked("viewer", "GET", "/api/v1/users", 403),
    Asked("viewer", "POST", "/api/v1/users", 403, {"name": "me", "password": "x" * 12, "role": "admin"}),
    Asked("viewer", "PATCH", "/api/v1/users/viewer", 403, {"role": "admin"}),
    Asked("viewer", "DELETE", "/api/v1/users/admin", 403),
    Asked("viewer", "GET", "/api/v1/keys", 403),
    Asked("viewer", "POST", "/api/v1/keys", 403, {"name": "k", "rights": ["administer"]}),
    Asked("viewer", "GET", "/api/v1/audit", 403),
    Asked("operator", "POST", "/api/v1/devices/hall/commands", 202, {"command": "on", "queue": True}),
    Asked("operator", "POST", "/api/v1/readings", 403, {"deviceId": "hall", **READING}),
    Asked("operator", "PATCH", "/api/v1/devices/hall", 403, {"name": "x"}),
    Asked("operator", "POST", "/api/v1/keys", 403, {"name": "k"}),
    Asked("admin", "GET", "/api/v1/audit", 200),
    Asked("viewer", "GET", "/auth/csrf", 200),
    Asked("see", "GET", "/auth/csrf", 200),
    Asked("hall", "GET", "/get_telemetry?device=hall", 403),
    Asked("one", "GET", "/get_telemetry?device=stove", 200, without="temperature"),
    Asked("operator", "POST", "/send_command", 415, {"device_name": "hall", "command": "on"}),
    Asked("admin", "GET", "/api/v1/rejected", 200),
    # --- single readings, and locations
    Asked("viewer", "GET", reading_of("hall"), 200),
    Asked("viewer", "PUT", reading_of("hall"), 403, {"humidity": 40}),
    Asked("viewer", "DELETE", reading_of("hall"), 403),
    Asked("operator", "PATCH", reading_of("hall"), 403, {"humidity": 40}),
    Asked("send", "GET", reading_of("hall"), 403),
    Asked("manage", "GET", reading_of("hall"), 403),
    Asked("manage", "PUT", reading_of("hall"), 200, {"humidity": 40}),
    Asked("kitchen", "GET", reading_of("hall"), 404),
    Asked("kitchen", "GET", reading_of("stove"), 200),
    Asked("kitchen", "PUT", reading_of("stove"), 403, {"humidity": 40}),
    Asked("kitchen", "GET", "/api/v1/readings?sensor_id=hall&since=0", 200, without="hall"),
    Asked("kitchen", "GET", "/api/v1/readings?sensor_id=hall&device=stove&since=0", 200, without="hall"),
    Asked("one", "GET", reading_of("stove"), 404),
    Asked("bounded", "PUT", reading_of("hall"), 404, {"humidity": 40}),
    Asked("bounded", "DELETE", reading_of("hall"), 404),
    Asked("bounded", "PUT", reading_of("stove"), 200, {"humidity": 40}),
    Asked("viewer", "POST", "/api/v1/locations", 403, {"id": "attic", "site": "Hall"}),
    Asked("bounded", "POST", "/api/v1/locations", 403, {"id": "attic", "site": "Kitchen"}),
    Asked("manage", "POST", "/api/v1/locations", 201, {"id": "attic", "site": "Hall"}),
    Asked("manage", "POST", "/api/v1/locations", 201, {"id": "pantry", "site": "Kitchen"}),
    Asked("manage", "PUT", "/api/v1/locations/attic", 200, {"room": "North"}),
    Asked("viewer", "GET", "/api/v1/locations", 200),
    Asked("viewer", "PUT", "/api/v1/locations/attic", 403, {"site": "Kitchen"}),
    Asked("viewer", "DELETE", "/api/v1/locations/attic", 403),
    Asked("manage", "GET", "/api/v1/locations", 403),
    Asked("kitchen", "GET", "/api/v1/locations", 200, without="attic"),
    Asked("kitchen", "GET", "/api/v1/locations?site=Hall", 200, without="attic"),
    Asked("kitchen", "GET", "/api/v1/locations/attic", 404),
    Asked("kitchen", "GET", "/api/v1/locations/pantry", 200),
    Asked("one", "GET", "/api/v1/locations", 200, without="attic"),
    Asked("bounded", "PUT", "/api/v1/locations/pantry", 403, {"site": "Hall"}),
    Asked("bounded", "DELETE", "/api/v1/locations/pantry", 403),
    Asked("bounded", "PATCH", "/api/v1/devices/stove", 422, {"locationId": "attic"}),
    Asked("bounded", "PATCH", "/api/v1/devices/stove", 422, {"locationId": "nowhere"}),
    Asked("bounded", "PATCH", "/api/v1/devices/stove", 200, {"locationId": "pantry"}),
    Asked("bounded", "POST", "/api/v1/sensors", 403, {"tipo": "x"}),
    Asked("bounded", "POST", "/api/v1/sensors", 201, {"tipo": "x", "site": "Kitchen"}),
    Asked("bounded", "POST", "/api/v1/sensors", 422, {"tipo": "x", "location_id": "attic"}),
    Asked("viewer", "PUT", "/api/v1/devices/hall", 403, {"name": "x"}),
    Asked("bounded", "PUT", "/api/v1/sensors/hall", 404, {"name": "x"}),
    Asked("manage", "PUT", "/api/v1/sensors/cellar", 200, {"name": "Keller"}),
    # --- permissions of keys
    Asked("see", "GET", "/metrics", 200),
    Asked("see", "GET", "/ws/latest", 200),
    Asked("send", "GET", "/ws/latest", 403),
    Asked("command", "GET", "/ws/latest", 403),
    Asked("administer", "GET", "/ws/latest", 403),
    Asked("see", "POST", "/api/v1/readings", 403, {"deviceId": "hall", **READING}),
    Asked("send", "GET", "/api/v1/readings", 403),
    Asked("send", "GET", "/metrics", 403),
    Asked("send", "POST", "/api/v1/readings", 201, {"deviceId": "anything", **READING}),
    Asked("command", "GET", "/api/v1/devices", 403),
    Asked("command", "POST", "/api/v1/devices/cellar/commands", 202, {"command": "on", "queue": True}),
    Asked("manage", "GET", "/api/v1/users", 403),
    Asked("manage", "PATCH", "/api/v1/devices/cellar", 200, {"name": "Keller"}),
    Asked("administer", "GET", "/api/v1/users", 200, without="argon2"),
    Asked("administer", "GET", "/api/v1/readings", 403),
    # --- sites and devices: reading
    Asked("kitchen", "GET", "/api/v1/readings", 200, without="hall"),
    Asked("kitchen", "GET", "/api/v1/readings?device=hall&since=0", 200, without="hall"),
    Asked("kitchen", "GET", "/api/v1/readings?device=hall&device=stove&since=0", 200, without="hall"),
    Asked("kitchen", "GET", "/api/v1/readings?since=0&limit=10000", 200, without="cellar"),
    Asked("kitchen", "GET", "/api/v1/readings?every=1h&from=2025-12-01", 200, without="hall"),
    Asked("kitchen", "GET", "/api/v1/readings?every=1h&from=2025-12-01&device=cellar", 200, without="cellar"),
    Asked("kitchen", "GET", "/api/v1/readings/latest", 200, without="hall"),
    Asked("kitchen", "GET", "/ws/latest", 200, without="hall"),
    Asked("kitchen", "GET", "/ws/latest?since=0", 200, without="cellar"),
    Asked("kitchen", "GET", "/get_telemetry?device=hall", 200, without="temperature"),
    Asked("kitchen", "GET", "/get_telemetry?device=stove", 200, without="no data"),
    Asked("kitchen", "GET", "/api/v1/devices", 200, without="cellar"),
    Asked("kitchen", "GET", "/api/v1/devices?q=hall", 200, without="hall"),
    Asked("kitchen", "GET", "/api/v1/devices?site=Hall", 200, without="hall"),
    Asked("kitchen", "GET", "/api/v1/devices/stove", 200),
    Asked("kitchen", "GET", "/api/v1/devices/hall", 404),
    Asked("kitchen", "GET", "/api/v1/sensors/cellar", 404),
    Asked("kitchen", "GET", "/api/v1/devices/hall/commands", 404),
    Asked("kitchen", "GET", "/api/v1/devices/hall/commands/c1", 404),
    # --- a site that a message states, which must not decide who sees its device
    Asked("send", "POST", "/api/ingest", 201, {"sensor_id": "attic", "enseigne": "Kitchen", "salle": "Attic", **READING}),
    Asked("kitchen", "GET", "/api/v1/devices/attic", 404),
    Asked("kitchen", "GET", "/api/v1/readings/latest", 200, without="attic"),
    Asked("kitchen", "GET", "/ws/latest", 200, without="attic"),
    Asked("admin", "GET", "/api/v1/devices/attic", 200, without='"site"'),
    Asked("one", "GET", "/api/v1/readings?since=0", 200, without="stove"),
    Asked("one", "GET", "/api/v1/devices/hall", 200),
    Asked("one", "GET", "/api/v1/devices/stove", 404),
    Asked("one", "GET", "/api/v1/readings/latest", 200, without="fridge"),
    Asked("one", "GET", "/ws/latest", 200, without="fridge"),
    # --- sites and devices of an identity provider
    Asked("their boss", "GET", "/api/v1/devices/hall", 200),
    Asked("their boss", "GET", "/api/v1/users", 200),
    Asked("their kitchen", "GET", "/api/v1/readings?since=0&limit=10000", 200, without="hall"),
    Asked("their kitchen", "GET", "/api/v1/readings/latest", 200, without="cellar"),
    Asked("their kitchen", "GET", "/ws/latest", 200, without="cellar"),
    Asked("their nobody", "GET", "/ws/latest", 200, without="temperature"),
    Asked("their kitchen", "GET", "/api/v1/devices/stove", 200),
    Asked("their kitchen", "GET", "/api/v1/devices/hall", 404),
    Asked("their kitchen", "POST", "/api/v1/devices/stove/commands", 202, {"command": "off", "queue": True}),
    Asked("their kitchen", "POST", "/api/v1/devices/hall/commands", 404, {"command": "off", "queue": True}),
    Asked("their kitchen", "POST", "/api/v1/readings", 403, {"deviceId": "hall", **READING}),
    Asked("their kitchen", "PATCH", "/api/v1/devices/stove", 403, {"site": "Hall"}),
    Asked("their kitchen", "GET", "/api/v1/users", 403),
    Asked("their kitchen", "POST", "/api/v1/keys", 403, {"name": "k", "rights": ["administer"]}),
    Asked("their kitchen", "GET", "/api/v1/rejected", 403),
    Asked("their hall", "GET", "/api/v1/devices/hall", 200),
    Asked("their hall", "GET", "/api/v1/devices/stove", 404),
    Asked("their hall", "GET", "/api/v1/readings?since=0&limit=10000", 200, without="stove"),
    Asked("their nobody", "GET", "/api/v1/readings?since=0&limit=10000", 200, without="temperature"),
    Asked("their nobody", "GET", "/api/v1/devices/hall", 404),
    Asked("their nobody", "POST", "/api/v1/readings", 403, {"deviceId": "hall", **READING}),
    Asked("their stranger", "GET", "/api/v1/readings?since=0&limit=10000", 200, without="temperature"),
    Asked("their stranger", "GET", "/api/v1/devices/stove", 404),
    # --- commands
    Asked("kitchen", "POST", "/api/v1/devices/stove/commands", 202, {"command": "off", "queue": True}),
    Asked("kitchen", "POST", "/api/v1/devices/hall/commands", 404, {"command": "off", "queue": True}),
    Asked("kitchen", "POST", "/api/v1/devices/stove/commands", 422, {"command": "off", "device": "hall", "queue": True}),
    Asked("one", "POST", "/api/v1/devices/hall/commands", 403, {"command": "off", "queue": True}),
    Asked("hall", "POST", "/api/v1/devices/hall/commands", 403, {"command": "off", "queue": True}),
    # --- publishing
    Asked("hall", "POST", "/api/v1/readings", 201, {"deviceId": "hall", **READING}),
    Asked("hall", "POST", "/api/v1/readings", 403, {"deviceId": "stove", **READING}),
    Asked("hall", "POST", "/api/v1/readings", 403, [{"deviceId": "hall", **READING}, {"deviceId": "stove", **READING}]),
    Asked("hall", "POST", "/api/v1/readings", 403, {"sensor_id": "stove", "values": {"Temperature": 1}}),
    Asked("hall", "POST", "/api/v1/readings", 403, {"DEVICE-ID": "stove", **READING}),
    Asked("hall", "POST", "/api/ingest", 403, {"sensorId": "HALL", **READING}),
    Asked("hall", "POST", "/api/v1/events/alerts", 403, {"level": "high"}),
    Asked("hall", "GET", "/api/v1/readings?device=hall", 403),
    Asked("hall", "GET", "/websocket/status", 403),
    Asked("bounded", "POST", "/api/v1/readings", 201, {"deviceId": "fridge", **READING}),
    Asked("bounded", "POST", "/api/v1/readings", 403, {"deviceId": "hall", **READING}),
    Asked("bounded", "POST", "/api/v1/readings", 403, {"deviceId": "nobody-knows", **READING}),
    # --- the registry in a scope
    Asked("bounded", "PATCH", "/api/v1/devices/fridge", 200, {"name": "F"}),
    Asked("bounded", "PATCH", "/api/v1/devices/hall", 404, {"site": "Kitchen"}),
    Asked("bounded", "PATCH", "/api/v1/devices/fridge", 403, {"site": "Hall"}),
    Asked("bounded", "PATCH", "/api/v1/devices/fridge", 403, {"site": None}),
    Asked("bounded", "POST", "/api/v1/devices", 403, {"id": "new1", "site": "Hall"}),
    Asked("bounded", "POST", "/api/v1/devices", 403, {"id": "new2"}),
    Asked("bounded", "POST", "/api/v1/devices", 201, {"id": "new3", "site": "Kitchen"}),
    Asked("bounded", "POST", "/api/v1/devices", 403, {"id": "hall", "site": "Kitchen"}),
    Asked("bounded", "POST", "/api/v1/devices", 409, {"id": "fridge", "site": "Kitchen"}),
    Asked("bounded", "DELETE", "/api/v1/devices/cellar", 404),
    Asked("bounded", "POST", "/api/v1/ws/test-event", 403),
    Asked("bounded", "GET", "/api/v1/ws/stats", 403),
    Asked("bounded", "GET", "/api/v1/ws/stats/general", 403),
    Asked("manage", "POST", "/api/v1/ws/test-event", 200),
    Asked("manage", "GET", "/api/v1/ws/stats", 200),
    Asked("bounded", "GET", "/api/v1/rejected", 403),
    Asked("bounded", "POST", "/api/v1/rejected/retry", 403),
)


@dataclass(frozen=True)
class Sent:
    """A request with given headers; a status of `None` is any below 400."""

    name: str
    method: str
    path: str
    headers: Callable[[Guarded], dict[str, str]]
    status: int
    body: Any = None


def cookie(g: Guarded, **more: str) -> dict[str, str]:
    """The headers that a browser on the dashboard sends."""
    return {"Cookie": f"{SESSION_COOKIE}={g.tokens['operator']}"} | {
        name.replace("_", "-"): text for name, text in more.items()
    }


def csrf_token(g: Guarded, who: str = "operator") -> str:
    """The CSRF token of the session of this user."""
    session: str = jwt.decode(g.tokens[who], options={"verify_signature": False})["sid"]
    return own_tokens().csrf_token(session)


def jar(**more: str) -> dict[str, str]:
    """The headers that a program sends whose jar has the cookie of its own login."""
    return {"Cookie": f"{SESSION_COOKIE}={own(use='jar', role='operator')}"} | {
        name.replace("_", "-"): text for name, text in more.items()
    }


NAVIGATION = {"Accept": "text/html,application/xhtml+xml"}
COMMAND = {"command": "on", "queue": True}
COMMANDS = "/api/v1/devices/hall/commands"

REQUESTS: tuple[Sent, ...] = (
    Sent("nothing shown", "GET", "/api/v1/readings", lambda _: {}, 401),
    Sent("nothing shown, and a command", "POST", COMMANDS, lambda _: {}, 401, COMMAND),
    Sent("nothing shown at the metrics", "GET", "/metrics", lambda _: {}, 401),
    Sent("who am I, nobody", "GET", "/auth/me", lambda _: {}, 401),
    Sent("a cookie reads", "GET", "/api/v1/readings", cookie, 200),
    Sent("a cookie and its own page", "POST", COMMANDS, lambda g: cookie(g, Origin=g.base), 202, COMMAND),
    Sent(
        "a cookie and a browser that says same-origin",
        "POST",
        COMMANDS,
        lambda g: cookie(g, Sec_Fetch_Site="same-origin"),
        202,
        COMMAND,
    ),
    Sent("a cookie and no origin", "POST", COMMANDS, cookie, 403, COMMAND),
    Sent("a cookie, another origin", "POST", COMMANDS, lambda g: cookie(g, Origin="https://evil.example"), 403, COMMAND),
    Sent("a cookie, origin null", "POST", COMMANDS, lambda g: cookie(g, Origin="null"), 403, COMMAND),
    Sent("a cookie, another port", "POST", COMMANDS, lambda g: cookie(g, Origin="http://127.0.0.1:1"), 403, COMMAND),
    Sent(
        "a cookie, an origin that begins like ours",
        "POST",
        COMMANDS,
        lambda g: cookie(g, Origin=f"{g.base}.evil.example"),
        403,
        COMMAND,
    ),
    Sent(
        "a cookie, our origin as a user",
        "POST",
        COMMANDS,
        lambda g: cookie(g, Origin=f"http://127.0.0.1:{g.bridge.port}@evil.example"),
        403,
        COMMAND,
    ),
    Sent("a cookie, cross-site", "POST", COMMANDS, lambda g: cookie(g, Sec_Fetch_Site="cross-site"), 403, COMMAND),
    Sent("a cookie, same site", "POST", COMMANDS, lambda g: cookie(g, Sec_Fetch_Site="same-site"), 403, COMMAND),
    Sent(
        "a cookie, our origin but cross-site",
        "POST",
        COMMANDS,
        lambda g: cookie(g, Origin=g.base, Sec_Fetch_Site="cross-site"),
        403,
        COMMAND,
    ),
    Sent(
        "a cookie, a forwarded host that nobody trusts",
        "POST",
        COMMANDS,
        lambda g: cookie(g, Origin="https://evil.example", X_Forwarded_Host="evil.example"),
        403,
        COMMAND,
    ),
    Sent(
        "a cookie reads for a page of another site",
        "GET",
        "/api/v1/readings",
        lambda g: cookie(g, Origin="https://evil.example"),
        403,
    ),
    Sent("a cookie reads, cross-site", "GET", "/api/v1/readings", lambda g: cookie(g, Sec_Fetch_Site="cross-site"), 403),
    Sent("a cookie reads by the address bar", "GET", "/api/v1/readings", lambda g: cookie(g, Sec_Fetch_Site="none"), 200),
    Sent("a cookie writes by the address bar", "POST", COMMANDS, lambda g: cookie(g, Sec_Fetch_Site="none"), 403, COMMAND),
    Sent("a cookie deletes without an origin", "DELETE", "/api/v1/devices/hall", cookie, 403),
    # --- cookies of programs
    Sent(
        "a cookie, no origin, its CSRF token", "POST", COMMANDS, lambda g: cookie(g, X_CSRF_Token=csrf_token(g)), 202, COMMAND
    ),
    Sent(
        "a cookie, no origin, its CSRF token as Flask names it",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRFToken=csrf_token(g)),
        202,
        COMMAND,
    ),
    Sent("a cookie, no origin, an empty CSRF token", "POST", COMMANDS, lambda g: cookie(g, X_CSRF_Token=""), 403, COMMAND),
    Sent(
        "a cookie, no origin, a CSRF token cut short",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRF_Token=csrf_token(g)[:-1]),
        403,
        COMMAND,
    ),
    Sent(
        "a cookie, no origin, a CSRF token of no ASCII",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRF_Token="\u00e9"),
        403,
        COMMAND,
    ),
    Sent(
        "a cookie, no origin, the CSRF token of another session",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRF_Token=csrf_token(g, "viewer")),
        403,
        COMMAND,
    ),
    Sent(
        "a CSRF token and another origin",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRF_Token=csrf_token(g), Origin="https://evil.example"),
        403,
        COMMAND,
    ),
    Sent(
        "a CSRF token and origin null",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRF_Token=csrf_token(g), Origin="null"),
        403,
        COMMAND,
    ),
    Sent(
        "a CSRF token, cross-site",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRF_Token=csrf_token(g), Sec_Fetch_Site="cross-site"),
        403,
        COMMAND,
    ),
    Sent(
        "a CSRF token, same site",
        "POST",
        COMMANDS,
        lambda g: cookie(g, X_CSRF_Token=csrf_token(g), Sec_Fetch_Site="same-site"),
        403,
        COMMAND,
    ),
    Sent("a CSRF token without a cookie", "POST", COMMANDS, lambda g: {"X-CSRF-Token": csrf_token(g)}, 401, COMMAND),
    Sent(
        "a CSRF token and an expired cookie",
        "POST",
        COMMANDS,
        lambda g: {"Cookie": f"{SESSION_COOKIE}={own(exp=now() - 1)}", "X-CSRF-Token": csrf_token(g)},
        401,
        COMMAND,
    ),
    Sent("a cookie in the jar of a program", "POST", COMMANDS, lambda _: jar(), 202, COMMAND),
    Sent("a cookie in the jar of a program reads", "GET", "/api/v1/readings", lambda _: jar(), 200),
    Sent(
        "a cookie in the jar of a program, another origin",
        "POST",
        COMMANDS,
        lambda _: jar(Origin="https://evil.example"),
        403,
        COMMAND,
    ),
    Sent(
        "a cookie in the jar of a program, cross-site",
        "POST",
        COMMANDS,
        lambda _: jar(Sec_Fetch_Site="cross-site"),
        403,
        COMMAND,
    ),
    Sent(
        "the token of a program's cookie in a header",
        "GET",
        "/api/v1/readings",
        lambda _: {"Authorization": f"Bearer {own(use='jar')}"},
        401,
    ),
    Sent(
        "the token of a cookie in a header",
        "GET",
        "/api/v1/readings",
        lambda _: {"Authorization": f"Bearer {own(use='cookie')}"},
        401,
    ),
    Sent("the CSRF token", "GET", "/auth/csrf", cookie, 200),
    Sent("the CSRF token, nobody", "GET", "/auth/csrf", lambda _: {}, 401),
    Sent(
        "the CSRF token for a page of another site",
        "GET",
        "/auth/csrf",
        lambda g: cookie(g, Origin="https://evil.example"),
        403,
    ),
    Sent(
        "the CSRF token for a script of another site",
        "GET",
        "/auth/csrf",
        lambda g: cookie(g, Sec_Fetch_Site="cross-site"),
        403,
    ),
    # --- forms and pages
    Sent("the login page", "GET", "/login", lambda _: NAVIGATION, 200),
    Sent("telemetry, nobody", "GET", "/get_telemetry?device=hall", lambda _: {}, 401),
    Sent("telemetry by a cookie", "GET", "/get_telemetry?device=hall", cookie, 200),
    Sent(
        "telemetry for a page of another site",
        "GET",
        "/get_telemetry?device=hall",
        lambda g: cookie(g, Origin="https://evil.example"),
        403,
    ),
    Sent("a form, nobody", "POST", "/send_command", lambda _: {"Content-Type": FORM}, 401, b"device_name=hall&command=on"),
    Sent(
        "a form, a cookie and another origin",
        "POST",
        "/send_command",
        lambda g: cookie(g, Content_Type=FORM, Origin="https://evil.example"),
        403,
        b"device_name=hall&command=on",
    ),
    Sent(
        "a form, a cookie and no origin",
        "POST",
        "/send_command",
        lambda g: cookie(g, Content_Type=FORM),
        403,
        b"device_name=hall&command=on",
    ),
    Sent(
        "a form, a cookie and a wrong CSRF token in it",
        "POST",
        "/send_command",
        lambda g: cookie(g, Content_Type=FORM),
        403,
        b"device_name=hall&command=on&csrf_token=x",
    ),
    Sent(
        "login by form for a page of another site",
        "POST",
        "/login",
        lambda _: {"Content-Type": FORM, "Origin": "https://evil.example"},
        403,
        b"username=admin&password=x",
    ),
    Sent(
        "login by form for a page without an origin",
        "POST",
        "/login",
        lambda _: {"Content-Type": FORM, "Origin": "null"},
        403,
        b"username=admin&password=x",
    ),
    Sent("a cookie that is a key", "GET", "/api/v1/readings", lambda _: {"Cookie": f"{SESSION_COOKIE}=sbk_0_0"}, 401),
    Sent(
        "a header wins over a bad cookie",
        "GET",
        "/api/v1/readings",
        lambda g: {**g.showing("viewer"), "Cookie": f"{SESSION_COOKIE}=x"},
        200,
    ),
    Sent(
        "a bad header wins over a cookie",
        "GET",
        "/api/v1/readings",
        lambda g: cookie(g, Authorization="Bearer x.y.z"),
        401,
    ),
    Sent(
        "a header needs no origin",
        "POST",
        COMMANDS,
        lambda g: {**g.showing("operator"), "Origin": "https://evil.example"},
        202,
        COMMAND,
    ),
    Sent(
        "two headers",
        "GET",
        "/api/v1/readings",
        lambda g: {**g.showing("viewer"), "X-API-Key": g.keys["see"]},
        401,
    ),
    Sent("a key in its own header", "GET", "/api/v1/readings", lambda g: {"X-API-Key": g.keys["see"]}, 200),
    Sent("a scheme nobody knows", "GET", "/api/v1/readings", lambda g: {"Authorization": f"Token {g.keys['see']}"}, 401),
    Sent("a scheme and nothing", "GET", "/api/v1/readings", lambda _: {"Authorization": "Bearer"}, 401),
    Sent("a scheme in small letters", "GET", "/api/v1/readings", lambda g: {"Authorization": f"bearer {g.keys['see']}"}, 200),
    Sent("a device's name and secret, to see", "GET", "/api/v1/readings", lambda _: basic("esp01", DEVICE_SECRET), 403),
    Sent(
        "a device's name and secret, to send",
        "POST",
        "/api/v1/readings",
        lambda _: basic("esp01", DEVICE_SECRET),
        201,
        {"deviceId": "esp01", **READING},
    ),
    Sent(
        "a device's name and secret, as another",
        "POST",
        "/api/v1/readings",
        lambda _: basic("esp01", DEVICE_SECRET),
        403,
        {"deviceId": "hall", **READING},
    ),
    Sent(
        "a device's name and key",
        "POST",
        "/api/v1/readings",
        lambda g: basic("hall", g.keys["hall"]),
        201,
        {"deviceId": "hall", **READING},
    ),
    Sent(
        "another's name and a device's key",
        "POST",
        "/api/v1/readings",
        lambda g: basic("stove", g.keys["hall"]),
        401,
        {"deviceId": "stove", **READING},
    ),
    Sent("a person's name and password", "GET", "/api/v1/readings", lambda _: basic("viewer", "no password"), 401),
    Sent("Basic that is no base64", "GET", "/api/v1/readings", lambda _: {"Authorization": "Basic %%%"}, 401),
    Sent("a preflight", "OPTIONS", "/api/v1/readings", lambda _: {}, 405),
    Sent("the page", "GET", "/", lambda _: {}, 200),
    Sent("the description", "GET", "/api/openapi.json", lambda _: {}, 200),
    Sent("alive", "GET", "/health/live", lambda _: {}, 200),
    Sent("ready", "GET", "/health/ready", lambda _: {}, 200),
    Sent("a path that is none", "GET", "/nowhere", lambda _: {}, 404),
    *(
        Sent(f"a token in the query of {path}", "GET", path, lambda _: {}, 401)
        for path in (
            "/api/v1/readings?token=TOKEN",
            "/metrics?access_token=TOKEN",
            "/auth/me?token=TOKEN",
            "/ws/stats?token=TOKEN",
        )
    ),
)


def basic(name: str, secret: str) -> dict[str, str]:
    import base64

    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}
