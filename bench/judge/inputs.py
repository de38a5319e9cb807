"""What can be judged: captures, run folders, single cells, removable media; and what each of them brings along.

Rules of this file:

* Nothing of a run folder is believed but its files: names of files are fixed, never taken from what a file says.
* A run is judged cell by cell, each with its own capture, journal and configuration.
* What cannot be judged is said in one sentence (:class:`InputError`), never skipped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.checks.case import SutConfig
from bench.journal import Event, JournalError, read
from bench.judge.config import ConfigErrors, load_modality
from bench.judge.medium import is_image, is_mounted
from bench.results import CellResult, ResultsError, RunInfo, read_cell, read_run

CAPTURE: Final = "wire.pcapng"
JOURNAL: Final = "journal.jsonl"
CELL: Final = "cell.json"
MODALITY: Final = "modality.yaml"
IMAGES: Final = frozenset((".img", ".iso", ".dd", ".dmg"))
"""Suffixes of files that can be nothing but images of media."""


class InputError(Exception):
    """This cannot be judged; the message says why."""


@dataclass(frozen=True)
class CaptureInput:
    """One or several captures from the field: read together, in the order of their times."""

    files: tuple[Path, ...]


@dataclass(frozen=True)
class CellInput:
    """A cell's folder: its result, and what lies beside it; ``trouble`` says why it cannot be judged anew."""

    folder: Path
    result: CellResult
    trouble: str = ""

    @property
    def capture(self) -> Path:
        """The capture of the hospital LAN."""
        return self.folder / CAPTURE


@dataclass(frozen=True)
class RunInput:
    """A run folder with its cells; ``info`` is None for a single cell's folder without its run."""

    folder: Path
    info: RunInfo | None
    cells: tuple[CellInput, ...]


@dataclass(frozen=True)
class MediumInput:
    """A removable medium: its image, or the folder where it is mounted."""

    path: Path


def find(paths: list[Path]) -> CaptureInput | RunInput | MediumInput:
    """Say what the paths are.

    Raises:
        InputError: one does not exist, or they do not go together.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder")
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        images = [path for path in paths if path.suffix.lower() in IMAGES or is_image(path)]
        if images and len(paths) > 1:
            raise InputError("several captures can be judged together; a medium is judged alone")
        return MediumInput(images[0]) if images else CaptureInput(tuple(paths))
    if len(paths) > 1:
        raise InputError("several captures can be judged together; a run folder or a medium is judged alone")
    return _folder(folders[0])


def _folder(folder: Path) -> RunInput | MediumInput:
    if (folder / CELL).is_file():
        info = None
        if folder.parent.name == "cells":
            try:
                info = read_run(folder.parent.parent)
            except ResultsError:
                info = None
        return RunInput(folder, info, (_cell(folder / CELL),))
    if (folder / "run.json").is_file():
        info = read_run(folder)
        cells = tuple(_cell(path) for path in sorted((folder / "cells").glob(f"*/{CELL}")))
        if not cells:
            raise InputError(f"{folder}: this run has no cells")
        order = {plan.id: number for number, plan in enumerate(info.planned)}
        return RunInput(folder, info, tuple(sorted(cells, key=lambda c: order.get(c.result.id, len(order)))))
    if is_mounted(folder):
        return MediumInput(folder)
    raise InputError(
        f"{folder}: neither a run folder (run.json), nor a cell of one ({CELL}), nor a medium (DICOMDIR)"
    )


def _cell(path: Path) -> CellInput:
    result = read_cell(path)
    trouble = ""
    if result.not_runnable is not None:
        trouble = result.not_runnable
    elif not (path.parent / CAPTURE).is_file():
        trouble = "it left no capture"
    return CellInput(path.parent, result, trouble)


def events_of(folder: Path) -> tuple[Event, ...]:
    """Return the journal of a cell; empty when there is none.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / JOURNAL
    if not path.is_file():
        return ()
    try:
        return tuple(read(path, lenient=True))
    except (OSError, JournalError) as error:
        raise InputError(f"{folder.name}/{JOURNAL}: {error}") from error


def config_of(folder: Path, info: RunInfo | None = None, product: str = "") -> SutConfig:
    """Return how the SUT of a cell was configured, as far as its folder tells; *product* is its statement's name."""
    path = folder / MODALITY
    if path.is_file():
        try:
            return load_modality(path, product)
        except ConfigErrors as error:
            raise InputError(str(error)) from error
    values: dict[str, object] = {}
    if info is not None:
        if info.sut.address:
            values["address"] = (info.sut.address,)
        if info.sut.ae_title:
            values |= {"ae_title": info.sut.ae_title, "ae_titles": (info.sut.ae_title,)}
        if info.product.serial:
            values["serial"] = info.product.serial
        if info.product.version:
            values["software_version"] = info.product.version
        values["reference"] = info.sut.adapter == "reference"
    return SutConfig(values, "the run folder") if values else SutConfig()


def as_it_went(config: SutConfig, events: Iterable[Event]) -> SutConfig:
    """Return a configuration without what was changed on the way: at which moment which value held is not known.

    AE titles are kept, old and new: they tell who the SUT is.  What was changed stands under ``before``, as it was.
    """
    changed: dict[str, Any] = {}
    for event in events:
        if event.kind == "sut.request" and event.data.get("do") == "configure":
            changed |= dict(event.data.get("args") or {})
    if not changed:
        return config
    values = {key: value for key, value in config.values.items() if key not in changed}
    values["before"] = {key: config.values[key] for key in changed if key in config.values}
    if changed.get("ae_title"):
        before = config.get("ae_titles", ())
        values["ae_titles"] = tuple(dict.fromkeys((*before, str(changed["ae_title"]))))
    return SutConfig(values, config.source)


__all__ = [
    "CaptureInput",
    "CellInput",
    "InputError",
    "MediumInput",
    "RunInput",
    "as_it_went",
    "config_of",
    "events_of",
    "find",
]
