"""Rules of data sets and character sets on captures: one defect, one rule; what is right is never FAIL."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.checks import charsets, datasets
from bench.checks.case import Case, Sut
from bench.checks.finding import Finding
from bench.statements import load
from bench.verdict import Verdict
from bench.witness import read
from bench.witness.dataset import read as read_dataset
from simulators.wire.dimse import Command, encode_command
from tests.lab.conversation import Cut, Lab, pdus
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet, Element, Fragments

DX = "1.2.840.10008.5.1.4.1.1.1.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
MPPS = "1.2.840.10008.3.1.2.3.3"
JPEG = "1.2.840.10008.1.2.4.50"
SUT = "10.0.0.5"
TEXTS = [
    ("ISO_IR 100", "Äneas^Rüdiger", ("VX-CS-003",)),
    ("ISO 2022 IR 100", "Äneas^Rüdiger", ("VX-CS-004",)),
    ("ISO_IR 101", "Wałęsa^Łech", ("VX-CS-005",)),
    ("ISO_IR 109", "Ħaġar^Ċensu", ("VX-CS-007",)),
    ("ISO_IR 110", "Ķēniņš^Ādolfs", ("VX-CS-009",)),
    ("ISO_IR 148", "Çavuşoğlu^A", ("VX-CS-011",)),
    ("ISO_IR 144", "Люкceмбypг^A", ("VX-CS-013",)),
    ("ISO_IR 127", "قباني^لنزار", ("VX-CS-015",)),
    ("ISO_IR 126", "Διονυσιος^A", ("VX-CS-017",)),
    ("ISO_IR 138", "שרון^דבורה", ("VX-CS-019",)),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ", ("VX-CS-021", "VX-CS-023")),
    ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう", ("VX-CS-025",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎", ("VX-CS-025",)),
    ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ("VX-CS-022", "VX-CS-025")),
    ("ISO_IR 166", "สวัสดี^A", ("VX-CS-026",)),
    ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동", ("VX-CS-028",)),
    ("ISO_IR 192", "Wang^XiaoDong=王^小东", ("VX-CS-029",)),
    ("GB18030", "Wang^XiaoDong=王^小东", ("VX-CS-030",)),
    ("", "Doe^Jane", ("VX-CS-001",)),
    ("ISO 2022 IR 6", "Doe^Jane", ("VX-CS-002",)),
]


def dx(**more: object) -> DataSet:
    values: dict[str, object] = {
        "SOPClassUID": DX, "SOPInstanceUID": "1.2.3.4", "StudyDate": "20260102", "StudyTime": "101112.5",
        "Modality": "DX", "PatientName": "Doe^Jane", "PatientID": "7", "StudyInstanceUID": "1.2.3",
        "KVP": "80.5", "ExposureTime": 100, "PatientAge": "045Y", "ImageType": ["ORIGINAL", "PRIMARY", ""],
        "Rows": 1, "Columns": 2, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "RequestAttributesSequence": [DataSet(ScheduledProcedureStepID="1", RequestedProcedureDescription="Chest")],
    }  # fmt: skip
    data = DataSet(**(values | more))
    if not data.has("PixelData"):
        data.put("PixelData", b"\1\0\2\0", vr="OW")
    return data


def case_of(tmp_path: Path, *talk: Callable[[Lab], None], statement: str = "vxvue") -> Case:
    lab = Lab()
    for part in talk:
        part(lab)
    path = tmp_path / "wire.pcap"
    lab.write(path)
    return Case(load(statement), read(path), Sut(frozenset([SUT])))


def stored(data: DataSet | bytes, syntax: str = EXPLICIT_LE, abstract: str = DX) -> Callable[[Lab], None]:
    def talk(lab: Lab) -> None:
        a = lab.associate(client=SUT, server="10.0.0.9", port=104, contexts=[(abstract, [syntax])])
        a.accept()
        a.request("C-STORE-RQ", data, sop_instance="1.2.3.4")
        a.respond(0)
        a.release()

    return talk


def asked(data: DataSet, *answers: DataSet) -> Callable[[Lab], None]:
    def talk(lab: Lab) -> None:
        a = lab.associate(client=SUT, server="10.0.0.8", port=104, contexts=[(WORKLIST, [EXPLICIT_LE])])
        a.accept()
        a.request("C-FIND-RQ", data)
        for answer in answers:
            a.respond(0xFF00, answer)
        a.respond(0)
        a.release()

    return talk


def judged(case: Case) -> list[Finding]:
    return [*datasets.encoding(case), *charsets.rules(case), *charsets.sets(case)]


def ids(found: list[Finding], verdict: Verdict = Verdict.FAIL) -> set[str]:
    return {f.id for f in found if f.verdict is verdict and not f.remark}


@pytest.mark.parametrize(("terms", "name", "rows"), TEXTS)
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_every_character_set_of_the_statement(
    tmp_path: Path, terms: str, name: str, rows: tuple[str, ...], syntax: str
) -> None:
    case = case_of(tmp_path, stored(dx(SpecificCharacterSet=terms.split("\\"), PatientName=name), syntax))
    found = judged(case)
    assert ids(found) == set()
    assert {i for i in ids(found, Verdict.PASS) if i.startswith("VX-CS")} >= set(rows)


@pytest.mark.parametrize(
    "keys",
    [
        {"StudyDate": "20260101-20260131", "PatientName": "Mül*^?", "SpecificCharacterSet": "ISO_IR 100"},
        {"StudyDate": "-20260131", "StudyTime": "0800-1200", "Modality": "C?", "PatientID": "*"},
        {"StudyDate": "20260101-", "StudyInstanceUID": "1.2.3\\1.2.4", "AcquisitionDateTime": "2026-202602"},
        {"PatientBirthDate": None, "StudyTime": "080000.000000-", "SpecificCharacterSet": None},
        {"ProcedureCodeSequence": [], "ReferencedStudySequence": [DataSet(ReferencedSOPClassUID=None)]},
    ],
)
def test_keys_to_match_are_no_values(tmp_path: Path, keys: dict[str, object]) -> None:
    assert ids(judged(case_of(tmp_path, asked(DataSet(**keys))))) == set()


def test_odd_but_legal_encodings(tmp_path: Path) -> None:
    data = dx(
        KVP=b"  80.5", WindowCenter=b" 1 \\2.0e+2", StudyTime=b"10  ", StudyID=b"a   ", ExposureTime=b"  +100",
        PatientName=b"Doe^Jane^^^ ", AccessionNumber=b"", ConfigurationInformation="STANDARD\\1,1",
        ProcedureCodeSequence=[], PatientComments="line\r\nnext\tline", SeriesDescription=None,
    )  # fmt: skip
    data.put(0x00090010, "ACME", vr="LO").put(0x00091001, b"\1\2", vr="UN").put(0x00091002, "x", vr="LO")
    data.put(0x00080000, struct.pack("<I", 0), vr="UL")
    whole = data.encode(undefined=True)
    body = len(
        DataSet(e for e in data.elements if e.tag >> 16 == 8 and e.tag & 0xFFFF).encode(undefined=True)
    )
    data.put(0x00080000, struct.pack("<I", body), vr="UL")
    assert len(whole) == len(data.encode(undefined=True))
    found = judged(case_of(tmp_path, stored(data.encode(undefined=True))))
    assert ids(found) == set()
    assert {"STD-DS-011", "STD-DS-012", "STD-DS-004"} <= ids(found, Verdict.PASS)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda d: d.put(0x00080000, b"\1\0\0\0", vr="UL"), "STD-DS-011"),
        (lambda d: d.put("StudyID", b"abc\0"), "STD-DS-016"),
        (lambda d: d.put("StudyInstanceUID", b"1.2.3 "), "STD-DS-016"),
        (lambda d: d.put("StudyInstanceUID", "1.02.3"), "STD-DS-032"),
        (lambda d: d.put("StudyInstanceUID", "1." + "2" * 64), "STD-DS-032"),
        (lambda d: d.put("StudyInstanceUID", "1.2..3"), "STD-DS-032"),
        (lambda d: d.put("Modality", "dx"), "STD-DS-022"),
        (lambda d: d.put("BodyPartExamined", "A" * 17), "STD-DS-022"),
        (lambda d: d.put("StudyDate", "20260230"), "STD-DS-023"),
        (lambda d: d.put("StudyDate", "2026.01.02"), "STD-DS-023"),
        (lambda d: d.put("StudyTime", "10:11:12"), "STD-DS-031"),
        (lambda d: d.put("KVP", "80,5"), "STD-DS-024"),
        (lambda d: d.put("KVP", "80.50000000000000001"), "STD-DS-024"),
        (lambda d: d.put("ExposureTime", "1.5"), "STD-DS-026"),
        (lambda d: d.put("ExposureTime", "4294967296"), "STD-DS-026"),
        (lambda d: d.put("PatientAge", "45 Y"), "STD-DS-021"),
        (lambda d: d.put("StationAETitle", "A" * 17), "STD-DS-020"),
        (lambda d: d.put("StudyDescription", "x" * 65), "STD-DS-027"),
        (lambda d: d.put("StudyDescription", "a\r\nb"), "STD-DS-027"),
        (lambda d: d.put("StudyID", "x" * 17), "STD-DS-028"),
        (lambda d: d.put("PatientName", "a^b^c^d^e^f"), "STD-DS-030"),
        (lambda d: d.put("PatientName", "a=b=c=d"), "STD-DS-030"),
        (lambda d: d.put("PatientName", "x" * 65), "STD-DS-030"),
        (lambda d: d.put("DerivationDescription", "x" * 1025), "STD-DS-029"),
        (lambda d: d.put("StudyDescription", "a\\b"), "STD-DS-014"),
        (lambda d: d.put("Rows", [1, 2]), "STD-DS-014"),
        (lambda d: d.change("Rows", vr="SS"), "STD-DS-008"),
        (lambda d: d.change("PatientID", vr="SH"), "STD-DS-008"),
        (lambda d: d.change("PatientID", vr="UN"), "STD-DS-010"),
        (lambda d: d.change("PatientID", vr="lo"), "STD-DS-009"),
        (lambda d: d.put(0x00091001, b"\1\2", vr="UN"), "STD-DS-012"),
        (lambda d: d.put(0x00090010, "ACME", vr="LO").put(0x00091101, b"\1\2", vr="UN"), "STD-DS-012"),
        (lambda d: d.put(0x00000002, "1.2", vr="UI"), "STD-DS-013"),
        (lambda d: d.change("PixelData", vr="OB"), "STD-DS-040"),
        (lambda d: d.append(Element(raw=b"\0" * 20)), "STD-DS-003"),
        (lambda d: d.change("PatientID", length=40), "STD-DS-002"),
        (lambda d: d.change("PatientName", length=18), "STD-DS-002"),
        (lambda d: d.append(Element(raw=b"junk" * 5)), "STD-DS-003"),
        (lambda d: d.put("PatientName", b"Yamada=\x1b$B;3ED\x1b(B "), "STD-CS-003"),
        (lambda d: d.put("SpecificCharacterSet", "ISO_IR 192").put("StudyID", b"\x1b$)C\xfb\xf3"), "STD-CS-006"),
        (lambda d: d.change("RequestAttributesSequence", length=10), "STD-DS-002"),
        (lambda d: d.put("ExposureTime", b"1\xb2"), "STD-CS-009"),
        (lambda d: d.put("PatientName", b"M\xfcller"), "STD-CS-003"),
        (lambda d: d.put("SpecificCharacterSet", "ISO_IR 100").put("StudyID", b"\x85\x80"), "STD-CS-004"),
        (lambda d: d.put("SpecificCharacterSet", b"UTF_8 ").put("PatientName", b"M\xc3\xbcller "), "STD-CS-001"),
        (lambda d: d.put("SpecificCharacterSet", "ISO 2022 IR 87"), "STD-CS-002"),
        (lambda d: d.put("SpecificCharacterSet", b"ISO_IR 100\\ISO 2022 IR 87 "), "STD-CS-002"),
        (lambda d: d.put("SpecificCharacterSet", "ISO_IR 192").put("StudyID", b"M\xfcller"), "STD-CS-008"),
        (lambda d: d.item("RequestAttributesSequence").put("RequestedProcedureDescription", b"\xfc "), "STD-CS-003"),
    ],
)  # fmt: skip
def test_one_defect_is_one_rule(tmp_path: Path, change: Callable[[DataSet], object], rule: str) -> None:
    data = dx()
    change(data)
    found = judged(case_of(tmp_path, stored(data)))
    assert {i for i in ids(found) if i.startswith("STD")} == {rule}
    fault = next(f for f in found if f.id == rule and f.verdict is Verdict.FAIL)
    assert fault.evidence[0].frame is not None
    assert fault.evidence[0].message == 1


def test_a_fault_of_the_peer_is_none_of_the_sut(tmp_path: Path) -> None:
    item = DataSet(
        SpecificCharacterSet="NONSENSE", PatientName=b"M\xfcller", StudyDate="x", StudyInstanceUID="1.2.3 "
    )
    case = case_of(tmp_path, asked(DataSet(PatientName=None), item), stored(dx()))
    assert ids(judged(case)) == set()


def test_a_deviation_that_the_statement_prints_is_none_of_the_product(tmp_path: Path) -> None:
    known = datasets.known(load("vxvue"))
    tag = next(t for t, values in known.values.items() if any(v != v.upper() for v in values))
    assert known.values[tag]


def test_encapsulated(tmp_path: Path) -> None:
    data = dx(PixelData=None)
    data.put("PixelData", Fragments((b"\xff\xd8ab\xff\xd9",), (0,)), vr="OB")
    assert ids(judged(case_of(tmp_path, stored(data, JPEG)))) == set()
    data.put("PixelData", Fragments((b"\xff\xd8ab\xff\xd9",), (4,)), vr="OB")
    assert ids(judged(case_of(tmp_path, stored(data, JPEG)))) == {"STD-DS-042"}
    data.put("PixelData", Fragments((b"\xff\xd8ab\xff\xd9",), (0,)), vr="OW")
    assert ids(judged(case_of(tmp_path, stored(data, JPEG)))) == {"STD-DS-040"}


@pytest.mark.parametrize("terms", ["ISO_IR 203", "GBK", "\\ISO 2022 IR 58"])
def test_a_set_outside_the_list_fails_the_section(tmp_path: Path, terms: str) -> None:
    data = dx(SpecificCharacterSet=terms.split("\\"), PatientName="A^B")
    found = judged(case_of(tmp_path, stored(data)))
    assert ids(found) == {"VX-CS-001"}
    found = judged(case_of(tmp_path, stored(data), statement="mx1"))
    assert ids(found) == {"MX-CHR-001"}


def test_the_sets_of_mx1_are_listed_whole(tmp_path: Path) -> None:
    data = dx(SpecificCharacterSet=["ISO 2022 IR 13", "ISO 2022 IR 87"], PatientName="ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎")
    found = judged(case_of(tmp_path, stored(data), statement="mx1"))
    assert ids(found) == set()
    assert {"MX-CHR-001", "MX-CHR-003"} <= ids(found, Verdict.PASS)
    assert "MX-CHR-002" not in ids(found, Verdict.PASS)


@pytest.mark.parametrize(
    ("terms", "row"),
    [
        ("\\ISO 2022 IR 13\\ISO 2022 IR 87", "MX-CHR-004"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "MX-CHR-002"),
        ("ISO_IR 192", "MX-CHR-006"),
    ],
)
def test_values_that_mean_the_same_are_the_same_row(tmp_path: Path, terms: str, row: str) -> None:
    data = dx(SpecificCharacterSet=terms.split("\\"), PatientName="Yamada^Tarou=山田^太郎")
    found = judged(case_of(tmp_path, stored(data), statement="mx1"))
    assert ids(found) == set()
    assert {i for i in ids(found, Verdict.PASS) if i.startswith("MX-CHR")} == {row, "MX-CHR-001"}


def test_what_the_worklist_said_is_sent_on(tmp_path: Path) -> None:
    name = "Yamada^Tarou=山田^太郎"
    terms = ["", "ISO 2022 IR 87"]
    item = DataSet(SpecificCharacterSet=terms, PatientName=name, StudyInstanceUID="1.2.3")
    right = dx(SpecificCharacterSet="ISO_IR 192", PatientName=name)
    found = judged(case_of(tmp_path, asked(DataSet(PatientName=None), item), stored(right)))
    assert ids(found) == set()
    assert {"VX-CS-025", "VX-CS-029"} <= ids(found, Verdict.PASS)
    lost = dx(PatientName="Yamada^Tarou=??^??")
    found = judged(case_of(tmp_path, asked(DataSet(PatientName=None), item), stored(lost)))
    assert ids(found) == {"VX-CS-025"}


def test_a_message_that_the_connection_cut_off_says_nothing(tmp_path: Path) -> None:
    def talk(lab: Lab) -> None:
        a = lab.associate(client=SUT, server="10.0.0.9", port=104, contexts=[(DX, [EXPLICIT_LE])])
        a.accept(max_length=16384)
        whole = dx(PixelData=b"\0" * 90000).change("PixelData", vr="OW").encode()
        command = Command.new("C-STORE-RQ", dataset=True, MessageID=1, AffectedSOPClassUID=DX)
        out = pdus(1, encode_command(command), whole, 16384, Cut())
        for pdu in list(out)[:3]:
            a.say("requestor", pdu)
        a.reset()

    assert ids(judged(case_of(tmp_path, talk))) == set()


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_lying_lengths_are_told_as_such(syntax: str) -> None:
    """Every length of an image lies by every amount: almost always one rule, and one about lengths."""
    data = dx(
        InstitutionName="Hospital", PatientSex="F", StudyID="1", SeriesNumber=1, PatientBirthDate="19700101"
    ).encode(syntax)
    total = single = 0
    for _, _, element in read_dataset(data, syntax).walk():
        for lie in (-2, 2, 4, 8, 10, 16, 50, 1000):
            length = element.length + lie
            if length < 0:
                continue
            wrong = bytearray(data)
            short = syntax == EXPLICIT_LE and element.header == 8
            at = element.offset + element.header - (2 if short else 4)
            wrong[at : at + (2 if short else 4)] = struct.pack("<H" if short else "<I", length)
            found = read_dataset(bytes(wrong), syntax)
            rules = {f.rule for f in datasets.faults_of(found)}
            assert rules
            total += 1
            single += rules in ({"STD-DS-002"}, {"STD-DS-003"}, {"STD-DS-004"})
    assert single / total > 0.95
