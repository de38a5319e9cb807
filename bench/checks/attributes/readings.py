"""How an erratum changes the verdict on a row: the decisions for the errata that attribute and key rows cite.

Rules of this file:

* The statement's data hold the reading already (the corrected tag, the true enumerated value).  What stands here is
  only which verdict a product gets that keeps the reading, or that keeps the paper's words instead of the standard's.
* A product that does what the erratum reads out of an impossible text: PASS-ERRATUM.  One that does exactly what the
  statement says where the standard wants more, and the erratum tolerates it: DEV-FROM-STD (ruling A2).  Where the
  erratum says FAIL, or demands the standard's reading without a tolerance: FAIL.
* An erratum that is not listed here (a third statement's) is read from its own words and from ``printed``:
  ``DEV-FROM-STD`` in its reading tolerates, a printed tag, type or value that is another one makes PASS-ERRATUM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.statements.model import Clause, Statement
from bench.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Reading:
    """A decision.

    ``corrected``: what is right is so by the corrected reading only.  ``wants``: the type that the standard asks
    for beyond the product's promise, and ``otherwise`` the verdict when only the promise is kept; ``unless`` names
    a condition (:mod:`bench.checks.attributes.conditions`) under which the promise is enough.  ``values``: verdicts
    on single values.  ``present``: the verdict when the element is there and right.  ``instead``: an attribute that
    may stand in its place (PASS-ERRATUM).  ``allowed``: values where the statement's data list none.
    """

    why: str
    corrected: bool = False
    wants: str = ""
    otherwise: Verdict = Verdict.DEV_FROM_STD
    unless: str = ""
    values: Mapping[str, Verdict] = field(default_factory=dict)
    present: Verdict | None = None
    instead: str = ""
    allowed: tuple[str, ...] = ()


#: Decisions by erratum.
ERRATA: Final[Mapping[str, Reading]] = {
    # Tags: the right one is the corrected reading; the printed one is no substitute ("a real device that sends the
    # printed tags: FAIL"), which the engine does for every clause with a printed tag.
    "VX-E-01": Reading("the paper prints the tag of another attribute", corrected=True),
    "MX-E-12": Reading("the paper prints the tag of Institution Name for Modality", corrected=True),
    # Names: the order of the components cannot be seen; trailing carets are free.
    "VX-E-14": Reading("family name first, trailing carets optional"),
    # Attributes outside their module: optional.  E-15 says "no failure", E-17 points to E-10: a remark of deviation.
    "VX-E-15": Reading("optional, retired or outside the module; no failure"),
    "VX-E-17": Reading(
        "not an attribute of this module: makes the SOP class an extended one", present=Verdict.DEV_FROM_STD
    ),
    "VX-E-16": Reading("inside the item, 1 when there is one"),
    # Modality CR stands in the paper's General Series row, and the DX IOD forbids it: that row keeps its words
    # (ruling D3), the DX Series row, which lists DX only, fails.
    "VX-E-18": Reading("a DX object has Modality DX", values={"CR": Verdict.DEV_FROM_STD}),
    "VX-E-19": Reading("the product's type governs"),
    "VX-E-20": Reading(
        "14 bits are not in PS3.4 H.4.3.1",
        values={"14": Verdict.DEV_FROM_STD, "13": Verdict.DEV_FROM_STD},
    ),
    "VX-E-21": Reading("a name misprinted, the tag is right"),
    # Ruling E2: absent although there was an MPPS, the clause passes and STD-IOD deviates.
    "VX-E-22": Reading("type 3 in the statement, 1C in the standard"),
    "VX-E-23": Reading("two alternative values, not one"),
    "VX-E-24": Reading("the standard wants a value in a DX image", wants="1"),
    "VX-E-25": Reading("the paper lost the backslash", corrected=True),
    "VX-E-26": Reading("normally absent; 1\\1 is tolerated"),
    "VX-E-27": Reading("the extremes of the image, or the bounds of its depth"),
    "VX-E-28": Reading("type 1, as the product's column says"),
    # The paper lists INVERSE while every image is MONOCHROME2: the row keeps its words, the standard's check fails.
    "VX-E-29": Reading(
        "IDENTITY belongs to MONOCHROME2", corrected=True, values={"INVERSE": Verdict.DEV_FROM_STD}
    ),
    "VX-E-30": Reading("a name misprinted, the tag is right"),
    "VX-E-31": Reading("the paper misspells SCINTILLATOR", corrected=True),
    "VX-E-33": Reading("what the SCP should match on is its affair; the key is sent"),
    # A third value may be lost; none is guessed: what is not listed fails.
    "VX-E-34": Reading("the two values that are legible"),
    "VX-E-35": Reading("a CS has no '.'", corrected=True),
    "VX-E-36": Reading("hundredths of optical density"),
    "VX-E-37": Reading("a name misprinted, the tag is right"),
    "VX-E-38": Reading("a name misprinted, the tag is right"),
    "VX-E-42": Reading("Code Meaning is type 1 in a coded entry", wants="1"),
    "VX-E-43": Reading("the paper prints no tag and no type", corrected=True),
    # "Always Empty" belongs to the N-CREATE: at the end there is an item, but for a step without images (ruling D6).
    "VX-E-44": Reading(
        "'Always Empty' belongs to the N-CREATE; the final N-SET has at least one item",
        corrected=True,
        wants="1",
        otherwise=Verdict.FAIL,
        unless="the step was discontinued without images",
    ),
    # Ruling E8.
    "VX-E-45": Reading(
        "Modality is a key of the SERIES level", present=Verdict.DEV_FROM_STD, instead="(0008,0061)"
    ),
    "VX-E-46": Reading("a return key that is always in the identifier and goes out empty"),
    "VX-E-47": Reading("type 1 in the SR modules of the standard", wants="1"),
    "VX-E-48": Reading("the paper lost the name and the tag; restored from the DX table", corrected=True),
    # No tolerance in the erratum: "always with a value".
    "VX-E-60": Reading(
        "type 1 in the final state", wants="1", otherwise=Verdict.FAIL, unless="the state is not final"
    ),
    "MX-E-09": Reading("letters destroyed in the scan; the dictionary's VR"),
    # Secondary captures are DERIVED\SECONDARY (MX-D-13); values 3 and on are free.
    "MX-E-10": Reading(
        "the foot-note on the values is lost; the enumerated values of PS3.3 C.7.6.1.1.2",
        allowed=("ORIGINAL\\PRIMARY", "DERIVED\\PRIMARY", "ORIGINAL\\SECONDARY", "DERIVED\\SECONDARY"),
    ),
    "MX-E-11": Reading("the heading of the Cine module is destroyed"),
    "MX-E-13": Reading("the flag is unreadable, read as O; the key may carry a value"),
    "MX-E-15": Reading("present when the item is present"),
    "MX-E-16": Reading("no further key is required, more are allowed"),
}

_TOLERATED: Final = re.compile(r"\b(absent|empty)\b[^.;]*= DEV-FROM-STD", re.IGNORECASE)


def readings(statement: Statement, clause: Clause) -> tuple[Reading, ...]:
    """Return the decisions for a clause: those listed, else what the errata themselves say."""
    if not clause.errata:
        return ()
    return tuple(
        ERRATA.get(name) or _of_itself(statement, clause, name)
        for name in clause.errata
        if name in statement.errata
    )


def _of_itself(statement: Statement, clause: Clause, name: str) -> Reading:
    """Read an erratum that nobody decided on: tolerance in its words, correction in what is printed."""
    text = statement.errata[name].reading
    rule = clause.attribute
    standard = (rule.types.standard or "") if rule is not None else ""
    printed = clause.printed
    return Reading(
        text,
        corrected=printed.tag is not None or printed.value is not None,
        wants=standard if _TOLERATED.search(text) and standard in ("1", "2") else "",
    )


__all__ = ["ERRATA", "Reading", "readings"]
