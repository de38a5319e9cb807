"""Making one defect: small conforming conversations, and edits of what is said in them.

Rules of this file: an edit hits what it names and nothing else; an edit that never hit anything is an error of the
recipe (:func:`once` and its sisters count), so that no capture is called bad that is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulators.wire.dimse import Command
from tests.lab.conversation import Conversation, Lab, Outgoing
from tests.lab.elements import DataSet
from tests.lab.products.facts import PERSONS, Exam, Exposure
from tests.lab.products.vxvue import PACS, PRINTER, RIS, VXvue

SMALL = Exposure(rows=8, columns=8)
OTHER = replace(SMALL, number=2, view="LL")
Change = Callable[[DataSet], object]


def exam(
    language: str = "default", number: int = 1, shots: tuple[Exposure, ...] = (SMALL,), scheduled: bool = True
) -> Exam:
    """An exam."""
    return Exam(PERSONS[language], number=number, exposures=shots, scheduled=scheduled)


def on(
    lab: Lab,
    name: str,
    change: Callable[[Outgoing], object],
    *,
    of: str | None = None,
    nth: int | None = None,
) -> None:
    """Change the messages called ``name`` (of one SOP class; only the nth, from 1) that the product sends."""
    seen = [0]

    def edit(out: Outgoing) -> None:
        sop_class = out.command.sop_class if isinstance(out.command, Command) else ""
        if out.name != name or (of is not None and sop_class != of):
            return
        seen[0] += 1
        if nth in (None, seen[0]):
            change(out)

    lab.edit(edit)


def dataset(lab: Lab, name: str, change: Change, *, of: str | None = None, nth: int | None = None) -> None:
    """Change the data sets of the messages called ``name``."""

    def edit(out: Outgoing) -> None:
        if not isinstance(out.dataset, DataSet):
            raise TypeError(f"{name} has no data set to change")
        change(out.dataset)

    on(lab, name, edit, of=of, nth=nth)


def one_image(
    lab: Lab, change: Change | None = None, *, language: str = "default", shot: Exposure = SMALL
) -> Conversation:
    """An unscheduled image goes to the archive."""
    if change is not None:
        dataset(lab, "C-STORE-RQ", change)
    return VXvue(lab).store(PACS, exam(language, shots=(shot,), scheduled=False), mpps=False)


def one_report(lab: Lab, change: Change | None = None, shots: tuple[Exposure, ...] = (SMALL,)) -> None:
    """Images of an unscheduled exam and their dose report go to the archive."""
    if change is not None:
        dataset(lab, "C-STORE-RQ", change, of="1.2.840.10008.5.1.4.1.1.88.67")
    vx = VXvue(lab)
    today = exam(shots=shots, scheduled=False)
    vx.store(PACS, today, mpps=False)
    vx.dose(PACS, today, mpps=False)


def one_exam(
    lab: Lab, *, dose: bool = False, commitment: bool = False, shots: tuple[Exposure, ...] = (SMALL,)
) -> None:
    """A scheduled exam: worklist, step, images, end of the step."""
    VXvue(lab).exam(exam(shots=shots), dose=dose, commitment=PACS if commitment else None)


def one_film(lab: Lab, **how: object) -> None:
    """A film."""
    VXvue(lab).print_film(PRINTER, exam(scheduled=False), **how)  # type: ignore[arg-type]


def one_worklist(lab: Lab, change: Change) -> None:
    """A worklist query."""
    dataset(lab, "C-FIND-RQ", change)
    VXvue(lab).worklist(RIS, [exam()])


def content(root: DataSet, *codes: str) -> DataSet:
    """The content item with these concepts, from the root down; ``KeyError`` when there is none."""
    for code in codes:
        for item in root.get("ContentSequence") or ():
            if item.item("ConceptNameCodeSequence").get("CodeValue") == code:
                root = item
                break
        else:
            raise KeyError(code)
    return root


def drop_content(root: DataSet, *codes: str) -> None:
    """Take a content item out of the tree."""
    parent = content(root, *codes[:-1])
    gone = content(root, *codes)
    parent.put("ContentSequence", [item for item in parent.get("ContentSequence") if item is not gone])
