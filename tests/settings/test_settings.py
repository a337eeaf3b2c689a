"""Settings: precedence of their sources, and errors that list every mistake with its origin and without secrets."""

from __future__ import annotations

import json
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.core.decode import MessageKind
from bridge.core.errors import BridgeError, NotReading, SettingsError
from bridge.core.formats.homes.tasmota import tasmota_format
from bridge.core.formats.mapping import FieldPath, MappingFormat
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import FormatName, auto_format
from bridge.settings import Settings
from bridge.settings.loader import _leaves, load_settings
from tests.servers import REPO

SECRET = "hunter2"


def load(text: str = "", environ: Mapping[str, str] | None = None, *, folder: Path) -> Settings:
    path = folder / "bridge.toml"
    path.write_text(text, "utf-8")
    return load_settings(path, environ or {})


def mistakes(text: str = "", environ: Mapping[str, str] | None = None, *, folder: Path) -> list[str]:
    """The lines of the error, with FILE in place of the file's path."""
    with pytest.raises(SettingsError) as caught:
        load(text, environ, folder=folder)
    return str(caught.value).replace(str(folder / "bridge.toml"), "FILE").splitlines()


# --- sources and precedence -------------------------------------------------------------------------------------------


def test_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    settings = load(folder=tmp_path)
    assert settings.model_dump() == Settings().model_dump()
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 3000)
    assert settings.mqtt.address == "mqtt://localhost:1883"
    assert settings.store.address == "mongodb://localhost:27017/sensors"
    assert [(one.pattern, one.kind, one.qos) for one in settings.mqtt.subscriptions] == [
        ("sensors/{deviceId}/data", MessageKind.READINGS, 1),
        ("sensors/{deviceId}/status", MessageKind.STATUS, 1),
        ("sensors/{deviceId}/command/ack", MessageKind.COMMAND_ACK, 1),
        ("events/{topic}", MessageKind.EVENTS, 1),
    ]
    assert settings.store.driver == "pymongo"


def test_file_overrides_defaults(tmp_path: Path) -> None:
    settings = load('stop_seconds = 9\n[http]\nport = 8080\n[mqtt.tls]\nca_file = "ca.pem"\n', folder=tmp_path)
    assert settings.stop_seconds == 9
    assert settings.http.port == 8080
    assert settings.mqtt.tls.ca_file == Path("ca.pem")
    assert settings.http.host == "127.0.0.1"


def test_environment_overrides_single_settings_of_the_file(tmp_path: Path) -> None:
    settings = load('[http]\nport = 8080\nhost = "::1"\n', {"BRIDGE_HTTP__PORT": "9090"}, folder=tmp_path)
    assert (settings.http.host, settings.http.port) == ("::1", 9090)


def test_passed_defaults_are_overridden_by_file_and_environment(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("[http]\nport = 8080\n")
    defaults = {"http": {"port": 1, "host": "a"}, "log": {"level": "debug"}}
    settings = load_settings(path, {"BRIDGE_LOG__LEVEL": "error"}, defaults)
    assert (settings.http.host, settings.http.port, settings.log.level) == ("a", 8080, "error")


def load_dotenv(text: str, environ: Mapping[str, str] | None = None, *, folder: Path) -> Settings:
    (folder / ".env").write_text(text, "utf-8")
    return load_settings(None, environ or {}, dotenv=folder / ".env")


def test_dotenv_sets_what_the_environment_does_not(tmp_path: Path) -> None:
    text = """# En tu archivo .env
WEBSOCKET_MAX_CONNECTIONS=100
export BRIDGE_HTTP__PORT='8000'
BRIDGE_HTTP__CORS_ORIGINS=["https://a.example"]  # a comment
BRIDGE_MQTT__PASSWORD="two words # and ${more}"
BRIDGE_MQTT__USERNAME=bridge
DATABASE_URL=postgres://x
"""
    settings = load_dotenv(text, {"bridge_http__port": "4"}, folder=tmp_path)
    assert (settings.realtime.max_clients, settings.http.port) == (100, 4)
    assert settings.http.cors_origins == ("https://a.example",)
    assert settings.mqtt.login == ("bridge", "two words # and ${more}")
    assert load_settings(None, {}, dotenv=tmp_path / "none").model_dump() == Settings().model_dump()


def test_mistakes_in_dotenv_name_its_line(tmp_path: Path) -> None:
    name = tmp_path / ".env"
    for text, expected in (
        ("\n\nWEBSOCKET_PING_INTERVAL=often\n", f"{name}:3 WEBSOCKET_PING_INTERVAL: realtime.ping_interval_seconds = 'often'"),
        ("A=1\nBRIDGE_HTTP__COLOR=red\n", f"{name}:2 BRIDGE_HTTP__COLOR: http.color: is not a setting"),
        ("BRIDGE_HTTP_PORT=1\n", f"{name}:1 BRIDGE_HTTP_PORT: is not a setting; use BRIDGE_HTTP__PORT"),
        ("this is not a line\nBRIDGE_HTTP__PORT\n", f"{name}:2: not a line NAME=value"),
        ("BRIDGE_MQTT__PASSWORD_FILE=/nowhere/at/all\n", f"{name}:1 BRIDGE_MQTT__PASSWORD_FILE: cannot be read"),
        ("A=" + "x" * 70_000, f"{name}: larger than"),
    ):
        with pytest.raises(SettingsError) as caught:
            load_dotenv(text, folder=tmp_path)
        assert str(caught.value).startswith(expected), caught.value
    name.write_bytes(b"A=\xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(None, {}, dotenv=name)


def test_secret_in_dotenv_is_not_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_dotenv(f"BRIDGE_ACCESS__SECRET={SECRET[:8]}\n", folder=tmp_path)
    assert SECRET[:8] not in str(caught.value)


def test_environment_names_are_case_insensitive(tmp_path: Path) -> None:
    assert load(environ={"bridge_http__port": "4"}, folder=tmp_path).http.port == 4


def test_unrelated_environment_names_are_ignored(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "BRIDGET__X": "1", "BRIDGE_TEST_MQTT_URL": "mqtt://x", "BRIDGE_SERVICE_HOST": "10.0.0.1"}
    assert load(environ=environ, folder=tmp_path).model_dump() == Settings().model_dump()


def test_bridge_config_selects_the_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[http]\nport = 8080\n")
    assert load_settings(None, {"BRIDGE_CONFIG": str(tmp_path / "other.toml")}).http.port == 8080


def test_default_file_is_read_if_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}).http.port == 3000
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "bridge.toml").write_text("[http]\nport = 8080\n")
    assert load_settings(None, {}).http.port == 8080


def test_missing_explicit_file_is_a_mistake(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read"):
        load_settings(missing, {})
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read"):
        load_settings(None, {"BRIDGE_CONFIG": str(missing)})


def test_secret_is_read_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f" {SECRET}\n")
    environ = {"BRIDGE_MQTT__PASSWORD_FILE": str(tmp_path / "secret"), "BRIDGE_MQTT__USERNAME": "bridge"}
    assert load(environ=environ, folder=tmp_path).mqtt.login == ("bridge", f" {SECRET}")


def test_any_setting_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("8080\n")
    (tmp_path / "origins").write_text('["https://example.org"]\n')
    environ = {"BRIDGE_HTTP__PORT_FILE": str(tmp_path / "port"), "BRIDGE_HTTP__CORS_ORIGINS_FILE": str(tmp_path / "origins")}
    http = load(environ=environ, folder=tmp_path).http
    assert (http.port, http.cors_origins) == (8080, ("https://example.org",))


def test_setting_whose_name_ends_in_file_is_read_as_a_path(tmp_path: Path) -> None:
    assert load(environ={"BRIDGE_MQTT__TLS__CA_FILE": "/ca.pem"}, folder=tmp_path).mqtt.tls.ca_file == Path("/ca.pem")


def test_value_set_directly_and_by_a_file_is_a_mistake(tmp_path: Path) -> None:
    environ = {"BRIDGE_HTTP__PORT": "1", "BRIDGE_HTTP__PORT_FILE": "/nowhere"}
    assert mistakes(environ=environ, folder=tmp_path) == [
        "environment BRIDGE_HTTP__PORT_FILE: http.port is set both directly and by a file"
    ]


def test_missing_secret_file_is_a_mistake(tmp_path: Path) -> None:
    [mistake] = mistakes(environ={"BRIDGE_MQTT__PASSWORD_FILE": str(tmp_path / "none")}, folder=tmp_path)
    assert mistake.startswith("environment BRIDGE_MQTT__PASSWORD_FILE: cannot be read: ")


# --- types of values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://example.org", ("https://example.org",)),
        ("https://a.example, http://b.example:8080 ,", ("https://a.example", "http://b.example:8080")),
        ('["https://a.example", "http://b.example"]', ("https://a.example", "http://b.example")),
    ],
)
def test_origins_are_separated_by_commas_or_a_json_list(given: str, origins: tuple[str, ...], tmp_path: Path) -> None:
    assert load(environ={"BRIDGE_HTTP__CORS_ORIGINS": given}, folder=tmp_path).http.cors_origins == origins


def test_ignored_topics_hold_for_every_subscription(tmp_path: Path) -> None:
    settings = load(environ={"BRIDGE_MQTT__IGNORE": "home/+/log, lamps/#"}, folder=tmp_path)
    assert all({"home/+/log", "lamps/#"} <= {one.text for one in route.ignore} for route in settings.mqtt.routes)


def test_invalid_or_too_many_ignored_topics_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"mqtt.ignore.*level 2, 'b#': a wildcard or \{name\} must be the whole level"):
        load(environ={"BRIDGE_MQTT__IGNORE": "a/b#"}, folder=tmp_path)
    with pytest.raises(SettingsError, match="101 patterns, more than the 100 allowed"):
        load(environ={"BRIDGE_MQTT__IGNORE": ",".join(["a"] * 101)}, folder=tmp_path)


def test_subscriptions_are_a_json_list_in_the_environment(tmp_path: Path) -> None:
    given = [{"pattern": "home/{deviceId}", "qos": 0}, {"pattern": "lwt/{deviceId}", "kind": "status"}]
    settings = load(environ={"BRIDGE_MQTT__SUBSCRIPTIONS": json.dumps(given)}, folder=tmp_path)
    assert [(one.pattern.topic_filter, one.kind) for one in settings.mqtt.routes] == [
        ("home/+", MessageKind.READINGS),
        ("lwt/+", MessageKind.STATUS),
    ]
    assert [one.qos for one in settings.mqtt.subscriptions] == [0, 1]


@pytest.mark.parametrize(
    ("given", "path", "own"),
    [
        ("WEBSOCKET_MAX_CONNECTIONS", "max_clients", "BRIDGE_REALTIME__MAX_CLIENTS"),
        ("WEBSOCKET_PING_INTERVAL", "ping_interval_seconds", "BRIDGE_REALTIME__PING_INTERVAL_SECONDS"),
        ("WEBSOCKET_PING_TIMEOUT", "ping_timeout_seconds", "BRIDGE_REALTIME__PING_TIMEOUT_SECONDS"),
    ],
)
def test_websocket_alias_is_read_and_overridden_by_the_bridges_name(given: str, path: str, own: str, tmp_path: Path) -> None:
    in_file = f"[realtime]\n{path} = 5\n"
    assert getattr(load(in_file, environ={given: "7"}, folder=tmp_path).realtime, path) == 7
    assert getattr(load(in_file, environ={given: "7", own: "9"}, folder=tmp_path).realtime, path) == 9
    (mistake,) = mistakes(environ={given: "many"}, folder=tmp_path)
    assert mistake.startswith(f"environment {given}: realtime.{path} = 'many'")


@pytest.mark.parametrize(
    ("commands", "topics"),
    [
        ("sensors/{deviceId}/command", ("sensors/a/command", "sensors/a/b/command")),
        ("sensors/{deviceId...}/command", ("sensors/a/command", "sensors/a/b/command")),
        ("{deviceId}", ("a", "a/b")),
    ],
)
def test_command_topic_takes_an_id_of_several_levels(commands: str, topics: tuple[str, str], tmp_path: Path) -> None:
    mqtt = load(environ={"BRIDGE_MQTT__COMMANDS": commands}, folder=tmp_path).mqtt
    assert (mqtt.command_topic("a"), mqtt.command_topic("a/b")) == topics
    assert (mqtt.command_topic("$SYS") is None) == (commands == "{deviceId}")


@pytest.mark.parametrize("commands", ["do", "{deviceId}/+", "{deviceId}/#", "{site}/{deviceId}", "{site}/do"])
def test_command_topic_with_another_wildcard_is_a_mistake(commands: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(environ={"BRIDGE_MQTT__COMMANDS": commands}, folder=tmp_path)
    assert "a command topic must have one level {deviceId} and no wildcard" in mistake


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a/{site...}", "level 2, '{site...}': only {deviceId...} captures several levels"),
        ("a/{deviceId...}/{deviceId...}", "each {name} may occur only once"),
        ("a/{deviceId...}/#", "'#' cannot follow {deviceId...}"),
    ],
)
def test_pattern_of_several_levels_that_is_ambiguous_is_a_mistake(pattern: str, reason: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(f'[[mqtt.subscriptions]]\npattern = "{pattern}"\n', folder=tmp_path)
    assert reason in mistake


def test_subscription_of_several_levels_has_any_format(tmp_path: Path) -> None:
    given = '[[mqtt.subscriptions]]\npattern = "home/{deviceId...}/{field}"\nformat = "scalar"\n'
    _, route = load(given, folder=tmp_path).mqtt.routes
    assert (route.pattern.topic_filter, route.pattern.match("home/a/b/co2")) == ("home/#", {"deviceId": "a/b", "field": "co2"})


def test_commands_that_a_subscription_of_several_levels_delivers_are_not_taken_as_readings(tmp_path: Path) -> None:
    given = '[[mqtt.subscriptions]]\npattern = "sensors/{deviceId...}"\n'
    commands, readings = load(given, folder=tmp_path).mqtt.routes
    for topic in ("sensors/a/command", "sensors/a/b/command"):
        assert commands.pattern.match(topic)
        with pytest.raises(NotReading, match="a command to a device"):
            commands.format(Payload(b'{"command": "x"}', topic, {}))
    assert commands.pattern.match("sensors/a/b") is None
    assert readings.pattern.match("sensors/a/b") == {"deviceId": "a/b"}


def test_events_pattern_without_a_topic_level_is_a_mistake(tmp_path: Path) -> None:
    subscriptions = '[[mqtt.subscriptions]]\npattern = "news/+"\nkind = "events"\n'
    (mistake,) = mistakes(subscriptions, folder=tmp_path)
    assert "a pattern of kind events must have a level {topic}, as in events/{topic}" in mistake


def test_table_is_a_json_object_in_the_environment(tmp_path: Path) -> None:
    assert load(environ={"BRIDGE_MQTT__TLS": '{"insecure": true}'}, folder=tmp_path).mqtt.tls.insecure is True


@pytest.mark.parametrize("password", ["[1]", '{"a": 1}', "[", "0123", "true", '"quoted"', "a b"])
def test_password_is_never_parsed_as_json(password: str, tmp_path: Path) -> None:
    environ = {"BRIDGE_MQTT__PASSWORD": password, "BRIDGE_MQTT__USERNAME": "bridge"}
    assert load(environ=environ, folder=tmp_path).mqtt.login == ("bridge", password)


@pytest.mark.parametrize(
    ("url", "host", "port", "login"),
    [
        ("mqtt://broker", "broker", 1883, (None, None)),
        ("mqtts://broker", "broker", 8883, (None, None)),
        ("mqtt://broker:1884", "broker", 1884, (None, None)),
        ("mqtt://[::1]:1884", "::1", 1884, (None, None)),
        ("mqtt://me:p%40ss%2Fw%3Ard@broker", "broker", 1883, ("me", "p@ss/w:rd")),
        ("mqtt://me@broker", "broker", 1883, ("me", None)),
        ("mqtt://me:p@ss:w@broker", "broker", 1883, ("me", "p@ss:w")),
        ("mqtt://me:100%@broker", "broker", 1883, ("me", "100%")),
        ("ws://broker", "broker", 80, (None, None)),
        ("wss://me:p@broker", "broker", 443, ("me", "p")),
    ],
)
def test_broker_url_gives_host_port_and_login(
    url: str, host: str, port: int, login: tuple[str | None, str | None], tmp_path: Path
) -> None:
    mqtt = load(environ={"BRIDGE_MQTT__URL": url}, folder=tmp_path).mqtt
    assert (mqtt.host, mqtt.port, mqtt.login) == (host, port, login)
    assert mqtt.address == f"{url.partition(':')[0]}://{f'[{host}]' if ':' in host else host}:{port}"


@pytest.mark.parametrize(
    ("url", "path", "address"),
    [
        ("mqtt://broker", None, "mqtt://broker:1883"),
        ("mqtt://broker/", None, "mqtt://broker:1883"),
        ("ws://broker", "/mqtt", "ws://broker:80"),
        ("ws://u:p@broker:9001/", "/", "ws://broker:9001"),
        ("wss://broker:8084/ws/mqtt", "/ws/mqtt", "wss://broker:8084/ws/mqtt"),
        ("ws://[::1]:9001/ü", "/%C3%BC", "ws://[::1]:9001/ü"),
    ],
)
def test_broker_url_gives_the_path_of_the_websocket(url: str, path: str | None, address: str, tmp_path: Path) -> None:
    mqtt = load(environ={"BRIDGE_MQTT__URL": url}, folder=tmp_path).mqtt
    assert (mqtt.websocket_path, mqtt.address) == (path, address)


def test_username_and_password_override_the_url(tmp_path: Path) -> None:
    environ = {"BRIDGE_MQTT__URL": "mqtt://a:b@broker", "BRIDGE_MQTT__USERNAME": "c", "BRIDGE_MQTT__PASSWORD": "d"}
    assert load(environ=environ, folder=tmp_path).mqtt.login == ("c", "d")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/bridge.db", "data/bridge.db"),
        ("sqlite:////var/lib/bridge.db", "/var/lib/bridge.db"),
        ("sqlite:///my%20data/a@b.db", "my data/a@b.db"),
    ],
)
def test_sqlite_url_gives_a_path(url: str, path: str, tmp_path: Path) -> None:
    store = load(environ={"BRIDGE_STORE__URL": url}, folder=tmp_path).store
    assert store.is_sqlite
    assert store.sqlite_path == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://a:27017,b:27018,[::1]:27019/sensors?replicaSet=rs0",
        "mongodb+srv://u:p%40@cluster.example/sensors",
        "mongodb://localhost",
    ],
)
def test_mongodb_url_may_have_several_hosts(url: str, tmp_path: Path) -> None:
    store = load(environ={"BRIDGE_STORE__URL": url}, folder=tmp_path).store
    assert not store.is_sqlite
    assert store.url.get_secret_value() == url


def test_a_cluster_on_a_sqlite_file_is_a_mistake(tmp_path: Path) -> None:
    text = '[cluster]\nname = "plant"\n[store]\nurl = "sqlite:///data/bridge.db"\n'
    assert mistakes(text, folder=tmp_path) == [
        "settings: cluster.name is set, and store.url names a SQLite file: several bridges need MongoDB"
    ]
    assert load(text.replace('name = "plant"', "place = 2"), folder=tmp_path).store.is_sqlite


@pytest.mark.parametrize(
    ("bus", "mistake"),
    [
        ("kafka", "cluster.bus = 'kafka': must be mqtt, none, or the URL of a Redis server: redis://host:6379"),
        ("kafka://host:1", "cluster.bus = 'kafka://host:1': must begin with redis:// or rediss://"),
        (f"kafka://me:{SECRET}@host", "cluster.bus: must begin with redis:// or rediss://"),
        (
            f"redis://me:{SECRET}@host:0x",
            "cluster.bus: the host must be a name or address, and its port a number from 1 to 65535",
        ),
    ],
)
def test_a_wrong_bus_is_a_mistake_that_shows_no_secret(bus: str, mistake: str, tmp_path: Path) -> None:
    assert mistakes(f'[cluster]\nname = "plant"\nbus = "{bus}"\n', folder=tmp_path) == [f"FILE:3: {mistake}"]


@pytest.mark.parametrize("name", ["", "-plant", "plant 1", "plant/1", "plant+", "a" * 33, "plänt", "plant\\n"])
def test_a_wrong_name_of_a_cluster_is_a_mistake(name: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(f'[cluster]\nname = "{name}"\n', folder=tmp_path)
    assert mistake.startswith("FILE:2: cluster.name")
    assert mistake.endswith(": must be 1 to 32 letters, digits, _ and -, the first a letter or digit")


@pytest.mark.parametrize("login", ["user:p@ss", "us@er:pass", "user:p:ss", "user:p%ss", "user:pass%", "user:p%4"])
def test_unescaped_character_in_a_mongodb_login_is_a_mistake(login: str, tmp_path: Path) -> None:
    environ = {"BRIDGE_STORE__URL": f"mongodb://{login}@host/sensors"}
    assert mistakes(environ=environ, folder=tmp_path) == [
        (
            "environment BRIDGE_STORE__URL: store.url: an @ : or % in the user or password must be written %40 %3A %25, "
            "or set store.username and store.password, where they are written as they are"
        )
    ]


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "ws", "wss"])
@pytest.mark.parametrize("cut", ["/", "?", "#"])
@pytest.mark.parametrize("password", [f"{SECRET}CUTx", f"12CUT{SECRET}", f"us@er.example:12CUT{SECRET}", f"CUT{SECRET}@x"])
def test_password_that_would_cut_the_url_is_explained_and_no_part_of_it_is_shown(
    scheme: str, cut: str, password: str, tmp_path: Path
) -> None:
    environ = {"BRIDGE_MQTT__URL": f"{scheme}://user:{password.replace('CUT', cut)}@broker.example:1883"}
    assert mistakes(environ=environ, folder=tmp_path) == [
        (
            "environment BRIDGE_MQTT__URL: mqtt.url: a / ? or # in the user or password must be written %2F %3F %23, "
            "or set mqtt.username and mqtt.password, where they are written as they are"
        )
    ]


@pytest.mark.parametrize("cut", ["/", "?", "#"])
@pytest.mark.parametrize("scheme", ["mongodb", "mongodb+srv"])
def test_password_that_would_cut_the_url_of_the_database_is_explained(scheme: str, cut: str, tmp_path: Path) -> None:
    [mistake] = mistakes(environ={"BRIDGE_STORE__URL": f"{scheme}://user:{SECRET}{cut}x@db.example/air"}, folder=tmp_path)
    assert mistake.startswith("environment BRIDGE_STORE__URL: store.url: a / ? or # in the user or password must be written")
    assert "store.username and store.password" in mistake
    assert SECRET not in mistake


def test_option_of_a_mongodb_url_may_contain_an_at_sign(tmp_path: Path) -> None:
    url = "mongodb://air:key%3D%3D@air.mongo.cosmos.example:10255/?ssl=true&appName=@air@"
    assert load(environ={"BRIDGE_STORE__URL": url}, folder=tmp_path).store.url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"mqtt://user:{SECRET}[@host", "not a URL: a [ or ] in the user or password must be written %5B %5D, or set mqtt."),
        (f"mqtt://user:{SECRET}\t@host", "contains a tab, a line break or another control character"),
        ("mqtt://host#x", "a # in the user or password must be written %23"),
        ("mqtt://host:1883/topic", "nothing may follow host and port; only ws:// and wss:// have a path"),
        ("mqtt://host?clean=1", "nothing may follow host and port"),
        ("wss://host/mqtt?token=1", "nothing may follow host and port"),
        ("ws://host/a b", "the path must be that of an HTTP request, such as /mqtt"),
    ],
)
def test_broker_url_with_more_than_its_parts_is_a_mistake(url: str, reason: str, tmp_path: Path) -> None:
    [mistake] = mistakes(environ={"BRIDGE_MQTT__URL": url}, folder=tmp_path)
    assert mistake.startswith(f"environment BRIDGE_MQTT__URL: mqtt.url: {reason}")
    assert SECRET not in mistake


@pytest.mark.parametrize("password", ["p#w", "p@w", "p/w", "p:w", "100%", "p?[w]", "p%41w"])
def test_password_settings_take_any_character(password: str, tmp_path: Path) -> None:
    environ = {"BRIDGE_MQTT__USERNAME": "bridge", "BRIDGE_MQTT__PASSWORD": password}
    environ |= {"BRIDGE_STORE__USERNAME": "air", "BRIDGE_STORE__PASSWORD": password}
    settings = load(environ=environ, folder=tmp_path)
    assert settings.mqtt.login == ("bridge", password)
    assert settings.store.login == {"username": "air", "password": password}


def test_database_password_without_a_user_is_a_mistake(tmp_path: Path) -> None:
    [mistake] = mistakes(environ={"BRIDGE_STORE__PASSWORD": SECRET}, folder=tmp_path)
    assert "store.password is set, store.username is not" in mistake
    environ = {"BRIDGE_STORE__PASSWORD": SECRET, "BRIDGE_STORE__URL": "mongodb://air@db/sensors"}
    assert load(environ=environ, folder=tmp_path).store.login == {"password": SECRET}


@pytest.mark.parametrize(
    "name", ["BRIDGE_ACCESS__JWKS_URL", "BRIDGE_HTTP__CORS_ORIGINS", "BRIDGE_HTTP__TRUSTED_PROXIES", "BRIDGE_HTTP__HOSTS"]
)
def test_url_with_a_password_is_refused_unseen_in_every_setting(name: str, tmp_path: Path) -> None:
    for url in (f"https://user:{SECRET}@idp.example/keys", f"https://user:{SECRET}#x@idp.example"):
        lines = mistakes(environ={name: url}, folder=tmp_path)
        assert not [line for line in lines if SECRET in line]


def test_issuer_with_a_password_is_not_shown(tmp_path: Path) -> None:
    lines = mistakes(environ={"BRIDGE_ACCESS__ISSUER": f"https://user:{SECRET}@idp.example"}, folder=tmp_path)
    assert not [line for line in lines if SECRET in line]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mqtt://a..b", "the host is not a name"),
        (f"mqtt://{'a' * 64}.example", "the host is not a name"),
        ("mqtt://a b", "the host is not a name"),
        ("mqtt://one,two", "the host is not a name"),
        ("mqtt://user:pass@", "names no host"),
        ("mqtt://:1883", "names no host"),
        ("mqtt://[::1", "not a URL"),
    ],
)
def test_host_that_cannot_be_looked_up_is_a_mistake(url: str, reason: str, tmp_path: Path) -> None:
    [mistake] = mistakes(environ={"BRIDGE_MQTT__URL": url}, folder=tmp_path)
    assert mistake.startswith(f"environment BRIDGE_MQTT__URL: mqtt.url: {reason}")


@pytest.mark.parametrize("host", ["broker", "a.b.", "192.0.2.1", "bücher.example", "_mqtt.local", "[::1]"])
def test_any_host_name_or_address_is_allowed(host: str, tmp_path: Path) -> None:
    assert load(environ={"BRIDGE_MQTT__URL": f"mqtt://{host}:1883"}, folder=tmp_path).mqtt.port == 1883


def test_mongodb_may_listen_on_a_unix_socket(tmp_path: Path) -> None:
    url = f"mongodb://u:p@%2Frun%2F{'long' * 20}%2Fmongodb-27017.sock/sensors"
    assert load(environ={"BRIDGE_STORE__URL": url}, folder=tmp_path).store.url.get_secret_value() == url


@pytest.mark.parametrize("url", ["https://idp:99999/keys", "https://", "https://[::1", "https://a..b/keys", "idp/keys"])
def test_keys_url_that_is_no_url_is_a_mistake(url: str, tmp_path: Path) -> None:
    environ = {"BRIDGE_ACCESS__ISSUER": "i", "BRIDGE_ACCESS__AUDIENCE": "a", "BRIDGE_ACCESS__JWKS_URL": url}
    [mistake] = mistakes(environ=environ, folder=tmp_path)
    assert mistake.startswith("environment BRIDGE_ACCESS__JWKS_URL: access.jwks_url: ")


def test_tls_is_used_for_mqtts_only(tmp_path: Path) -> None:
    assert load(folder=tmp_path).mqtt.tls_context is None
    verified = load(environ={"BRIDGE_MQTT__URL": "mqtts://broker"}, folder=tmp_path).mqtt.tls_context
    assert verified is not None
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)
    trusting = {"BRIDGE_MQTT__URL": "mqtts://broker", "BRIDGE_MQTT__TLS__INSECURE": "true"}
    insecure = load(environ=trusting, folder=tmp_path).mqtt.tls_context
    assert insecure is not None
    assert (insecure.verify_mode, insecure.check_hostname) == (ssl.CERT_NONE, False)
    assert load(environ={"BRIDGE_MQTT__URL": "wss://broker"}, folder=tmp_path).mqtt.tls_context is not None


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
def test_unusable_tls_file_is_named_with_its_setting(name: str, content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_text(content)
    mqtt = load(f'[mqtt]\nurl = "mqtts://broker"\n[mqtt.tls]\n{name} = "{file}"\n', folder=tmp_path).mqtt
    with pytest.raises(OSError, match=rf"mqtt\.tls\.{name}.*: {re.escape(str(file))}: "):
        mqtt.tls_context  # noqa: B018 - raises


# --- mistakes --------------------------------------------------------------------------------------------------------

WRONG_FILE = """\
stop_seconds = 0
loud = true

[http]
host = "::1"
port = "http"
prot = 1

[stor]
url = "x"

[mqtt]
keepalive_seconds = 1

[[mqtt.subscriptions]]
pattern = "a/b"

[[mqtt.subscriptions]]
pattern = "a/{b"
"""


def test_every_mistake_is_listed_with_its_line_or_variable(tmp_path: Path) -> None:
    environ = {"BRIDGE_STORE__DRIVER": "redis", "BRIDGE_LOG__LEVLE": "info", "BRIDGE_MQTT__URL": "http://x"}
    lines = mistakes(WRONG_FILE, environ, folder=tmp_path)
    beginnings = [
        "FILE:1: stop_seconds = 0: ",
        "FILE:2: loud: is not a setting",
        "FILE:6: http.port = 'http': ",
        "FILE:7: http.prot: is not a setting",
        "FILE:9: stor: is not a setting",
        "FILE:13: mqtt.keepalive_seconds = 1: ",
        "FILE:19: mqtt.subscriptions.1.pattern = 'a/{b': 'a/{b': level 2",
        "environment BRIDGE_STORE__DRIVER: store.driver = 'redis': ",
        "environment BRIDGE_LOG__LEVLE: log.levle: is not a setting",
        "environment BRIDGE_MQTT__URL: mqtt.url: must begin with mqtt:// or mqtts:// or ws:// or wss://",
    ]
    assert len(lines) == len(beginnings)
    for beginning in beginnings:
        assert [line for line in lines if line.startswith(beginning)], beginning


def test_mistake_in_the_environment_names_the_variable_not_the_file(tmp_path: Path) -> None:
    [mistake] = mistakes("[http]\nport = 8080\n", {"BRIDGE_HTTP__PORT": "x"}, folder=tmp_path)
    assert mistake.startswith("environment BRIDGE_HTTP__PORT: http.port = 'x': ")
    [mistake] = mistakes("[mqtt]\n", {"BRIDGE_MQTT__SUBSCRIPTIONS__0__PATTERN": "a"}, folder=tmp_path)
    assert mistake.startswith("environment BRIDGE_MQTT__SUBSCRIPTIONS__0__PATTERN: mqtt.subscriptions: ")


@pytest.mark.parametrize("name", ["BRIDGE_HTTP__PROT", "BRIDGE_HTPP__PORT", "BRIDGE_MQTT__TLS__CA", "BRIDGE_HTTP__PORT__X"])
def test_unknown_environment_name_is_a_mistake(name: str, tmp_path: Path) -> None:
    [mistake] = mistakes(environ={name: "1"}, folder=tmp_path)
    assert mistake.startswith(f"environment {name}: ")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BRIDGE_MQTT_URL", "BRIDGE_MQTT__URL"),
        ("BRIDGE_HTTP_PORT", "BRIDGE_HTTP__PORT"),
        ("BRIDGE_MQTT_TLS_INSECURE", "BRIDGE_MQTT__TLS__INSECURE"),
    ],
)
def test_single_underscore_gets_a_suggestion(name: str, meant: str, tmp_path: Path) -> None:
    assert mistakes(environ={name: "1"}, folder=tmp_path) == [f"environment {name}: is not a setting; use {meant}"]


def test_invalid_toml_is_reported_with_its_line(tmp_path: Path) -> None:
    [mistake] = mistakes("[http]\nport = = 3\n", folder=tmp_path)
    assert mistake.startswith("FILE: not TOML: ")
    assert "line 2" in mistake


def test_binary_file_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "binary.toml", {})


def test_number_in_place_of_a_table_is_a_mistake(tmp_path: Path) -> None:
    [mistake] = mistakes("mqtt = 3\n", folder=tmp_path)
    assert mistake.startswith("FILE:1: mqtt = 3: ")


def test_password_without_a_user_is_a_mistake(tmp_path: Path) -> None:
    [mistake] = mistakes(environ={"BRIDGE_MQTT__PASSWORD": SECRET}, folder=tmp_path)
    assert "mqtt.password is set, mqtt.username is not" in mistake


@pytest.mark.parametrize("readings", [{}, {"BRIDGE_STORE__RETENTION_DAYS": "30"}])
def test_rollups_that_expire_before_their_readings_are_a_mistake(readings: dict[str, str], tmp_path: Path) -> None:
    [mistake] = mistakes(environ=readings | {"BRIDGE_STORE__ROLLUP_DAYS": "29"}, folder=tmp_path)
    assert "rollup_days needs retention_days, and must not be less" in mistake


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BRIDGE_HTTP__PORT", "-1"),
        ("BRIDGE_HTTP__PORT", "65536"),
        ("BRIDGE_HTTP__CORS_ORIGINS", "example.org"),
        ("BRIDGE_HTTP__CORS_ORIGINS", "https://example.org/page"),
        ("BRIDGE_MQTT__RECEIVE_MAXIMUM", "0"),
        ("BRIDGE_MQTT__QOS0_LIMIT", "0"),
        ("BRIDGE_MQTT__PROTOCOL", "3.1"),
        ("BRIDGE_MQTT__CLIENT_ID", ""),
        ("BRIDGE_MQTT__SUBSCRIPTIONS", "[]"),
        ("BRIDGE_MQTT__SUBSCRIPTIONS", '[{"pattern": "a", "qos": 2}]'),
        ("BRIDGE_MQTT__URL", "mqtt://"),
        ("BRIDGE_MQTT__URL", "mqtt://broker:0"),
        ("BRIDGE_MQTT__URL", "mqtt://broker:65536"),
        ("BRIDGE_MQTT__URL", ""),
        ("BRIDGE_STORE__URL", "sqlite://bridge.db"),
        ("BRIDGE_STORE__URL", "sqlite:///"),
        ("BRIDGE_STORE__URL", "postgres://x/y"),
        ("BRIDGE_STORE__URL", "mongodb:///sensors"),
        ("BRIDGE_STORE__URL", "mongodb://a:x/sensors"),
        ("BRIDGE_STORE__BATCH_LIMIT", "0"),
        ("BRIDGE_STOP_SECONDS", "nan"),
        ("BRIDGE_LOG__LEVEL", "loud"),
    ],
)
def test_value_out_of_bounds_is_a_mistake(name: str, value: str, tmp_path: Path) -> None:
    assert all(line.startswith(f"environment {name}: ") for line in mistakes(environ={name: value}, folder=tmp_path))


def test_error_is_a_bridge_error_without_a_cause(tmp_path: Path) -> None:
    with pytest.raises(BridgeError) as caught:
        load("x = 1", folder=tmp_path)
    assert caught.value.__cause__ is caught.value.__context__ is None


# --- formats ---------------------------------------------------------------------------------------------------------


def subscription(**more: object) -> dict[str, str]:
    return {"BRIDGE_MQTT__SUBSCRIPTIONS": json.dumps([{"pattern": "app/{deviceId}", **more}])}


def test_subscription_has_a_format_and_a_mapping_has_fields(tmp_path: Path) -> None:
    text = """
[[mqtt.subscriptions]]
pattern = "tele/{deviceId}/SENSOR"
format = "tasmota"

[[mqtt.subscriptions]]
pattern = "app/{deviceId}/up"
format = "mapping"
fields = { temperature = { path = 't\\.1.val', scale = 0.1, offset = -40 }, co2 = "gas.co2" }
"""
    tasmota, mapping = load(text, folder=tmp_path).mqtt.routes
    assert tasmota.format is tasmota_format
    assert isinstance(mapping.format, MappingFormat)
    assert mapping.format.fields == {
        "temperature": FieldPath("t\\.1.val", ("t.1", "val"), 0.1, -40),
        "co2": FieldPath("gas.co2", ("gas", "co2")),
    }


def test_default_format_recognizes_families(tmp_path: Path) -> None:
    assert [one.format for one in load(folder=tmp_path).mqtt.routes] == [auto_format] * 4


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"format": "xml"}, "mqtt.subscriptions.0.format = 'xml': "),
        ({"format": "scalar"}, "format scalar needs a level {field} in its pattern"),
        ({"format": "tasmota", "kind": "status"}, "format tasmota is for kind readings; status has no format"),
        ({"fields": {"co2": "x"}}, "`fields` are for format mapping, not for auto"),
        ({"format": "mapping"}, "format mapping needs `fields`"),
        (
            {"format": "mapping", "fields": {"temprature": "x", "co2": "y"}},
            "fields.temprature is not a field; allowed are temperature, ",
        ),
        (
            {"format": "mapping", "fields": {"co2": "a..b"}},
            "mqtt.subscriptions.0.fields.co2.path = 'a..b': 'a..b' is not a path",
        ),
        ({"format": "mapping", "fields": {"co2": {"scale": 2}}}, "mqtt.subscriptions.0.fields.co2.path: "),
        ({"format": "mapping", "fields": {"co2": {"path": "x", "factor": 2}}}, "fields.co2.factor: is not a setting"),
        ({"format": "mapping", "fields": {"co2": {"path": "x", "scale": 0}}}, "scale must not be 0"),
        (
            {"format": "mapping", "fields": {"timestamp": {"path": "x", "scale": 2}, "co2": "y"}},
            "fields.timestamp is not a number",
        ),
        ({"format": "mapping", "fields": 5}, "mqtt.subscriptions.0.fields = 5: "),
    ],
)
def test_format_that_does_not_fit_is_a_mistake(given: dict[str, object], reason: str, tmp_path: Path) -> None:
    [line] = mistakes(environ=subscription(**given), folder=tmp_path)
    assert line.startswith("environment BRIDGE_MQTT__SUBSCRIPTIONS: ")
    assert reason in line


def test_mistake_in_the_second_subscription_is_reported_with_its_line(tmp_path: Path) -> None:
    one = '[[mqtt.subscriptions]]\npattern = "app/{deviceId}"\nformat = "mapping"\n[mqtt.subscriptions.fields]\nco2 = "%s"\n'
    [mistake] = mistakes(one % "a" + one % "a..b", folder=tmp_path)
    assert mistake.startswith("FILE:10: mqtt.subscriptions.1.fields.co2.path = 'a..b': ")


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("", {"BRIDGE_MQTT__URL": f"mqtt://user:{SECRET}"}),
        ("", {"BRIDGE_MQTT__URL": f"mqtt://user:{SECRET}/x@host"}),
        ("", {"BRIDGE_MQTT__URL": f"mqtt://user:{SECRET}#x@host"}),
        ("", {"BRIDGE_MQTT__URL": f"mqtt://user:{SECRET}@host:port"}),
        ("", {"BRIDGE_MQTT__URL": f"mqtt://user:{SECRET}@[host]"}),
        ("", {"BRIDGE_MQTT__URL": f"mqtt://user:{SECRET}℀@host"}),
        ("", {"BRIDGE_MQTT__URL": f"{SECRET}://host"}),
        ("", {"BRIDGE_STORE__URL": f"mongodb://user:{SECRET}/x@host/sensors"}),
        ("", {"BRIDGE_STORE__URL": f"mongodb://user:{SECRET}@host:port/sensors"}),
        ("", {"BRIDGE_STORE__URL": f"mongodb://user:{SECRET}@x@host/sensors"}),
        ("", {"BRIDGE_STORE__URL": f"mongodb://user:{SECRET}%@host/sensors"}),
        ("", {"BRIDGE_STORE__URL": f"mongodb://{SECRET}:x:y@host/sensors"}),
        ("", {"BRIDGE_ACCESS__JWKS_URL": f"https://user:{SECRET}@idp/keys"}),
        ("", {"BRIDGE_STORE__URL": f"postgres://user:{SECRET}@host/sensors"}),
        ("", {"BRIDGE_MQTT__PASSWORT": SECRET}),
        ("", {"BRIDGE_MQTT_PASSWORD": SECRET}),
        ("", {"BRIDGE_MQTT__PASSWORD": SECRET}),
        (f'[mqtt]\npasword = "{SECRET}"\n', {}),
        (f'[mqtt]\npassword = ["{SECRET}"]\n', {}),
        (f'[mqtt.password]\nvalue = "{SECRET}"\n', {}),
        (f'[store]\nurl = ["{SECRET}"]\n', {}),
        (f'[stor]\nurl = "mongodb://u:{SECRET}@host"\n', {}),
        (f'[mqtt]\npassword = "{SECRET}\n', {}),
    ],
)
def test_error_text_contains_no_secret(text: str, environ: dict[str, str], tmp_path: Path) -> None:
    assert SECRET not in "\n".join(mistakes(text, environ, folder=tmp_path))


def test_printed_settings_contain_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    environ = {
        "BRIDGE_MQTT__URL": f"mqtt://user:{SECRET}@broker:1884",
        "BRIDGE_MQTT__PASSWORD_FILE": str(tmp_path / "secret"),
        "BRIDGE_STORE__URL": f"mongodb://user:{SECRET}@db:27017/sensors?authSource={SECRET}",
    }
    settings = load(environ=environ, folder=tmp_path)
    for text in (repr(settings), str(settings), settings.model_dump_json(), settings.mqtt.address, settings.store.address):
        assert SECRET not in text
    assert settings.mqtt.address == "mqtt://broker:1884"
    assert settings.store.address == "mongodb://db:27017/sensors"


# --- the shipped file -------------------------------------------------------------------------------------------------

SHIPPED = REPO / "config" / "bridge.toml"
_DEFAULT = re.compile(r"# ([a-z0-9_]+ = .*)")
_EXAMPLE = re.compile(r"#\? ([a-z0-9_]+ = .*)")


def uncommented(lines: list[str], pattern: re.Pattern[str]) -> str:
    """The table headers, and each `name = value` behind the comment mark; a list may span several lines."""
    selected: list[str] = []
    inside_list = False
    for line in lines:
        found = pattern.fullmatch(line)
        if inside_list:
            selected.append(line.removeprefix("#"))
            inside_list = line != "# ]"
        elif found or line.startswith("["):
            selected.append(found[1] if found else line)
            inside_list = bool(found) and line.endswith("[")
    return "\n".join(selected)


def names(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for name, value in tree.items():
        found |= names(value, (*above, name)) if isinstance(value, dict) and (value or not above) else {(*above, name)}
    return found


def test_shipped_file_changes_nothing(tmp_path: Path) -> None:
    assert load(SHIPPED.read_text("utf-8"), folder=tmp_path).model_dump() == Settings().model_dump()


def test_shipped_file_lists_every_default(tmp_path: Path) -> None:
    lines = SHIPPED.read_text("utf-8").splitlines()
    defaults, examples = uncommented(lines, _DEFAULT), uncommented(lines, _EXAMPLE)
    assert load(defaults, folder=tmp_path).model_dump() == Settings().model_dump()
    tables = {leaf[:-1] for leaf in _leaves(Settings)}
    listed, exemplified = (names(tomllib.loads(text)) - tables for text in (defaults, examples))
    assert listed | exemplified == set(_leaves(Settings))
    assert not listed & exemplified


def test_examples_of_the_shipped_file_are_valid(tmp_path: Path) -> None:
    examples = uncommented(SHIPPED.read_text("utf-8").splitlines(), _EXAMPLE)
    used = load(examples, folder=tmp_path).model_dump()
    for path in ("mqtt.username", "mqtt.password", "mqtt.tls.ca_file", "mqtt.tls.cert_file", "mqtt.tls.key_file"):
        value, default = used, Settings().model_dump()
        for name in path.split("."):
            value, default = value[name], default[name]
        assert default is None
        assert value is not None


def test_shipped_file_has_a_valid_example_of_each_format(tmp_path: Path) -> None:
    lines = [line.removeprefix("#?") for line in SHIPPED.read_text("utf-8").splitlines() if line.startswith("#?     {")]
    mqtt = load("\n".join(["[mqtt]", "subscriptions = [", *lines, "]"]), folder=tmp_path).mqtt
    assert {one.format for one in mqtt.subscriptions} == set(FormatName) - {FormatName.AUTO, FormatName.JSON}
