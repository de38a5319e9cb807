"""The objects of a case that can be judged: whole composite objects that the SUT sent, each with its IOD's table.

Rules of this file:

* An object that was cut off (association lost, gap in the capture) is not judged: what it lacks says nothing.
* An object that was sent several times (retries, several destinations) is judged each time: each is an
  occasion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.checks.iod.declared import Declared
from bench.checks.iod.tables import Iod, iod, tag_text

if TYPE_CHECKING:
    from bench.checks.case import Case, Stored
    from bench.resultmodel import Evidence
    from bench.witness.dataset import DataSet, Element
    from bench.witness.model import Message


@dataclass(frozen=True, slots=True)
class Subject:
    """An object with what is needed to judge it."""

    case: Case
    stored: Stored
    dataset: DataSet
    iod: Iod | None
    declared: Declared

    @property
    def message(self) -> Message:
        """The C-STORE-RQ."""
        return self.stored.message

    @property
    def sop_class(self) -> str:
        """Affected SOP Class UID."""
        return self.stored.sop_class

    def at(
        self, *keywords: str, owner: DataSet | None = None, note: str | None = None
    ) -> tuple[Evidence, ...]:
        """Return where attributes stand (or, for absent ones, which are missing)."""
        dataset = self.dataset if owner is None else owner
        return tuple(
            self.case.at(self.message, dataset.get(keyword) or tag_text(keyword), note=note)
            for keyword in keywords
        ) or (self.case.at(self.message),)

    def on(self, element: Element | str) -> Evidence:
        """Return where an element stands."""
        return self.case.at(self.message, element)


def subjects(case: Case) -> tuple[Subject, ...]:
    """Return every object of the case that came whole and could be read to its end."""
    return case.once(_subjects)


def _subjects(case: Case) -> tuple[Subject, ...]:
    declared: dict[str, Declared] = {}
    found = []
    for stored in case.objects:
        dataset = stored.dataset
        if dataset is None or not stored.message.complete or dataset.broken_at is not None:
            continue
        uid = stored.sop_class
        if uid not in declared:
            declared[uid] = Declared(case.statement, uid)
        found.append(Subject(case, stored, dataset, iod(uid), declared[uid]))
    return tuple(found)


def unreadable(case: Case) -> Iterator[Stored]:
    """Objects whose data set could not be read to its end although the whole message was seen."""
    for stored in case.objects:
        dataset = stored.dataset
        if dataset is not None and stored.message.complete and dataset.broken_at is not None:
            yield stored


def images(case: Case) -> Iterator[Subject]:
    """Objects that are images: they have rows, or pixels, or an IOD that demands them."""
    for subject in subjects(case):
        if (
            subject.dataset.has("Rows")
            or subject.dataset.has("PixelData")
            or (subject.iod is not None and "PhotometricInterpretation" in subject.iod.mandatory)
        ):
            yield subject
