"""The rules file, `config/alarms.toml`: which rules apply, who is told of alarms, the watchdog, and commands after advice.

Up to a hundred mistakes are reported at once: each names its key, says what is wrong, and what is allowed. A value that may
hold a secret, as a URL with a password, is never part of a text.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, StrictBool, StrictStr, ValidationError, field_validator, model_validator

from bridge.alarms.defaults import DEFAULT_RULES, PROFILES
from bridge.alarms.rules import RULES_LIMIT, Priority, Rule, ordered
from bridge.alarms.rules_file.action_settings import ActionRule
from bridge.alarms.rules_file.action_tables import ACTIONS_LIMIT, ActionTable, AdviceTable
from bridge.alarms.rules_file.notify_settings import NotifySettings, QuietHours, WatchdogSettings
from bridge.alarms.rules_file.rule_tables import DayTimesTable, Mistake, Names, Number, RuleTable, Table, changed_rule, own_rule
from bridge.alarms.scope import RuleScope
from bridge.core.errors import RuleError, RuleFileError

DEFAULT_PROFILE = "home"
TARGETS_LIMIT = 50
MISTAKES_LIMIT = 100
_TEXT_LIMIT = 1_000_000
_KEYS = ("profile", "rules", "notify", "watchdog", "action", "advice")
_SENT = (Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM)
_MODEL_KEYS = {"is_": "is", "start": "from", "end": "to"}
_NEVER_QUOTED = {"to", "webhook", "url", "contact"}
_DEFAULTS: Mapping[str, Rule] = {rule.id: rule for rule in DEFAULT_RULES}

T = TypeVar("T", bound=Table)
N = TypeVar("N", "NotifyTable", ActionTable)
PriorityNames = Annotated[tuple[Priority, ...], Field(min_length=1, max_length=4)]
FilePath = Annotated[StrictStr, Field(min_length=1, max_length=4096)]
RepeatSeconds = Annotated[float, Field(ge=60, le=86_400)]


@dataclass(frozen=True, slots=True)
class AlarmsFile:
    """`rules` are in force; `disabled` are those that the profile or the file turn off.

    `outdoors` are the ids or globs of the devices that measure the air outside.
    """

    profile: str
    rules: tuple[Rule, ...]
    disabled: tuple[Rule, ...] = ()
    notify: tuple[NotifySettings, ...] = ()
    watchdog: WatchdogSettings | None = None
    actions: tuple[ActionRule, ...] = ()
    outdoors: tuple[str, ...] = ()


class QuietTable(DayTimesTable):
    but: PriorityNames = (Priority.CRITICAL,)

    @model_validator(mode="after")
    def _check_times(self) -> "QuietTable":
        if self.start == self.end:
            raise ValueError("from and to are the same: must differ; `priorities` limits what is told all day long")
        return self

    @property
    def quiet(self) -> QuietHours:
        return QuietHours(self.hours(), frozenset(self.but))


class NotifyTable(Table):
    """`quiet` lets critical alarms through unless `but` says otherwise."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=64)]
    to: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=20)] = ()
    to_file: FilePath | None = None
    webhook: StrictStr | None = None
    secret_file: FilePath | None = None
    push: StrictBool = False
    contact: StrictStr = ""
    priorities: PriorityNames = _SENT
    devices: Names = ()
    rooms: Names = ()
    sites: Names = ()
    quiet: QuietTable | None = None
    repeat: dict[Priority, RepeatSeconds] = Field(default_factory=dict)
    after: Annotated[Number, Field(ge=0, le=604_800)] = 0.0

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip():
            raise ValueError("must have printable characters only, and no blank at its ends")
        return name

    @field_validator("priorities")
    @classmethod
    def _check_priorities(cls, priorities: tuple[Priority, ...]) -> tuple[Priority, ...]:
        if Priority.LOW in priorities:
            raise ValueError("low is for pages only: must be of critical, high, medium; a rule's own priority can be raised")
        return priorities

    @field_validator("to")
    @classmethod
    def _check_to(cls, to: tuple[str, ...]) -> tuple[str, ...]:
        if any("://" not in one for one in to):
            raise ValueError("must be URLs of Apprise, as ntfys://ntfy.example/topic")
        return to

    @field_validator("webhook")
    @classmethod
    def _check_webhook(cls, url: str | None) -> str | None:
        return url if url is None else check_http_url(url)

    @model_validator(mode="after")
    def _check_kind(self) -> "NotifyTable":
        kinds = [bool(self.to or self.to_file), self.webhook is not None, self.push]
        if sum(kinds) != 1:
            raise ValueError("must have one way to be told: `to` or `to_file` (Apprise), `webhook`, or `push = true`")
        if self.secret_file is not None and self.webhook is None:
            raise ValueError("secret_file is for a webhook")
        if self.push and not self.contact.startswith(("mailto:", "https://")):
            raise ValueError('push needs contact: must begin with mailto: or https://, as contact = "mailto:me@example.org"')
        return self

    @property
    def settings(self) -> NotifySettings:
        return NotifySettings(
            name=self.name,
            to=self.to,
            to_file=self.to_file,
            webhook=self.webhook,
            secret_file=self.secret_file,
            push=self.push,
            contact=self.contact,
            priorities=frozenset(self.priorities),
            scope=RuleScope(self.devices, self.rooms, self.sites),
            quiet=None if self.quiet is None else self.quiet.quiet,
            repeat=tuple(sorted(self.repeat.items())),
            after_seconds=self.after,
        )


class WatchdogTable(Table):
    url: StrictStr

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_http_url(url)


def check_http_url(url: str) -> str:
    """Raise `ValueError` if this is no URL for HTTP; the text does not quote it."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url or not url.isprintable() or " " in url:
        raise ValueError("must be a URL that begins with http:// or https:// and names a host")
    return url


def load(text: str) -> AlarmsFile:
    """Return what a rules file says. Raises `RuleFileError`."""
    document = _parse(text)
    unknown = sorted(document.keys() - set(_KEYS))
    mistakes = [f"{key}: is not a key of the rules file; allowed: {', '.join(_KEYS)}" for key in unknown]
    profile = _profile(document, mistakes)
    rules, disabled = _rules(profile, document, mistakes)
    notify = tuple(table.settings for table in _named_tables(NotifyTable, document, "notify", TARGETS_LIMIT, mistakes))
    actions = tuple(table.rule for table in _named_tables(ActionTable, document, "action", ACTIONS_LIMIT, mistakes))
    advice = _read(AdviceTable, document["advice"], "advice", mistakes) if "advice" in document else None
    watchdog = _read(WatchdogTable, document["watchdog"], "watchdog", mistakes) if "watchdog" in document else None
    if mistakes:
        more = len(mistakes) - MISTAKES_LIMIT
        raise RuleFileError([*mistakes[:MISTAKES_LIMIT], *([f"and {more:,} more mistakes"] if more > 0 else [])])
    return AlarmsFile(
        profile,
        rules,
        disabled,
        notify,
        None if watchdog is None else WatchdogSettings(watchdog.url),
        actions,
        () if advice is None else advice.outdoors,
    )


def _parse(text: str) -> dict[str, Any]:
    if len(text) > _TEXT_LIMIT:
        raise RuleFileError([f"the file has {len(text):,} characters: must have at most {_TEXT_LIMIT:,}"])
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RuleFileError([f"not TOML: {str(error) or 'nested too deeply'}"]) from None


def _profile(document: Mapping[str, Any], mistakes: list[str]) -> str:
    profile = document.get("profile", DEFAULT_PROFILE)
    if isinstance(profile, str) and profile in PROFILES:
        return profile
    mistakes.append(f"profile: is {_quoted(profile)}: must be one of {', '.join(PROFILES)}")
    return DEFAULT_PROFILE


def _rules(profile: str, document: Mapping[str, Any], mistakes: list[str]) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Return the rules in force and the others. A rule that has a table is on, unless the table says `enabled = false`."""
    tables = document.get("rules", {})
    if not isinstance(tables, dict):
        mistakes.append("rules: must be tables, as [rules.co2-air]")
        return (), ()
    if len(tables) > RULES_LIMIT:
        mistakes.append(f"rules: has {len(tables)} tables: must have at most {RULES_LIMIT}")
        return (), ()
    rules, enabled = dict(_DEFAULTS), set(PROFILES[profile])
    for rule_id, body in tables.items():
        path = f"rules.{rule_id}"
        table = _read(RuleTable, body, path, mistakes)
        if table is None:
            continue
        default = _DEFAULTS.get(rule_id)
        rule = own_rule(rule_id, table) if default is None else changed_rule(default, table)
        if isinstance(rule, list):
            mistakes += [_line(path, one) for one in rule]
        else:
            rules[rule_id] = rule
            enabled = enabled | {rule_id} if table.enabled else enabled - {rule_id}
    try:
        in_force = ordered(rule for rule in rules.values() if rule.id in enabled)
    except RuleError as error:
        mistakes.append(f"rules: {error}")
        in_force = ()
    return in_force, tuple(rule for rule in rules.values() if rule.id not in enabled)


def _named_tables(model: type[N], document: Mapping[str, Any], key: str, limit: int, mistakes: list[str]) -> Iterator[N]:
    """Yield the tables of a list; each must have a name of its own."""
    bodies = document.get(key, [])
    if not isinstance(bodies, list):
        mistakes.append(f"{key}: must be tables in double brackets, as [[{key}]]")
        return
    if len(bodies) > limit:
        mistakes.append(f"{key}: has {len(bodies)} tables: must have at most {limit}")
        return
    names: set[str] = set()
    for number, body in enumerate(bodies):
        path = f"{key}[{number}]"
        table = _read(model, body, path, mistakes)
        if table is None:
            continue
        if table.name in names:
            mistakes.append(f"{path}.name: is {table.name!r}: another one has this name; each must have its own")
        names.add(table.name)
        yield table


def _read(model: type[T], body: object, path: str, mistakes: list[str]) -> T | None:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        mistakes += [_line(path, _mistake(details, model)) for details in error.errors(include_url=False)]
        return None


def _mistake(details: Any, model: type[Table]) -> Mistake:  # noqa: ANN401
    names = [_MODEL_KEYS.get(str(part), str(part)) for part in details["loc"] if part != "[key]"]
    text = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if details["type"] == "missing":
        text = "is missing"
    elif details["type"] == "string_pattern_mismatch":
        text = f"is {_quoted(details['input'])}: must be a time of day, as 07:30"
    elif details["type"] in ("model_type", "dict_type"):
        text = "must be a table"
    elif details["type"] == "extra_forbidden":
        text = f"is not a key here; allowed: {', '.join(_keys(model, names))}"
    elif not set(names) & _NEVER_QUOTED and isinstance(details.get("input"), str | int | float) and not text.startswith("is "):
        text = f"is {_quoted(details['input'])}: {text.replace('should', 'must', 1)}"
    return Mistake(".".join(names), text.replace("should", "must", 1))


def _keys(model: type[Table], names: list[str]) -> list[str]:
    """Return the keys that are allowed where these names lead."""
    for name in names[:-1]:
        fields = {field.alias or key: field for key, field in model.model_fields.items()}
        inner = next((one for one in _types(fields[name].annotation) if issubclass(one, Table)), None)
        if inner is None:
            break
        model = inner
    return [field.alias or key for key, field in model.model_fields.items()]


def _types(annotation: Any) -> Iterator[type[Any]]:  # noqa: ANN401
    for one in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(one, type):
            yield one


def _line(path: str, mistake: Mistake) -> str:
    return f"{path}.{mistake.key}: {mistake.text}" if mistake.key else f"{path}: {mistake.text}"


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
