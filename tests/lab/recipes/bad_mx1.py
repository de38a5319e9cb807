"""Defects of an MX1 on the network."""

from __future__ import annotations

from dataclasses import replace

from simulators.wire import (
    AssociateRequest,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextRQ,
    UserInformation,
)
from tests.lab.conversation import Lab
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, JPEG_LOSSLESS, DataSet
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import (
    CLIP,
    MX1,
    NATIVE,
    PACS,
    RIS,
    STORAGE,
    VERIFICATION,
    WORKLIST,
    Picture,
    Scan,
)
from tests.lab.recipes import bad
from tests.lab.recipes.defects import dataset
from tests.lab.recipes.good_mx1 import BIG

STILL = Picture("us", IMPLICIT_LE, 1, 12, 16)
JPEG = Picture("us", JPEG_BASELINE, 1, 16, 16)
MOVIE = Picture("clip", IMPLICIT_LE, 1, 12, 16)


def _users(lab: Lab, kind: type, value: object) -> None:
    def edit(request: AssociateRequest) -> AssociateRequest:
        items = tuple(
            UserInformation(tuple(value if isinstance(i, kind) else i for i in item.items))  # type: ignore[misc]
            if isinstance(item, UserInformation)
            else item
            for item in request.items
        )
        return replace(request, items=items)

    lab.edit_request(edit)


def _store(lab: Lab, picture: Picture, change: object = None, language: str = "default") -> None:
    if change is not None:
        dataset(lab, "C-STORE-RQ", change)  # type: ignore[arg-type]
    MX1(lab).store(PACS, Scan(PERSONS[language]), [picture])


@bad("mx1", "MX-VER-002")
def bad_mx_maximum_length(lab: Lab) -> None:
    """MX1 announces 16384 for verification."""
    _users(lab, MaximumLength, MaximumLength(16384))
    MX1(lab).verify(PACS)


@bad("mx1", "MX-VER-007")
def bad_mx_implementation_class(lab: Lab) -> None:
    """MX1 names the implementation class of its media stack."""
    _users(lab, ImplementationClassUID, ImplementationClassUID("1.2.392.200036.9107.700.1"))
    MX1(lab).verify(PACS)


@bad("mx1", "MX-VER-008")
def bad_mx_version_name(lab: Lab) -> None:
    """MX1 names another implementation version."""
    _users(lab, ImplementationVersionName, ImplementationVersionName("KM_SMGMX1_1.10"))
    MX1(lab).verify(PACS)


@bad("mx1", "MX-VER-PC-003")
def bad_mx_no_big_endian(lab: Lab) -> None:
    """Verification is not proposed with Explicit VR Big Endian."""
    a = MX1(lab).associate(PACS, [(VERIFICATION, NATIVE[:2])])
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()


@bad("mx1", "MX-STO-003", config={"software_version": "V1.20"})
def bad_mx_send_length(lab: Lab) -> None:
    """MX1 sends PDUs of 256 KB to an archive without limit."""
    mx = MX1(lab)
    mx.longest = 262144
    mx.store(BIG, Scan(), [Picture("us", EXPLICIT_LE, 1, 240, 320)])


@bad("mx1", "MX-STO-004", config={"software_version": "V1.10", "variants": ["V1.10"]})
def bad_mx_send_length_110(lab: Lab) -> None:
    """The version V1.10 sends PDUs of 40 KB."""
    mx = MX1(lab, version="1.10")
    mx.longest = 40960
    mx.store(BIG, Scan(), [Picture("us", EXPLICIT_LE, 1, 120, 160)])


@bad("mx1", "MX-STO-005")
def bad_mx_two_associations(lab: Lab) -> None:
    """Two associations to one archive at the same time."""
    mx = MX1(lab)
    start = lab.time
    mx.store(PACS, Scan(number=1), [STILL])
    lab.time = start + 0.003
    mx.store(PACS, Scan(number=2), [STILL])


@bad("mx1", "MX-MWL-PC-001")
def bad_mx_worklist_syntax(lab: Lab) -> None:
    """The worklist is proposed with Explicit VR Little Endian as well."""
    from tests.lab.products.facts import da
    from tests.lab.products.mx1 import worklist_keys

    a = MX1(lab).associate(RIS, [(WORKLIST, (IMPLICIT_LE, EXPLICIT_LE))])
    a.request("C-FIND-RQ", worklist_keys("MX1", da(lab.time)))
    a.respond()
    a.release()


@bad("mx1", "MX-GEN-006")
def bad_mx_other_class(lab: Lab) -> None:
    """MX1 proposes Modality Performed Procedure Step."""
    MX1(lab).associate(PACS, [(VERIFICATION, NATIVE), ("1.2.840.10008.3.1.2.3.3", NATIVE)]).release()


@bad("mx1", may="MX-STO-PC-001 MX-STO-PC-002 MX-STO-PC-003 MX-STO-PC-004")
def bad_mx_lossless_clips(lab: Lab) -> None:
    """MX1 proposes JPEG Lossless for clips."""

    def edit(request: AssociateRequest) -> AssociateRequest:
        more = PresentationContextRQ(31, CLIP, (JPEG_LOSSLESS,))
        return replace(request, items=(*request.items[:-1], more, request.items[-1]))

    lab.edit_request(edit)
    _store(lab, STILL)


@bad("mx1", "MX-MWL-RK-33")
def bad_mx_no_birth_date_key(lab: Lab) -> None:
    """The worklist query does not ask for Patient's Birth Date."""
    dataset(lab, "C-FIND-RQ", lambda ds: ds.drop("PatientBirthDate"))
    MX1(lab).worklist(RIS)


@bad("mx1", "MX-STO-IMG-001", "STD-IOD-002")
def bad_mx_no_instance_number(lab: Lab) -> None:
    """Instance Number is missing."""
    _store(lab, STILL, lambda ds: ds.drop("InstanceNumber"))


@bad("mx1", "MX-STO-IMG-009", "STD-IOD-019", may="STD-IOD-020 STD-IOD-003 MX-STO-IMG-010 MX-STO-IMG-011")
def bad_mx_lossy_flag(lab: Lab) -> None:
    """A JPEG Baseline image says that it never was compressed."""
    _store(lab, JPEG, lambda ds: ds.put("LossyImageCompression", "00"))


@bad("mx1", "MX-STO-IMG-010", "STD-IOD-020", may="STD-IOD-003")
def bad_mx_no_ratio(lab: Lab) -> None:
    """A JPEG Baseline image has no compression ratio."""
    _store(lab, JPEG, lambda ds: ds.drop("LossyImageCompressionRatio"))


@bad("mx1", "STD-IOD-018")
def bad_mx_stream_size(lab: Lab) -> None:
    """The JPEG stream has another number of rows than the image."""
    _store(lab, JPEG, lambda ds: ds.put("Rows", 24))


@bad("mx1", "STD-IOD-015", may="MX-STO-IMG-013 STD-IOD-006 STD-IOD-026 STD-IOD-018")
def bad_mx_photometric(lab: Lab) -> None:
    """A lossless JPEG image says YBR_FULL_422."""
    _store(
        lab,
        replace(JPEG, syntax=JPEG_LOSSLESS),
        lambda ds: ds.put("PhotometricInterpretation", "YBR_FULL_422"),
    )


@bad("mx1", "STD-IOD-001", may="STD-IOD-050")
def bad_mx_no_pointer(lab: Lab) -> None:
    """A clip has no Frame Increment Pointer."""
    _store(lab, MOVIE, lambda ds: ds.drop("FrameIncrementPointer"))


@bad("mx1", "STD-IOD-017", may="STD-IOD-010 STD-IOD-053")
def bad_mx_frames(lab: Lab) -> None:
    """A clip says 5 frames and holds 3."""
    _store(lab, MOVIE, lambda ds: ds.put("NumberOfFrames", "5"))


@bad("mx1", "STD-IOD-052")
def bad_mx_cine_rate(lab: Lab) -> None:
    """Cine Rate contradicts Frame Time."""
    _store(lab, MOVIE, lambda ds: ds.put("CineRate", "10"))


@bad("mx1", "STD-IOD-053", may="MX-STO-IMG-017")
def bad_mx_start_trim(lab: Lab) -> None:
    """Start Trim lies behind the last frame."""
    _store(lab, MOVIE, lambda ds: ds.put("StartTrim", "9").put("StopTrim", "9"))


@bad("mx1", "STD-IOD-054")
def bad_mx_region(lab: Lab) -> None:
    """The ultrasound region reaches beyond the image."""
    _store(lab, STILL, lambda ds: ds.item("SequenceOfUltrasoundRegions").put("RegionLocationMaxX1", 400))


@bad("mx1", "STD-IOD-001", may="STD-IOD-055")
def bad_mx_delta(lab: Lab) -> None:
    """The ultrasound region has centimetres but no Physical Delta X."""
    _store(lab, STILL, lambda ds: ds.item("SequenceOfUltrasoundRegions").drop("PhysicalDeltaX"))


@bad("mx1", "MX-CHR-001", may="MX-CHR-002 MX-CHR-003 MX-CHR-004 MX-CHR-005 MX-CHR-006 MX-CHR-007")
def bad_mx_character_set(lab: Lab) -> None:
    """Texts are in a character set that the statement does not list."""
    _store(lab, STILL, language="cyrillic")


@bad("mx1", "STD-DS-042")
def bad_mx_offset_table(lab: Lab) -> None:
    """The offset table of a clip points beside its fragments."""
    from tests.lab.elements import Fragments

    def change(ds: DataSet) -> None:
        pixels = ds.get("PixelData")
        ds.change("PixelData", value=Fragments(pixels.fragments, tuple(n + 6 for n in pixels.offsets)))

    _store(lab, replace(MOVIE, syntax=JPEG_BASELINE, offsets=True), change)


@bad("mx1", "MX-VER-006")
def bad_mx_asynchronous(lab: Lab) -> None:
    """MX1 proposes an asynchronous operations window."""
    from simulators.wire import AsyncOperationsWindow

    def edit(request: AssociateRequest) -> AssociateRequest:
        items = tuple(
            UserInformation((*i.items, AsyncOperationsWindow(0, 0))) if isinstance(i, UserInformation) else i
            for i in request.items
        )
        return replace(request, items=items)

    lab.edit_request(edit)
    MX1(lab).verify(PACS)


@bad("mx1", "MX-STO-007", may="STD-DIMSE-041")
def bad_mx_no_waiting(lab: Lab) -> None:
    """The second image is sent before the first is answered."""
    from tests.lab.products.mx1 import US, image

    mx = MX1(lab)
    scan = Scan(start=lab.time - 100)
    a = mx.associate(PACS, STORAGE)
    context = next(
        i for i, (abstract, syntax) in a.contexts.items() if abstract == US and syntax == IMPLICIT_LE
    )
    pictures = [STILL, replace(STILL, number=2)]
    asked = [
        a.request(
            "C-STORE-RQ", image(scan, p, "1.20"), sop_class=US, sop_instance=scan.image(p), context=context
        )
        for p in pictures
    ]
    for command in asked:
        a.respond(to=command)
    a.release()
