"""The pictures of a cell: every stored object beside the truth of the frame that it came from.

Rules of this file:

* Which frame became which object is known from the SHA-256 of the raw frame that the product names, else guessed
  by time; the report says which.
* Files are looked for inside the cell's folder only, under names that are plain (:func:`bench.report.text.safe_path`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.journal import Event
from bench.report.images import Agreement, Picture, compare, dicom_picture, truth_picture
from bench.report.text import safe_path
from bench.results import CellResult

MAX_PICTURES: Final = 12
"""Pairs of pictures on the page of a cell; what is judged has no such limit."""


@dataclass(frozen=True)
class Pair:
    """An image as it was stored beside the truth of what was in the beam."""

    title: str
    stored: Picture
    truth: Picture | None
    agreement: Agreement | None
    seq: int
    frame_seq: int | None
    sha256: str
    link: str | None
    basis: str = ""


class CellPictures:
    """Finds the pictures of a cell: stored objects, and the frame and truth that each came from."""

    def __init__(self, folder: Path, cell: CellResult, events: list[Event]) -> None:
        self.folder, self.cell, self.events = folder, cell, events
        self.artefacts = {a.sha256: a.path for a in cell.artefacts if a.sha256}

    def file(self, *names: Any) -> Path | None:
        """Return the first of several names that is a file inside the cell's folder."""
        for name in names:
            if isinstance(name, str) and safe_path(self.folder, name) and (self.folder / name).is_file():
                return self.folder / name
        return None

    def stored(self, data: Mapping[str, Any]) -> Path | None:
        """Return the file of a stored object."""
        sha, name = data.get("sha256"), data.get("object")
        known = self.artefacts.get(sha) if isinstance(sha, str) else None
        tail = name.rpartition("/")[2] if isinstance(name, str) else None
        return self.file(known, name, f"objects/{name}", f"objects/{tail}", f"objects/{sha}.dcm")

    def truth(self, value: Any) -> list[Path]:
        """Return the files of a truth: a name, a stem, or an object of names."""
        names = (
            list(value.values())
            if isinstance(value, Mapping)
            else value
            if isinstance(value, list)
            else [value]
        )
        found: list[Path] = []
        for name in (n for n in names if isinstance(n, str)):
            stem = name.removesuffix(".png").removesuffix(".npy")
            for each in (stem + ".npy", stem + ".png"):
                tail = each.rpartition("/")[2]
                path = self.file(self.artefacts.get(name), each, f"truth/{each}", f"truth/{tail}")
                if path and path not in found:
                    found.append(path)
        return found

    def frame_of(self, stored: Event) -> tuple[Event | None, str]:
        """Return the detector's frame that a stored object shows, and how that is known."""
        frames = [
            e
            for e in self.events
            if e.kind == "detector.frame" and e.data.get("truth") and e.data.get("frame_kind") != "Dark"
        ]
        claims = [e for e in self.events if e.kind == "modality.image"]
        scans = {e.data.get("sha256"): e for e in self.events if e.kind == "ultrasound.frame"}
        for claim in claims:
            if claim.data.get("sop_instance") == stored.data.get("sop_instance"):
                scan = scans.get(claim.data.get("raw_sha256"))
                if scan is not None:
                    number = scan.data.get("sequence")
                    return scan, f"picture {number} of the front end, by the SHA-256 that the product names"
                for frame in frames:
                    if frame.data.get("sha256") == claim.data.get("raw_sha256"):
                        return (
                            frame,
                            "paired by the raw frame's SHA-256 that the product names for this instance",
                        )
        before = [frame for frame in frames if frame.t <= stored.t]
        return (before[-1], "paired by time: the last frame before it was stored") if before else (None, "")

    def pairs(self, most: int | None = None) -> tuple[list[Pair], int]:
        """Return pairs and how many more stored objects there are.

        Args:
            most: so many of the first ones, all drawn, for a page.  Without it every stored object, for whoever
                judges them; drawn are those that have a truth to be compared with.
        """
        stored = [e for e in self.events if e.kind == "pacs.stored"]
        told = stored if most is None else stored[:most]
        return [self.pair(event, always=most is not None) for event in told], len(stored) - len(told)

    def pair(self, event: Event, always: bool = True) -> Pair:
        """Return a stored object beside its truth; without a truth it is only drawn ``always``."""
        path = self.stored(event.data)
        frame, basis = self.frame_of(event)
        # A probe tells its pictures by their hash only: there is nothing to draw beside the stored one.
        seen = frame is not None and frame.kind == "detector.frame"
        truth = truth_picture(self.truth(frame.data.get("truth"))) if frame and seen else None
        if path is None:
            picture = Picture(note="no picture: the object was not kept in the run folder")
        elif always or truth is not None:
            picture = dicom_picture(path)
        else:
            picture = Picture(note="not drawn: there is no truth to compare it with")
        agreement = None
        if truth is not None and truth.grid is not None and picture.grid is not None:
            agreement = compare(truth.grid, picture.grid)
        return Pair(
            title=str(event.data.get("sop_instance", "")),
            stored=picture,
            truth=truth,
            agreement=agreement,
            seq=event.seq,
            frame_seq=frame.seq if frame else None,
            sha256=str(event.data.get("sha256", "")),
            link=path.relative_to(self.folder).as_posix() if path else None,
            basis=basis,
        )
