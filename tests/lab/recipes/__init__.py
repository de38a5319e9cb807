"""What the known-answer captures tell, and what a judge must say about each.

A recipe is a function that holds its conversations in a laboratory, under :func:`good` or :func:`bad`.  The name of the
function is the name of the capture, its docstring the description.

* ``good``: no clause and no rule may FAIL; ``passes``: these must PASS (or PASS-ERRATUM).
* ``bad``: one defect in a conforming conversation; ``fails``: exactly these FAIL.  ``may``: these may FAIL as well,
  because their text can be read so that the same defect violates it; nothing else may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.lab.conversation import Lab

Build = Callable[[Lab], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One capture and its known answer.  ``suffix``: of the file; empty: .pcapng, compressed when it is large."""

    name: str
    build: Build
    description: str
    statement: str
    who: str
    config: Mapping[str, Any] = field(default_factory=dict)
    fails: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    suffix: str = ""
    write: Mapping[str, Any] = field(default_factory=dict)


RECIPES: Final[dict[str, Recipe]] = {}
_WHO: Final = {"vxvue": "10.0.0.5", "mx1": "10.0.0.6"}


def _add(build: Build, statement: str, fails: Sequence[str], more: Mapping[str, Any]) -> Build:
    name = build.__name__.replace("_", "-")
    if name in RECIPES:
        raise ValueError(f"two recipes are called {name}")
    text = " ".join((build.__doc__ or "").split())
    values = {"who": _WHO[statement], **more}
    for key in ("passes", "may"):
        given = values.get(key, ())
        values[key] = tuple(given.split() if isinstance(given, str) else given)
    RECIPES[name] = Recipe(name, build, text, statement, fails=tuple(fails), **values)
    return build


def good(statement: str, **more: Any) -> Callable[[Build], Build]:
    """A capture in which the product does nothing wrong."""
    return lambda build: _add(build, statement, (), more)


def bad(statement: str, *fails: str, **more: Any) -> Callable[[Build], Build]:
    """A capture with one defect of the product."""
    return lambda build: _add(build, statement, fails, more)
