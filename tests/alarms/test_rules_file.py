"""The rules file: what it says, every mistake at once, and the one that is shipped against the table of the default rules."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.alarms.co_dose import UL_2034
from bridge.alarms.conditions import Above, Below, ChangesBy, Dose, Is, Mean, NowCast, Outside, Silence, Unchanged
from bridge.alarms.defaults import DEFAULT_RULES, PROFILES
from bridge.alarms.fold import AlarmFold
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.rules_file import load
from bridge.alarms.rules_file.action_settings import ActionRule
from bridge.alarms.rules_file.notify_settings import NotifySettings, QuietHours
from bridge.alarms.rules_file.rule_tables import condition_keys, parse_days
from bridge.alarms.scope import Hours, RuleScope
from bridge.core.alarms.advice import AdviceKind
from bridge.core.errors import RuleFileError
from tests.servers import REPO

SHIPPED = (REPO / "config" / "alarms.toml").read_text("utf-8")
DEFAULTS = {rule.id: rule for rule in DEFAULT_RULES}
ACTION = "[[action]]\nname = 'fan'\nadvice = ['ventilate']\ncommand = 'fan'\n"


def rule(text: str, rule_id: str) -> Rule:
    return next(one for one in load(text).rules if one.id == rule_id)


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(RuleFileError) as caught:
        load(text)
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    return caught.value.mistakes


# --- the shipped file ------------------------------------------------------------------------------------------------------


def shipped_tables() -> Iterator[tuple[str, str, str]]:
    """Each default rule of the shipped file: its id, its source, and its table without the comment signs."""
    for found in re.finditer(r"^# Source: (.+)\n((?:# [\[a-z].*\n)+)", SHIPPED, re.MULTILINE):
        table = re.sub(r"^# ", "", found[2], flags=re.MULTILINE)
        (rule_id,) = tomllib.loads(table)["rules"]
        yield rule_id, found[1], table


TABLES = {rule_id: (source, table) for rule_id, source, table in shipped_tables()}


def test_the_shipped_file_has_every_default_rule_and_no_other() -> None:
    ids = [rule_id for rule_id, _, _ in shipped_tables()]
    assert sorted(ids) == sorted(DEFAULTS)
    assert len(ids) == len(re.findall(r"^# \[rules\.", SHIPPED, re.MULTILINE))


@pytest.mark.parametrize("rule_id", DEFAULTS)
def test_a_table_of_the_shipped_file_is_the_default_rule_with_its_limits_and_source(rule_id: str) -> None:
    source, table = TABLES[rule_id]
    default = DEFAULTS[rule_id]
    keys = tomllib.loads(table)["rules"][rule_id]
    assert set(condition_keys(default)) <= set(keys)
    assert default.standard is not None
    assert source == default.standard.text
    assert keys.get("priority", default.priority) == default.priority
    assert keys.get("latched", False) is default.latched
    assert keys.get("two_of_three", False) is default.two_of_three
    assert keys.get("off_delay", 0) == default.off_delay_seconds
    loaded = load(f'profile = "none"\n{table}').rules
    assert loaded == (default,)


def test_the_shipped_file_changes_nothing() -> None:
    assert load(SHIPPED) == load("")


def test_the_shipped_file_is_valid_with_everything_in_it() -> None:
    everything = re.sub(r"^#\?? (?=(\[|[a-z_]+ = ))", "", SHIPPED, flags=re.MULTILINE)
    file = load(everything)
    assert {one.id for one in file.rules} == {*DEFAULTS, "freezer"}
    assert {one.name for one in file.notify} == {"family", "second line", "browsers"}
    assert file.watchdog is not None
    assert [one.name for one in file.actions] == ["fan"]
    assert file.outdoors == ("balcony-*",)
    AlarmFold(file.rules)


# --- commands after advice -------------------------------------------------------------------------------------------------


def test_an_action_is_a_command_with_its_limits() -> None:
    file = load(
        """
        [[action]]
        name = "fan"
        advice = ["ventilate", "dehumidify"]
        rooms = ["Classroom 3"]
        hours = { days = "mon-fri", from = "07:00", to = "18:00", zone = "Europe/Berlin" }
        device = "fan-3"
        command = "speed"
        value = 2
        every = 3600
        queue = true
        expires = 300

        [[action]]
        name = "purifier"
        advice = ["clean_air"]
        command = "on"
        enabled = false
        """
    )
    hours = Hours(frozenset(range(5)), 420, 1080, "Europe/Berlin")
    assert file.actions == (
        ActionRule(
            name="fan",
            advice=frozenset({AdviceKind.VENTILATE, AdviceKind.DEHUMIDIFY}),
            command="speed",
            value=2,
            device="fan-3",
            scope=RuleScope(rooms=("Classroom 3",), hours=hours),
            every_seconds=3600,
            queue=True,
            expires_seconds=300,
        ),
        ActionRule(name="purifier", advice=frozenset({AdviceKind.CLEAN_AIR}), command="on", enabled=False),
    )
    assert file.actions[1].every_seconds == 7200


# --- rules -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_turns_its_rules_on(profile: str) -> None:
    file = load(f'profile = "{profile}"')
    assert {one.id for one in file.rules} == PROFILES[profile]
    assert {one.id for one in file.disabled} == set(DEFAULTS) - PROFILES[profile]


@pytest.mark.parametrize(
    ("rule_id", "table", "text"),
    [
        ("co-8h", "mean = 60", "Carbon monoxide {value} over 1 hour at {place}"),
        ("co2-work", "mean = 60", "Carbon dioxide {value} over 1 hour at {place}"),
        ("co2-work", "mean = 1", "Carbon dioxide {value} over 1 minute at {place}"),
        ("co2-work", "limit = 4000", "Carbon dioxide {value} over 15 minutes at {place}"),
        ("stuck-co2", "unchanged = 36.5", "No change for 36.5 hours: {value} at {place}"),
        ("co2-work", 'mean = 60\nmessage = "Go"', "Go"),
    ],
)
def test_the_message_of_a_default_rule_names_the_time_that_its_table_sets(rule_id: str, table: str, text: str) -> None:
    assert rule(f"[rules.{rule_id}]\n{table}", rule_id).message == text


def test_a_table_turns_a_rule_on_or_off() -> None:
    file = load('profile = "none"\n[rules.co2-1000]\n[rules.heat]\nenabled = false')
    assert [one.id for one in file.rules] == ["co2-1000"]
    assert "heat" in {one.id for one in file.disabled}
    assert "heat" not in {one.id for one in load("[rules.heat]\nenabled = false").rules}


def test_a_default_rule_is_changed_as_its_table_says() -> None:
    changed = rule(
        """
        [rules.co2-air]
        limit = 1800
        clear = 1500
        mean = 20
        rooms = ["Classroom 3"]
        priority = "high"
        on_delay = 30
        hours = { days = "mon-fri", from = "07:30", to = "16:00", zone = "Europe/Berlin" }
        """,
        "co2-air",
    )
    hours = Hours(frozenset(range(5)), 450, 960, "Europe/Berlin")
    assert changed == replace(
        DEFAULTS["co2-air"],
        condition=Above(1800, 1500),
        averaging=Mean(20),
        priority=Priority.HIGH,
        on_delay_seconds=30,
        standard=None,
        scope=RuleScope(rooms=("Classroom 3",), hours=hours),
    )


def test_the_clear_limit_moves_with_the_limit() -> None:
    assert rule("[rules.co-ceiling]\nlimit = 100", "co-ceiling").condition == Above(100, 75)
    assert rule("[rules.battery]\nlimit = 30", "battery").condition == Below(30, 40)


def test_a_rule_with_another_limit_no_longer_names_the_standard() -> None:
    assert rule("[rules.heat]\nlimit = 60\nclear = 50", "heat").standard is None
    assert rule('[rules.heat]\ndevices = ["a*"]', "heat").standard == DEFAULTS["heat"].standard


def test_the_dose_of_the_other_standard_is_named_by_it() -> None:
    dose = rule('[rules.co-dose]\ndose = "ul2034"', "co-dose")
    assert dose.condition == Dose(UL_2034)
    assert dose.standard is not None
    assert dose.standard.text == "UL 2034"


def test_silence_with_a_priority_of_its_own_has_it_everywhere() -> None:
    changed = rule('[rules.no-data]\nintervals = 5\nseconds = 600\npriority = "low"', "no-data")
    assert (changed.condition, changed.priority, changed.critical_fields_priority) == (Silence(5, 600), Priority.LOW, None)


@pytest.mark.parametrize(
    ("keys", "condition"),
    [
        ("above = -15.0\nclear = -17.0", Above(-15, -17)),
        ("above = -15", Above(-15, -15)),
        ("below = 5\nclear = 6", Below(5, 6)),
        ("outside = [18, 24]\nclear = 1", Outside(18, 24, 1)),
        ("changes_by = { by = 5, seconds = 60 }", ChangesBy(5, 60, 2.5)),
        ("unchanged = 12", Unchanged(12)),
    ],
)
def test_a_rule_of_ones_own_has_the_condition_of_its_table(keys: str, condition: object) -> None:
    own = rule(f'[rules.freezer]\nfield = "temperature"\n{keys}', "freezer")
    assert own.condition == condition
    assert (own.priority, own.standard, own.message) == (Priority.MEDIUM, None, "Temperature {value} at {place}")


def test_a_rule_of_ones_own_may_watch_a_boolean_a_dose_or_an_average() -> None:
    text = """
    [rules.water]
    field = "flameDetected"
    is = true
    [rules.co-us]
    field = "coPpm"
    dose = "ul2034"
    [rules.dust]
    field = "pm10"
    above = 150
    nowcast = true
    [rules.warm]
    field = "temperature"
    above = 28
    mean = 60
    """
    assert rule(text, "water").condition == Is(value=True)
    assert rule(text, "co-us").condition == Dose(UL_2034)
    assert rule(text, "dust").averaging == NowCast()
    assert rule(text, "warm").averaging == Mean(60)
    AlarmFold(load(text).rules)


def test_days_are_named_alone_or_in_ranges() -> None:
    assert parse_days("mon-fri,sun") == {0, 1, 2, 3, 4, 6}
    assert parse_days("Sat - Mon") == {5, 6, 0}
    assert parse_days("wed") == {2}


# --- targets ---------------------------------------------------------------------------------------------------------------


def test_a_target_is_as_its_table_says() -> None:
    text = """
    [[notify]]
    name = "family"
    to = ["ntfys://ntfy.example/our-house", "mailtos://user:pass@mail.example"]
    priorities = ["critical", "high"]
    devices = ["kitchen"]
    quiet = { from = "22:00", to = "07:00", zone = "Europe/Berlin", but = ["critical"] }
    repeat = { critical = 600 }
    after = 900
    """
    (family,) = load(text).notify
    quiet = QuietHours(Hours(frozenset(range(7)), 1320, 420, "Europe/Berlin"), frozenset({Priority.CRITICAL}))
    assert family == NotifySettings(
        name="family",
        to=("ntfys://ntfy.example/our-house", "mailtos://user:pass@mail.example"),
        priorities=frozenset({Priority.CRITICAL, Priority.HIGH}),
        scope=RuleScope(devices=("kitchen",)),
        quiet=quiet,
        repeat=((Priority.CRITICAL, 600),),
        after_seconds=900,
    )
    assert "pass" not in repr(family)


def test_quiet_hours_end_at_a_time_of_the_day() -> None:
    quiet = QuietHours(Hours(frozenset(range(7)), 22 * 60, 7 * 60), frozenset({Priority.CRITICAL}))
    midnight = 1_768_521_600_000
    assert quiet.end_ms(midnight + 1, Priority.HIGH) == midnight + 7 * 3_600_000
    assert quiet.end_ms(midnight + 1, Priority.CRITICAL) == midnight + 1
    assert quiet.end_ms(midnight + 8 * 3_600_000, Priority.HIGH) == midnight + 8 * 3_600_000


# --- mistakes --------------------------------------------------------------------------------------------------------------


def test_all_mistakes_are_reported_at_once_each_with_its_key() -> None:
    found = mistakes(
        """
        profile = "office"
        colour = 1
        [rules.co2-air]
        limit = "1800"
        hours = { days = "mox", from = "7:30", to = "16:00", zone = "Nowhere/City" }
        limt = 5
        [rules.co2-danger]
        above = 5
        [rules.co2-work]
        mean = 17
        [rules.freezer]
        field = "temprature"
        [rules.attic]
        field = "temperature"
        above = 30
        clear = 31
        [[notify]]
        name = "family"
        to = ["secret"]
        quiet = { from = "22:00", to = "07:00", zon = "UTC" }
        repeat = { critical = 5 }
        priorities = ["low"]
        [[notify]]
        name = "hook"
        webhook = "ftp://secret"
        [[notify]]
        name = "nothing"
        [watchdog]
        url = "secret"
        """
    )
    keys = [line.partition(": ")[0] for line in found]
    assert keys == [
        "colour",
        "profile",
        "rules.co2-air.limit",
        "rules.co2-air.hours.from",
        "rules.co2-air.hours.zone",
        "rules.co2-air.hours.days",
        "rules.co2-air.limt",
        "rules.co2-danger.above",
        "rules.co2-work",
        "rules.freezer.field",
        "rules.freezer",
        "rules.attic",
        "notify[0].to",
        "notify[0].priorities",
        "notify[0].quiet.zon",
        "notify[0].repeat.critical",
        "notify[1].webhook",
        "notify[2]",
        "watchdog.url",
    ]
    assert all("must" in line or "allowed" in line for line in found)
    assert "secret" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = ", "not TOML: Invalid value (at end of document)"),
        ("rules = 5", "rules: must be tables, as [rules.co2-air]"),
        ("[notify]\nname = 'a'", "notify: must be tables in double brackets, as [[notify]]"),
        ("[rules.a]\nfield = 'temperature'", "rules.a: has no condition: must have one of above, below, outside, is"),
        ("[rules.a]\nfield = 'temperature'\nabove = 1\nbelow = 0", "rules.a: has above and below: must have one of"),
        ("[rules.a]\nfield = 'temperature'\nis = true", "rules.a: field 'temperature': must have the condition `is` if"),
        ("[rules.A]\nfield = 'temperature'\nabove = 1", "rules.A: the id must be 1 to 64 of a-z 0-9 -"),
        ("[rules.co-dose]\nlimit = 5", "rules.co-dose.limit: cannot be changed in a default rule of this kind; allowed: dose"),
        ("[rules.heat]\nlimit = nan", "rules.heat.limit: is nan: must be a finite number"),
        ("[rules.heat]\non_delay = 1e9", "rules.heat: on_delay is 1e+09: must be 0 to 86400 seconds"),
        ("[[notify]]\nname = 'a'\npush = true", "notify[0]: push needs contact: must begin with mailto: or https://"),
        ("[[notify]]\nname = 'a'\nto = ['a://']\nwebhook = 'http://a'", "notify[0]: must have one way to be told"),
        ("[[notify]]\nto = ['a://b']", "notify[0].name: is missing"),
        ("[[notify]]\nname='a'\nto=['a://b']\n" * 2, "notify[1].name: is 'a': another one has this name"),
        ("[[notify]]\nname='a'\nto=['a://b']\n" * 51, "notify: has 51 tables: must have at most 50"),
        ("[action]\nname = 'a'", "action: must be tables in double brackets, as [[action]]"),
        ("[[action]]\nname = 'a'\nadvice = ['ventilate']", "action[0].command: is missing"),
        ("[[action]]\nname = 'a'\nadvice = ['leave']\ncommand = 'on'", "action[0].advice.0: is 'leave': must be 'ventilate', "),
        (
            "[[action]]\nname = 'a'\nadvice = []\ncommand = 'on'",
            "action[0].advice: is empty: must have one or more of",
        ),
        (f"{ACTION}every = 599", "action[0].every: is 599: must be greater than or equal to 600"),
        (f"{ACTION}device = '#'", "action[0].device: is '#': contains '#': must be 1 to 128"),
        (f"{ACTION}value = [1]", "action[0].value: must be a text, a number, true or false"),
        (f"{ACTION}value = nan", "action[0]: no command can be made of this: value"),
        (f"{ACTION}expires = 0", "action[0].expires: is 0: must be greater than 0"),
        (f"{ACTION}comand = 'x'", "action[0].comand: is not a key here; allowed: name, advice, devices"),
        (ACTION * 2, "action[1].name: is 'fan': another one has this name"),
        (ACTION * 101, "action: has 101 tables: must have at most 100"),
        ("[advice]\noutdoor = ['a']", "advice.outdoor: is not a key here; allowed: outdoors"),
        ("watchdog = 'https://ping.example.org/secret'", "watchdog: must be a table"),
        ("notify = ['ntfy://me:secret@host']", "notify[0]: must be a table"),
        ("[[notify]]\nname='a'\nto=['a://b']\nquiet = 'night'", "notify[0].quiet: must be a table"),
        (
            "[[notify]]\nname='a'\nto=['a://b']\nquiet = { from = '00:00', to = '00:00' }",
            "notify[0].quiet: from and to are the same: must differ",
        ),
        ("".join(f"[rules.r{number}]\n" for number in range(20_000)), "rules: has 20000 tables: must have at most 500"),
        ("#" * 1_000_001, "the file has 1,000,001 characters: must have at most 1,000,000"),
    ],
)
def test_a_mistake_says_what_is_wrong_and_what_is_allowed(text: str, expected: str) -> None:
    found = mistakes(text)
    assert len(found) == 1
    assert found[0].startswith(expected)
    assert "secret" not in found[0]


def test_no_more_than_a_hundred_mistakes_are_reported() -> None:
    found = mistakes("".join(f"key{number} = 1\n" for number in range(40_000)))
    assert (len(found), found[-1]) == (101, "and 39,900 more mistakes")


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)


@given(st.dictionaries(st.sampled_from(["limit", "clear", "is", "hours", "field", "above", "mean", "devices", "x"]), VALUES))
def test_no_table_raises_another_error(table: dict[str, object]) -> None:
    lines = []
    for key, value in table.items():
        match value:
            case bool():
                lines.append(f"{key} = {str(value).lower()}")
            case float() | int():
                lines.append(f"{key} = {value}")
            case list():
                lines.append(f"{key} = {value}")
            case _:
                lines.append(f'{key} = "{"a" if value else ""}"')
    body = "\n".join(lines)
    for rule_id in ("co2-air", "no-data", "own"):
        try:
            load(f"[rules.{rule_id}]\n{body}")
        except RuleFileError as error:
            assert all(f"rules.{rule_id}" in line or "not TOML" in line for line in error.mistakes)  # noqa: PT017
