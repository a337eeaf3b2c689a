"""Value templates of Home Assistant discovery, by Jinja2's sandbox. They come from strangers.

A template is an expression or a few branches, without loops, macros or imports, so that its cost is bounded by its length. Each
text, list and number that it makes is bounded too. Most templates only name a key of a JSON object: these need no Jinja2.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from jinja2 import TemplateError, Undefined, UndefinedError, nodes
from jinja2.environment import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from bridge.core.errors import FormatError

TEMPLATE_LENGTH = 1024
RESULT_LENGTH = 256
_TEXT_LENGTH = 16 * 1024
_SPLITS_LIMIT = 256
_NUMBER_BITS = 128
_STRFTIME_LENGTH = 64
_COMPILED_LIMIT = 2000

_PATH = re.compile(
    r"\s*\{\{-?\s*value_json"
    r"((?:\.[A-Za-z_]\w*|\[\s*'[^'\\]+'\s*\]|\[\s*\"[^\"\\]+\"\s*\]|\[\s*\d{1,4}\s*\])+)"
    r"\s*-?\}\}\s*"
)
_STEP = re.compile(r"\.(\w+)|\[\s*['\"]([^'\"]+)['\"]\s*\]|\[\s*(\d+)\s*\]")
_VALUE = re.compile(r"\s*\{\{-?\s*value\s*-?\}\}\s*")
_ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Filter, nodes.Test, nodes.CondExpr, nodes.If, nodes.Assign, nodes.Compare, nodes.Operand, nodes.And, nodes.Or,
    nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow,
    nodes.Concat, nodes.Call, nodes.Keyword, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair,
)  # fmt: skip
_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        {
            "split", "rsplit", "strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "startswith", "endswith",
            "find", "rfind", "index", "count", "isdigit", "isnumeric", "isalpha", "partition", "rpartition", "removeprefix",
            "removesuffix",
        }
    ),
    dict: frozenset({"get", "keys", "values", "items"}),
    list: frozenset({"index", "count"}),
}  # fmt: skip
_DEFAULT: Any = object()


class _Fault(Exception):
    """A template asked for something that is not allowed or not possible."""


def _bounded(value: Any) -> Any:  # noqa: ANN401 - values of a template
    if isinstance(value, str | list | tuple | dict) and len(value) > _TEXT_LENGTH:
        raise _Fault(f"a value of more than {_TEXT_LENGTH} items")
    return value


def _number(value: Any) -> float | int:  # noqa: ANN401
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else float(str(value)[:64])
    if isinstance(number, int) and number.bit_length() > _NUMBER_BITS:
        raise _Fault(f"a number of more than {_NUMBER_BITS} bits")
    return number


def _converted(convert: Callable[[Any], Any], value: Any, default: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Undefined) and default is _DEFAULT:
        raise UndefinedError("a value that is not there")
    try:
        return convert(value)
    except (ValueError, TypeError, OverflowError, UndefinedError):
        if default is _DEFAULT:
            raise _Fault("a value that is no number") from None
        return default


def _float(value: Any, default: Any = _DEFAULT) -> Any:  # noqa: ANN401
    return _converted(lambda one: float(_number(one)), value, default)


def _int(value: Any, default: Any = _DEFAULT, base: int = 10) -> Any:  # noqa: ANN401
    def convert(one: Any) -> int:  # noqa: ANN401
        return int(str(one)[:32], base) if base != 10 else int(_number(one))

    return _converted(convert, value, default)


def _round(value: Any, precision: Any = 0, method: str = "common", default: Any = _DEFAULT) -> Any:  # noqa: ANN401
    def convert(one: Any) -> float | int:  # noqa: ANN401
        digits = max(-12, min(int(precision), 12))
        number = float(_number(one))
        if method == "half":
            return round(number * 2) / 2
        rounders: dict[str, Callable[[float], float]] = {"ceil": math.ceil, "floor": math.floor}
        if method in rounders:
            return rounders[method](number * 10.0**digits) / 10.0**digits
        return round(number, digits) if digits > 0 else int(round(number, digits))

    return _converted(convert, value, default)


def _is_defined(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Undefined):
        raise UndefinedError("a value that is not there")
    return value


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:  # noqa: ANN401
    return default if isinstance(value, Undefined) or (boolean and not value) else value


def _replace(value: Any, old: Any, new: Any) -> str:  # noqa: ANN401
    text, old, new = str(value), str(old), str(new)
    if old and len(text) + text.count(old) * len(new) > _TEXT_LENGTH:
        raise _Fault(f"a text of more than {_TEXT_LENGTH} characters")
    return text.replace(old, new) if old else text


def _time(value: Any, form: str = "%Y-%m-%dT%H:%M:%S+00:00", local: bool = True, default: Any = _DEFAULT) -> Any:  # noqa: ANN401, ARG001
    return _converted(
        lambda one: datetime.fromtimestamp(_number(one), UTC).strftime(str(form)[:_STRFTIME_LENGTH]), value, default
    )


def _log(value: Any, base: Any = math.e, default: Any = _DEFAULT) -> Any:  # noqa: ANN401
    return _converted(lambda one: math.log(_number(one), _number(base)), value, default)


def _bool(value: Any, default: Any = _DEFAULT) -> Any:  # noqa: ANN401
    words = {"true": True, "on": True, "yes": True, "enable": True, "1": True}
    words |= {"false": False, "off": False, "no": False, "disable": False, "0": False}

    def convert(one: Any) -> bool:  # noqa: ANN401
        found = words.get(str(one).strip().lower())
        if found is None:
            raise ValueError
        return found

    return _converted(convert, value, default)


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "float": _float,
    "int": _int,
    "round": _round,
    "is_defined": _is_defined,
    "default": _default,
    "d": _default,
    "replace": _replace,
    "timestamp_custom": _time,
    "timestamp_local": lambda value, default=_DEFAULT: _time(value, default=default),
    "timestamp_utc": lambda value, default=_DEFAULT: _time(value, default=default),
    "multiply": lambda value, factor, default=_DEFAULT: _converted(lambda one: _number(one) * _number(factor), value, default),
    "add": lambda value, amount, default=_DEFAULT: _converted(lambda one: _number(one) + _number(amount), value, default),
    "log": _log,
    "sqrt": lambda value, default=_DEFAULT: _converted(lambda one: math.sqrt(_number(one)), value, default),
    "bool": _bool,
    "iif": lambda value, yes=True, no=False, none=_DEFAULT: (
        none if value is None and none is not _DEFAULT else yes if value else no
    ),
    "abs": lambda value: abs(_number(value)),
    "bitwise_and": lambda value, other: int(_number(value)) & int(_number(other)),
    "bitwise_or": lambda value, other: int(_number(value)) | int(_number(other)),
    "lower": lambda value: str(value).lower(),
    "upper": lambda value: str(value).upper(),
    "title": lambda value: str(value).title(),
    "capitalize": lambda value: str(value).capitalize(),
    "trim": lambda value, characters=None: str(value).strip(characters),
    "string": lambda value: _bounded(str(value)),
    "length": len,
    "count": len,
    "first": lambda value: next(iter(value), ""),
    "last": lambda value: value[-1] if value else "",
    "min": lambda value: min(_bounded(value)),
    "max": lambda value: max(_bounded(value)),
    "sum": lambda value: sum(map(_number, _bounded(value))),
    "average": lambda value: sum(map(_number, _bounded(value))) / len(value),
}
_GLOBALS: Mapping[str, Any] = {
    "float": _float,
    "int": _int,
    "bool": _bool,
    "iif": _FILTERS["iif"],
    "log": _log,
    "sqrt": _FILTERS["sqrt"],
    "is_number": lambda value: _converted(_number, value, None) is not None,
    "min": lambda *values: min(map(_number, values)),
    "max": lambda *values: max(map(_number, values)),
    "pi": math.pi,
    "e": math.e,
}


class _Sandbox(ImmutableSandboxedEnvironment):
    """Every operator is checked before it is computed; attributes are those of data, and a few methods."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(optimized=False, cache_size=0)
        self.filters = dict(_FILTERS) | {"string": _FILTERS["string"]}
        self.tests["is_number"] = _GLOBALS["is_number"]
        self.globals = dict(_GLOBALS)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        if operator == "+" and type(left) is type(right) and isinstance(left, str | list | tuple):
            return _bounded(left + right)
        for operand in (left, right):
            if isinstance(operand, Undefined):
                raise UndefinedError("a value that is not there")
            if not isinstance(operand, int | float):
                raise _Fault(f"{operator} with a value that is no number")
            _number(operand)
        if operator == "**":
            return float(left) ** float(right)
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401
        """Return a key of an object, even one that is named like a method, or one of the allowed methods."""
        if isinstance(obj, Undefined):
            raise UndefinedError("a value that is not there")
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if attribute not in _METHODS.get(type(obj), ()):
            return self.undefined(obj=obj, name=attribute)
        if attribute in ("split", "rsplit"):
            return partial(_split, getattr(obj, attribute))
        return getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401
        if isinstance(obj, Undefined):
            raise UndefinedError("a value that is not there")
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)


def _split(split: Callable[[Any, int], list[str]], separator: str | None = None, most: int = _SPLITS_LIMIT) -> list[str]:
    return split(separator, most if 0 <= most < _SPLITS_LIMIT else _SPLITS_LIMIT)


class _BoundedConcat(NodeTransformer):
    """Replaces `a ~ b` by `a + b` of texts, whose size the sandbox checks."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as Jinja2 calls it
        self.generic_visit(node)
        texts = [nodes.Filter(one, "string", [], [], None, None, lineno=node.lineno) for one in node.nodes]
        joint: nodes.Expr = texts[0]
        for text in texts[1:]:
            joint = nodes.Add(joint, text, lineno=node.lineno)
        return joint


_ENVIRONMENT = _Sandbox()


class ValueTemplate:
    """A template that gives the state of one sensor from a payload. An empty one gives the payload itself."""

    def __init__(self, text: str) -> None:
        """Raise `FormatError` if the template is too long, not valid, or uses what is not supported."""
        self._path: tuple[str | int, ...] | None = None
        self._template: Template | None = None
        self._cost = 0
        if not text.strip() or _VALUE.fullmatch(text):
            return
        if len(text) > TEMPLATE_LENGTH:
            raise FormatError(f"the template has {len(text)} characters, more than the {TEMPLATE_LENGTH} allowed")
        found = _PATH.fullmatch(text)
        if found is not None:
            self._path = tuple(int(step[2]) if step[2] else step[0] or step[1] for step in _STEP.findall(found[1]))
        else:
            self._template = _compiled(text)
            self._cost = len(text)

    @property
    def cost(self) -> int:
        """The length of the template if it needs Jinja2, else 0."""
        return self._cost

    def render(self, text: str, body: object) -> object:
        """Return the state: a text, or a scalar of JSON. `text` is the payload, `body` its JSON value, None if there is none.

        Returns None if the payload does not have the value. Raises `FormatError` if the template fails.
        """
        if self._path is not None:
            return _at(body, self._path)
        if self._template is None:
            return text if 0 < len(text) <= RESULT_LENGTH else None
        if len(text) > _TEXT_LENGTH:
            raise FormatError(f"a payload of more than {_TEXT_LENGTH} characters, the limit of templates")
        variables = {"value": text, "value_json": Undefined(name="value_json") if body is None else body}
        try:
            result = "".join(self._template.root_render_func(self._template.new_context(variables)))
        except UndefinedError:
            return None
        except (
            _Fault,
            TemplateError,
            ArithmeticError,
            TypeError,
            ValueError,
            LookupError,
            RecursionError,
        ) as error:
            raise FormatError(f"the template fails: {str(error)[:100] or type(error).__name__}") from None
        except AttributeError:
            raise FormatError("the template fails: a method that is not supported") from None
        result = result.strip()
        return result if 0 < len(result) <= RESULT_LENGTH else None


def _at(body: object, path: tuple[str | int, ...]) -> object:
    for step in path:
        if isinstance(body, dict):
            body = body.get(str(step))
        elif isinstance(body, list) and isinstance(step, int) and step < len(body):
            body = body[step]
        else:
            return None
    return None if isinstance(body, dict | list) or (isinstance(body, str) and len(body) > RESULT_LENGTH) else body


@lru_cache(_COMPILED_LIMIT)
def _compiled(text: str) -> Template:
    try:
        tree = _ENVIRONMENT.parse(text)
        for node in tree.find_all(nodes.Node):
            _check(node)
        code = _ENVIRONMENT.compile(_BoundedConcat().visit(tree))
    except (TemplateError, SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise FormatError(f"the template is not valid: {str(error)[:100]}") from None
    return Template.from_code(_ENVIRONMENT, code, _ENVIRONMENT.globals)


def _check(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED_NODES):
        raise FormatError(f"the template uses {type(node).__name__.lower()}, which is not supported")
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise FormatError(f"the template uses the filter {node.name[:32]!a}, which is not supported")
    if isinstance(node, nodes.Test) and node.name not in _ENVIRONMENT.tests:
        raise FormatError(f"the template uses the test {node.name[:32]!a}, which is not supported")
