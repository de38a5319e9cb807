"""Every fault of a statement file is told as file:line, with the nearest right word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.statements.loader import load, load_file, load_text
from bench.statements.model import Statement, StatementErrors

GOOD = """\
statement: acme
prefix: AC
edition: {document: ACME Statement, revision: A, date: "2026-01-31"}
product:
  name: CR-7
  vendor: ACME
  kind: reader
  variants: {vet: for animals}
sections:
  - number: 1
    title: Images
    prefix: AC-IMG
    of: [3.1]
    kind: attribute
    dataset: object
    sop_classes: [1.2.840.10008.5.1.4.1.1.1]
    clauses:
      - id: AC-IMG-01
        attribute: (0008,0060) Modality CS 1
        types: {printed: 1, standard: 1 (2 in old editions), product: 1}
        values: [CR]
      - id: AC-IMG-02
        attribute: (0040,0009) ScheduledProcedureStepID SH 1
        inside: [RequestAttributesSequence]
        errata: [AC-E-01]
  - number: 2
    title: Associations
    prefix: AC-ASC
    of: [4]
    kind: association
    clauses:
      - id: AC-ASC-01
        title: PDU
        text: The PDU is small.
      - id: AC-ASC-02
        kind: context
        sop_class: 1.2.840.10008.1.1 Verification
        role: SCU
        transfer_syntaxes: [1.2.840.10008.1.2]
      - id: AC-ASC-03
        kind: charset
        charset: \\ISO 2022 IR 87
errata:
  - id: AC-E-01
    severity: typo
    statement: says
    standard: says else
    reading: reads
defaults:
  - id: AC-D-01
    fact: retry
    value: none
    why: silence
"""


def faults(text: str) -> list[str]:
    """Return the faults of a statement's text, as told."""
    with pytest.raises(StatementErrors) as caught:
        load_text(text, "acme.yaml")
    return [str(problem) for problem in caught.value.problems]


def changed(old: str, new: str) -> str:
    """Return the good statement with one place changed."""
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def line_of(text: str, part: str) -> int:
    """Return the line (from 1) of the only place of `part`."""
    lines = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    assert len(lines) == 1, part
    return lines[0]


def test_the_good_one_is_good() -> None:
    """What the cases below break is whole."""
    statement = load_text(GOOD)
    assert isinstance(statement, Statement)
    assert list(statement.by_id) == ["AC-IMG-01", "AC-IMG-02", "AC-ASC-01", "AC-ASC-02", "AC-ASC-03"]
    assert statement.by_id["AC-IMG-02"].line == line_of(GOOD, "id: AC-IMG-02")


CASES = {
    "unknown tag": (
        "(0008,0060) Modality CS 1",
        "(0008,0062) Modality CS 1",
        ["tag (0008,0062) is 'SOPClassesInStudy'", "'Modality' is (0008,0060)"],
    ),
    "tag of nobody": (
        "(0008,0060) Modality CS 1",
        "(0008,9999) Modality CS 1",
        ["unknown tag (0008,9999)", "'Modality' is (0008,0060)"],
    ),
    "unknown keyword": (
        "(0008,0060) Modality CS 1",
        "(0008,0060) Modallity CS 1",
        ["unknown keyword 'Modallity'", "(0008,0060) is 'Modality'"],
    ),
    "unknown tag and keyword": (
        "(0008,0060) Modality CS 1",
        "(0008,9998) Modallity CS 1",
        ["unknown tag (0008,9998) and unknown keyword 'Modallity'", "did you mean 'Modality'"],
    ),
    "tag and keyword disagree": (
        "(0008,0060) Modality CS 1",
        "(0008,0070) Modality CS 1",
        ["tag (0008,0070) is 'Manufacturer'", "'Modality' is (0008,0060)"],
    ),
    "VR of another": (
        "(0008,0060) Modality CS 1",
        "(0008,0060) Modality LO 1",
        ["VR LO of Modality is not that of the dictionary", "PS3.6 has CS"],
    ),
    "VR of nobody": ("(0008,0060) Modality CS 1", "(0008,0060) Modality CX 1", ["unknown VR 'CX'"]),
    "VM of another": (
        "(0008,0060) Modality CS 1",
        "(0008,0060) Modality CS 1-n",
        ["VM 1-n of Modality is not that of the dictionary", "PS3.6 has 1"],
    ),
    "no VM": (
        "(0008,0060) Modality CS 1",
        "(0008,0060) Modality CS many",
        ["'many' is no value multiplicity"],
    ),
    "no attribute": (
        "(0008,0060) Modality CS 1",
        "Modality",
        ["'Modality' is no attribute", "write: (0010,0010)"],
    ),
    "impossible type": (
        "product: 1}",
        "product: 4}",
        ["impossible type '4'", "known: 1, 1C, 2, 2C, 3, -, blank"],
    ),
    "type with a note": ("product: 1}", "product: 1 (of old)}", ["a note in 'product'"]),
    "unknown column": (
        "printed: 1,",
        "prited: 1,",
        ["unknown key of types 'prited'", "did you mean 'printed'?"],
    ),
    "impossible value": ("[CR]", "[Cr]", ["value 'Cr' is impossible for VR CS"]),
    "value twice": ("[CR]", "[CR, CR]", ["'CR' is listed twice in 'values'"]),
    "no sequence": (
        "inside: [RequestAttributesSequence]",
        "inside: [PatientName]",
        ["'PatientName' is no sequence (VR PN)"],
    ),
    "unknown sequence": (
        "inside: [RequestAttributesSequence]",
        "inside: [RequestAttributeSequence]",
        ["unknown sequence 'RequestAttributeSequence'", "did you mean 'RequestAttributesSequence'?"],
    ),
    "unknown erratum": (
        "errata: [AC-E-01]",
        "errata: [AC-E-02]",
        ["unknown erratum 'AC-E-02'", "did you mean 'AC-E-01'?"],
    ),
    "unknown kind": ("kind: context", "kind: contxt", ["unknown kind 'contxt'", "did you mean 'context'?"]),
    "unknown data set": ("dataset: object", "dataset: objects", ["unknown data set 'objects'"]),
    "id twice": ("id: AC-ASC-02", "id: AC-ASC-01", ["id 'AC-ASC-01' is used twice", "first in line 32"]),
    "id of another section": (
        "id: AC-ASC-02",
        "id: AC-IMG-07",
        ["id 'AC-IMG-07' does not fit here", "it must be AC-ASC- and 2 to 4 digits"],
    ),
    "id of an erratum": ("id: AC-E-01", "id: AC-X-01", ["id 'AC-X-01' does not fit here", "AC-E-"]),
    "prefix of another": ("prefix: AC-ASC", "prefix: XX-ASC", ["prefix 'XX-ASC' does not begin with AC-"]),
    "unknown key": ("title: PDU", "titel: PDU", ["unknown key of a clause 'titel'", "did you mean 'title'?"]),
    "key of another kind": (
        "text: The PDU is small.",
        "text: The PDU is small.\n        charset: ISO_IR 100",
        ["'charset' does not belong to a clause of kind association", "it is for charset"],
    ),
    "no words": ("text: The PDU is small.", "check: look", ["clause AC-ASC-01 has no 'text'"]),
    "empty text": ("text: The PDU is small.", "text:", ["'text' is empty"]),
    "unknown UID": (
        "sop_class: 1.2.840.10008.1.1 Verification",
        "sop_class: 1.2.840.10008.1.77 Verification",
        ["unknown UID '1.2.840.10008.1.77' in 'sop_class'"],
    ),
    "no UID": (
        "sop_class: 1.2.840.10008.1.1 Verification",
        "sop_class: Verification SOP",
        ["'Verification' in 'sop_class' is no UID"],
    ),
    "UID without a name": (
        "sop_class: 1.2.840.10008.1.1 Verification",
        "sop_class: 1.2.840.10008.1.1",
        ["a SOP class needs its name behind the UID", "Verification SOP Class"],
    ),
    "UID of another type": (
        "transfer_syntaxes: [1.2.840.10008.1.2]",
        "transfer_syntaxes: [1.2.840.10008.1.1]",
        ["UID '1.2.840.10008.1.1' in 'transfer_syntaxes' is a SOP Class, not a Transfer Syntax"],
    ),
    "unknown role": ("role: SCU", "role: SCX", ["unknown role 'SCX'", "known: SCU, SCP"]),
    "unknown character set": (
        "\\ISO 2022 IR 87",
        "\\ISO 2022 IR 78",
        ["unknown character set 'ISO 2022 IR 78'"],
    ),
    "section twice": ("number: 2", "number: 1", ["section 1 is there twice", "first in line"]),
    "section number": ("number: 2", "number: two", ["'two' cannot be the number"]),
    "impossible date": ('"2026-01-31"', "31.1.2026", ["'31.1.2026' cannot be the date", "write: 2026-01-31"]),
    "no edition": ("revision: A, ", "", ["edition has no 'revision'"]),
    "top key": ("defaults:", "default:", ["unknown key of the file 'default'", "did you mean 'defaults'?"]),
    "no list": ("of: [4]", "of: {a: 4}", ["'of' must be a text, not a mapping"]),
    "overruled": ("reading: reads", "reading: reads\n    overrules: [tags]", ["'tags' cannot be overruled"]),
    "no SOP class": (
        "    sop_classes: [1.2.840.10008.5.1.4.1.1.1]\n",
        "",
        ["section 1 has no 'sop_classes'"],
    ),
    "variant": (
        "text: The PDU is small.",
        "text: The PDU is small.\n        only_for: vets",
        ["unknown variant of the product 'vets'", "did you mean 'vet'?"],
    ),
    "printed tag": (
        "values: [CR]",
        "values: [CR]\n        printed: {tag: '(0008,0061)'}",
        ["a tag that is printed otherwise needs an erratum"],
    ),
    "match of nothing": ("values: [CR]", "match: prefix", ["'match' has no 'values' to compare with"]),
    "no range": ("values: [CR]", "range: 9..1", ["'9..1' is no range", "write: 1..4096"]),
    "no usage": ("values: [CR]", "usage: X/M", ["impossible usage 'X/M'"]),
}


@pytest.mark.parametrize("name", list(CASES))
def test_fault_is_told_where_it_is(name: str) -> None:
    """One change: the message and the hint, at its line; a missing key at the mapping that lacks it."""
    old, new, parts = CASES[name]
    text = changed(old, new)
    told = faults(text)
    hits = [line for line in told if all(part in line for part in parts)]
    assert hits, told
    before, after = GOOD.splitlines(), text.splitlines()
    first = next(number for number, (a, b) in enumerate(zip(before, after, strict=False), 1) if a != b)
    line = int(hits[0].split(":")[1])
    mapping = {"no words": "- id: AC-ASC-01", "no SOP class": "- number: 1"}.get(name)
    assert line == (first if mapping is None else line_of(GOOD, mapping)), hits
    assert hits[0].startswith("acme.yaml:")


def test_all_faults_are_told_at_once() -> None:
    """A person repairs a file in one go."""
    text = changed("(0008,0060) Modality CS 1", "(0008,0060) Modallity CS 1").replace(
        "role: SCU", "role: SCX"
    )
    text = text.replace("id: AC-D-01", "id: AC-E-01")
    told = faults(text)
    lines = [int(line.split(":")[1]) for line in told]
    assert lines == sorted(lines)
    assert len(told) >= 3


@pytest.mark.parametrize(
    ("overrules", "attribute"),
    [
        ("vr", "(0008,0060) Modality LO 1"),
        ("vm", "(0008,0060) Modality CS 1-n"),
        ("keyword", "(0008,9998) OldName CS 1"),
    ],
)
def test_an_erratum_may_overrule_the_dictionary(overrules: str, attribute: str) -> None:
    """What the product really sends can be written down, with a reason that says so."""
    text = changed("(0008,0060) Modality CS 1", attribute)
    assert faults(text)
    text = text.replace("values: [CR]", "values: [CR]\n        errata: [AC-E-01]")
    assert faults(text)
    rule = load_text(text.replace("reading: reads", f"reading: reads\n    overrules: [{overrules}]"))
    assert rule.by_id["AC-IMG-01"].attribute is not None


def test_private_and_repeating_elements_are_allowed() -> None:
    """Odd groups are the vendor's own; 60xx groups are written with x."""
    text = changed("(0008,0060) Modality CS 1", "(0029,1010) PlateCycles CS 1-3")
    assert load_text(text).by_id["AC-IMG-01"].title == "PlateCycles (0029,1010)"
    text = changed("(0008,0060) Modality CS 1", "(60XX,0040) OverlayType CS 1").replace("[CR]", "[G]")
    rule = load_text(text).by_id["AC-IMG-01"].attribute
    assert rule is not None
    assert rule.tag == "(60xx,0040)"
    nested = changed("(0008,0060) Modality CS 1", "(0029,1010) AcmeSequence SQ 1")
    nested = nested.replace("        values: [CR]\n", "").replace(
        "[RequestAttributesSequence]", "[AcmeSequence]"
    )
    inner = load_text(nested).by_id["AC-IMG-02"].attribute
    assert inner is not None
    assert inner.path == ("(0029,1010)",)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the file is empty"),
        ("just words", "the file must be a mapping"),
        ("a: [1", "not YAML"),
        ("statement: a\nstatement: b\n", "is there twice"),
        ("[" * 40 + "]" * 40, "nested deeper"),
        ("statement: !!python/object:os.system x\n", "tags are not used here"),
        ("sections: 5\n", "'sections' must be a list"),
        ("sections: [5, [], {}]\n", "a section must be a mapping"),
    ],
)
def test_what_is_no_statement(text: str, part: str) -> None:
    """Any text gives faults, never a traceback."""
    assert any(part in line for line in faults(text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing, huge or binary file, or an unknown name, is a fault as well."""
    for name, content, part in (
        ("binary.yaml", b"\xff\xfe\x00", "not UTF-8"),
        ("huge.yaml", b"#" * 1_100_000, "larger than"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(StatementErrors, match=part):
            load_file(path)
    with pytest.raises(StatementErrors, match="cannot be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(StatementErrors, match=re.escape("did you mean 'vxvue'?")):
        load("vxvu")
    with pytest.raises(StatementErrors, match="known: vxvue, mx1"):
        load("q")
