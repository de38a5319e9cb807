"""Whether a value is one of those that a statement lists.

Rules of this file:

* Pure functions of texts and numbers; where the evidence does not suffice the answer is a doubt, never a fault.
* Numbers compare as numbers (``1`` = ``1.0``), texts as they are, without padding; case counts.
* A text that may hold a backslash is one value: ``STANDARD\\1,1`` (ruling E6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from bench.witness.vr import CHARSET, PLAIN, WHOLE

NUMERIC: Final = frozenset(("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "SV", "UV"))
_COUNTABLE: Final = (CHARSET | PLAIN | NUMERIC) - WHOLE
#: What a listed form looks like; other forms (names) cannot be told from a value.
FORMS: Final = {"STANDARD\\C,R": re.compile(r"STANDARD\\[1-9]\d*,[1-9]\d*")}


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a value is right: True, False, or None where that cannot be known; ``why`` completes a sentence."""

    ok: bool | None
    why: str = ""


FITS: Final = Fit(True)


def same(left: str, right: str, numeric: bool) -> bool:
    """Tell whether two values are the same, as numbers where both are numbers.

    >>> same("1\\\\1", "1.0\\\\1.0", True), same("01", "1", False)
    (True, False)
    """
    if left == right:
        return True
    if not numeric:
        return False
    try:
        return [float(part) for part in left.split("\\")] == [float(part) for part in right.split("\\")]
    except ValueError:
        return False


def whole(values: Sequence[str], listed: Sequence[str], numeric: bool) -> Fit:
    """Each value is one of the list, or all together are (``1\\1``)."""
    together = "\\".join(values)
    if any(same(together, one, numeric) for one in listed):
        return FITS
    if all(any(same(value, one, numeric) for one in listed) for value in values):
        return FITS
    return Fit(False, f"is not {_either(listed)}")


def prefix(values: Sequence[str], listed: Sequence[str]) -> Fit:
    """The value begins with one of the list."""
    together = "\\".join(values)
    return (
        FITS if together.startswith(tuple(listed)) else Fit(False, f"does not begin with {_either(listed)}")
    )


def leading(values: Sequence[str], listed: Sequence[str]) -> Fit:
    """The first components are those of the list; more may follow (ruling E4)."""
    for one in listed:
        parts = one.split("\\")
        if list(values[: len(parts)]) == parts:
            return FITS
    return Fit(False, f"does not begin with {_either(listed)}")


def configured(values: Sequence[str], listed: Sequence[str], known: str | None, key: str) -> Fit:
    """One of the list, or what the configuration names; without a configuration another value stays in doubt."""
    together = "\\".join(values)
    if together in listed or together == known:
        return FITS
    if known is None:
        return Fit(
            None, f"is not {_either(listed)}; whether it is configured tells {key!r} of the configuration"
        )
    return Fit(False, f"is neither {_either(listed)} nor {known!r}, which is configured")


def bounds(
    number: float, listed: Sequence[str], bits: int | None, extreme: int | None, doubtful: bool, which: str
) -> Fit:
    """The true extreme of the pixels, or the bound of their depth (ruling E3).

    *extreme* is None where the pixels were not looked at, *bits* is Bits Stored; *doubtful* tells that *extreme* is in
    doubt: padding may have been left out of it, or what describes the pixels is wrong.
    """
    limits = [int(one) for one in listed]
    fitting = [
        limit for limit in limits if bits is not None and 0 < bits <= 32 and limit == (1 << bits) - 1
    ] or limits
    if number in fitting or number == extreme:
        return FITS
    bound = " or ".join(map(str, fitting))
    if extreme is None or doubtful:
        return Fit(None, f"is not {bound}, and the true {which} value of the pixels is not known")
    return Fit(False, f"is neither {bound} nor the {which} value of the pixels, which is {extreme}")


def form(value: str, listed: Sequence[str], vr: str) -> Fit:
    """The value has the form that is shown."""
    for one in listed:
        pattern = FORMS.get(one)
        if pattern is not None:
            return FITS if pattern.fullmatch(value) else Fit(False, f"is not of the form {one}")
    if vr == "PN" and "^" in listed[0] and "," in value and not set("^=") & set(value):
        return Fit(False, f"is not of the form {listed[0]}: components are parted by '^'")
    return FITS


def within(values: Sequence[float], low: int, high: int) -> Fit:
    """Every number lies in a range."""
    if values and all(low <= value <= high for value in values):
        return FITS
    return Fit(False, f"is not in {low} … {high}")


@cache
def multiplicity(count: int, vm: str) -> bool:
    """Tell whether a number of values is allowed (PS3.5 6.4): ``1``, ``2``, ``1-n``, ``2-2n``, ``1-8``.

    >>> [multiplicity(n, "2-2n") for n in (1, 2, 3, 4)]
    [False, True, False, True]
    """
    for one in vm.split(" or "):
        low, _, high = one.partition("-")
        if not low.isdigit():
            return True
        if not high:
            high = low
        step = high.removesuffix("n")
        if high.endswith("n"):
            if count >= int(low) and (not step or count % int(step) == 0):
                return True
        elif int(low) <= count <= int(high):
            return True
    return False


def countable(vr: str) -> bool:
    """Tell whether the values of a VR can be counted: texts that may be several, and numbers."""
    return vr in _COUNTABLE


def word_in(value: str, text: str) -> bool:
    """Tell whether a value stands in a printed text as a word of its own."""
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", text) is not None


def _either(listed: Sequence[str]) -> str:
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
