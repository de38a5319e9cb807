"""Frozen dataclasses to JSON and back, and the JSON Schema of them, from their type hints alone.

Rules of this file:

* Understood are str, int, float, bool, string enums, ``X | None``, ``tuple[X, ...]``, ``dict[str, X]`` and
  dataclasses made of these; anything else is a mistake of the programmer (TypeError).
* Reading checks types and required fields and says where (``cells[3].steps[0].verdict``); unknown keys are
  ignored, so that a file of a later version with more in it stays readable.
* Writing leaves out nothing: every field is there, ``null`` when unknown.  Only of what stands in a result thousands of
  times (``SPARSE``) fields are left out that have their default.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast


class ModelError(ValueError):
    """A JSON value does not fit the model; the message begins with the place."""


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Return (name, type, required) of a dataclass's fields."""
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    return tuple(
        (f.name, hints[f.name], f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(cls)
    )


@functools.cache
def _defaults(cls: Any) -> dict[str, Any]:
    """Return the defaults of a dataclass's fields, of those that have one."""
    return {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}


class Model:
    """Base of a frozen dataclass that is written to and read from JSON."""

    SPARSE: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """Return JSON types only; tuples become lists, enums their values, a float that is no number null."""
        return cast(dict[str, Any], _dump(self))

    @classmethod
    def from_json(cls, value: Any, where: str = "") -> Self:
        """Build the object from a JSON value.

        Raises:
            ModelError: a field is missing or has the wrong type.
        """
        return cast(Self, _load(cls, value, where or cls.__name__))


def _dump(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        left_out = _defaults(type(value)) if getattr(value, "SPARSE", False) else {}
        return {
            name: _dump(held)
            for name, _, _ in _fields(type(value))
            if (held := getattr(value, name)) != left_out.get(name, dataclasses.MISSING)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_dump(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _dump(item) for key, item in value.items()}
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _load(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = [arg for arg in args if arg is not type(None)]
        assert len(inner) == 1, f"{where}: only X | None is understood"
        return None if value is None else _load(inner[0], value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ModelError(f"{where}: expected a list")
        return tuple(_load(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ModelError(f"{where}: expected an object")
        return {str(key): _load(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ModelError(f"{where}: expected an object")
        found = {}
        for name, inner_hint, required in _fields(cast(Any, hint)):
            if name in value:
                found[name] = _load(inner_hint, value[name], f"{where}.{name}")
            elif required:
                raise ModelError(f"{where}.{name}: missing")
        return cast(type[Any], hint)(**found)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError:
            raise ModelError(f"{where}: {value!r} is not one of {', '.join(e.value for e in hint)}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ModelError(f"{where}: expected {hint.__name__}, found {value!r:.40}")


def schema(cls: type[Any], title: str, description: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what ``to_json`` of a model writes."""
    definitions: dict[str, Any] = {}

    def of(hint: Any) -> dict[str, Any]:
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin in (types.UnionType, typing.Union):
            inner = of(next(arg for arg in args if arg is not type(None)))
            if isinstance(inner.get("type"), str) and "enum" not in inner:
                return {**inner, "type": [inner["type"], "null"]}
            return {"anyOf": [inner, {"type": "null"}]}
        if origin is tuple:
            return {"type": "array", "items": of(args[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": of(args[1])}
        if dataclasses.is_dataclass(hint):
            name = cast(type[Any], hint).__name__
            if name not in definitions:
                definitions[name] = {}
                fields = _fields(cast(Any, hint))
                definitions[name] = {
                    "description": " ".join((hint.__doc__ or "").partition("\n\n")[0].split()),
                    "type": "object",
                    "properties": {key: of(inner) for key, inner, _ in fields},
                    "required": [
                        key for key, _, must in fields if must or not getattr(hint, "SPARSE", False)
                    ],
                    "additionalProperties": False,
                }
            return {"$ref": f"#/$defs/{name}"}
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return {"type": "string", "enum": [e.value for e in hint]}
        return {"type": {str: "string", bool: "boolean", int: "integer", float: "number"}[hint]}

    top = of(cls)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        **top,
        "$defs": dict(sorted(definitions.items())),
    }
