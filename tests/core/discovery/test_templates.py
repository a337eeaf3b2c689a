"""Value templates: what Home Assistant's templates give, and what hostile ones cannot do."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.discovery.templates import RESULT_LENGTH, TEMPLATE_LENGTH, ValueTemplate
from bridge.core.errors import FormatError

BODY = {
    "t": 21.456,
    "deep": {"list": [1, {"key": "5"}]},
    "items": 7,
    "text": "a,b,3.5",
    "none": None,
    "flag": True,
    "off": "OFF",
}


def render(template: str, text: str = "21.5", body: object = BODY) -> object:
    return ValueTemplate(template).render(text, body)


@pytest.mark.parametrize(
    ("template", "state"),
    [
        ("", "21.5"),
        ("{{ value }}", "21.5"),
        ("{{value_json.t}}", 21.456),
        ("{{ value_json['t'] }}", 21.456),
        ('{{ value_json["deep"].list[1].key }}', "5"),
        ("{{ value_json.items }}", 7),
        ("{{ value_json.flag }}", True),
        ("{{ value_json.none }}", None),
        ("{{ value_json.missing }}", None),
        ("{{ value_json.missing.inner }}", None),
        ("{{ value_json.deep }}", None),
        ("{{ value_json.t | round(1) }}", "21.5"),
        ("{{ value_json.t | round }}", "21"),
        ("{{ value_json.t | round(1, 'floor') }}", "21.4"),
        ("{{ value_json.t | float(0) * 2 }}", "42.912"),
        ("{{ value_json.t | int }}", "21"),
        ("{{ value_json.missing | float(0) }}", "0"),
        ("{{ value_json.missing | is_defined }}", None),
        ("{{ value_json.missing | float }}", None),
        ("{{ value_json.missing | default('x') }}", "x"),
        ("{{ value_json.text.split(',')[2] | float }}", "3.5"),
        ("{{ ((value_json.t - 32) / 1.8) | round(2) }}", "-5.86"),
        ("{% if value_json.t > 20 %}{{ value_json.t }}{% else %}0{% endif %}", "21.456"),
        ("{% set a = value_json.t %}{{ a | round(0) }}", "21"),
        ("{{ 'ON' if value_json.items > 3 else 'OFF' }}", "ON"),
        ("{{ value_json.t if value_json.t is defined else none }}", "21.456"),
        ("{{ value_json.off | replace('OFF', '0') ~ '5' }}", "05"),
        ("{{ value_json.get('t') }}", "21.456"),
        ("{{ value_json.items | multiply(2) | add(1) }}", "15"),
        ("{{ 0 | timestamp_custom('%Y') }}", "1970"),
        ("{{ iif(value_json.flag, 1, 0) }}", "1"),
        ("{{ value | float + 1 }}", "22.5"),
        ("{{ [value_json.t, 3] | max }}", "21.456"),
        ("static", "static"),
    ],
)
def test_state_is_that_of_home_assistant(template: str, state: object) -> None:
    assert render(template) == state


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{% for i in value %}x{% endfor %}", "for"),
        ("{% macro m() %}{% endmacro %}", "macro"),
        ("{% include 'x' %}", "include"),
        ("{{ value | regex_replace('a') }}", "filter 'regex_replace'"),
        ("{{ value | tojson }}", "filter 'tojson'"),
        ("{{ value is nonsense }}", "nonsense"),
        ("{{ value", "not valid"),
        ("{{ " + "(" * 400 + "1" + ")" * 400 + " }}", "not valid"),
        ("x" * (TEMPLATE_LENGTH + 1), "more than the"),
    ],
)
def test_template_that_is_not_supported_is_refused_with_what_it_uses(template: str, fault: str) -> None:
    with pytest.raises(FormatError, match=fault.replace("(", r"\(")):
        ValueTemplate(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**9 }}",
        "{{ [1] * 10**9 }}",
        "{{ 10**10**10 }}",
        "{% set a = 999999999 %}" + "{% set a = a * a %}" * 30 + "{{ a }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ '{:>1000000000}'['format'](1) }}",
        "{{ 'a'.ljust(10**9) }}",
        "{{ value.replace('a', value) }}",
        "{{ value | replace('a', value) | replace('a', value) | replace('a', value) }}",
        "{% set a = value ~ value %}" * 5 + "{% set a = a ~ a ~ a ~ a %}" * 20 + "{{ a }}",
        "{{ value.__class__.__mro__ }}",
        "{{ value_json.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ range(10**9) | list }}",
        "{{ [" + ",".join(["value.split('a')"] * 50) + "] }}",
        "{{ value | float / 0 }}",
        "{{ value | round(10**9) }}",
        "{{ '1' * value_json.items }}",
        "{{ (1).to_bytes(10**9) }}",
        "{{ value.split }}",
        "{{ dict(a=1) }}{{ namespace() }}{{ cycler(1) }}{{ lipsum() }}",
        "{{ value | int(0, 99) }}",
        "{{ 1e308 * 1e308 | int }}",
    ],
)
def test_hostile_template_ends_soon_and_gives_little(template: str) -> None:
    begin = time.monotonic()
    try:
        state = render(template, "a" * 10_000)
    except FormatError:
        state = None
    assert state is None or len(str(state)) <= RESULT_LENGTH
    assert time.monotonic() - begin < 2


def test_template_does_not_change_the_payload() -> None:
    body = {"a": {"b": 1}}
    for template in ("{{ value_json.update({'x': 1}) }}", "{{ value_json.a.pop('b') }}", "{% set value_json.a = 1 %}"):
        with suppress(FormatError):
            render(template, body=body)
    assert body == {"a": {"b": 1}}


@given(st.text(alphabet="{}%|. ()[]'value_json+-*/~0123456789roundfloat", max_size=60), st.text(max_size=20))
def test_any_template_gives_a_state_or_a_fault(template: str, text: str) -> None:
    try:
        state = ValueTemplate(template).render(text, BODY)
    except FormatError:
        return
    assert state is None or isinstance(state, str | int | float | bool)
