"""What is asked of media storage, and what it answers.

Rules of this file:

* Errors have a code for programs and one sentence for the operator.
* Nothing here touches a medium.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
US: Final = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTIFRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
KINDS: Final[Mapping[str, str]] = {US: "still", US_MULTIFRAME: "clip", SECONDARY_CAPTURE: "screen"}
"""The SOP Classes that MX1 writes to media (MX-MED-PC-002 … 015), and how the options call them."""
CODES: Final = (
    "no-medium",
    "not-a-directory",
    "unreadable",
    "full",
    "protected",
    "io",
    "exists",
    "foreign-damaged",
    "foreign-unsupported",
    "patient-conflict",
    "interrupted",
    "nothing",
    "image",
)
"""Every code that a :class:`MediaError` may have."""

Progress = Callable[[int, int], None]
"""Told (bytes written, bytes in all) from the thread that works; may raise :class:`Stop`."""


class Stop(Exception):
    """Raised by a progress callback: the operator wants no more."""


class MediaError(Exception):
    """The medium is as it was before, or, when it could not be reached any more, not worse than that.

    Attributes:
        code: one of :data:`CODES`.
        text: one sentence for the operator.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Options:
    """How files are written.

    Attributes:
        syntaxes: transfer syntax by kind (``still``, ``clip``, ``screen``); Explicit VR Little Endian where none is
            given (MX-D-22).
        implementation: Implementation Class UID and Version Name of file and DICOMDIR (MX-MED-001, 002).
        file_set_id: File-set ID of a new file-set, at most 16 characters of CS (MX-D-20: empty).
        state: a folder on the device's own disk, where unfinished work is remembered and compressed images wait;
            None remembers nothing beyond the call.
        verify: read every file back and compare.
    """

    syntaxes: Mapping[str, str] = field(default_factory=dict)
    implementation: tuple[str, str] = ("1.2.392.200036.9107.700.1", "MG_DICOM V1.00")
    file_set_id: str = ""
    state: Path | None = None
    verify: bool = True

    def syntax_of(self, sop_class: str) -> str:
        """The transfer syntax for an object of a SOP Class."""
        return self.syntaxes.get(KINDS[sop_class], EXPLICIT_LE)


@dataclass(frozen=True)
class SavedFile:
    """One file that was written (size in bytes; SHA-256 of the whole file)."""

    file_id: str
    sop_class: str
    sop_instance: str
    syntax: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Saved:
    """What an operation did.

    Attributes:
        action: ``export`` when a file-set was made, ``add`` when one was updated.
        files: those that were written, in the order of the instances.
        dicomdir_sha256: of the DICOMDIR that is on the medium now.
        skipped: SOP Instance UIDs that were on the medium already, or were asked for twice.
        notes: sentences for the operator, such as what was put right.
    """

    action: str
    files: tuple[SavedFile, ...]
    dicomdir_sha256: str
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
