"""A conformance statement as data: frozen dataclasses, nothing else.

Rules of this file:

* One clause = one testable row of the statement = one permanent id.  Ids are never renumbered and never reused.
* What the statement prints and what is read instead are both kept: `Printed` is the paper, the rest is the reading
  that the bench uses; where they differ an erratum says why.
* Texts are the statement's words; numbers of values, types and UIDs stay texts, as in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.scenario.problems import InputErrors

#: What a clause is about.
KINDS: Final[Mapping[str, str]] = {
    "service": "a SOP class that the product supports, with its role",
    "context": "a presentation context that the product proposes or accepts",
    "association": "a policy or a value of association negotiation",
    "behaviour": "a step, an order, or a reaction of the product",
    "attribute": "an element of a data set that the product makes",
    "key": "a matching or return key of a query",
    "content": "a row of a structured report's content tree",
    "charset": "a character set",
    "communication": "a protocol stack or a physical medium of the network",
    "configuration": "a parameter that can be configured",
    "security": "a security feature or an assumption about the environment",
    "media": "a file-set, a profile, or an activity on removable media",
    "media-syntax": "a SOP class and transfer syntax on removable media",
}

#: The data set that the attributes of a section stand in.
DATASETS: Final[Mapping[str, str]] = {
    "object": "a composite object sent by C-STORE or written to a medium (of the section's SOP classes)",
    "worklist-query": "the identifier of a worklist C-FIND-RQ",
    "study-query": "the identifier of a study root C-FIND-RQ",
    "mpps-create": "the N-CREATE-RQ of a performed procedure step",
    "mpps-set": "the N-SET-RQ of a performed procedure step",
    "commitment-request": "the N-ACTION-RQ of storage commitment",
    "film-session": "the N-CREATE-RQ of a basic film session",
    "film-box": "the N-CREATE-RQ of a basic film box",
    "image-box": "the N-SET-RQ of a basic grayscale image box",
    "printer": "the N-GET-RQ of the printer: the attribute identifier list",
    "dicomdir": "the DICOMDIR of a file-set",
    "patient-record": "a PATIENT record of the DICOMDIR",
    "study-record": "a STUDY record of the DICOMDIR",
    "series-record": "a SERIES record of the DICOMDIR",
    "image-record": "an IMAGE record of the DICOMDIR",
}

#: How a value of the data set is compared with the listed values.
MATCHES: Final[Mapping[str, str]] = {
    "whole": "the element's value is one of the listed ones",
    "prefix": "the element's value begins with one of the listed ones",
    "leading": "the first components of a multi-valued element are the listed ones; more may follow",
    "bounds": "the listed values are bounds (one for each bit depth); the true extreme of the pixels is right as well",
    "configured": "one of the listed values, or the one that the product's configuration names",
    "form": "the listed value shows the form, not the text (names: family name first)",
}

#: What is wrong with a place of the paper.
SEVERITIES: Final[Mapping[str, str]] = {
    "contradiction": "the paper contradicts the standard, or itself",
    "typo": "the paper means what the standard says and prints it wrongly",
    "ambiguous": "the paper can be read in more than one way, or a part of it is lost",
}

#: PS3.5 section 7.4 and the tables of PS3.4; `blank` = the statement prints an empty cell.
TYPES: Final[tuple[str, ...]] = ("1", "1C", "2", "2C", "3", "-", "blank")
MATCHING: Final[tuple[str, ...]] = ("R", "O", "U", "-")
USAGES: Final[tuple[str, ...]] = ("M", "MC", "U")
CONFIDENCE: Final[tuple[str, ...]] = ("A", "B", "C")
ROLES: Final[tuple[str, ...]] = ("SCU", "SCP", "FSC", "FSU", "FSR")
RELATIONS: Final[tuple[str, ...]] = (
    "CONTAINS",
    "HAS OBS CONTEXT",
    "HAS CONCEPT MOD",
    "HAS PROPERTIES",
    "HAS ACQ CONTEXT",
    "INFERRED FROM",
    "SELECTED FROM",
)
VALUE_TYPES: Final[tuple[str, ...]] = (
    "CODE",
    "COMPOSITE",
    "CONTAINER",
    "DATE",
    "DATETIME",
    "IMAGE",
    "INCLUDE",
    "NUM",
    "PNAME",
    "SCOORD",
    "TCOORD",
    "TEXT",
    "TIME",
    "UIDREF",
    "WAVEFORM",
)


class StatementErrors(InputErrors):
    """A statement file cannot be used; :attr:`problems` lists every fault with file and line."""


@dataclass(frozen=True, slots=True)
class Edition:
    """Which paper this is."""

    document: str
    revision: str
    date: str
    language: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """Whose statement this is; `variants` are states of the product that some clauses are limited to."""

    name: str
    vendor: str
    kind: str
    variants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Printed:
    """What the paper prints where the reading differs; None = the same."""

    tag: str | None = None
    name: str | None = None
    value: str | None = None
    matching: str | None = None
    relationship: str | None = None


@dataclass(frozen=True, slots=True)
class Types:
    """Attribute types (PS3.5 7.4); None = the statement has no such column.

    `product` is what the product promises, `printed` the statement's column of the standard's type, `standard` the
    type in the standard of today with `standard_note` ("1 in dx-image").
    """

    printed: str | None = None
    standard: str | None = None
    product: str | None = None
    standard_note: str = ""

    @property
    def promised(self) -> str | None:
        """The type that a data set is held to: the product's, else the printed, else the standard's one."""
        return next(
            (t for t in (self.product, self.printed, self.standard) if t not in (None, "blank")), None
        )


@dataclass(frozen=True, slots=True)
class KeyFlags:
    """Matching and return key types of a query key (PS3.4 K.6, C.6), as printed and in the standard."""

    matching: str | None = None
    returned: str | None = None
    standard: str = ""


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """What a clause says about one element.

    `path` and `path_keywords` name the sequences around the element, outermost first; an empty path is the top level
    of the data set.  `values` are the values allowed, in the reading that the bench uses; `words` is the statement's
    cell where it says more than these.
    """

    tag: str  # (GGGG,EEEE), upper case
    keyword: str
    vrs: tuple[str, ...]
    vm: str
    path: tuple[str, ...] = ()
    path_keywords: tuple[str, ...] = ()
    types: Types = Types()
    key: KeyFlags | None = None
    usage: tuple[str, str] | None = None  # PS3.4 H: SCU, SCP
    values: tuple[str, ...] = ()
    match: str = "whole"
    range: tuple[int, int] | None = None
    words: str = ""
    condition: str = ""
    module: str = ""
    maps_to: str = ""
    sop_classes: tuple[str, ...] = ()  # of the objects meant, when not all of the section

    @property
    def dotted(self) -> str:
        """The keyword with its path: ``RequestAttributesSequence.ScheduledProcedureStepID``."""
        return ".".join((*self.path_keywords, self.keyword))


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8)."""

    value: str
    scheme: str
    meaning: str

    def __str__(self) -> str:
        return f'({self.value}, {self.scheme}, "{self.meaning}")'


@dataclass(frozen=True, slots=True)
class ContentRule:
    """A row of a content tree (PS3.16): template, depth below the template's container, what stands there."""

    template: str
    level: int
    relationship: str
    value_type: str
    concept: Code | None = None
    include: str = ""  # the template that an INCLUDE row names
    vm: str = ""
    codes: tuple[Code, ...] = ()
    unit: Code | None = None
    words: str = ""
    standard: str = ""


@dataclass(frozen=True, slots=True)
class SopRule:
    """A SOP class with its role and, for contexts, its transfer syntaxes; `exact` = these and no others."""

    uid: str
    name: str
    roles: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...] = ()
    syntax_name: str = ""
    exact: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class CharsetRule:
    """Values of Specific Character Set (0008,0005); the first may be empty (PS3.3 C.12.1.1.2)."""

    terms: tuple[str, ...]
    repertoire: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Clause:
    """One testable row of a statement."""

    id: str
    kind: str
    section: str  # number of the section it stands in
    original: tuple[str, ...]  # section numbers of the paper
    title: str
    text: str = ""
    check: str = ""
    errata: tuple[str, ...] = ()
    confidence: str = ""
    remark: str = ""
    only_for: str = ""
    printed: Printed = Printed()
    attribute: AttributeRule | None = None
    content: ContentRule | None = None
    sop: SopRule | None = None
    charset: CharsetRule | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """Clauses that belong together: one table of the report."""

    number: str
    title: str
    prefix: str = ""
    original: tuple[str, ...] = ()
    kind: str = ""
    dataset: str = ""
    sop_classes: tuple[str, ...] = ()
    note: str = ""
    clauses: tuple[Clause, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Erratum:
    """A doubt about the paper: what it says, what the standard says, and the reading that the bench uses.

    `overrules` names the parts of the dictionary (``keyword``, ``vr``, ``vm``) that clauses with this erratum may
    contradict.
    """

    id: str
    severity: str
    statement: str
    standard: str
    reading: str
    overrules: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Default:
    """A choice where the statement is silent: a fact, the value chosen, and why.

    `attributes` lists what an object must hold as well: object kind -> keyword -> type.
    """

    id: str
    fact: str
    value: str
    why: str
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True)
class Statement:
    """A conformance statement: sections with clauses, errata, defaults; `by_id` finds a clause."""

    name: str
    prefix: str
    edition: Edition
    product: Product
    sections: tuple[Section, ...]
    errata: Mapping[str, Erratum]
    defaults: Mapping[str, Default]
    by_id: Mapping[str, Clause]
    file: str

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """All clauses in the order of the file."""
        return tuple(self.by_id.values())

    def section_of(self, clause: Clause) -> Section:
        """Return the section that a clause stands in."""
        return next(section for section in self.sections if section.number == clause.section)
