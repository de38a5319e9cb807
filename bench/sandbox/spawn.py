"""How the bench starts helper processes of its own: same interpreter, same modules, nothing left in the environment.

``PYTHONPATH`` would do it, too, but it would be inherited by everything that a sandbox starts, among them the SUT and
programs of other Python versions.
"""

from __future__ import annotations

import json
import sys
from typing import Final

_START: Final = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as ``python -m`` does, with this process's module path."""
    return [
        sys.executable,
        "-c",
        _START,
        json.dumps([entry for entry in sys.path if entry]),
        module,
        *arguments,
    ]
