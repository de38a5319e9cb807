"""Both statements are whole: every id ever issued is there, the rules are right, no noise is left."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.statements import BUNDLED, clause_ids, describe, load
from bench.statements.loader import HERE, load_file
from bench.statements.model import Clause, Statement

ROOT = Path(__file__).parents[2]

#: Clauses of each section prefix in the papers; a number may grow, never shrink.
COUNTS = {
    "VX-GEN": 11, "VX-ASC": 15, "VX-PC": 8, "VX-VER": 6, "VX-STO": 7, "VX-STO-DX": 143, "VX-MWL": 8, "VX-MWL-K": 39,
    "VX-PRN": 11, "VX-PRN-FS": 6, "VX-PRN-FB": 12, "VX-PRN-IB": 16, "VX-PRN-PR": 9, "VX-MPPS": 13, "VX-MPPS-NC": 38,
    "VX-MPPS-NS": 24, "VX-SC": 12, "VX-SC-NA": 4, "VX-QR": 6, "VX-QR-K": 10, "VX-SR": 6, "VX-SR-A": 52, "VX-SR-T": 54,
    "VX-CS": 30, "VX-COM": 5, "VX-CFG": 20, "VX-SEC": 4, "MX-GEN": 6, "MX-VER": 8, "MX-VER-PC": 3, "MX-STO": 10,
    "MX-STO-PC": 14, "MX-STO-IMG": 17, "MX-MWL": 10, "MX-MWL-PC": 1, "MX-MWL-MK": 8, "MX-MWL-RK": 46, "MX-MED": 7,
    "MX-MED-PC": 15, "MX-MED-DIR": 13, "MX-MED-PK": 5, "MX-MED-SK": 7, "MX-MED-RK": 4, "MX-MED-IK": 2, "MX-COM": 6,
    "MX-CFG": 12, "MX-CHR": 7,
}  # fmt: skip


@pytest.fixture(params=sorted(BUNDLED))
def statement(request: pytest.FixtureRequest) -> Statement:
    """Give each statement of the project."""
    return load(str(request.param))


def clause(number: str) -> Clause:
    """Return a clause of the project's statements."""
    name = next(name for name, prefix in BUNDLED.items() if prefix == number.partition("-")[0])
    return load(name).by_id[number]


def test_the_ids_are_those_ever_issued() -> None:
    """Every id on the committed list is in a statement, and no id is used that is not on the list."""
    statements = [load(name) for name in BUNDLED]
    used = [number for one in statements for number in (*one.by_id, *one.defaults)]
    assert len(used) == len(set(used))
    assert set(used) == clause_ids()


def test_the_list_of_ids_only_grows() -> None:
    """Ids of a prefix run from 1 without a gap, at least as far as they were first issued."""
    listed = json.loads((HERE / "ids.json").read_text(encoding="utf-8"))
    assert len(listed) == len(set(listed))
    found = Counter(number.rpartition("-")[0] for number in listed)
    for prefix, count in {**COUNTS, "VX-D": 41, "MX-D": 30}.items():
        assert found[prefix] >= count, prefix
        numbers = sorted(
            int(number.rpartition("-")[2]) for number in listed if number.rpartition("-")[0] == prefix
        )
        assert numbers == list(range(1, found[prefix] + 1)), prefix


def test_counts_of_the_papers() -> None:
    """569 clauses of VXvue and 201 of MX1, with their errata and defaults."""
    vxvue, mx1 = load("vxvue"), load("mx1")
    assert (len(vxvue.by_id), len(vxvue.errata), len(vxvue.defaults)) == (569, 62, 41)
    assert (len(mx1.by_id), len(mx1.errata), len(mx1.defaults)) == (201, 26, 30)


def test_clauses_stand_in_the_order_of_their_numbers(statement: Statement) -> None:
    """Within a prefix the rows are in the paper's order."""
    for prefix in {section.prefix for section in statement.sections if section.prefix}:
        numbers = [one.id for one in statement.clauses if one.id.rpartition("-")[0] == prefix]
        assert numbers == sorted(numbers), prefix
        assert numbers


def test_every_clause_can_be_shown(statement: Statement) -> None:
    """Title, section and words are there, and short enough for a title."""
    for one in (*statement.by_id, *statement.defaults, *statement.errata):
        told = describe(one)
        assert told is not None
        assert told.id == one
        assert 0 < len(told.title) <= 90, one
        assert told.section, one
        assert told.words.endswith((".", "?", "!")), one
    assert describe(f"{statement.prefix}-NO-001") is None
    assert describe("ZZ-001") is None


def test_no_noise_is_left(statement: Statement) -> None:
    """No markup, no words about how the texts were made, no broken spacing."""
    text = Path(statement.file).read_text(encoding="utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for noise in ("**", "`", "the seed", "Seed", "/work", "\t", "�", "clauses.json", "spec.md"):
        assert noise not in body, noise
    for one in statement.clauses:
        for words in (one.text, one.check, one.remark, one.title):
            assert words == " ".join(words.split()), one.id
    assert max(map(len, text.splitlines())) <= 130


def test_what_is_printed_otherwise_has_a_reason(statement: Statement) -> None:
    """A tag that the paper prints wrongly, or a value that is read otherwise, is explained by an erratum."""
    wrong = [one for one in statement.clauses if one.printed.tag]
    assert all(one.errata for one in wrong)
    assert len(wrong) == {"vxvue": 7, "mx1": 1}[statement.name]


def test_a_wrong_tag_is_read_right() -> None:
    """The errata's readings are in force: the tag is the dictionary's, the paper's one is kept."""
    physician = clause("VX-STO-DX-044")
    assert physician.attribute is not None
    assert (physician.attribute.tag, physician.printed.tag) == ("(0008,1050)", "(0018,1050)")
    modality = clause("MX-MWL-MK-05")
    assert modality.attribute is not None
    assert (modality.attribute.tag, modality.printed.tag) == ("(0008,0060)", "(0008,0080)")
    film = clause("VX-PRN-FB-004")
    assert film.attribute is not None
    assert film.printed.value is not None
    assert "8_5INX11IN" in film.attribute.values
    assert "8.5INX11IN" in film.printed.value


@pytest.mark.parametrize(
    ("number", "path"),
    [
        ("VX-MPPS-NC-007", ("(0040,0270)",)),
        ("VX-MPPS-NC-008", ("(0040,0270)", "(0008,1110)")),
        ("VX-MPPS-NC-016", ("(0008,1032)",)),
        ("VX-MPPS-NC-034", ("(0040,0260)",)),
        ("VX-MPPS-NS-024", ("(0040,0340)",)),
        ("VX-MWL-K-003", ()),
        ("VX-MWL-K-005", ("(0040,0100)",)),
        ("VX-MWL-K-016", ()),
        ("VX-PRN-IB-012", ("(2020,0110)",)),
        ("VX-PRN-IB-013", ()),
        ("VX-SC-NA-003", ("(0008,1199)",)),
        ("VX-SR-A-047", ("(0040,A504)",)),
        ("VX-STO-DX-015", ("(0010,2294)",)),
        ("MX-MWL-RK-10", ("(0040,0100)", "(0040,0008)")),
        ("MX-MWL-RK-14", ("(0040,0100)",)),
        ("MX-MWL-RK-21", ("(0032,1064)",)),
        ("MX-MED-DIR-06", ("(0004,1220)",)),
        ("MX-MED-PK-02", ("(0004,1220)",)),
    ],
)
def test_nesting_is_a_path(number: str, path: tuple[str, ...]) -> None:
    """The `>` of the papers is resolved to the sequences around an element."""
    rule = clause(number).attribute
    assert rule is not None
    assert rule.path == path


def test_types_hold_what_the_product_promises() -> None:
    """Three columns are kept apart; the promise is the product's, else the printed, else the standard's."""
    body_part = clause("VX-STO-DX-046").attribute
    assert body_part is not None
    assert (body_part.types.printed, body_part.types.standard, body_part.types.product) == ("2", "3", "1")
    assert body_part.types.promised == "1"
    blank = clause("VX-MPPS-NC-005").attribute
    assert blank is not None
    assert blank.types.printed == "blank"
    assert blank.types.promised == "1"
    image_type = clause("MX-STO-IMG-005").attribute
    assert image_type is not None
    assert (image_type.types.promised, image_type.types.standard_note) == ("3", "2 in US Image")
    record = clause("MX-MED-DIR-01").attribute
    assert record is not None
    assert record.types.promised == "2"


def test_values_and_their_comparison() -> None:
    """Enumerations are lists; prefixes, first components, bounds and forms say so."""
    expected = {
        "VX-STO-DX-005": (("M", "F", "O"), "whole"),
        "VX-STO-DX-067": (("VIVIX",), "prefix"),
        "VX-STO-DX-076": (("DERIVED\\PRIMARY",), "leading"),
        "VX-STO-DX-081": (("YES", "NO"), "whole"),
        "VX-STO-DX-090": (("0",), "whole"),
        "VX-STO-DX-094": (("4095", "16383"), "bounds"),
        "VX-STO-DX-062": (("Vieworks Co.,Ltd",), "configured"),
        "VX-MPPS-NC-001": (("Last Name^First Name^^^",), "form"),
        "VX-STO-DX-107": (("1", "-1"), "whole"),
        "MX-STO-IMG-009": (("00", "01"), "whole"),
        "MX-MED-DIR-07": (("65535",), "whole"),
    }
    for number, wanted in expected.items():
        rule = clause(number).attribute
        assert rule is not None, number
        assert (rule.values, rule.match) == wanted, number
    rows = clause("VX-STO-DX-085").attribute
    assert rows is not None
    assert rows.range == (1, 4096)


def test_rows_for_animals_are_marked() -> None:
    """'Applied to vet only': eleven rows, and a condition where the paper gives one."""
    rows = [one for one in load("vxvue").clauses if one.only_for == "veterinary"]
    assert [one.id for one in rows] == [*(f"VX-STO-DX-{n:03}" for n in range(10, 20)), "VX-STO-DX-038"]
    owner = clause("VX-STO-DX-018").attribute
    assert owner is not None
    assert owner.condition == "required when (0010,2297) has a value"


def test_contexts_contents_and_character_sets() -> None:
    """The other rules are data as well."""
    context = clause("VX-PC-008").sop
    assert context is not None
    assert context.exact
    assert context.uid == "1.2.840.10008.5.1.4.1.1.88.67"
    assert context.transfer_syntaxes == ("1.2.840.10008.1.2.1",)
    commitment = clause("VX-PC-004").sop
    assert commitment is not None
    assert commitment.roles == ("SCU", "SCP")
    offered = Counter(
        one.sop.uid for one in load("mx1").clauses if one.kind == "context" and one.sop is not None
    )
    assert offered["1.2.840.10008.5.1.4.1.1.3.1"] == 4
    assert offered["1.2.840.10008.5.1.4.1.1.6.1"] == 5
    dose = clause("VX-SR-T-023").content
    assert dose is not None
    assert dose.concept is not None
    assert dose.unit is not None
    assert (dose.template, dose.level, dose.value_type) == ("10003", 1, "NUM")
    assert (dose.concept.value, dose.unit.value) == ("122130", "uGy.m2")
    grid = clause("VX-SR-T-037").content
    assert grid is not None
    assert [code.value for code in grid.codes] == ["111641", "111646"]
    assert clause("VX-SR-T-027").printed.relationship == "lost"
    for number, terms in {
        "VX-CS-001": ("",),
        "VX-CS-025": ("", "ISO 2022 IR 87"),
        "MX-CHR-003": ("ISO 2022 IR 13", "ISO 2022 IR 87"),
    }.items():
        charset = clause(number).charset
        assert charset is not None
        assert charset.terms == terms


def test_codes_of_the_dose_report_are_those_of_the_standard() -> None:
    """Code values and meanings agree with DICOM's own dictionary (PS3.16 annex D), read independently."""
    from pydicom.sr import _concepts_dict

    concepts: Any = _concepts_dict.concepts
    meanings = {code: value[0] for names in concepts["DCM"].values() for code, value in names.items()}
    seen: set[str] = set()
    for one in load("vxvue").clauses:
        rule = one.content
        for code in filter(None, (rule.concept, *rule.codes) if rule is not None else ()):
            if code.scheme == "DCM":
                assert meanings[code.value].casefold() == code.meaning.casefold(), one.id
                seen.add(code.value)
    assert len(seen) == 52


def test_the_dictionary_was_not_overruled() -> None:
    """Neither statement needs to contradict PS3.6: its names, VRs and VMs are the standard's."""
    assert not any(erratum.overrules for name in BUNDLED for erratum in load(name).errata.values())


def test_defaults_name_what_ultrasound_objects_hold() -> None:
    """The attributes that the torn tables no longer print are listed by object."""
    held = load("mx1").defaults["MX-D-12"].attributes
    assert held["secondary-capture-image"]["ConversionType"] == "1"
    assert held["ultrasound-multi-frame-image"]["NumberOfFrames"] == "1"
    assert {kind: len(rows) for kind, rows in held.items()} == {
        "ultrasound-image": 19,
        "ultrasound-multi-frame-image": 21,
        "secondary-capture-image": 19,
    }


def test_references_between_texts_exist(statement: Statement) -> None:
    """Ids named in notes, readings and reasons are ids of this project."""
    known = set(clause_ids()) | {number for name in BUNDLED for number in load(name).errata}
    text = Path(statement.file).read_text(encoding="utf-8")
    for number in re.findall(r"\b(?:VX|MX)-(?:[A-Z]+-)+\d+\b", text):
        assert number in known, number


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_loading_is_quick(name: str) -> None:
    """One statement costs less than 0.3 s of CPU, dictionaries included."""
    code = (
        "import time, bench.scenario\n"
        "from bench.statements.loader import load\n"
        "start = time.process_time()\n"
        f"load({name!r})\n"
        "print(time.process_time() - start)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.3


def test_loading_again_costs_nothing() -> None:
    """A statement is read once."""
    first = load("vxvue")
    start = time.process_time()
    for _ in range(1000):
        assert load("vxvue") is first
    assert time.process_time() - start < 0.1


def test_import_loads_no_statement_and_nothing_live() -> None:
    """The scenario lint imports this package: it must stay light, and describing touches nothing that runs."""
    code = (
        "import sys, bench.statements as s\n"
        "assert 'yaml' not in sys.modules and 'bench.statements.loader' not in sys.modules\n"
        "assert len(s.clause_ids()) >= 841 and 'yaml' not in sys.modules\n"
        "assert s.describe('VX-ASC-001') is not None\n"
        "live = ('simulators', 'modality', 'pydicom', 'pynetdicom', 'bench.runner', 'bench.links', 'bench.sandbox',\n"
        "        'bench.zygote', 'bench.sut', 'bench.volumes', 'socket')\n"
        "bad = [m for m in sys.modules if m in live or m.startswith(tuple(x + '.' for x in live))]\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_file_is_its_statement(tmp_path: Path) -> None:
    """The same text gives an equal statement, wherever it lies."""
    copy = tmp_path / "copy.yaml"
    copy.write_bytes((HERE / "mx1.yaml").read_bytes())
    assert load_file(copy).by_id == load("mx1").by_id
    assert load(copy).errata == load("mx1").errata


def test_expected_object_errors_name_errata() -> None:
    """The list for dciodvfy is readable by the object judge, and each line is tied to an erratum."""
    from bench.checks.object_judge import expected

    known = expected("vxvue")
    assert "DXImageForPresentation" in known
    errata = load("vxvue").errata
    for lines in known.values():
        for line, erratum in lines.items():
            assert line.startswith("Error")
            assert erratum in errata
