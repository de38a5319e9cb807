"""What one step of the scenario language is, as data.

Rules of this file:

* A step is declared once; loader, JSON Schema, documentation and runner read the same declaration.
* Words that several steps share (hosts, requests, link modes, character sets) are declared here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.scenario.fields import Enum, Field, KeyedType, Record, Text

PEERS: Final = ("ris", "pacs", "pacs2", "printer")
"""Hosts that answer DICOM to the SUT."""

LINK_HOSTS: Final = ("modality", *PEERS, "detector")
"""Hosts with a cable of their own; `detector` is the acquisition link."""

MEDIA: Final = ("usb", "sd")
"""Places for removable media at the SUT."""

SIMULATORS: Final = (*PEERS, "detector", "generator", "panel", "world", "ultrasound", *MEDIA)
PRODUCTS: Final = ("vxvue", "mx1")
LINK_MODES: Final = ("10BASE-T", "100BASE-T", "1000BASE-T")
BENCH_NAMES: Final = ("modality", *PEERS)
"""Names that ``${name.ae}``, ``.host`` and ``.port`` may use without a step; the plan fills them in."""

_REQUESTS: Final = (
    *("C-ECHO-RQ", "C-STORE-RQ", "C-FIND-RQ", "C-GET-RQ", "C-MOVE-RQ", "C-CANCEL-RQ"),
    *("N-CREATE-RQ", "N-SET-RQ", "N-GET-RQ", "N-ACTION-RQ", "N-DELETE-RQ", "N-EVENT-REPORT-RQ"),
)
_SHORT: Final = {name.removesuffix("-RQ"): name for name in _REQUESTS}
SHORT_REQUESTS: Final = tuple(_SHORT)
"""DIMSE requests as people say them."""

REQUEST: Final = Enum(_REQUESTS, "DIMSE request", _SHORT)
OCCASION: Final = Enum(("associate", "release", *_REQUESTS), "occasion", _SHORT)
PEER: Final = Enum(PEERS, "peer")
DESTINATION: Final = Enum(("pacs", "pacs2"), "storage destination")
LINK_HOST: Final = Enum(LINK_HOSTS, "host", {"frontend": "detector"})
MEDIUM: Final = Enum(MEDIA, "medium")
PHANTOMS: Final = ("chest", "hand", "step_wedge", "line_pairs", "flat", "air", "small_field")
"""What can lie on the table; a test compares with :mod:`simulators.world.phantom`."""
PHANTOM: Final = Enum(PHANTOMS, "phantom")
US_SIZES: Final = ("640x480", "1024x768")
US_MODES: Final = ("B", "colour", "M", "PW")
US_PROBES: Final = ("C5-2", "L12-4", "P4-2")
"""What the ultrasound front end knows; a test compares with :mod:`simulators.ultrasound`."""
US_SIZE: Final = Enum(US_SIZES, "picture size")
US_MODE: Final = Enum(US_MODES, "mode")
US_PROBE: Final = Enum(US_PROBES, "probe")
SYNTAXES: Final[dict[str, str]] = {
    "implicit": "Implicit VR Little Endian",
    "explicit": "Explicit VR Little Endian",
    "big": "Explicit VR Big Endian",
    "jpeg": "JPEG Baseline",
    "lossless": "JPEG Lossless, first-order prediction",
}
"""Transfer syntaxes in the words of the MX1's settings."""
SYNTAX: Final = Enum(tuple(SYNTAXES), "transfer syntax")
LINK_MODE: Final = Enum(LINK_MODES, "link mode")
PRODUCT: Final = Enum(PRODUCTS, "product")

CHARSET_TERMS: Final = tuple(
    sorted(
        [f"ISO_IR {n}" for n in (6, 100, 101, 109, 110, 144, 127, 126, 138, 148, 13, 166, 192, 203)]
        + [
            f"ISO 2022 IR {n}"
            for n in (6, 100, 101, 109, 110, 144, 127, 126, 138, 148, 13, 166, 87, 159, 149, 58, 203)
        ]
        + ["GB18030", "GBK"]
    )
)
"""Defined terms of Specific Character Set (PS3.3 C.12.1.1.2)."""


@dataclass(frozen=True)
class Charset(Text):
    """Specific Character Set: one defined term, or several with backslashes; the empty one is ISO_IR 6."""

    say: str = "a DICOM character set like `ISO_IR 192`"
    empty: bool = True

    def convert(self, text: str) -> str:
        """Check every defined term."""
        terms = text.split("\\")
        for number, term in enumerate(terms):
            if term in CHARSET_TERMS or (term == "" and number == 0):
                continue
            from bench.scenario.problems import did_you_mean, shorten

            hint = did_you_mean(term, CHARSET_TERMS)
            raise ValueError(f"unknown character set '{shorten(term)}'" + (f" ({hint})" if hint else ""))
        if len(terms) > 1 and any(term.startswith(("ISO_IR", "GB")) for term in terms):
            raise ValueError("several character sets are all 'ISO 2022 IR …' (code extensions)")
        return text


CHARSET: Final = Charset()


@dataclass(frozen=True)
class StepSpec:
    """One verb of the language."""

    verb: str
    summary: str
    fields: tuple[Field, ...] = ()
    keywords: KeyedType | None = None  # open DICOM keywords beside the fields
    fault: bool = False  # may stand under `arm`
    undone_by: str = ""
    products: tuple[str, ...] = PRODUCTS
    results: tuple[str, ...] | None = None  # fields that `as:` gives; None: not known before it runs
    one_of: tuple[str, ...] = ()  # exactly one of these fields
    calls: str = ""  # the device's own word for it, when it has another one
    at_once: bool = False  # a fault that is a plain command: it happens when it is said, or at its trigger

    @property
    def family(self) -> str:
        """Return the part before the dot: who does it (``wait`` is the bench's)."""
        return self.verb.partition(".")[0] if "." in self.verb else "bench"

    @property
    def what(self) -> str:
        """Return the part after the dot."""
        return self.verb.rpartition(".")[2]

    @property
    def word(self) -> str:
        """Return what the device calls it."""
        return self.calls or self.what

    @property
    def record(self) -> Record:
        """Return the type of its arguments."""
        return Record(self.fields, self.keywords)
