"""Data sets of the wire: the walk (:class:`Reader`) and what comes of it (:class:`DataSet`), in one place."""

from __future__ import annotations

from bench.witness.elements import CODES, DataSet, DataSetProblem, Element, Key, State
from bench.witness.pixels import Jpeg, Pixels
from bench.witness.walk import Limits, Reader, guess, read

__all__ = [
    "CODES",
    "DataSet",
    "DataSetProblem",
    "Element",
    "Jpeg",
    "Key",
    "Limits",
    "Pixels",
    "Reader",
    "State",
    "guess",
    "read",
]
