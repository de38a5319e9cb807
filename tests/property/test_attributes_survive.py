"""Whatever a product puts into its data sets, every attribute row has a verdict and none of them is an error."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checks.attributes import attributes
from bench.checks.attributes.where import tag_number
from bench.statements import load
from bench.verdict import Verdict
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet, Element
from tests.lab.single import Sent, case_of

KINDS = {
    "vxvue": (
        ("C-STORE-RQ", "1.2.840.10008.5.1.4.1.1.1.1"),
        ("C-STORE-RQ", "1.2.840.10008.5.1.4.1.1.88.67"),
        ("C-FIND-RQ", "1.2.840.10008.5.1.4.31"),
        ("C-FIND-RQ", "1.2.840.10008.5.1.4.1.2.2.1"),
        ("N-CREATE-RQ", "1.2.840.10008.3.1.2.3.3"),
        ("N-SET-RQ", "1.2.840.10008.3.1.2.3.3"),
        ("N-ACTION-RQ", "1.2.840.10008.1.20.1"),
        ("N-CREATE-RQ", "1.2.840.10008.5.1.1.2"),
        ("N-SET-RQ", "1.2.840.10008.5.1.1.4"),
    ),
    "mx1": (("C-STORE-RQ", "1.2.840.10008.5.1.4.1.1.6.1"), ("C-FIND-RQ", "1.2.840.10008.5.1.4.31")),
}
TAGS = sorted(
    {
        (tag_number(clause.attribute.tag), clause.attribute.vrs[-1])
        for name in KINDS
        for clause in load(name).clauses
        if clause.attribute is not None
    }
)
ODD = (
    *(b"", b" ", b"\\", b"\\\\", b"1\\", b"1e400", b"nan", b"-inf", b"\x1b$B", b"\xff\xfe", b"0" * 20, b"01"),
    *(b"STANDARD\\99999999999999999999,1", b"COMPLETED ", b"DISCONTINUED", b"1.2.3", b"\x00\x00", b"7"),
)
values = st.binary(max_size=12) | st.sampled_from(ODD)
CONFIGS: tuple[dict[str, object], ...] = (
    {},
    {"species": "cat", "trim": "yes", "oem_manufacturer": "X", "storage": [{"ae_title": "A"}]},
)
vrs = st.sampled_from(["SQ", "LO", "US", "UN", "OW", "IS", "DS", "UI", "PN", "CS", "AT", "zz"])


@st.composite
def elements(draw: st.DrawFn, depth: int = 2) -> DataSet:
    made = []
    for tag, vr in draw(st.lists(st.sampled_from(TAGS), max_size=25)):
        kind = draw(vrs) if draw(st.integers(0, 9)) == 0 else vr
        if kind == "SQ" and depth:
            items = draw(st.lists(elements(depth - 1), max_size=2))
            made.append(Element(tag, kind, items))
        else:
            length = draw(st.sampled_from([None] * 15 + [0, 3, 70000]))
            made.append(Element(tag, kind, draw(values), length=length))
    return DataSet(sorted(made, key=lambda e: e.tag) if draw(st.booleans()) else made)


@given(
    statement=st.sampled_from(sorted(KINDS)),
    which=st.integers(0, 8),
    made=elements(),
    answer=st.none() | elements(),
    syntax=st.sampled_from([EXPLICIT_LE, IMPLICIT_LE]),
    config=st.sampled_from(CONFIGS),
)
@settings(deadline=None)
def test_no_data_set_breaks_a_row(
    statement: str, which: int, made: DataSet, answer: DataSet | None, syntax: str, config: dict[str, object]
) -> None:
    name, sop_class = KINDS[statement][which % len(KINDS[statement])]
    answers = () if answer is None else (answer,)
    query = Sent("C-FIND-RQ", "1.2.840.10008.5.1.4.31", DataSet(), answers=answers)
    case = case_of(statement, query, Sent(name, sop_class, made, syntax=syntax), config=config)
    for finding in attributes(case):
        assert finding.verdict is not Verdict.ERROR, finding
        assert finding.id in case.statement.by_id
