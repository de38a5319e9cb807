"""Instances in the five transfer syntaxes of the statement.

encode_instance(master, file, JPEG_BASELINE)           a whole file, for a medium
with dataset_pieces(master, IMPLICIT_LE) as pieces:    a data set, for C-STORE
    for piece in pieces: ...
"""

from __future__ import annotations

from .codec import QUALITY
from .encode import DataSetPieces, Encoded, Progress, dataset_pieces, encode_instance
from .part10 import file_start
from .source import Shape, Source
from .syntaxes import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    NAMES,
    SYNTAXES,
    PixelError,
    offered,
)

__all__ = [
    "EXPLICIT_BE",
    "EXPLICIT_LE",
    "IMPLICIT_LE",
    "JPEG_BASELINE",
    "JPEG_LOSSLESS",
    "NAMES",
    "QUALITY",
    "SYNTAXES",
    "DataSetPieces",
    "Encoded",
    "PixelError",
    "Progress",
    "Shape",
    "Source",
    "dataset_pieces",
    "encode_instance",
    "file_start",
    "offered",
]
