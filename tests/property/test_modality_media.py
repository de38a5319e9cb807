"""Laws of the DICOMDIR reader and layout: any tree comes out depth first, and no bytes do harm."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modality.media import MediaError
from modality.media import directory as directories
from modality.media.layout import Tree
from modality.media.treewalk import depth_first
from tests.lab.elements import DataSet
from tests.lab.media import FIRST, LAST, LOWER, NEXT, FileSet, Record, record

WHO = ("1.2.3", "X")
KINDS = ("PATIENT", "STUDY", "SERIES", "IMAGE")


@st.composite
def sets(draw: st.DrawFn) -> FileSet:
    """A file-set with records in any order of the bytes."""
    made = FileSet(undefined=draw(st.booleans()))
    number = 0

    def level(depth: int) -> list[Record]:
        nonlocal number
        out = []
        for _ in range(draw(st.integers(1 if depth == 0 else 0, 3))):
            number += 1
            one = record(KINDS[depth], PatientID=f"P{number}" + "x" * draw(st.integers(0, 9)))
            if depth < 3:
                one.below = level(depth + 1)
            out.append(one)
        return out

    made.roots = level(0)
    return made


def _shuffled(made: FileSet, order: list[int]) -> bytes:
    """The same records at other places of the file."""
    ordered = made.records()
    places = [ordered[i] for i in order]
    parent = made.records

    def links(_: list[Record], offsets: list[int], top: DataSet) -> None:
        place = {id(one): offset for one, offset in zip(places, offsets, strict=True)}

        def link(level: list[Record]) -> None:
            for one, then in zip(level, [*level[1:], None], strict=False):
                one.ds.put(NEXT, place[id(then)] if then is not None else 0)
                one.ds.put(LOWER, place[id(one.below[0])] if one.below else 0)
                link(one.below)

        link(made.roots)
        top.put(FIRST, place[id(made.roots[0])])
        top.put(LAST, place[id(made.roots[-1])])

    made.records = lambda: places  # type: ignore[method-assign]
    made.links = links
    try:
        return made.dicomdir()
    finally:
        made.records = parent  # type: ignore[method-assign]


def _ids(found: directories.Directory) -> list[bytes]:
    return [found.elements(int(i))[0x00100020] for i in found.order]


@given(sets(), st.randoms(use_true_random=False))
def test_any_order_becomes_depth_first(made: FileSet, chance: object) -> None:
    """Whatever the order of the bytes, the tree is the same; laid out anew it is in its own order."""
    wanted = [str(one.ds.get("PatientID")).encode() for one in made.records()]
    order = list(range(len(wanted)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    found = directories.read(_shuffled(made, order))
    assert _ids(found) == wanted
    again = directories.read(Tree(found).encode("1.2", WHO))
    assert _ids(again) == wanted
    assert again.order.tolist() == list(range(len(wanted)))
    assert Tree(again).encode("1.2", WHO) == again.data


@given(sets(), st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), max_size=6),
       st.integers(0, 60))  # fmt: skip
def test_spoilt_bytes_are_refused_or_read(made: FileSet, changes: list[tuple[int, bytes]], cut: int) -> None:
    """Never another error, never an endless way; what is accepted can be laid out and read again."""
    data = bytearray(made.dicomdir())
    for at, piece in changes:
        at %= len(data)
        data[at : at + len(piece)] = piece
    try:
        found = directories.read(bytes(data[: len(data) - cut]))
    except MediaError:
        return
    again = directories.read(Tree(found).encode("1.2", WHO))
    assert len(again) == len(found)


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(
    st.lists(st.integers(-2, n - 1), min_size=n, max_size=n), st.lists(st.integers(-2, n - 1), min_size=n, max_size=n),
    st.integers(-2, n - 1))))  # fmt: skip
def test_walk_against_a_plain_one(links: tuple[list[int], list[int], int]) -> None:
    """The fast walk is the plain one, for right and wrong links."""
    then, below, first = links

    def plain() -> list[int] | None:
        seen: list[int] = []
        stack = [first]
        while stack:
            at = stack.pop()
            if at == -1:
                continue
            if at == -2 or at in seen:
                return None
            seen.append(at)
            stack += [then[at], below[at]]
        return seen

    found = depth_first(np.array(then, np.int64), np.array(below, np.int64), first)
    assert (None if found is None else found.tolist()) == plain()
