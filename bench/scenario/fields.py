"""Types of fields: how the text of a node becomes a typed value, and how an editor is told about it.

Rules of this file:

* A type reads a node and returns a value, or records one fault and returns :data:`INVALID`.
* The same object gives its JSON Schema and its words for the documentation, so that loader, editor and page agree.
* References are understood here once, for every type: ``${matrix.x}`` is read for each value of its axis.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from bench.scenario import units
from bench.scenario.problems import Problems, did_you_mean, shorten
from bench.scenario.refs import NAME, REFERENCE, Choice, Ref, Template
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node, Scalar, describe
from bench.scenario.source import Sequence as SequenceNode


class _Invalid:
    def __repr__(self) -> str:
        return "INVALID"


INVALID: Final = _Invalid()
"""What a type returns when it has recorded a fault."""

REFERENCE_SCHEMA: Final = {"type": "string", "pattern": r"\$\{[^{}$]+\}"}


@dataclass
class Context:
    """What reading a node may look at."""

    problems: Problems
    base: Path | None = None  # folder of the file; None: nothing may be read from disc
    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cells: list[dict[str, str]] = field(default_factory=list)
    names: dict[str, frozenset[str] | None] = field(default_factory=dict)  # None: fields are not known before
    allow_refs: bool = True
    used_axes: set[str] = field(default_factory=set)
    files: dict[Path, Any] = field(default_factory=dict)

    def bad(self, node: Node, message: str, hint: str = "") -> _Invalid:
        """Record a fault at the node's line."""
        self.problems.add(node.line, message, hint)
        return INVALID


class FieldType(Protocol):
    """What every type can do."""

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Return the typed value, or record a fault and return INVALID."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is accepted."""

    @property
    def words(self) -> str:
        """Return how a person would say what to write."""


Convert = Callable[[str], Any]


def read_scalar(
    node: Node, ctx: Context, what: str, convert: Convert, words: str, *, text: bool = False
) -> Any:
    """Read a scalar with `convert` (which raises ValueError with a reason); understands references.

    With `text` references may also stand inside a longer text.
    """
    if not isinstance(node, Scalar) or node.is_null:
        return ctx.bad(node, f"{what}: expected {words}, not {describe(node)}")
    if "${" in node.text:
        return _read_reference(node, ctx, what, convert, text=text)
    try:
        return convert(node.text)
    except ValueError as error:
        return ctx.bad(node, f"{what}: {error}")


def _read_reference(node: Scalar, ctx: Context, what: str, convert: Convert, *, text: bool) -> Any:
    if not ctx.allow_refs:
        return ctx.bad(node, f"{what}: no reference is possible here")
    whole = REFERENCE.fullmatch(node.text)
    if whole is not None:
        return _one_reference(node, whole[1], ctx, what, convert)
    if not text:
        return ctx.bad(node, f"{what}: a reference must be the whole value, like ${{name.field}}")
    parts: list[Any] = []
    end = 0
    for match in REFERENCE.finditer(node.text):
        if match.start() > end:
            parts.append(node.text[end : match.start()])
        part = _one_reference(node, match[1], ctx, what, str)
        if part is INVALID:
            return INVALID
        parts.append(part)
        end = match.end()
    rest = node.text[end:]
    if "${" in rest or any("${" in part for part in parts if isinstance(part, str)):
        return ctx.bad(node, f"{what}: '{shorten(node.text)}' has a '${{' that is no ${{name.field}}")
    if rest:
        parts.append(rest)
    return Template(tuple(parts))


def _one_reference(node: Scalar, inner: str, ctx: Context, what: str, convert: Convert) -> Any:
    name, dot, item = inner.partition(".")
    if not dot or not NAME.fullmatch(name) or not item:
        return ctx.bad(node, f"{what}: '${{{shorten(inner)}}}' is no reference like ${{name.field}}")
    if name == "matrix":
        if item not in ctx.axes:
            return ctx.bad(
                node, f"{what}: the matrix has no axis '{shorten(item)}'", did_you_mean(item, ctx.axes)
            )
        ctx.used_axes.add(item)
        options = []
        for value in ctx.axes[item]:
            try:
                options.append((value, convert(value)))
            except ValueError as error:
                return ctx.bad(node, f"{what}: with {item} = {shorten(value)}: {error}")
        return Choice(item, tuple(options))
    if name not in ctx.names:
        return ctx.bad(
            node,
            f"{what}: '${{{shorten(inner)}}}' is not resolved: nothing above is named '{name}'",
            did_you_mean(name, [*ctx.names, "matrix"]),
        )
    known = ctx.names[name]
    if known is not None and item not in known:
        from bench.scenario.dicom import parse_path

        if "dataset" in known and item[:1].isupper():
            try:
                parse_path(item)
            except ValueError as error:
                return ctx.bad(node, f"{what}: ${{{shorten(inner)}}}: {error}")
        else:
            return ctx.bad(node, f"{what}: '{name}' has no '{shorten(item)}'", did_you_mean(item, known))
    return Ref(name, item)


@dataclass(frozen=True)
class Text:
    """Any text; `pattern` and `longest` bound it."""

    say: str = "text"
    pattern: str = ""
    longest: int = 1024
    empty: bool = False

    def convert(self, text: str) -> str:
        """Check one text."""
        if not text and not self.empty:
            raise ValueError(f"expected {self.say}, not an empty text")
        if len(text) > self.longest:
            raise ValueError(f"longer than {self.longest} characters")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise ValueError(f"'{shorten(text)}' is not {self.say}")
        return text

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        return read_scalar(node, ctx, what, self.convert, self.say, text=True)

    def schema(self) -> dict[str, Any]:
        """Texts that YAML 1.2 tools take for numbers or booleans are texts here."""
        return {"type": ["string", "number", "boolean"]}

    @property
    def words(self) -> str:
        """Say it."""
        return self.say


@dataclass(frozen=True)
class Number:
    """A number; whole numbers only with `whole`."""

    whole: bool = False
    low: float | None = None
    high: float | None = None
    unit: str = ""

    def convert(self, text: str) -> int | float:
        """Check one text."""
        pattern = r"[+-]?\d{1,15}" if self.whole else r"[+-]?\d{1,15}(\.\d{1,15})?([eE][+-]?\d{1,3})?"
        if not re.fullmatch(pattern, text.strip()):
            raise ValueError(f"expected {self.words}, not '{shorten(text)}'")
        value = int(text) if self.whole else float(text)
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise ValueError(f"expected {self.words}, not {shorten(text)}")
        return value

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        return read_scalar(node, ctx, what, self.convert, self.words)

    def schema(self) -> dict[str, Any]:
        """Give the bounds."""
        out: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        if self.low is not None:
            out["minimum"] = self.low
        if self.high is not None:
            out["maximum"] = self.high
        return {"anyOf": [out, REFERENCE_SCHEMA]}

    @property
    def words(self) -> str:
        """Say it."""
        kind = "a whole number" if self.whole else "a number"
        unit = f" of {self.unit}" if self.unit else ""
        if self.low is not None and self.high is not None:
            return f"{kind}{unit} from {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{kind}{unit}, at least {self.low:g}"
        return kind + unit


@dataclass(frozen=True)
class Bool:
    """``true`` or ``false``; nothing else, so that NO is not taken for a boolean."""

    def convert(self, text: str) -> bool:
        """Check one text."""
        if text not in ("true", "false"):
            raise ValueError(f"expected true or false, not '{shorten(text)}'")
        return text == "true"

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        return read_scalar(node, ctx, what, self.convert, self.words)

    def schema(self) -> dict[str, Any]:
        """Give the type."""
        return {"anyOf": [{"type": "boolean"}, REFERENCE_SCHEMA]}

    @property
    def words(self) -> str:
        """Say it."""
        return "true or false"


@dataclass(frozen=True)
class Quantity:
    """A number with its unit; `kind` is duration, size, percent or status."""

    kind: str

    def convert(self, text: str) -> int | float:
        """Check one text."""
        try:
            return _QUANTITIES[self.kind][0](text)
        except ValueError as error:
            raise ValueError(f"{error}, not '{shorten(text)}'") from None

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        return read_scalar(node, ctx, what, self.convert, self.words)

    def schema(self) -> dict[str, Any]:
        """Give the pattern."""
        pattern = _QUANTITIES[self.kind][1]
        kinds = ["string", "number"] if self.kind == "status" else ["string"]
        return {"anyOf": [{"type": kinds, "pattern": pattern}, REFERENCE_SCHEMA]}

    @property
    def words(self) -> str:
        """Say it."""
        return _QUANTITIES[self.kind][2]


_QUANTITIES: Final[dict[str, tuple[Callable[[str], int | float], str, str]]] = {
    "milliseconds": (units.milliseconds, units.DURATION_PATTERN, "a duration like `20 ms`"),
    "duration": (units.duration, units.DURATION_PATTERN, "a duration like `120 s`"),
    "size": (units.size, units.SIZE_PATTERN, "a size like `4 MB`"),
    "rate": (units.rate, units.RATE_PATTERN, "a rate like `2 MB/s`"),
    "percent": (units.percent, units.PERCENT_PATTERN, "a share like `0.5 %`"),
    "status": (units.status, units.STATUS_PATTERN, "a DIMSE status like `A700`"),
}
DURATION: Final = Quantity("duration")
MILLISECONDS: Final = Quantity("milliseconds")
SIZE: Final = Quantity("size")
RATE: Final = Quantity("rate")
PERCENT: Final = Quantity("percent")
STATUS: Final = Quantity("status")


@dataclass(frozen=True)
class Enum:
    """One of a closed list of words; `aliases` are other ways to write them."""

    values: tuple[str, ...]
    noun: str = "value"
    aliases: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False  # the words are whole numbers

    def convert(self, text: str) -> str | int:
        """Check one text."""
        word = self.aliases.get(text, text)
        if word not in self.values:
            known = [*self.values, *self.aliases]
            hint = did_you_mean(text, known) or "one of " + ", ".join(self.values)
            raise ValueError(f"unknown {self.noun} '{shorten(text)}' ({hint})")
        return int(word) if self.whole else word

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        return read_scalar(node, ctx, what, self.convert, self.words)

    def schema(self) -> dict[str, Any]:
        """Give the list."""
        words = [*self.values, *self.aliases]
        typed: list[Any] = [int(word) if self.whole and word.isdigit() else word for word in words]
        typed += [word == "true" for word in words if word in ("true", "false")]
        return {"anyOf": [{"enum": typed}, REFERENCE_SCHEMA]}

    @property
    def words(self) -> str:
        """Say it."""
        if len(self.values) > 14:
            return f"a {self.noun}"
        return " or ".join(f"`{value}`" for value in self.values) if len(self.values) < 4 else self._listed()

    def _listed(self) -> str:
        return "one of " + ", ".join(f"`{value}`" for value in self.values)


@dataclass(frozen=True)
class Ranges:
    """A list of whole numbers from 1 and of ``[first, last]`` pairs of them."""

    most: int = 1000

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it into a list of ints and pairs."""
        number = Number(whole=True, low=1, high=10**7)
        if not isinstance(node, SequenceNode) or not 0 < len(node.items) <= self.most:
            return ctx.bad(node, f"{what}: expected {self.words}, not {describe(node)}")
        out: list[Any] = []
        for entry in node.items:
            ends = entry.items if isinstance(entry, SequenceNode) else [entry]
            pair = [number.read(end, ctx, what) for end in ends]
            if any(value is INVALID for value in pair):
                return INVALID
            if isinstance(entry, SequenceNode):
                plain = all(isinstance(value, int) for value in pair)
                if len(pair) != 2 or (plain and pair[0] > pair[1]):
                    return ctx.bad(entry, f"{what}: a range is [first, last]")
                out.append(pair)
            else:
                out.append(pair[0])
        return out

    def schema(self) -> dict[str, Any]:
        """Give both kinds of entries."""
        number = {"type": "integer", "minimum": 1}
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        return {"type": "array", "minItems": 1, "items": {"anyOf": [number, pair]}}

    @property
    def words(self) -> str:
        """Say it."""
        return "a list of numbers and [first, last] ranges"


@dataclass(frozen=True)
class ListOf:
    """A list of one type; a single value may be written without brackets."""

    item: FieldType
    most: int = 200

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it into a tuple."""
        nodes = node.items if isinstance(node, SequenceNode) else [node]
        if len(nodes) > self.most:
            return ctx.bad(node, f"{what}: at most {self.most} entries")
        values = [self.item.read(entry, ctx, what) for entry in nodes]
        return INVALID if any(value is INVALID for value in values) else tuple(values)

    def schema(self) -> dict[str, Any]:
        """Give both ways to write it."""
        item = self.item.schema()
        return {"anyOf": [{"type": "array", "items": item, "maxItems": self.most}, item]}

    @property
    def words(self) -> str:
        """Say it."""
        return f"a list of: {self.item.words}"


@dataclass(frozen=True)
class Field:
    """One named field of a mapping."""

    name: str
    type: FieldType
    doc: str
    required: bool = False
    gives: str = ""  # the name under which the value is handed on, when the device has another word for it


@dataclass(frozen=True)
class Record:
    """A mapping with known keys; with `rest` other keys of that type are taken too (``rest_key`` checks them)."""

    fields: tuple[Field, ...]
    rest: KeyedType | None = None

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it into a dict; nothing written is an empty one."""
        if isinstance(node, Scalar) and node.is_null:
            node = MappingNode(node.line)
        if not isinstance(node, MappingNode):
            return ctx.bad(node, f"{what}: expected a mapping of fields, not {describe(node)}")
        known = {item.name: item for item in self.fields}
        values: dict[str, Any] = {}
        valid = True
        for key, value_node in node.items():
            item = known.get(key.text)
            if item is not None:
                value = item.type.read(value_node, ctx, f"{what}: {key.text}")
            elif self.rest is not None and self.rest.takes(key.text):
                value = self.rest.read_value(key, value_node, ctx, what)
            else:
                names = list(known) + (list(self.rest.keys_known()) if self.rest else [])
                hint = did_you_mean(key.text, names)
                if not hint and known and len(known) <= 12:
                    hint = "there are " + ", ".join(known)
                ctx.problems.add(key.line, f"{what}: unknown key '{shorten(key.text)}'", hint)
                value = INVALID
            if value is INVALID:
                valid = False
            else:
                values[item.gives if item is not None and item.gives else key.text] = value
        for item in self.fields:
            if item.required and node.get(item.name) is None:
                ctx.problems.add(
                    node.line, f"{what}: '{item.name}' is missing", f"{item.type.words}: {item.doc}"
                )
                valid = False
        return values if valid else INVALID

    def schema(self) -> dict[str, Any]:
        """Give all fields; nothing written is allowed when nothing is required."""
        out: dict[str, Any] = {
            "type": "object",
            "properties": {
                item.name: {**item.type.schema(), "description": item.doc} for item in self.fields
            },
            "additionalProperties": False,
        }
        if self.rest is not None:
            out["patternProperties"] = self.rest.pattern_schema()
        required = [item.name for item in self.fields if item.required]
        if required:
            out["required"] = required
            return out
        return {"anyOf": [out, {"type": "null"}]}

    @property
    def words(self) -> str:
        """Say it."""
        return "a mapping"


class KeyedType(Protocol):
    """The type of keys that are not listed, such as DICOM keywords."""

    def takes(self, key: str) -> bool:
        """Tell whether a key looks like one of these."""

    def keys_known(self) -> Iterable[str]:
        """Return known keys, for suggestions."""

    def read_value(self, key: Scalar, node: Node, ctx: Context, what: str) -> Any:
        """Read the value of such a key."""

    def pattern_schema(self) -> dict[str, Any]:
        """Return the ``patternProperties`` of the JSON Schema."""
