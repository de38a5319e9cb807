"""Faults of a medium: what can be armed, with which arguments.

Rules of this file: the list is closed; a wrong name or argument is a :class:`CommandError`.

========  ================================================================================================
yank      the medium is pulled out, at once or when ``at_bytes`` were written since arming; the newest ``lose``
          bytes that were not flushed are lost with it ("all": all of them; "some": older and newer ones by chance,
          as of a stick that writes its cache in an order of its own)
protect   the write protection is pushed: EROFS
full      only ``leave`` bytes are left free: ENOSPC
slow      reads and writes take as long as at ``rate`` bytes per second
io_error  reads or writes (``on``) fail with EIO after ``after_bytes``, ``count`` times (0: until disarmed)
wear      reads fail with EIO after ``after_reads`` good ones
========  ================================================================================================

Linux tries a read that failed ahead of its use once more when it is used: ``io_error`` on reads with a ``count`` of 1
or 2 may go unseen by the application, as on a real stick.

A fault *fires* when the application or the medium first feels it: a yank when it happens, the others with the first
access that fails or waits because of it (``full`` also when it is asked how much is free).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.volumes.unsynced import Loss, Some
from simulators.base import CommandError

FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "yank": {"at_bytes": None, "lose": 0},
    "protect": {},
    "full": {"leave": 0},
    "slow": {"rate": None},
    "io_error": {"on": "write", "after_bytes": 0, "count": 1},
    "wear": {"after_reads": None},
}
"""Fault -> arguments with defaults; None: must be given (``at_bytes``: at once)."""

WORDS_OF_LOSS: Final = ("all", "some")
"""What ``lose`` may be but a number."""

PLAIN_BACKENDS: Final = frozenset(("image", "folder"))
"""Backends whose medium is only a folder."""
PLAIN: Final = frozenset(("yank",))
"""What can be done to such a medium."""


@dataclass
class Armed:
    """A fault that waits or lasts; ``base``: bytes written when it was armed; ``token``: its number at the device."""

    id: str
    fault: str
    args: Mapping[str, Any]
    base: int = 0
    read: int = 0
    fired: bool = False
    token: int | None = None


def check(fault: str, args: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """Complete a fault's arguments for a backend; raises :class:`CommandError`."""
    if fault not in FAULTS:
        near = difflib.get_close_matches(fault, FAULTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(FAULTS)}"
        raise CommandError(f"a medium has no fault {fault!r}{hint}")
    known = FAULTS[fault]
    for name, value in args.items():
        if name not in known:
            raise CommandError(
                f"fault {fault}: unknown argument {name!r}; known: {', '.join(known) or 'none'}"
            )
        _argument(fault, name, value)
    made = {**known, **args}
    for name in ("rate", "after_reads"):
        if name in made and made[name] is None:
            raise CommandError(f"fault {fault}: {name} is missing")
    if backend in PLAIN_BACKENDS:
        if fault not in PLAIN:
            raise CommandError(f"fault {fault}: the {backend} backend cannot do that; the fuse backend can")
        if made["at_bytes"] is not None or made["lose"] != 0:
            raise CommandError(
                f"fault yank: the {backend} backend sees no bytes being written, so it knows neither at_bytes "
                "nor lose; the fuse backend does"
            )
    return made


def loss(item: Armed, seed: int) -> Loss:
    """What a yank loses; with a chance that depends on the medium's seed and the fault's name."""
    lose = item.args["lose"]
    return None if lose == "all" else Some(f"{seed} {item.id}") if lose == "some" else int(lose)


def _argument(fault: str, name: str, value: Any) -> None:
    if name == "on":
        if value not in ("read", "write"):
            raise CommandError(f"fault {fault}: on must be read or write, not {value!r}")
        return
    if name == "lose" and value in WORDS_OF_LOSS:
        return
    number = isinstance(value, int) or (name == "rate" and isinstance(value, float))
    low = 1 if name in ("rate", "after_reads") else 0
    if isinstance(value, bool) or not number or not low <= value <= 1 << 50:
        raise CommandError(f"fault {fault}: {name} must be a whole number from {low} on, not {value!r}")
