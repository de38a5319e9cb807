"""Formulas of GenICam descriptions (SwissKnife, Converter), read by a small parser of our own.

Rules of this file:

* Never ``eval``: a description comes from a device and is only data.
* The subset is what cameras use: numbers (decimal, hexadecimal, exponent), variables, ``+ - * / % **``,
  shifts and bit operations, comparisons (``=`` ``<>``), ``&&`` ``||``, ``? :``, unary ``- + ~``, and
  one-argument functions.
* Division is true division in a float formula and truncating in an integer formula (GenApi 2.8).
* Wrong text, unknown names and results that are no number are :class:`FormulaError`; nesting is bounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

MAX_LENGTH: Final = 4096
MAX_DEPTH: Final = 40

Number = int | float

_TOKEN = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+)|(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|([A-Za-z_][A-Za-z0-9_.]*)|(\*\*|<<|>>|<=|>=|<>|&&|\|\||[-+*/%()<>=&|^~?:,!]))"
)
_BINARY: Final[tuple[tuple[str, ...], ...]] = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("=", "<>"),
    ("<", ">", "<=", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
_FUNCTIONS: Final[dict[str, Callable[[float], Number]]] = {
    "ABS": abs,
    "SGN": lambda x: (x > 0) - (x < 0),
    "NEG": lambda x: -x,
    "TRUNC": math.trunc,
    "ROUND": lambda x: math.floor(x + 0.5),
    "FLOOR": math.floor,
    "CEIL": math.ceil,
    "SQRT": math.sqrt,
    "EXP": math.exp,
    "LN": math.log,
    "LG": math.log10,
    "SIN": math.sin,
    "COS": math.cos,
    "TAN": math.tan,
}


class FormulaError(ValueError):
    """A formula cannot be read or has no value."""


def evaluate(formula: str, variables: Mapping[str, Number], *, integer: bool = False) -> Number:
    """Return the value of a formula; raises :class:`FormulaError`."""
    if len(formula) > MAX_LENGTH:
        raise FormulaError("formula is too long")
    try:
        parser = _Parser(_tokens(formula), variables, integer)
        value = parser.ternary(0)
        parser.end()
        if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
            raise FormulaError(f"{formula!r} has no value")
        return int(value) if integer else value
    except (ArithmeticError, ValueError, TypeError, MemoryError) as error:
        if isinstance(error, FormulaError):
            raise
        raise FormulaError(f"{formula!r}: {error}") from None


def _tokens(formula: str) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    at = 0
    formula = formula.rstrip()
    while at < len(formula):
        found = _TOKEN.match(formula, at)
        if found is None:
            raise FormulaError(f"{formula!r}: cannot read {formula[at : at + 10]!r}")
        kind = ("hex", "number", "name", "operator")[(found.lastindex or 1) - 1]
        out.append((kind, found.group(found.lastindex or 1)))
        at = found.end()
    return out


class _Parser:
    """Recursive descent that computes while it reads."""

    def __init__(self, tokens: list[tuple[str, str]], variables: Mapping[str, Number], integer: bool) -> None:
        self._tokens = tokens
        self._at = 0
        self._variables = variables
        self._integer = integer

    def _operator(self, *which: str) -> str:
        if self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            if kind == "operator" and text in which:
                self._at += 1
                return text
        return ""

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise FormulaError(f"unexpected {self._tokens[self._at][1]!r}")

    def ternary(self, depth: int) -> Number:
        if depth > MAX_DEPTH:
            raise FormulaError("formula is nested too deeply")
        condition = self._binary(0, depth)
        if not self._operator("?"):
            return condition
        yes = self.ternary(depth + 1)
        if not self._operator(":"):
            raise FormulaError("':' is missing")
        no = self.ternary(depth + 1)
        return yes if condition else no

    def _binary(self, level: int, depth: int) -> Number:
        if level == len(_BINARY):
            return self._unary(depth)
        left = self._binary(level + 1, depth)
        while operator := self._operator(*_BINARY[level]):
            left = self._apply(operator, left, self._binary(level + 1, depth))
        return left

    def _unary(self, depth: int) -> Number:
        if depth > MAX_DEPTH:
            raise FormulaError("formula is nested too deeply")
        operator = self._operator("-", "+", "~", "!")
        if operator:
            value = self._unary(depth + 1)
            if operator == "~":
                return ~int(value)
            if operator == "!":
                return int(not value)
            return -value if operator == "-" else value
        base = self._primary(depth)
        if self._operator("**"):
            exponent = self._unary(depth + 1)
            if abs(base) > 1e9 or abs(exponent) > 64:
                raise FormulaError("power out of range")
            return base**exponent
        return base

    def _primary(self, depth: int) -> Number:
        if self._at >= len(self._tokens):
            raise FormulaError("formula ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "hex":
            return int(text, 16)
        if kind == "number":
            return int(text) if text.isdigit() else float(text)
        if kind == "operator" and text == "(":
            value = self.ternary(depth + 1)
            if not self._operator(")"):
                raise FormulaError("')' is missing")
            return value
        if kind == "name":
            if text in self._variables:
                return self._variables[text]
            if text.upper() in _FUNCTIONS and self._operator("("):
                value = self.ternary(depth + 1)
                if not self._operator(")"):
                    raise FormulaError("')' is missing")
                return _FUNCTIONS[text.upper()](value)
            if text in ("PI", "E"):
                return math.pi if text == "PI" else math.e
        raise FormulaError(f"unknown {text!r}")

    def _apply(self, operator: str, a: Number, b: Number) -> Number:
        match operator:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "/":
                return math.trunc(a / b) if self._integer else a / b
            case "%":
                return int(math.fmod(a, b)) if self._integer else math.fmod(a, b)
            case "=":
                return int(a == b)
            case "<>":
                return int(a != b)
            case "<":
                return int(a < b)
            case ">":
                return int(a > b)
            case "<=":
                return int(a <= b)
            case ">=":
                return int(a >= b)
            case "&&":
                return int(bool(a) and bool(b))
            case "||":
                return int(bool(a) or bool(b))
            case "&":
                return int(a) & int(b)
            case "|":
                return int(a) | int(b)
            case "^":
                return int(a) ^ int(b)
        shift = int(b)
        if not 0 <= shift <= 64:
            raise FormulaError("shift out of range")
        return int(a) << shift if operator == "<<" else int(a) >> shift
