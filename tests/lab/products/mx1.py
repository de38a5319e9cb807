"""SONIMAGE MX1 on the network as its conformance statement describes it: verification, storage, worklist.

    lab = Lab(); mx = MX1(lab, version="1.20"); scan = Scan(PERSONS["kanji"])
    mx.verify(PACS); mx.worklist(RIS, [scan]); mx.store(PACS, scan, [Picture("us", JPEG_BASELINE), Picture("clip")])

Rules of this file: as in products/vxvue.py.  Presentation contexts as MX-D-01 (the uncompressed three in one, one for
each compressed syntax); PDU lengths by the recommended reading of MX-E-01, ``version="1.10"`` sends 20 KB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tests.lab.conversation import Conversation, Cut, Lab
from tests.lab.elements import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    DataSet,
    Fragments,
)
from tests.lab.products import jpeg
from tests.lab.products.facts import Person, da, tm, uid
from tests.lab.products.vxvue import PACS, PACS2, RIS, Peer
from tests.lab.products.vxvue_objects import code

VERIFICATION: Final = "1.2.840.10008.1.1"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
US: Final = "1.2.840.10008.5.1.4.1.1.6.1"
CLIP: Final = "1.2.840.10008.5.1.4.1.1.3.1"
SC: Final = "1.2.840.10008.5.1.4.1.1.7"
CLASSES: Final = {"us": US, "clip": CLIP, "sc": SC}
IMPLEMENTATION: Final = "1.2.392.200036.9107.804"
VERSION: Final = "KM_SMGMX1_1.00"
NATIVE: Final = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
STORAGE: Final = (
    (CLIP, NATIVE),
    (CLIP, (JPEG_BASELINE,)),
    (US, NATIVE),
    (US, (JPEG_BASELINE,)),
    (US, (JPEG_LOSSLESS,)),
    (SC, NATIVE),
    (SC, (JPEG_BASELINE,)),
    (SC, (JPEG_LOSSLESS,)),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: kind (us, clip, sc), transfer syntax, size, colour."""

    kind: str = "us"
    syntax: str = EXPLICIT_LE
    number: int = 1
    rows: int = 48
    columns: int = 64
    frames: int = 3
    colour: bool = True
    offsets: bool = False

    def shade(self, frame: int) -> jpeg.Shade:
        """Samples of a frame: a soft ramp that moves from frame to frame."""

        def at(row: int, column: int, component: int) -> int:
            if component and self.syntax == JPEG_BASELINE:
                return 128
            return min(
                255, 20 + (row + column + 7 * frame) * 200 // (self.rows + self.columns) + 3 * component
            )

        return at


@dataclass(slots=True)
class Scan:
    """An examination."""

    person: Person = field(default_factory=Person)
    number: int = 1
    scheduled: bool = True
    start: float = 0.0

    def uid(self, *parts: object) -> str:
        """A UID of this examination."""
        return uid("scan", self.number, self.person.name, *parts)

    def image(self, picture: Picture) -> str:
        """SOP Instance UID of an image."""
        return self.uid("image", picture.kind, picture.number)


class MX1:
    """A SONIMAGE MX1 in a laboratory."""

    def __init__(
        self, lab: Lab, *, address: str = "10.0.0.6", ae: str = "MX1", version: str = "1.20"
    ) -> None:
        self.lab = lab
        self.address = address
        self.ae = ae
        self.version = version
        self.longest = 20480 if version == "1.10" else 131072

    def associate(self, peer: Peer, contexts: Sequence[tuple[str, Sequence[str]]]) -> Conversation:
        """Ask a peer, and be accepted."""
        conversation = self.propose(peer, contexts)
        conversation.accept(**peer.accept)
        return conversation

    def propose(self, peer: Peer, contexts: Sequence[tuple[str, Sequence[str]]]) -> Conversation:
        """Ask a peer."""
        return self.lab.associate(
            client=self.address,
            server=peer.address,
            port=peer.port,
            calling=self.ae,
            called=peer.ae,
            contexts=contexts,
            max_length=65536,
            implementation_class=IMPLEMENTATION,
            implementation_version=VERSION,
        )

    def _how(self, a: Conversation, peer: Peer) -> Cut:
        limit = peer.accept.get("max_length", 16384)
        return Cut(longest=min(limit, self.longest) if limit else self.longest)

    def verify(self, peer: Peer, status: int = 0) -> Conversation:
        """C-ECHO."""
        a = self.associate(peer, [(VERIFICATION, NATIVE)])
        a.request("C-ECHO-RQ")
        a.respond(status)
        a.release()
        return a

    def worklist(
        self,
        peer: Peer,
        scans: Sequence[Scan] = (),
        *,
        charset: Sequence[str] = (),
        status: int = 0,
        **keys: str,
    ) -> Conversation:
        """Query the worklist."""
        a = self.associate(peer, [(WORKLIST, (IMPLICIT_LE,))])
        a.request(
            "C-FIND-RQ", worklist_keys(self.ae, da(self.lab.time), charset, **keys), how=self._how(a, peer)
        )
        for scan in scans:
            a.respond(0xFF00, worklist_item(scan, self.ae, self.lab.time))
        a.respond(status)
        a.release()
        return a

    def store(
        self, peer: Peer, scan: Scan, pictures: Sequence[Picture], *, statuses: Sequence[int] = ()
    ) -> Conversation:
        """Send images in one association, each in its syntax where the peer took it (else the next native one)."""
        scan.start = scan.start or self.lab.time - 120
        a = self.associate(peer, STORAGE)
        for number, picture in enumerate(pictures):
            sop_class = CLASSES[picture.kind]
            taken = {
                syntax: i for i, (abstract, syntax) in a.contexts.items() if abstract == sop_class and syntax
            }
            if picture.syntax not in taken:
                picture = replace(picture, syntax=next(s for s in taken if s in NATIVE))
            context = taken[picture.syntax]
            a.request(
                "C-STORE-RQ",
                image(scan, picture, self.version),
                sop_class=sop_class,
                sop_instance=scan.image(picture),
                context=context,
                how=self._how(a, peer),
            )
            a.respond(statuses[number] if number < len(statuses) else 0)
        a.release()
        return a


def worklist_keys(ae: str, today: str, charset: Sequence[str] = (), **keys: str) -> DataSet:
    """The identifier of sections 4.1 and 4.2: exactly these keys."""
    codes = DataSet(CodeValue=None, CodingSchemeDesignator=None, CodingSchemeVersion=None, CodeMeaning=None)
    step = DataSet(
        Modality="US",
        RequestedContrastAgent=None,
        ScheduledStationAETitle=ae,
        ScheduledProcedureStepStartDate=today,
        ScheduledProcedureStepStartTime=None,
        ScheduledPerformingPhysicianName=None,
        ScheduledProcedureStepDescription=None,
        ScheduledProtocolCodeSequence=[codes],
        ScheduledProcedureStepID=None,
    )
    ds = DataSet(RequestedProcedureCodeSequence=[codes.copy()], ScheduledProcedureStepSequence=[step])
    if charset:
        ds.put("SpecificCharacterSet", list(charset))
    for keyword in (
        "AccessionNumber",
        "ReferringPhysicianName",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "MedicalAlerts",
        "Allergies",
        "PregnancyStatus",
        "LastMenstrualDate",
        "PatientComments",
        "StudyInstanceUID",
        "RequestingPhysician",
        "RequestedProcedureDescription",
        "SpecialNeeds",
        "PatientState",
        "RequestedProcedureID",
    ):
        ds.put(keyword, keys.get(keyword))
    return ds


def worklist_item(scan: Scan, ae: str, now: float) -> DataSet:
    """What a RIS answers."""
    p = scan.person
    ds = DataSet(
        AccessionNumber=f"ACU{scan.number:04d}",
        ReferringPhysicianName=p.physician,
        PatientName=p.name,
        PatientID=f"US{scan.number:05d}",
        PatientBirthDate=p.birth,
        PatientSex=p.sex,
        PatientAge=p.age,
        PatientSize=None,
        PatientWeight=None,
        MedicalAlerts=None,
        Allergies=None,
        PregnancyStatus=4,
        LastMenstrualDate=None,
        PatientComments=p.comment,
        StudyInstanceUID=scan.uid("study"),
        RequestingPhysician=p.physician,
        RequestedProcedureDescription=p.procedure,
        RequestedProcedureCodeSequence=[code("USABD", "99RIS", p.procedure)],
        SpecialNeeds=None,
        PatientState=None,
        RequestedProcedureID=f"RU{scan.number:04d}",
    )
    if p.charset:
        ds.put("SpecificCharacterSet", list(p.charset))
    step = DataSet(
        Modality="US",
        RequestedContrastAgent=None,
        ScheduledStationAETitle=ae,
        ScheduledProcedureStepStartDate=da(now),
        ScheduledProcedureStepStartTime="090000",
        ScheduledPerformingPhysicianName=p.physician,
        ScheduledProcedureStepDescription=p.step,
        ScheduledProtocolCodeSequence=[code("USA", "99RIS", p.step)],
        ScheduledProcedureStepID=f"SU{scan.number:04d}",
    )
    return ds.put("ScheduledProcedureStepSequence", [step])


def image(scan: Scan, picture: Picture, version: str) -> DataSet:
    """An ultrasound image, a clip, or a secondary capture."""
    p = scan.person
    when = scan.start + 10 * picture.number
    secondary = picture.kind == "sc"
    samples = 3 if picture.colour else 1
    ds = DataSet(
        SOPClassUID=CLASSES[picture.kind],
        SOPInstanceUID=scan.image(picture),
        ImageType=["DERIVED", "SECONDARY"] if secondary else ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"],
        StudyDate=da(scan.start),
        StudyTime=tm(scan.start),
        SeriesDate=da(scan.start),
        SeriesTime=tm(scan.start),
        AcquisitionDate=da(when),
        AcquisitionTime=tm(when),
        AcquisitionDateTime=da(when) + tm(when),
        ContentDate=da(when),
        ContentTime=tm(when),
        AccessionNumber=f"ACU{scan.number:04d}" if scan.scheduled else None,
        Modality="US",
        Manufacturer="KONICA MINOLTA",
        InstitutionName=p.institution,
        ReferringPhysicianName=p.physician if scan.scheduled else None,
        StudyDescription=None,
        ManufacturerModelName="SONIMAGE MX1",
        SoftwareVersions=f"V{version}",
        PatientName=p.name,
        PatientID=f"US{scan.number:05d}",
        PatientBirthDate=p.birth,
        PatientSex=p.sex,
        StudyInstanceUID=scan.uid("study"),
        SeriesInstanceUID=scan.uid("series", picture.kind),
        StudyID=f"U{scan.number}",
        SeriesNumber={"us": 1, "clip": 2, "sc": 3}[picture.kind],
        InstanceNumber=picture.number,
        BodyPartExamined="ABDOMEN",
        PatientOrientation=None,
        SamplesPerPixel=samples,
        Rows=picture.rows,
        Columns=picture.columns,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
    )
    if p.charset:
        ds.put("SpecificCharacterSet", list(p.charset))
    if secondary:
        ds.put("ConversionType", "WSD")
    else:
        ds.put("SequenceOfUltrasoundRegions", [_region(picture)])
    frames = picture.frames if picture.kind == "clip" else 1
    if picture.kind == "clip":
        ds.update(
            NumberOfFrames=frames,
            FrameIncrementPointer="FrameTime",
            FrameTime="33.33",
            CineRate=30,
            StartTrim=1,
            StopTrim=frames,
        )
    _pixels(ds, picture, frames, samples)
    return ds


def _region(picture: Picture) -> DataSet:
    """One B-mode region of 0.02 cm a pixel."""
    return DataSet(
        RegionSpatialFormat=1,
        RegionDataType=1,
        RegionFlags=0,
        RegionLocationMinX0=4,
        RegionLocationMinY0=4,
        RegionLocationMaxX1=picture.columns - 5,
        RegionLocationMaxY1=picture.rows - 5,
        PhysicalUnitsXDirection=3,
        PhysicalUnitsYDirection=3,
        PhysicalDeltaX=0.02,
        PhysicalDeltaY=0.02,
    )


def _pixels(ds: DataSet, picture: Picture, frames: int, samples: int) -> None:
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    size = picture.rows * picture.columns * samples * frames
    if samples == 3:
        ds.put("PlanarConfiguration", 0)
    if picture.syntax in (JPEG_BASELINE, JPEG_LOSSLESS):
        write = jpeg.baseline if picture.syntax == JPEG_BASELINE else jpeg.lossless
        parts = [write(picture.rows, picture.columns, samples, picture.shade(n)) for n in range(frames)]
        parts = [part + b"\0" * (len(part) % 2) for part in parts]
        offsets = (
            tuple(sum(len(part) + 8 for part in parts[:n]) for n in range(frames))
            if picture.offsets
            else None
        )
        ds.put("PixelData", Fragments(tuple(parts), offsets), vr="OB")
        if picture.syntax == JPEG_BASELINE:
            photometric = "YBR_FULL_422" if samples == 3 else photometric
            ratio = f"{size / sum(map(len, parts)):.2f}"
            ds.update(
                LossyImageCompression="01",
                LossyImageCompressionRatio=ratio,
                LossyImageCompressionMethod="ISO_10918_1",
            )
    else:
        data = bytes(
            picture.shade(n)(row, column, component)
            for n in range(frames)
            for row in range(picture.rows)
            for column in range(picture.columns)
            for component in range(samples)
        )
        ds.put(
            "PixelData", data + b"\0" * (len(data) % 2), vr="OW" if picture.syntax == IMPLICIT_LE else "OB"
        )
    if not ds.has("LossyImageCompression"):
        ds.put("LossyImageCompression", "00")
    ds.put("PhotometricInterpretation", photometric)


__all__ = ["CLIP", "MX1", "PACS", "PACS2", "RIS", "SC", "US", "Picture", "Scan"]
