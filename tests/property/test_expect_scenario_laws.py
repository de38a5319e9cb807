"""Laws of the scenario language: any text gives a scenario or problems, pairs are covered, values equal themselves."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.scenario import ScenarioErrors, load_text
from bench.scenario import matrix as matrix_of
from bench.scenario.dicom import check_text, person_name_fits, same
from bench.scenario.matchers import Subject
from bench.scenario.matchers import Test as Asked
from bench.scenario.problems import InputErrors
from bench.testbed import load_testbed_text

SEED = """\
scenario: s
product: vxvue
matrix: {link: [100BASE-T, 1000BASE-T], kv: [80, 120]}
setup: {auto_send: false}
allow: [pacs.echoed, {event: ris.queried, where: {matches: 1}}]
steps:
  - ris.worklist: {items: [{AccessionNumber: A1, PatientName: "Y^T=山田^太郎"}], charset: ISO_IR 192}
  - arm: {pacs.abort: {at_bytes: 4 MB}}
    when: {pacs.request: C-STORE}
  - operator.expose: {view: PA, kvp: "${matrix.kv}"}
    as: shot
  - expect: pacs.stored
    within: 30 s
    count: 1
    dataset: {AccessionNumber: A1, PixelData: {sha256: "${shot.sha256}"}, Rows: {">": 1}}
    as: image
  - never: pacs.stored
    for: 5 s
    after: shot.end
  - order: [image, image]
"""
LINES = SEED.splitlines()
WORDS = [
    "${shot.sha256}",
    "{",
    "[",
    "&a ",
    "*a",
    "!!x",
    "- ",
    ": ",
    "null",
    "~",
    "'",
    '"',
    "\\",
    "%",
    "\t",
    "expect:",
]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A scenario with lines removed, repeated, moved, and words put anywhere."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1)) if lines else 0
        what = draw(st.sampled_from(["cut", "repeat", "insert", "indent", "drop"]))
        if not lines:
            break
        if what == "drop":
            del lines[at]
        elif what == "repeat":
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        elif what == "indent":
            lines[at] = " " * draw(st.integers(0, 8)) + lines[at].lstrip()
        else:
            column = draw(st.integers(0, len(lines[at])))
            word = draw(st.sampled_from(WORDS) | st.text(max_size=4)) if what == "insert" else ""
            rest = lines[at][column:] if what == "insert" else lines[at][column + draw(st.integers(1, 12)) :]
            lines[at] = lines[at][:column] + word + rest
    return "\n".join(lines) + "\n"


@settings(max_examples=200, deadline=None)
@given(damaged() | st.text(max_size=200))
@example("steps: [{expect: pacs.stored, dataset: {Rows: {in: []}}}]")
@example("? [a, b]\n: {c: d}\n")
@example("scenario: s\nproduct: vxvue\nsteps: [{wait: {for: 1 s}, wait: {for: 1 s}}]\n")
def test_any_text_gives_a_scenario_or_problems_with_lines_of_the_file(text: str) -> None:
    try:
        scenario = load_text(text, file="f.yaml")
    except ScenarioErrors as caught:
        found = caught.problems
        last = len(text.splitlines()) + 1
    else:
        assert scenario.cells("full")
        return
    assert found
    for problem in found:
        assert problem.file == "f.yaml"
        assert 1 <= problem.line <= last
        assert problem.message
        assert "\n" not in str(problem)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="testbed: sulinkv{}[],\n-#&*!'\"", max_size=120))
def test_any_text_gives_a_testbed_or_problems(text: str) -> None:
    with contextlib.suppress(InputErrors):
        load_testbed_text(text)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=4, unique=True),
        max_size=4,
    ),
    st.data(),
)
def test_pairwise_covers_every_pair_that_some_cell_has(
    axes: dict[str, list[str]], data: st.DataObject
) -> None:
    rules = []
    if axes:
        names = data.draw(st.lists(st.sampled_from(sorted(axes)), min_size=1, max_size=2, unique=True))
        rules = [{name: [axes[name][0]] for name in names}]
    full = matrix_of.cells(axes, rules, "full", {})
    small = matrix_of.cells(axes, rules, "pairwise", {})

    def pairs(cells: list[dict[str, str]]) -> set[object]:
        return {pair for cell in cells for pair in itertools.combinations(sorted(cell.items()), 2)}

    assert pairs(small) == pairs(full)
    assert all(cell in full for cell in small)
    ids = matrix_of.ids("n", full)
    assert len(set(ids.values())) == len(full)


components = st.text(alphabet="AbÄ山田 -'", max_size=6).map(str.strip)
names = st.lists(st.lists(components, min_size=1, max_size=5).map("^".join), min_size=1, max_size=3).map(
    "=".join
)


@settings(max_examples=200, deadline=None)
@given(names)
def test_a_person_name_equals_itself_in_every_spelling(text: str) -> None:
    groups = [*text.split("="), "", ""][:3]
    value = {
        key: group
        for key, group in zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=True)
        if group
    }
    assert same(check_text(text, "PN"), value, "PN")
    assert same(text.replace("=", "^=") + "^", value, "PN")
    assert person_name_fits(text, value)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from(["SL", "IS", "DS", "FD"]),
)
def test_orderings_are_those_of_numbers_and_not_is_the_opposite(left: int, right: int, vr: str) -> None:
    subject = Subject(True, (left,), vr)

    def fits(op: str) -> bool:
        return subject.mismatch(Asked(op, str(right))) is None

    assert fits(">") is (left > right)
    assert fits(">=") is (left >= right)
    assert fits("<") is (left < right)
    assert fits("<=") is (left <= right)
    assert fits("eq") is (left == right)
    assert fits("not") is (left != right)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["eq", "not", "in", ">", "re", "pn", "uid", "sha256", "any", "empty", "vm", "present", "absent"]
    ),
    st.sampled_from(["PN", "LO", "DA", "TM", "DS", "US", "UI", "SQ", "OW", "AT", "plain", "status"]),
    st.lists(
        st.none() | st.text(max_size=5) | st.integers() | st.floats() | st.dictionaries(st.text(), st.text()),
        max_size=3,
    ),
)
def test_a_matcher_never_fails_on_what_a_peer_sent(op: str, vr: str, values: list[object]) -> None:
    wanted: object = {
        "in": ("a", "1"),
        "any": (Asked("eq", "a"),),
        "vm": (Asked(">=", "1"),),
        "empty": True,
        "present": True,
        "absent": True,
    }.get(op, "1")
    why = Subject(True, tuple(values), vr).mismatch(Asked(op, wanted))
    assert why is None or why.startswith("expected ")
