"""The products this software can be; each is a folder with profile, settings and console.

Rules of this file: a product is loaded when it is asked for, and nothing of the others with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..config import Config
    from ..settings import Section

NAMES: Final = ("vxvue", "mx1")


@dataclass(frozen=True)
class Product:
    """How one product reads its settings, checks them beyond the file, and runs."""

    name: str
    read: Callable[[Section], Config]
    check: Callable[[Any, bool], None]
    """Looks at what only the devices' code can judge, quickly or thoroughly; raises ConfigError."""

    def console(self) -> Callable[..., Any]:
        """The console's class."""
        found: Callable[..., Any] = importlib.import_module(f"{__name__}.{self.name}.console").CONSOLE
        return found


def product(name: str) -> Product:
    """One product by its name."""
    config = importlib.import_module(f"{__name__}.{name}.config")
    return Product(name, config.read, config.check)
