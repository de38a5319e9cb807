"""The media of a cell: where they appear, where their images are kept, what is told of them afterwards.

Rules of this file:

* A medium appears at a folder of a place that is private to the cell; its image lies in the cell's folder.
* Nothing here mounts or deletes: the medium's own process does, and what it left behind is an error of the bench.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.journal import Event
from bench.products import VolumePlan
from bench.results import VolumeFidelity

FOLDER: Final = "media"


class Media:
    """What a cell knows of its media."""

    def __init__(self, plans: Sequence[VolumePlan], place: Path, folder: Path) -> None:
        self._plans = plans
        self._place = place
        self._folder = folder
        self._told: dict[str, dict[str, Any]] = {plan.name: {} for plan in plans}
        if plans:
            (folder / FOLDER).mkdir(exist_ok=True)

    def places(self, name: str) -> dict[str, str]:
        """Return where a medium is mounted and where its image is."""
        return {"mount": str(self._place / name), "image": str(self._folder / FOLDER / f"{name}.img")}

    def note(self, name: str | None = None) -> None:
        """Keep what lies on a medium (else on every one) while the SUT cannot write to it."""
        from bench.judge.volumes import note_before

        for plan in self._plans:
            image = self._folder / FOLDER / f"{plan.name}.img"
            if name in (None, plan.name) and image.is_file():
                note_before(image)

    def on_event(self, event: Event) -> None:
        """Keep what the media tell of themselves."""
        told = self._told.get(str(event.data.get("volume"))) if event.kind.startswith("volume.") else None
        if told is None:
            return
        if event.kind == "volume.inserted":
            told |= {key: event.data.get(key) for key in ("backend", "format", "size", "label")}
        if isinstance(event.data.get("written"), int):
            told["written"] = event.data["written"]
        if event.kind == "volume.removed":
            told["how"] = event.data.get("how")

    def fidelity(self) -> Iterator[VolumeFidelity]:
        """Say of each medium how real it was and what was written to it."""
        for plan in self._plans:
            told = self._told[plan.name]
            image = f"{FOLDER}/{plan.name}.img"
            yield VolumeFidelity(
                name=plan.name,
                backend=str(told.get("backend") or plan.backend),
                filesystem=str(told.get("format") or plan.config["format"]),
                cannot_prove=plan.cannot_prove,
                size=int(plan.config["size"]),
                written=told.get("written"),
                why=plan.why or None,
                image=image if (self._folder / image).is_file() else None,
            )

    def close(self) -> list[str]:
        """Take the places away; return what is still there."""
        left = []
        for plan in self._plans:
            place = self._place / plan.name
            if place.exists():
                left.append(f"the medium {plan.name} is still there after its process has ended")
        with contextlib.suppress(OSError):
            self._place.rmdir()
        return left
