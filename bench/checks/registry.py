"""Which checks there are: those of every statement, and those of one product.

Rules of this file:

* A check module is listed by name; a package is searched whole.  The modules of a product's own behaviour stand in
  the package of the statement's name (``vxvue``, ``mx1``); another product's statement is judged by all others.
* For every clause there is a check, or the reason why no capture can show it (``UNSEEN`` of a module).
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Final

from bench.checks.finding import Check, Unseen

AREAS: Final = (
    "upperlayer",
    "dimse",
    "contexts",
    "datasets",
    "charsets",
    "attributes",
    "services",
    "iod",
    "sr",
    "crossobject",
    "defaults",
    "media",
)
PRODUCTS: Final = ("vxvue", "mx1")


@cache
def checks(statement: str) -> tuple[Check, ...]:
    """Return the checks for a statement, by its name."""
    found = dict.fromkeys(
        value for module in _modules(statement) for value in vars(module).values() if isinstance(value, Check)
    )
    return tuple(found)


@cache
def unseen(statement: str) -> Mapping[str, Unseen]:
    """Return why no capture can show a clause, by its id."""
    found: dict[str, Unseen] = {}
    for module in _modules(statement):
        found.update(getattr(module, "UNSEEN", {}))
    return found


def _modules(statement: str) -> Iterator[ModuleType]:
    for name in (*AREAS, *((statement,) if statement in PRODUCTS else ())):
        full = f"bench.checks.{name}"
        if importlib.util.find_spec(full) is None:
            continue
        module = importlib.import_module(full)
        yield module
        for inner in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{full}."):
            yield importlib.import_module(inner.name)
