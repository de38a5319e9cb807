"""Which objects a commitment request concerns: what the SUT sent to the archive behind the commitment peer.

Rules of this file:

* The archive is the storage peer with the commitment peer's AE title on its host, else the one storage peer of that
  host, else the one that the configuration ties to it, else the only one there is; where several are left, none is
  taken (ruling C6).
* Indices are made once for a case, so that a request costs what it names and not what was ever sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.checks.case import Case, Stored
from bench.checks.services.commitment import Request
from bench.checks.services.common import uid
from bench.checks.services.performed import changes
from bench.witness.model import Association


@dataclass(slots=True)
class Archive:
    """Everything that was sent to one storage peer, by instance and by study, in order."""

    objects: list[Stored] = field(default_factory=list)
    by_instance: dict[str, list[Stored]] = field(default_factory=dict)
    by_study: dict[str, list[Stored]] = field(default_factory=dict)

    def add(self, stored: Stored) -> None:
        """Take up one more object."""
        self.objects.append(stored)
        self.by_instance.setdefault(stored.sop_instance, []).append(stored)
        study = uid(stored.dataset, "StudyInstanceUID")
        if study:
            self.by_study.setdefault(study, []).append(stored)

    def concerned(self, instances: Iterable[str]) -> tuple[list[Stored], set[str]]:
        """Return what was sent of these instances and of their studies, in order, and these studies."""
        named = {id(s): s for i in instances for s in self.by_instance.get(i, ())}
        studies = {uid(s.dataset, "StudyInstanceUID") for s in named.values()} - {""}
        for study in studies:
            named.update({id(s): s for s in self.by_study[study]})
        order = sorted(named.values(), key=lambda s: (s.message.first_time, s.message.first_frame))
        return order, studies


def archives(case: Case) -> Mapping[tuple[str, str], Archive]:
    """Return the archives by address and AE title."""
    return case.once(_archives)


def _archives(case: Case) -> dict[tuple[str, str], Archive]:
    found: dict[tuple[str, str], Archive] = {}
    for stored in case.objects:
        association = case.association(stored.message)
        found.setdefault((association.acceptor.address, association.called), Archive()).add(stored)
    return found


def archive_of(case: Case, request: Request) -> Archive | None:
    """Return the archive that a request concerns; None when it cannot be told."""
    association = case.association(request.message)
    places = archives(case)
    address = association.acceptor.address
    if (address, association.called) in places:
        return places[address, association.called]
    here = [place for place in places if place[0] == address]
    if not here:
        tied = {
            (entry.get("address"), entry.get("ae_title"))
            for entry in case.config.get("storage") or ()
            if isinstance(entry, Mapping) and _commits(entry.get("commitment"), association)
        }
        here = [p for p in places if any(a in (None, p[0]) and t in (None, p[1]) for a, t in tied)] or list(
            places
        )
    return places[here[0]] if len(here) == 1 else None


def _commits(entry: object, association: Association) -> bool:
    """Whether a configured commitment peer is the one of an association."""
    if not isinstance(entry, Mapping):
        return False
    title, address = entry.get("ae_title"), entry.get("address")
    return title in (None, association.called) and address in (None, association.acceptor.address)


def performed(case: Case) -> Mapping[str, float]:
    """Return when the SUT first told the MPPS SCP about an image, by its instance."""
    return case.once(_performed)


def _performed(case: Case) -> dict[str, float]:
    found: dict[str, float] = {}
    for message in changes(case):
        for series in message.dataset.items("PerformedSeriesSequence") if message.dataset is not None else ():
            for item in series.items("ReferencedImageSequence"):
                found.setdefault(uid(item, "ReferencedSOPInstanceUID"), message.last_time)
    return found
