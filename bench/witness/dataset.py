"""Data sets of the wire: what reads them (:class:`Reader`) and what comes of it (:class:`DataSet`), in one place."""

from __future__ import annotations

from bench.witness.elements import CODES, DataSet, DataSetProblem, Element, Key, State
from bench.witness.encodings import guess
from bench.witness.levels import Limits
from bench.witness.pixels import Jpeg, Pixels
from bench.witness.reader import Reader, read

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
