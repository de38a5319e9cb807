"""What the DICOM services need to know of the product that they belong to.

Rules of this file: data only.  Two products that differ in a number or a list differ in their profile, never by an
``if`` in a service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..dicom.uids import EXPLICIT


@dataclass(frozen=True)
class Context:
    """One presentation context to propose: transfer syntaxes in the order in which they are offered."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (EXPLICIT,)


@dataclass(frozen=True)
class WorklistKeys:
    """What a worklist query asks for."""

    paths: tuple[str, ...]
    """Keywords, inside a sequence as ``Sequence.Keyword``."""
    defaults: Mapping[str, str]
    """Matching values beside own AE title, today and the configured modality."""
    limit: int
    """Items kept of one answer."""
    name_prefix: bool
    """A patient's name is asked for as the beginning of names: ``*`` is added to what is typed."""
    say_charset: bool
    """Specific Character Set stands in the query although all of it is ASCII."""


@dataclass(frozen=True)
class Profile:
    """One product as its peers see it."""

    name: str
    implementation_class_uid: str
    implementation_version_name: str | None
    announced_pdu: int
    """Maximum length in the A-ASSOCIATE-RQ: bytes of the PDU-length field."""
    unlimited_pdu: int
    """Longest P-DATA-TF to a peer that announces no limit."""
    longest_pdu: int | None
    """Longest P-DATA-TF to any peer; None: as long as the peer takes."""
    contexts: Mapping[str, tuple[Context, ...]]
    """Service -> what it proposes."""
    worklist: WorklistKeys
    one_association: bool = False
    """Never two associations at a time to one peer, whatever the services."""
    charsets: tuple[tuple[str, ...], ...] = ()
    """The only values of Specific Character Set that are written; empty: all that can be."""
    ipv4_only: bool = False
