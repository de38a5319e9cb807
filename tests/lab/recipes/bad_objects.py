"""Defects of DX images of a VXvue: encoding, character sets, attributes, meaning."""

from __future__ import annotations

import struct

from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import IMPLICIT_LE, DataSet, element
from tests.lab.products.vxvue import PACS, VXvue
from tests.lab.products.vxvue_objects import code
from tests.lab.recipes import bad
from tests.lab.recipes.defects import OTHER, SMALL, dataset, exam, on, one_image

WORDS = memoryview(SMALL.pixels()).cast("H")


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


# -- encoding -----------------------------------------------------------------------------------------------


@bad("vxvue", "STD-DS-006")
def bad_element_order(lab: Lab) -> None:
    """Study ID stands behind Pixel Data."""

    def change(ds: DataSet) -> None:
        study = ds.get("StudyID")
        ds.drop("StudyID").append(element("StudyID", study))

    one_image(lab, change)


@bad("vxvue", "STD-DS-007", may="STD-DS-006")
def bad_element_twice(lab: Lab) -> None:
    """Patient ID is there twice."""

    def change(ds: DataSet) -> None:
        at = next(n for n, e in enumerate(ds.elements) if e.tag == 0x00100020)
        ds.elements.insert(at, ds.elements[at])

    one_image(lab, change)


@bad("vxvue", "STD-DS-005")
def bad_odd_length(lab: Lab) -> None:
    """Two values have odd lengths, so that the whole is even."""
    one_image(lab, lambda ds: ds.put("StationName", b"ROOM1").put("InstitutionName", b"Hospital1"))


@bad("vxvue", "STD-DS-008", "VX-STO-DX-002")
def bad_vr(lab: Lab) -> None:
    """Patient ID has the value representation SH."""
    one_image(lab, lambda ds: ds.change("PatientID", vr="SH"))


@bad("vxvue", "STD-DS-014", "VX-STO-DX-129", may="STD-IOD-022")
def bad_multiplicity(lab: Lab) -> None:
    """Imager Pixel Spacing has one value."""
    one_image(lab, lambda ds: ds.put("ImagerPixelSpacing", "0.139"))


@bad("vxvue", "STD-DS-012")
def bad_private_element(lab: Lab) -> None:
    """A private element has no creator."""
    one_image(lab, lambda ds: ds.put((0x0029, 0x1010), "SECRET", vr="LO"))


@bad("vxvue", "STD-DS-013")
def bad_file_meta_in_dataset(lab: Lab) -> None:
    """The data set begins with an element of the file meta information."""
    one_image(lab, lambda ds: ds.put("TransferSyntaxUID", "1.2.840.10008.1.2.1"))


@bad("vxvue", "STD-DS-027", may="VX-STO-DX-063")
def bad_long_text(lab: Lab) -> None:
    """Institution Name has 70 characters."""
    one_image(lab, lambda ds: ds.put("InstitutionName", "H" * 70))


@bad("vxvue", "STD-DS-031", "VX-STO-DX-021")
def bad_time(lab: Lab) -> None:
    """Study Time has colons."""
    one_image(lab, lambda ds: ds.put("StudyTime", "14:56:40"))


@bad("vxvue", "STD-DS-031", "VX-STO-DX-078")
def bad_acquisition_time(lab: Lab) -> None:
    """Acquisition Time is 25:61."""
    one_image(lab, lambda ds: ds.put("AcquisitionTime", "25:61"))


@bad("vxvue", "STD-DS-023", "VX-STO-DX-039")
def bad_date(lab: Lab) -> None:
    """Series Date is the 99th of a 13th month."""
    one_image(lab, lambda ds: ds.put("SeriesDate", "20251399"))


@bad("vxvue", "STD-DS-024", "VX-STO-DX-128")
def bad_decimal(lab: Lab) -> None:
    """Detector Temperature is no number."""
    one_image(lab, lambda ds: ds.put("DetectorTemperature", "31,5 C"))


@bad("vxvue", "STD-DS-032", "VX-STO-DX-047")
def bad_uid(lab: Lab) -> None:
    """A component of the Series Instance UID has a leading zero."""
    one_image(lab, lambda ds: ds.put("SeriesInstanceUID", "1.2.840.0113.7.1"))


@bad("vxvue", "STD-DS-016")
def bad_padding(lab: Lab) -> None:
    """Patient ID is padded with NUL."""
    one_image(lab, lambda ds: ds.put("PatientID", b"PAT0001\0"))


@bad("vxvue", "STD-DS-001")
def bad_implicit_data(lab: Lab) -> None:
    """Explicit VR Little Endian was accepted, the image is encoded with implicit VR."""

    def edit(out: Outgoing) -> None:
        assert isinstance(out.dataset, DataSet)
        out.dataset = out.dataset.encode(IMPLICIT_LE)

    on(lab, "C-STORE-RQ", edit)
    one_image(lab)


@bad("vxvue", "STD-DS-003", may="STD-DS-002 STD-IOD-010 VX-STO-DX-091")
def bad_length_beyond_end(lab: Lab) -> None:
    """The length of Pixel Data reaches beyond the data set."""
    one_image(lab, lambda ds: ds.change("PixelData", length=SMALL.rows * SMALL.columns * 2 + 64))


@bad("vxvue", "STD-DS-002", may="STD-DS-003")
def bad_item_length(lab: Lab) -> None:
    """An item of View Code Sequence is longer than its sequence."""
    body = code("272479007", "SCT", "postero-anterior").encode()
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(body) + 40) + body
    one_image(lab, lambda ds: ds.put("ViewCodeSequence", [item]))


# -- character sets -----------------------------------------------------------------------------------------


@bad("vxvue", "STD-CS-006", may="VX-CS-003 VX-STO-DX-143")
def bad_escape_in_latin1(lab: Lab) -> None:
    """Kanji with escape sequences under ISO_IR 100."""
    kanji = b"Yamada^Tarou=" + b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    one_image(lab, lambda ds: ds.put("PatientName", kanji + b" " * (len(kanji) % 2)), language="latin1")


@bad("vxvue", "STD-CS-003", "VX-STO-DX-143", may="VX-CS-001 STD-CS-004")
def bad_no_character_set(lab: Lab) -> None:
    """Latin 1 text without Specific Character Set."""
    one_image(lab, lambda ds: ds.put("StudyDescription", "Röntgen ".encode("latin-1")))


@bad("vxvue", "STD-CS-001", may="VX-STO-DX-143 VX-CS-001")
def bad_unknown_character_set(lab: Lab) -> None:
    """Specific Character Set is ISO_IR 999."""
    one_image(lab, lambda ds: ds.put("SpecificCharacterSet", b"ISO_IR 999"))


@bad("vxvue", "STD-CS-007", may="VX-CS-025")
def bad_no_return_to_ascii(lab: Lab) -> None:
    """Kanji are not ended before the value ends."""
    one_image(lab, lambda ds: ds.put("StudyDescription", b"Chest\x1b$B;3EDBB@O"), language="kanji")


@bad("vxvue", "STD-CS-008", may="VX-CS-029")
def bad_utf8(lab: Lab) -> None:
    """Latin 1 bytes under ISO_IR 192."""
    one_image(lab, lambda ds: ds.put("StudyDescription", "Röntgen ".encode("latin-1")), language="utf8")


@bad("vxvue", "STD-CS-005", may="VX-CS-025")
def bad_undeclared_set(lab: Lab) -> None:
    """Hangul are designated under \\ISO 2022 IR 87."""
    raw = b"\x1b$)C" + "흉부 ".encode("euc_kr")
    one_image(lab, lambda ds: ds.put("StudyDescription", raw + b" " * (len(raw) % 2)), language="kanji")


# -- attributes ---------------------------------------------------------------------------------------------


@bad("vxvue", "VX-STO-DX-112", "STD-IOD-001")
def bad_no_lut_shape(lab: Lab) -> None:
    """Presentation LUT Shape is missing."""
    one_image(lab, lambda ds: ds.drop("PresentationLUTShape"))


@bad("vxvue", "VX-STO-DX-096", "STD-IOD-002")
def bad_no_anatomic_region(lab: Lab) -> None:
    """Anatomic Region Sequence is missing."""
    one_image(lab, lambda ds: ds.drop("AnatomicRegionSequence"))


@bad("vxvue", "VX-STO-DX-028", "STD-IOD-001")
def bad_empty_study_uid(lab: Lab) -> None:
    """Study Instance UID is empty."""
    one_image(lab, lambda ds: ds.put("StudyInstanceUID"))


@bad("vxvue", "VX-STO-DX-046")
def bad_empty_body_part(lab: Lab) -> None:
    """Body Part Examined is empty."""
    one_image(lab, lambda ds: ds.put("BodyPartExamined"))


@bad("vxvue", "VX-STO-DX-093")
def bad_no_smallest_value(lab: Lab) -> None:
    """Smallest Image Pixel Value is missing."""
    one_image(lab, lambda ds: ds.drop("SmallestImagePixelValue"))


@bad("vxvue", "VX-STO-DX-067")
def bad_model(lab: Lab) -> None:
    """Manufacturer's Model Name does not begin with VIVIX."""
    one_image(lab, lambda ds: ds.put("ManufacturerModelName", "FXRD-1417"))


@bad("vxvue", "VX-STO-DX-062", config={"oem_manufacturer": "Example Imaging"})
def bad_manufacturer(lab: Lab) -> None:
    """Manufacturer is neither Vieworks nor the OEM that is configured."""
    one_image(lab, lambda ds: ds.put("Manufacturer", "VIEWORKS"))


@bad("vxvue", "VX-STO-DX-110", "STD-IOD-025")
def bad_rescale_type(lab: Lab) -> None:
    """Rescale Type is HU."""
    one_image(lab, lambda ds: ds.put("RescaleType", "HU"))


@bad("vxvue", "VX-STO-DX-059", "STD-IOD-040", may="VX-STO-DX-041")
def bad_modality(lab: Lab) -> None:
    """Modality is CR."""
    one_image(lab, lambda ds: ds.put("Modality", "CR"))


@bad("vxvue", "VX-STO-DX-119", may="STD-IOD-009 STD-IOD-006")
def bad_detector_type(lab: Lab) -> None:
    """Detector Type is SCINTILATOR, as the statement prints it."""
    one_image(lab, lambda ds: ds.put("DetectorType", "SCINTILATOR"))


@bad("vxvue", "VX-STO-DX-061", "STD-IOD-041", may="STD-IOD-006")
def bad_intent(lab: Lab) -> None:
    """Presentation Intent Type is FOR PROCESSING."""
    one_image(lab, lambda ds: ds.put("PresentationIntentType", "FOR PROCESSING"))


@bad("vxvue", "VX-STO-DX-089", "VX-STO-DX-103", "STD-IOD-012", may="STD-IOD-006 STD-IOD-026")
def bad_high_bit(lab: Lab) -> None:
    """High Bit is 15 where 14 bits are stored."""
    one_image(lab, lambda ds: ds.put("HighBit", 15))


# -- meaning ------------------------------------------------------------------------------------------------


@bad("vxvue", "VX-STO-DX-091", "STD-IOD-011")
def bad_pixel_above_bits(lab: Lab) -> None:
    """One pixel is above 2^14 - 1."""
    pixels = _words(*WORDS[:20], 20000, *WORDS[21:])
    one_image(lab, lambda ds: ds.change("PixelData", value=pixels).update(LargestImagePixelValue=16383))


@bad("vxvue", "VX-STO-DX-091", "STD-IOD-010")
def bad_short_pixel_data(lab: Lab) -> None:
    """Pixel Data lacks the last row."""
    one_image(lab, lambda ds: ds.change("PixelData", value=bytes(WORDS.cast("B"))[: -2 * SMALL.columns]).update(
        LargestImagePixelValue=max(WORDS[: -SMALL.columns])
    ))  # fmt: skip


@bad("vxvue", "VX-STO-DX-094", "STD-IOD-013")
def bad_largest_value(lab: Lab) -> None:
    """Largest Image Pixel Value is neither that of the pixels nor the bound."""
    one_image(lab, lambda ds: ds.put("LargestImagePixelValue", 9000))


@bad("vxvue", "STD-IOD-024")
def bad_inverse(lab: Lab) -> None:
    """Presentation LUT Shape is INVERSE with MONOCHROME2."""
    one_image(lab, lambda ds: ds.put("PresentationLUTShape", "INVERSE"))


@bad("vxvue", "STD-IOD-032")
def bad_deviation_index(lab: Lab) -> None:
    """Deviation Index is not what the exposure indices say."""
    one_image(lab, lambda ds: ds.put("DeviationIndex", "1.5"))


@bad("vxvue", "STD-IOD-033", may="STD-IOD-034")
def bad_kilovolts(lab: Lab) -> None:
    """KVP is in volts."""
    one_image(lab, lambda ds: ds.put("KVP", "120000"))


@bad("vxvue", "STD-IOD-034")
def bad_microamperes(lab: Lab) -> None:
    """The tube current in uA is not that in mA."""
    one_image(lab, lambda ds: ds.put("XRayTubeCurrentInuA", "100000"))


@bad("vxvue", "STD-IOD-030", may="STD-IOD-031")
def bad_birth_date(lab: Lab) -> None:
    """The patient is born after the study."""
    one_image(lab, lambda ds: ds.put("PatientBirthDate", "20260101").drop("PatientAge"))


@bad("vxvue", "STD-IOD-031")
def bad_age(lab: Lab) -> None:
    """Patient's Age is 20 years too low."""
    one_image(lab, lambda ds: ds.put("PatientAge", "035Y"))


@bad("vxvue", "STD-IOD-035")
def bad_view(lab: Lab) -> None:
    """View Position says PA, View Code Sequence left lateral."""
    one_image(lab, lambda ds: ds.put("ViewCodeSequence", [code("399173006", "SCT", "left lateral")]))


@bad("vxvue", "STD-IOD-008", may="VX-GEN-009")
def bad_frame_time(lab: Lab) -> None:
    """A DX image has a Frame Time."""
    one_image(lab, lambda ds: ds.put("FrameTime", "33.3"))


@bad("vxvue", "STD-IOD-039")
def bad_orientation(lab: Lab) -> None:
    """Patient Orientation has letters that the standard does not know."""
    one_image(lab, lambda ds: ds.put("PatientOrientation", ["X", "Y"]))


@bad("vxvue", "STD-IOD-023", may="VX-STO-DX-115")
def bad_window_width(lab: Lab) -> None:
    """Window Width is 0."""
    one_image(lab, lambda ds: ds.put("WindowWidth", "0"))


@bad("vxvue", "STD-IOD-020", "VX-STO-DX-111", "VX-STO-DX-082", may="STD-IOD-019")
def bad_lossy(lab: Lab) -> None:
    """Lossy Image Compression is 01 without a method, in an image that never was compressed."""
    one_image(lab, lambda ds: ds.put("LossyImageCompression", "01"))


@bad("vxvue", "STD-X-070", may="STD-SVC-010 VX-STO-006")
def bad_same_instance(lab: Lab) -> None:
    """Two different images have the same SOP Instance UID."""
    one_image(lab)
    lab.wait(5)

    def brighter(out: Outgoing) -> None:
        assert isinstance(out.dataset, DataSet)
        pixels = _words(*(value + 1 for value in WORDS))
        out.dataset.change("PixelData", value=pixels)
        out.dataset.update(SmallestImagePixelValue=min(WORDS) + 1, LargestImagePixelValue=max(WORDS) + 1)

    on(lab, "C-STORE-RQ", brighter)
    one_image(lab)


@bad("vxvue", "STD-X-071", may="STD-IOD-031 VX-STO-006")
def bad_two_patients(lab: Lab) -> None:
    """A second image of the study has another Patient ID."""
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("PatientID", "SOMEBODY"), nth=2)
    VXvue(lab).store(PACS, exam(scheduled=False, shots=(SMALL, OTHER)), mpps=False)
