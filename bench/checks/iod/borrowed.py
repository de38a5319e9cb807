"""What the worklist gave the SUT: a wrong value of a peer, copied as it had to be, is that peer's mistake.

Rules of this file:

* Only what stands in a worklist answer of this capture excuses anything, and only the very same value.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.checks.case import Case

KEPT: Final = (
    "PatientSex",
    "PatientBirthDate",
    "PatientAge",
    "PregnancyStatus",
    "PatientSexNeutered",
    "SmokingStatus",
)


@dataclass(slots=True)
class Borrowed:
    """Values of some attributes, and codes that came without their scheme or meaning."""

    values: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    bare_codes: set[str] = field(default_factory=set)

    def has(self, keyword: str, value: str) -> bool:
        """Whether a worklist item gave an attribute this value."""
        return value in self.values.get(keyword, ())


def borrowed(case: Case) -> Borrowed:
    """Return what the worklist answers of a case gave."""
    return case.once(_borrowed)


def _borrowed(case: Case) -> Borrowed:
    found = Borrowed()
    for query in case.requests("C-FIND-RQ"):
        for answer in case.exchange(query).responses:
            if answer.dataset is None:
                continue
            for keyword in KEPT:
                found.values[keyword].update(answer.dataset.texts(keyword))
            for _, owner, element in answer.dataset.walk():
                if element.keyword == "CodeValue" and not (
                    owner.text("CodeMeaning") and owner.text("CodingSchemeDesignator")
                ):
                    found.bare_codes.add(owner.text("CodeValue") or "")
    return found
