"""Can the texts of a worklist be written in the character set that the scenario asks for?

Rules of this file:

* Asked when the file is loaded, for every combination of the matrix values that occur in the step: no RIS could send
  a text outside its repertoire, so the author is told before anything runs.
* The encoder is the simulators' own, which is the one that would have to send it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.scenario.dictionary import elements
from bench.scenario.problems import shorten
from bench.scenario.refs import axes_in, choose

_CHARSET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_MOST = 64
"""Combinations of matrix values that are tried; the first ones of a larger matrix."""


def unwritable(args: Mapping[str, Any], cells: Iterable[Mapping[str, str]]) -> str:
    """Say which text of a ``ris.worklist`` cannot be written in its character set; empty when all can.

    `cells` are those of the matrix, without what is excluded.
    """
    axes = axes_in(dict(args))
    tried = dict.fromkeys(tuple((axis, cell[axis]) for axis in axes) for cell in cells)
    for combination in itertools.islice(tried, _MOST):
        cell = dict(combination)
        chosen = choose(dict(args), cell)
        charset = chosen.get("charset")
        for item in chosen["items"]:
            own = item.get("SpecificCharacterSet", charset)
            if isinstance(own, list):
                own = "\\".join(map(str, own))
            if not isinstance(own, str):
                continue
            for keyword, text, person_name in _texts(item):
                if not _fits(text, own, person_name=person_name):
                    with_ = "".join(f" with {axis} = {value}" for axis, value in cell.items())
                    return f"{keyword} '{shorten(text)}' cannot be written in '{own or 'ISO_IR 6'}'{with_}"
    return ""


def _texts(item: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for keyword, value in item.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield from _texts(one)
            elif isinstance(one, str) and not one.isascii() and elements()[keyword].vr in _CHARSET_VRS:
                yield keyword, one, elements()[keyword].vr == "PN"


def _fits(text: str, charset: str, *, person_name: bool) -> bool:
    from simulators.dicom.charset import encode

    try:
        encode(text, charset.split("\\"), person_name=person_name)
    except UnicodeEncodeError:
        return False
    return True
