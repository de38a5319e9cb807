"""Whatever a statement file holds: a statement or faults with lines, never a traceback."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statements.loader import HERE, load_text
from bench.statements.model import Statement, StatementErrors
from bench.statements.words import explain

TEXT = (HERE / "mx1.yaml").read_text(encoding="utf-8")
LINES = TEXT.splitlines()
WORDS = st.one_of(
    st.sampled_from(
        ["", "~", "[]", "{}", "-", "x", "(0010,0010)", "1.2.840.10008.1.1", "MX-E-01", "&a", "*a", "'"]
    ),
    st.text(max_size=30),
)


def outcome(text: str) -> Statement | StatementErrors:
    """Load a text; anything but a statement or faults is an error of the loader."""
    try:
        return load_text(text, "some.yaml")
    except StatementErrors as error:
        return error


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    """Faults name the file and a line of it."""
    found = outcome(text)
    assert isinstance(found, StatementErrors)
    assert found.problems
    assert all(problem.file == "some.yaml" and problem.line >= 1 for problem in found.problems)


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, len(LINES) - 1), words=WORDS)
def test_one_line_replaced(number: int, words: str) -> None:
    """A line's value is exchanged: the file is still good, or a fault is told at a line of the file."""
    key, colon, _ = LINES[number].partition(": ")
    text = "\n".join([*LINES[:number], f"{key}{colon}{words}" if colon else words, *LINES[number + 1 :]])
    found = outcome(text)
    if isinstance(found, StatementErrors):
        assert all(1 <= problem.line <= text.count("\n") + 2 for problem in found.problems)
    else:
        for one in found.by_id:
            assert explain(one, found) is not None


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, len(LINES) - 1), count=st.integers(1, 40))
def test_lines_lost(start: int, count: int) -> None:
    """Lines are missing: every clause that is still told stands in the file."""
    text = "\n".join([*LINES[:start], *LINES[start + count :]])
    found = outcome(text)
    if isinstance(found, Statement):
        assert all(f"id: {number}" in text for number in found.by_id)
        again = load_text(text, "some.yaml")
        assert again == found
