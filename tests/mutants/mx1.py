"""The conversations and media of an MX1 that mutants are made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.judge.inputs import config_of, events_of
from bench.resultmodel import RunInfo
from bench.results import read_run
from simulators.wire import AssociateAccept, decode
from tests.lab.elements import IMPLICIT_LE, JPEG_BASELINE
from tests.lab.replay import Tape, record
from tests.mutants.bases import MODALITY, services
from tests.mutants.model import Base
from tests.mutants.tapes import ACCEPT, place_of

PRODUCT: Final = "mx1"
TAPES: Final = (
    # cells of the conformance run, in the order in which their rows are taken
    "mx1-one-study",
    "mx1-character-sets",
    "mx1-store-syntaxes",
    "mx1-pdu-unlimited",
    "mx1-version-1-10",
    "mx1-one-association-per-archive",
    "mx1-worklist-further-keys",
)
SPEEDS: Final = ("mx1-one-study", "mx1-link-100", "mx1-link-10")
"""Cells whose journal tells the speed of the link; no mutants are made of them."""
MEDIA: Final = ("mx1-media-export", "mx1-media-add", "mx1-media-foreign", "mx1-media-syntaxes")
CELLS: Final = (*TAPES, *SPEEDS[1:], *MEDIA)


def whole(run: Path) -> bool:
    """Tell whether a run has every cell that mutants are made of."""
    return (run / "cells").is_dir() and all(cell(run, name) is not None for name in CELLS)


def cell(run: Path, name: str) -> Path | None:
    """The first cell of a scenario."""
    for folder in sorted((run / "cells").iterdir()):
        if folder.name == name or folder.name.startswith((f"{name}-link=", f"{name}-stick=")):
            return folder
    return None


def recorded(run: Path) -> Iterator[Base]:
    """Conversations of the reference product: cells of its conformance run."""
    info = read_run(run)
    for name in TAPES:
        folder = cell(run, name)
        if folder is None or not (folder / "wire.pcapng").is_file():
            raise SystemExit(f"{run.name}: no cell of {name} with a capture")
        tape = record(folder / "wire.pcapng")
        if name == "mx1-store-syntaxes":
            tape = _some(tape)
        yield _base(name, folder, info, tape)


def speeds(run: Path) -> Iterator[Base]:
    """The same product at three speeds, with the journal that tells them."""
    info = read_run(run)
    for name in SPEEDS:
        if (folder := cell(run, name)) is not None:
            tape = record(folder / "wire.pcapng")
            yield _base(f"{name} with its journal", folder, info, tape, events=events_of(folder))


def _base(name: str, folder: Path, info: RunInfo, tape: Tape, *, events: tuple[object, ...] = ()) -> Base:
    values = config_of(folder, info, PRODUCT).values
    return Base.of_tape(name, PRODUCT, tape, MODALITY, values, services(tape, MODALITY), events=events)


def _some(tape: Tape) -> Tape:
    """Of images in every transfer syntax those in Implicit VR Little Endian and in JPEG Baseline."""
    found = []
    for talk in tape:
        answer = decode(talk.said[place_of(talk, ACCEPT)].data)
        if isinstance(answer, AssociateAccept):
            taken = {c.context_id: c.transfer_syntax for c in answer.contexts if not c.result}
            used = {taken.get(said.context_id) for said in talk.said if said.dataset}
            if used <= {IMPLICIT_LE} or used <= {JPEG_BASELINE}:
                found.append(talk)
    return tuple(found)
