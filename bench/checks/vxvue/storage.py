"""VX-STO-001 … -007: images go over one association per set, one C-STORE each, and the association is released.

A set of images is those of one study that wait together for one destination (VX-D-12, ruling C6).  Images that were
acquired while others were already on their way are a set of their own; so are those sent again after a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bench.checks.case import Case, Stored
from bench.checks.finding import Finding, Unseen, check, failed, inconclusive, passed
from bench.checks.services import claims
from bench.checks.services.common import (
    DOSE_REPORT,
    DX_IMAGE,
    asked,
    idle_associations,
    opening,
    peer,
    peer_key,
    proposes,
    readable,
    release_finding,
    status_text,
    uid,
)
from bench.checks.services.performed import changes, creations
from bench.checks.services.storage import difference
from bench.witness.model import Association

UNSEEN: Final = {
    "VX-STO-003": Unseen(
        "operator", "what the processing is set to and what it gives is known at the product only"
    ),
    "VX-STO-004": Unseen("operator", "the state of the local database is not on the wire"),
    "VX-STO-007": Unseen("operator", "the warning is shown at the product"),
}
TOGETHER: Final = 2.0
"""Seconds between two associations below which their images must have waited together."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """An association that carries images, with the C-STOREs of them."""

    association: Association
    images: tuple[Stored, ...]

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies of the images, as far as they can be read, in order."""
        return tuple(dict.fromkeys(s for i in self.images if (s := uid(i.dataset, "StudyInstanceUID"))))


def transfers(case: Case) -> tuple[Transfer, ...]:
    """Return the associations of the SUT that carry images, in order."""
    return case.once(_transfers)


def _transfers(case: Case) -> tuple[Transfer, ...]:
    found: dict[int, list[Stored]] = {}
    for stored in case.objects:
        if stored.sop_class != DOSE_REPORT:
            found.setdefault(stored.message.association, []).append(stored)
    return tuple(Transfer(a, tuple(found[a.number])) for a in case.outgoing if a.number in found)


def carries_only_reports(case: Case, association: Association) -> bool:
    """Tell whether an association was used for dose reports and nothing else."""
    classes = {e.request.sop_class for e in asked(case, association)}
    return classes == {DOSE_REPORT}


@check("VX-STO-001", "VX-STO-002", "VX-STO-005")
def steps(case: Case) -> Iterator[Finding]:
    """Association, C-STORE for each image, release."""
    yield from opening(
        case, "VX-STO-001", "DX image storage", (DX_IMAGE,), (s.message for s in case.objects_of(DX_IMAGE))
    )
    for transfer in transfers(case):
        taken: dict[str, Stored] = {}
        for stored in transfer.images:
            at = case.at(stored.message)
            before = taken.get(stored.sop_instance)
            if before is not None and not difference(before, stored):
                text = f"{stored.sop_instance} is sent twice on one association although it was taken"
                yield failed("VX-STO-002", text, at)
            else:
                yield passed("VX-STO-002", f"C-STORE-RQ of {stored.sop_instance}", at)
            if stored.accepted:
                taken.setdefault(stored.sop_instance, stored)
    for association in idle_associations(case, (DX_IMAGE,)):
        text = f"an association for images to {peer(association)} is released without a C-STORE-RQ"
        yield failed("VX-STO-002", text, case.at(association))
    for association in case.outgoing:
        if proposes(association, DX_IMAGE) and not carries_only_reports(case, association):
            yield release_finding(case, "VX-STO-005", association)


@check("VX-STO-006")
def one_association_per_set(case: Case) -> Iterator[Finding]:
    """All images of a set go over one association, and one association carries one set."""
    before: dict[tuple[tuple[str, str, int], str], list[Transfer]] = {}
    for transfer in transfers(case):
        at = case.at(transfer.association)
        studies = transfer.studies
        if len(studies) > 1:
            other = next(i for i in transfer.images if uid(i.dataset, "StudyInstanceUID") == studies[1])
            text = f"one association carries images of {len(studies)} studies; each set wants its own"
            yield failed("VX-STO-006", text, at, case.at(other.message))
            continue
        if not studies:
            if not all(readable(i.message) for i in transfer.images):
                yield inconclusive("VX-STO-006", "the study of the images cannot be read", at)
            continue
        earlier = before.setdefault((peer_key(transfer.association), studies[0]), [])
        reason = next((r for one in earlier if (r := _split(case, one, transfer, earlier))), "")
        if reason:
            yield failed("VX-STO-006", reason, at, case.at(earlier[-1].association))
        else:
            yield passed("VX-STO-006", f"{len(transfer.images)} image(s) of a study over one association", at)
        earlier.append(transfer)


def _split(case: Case, one: Transfer, two: Transfer, earlier: list[Transfer]) -> str:
    """Tell why two associations carry one set; empty if they need not."""
    if case.config.get("auto_send") == "accept":
        return ""  # configured to send each image as soon as it is accepted
    sent = {i.sop_instance for t in earlier for i in t.images}
    new = [i for i in two.images if i.sop_instance not in sent]
    if not new or not all(i.accepted for i in one.images) or one.association.end != "released":
        return ""  # sent again, or the first transfer was cut off: what is left may come later
    image, start = new[0], one.association.first_time
    text = f"images of one study to {peer(two.association)} over a second association"
    old = one.images[0].sop_instance
    for message in changes(case):
        if message.last_time <= start and message.dataset is not None:
            named = {
                uid(item, "ReferencedSOPInstanceUID")
                for series in message.dataset.items("PerformedSeriesSequence")
                for item in series.items("ReferencedImageSequence")
            }
            if {old, image.sop_instance} <= named:
                return f"{text}; the MPPS had named both images before the first association (one set)"
    made, latest = _acquired(image), _clock_bound(case)
    if (
        made is not None
        and latest is not None
        and made + latest <= start
        and _acquired(one.images[0]) != made
    ):
        return f"{text}; its image was acquired before the first association was opened (one set)"
    created = [m for m in creations(case) if start <= m.first_time <= two.association.first_time]
    gap = two.association.first_time - one.association.last_time
    if 0 <= gap <= TOGETHER and not created:
        first = _acquired(one.images[-1])
        apart = made - first if made is not None and first is not None and made != first else None
        if apart is None or apart > two.association.first_time - start + 1:
            return f"{text}, {gap:.1f} s after the first (one set)"
    return ""


def _acquired(stored: Stored) -> float | None:
    """When an image was acquired by the SUT's own clock, in seconds."""
    data = stored.dataset
    if data is None:
        return None
    for date, time in (("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime")):
        moment = _moment(data.text(date), data.text(time))
        if moment is not None:
            return moment
    return None


def _moment(date: str | None, time: str | None) -> float | None:
    text = f"{date or ''}{(time or '').partition('.')[0]}"
    if len(text) != 14 or not text.isdigit():
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _clock_bound(case: Case) -> float | None:
    """Return the most that the capture's clock can be ahead of the SUT's: nothing is sent before it is made."""
    return case.once(_bound)


def _bound(case: Case) -> float | None:
    bounds = [i.message.first_time - t for i in case.objects if (t := _acquired(i)) is not None]
    for message in (*creations(case), *changes(case)):
        for which in ("Start", "End"):
            if message.dataset is not None:
                moment = _moment(
                    message.dataset.text(f"PerformedProcedureStep{which}Date"),
                    message.dataset.text(f"PerformedProcedureStep{which}Time"),
                )
                if moment is not None:
                    bounds.append(message.first_time - moment)
    return min(bounds, default=None)


# -- claims -------------------------------------------------------------------------------------------------


@check("VX-STO-003")
def processed_pixels(case: Case) -> Iterator[Finding]:
    """The pixels sent are those that the SUT says it made (a claim)."""
    made = {
        str(e.data["sop_instance"]): e
        for e in case.happened("modality.image")
        if "sop_instance" in e.data and e.data.get("sha256")
    }
    for stored in case.objects:
        event = made.get(stored.sop_instance)
        pixels = stored.dataset.pixels if stored.dataset is not None else None
        if event is None or pixels is None or not pixels.sha256 or not stored.message.complete:
            continue
        at = case.at(stored.message, "(7FE0,0010)")
        if pixels.sha256 == event.data["sha256"]:
            yield passed("VX-STO-003", "the pixels are those of the processed image", at, claims.claim(event))
        else:
            text = "the pixels are not those that the product showed as processed"
            yield failed("VX-STO-003", text, at, claims.claim(event))


@check("VX-STO-004")
def exam_sent(case: Case) -> Iterator[Finding]:
    """The SUT calls a transfer sent only after the peer took its images (a claim)."""
    names = {
        str(e.get("name")): str(e.get("ae_title"))
        for e in case.config.get("storage") or ()
        if isinstance(e, dict) and "name" in e
    }
    begun: dict[object, float] = {}
    for time, event in claims.states(case, "job"):
        job, state = event.data.get("job"), event.data.get("state")
        if state == "sending":
            begun[job] = time
        if state != "sent" or job not in begun:
            continue
        called = names.get(str(event.data.get("destination")))
        window = [
            s
            for s in case.objects
            if begun[job] - claims.SLACK <= s.message.first_time <= time + claims.SLACK
            and (called is None or case.association(s.message).called == called)
        ]
        bad = next((s for s in window if not s.accepted), None)
        if called is None and len({peer_key(case.association(s.message)) for s in window}) > 1:
            continue  # which transfer the claim is about cannot be told
        if bad is not None and not any(s.accepted and s.sop_instance == bad.sop_instance for s in window):
            text = f"called sent; the peer answered {status_text(bad.exchange.status)}"
            yield failed("VX-STO-004", text, claims.claim(event), case.at(bad.message))
        elif window:
            yield passed("VX-STO-004", "called sent after the peer took the images", claims.claim(event))


@check("VX-STO-007")
def rejection_warning(case: Case) -> Iterator[Finding]:
    """A rejected storage association gives a warning (a claim)."""
    yield from claims.warned(case, "VX-STO-007", "storage", DX_IMAGE)
