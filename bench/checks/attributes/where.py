"""Where the attributes of a section stand: the data sets that the SUT sent, and the items on a path into them.

Rules of this file:

* Only what the SUT sent, whatever the peer answered: a refused request is judged as it was sent.
* A data set that the product never finished sending (the association was cut) is no occasion; one of which the
  capture misses a part is an occasion with a gap (ruling B5).
* An absent or empty sequence has no items: what would stand in them is not applicable (ruling D8), never a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from bench.checks.case import Case
from bench.statements.model import Section
from bench.witness.dataset import DataSet, Element
from bench.witness.model import Message

WORKLIST: Final = "1.2.840.10008.5.1.4.31"
STUDY_ROOT: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
FILM_SESSION: Final = "1.2.840.10008.5.1.1.1"
FILM_BOX: Final = "1.2.840.10008.5.1.1.2"
IMAGE_BOX: Final = "1.2.840.10008.5.1.1.4"
PRINTER: Final = "1.2.840.10008.5.1.1.16"
SPOKEN: Final = 20
"""Data sets of a section whose right elements are told with value and place; a report keeps no more (verdicts)."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """A data set of the kind that a section speaks of.

    ``brief``: enough of its kind were seen, what is right about it needs no words and no evidence.
    ``gap`` tells what cannot be known of it: it is empty for a data set that was read from its first to its last
    byte.  Without a gap, no ``dataset`` means that none was sent.
    """

    message: Message
    dataset: DataSet | None
    sop_class: str = ""
    gap: str = ""
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """A data set or item in which an element is looked for.

    ``tags`` and ``names`` are the path to it (``(0040,0270)[1]``); ``missing`` names the sequence on the path that
    has no item, and ``element`` is that sequence when it is there but empty.
    """

    dataset: DataSet
    tags: str = ""
    names: str = ""
    missing: str = ""
    element: Element | None = None


@cache
def tag_number(tag: str) -> int:
    """Return the number of a tag.

    >>> hex(tag_number("(0010,0020)"))
    '0x100020'
    """
    return int(tag[1:5] + tag[6:10], 16)


def occasions(case: Case, section: Section) -> tuple[Occasion, ...]:
    """Return the data sets that a section's attributes stand in; none for data sets that are not on the network."""
    source = SOURCES.get(section.dataset)
    found = () if source is None else tuple(source(case, section))
    return tuple(one if number < SPOKEN else replace(one, brief=True) for number, one in enumerate(found))


def owners(dataset: DataSet, path: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Owner]:
    """Return every item at the end of a path of sequences, or where the path ends before."""
    if not path:
        yield Owner(dataset)
        return
    yield from _descend(Owner(dataset), tuple(zip(path, names, strict=True)))


def _descend(at: Owner, path: tuple[tuple[str, str], ...]) -> Iterator[Owner]:
    if not path:
        yield at
        return
    (tag, name), rest = path[0], path[1:]
    element = at.dataset.get(tag_number(tag))
    items = () if element is None else element.items
    if not items:
        yield Owner(at.dataset, at.tags + tag, at.names + name, missing=at.names + name, element=element)
    for number, item in enumerate(items, 1):
        place = f"[{number}]"
        yield from _descend(Owner(item, f"{at.tags}{tag}{place}", f"{at.names}{name}{place}."), rest)


def _objects(case: Case, section: Section) -> Iterator[Occasion]:
    for stored in case.objects_of(*section.sop_classes):
        yield from _occasion(case, stored.message)


def _request(name: str, sop_class: str) -> Callable[[Case, Section], Iterator[Occasion]]:
    def source(case: Case, section: Section) -> Iterator[Occasion]:
        for message in case.requests(name, sop_class):
            yield from _occasion(case, message)

    return source


def _printer(case: Case, section: Section) -> Iterator[Occasion]:
    """The attribute identifier list stands in the command set (PS3.7 10.1.2): there is no data set."""
    for message in case.requests("N-GET-RQ", PRINTER):
        yield Occasion(message, None, message.sop_class or "")


def _occasion(case: Case, message: Message) -> Iterator[Occasion]:
    dataset, sop_class = message.dataset, message.sop_class or ""
    association = case.association(message)
    if not message.complete:
        if association.whole and association.end != "open":
            return  # the product was cut off: there never was such a data set
        yield Occasion(message, None, sop_class, "the capture does not hold the whole data set")
    elif dataset is None:
        # A request that announces no data set breaks one rule of messages or services, not every row of a table.
        if message.command.has_dataset:
            yield Occasion(message, None, sop_class, "the data set was not seen")
    elif dataset.broken_at is not None:
        broken = next(p for p in dataset.problems if p.structural)
        yield Occasion(message, dataset, sop_class, f"the data set cannot be read to its end ({broken.text})")
    else:
        yield Occasion(message, dataset, sop_class)


SOURCES: Final[Mapping[str, Callable[[Case, Section], Iterator[Occasion]]]] = {
    "object": _objects,
    "worklist-query": _request("C-FIND-RQ", WORKLIST),
    "study-query": _request("C-FIND-RQ", STUDY_ROOT),
    "mpps-create": _request("N-CREATE-RQ", MPPS),
    "mpps-set": _request("N-SET-RQ", MPPS),
    "commitment-request": _request("N-ACTION-RQ", COMMITMENT),
    "film-session": _request("N-CREATE-RQ", FILM_SESSION),
    "film-box": _request("N-CREATE-RQ", FILM_BOX),
    "image-box": _request("N-SET-RQ", IMAGE_BOX),
    "printer": _printer,
}
