"""The conversations of a VXvue that mutants are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.judge.inputs import config_of
from bench.results import read_run
from simulators.wire.dimse import decode_command
from tests.lab.conversation import Lab
from tests.lab.products.facts import PERSONS, Exam, Exposure
from tests.lab.products.vxvue import PRINTER
from tests.lab.products.vxvue import VXvue as Product
from tests.lab.recipes import Recipe
from tests.lab.recipes.good_vxvue import CONFIG
from tests.lab.replay import Talk, Tape, record
from tests.mutants.model import Base

MODALITY = "10.77.0.10"
LABORATORY = "10.0.0.5"
NO_OEM = "Vieworks Co.,Ltd"
"""The product is sold under its maker's name."""
TAPES = ("three-images-two-views", "one-exam")
CLASSES = {
    "1.2.840.10008.5.1.4.1.1.88.67": "dose",
    "1.2.840.10008.1.20.1": "commit",
}
SERVICES = {
    "C-FIND-RQ": "worklist",
    "N-CREATE-RQ": "create",
    "N-SET-RQ": "set",
    "C-STORE-RQ": "store",
    "C-ECHO-RQ": "echo",
    "N-GET-RQ": "print",
    "N-ACTION-RQ": "commit",
}


def recorded(run: Path) -> list[Base]:
    """Cells of a run of the reference modality."""
    found, info = [], read_run(run)
    for cell in sorted((run / "cells").iterdir()):
        if (cell / "wire.pcapng").is_file() and cell.name.startswith(TAPES):
            tape = record(cell / "wire.pcapng")
            name = cell.name.partition("=")[0].rsplit("-", 1)[0]
            values = {**config_of(cell, info).values, "oem_manufacturer": NO_OEM}
            found.append(Base.of_tape(name, "vxvue", tape, MODALITY, values, services(tape, MODALITY)))
    if not found:
        raise SystemExit(f"{run.name}: no cell of {', '.join(TAPES)} with a capture")
    return found


def whole(run: Path) -> bool:
    """Tell whether a run has every cell that is recorded."""
    names = [path.parent.name for path in run.glob("cells/*/wire.pcapng")]
    return all(any(name.startswith(tape) for name in names) for tape in TAPES)


def services(tape: Tape, who: str) -> tuple[str, ...]:
    """What each association of a tape is for, in order; empty for those that others requested."""
    return tuple(_service(talk) if talk.client[0] == who else "" for talk in tape)


def _service(talk: Talk) -> str:
    first = next((said for said in talk.said if said.command), None)
    if first is None:
        return ""
    command = decode_command(first.command)
    return CLASSES.get(command.sop_class or "", SERVICES.get(command.name, ""))


def laboratory(folder: Path) -> list[Base]:
    """A VXvue that does everything its statement says: services that the reference modality does not have yet."""
    lab = Lab()
    _exam(Product(lab), 1)
    return [_in_laboratory("laboratory-exam", lab, folder)]


def two_exams(folder: Path) -> Base:
    """Two exams of two patients, one after the other: for what may not be put together."""
    lab = Lab()
    product = Product(lab)
    _exam(product, 1)
    lab.wait(60)
    _exam(product, 2)
    return _in_laboratory("laboratory-two-exams", lab, folder)


def _exam(product: Product, number: int) -> None:
    second = Exposure(2, "LL", kvp=125, ma=250, ms=20, rows=16, columns=12)
    person = PERSONS["latin1" if number == 1 else "default"]
    exam = Exam(person, number=number, exposures=(Exposure(rows=12, columns=16), second))
    product.exam(exam, printer=PRINTER, full=True)


def _in_laboratory(name: str, lab: Lab, folder: Path) -> Base:
    config = {**CONFIG, "oem_manufacturer": NO_OEM}
    tape = record(lab.write(folder / f"{name}.pcapng"))
    made = Base.of_tape(name, "vxvue", tape, LABORATORY, config, services(tape, LABORATORY))
    return replace(made, reference=False)


def of_recipe(recipe: Recipe) -> Base:
    """The conversation of a recipe, its defect included."""
    return Base.of_lab(
        recipe.name, recipe.statement, recipe.who, recipe.build, recipe.config, recipe.suffix, recipe.write
    )
