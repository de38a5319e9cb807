"""Defaults about what is sent: query values, character sets, identifiers, objects, in both statements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from bench.checks import configured
from bench.checks.case import Case, Stored
from bench.checks.defaults.common import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    UNCOMPRESSED,
    has,
    keeps,
    suits,
)
from bench.checks.finding import Finding, Unseen, check
from bench.checks.services import claims
from bench.checks.services.common import (
    DOSE_REPORT,
    DX_IMAGE,
    STUDY_ROOT_FIND,
    WORKLIST,
    readable,
    uid,
)
from bench.checks.services.performed import creations, steps
from bench.checks.services.queries import finds
from bench.journal import Event
from bench.resultmodel import Evidence
from bench.witness.dataset import DataSet
from bench.witness.model import Association, Conversation, Message

US_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTIFRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"
SC_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.7"
KINDS: Final = {
    "ultrasound-image": US_IMAGE,
    "ultrasound-multi-frame-image": US_MULTIFRAME,
    "secondary-capture-image": SC_IMAGE,
}
VETERINARY: Final = (
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsibleOrganization",
)
UNSEEN: Final = {
    "VX-D-37": Unseen("configuration", "which profile of the dose report is chosen is set at the product"),
    **{f"MX-D-{n}": Unseen("media", "it is about removable media") for n in (*range(19, 28),)},
}


@check("VX-D-13", "MX-D-10")
def worklist_values(case: Case) -> Iterator[Finding]:
    """Own station or none, today, the product's modality, names with a wild card."""
    id = "VX-D-13" if has(case, "VX-D-13") else "MX-D-10"
    if not has(case, id):
        return
    typed = claims.operator(case, "query_worklist")
    if any(event.data.get("args") for _, event in typed):
        return  # the operator asked for something else
    modality = "DX" if id == "VX-D-13" else "US"
    for message in finds(case, WORKLIST):
        step = (
            message.dataset.first("ScheduledProcedureStepSequence") if message.dataset is not None else None
        )
        if step is None or not readable(message):
            continue
        station = step.text("ScheduledStationAETitle") or ""
        date = step.text("ScheduledProcedureStepStartDate") or ""
        name = message.dataset.text("PatientName") or "" if message.dataset is not None else ""
        wrong = []
        if station and station not in _stations(case, case.association(message)):
            wrong.append(f"station {station}")
        if not _today(date, message.first_time):
            wrong.append(f"start date '{date}'")
        if step.text("Modality") != modality:
            wrong.append(f"modality '{step.text('Modality') or ''}'")
        if id == "VX-D-13" and name and not name.endswith("*"):
            wrong.append(f"name '{name}' without *")
        yes = "own station, today, own modality"
        yield keeps(case, id, not wrong, yes, f"asks for {', '.join(wrong)}", case.at(message))


def _stations(case: Case, association: Association) -> list[str]:
    """AE titles that are the product's own: as configured, else as which it calls."""
    titles = configured.own_titles(case, association)
    titles += [str(one["calling"]) for one in configured.peers(case, "worklist") if one.get("calling")]
    return titles or [association.calling]


def _today(value: str, when: float) -> bool:
    """Whether a date or range holds the day of a moment, whatever the time zone."""
    first, _, last = value.partition("-")
    last = last or ("99999999" if "-" in value else first)
    noon = datetime.fromtimestamp(when, UTC)
    days = {f"{noon + timedelta(hours=h):%Y%m%d}" for h in (-12, 0, 14)}
    return any(first <= day <= last for day in days) if value else False


@check("VX-D-14")
def no_cancel(case: Case) -> Iterator[Finding]:
    """A query is never cancelled."""
    id = "VX-D-14"
    if not has(case, id):
        return
    for message in case.sent():
        if message.name == "C-CANCEL-RQ":
            yield keeps(case, id, False, "", "a query is cancelled", case.at(message))
        elif message.name == "C-FIND-RQ":
            yield keeps(case, id, True, "a query", "", case.at(message))


@check("VX-D-15")
def request_charset(case: Case) -> Iterator[Finding]:
    """No Specific Character Set where all text is ASCII."""
    id = "VX-D-15"
    if not has(case, id):
        return
    for message in case.requests("C-FIND-RQ"):
        data = message.dataset
        if data is None:
            continue
        ascii_only = all(
            not any(b > 0x7E or b == 0x1B for b in e.value or b"")
            for _, _, e in data.walk()
            if e.vr in ("SH", "LO", "ST", "LT", "PN", "UC", "UT")
        )
        element = data.get("SpecificCharacterSet")
        value = data.text("SpecificCharacterSet") or ""
        at = case.at(message, element)
        if ascii_only:
            no = f"Specific Character Set {value} although all text is ASCII"
            yield keeps(case, id, not value, "all text is ASCII, no character set", no, at)
        else:
            yield keeps(case, id, bool(value), f"Specific Character Set {value}", "no character set", at)


@check("VX-D-16", "MX-D-11")
def object_charset(case: Case) -> Iterator[Finding]:
    """Objects of a worklist item have its character set."""
    id = "VX-D-16" if has(case, "VX-D-16") else "MX-D-11"
    if not has(case, id):
        return
    given: dict[str, tuple[str, ...]] = {}
    for message in case.messages:
        if message.name == "C-FIND-RSP" and message.sop_class == WORKLIST and message.dataset is not None:
            study = uid(message.dataset, "StudyInstanceUID")
            terms = tuple((message.dataset.text("SpecificCharacterSet") or "").split("\\"))
            if study and any(terms):
                given[study] = terms
    for stored in case.objects:
        data = stored.dataset
        study = uid(data, "StudyInstanceUID")
        if data is None or study not in given:
            continue
        mine = tuple((data.text("SpecificCharacterSet") or "").split("\\"))
        text = f"character set {'|'.join(mine)}; the worklist item has {'|'.join(given[study])}"
        yield keeps(case, id, mine == given[study], text, text, case.at(stored.message, "(0008,0005)"))


@check("VX-D-17")
def own_step_uid(case: Case) -> Iterator[Finding]:
    """The N-CREATE names its instance."""
    id = "VX-D-17"
    if not has(case, id):
        return
    for message in creations(case):
        named = bool(message.sop_instance)
        yield keeps(case, id, named, "names its instance", "names no instance", case.at(message))


@check("VX-D-18")
def images_anyway(case: Case) -> Iterator[Finding]:
    """Images are sent although the MPPS failed."""
    id = "VX-D-18"
    if not has(case, id):
        return
    for step in steps(case).steps.values():
        if step.creates and not any(e.succeeded for e in step.creates) and step.study:
            for stored in case.objects_of(DX_IMAGE):
                if uid(stored.dataset, "StudyInstanceUID") == step.study:
                    yield keeps(
                        case, id, True, "sent although the N-CREATE failed", "", case.at(stored.message)
                    )
    unreached = _unreached(case)
    begun = [uid(item, "StudyInstanceUID") for message in creations(case) for item in _scheduled(message)]
    for stored in case.objects_of(DX_IMAGE) if unreached is not None else ():
        study = uid(stored.dataset, "StudyInstanceUID")
        if unreached is not None and study and study not in begun:
            stream, warning = unreached
            if stored.message.first_time > stream.first_time:
                yes = f"sent although the step could not be announced: {stream.other} was not reached"
                at = Evidence(frame=stream.first_frame)
                yield keeps(case, id, True, yes, "", case.at(stored.message), at, claims.claim(warning))


def _scheduled(message: Message) -> tuple[DataSet, ...]:
    return message.dataset.items("ScheduledStepAttributesSequence") if message.dataset is not None else ()


def _unreached(case: Case) -> tuple[Conversation, Event] | None:
    """Return the first vain connection to the MPPS peer, and the warning that it was for the MPPS.

    The same peer may be the worklist's; what the connection was for tells the product's own warning.
    """
    peers = {(str(one.get("address")).lower(), one.get("port")) for one in configured.peers(case, "mpps")}
    warned = claims.warnings(case, "mpps")
    for stream in case.capture.streams:
        if (
            stream.what not in ("refused", "unanswered")
            or stream.opener.address.lower() not in case.sut.addresses
        ):
            continue
        if (stream.other.address.lower(), stream.other.port) in peers:
            begin, end = stream.first_time - claims.SLACK, stream.last_time + claims.PATIENCE
            warning = next((event for t, event in warned if begin <= t <= end), None)
            if warning is not None:
                return stream, warning
    return None


@check("VX-D-19")
def generated_ids(case: Case) -> Iterator[Finding]:
    """Step ID and Study ID: at most 16 characters, the step's unique."""
    id = "VX-D-19"
    if not has(case, id):
        return
    seen: dict[str, str] = {}
    for message in creations(case):
        data = message.dataset
        if data is None:
            continue
        for keyword in ("PerformedProcedureStepID", "StudyID"):
            value = data.text(keyword) or ""
            if value:
                text = f"{keyword} {value}"
                yield keeps(case, id, len(value) <= 16, text, f"{text} is too long", case.at(message))
        value = data.text("PerformedProcedureStepID") or ""
        known = seen.setdefault(value, message.sop_instance or "")
        if value and known != (message.sop_instance or ""):
            no = f"PerformedProcedureStepID {value} names two steps"
            yield keeps(case, id, False, "", no, case.at(message))


@check("VX-D-24", "VX-D-29", "VX-D-30", "VX-D-31")
def dx_images(case: Case) -> Iterator[Finding]:
    """What the statement leaves open in DX images."""
    if not has(case, "VX-D-24"):
        return
    human = case.config.get("species", "human") != "veterinary"
    for stored in case.objects_of(DX_IMAGE):
        data, message = stored.dataset, stored.message
        if data is None:
            continue
        animal = [k for k in VETERINARY if data.state(k) == "value"]
        if human:
            no = f"{', '.join(animal)} although the species is human"
            yield keeps(case, "VX-D-24", not animal, "nothing of animals", no, case.at(message))
        bits, photometric = data.number("BitsStored"), data.text("PhotometricInterpretation")
        if bits is not None and photometric:
            text = f"{bits} bits, {photometric}"
            kept = bits in (12, 14) and photometric == "MONOCHROME2"
            yield keeps(case, "VX-D-29", kept, text, text, case.at(message, "(0028,0101)"))
        relation = data.text("PixelIntensityRelationship"), data.number("PixelIntensityRelationshipSign")
        if relation[0] is not None:
            text = f"Pixel Intensity Relationship {relation[0]}, sign {relation[1]}"
            yield keeps(case, "VX-D-30", relation == ("LOG", -1), text, text, case.at(message, "(0028,1040)"))
        detector = data.text("DetectorType")
        if detector is not None:
            text = f"Detector Type {detector}"
            yield keeps(
                case, "VX-D-31", detector == "SCINTILLATOR", text, text, case.at(message, "(0018,7004)")
            )
        side = data.text("ImageLaterality")
        if side is not None:
            text = f"Image Laterality {side}"
            yield keeps(
                case, "VX-D-31", side in ("U", "L", "R", "B"), text, text, case.at(message, "(0020,0062)")
            )


@check("VX-D-34", "VX-D-35", "VX-D-36")
def dose_reports(case: Case) -> Iterator[Finding]:
    """The dose report goes where the images went, names its evidence, and has no language modifier."""
    if not has(case, "VX-D-34"):
        return
    for stored in case.objects_of(DOSE_REPORT):
        data, at = stored.dataset, case.at(stored.message)
        host = case.association(stored.message).acceptor.address
        hosts = {case.association(s.message).acceptor.address for s in case.objects_of(DX_IMAGE)}
        if hosts:
            yes, no = "sent to the archive of the images", "sent to another host than the images"
            yield keeps(case, "VX-D-34", host in hosts, yes, no, at)
        if data is None or not readable(stored.message):
            continue
        evidence = _instances(data, "CurrentRequestedProcedureEvidenceSequence")
        acquired, language = set(), False
        for _, owner, element in data.walk():
            if element.keyword != "ConceptNameCodeSequence" or not element.items:
                continue
            code = element.items[0].text("CodeValue")
            if code == "113795":
                acquired |= {uid(i, "ReferencedSOPInstanceUID") for i in owner.items("ReferencedSOPSequence")}
            language = language or code == "121049"
        acquired -= {""}
        if acquired:
            lost = acquired - evidence
            no = f"{len(lost)} acquired image(s) not in Current Requested Procedure Evidence Sequence"
            yield keeps(case, "VX-D-35", not lost, "the evidence holds the acquired images", no, at)
        yield keeps(case, "VX-D-36", not language, "no language modifier", "a language modifier", at)


def _instances(data: DataSet, keyword: str) -> set[str]:
    element = data.get(keyword)
    found: set[str] = set()
    for item in element.items if element is not None else ():
        for _, _, inner in item.walk():
            if inner.keyword == "ReferencedSOPInstanceUID":
                found |= set(item.texts_of(inner))
    return found


@check("VX-D-38")
def study_query(case: Case) -> Iterator[Finding]:
    """A study query matches on date, accession number or study only."""
    id = "VX-D-38"
    if not has(case, id):
        return
    allowed = (
        "QueryRetrieveLevel",
        "StudyDate",
        "AccessionNumber",
        "StudyInstanceUID",
        "SpecificCharacterSet",
    )
    for message in finds(case, STUDY_ROOT_FIND):
        if message.dataset is None:
            continue
        other = [e for e in message.dataset.elements if not e.empty and e.keyword not in allowed]
        names = ", ".join(e.keyword or e.tag_text for e in other)
        yield keeps(case, id, not other, "the user's keys only", f"also matches on {names}", case.at(message))


# -- MX1 ----------------------------------------------------------------------------------------------------


@check("MX-D-02", "MX-D-12", "MX-D-13", "MX-D-14", "MX-D-15", "MX-D-16", "MX-D-17", "MX-D-18")
def ultrasound(case: Case) -> Iterator[Finding]:
    """What the statement leaves open in ultrasound objects."""
    if not has(case, "MX-D-12"):
        return
    for stored in case.objects_of(*KINDS.values()):
        data = stored.dataset
        if data is None:
            continue
        yield from _needed(case, stored, data)
        yield from _pixels(case, stored, data)
        at = case.at(stored.message, "(0008,0008)")
        kind = data.texts("ImageType")
        if kind:
            wanted = (
                ("DERIVED", "SECONDARY")
                if stored.sop_class == SC_IMAGE
                else ("ORIGINAL", "PRIMARY", "ABDOMINAL")
            )
            text = f"Image Type {'|'.join(kind)}"
            yield keeps(case, "MX-D-13", kind[: len(wanted)] == wanted, text, text, at)
        if stored.sop_class == US_MULTIFRAME:
            pointer, start = data.text("FrameIncrementPointer"), data.number("StartTrim")
            kept = data.state("NumberOfFrames") == "value" and pointer == "(0018,1063)" and start in (None, 1)
            text = f"Frame Increment Pointer {pointer}, Start Trim {start}"
            yield keeps(case, "MX-D-16", kept, text, text, case.at(stored.message, "(0028,0009)"))
        if stored.sop_class == US_IMAGE and readable(stored.message):
            kept = bool(data.items("SequenceOfUltrasoundRegions"))
            at = case.at(stored.message, "(0018,6011)")
            yield keeps(case, "MX-D-17", kept, "regions are calibrated", "no calibrated region", at)
        if stored.sop_class == SC_IMAGE and data.has("ConversionType"):
            text = f"Conversion Type {data.text('ConversionType')}"
            yield keeps(
                case, "MX-D-18", data.text("ConversionType") == "WSD", text, text, case.at(stored.message)
            )


def _needed(case: Case, stored: Stored, data: DataSet) -> Iterator[Finding]:
    if not readable(stored.message):
        return
    for kind, attributes in case.statement.defaults["MX-D-12"].attributes.items():
        if KINDS.get(kind) != stored.sop_class:
            continue
        bad = [
            k
            for k, type in attributes.items()
            if not data.has(k) or (type == "1" and data.state(k) == "empty")
        ]
        no = f"absent, or empty although of type 1: {', '.join(bad)}"
        yield keeps(case, "MX-D-12", not bad, "all attributes of types 1 and 2", no, case.at(stored.message))


def _pixels(case: Case, stored: Stored, data: DataSet) -> Iterator[Finding]:
    message = stored.message
    syntax = message.transfer_syntax or ""
    at = case.at(message, "(0028,0004)")
    photometric = data.text("PhotometricInterpretation")
    if photometric:
        wanted = {
            JPEG_BASELINE: ("YBR_FULL_422", "MONOCHROME2"),
            **dict.fromkeys(UNCOMPRESSED, ("RGB", "MONOCHROME2")),
        }.get(syntax, ("RGB", "MONOCHROME2"))
        text = f"{photometric} with transfer syntax {syntax}"
        yield keeps(case, "MX-D-14", photometric in wanted, text, text, at)
    if syntax == JPEG_BASELINE:
        flags = [
            data.text(k)
            for k in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
        ]
        text = f"lossy {flags[0]}, ratio {flags[1]}, method {flags[2]}"
        yield keeps(case, "MX-D-15", flags[0] == "01" and all(flags), text, text, at)
    association = case.association(message)
    accepted = {
        c.transfer_syntax
        for c in association.contexts.values()
        if c.accepted and c.abstract == stored.sop_class
    }
    if stored.sop_class == US_MULTIFRAME:
        best = JPEG_BASELINE
    else:
        best = EXPLICIT_LE if EXPLICIT_LE in accepted else IMPLICIT_LE
    if best in accepted and len(accepted) > 1:
        text = f"sent in {syntax}; {best} was accepted"
        yield suits(case, "MX-D-02", syntax == best, text, text, case.at(message))
