"""``${name.field}``: values that are known later.

Rules of this file:

* A value that is exactly one reference keeps the type of what it names; inside a longer text it becomes text.
* ``${matrix.axis}`` is checked for every value of the axis when the file is loaded (:class:`Choice`); everything else
  (:class:`Ref`) is filled in when the step runs.
* There is no expression language.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

REFERENCE: Final = re.compile(r"\$\{([^{}$]*)\}")
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

T = TypeVar("T")
_LEAVES: Final = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True)
class Ref:
    """A value of an earlier step, of a saved event, or of the bench."""

    name: str
    field: str

    def __str__(self) -> str:
        return f"${{{self.name}.{self.field}}}"


@dataclass(frozen=True)
class Choice:
    """One value for each value of a matrix axis."""

    axis: str
    options: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"${{matrix.{self.axis}}}"


@dataclass(frozen=True)
class Template:
    """Text with references in it."""

    parts: tuple[Any, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.parts))


class Unresolved(LookupError):
    """A reference names something that is not there (yet)."""


def substitute(value: T, leaf: Callable[[Any], Any]) -> T:
    """Copy `value`, with `leaf` applied to every Ref, Choice and Template inside dicts, tuples and dataclasses.

    What holds no reference is returned as it is, not copied.
    """
    return _substitute(value, leaf)  # type: ignore[no-any-return]


def _substitute(value: Any, leaf: Callable[[Any], Any]) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is Ref or kind is Choice or kind is Template:
        return leaf(value)
    if isinstance(value, tuple | list):
        parts = [_substitute(item, leaf) for item in value]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(parts)
    if isinstance(value, Mapping):
        fresh = {key: _substitute(item, leaf) for key, item in value.items()}
        return value if all(fresh[key] is value[key] for key in fresh) else fresh
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for name in value.__dataclass_fields__:
            old = getattr(value, name)
            new = _substitute(old, leaf)
            if new is not old:
                changed[name] = new
        return dataclasses.replace(value, **changed) if changed else value
    return value


def axes_in(value: Any) -> tuple[str, ...]:
    """Return the matrix axes that a value depends on, in the order of their first use."""
    axes: dict[str, None] = {}

    def leaf(item: Any) -> Any:
        for part in item.parts if isinstance(item, Template) else (item,):
            if isinstance(part, Choice):
                axes[part.axis] = None
        return item

    substitute(value, leaf)
    return tuple(axes)


def choose(value: T, cell: Mapping[str, str]) -> T:
    """Put the values of one matrix cell in place of every :class:`Choice`."""

    def leaf(item: Any) -> Any:
        if isinstance(item, Choice):
            return dict(item.options)[cell[item.axis]]
        if isinstance(item, Template):
            parts = tuple(cell[p.axis] if isinstance(p, Choice) else p for p in item.parts)
            return "".join(parts) if all(isinstance(p, str) for p in parts) else Template(parts)
        return item

    return substitute(value, leaf)


class Scope:
    """What names mean while a cell runs: results of steps, saved events, facts of the bench."""

    def __init__(self) -> None:
        self._names: dict[str, Mapping[str, Any]] = {}

    def put(self, name: str, values: Mapping[str, Any]) -> None:
        """Give `name` its fields; a later call replaces them."""
        self._names[name] = values

    def get(self, ref: Ref) -> Any:
        """Return what `ref` names; raises :class:`Unresolved` with a sentence."""
        if ref.name not in self._names:
            raise Unresolved(f"{ref}: nothing is known as '{ref.name}' yet")
        values = self._names[ref.name]
        if ref.field in values:
            return values[ref.field]
        dataset = values.get("dataset")
        if ref.field[:1].isupper() and isinstance(dataset, Mapping):
            from bench.scenario.dicom import read_keyword_path

            return read_keyword_path(dataset, ref.field)
        known = ", ".join(sorted(values)) or "nothing"
        raise Unresolved(f"{ref}: '{ref.name}' has no '{ref.field}' (it has {known})")

    def resolve(self, value: T) -> T:
        """Copy `value` with every reference replaced; raises :class:`Unresolved`."""

        def leaf(item: Any) -> Any:
            if isinstance(item, Ref):
                return self.get(item)
            if isinstance(item, Template):
                return "".join(str(self.get(p)) if isinstance(p, Ref) else str(p) for p in item.parts)
            raise Unresolved(f"{item} was never resolved to a cell")

        return substitute(value, leaf)
