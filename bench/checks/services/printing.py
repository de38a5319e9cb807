"""PS3.4 Annex H, Print Management: sessions, boxes, printer (STD-SVC-501 … -512).

Rules of this file:

* Instances of print management live with their association (PS3.4 H.4.1.2.3): what was created on it, and not deleted,
  exists; nothing else does.  The printer alone is always there.
* What a request means is told by its instance and its contents, so that one wrong SOP class is one fault.
* A request that follows a failure of what it stands on is the consequence of that failure and not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bench.checks.case import Case, Exchange
from bench.checks.finding import Finding, check, deviates, failed, inconclusive, passed
from bench.checks.iod.tables import DESCRIBED
from bench.checks.services.common import (
    ACTION_TYPE,
    COLOR_BOX,
    COLOR_META,
    FILM_BOX,
    FILM_SESSION,
    GRAYSCALE_BOX,
    GRAYSCALE_META,
    INSTANCE,
    PRINTER,
    PRINTER_INSTANCE,
    asked,
    declares,
    proposes,
    readable,
    status_text,
    tag,
    uid,
    whole,
)
from bench.witness.dataset import DataSet
from bench.witness.model import Association, Message

MEMBERS: Final = {
    GRAYSCALE_META: (FILM_SESSION, FILM_BOX, GRAYSCALE_BOX, PRINTER),
    COLOR_META: (FILM_SESSION, FILM_BOX, COLOR_BOX, PRINTER),
}
BOXES: Final = (GRAYSCALE_BOX, COLOR_BOX)
FILM_BOX_ONLY: Final = ("ImageDisplayFormat", "ReferencedFilmSessionSequence")
FILM_SESSION_ONLY: Final = ("NumberOfCopies", "PrintPriority", "MediumType", "FilmDestination")
ENUMERATED: Final = {
    "PrintPriority": ("HIGH", "MED", "LOW"),
    "FilmOrientation": ("PORTRAIT", "LANDSCAPE"),
    "Trim": ("YES", "NO"),
    "Polarity": ("NORMAL", "REVERSE"),
}


@dataclass(slots=True)
class FilmBox:
    """A film box: its N-CREATE, the image boxes that the printer named, what was done with it."""

    uid: str
    created: Exchange
    boxes: tuple[str, ...]
    sets: list[Exchange] = field(default_factory=list)
    actions: list[Exchange] = field(default_factory=list)
    deleted: Exchange | None = None


@dataclass(slots=True)
class Job:
    """All print requests of one association, put together."""

    association: Association
    gets: list[Exchange] = field(default_factory=list)
    sessions: list[Exchange] = field(default_factory=list)
    films: list[FilmBox] = field(default_factory=list)
    strays: list[Exchange] = field(default_factory=list)  # N-SET, N-ACTION, N-DELETE of nothing that exists
    deletes: list[Exchange] = field(default_factory=list)
    session_actions: list[Exchange] = field(default_factory=list)
    everything: list[Exchange] = field(default_factory=list)

    @property
    def session_uids(self) -> set[str]:
        """Film sessions that were created."""
        return {i for e in self.sessions if (i := created_instance(e))}


def created_instance(exchange: Exchange) -> str:
    """UID of what an N-CREATE made: the answer's, else the request's."""
    answer = exchange.final.sop_instance if exchange.final is not None else None
    return answer or exchange.request.sop_instance or ""


def jobs(case: Case) -> tuple[Job, ...]:
    """Return the print jobs of the SUT: one for each association that carries print requests."""
    return case.once(_jobs)


def is_print_association(association: Association) -> bool:
    """Tell whether an association was proposed for printing."""
    return proposes(association, *MEMBERS, FILM_SESSION, FILM_BOX, *BOXES, PRINTER)


def _jobs(case: Case) -> tuple[Job, ...]:
    found = []
    print_classes = {FILM_SESSION, FILM_BOX, *BOXES, PRINTER}
    for association in case.outgoing:
        job = Job(association)
        for exchange in asked(case, association):
            context = exchange.request.context
            meta = context is not None and context.abstract in MEMBERS
            if meta or exchange.request.command.sop_class in print_classes:
                job.everything.append(exchange)
                _add(job, exchange)
        if job.everything:
            found.append(job)
    return tuple(found)


def _add(job: Job, exchange: Exchange) -> None:
    message = exchange.request
    name, kind, target = message.name, message.command.sop_class, message.sop_instance or ""
    if name == "N-GET-RQ":
        job.gets.append(exchange)
    elif name == "N-CREATE-RQ" and (kind == FILM_BOX or _like(message, *FILM_BOX_ONLY)):
        answer = exchange.final.dataset if exchange.final is not None else None
        named = answer.items("ReferencedImageBoxSequence") if answer is not None else ()
        boxes = tuple(uid(item, "ReferencedSOPInstanceUID") for item in named)
        job.films.append(FilmBox(created_instance(exchange), exchange, boxes))
    elif name == "N-CREATE-RQ" and (kind == FILM_SESSION or _like(message, *FILM_SESSION_ONLY)):
        job.sessions.append(exchange)
    elif name == "N-SET-RQ" and (kind in BOXES or any(target in f.boxes for f in job.films)):
        film = next((f for f in job.films if target in f.boxes and f.deleted is None), None)
        (film.sets if film else job.strays).append(exchange)
    elif name == "N-ACTION-RQ":
        film = next((f for f in job.films if target == f.uid and f.deleted is None), None)
        if film is not None:
            film.actions.append(exchange)
        elif target in job.session_uids:
            job.session_actions.append(exchange)
        else:
            job.strays.append(exchange)
    elif name == "N-DELETE-RQ":
        job.deletes.append(exchange)
        film = next((f for f in job.films if target == f.uid and f.deleted is None), None)
        if film is not None:
            film.deleted = exchange
        elif target not in job.session_uids:
            job.strays.append(exchange)


def _like(message: Message, *keywords: str) -> bool:
    """Whether a request says by what it holds what it means, whatever class it names."""
    return message.dataset is not None and any(message.dataset.has(k) for k in keywords)


def shaky(job: Job) -> str | None:
    """Tell why what exists on the association is not known for sure; None if it is."""
    if not whole(job.association):
        return "the capture has gaps in this association"
    failures = [e for e in (*job.sessions, *(f.created for f in job.films)) if not e.succeeded]
    if failures:
        return f"{failures[0].request.name} of frame {failures[0].request.first_frame} did not succeed"
    if any(not f.boxes for f in job.films):
        return "the printer named no image boxes"
    return None


def layout(data: DataSet | None) -> int | None:
    """Number of image boxes of Image Display Format STANDARD\\C,R, ROW\\… or COL\\…; None for others."""
    text = (data.text("ImageDisplayFormat") or "") if data is not None else ""
    kind, _, rest = text.partition("\\")
    try:
        counts = [int(part) for part in rest.split(",")]
    except ValueError:
        return None
    if kind == "STANDARD" and len(counts) == 2:
        return counts[0] * counts[1]
    return sum(counts) if kind in ("ROW", "COL") else None


@check("STD-SVC-501", "STD-SVC-502")
def classes(case: Case) -> Iterator[Finding]:
    """Print requests stay in the meta SOP class; the printer is the well-known one."""
    for job in jobs(case):
        for exchange in job.everything:
            message = exchange.request
            kind = message.command.sop_class or ""
            abstract = message.context.abstract if message.context else ""
            at = case.at(message)
            if abstract in MEMBERS:
                if kind in MEMBERS[abstract]:
                    yield passed("STD-SVC-501", "a SOP class of the meta SOP class", at)
                else:
                    yield failed(
                        "STD-SVC-501", f"{kind} does not belong to the meta SOP class {abstract}", at
                    )
            elif abstract and abstract != kind:
                yield failed("STD-SVC-501", f"{kind} is used on a context for {abstract}", at)
            if kind == PRINTER:
                if message.sop_instance == PRINTER_INSTANCE:
                    yield passed("STD-SVC-502", "the well-known printer", at)
                else:
                    text = f"the printer is addressed as {message.sop_instance}; {PRINTER_INSTANCE} is wanted"
                    yield failed("STD-SVC-502", text, case.at(message, INSTANCE))


@check("STD-SVC-503", "STD-SVC-504")
def film_boxes(case: Case) -> Iterator[Finding]:
    """A film box names its session and has a display format."""
    for job in jobs(case):
        for film in job.films:
            message = film.created.request
            if message.dataset is None:
                continue
            yield from session_reference(case, "STD-SVC-503", job, message)
            at = case.at(message, tag("ImageDisplayFormat"))
            if message.dataset.state("ImageDisplayFormat") == "value":
                yield passed("STD-SVC-504", "Image Display Format has a value", at)
            elif readable(message):
                state = message.dataset.state("ImageDisplayFormat")
                yield failed("STD-SVC-504", f"Image Display Format is {state}", at)


def session_reference(case: Case, id: str, job: Job, message: Message) -> Iterator[Finding]:
    """Judge the reference of a film box to its film session."""
    assert message.dataset is not None
    named = message.dataset.items("ReferencedFilmSessionSequence")
    at = case.at(message, tag("ReferencedFilmSessionSequence"))
    before = [e for e in job.sessions if e.request.number < message.number]
    known = {created_instance(e) for e in before} - {""}
    if len(named) != 1:
        if readable(message):
            yield failed(id, f"Referenced Film Session Sequence has {len(named)} items; one is wanted", at)
        else:
            yield inconclusive(id, "the data set of the film box is not whole", at)
        return
    kind, instance = uid(named[0], "ReferencedSOPClassUID"), uid(named[0], "ReferencedSOPInstanceUID")
    if kind == FILM_SESSION and instance in known:
        yield passed(id, "names the film session of this association", at)
    elif kind != FILM_SESSION and kind:
        yield failed(id, f"names an instance of {kind}; a film session {FILM_SESSION} is wanted", at)
    elif not whole(job.association) or (not known and before):
        yield inconclusive(id, "which film session exists was not captured", at)
    elif not known:
        yield failed(id, f"names film session {instance}; none was created before", at)
    else:
        yield failed(
            id, f"names film session {instance or '(none)'}; {', '.join(sorted(known))} was created", at
        )


@check("STD-SVC-505", "STD-SVC-509", "STD-SVC-510")
def existing(case: Case) -> Iterator[Finding]:
    """N-SET, N-ACTION and N-DELETE address what exists."""
    ids = {"N-SET-RQ": "STD-SVC-505", "N-ACTION-RQ": "STD-SVC-509", "N-DELETE-RQ": "STD-SVC-510"}
    words = {"N-SET-RQ": "image box", "N-ACTION-RQ": "film box", "N-DELETE-RQ": "film box or session"}
    for job in jobs(case):
        doubt = shaky(job)
        for exchange in job.strays:
            message = exchange.request
            text = f"{message.name} of {message.sop_instance}, no {words[message.name]} that exists here"
            if doubt:
                yield inconclusive(ids[message.name], f"{text}; {doubt}", case.at(message))
            else:
                yield failed(ids[message.name], text, case.at(message))
        for film in job.films:
            for exchange in film.sets:
                yield passed("STD-SVC-505", "an image box of the film box", case.at(exchange.request))
            if film.deleted is not None:
                yield passed("STD-SVC-510", "the film box of this association", case.at(film.deleted.request))
        for exchange in (*job.session_actions, *(a for f in job.films for a in f.actions)):
            action = exchange.request.command.get("ActionTypeID")
            at = case.at(exchange.request)
            if action == 1:
                yield passed("STD-SVC-509", "prints what was created on this association", at)
            elif action is not None:
                reason = f"Action Type ID {action}; 1 (print) is wanted"
                yield failed("STD-SVC-509", reason, case.at(exchange.request, ACTION_TYPE))


@check("STD-SVC-506", "STD-SVC-507", "STD-SVC-508")
def image_boxes(case: Case) -> Iterator[Finding]:
    """Positions, one image for each box, pixels as printers take them."""
    for job in jobs(case):
        for film in job.films:
            count = layout(film.created.request.dataset)
            used: dict[int, tuple[str, Message]] = {}
            for exchange in film.sets:
                message = exchange.request
                if message.dataset is None:
                    continue
                yield from _position(case, message, count, used)
                yield from _image(case, message)
        for exchange in job.strays:
            if exchange.request.name == "N-SET-RQ" and exchange.request.dataset is not None:
                yield from _image(case, exchange.request)


def _position(
    case: Case, message: Message, count: int | None, used: dict[int, tuple[str, Message]]
) -> Iterator[Finding]:
    assert message.dataset is not None
    at = case.at(message, tag("ImageBoxPosition"))
    position = message.dataset.number("ImageBoxPosition")
    if position is None:
        if readable(message):
            yield failed(
                "STD-SVC-506", f"Image Box Position is {message.dataset.state('ImageBoxPosition')}", at
            )
        return
    number = int(position)
    box = message.sop_instance or ""
    other = used.get(number)
    if number < 1 or (count is not None and number > count):
        yield failed(
            "STD-SVC-506", f"Image Box Position {number}; the display format has 1 to {count or 'n'}", at
        )
    elif other is not None and other[0] != box:
        text = f"Image Box Position {number} of two image boxes of one film box"
        yield failed("STD-SVC-506", text, at, case.at(other[1]))
    else:
        yield passed("STD-SVC-506", f"Image Box Position {number}", at)
    used.setdefault(number, (box, message))


def _image(case: Case, message: Message) -> Iterator[Finding]:
    data = message.dataset
    assert data is not None
    keyword = "BasicGrayscaleImageSequence"
    if message.command.sop_class == COLOR_BOX:
        keyword = "BasicColorImageSequence"
    at = case.at(message, tag(keyword))
    state, images = data.state(keyword), data.items(keyword)
    if state == "empty" and readable(message):
        yield passed("STD-SVC-507", "a zero-length sequence erases the image", at)
        return
    if len(images) != 1:
        if readable(message):
            yield failed("STD-SVC-507", f"{keyword} has {len(images)} items; one is wanted", at)
        return
    image = images[0]
    missing = [k for k in DESCRIBED if not image.has(k) or (image.state(k) == "empty" and k != "PixelData")]
    if missing and readable(message):
        names = ", ".join(f"{k} {tag(k)}" for k in missing)
        yield failed("STD-SVC-507", f"the image lacks {names}", case.at(message, tag(missing[0])))
    elif not missing:
        yield passed("STD-SVC-507", "one image with its description", at)
    if keyword == "BasicGrayscaleImageSequence":
        yield from _pixels(case, message, image)


def _pixels(case: Case, message: Message, image: DataSet) -> Iterator[Finding]:
    numbers = {
        k: image.number(k)
        for k in (
            "SamplesPerPixel",
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
        )
    }
    faults = []
    if numbers["SamplesPerPixel"] not in (None, 1):
        faults.append(("SamplesPerPixel", f"Samples per Pixel {numbers['SamplesPerPixel']}"))
    photometric = image.text("PhotometricInterpretation")
    if photometric and photometric not in ("MONOCHROME1", "MONOCHROME2"):
        faults.append(("PhotometricInterpretation", f"Photometric Interpretation {photometric}"))
    if numbers["PixelRepresentation"] not in (None, 0):
        faults.append(("PixelRepresentation", f"Pixel Representation {numbers['PixelRepresentation']}"))
    bits = numbers["BitsAllocated"], numbers["BitsStored"], numbers["HighBit"]
    declared = False
    if None not in bits and bits not in ((8, 8, 7), (16, 12, 11)):
        declared = bits == (16, 14, 13) and declares(case, "VX-E-20")
        if not declared:
            faults.append(("BitsStored", f"{bits[1]} bits stored of {bits[0]}, high bit {bits[2]}"))
    pixels = image.get("PixelData")
    size = (numbers["Rows"] or 0) * (numbers["Columns"] or 0) * ((numbers["BitsAllocated"] or 0) // 8)
    told = pixels is not None and size and not pixels.undefined and not pixels.truncated
    if told and pixels is not None and pixels.length != size + int(size) % 2:
        faults.append(("PixelData", f"{pixels.length} bytes of pixels; rows and columns want {int(size)}"))
    for keyword, text in faults:
        element = image.get(keyword)
        yield failed(
            "STD-SVC-508", f"{text}: not what a grayscale image box takes", case.at(message, element)
        )
    if declared:
        text = "14 bits stored, as the statement prints (VX-E-20); the standard has 8 and 12 only"
        yield deviates("STD-SVC-508", text, case.at(message, image.get("BitsStored")))
    elif not faults:
        yield passed(
            "STD-SVC-508", "pixels as an image box takes them", case.at(message, image.get("BitsStored"))
        )


@check("STD-SVC-511")
def printer_reports(case: Case) -> Iterator[Finding]:
    """An N-EVENT-REPORT of the printer is answered with success."""
    for message in case.received("N-EVENT-REPORT-RQ"):
        if message.sop_class != PRINTER:
            continue
        final = case.exchange(message).final
        association = case.association(message)
        if final is not None and final.command.status == 0:
            yield passed("STD-SVC-511", "the printer's report is answered with 0000H", case.at(final))
        elif final is not None:
            text = f"the printer's report is answered with {status_text(final.command.status)}"
            yield failed("STD-SVC-511", text, case.at(final))
        elif whole(association) and association.end == "released":
            yield failed("STD-SVC-511", "the printer's report is not answered", case.at(message))
        else:
            yield inconclusive(
                "STD-SVC-511", "no answer to the printer's report is in the capture", case.at(message)
            )


@check("STD-SVC-512")
def enumerated(case: Case) -> Iterator[Finding]:
    """Enumerated values of film sessions, film boxes and image boxes."""
    for job in jobs(case):
        for exchange in job.everything:
            message = exchange.request
            data = message.dataset
            if data is None or message.name not in ("N-CREATE-RQ", "N-SET-RQ"):
                continue
            wrong = 0
            for keyword, values in ENUMERATED.items():
                value = data.text(keyword)
                if value and value not in values:
                    wrong += 1
                    text = f"{keyword} is '{value}'; one of {', '.join(values)} is wanted"
                    yield failed("STD-SVC-512", text, case.at(message, data.get(keyword)))
            copies = data.number("NumberOfCopies")
            if copies is not None and copies < 1:
                wrong += 1
                yield failed(
                    "STD-SVC-512",
                    f"Number of Copies is {copies}",
                    case.at(message, data.get("NumberOfCopies")),
                )
            if not wrong:
                yield passed("STD-SVC-512", "enumerated values as the standard has them", case.at(message))
