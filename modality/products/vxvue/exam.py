"""VXvue's exam: views, exposures that become images, and the operator's decision about each.

Rules of this file: an exposure is kept from the moment it is processed (state ``acquired``); the operator accepts or
rejects it.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ...dicom.values import new_uid
from ...exam import ExamError, Exams
from ...store import Row
from .config import LATERALITIES, VxvueConfig

if TYPE_CHECKING:
    from ...objects.common import SeriesFacts, StepFacts
    from ...objects.dx import Shot

_CODE_STRING: Final = re.compile(r"[A-Z0-9_ ]{1,16}")


@dataclass(frozen=True)
class View:
    """What is exposed next."""

    view: str
    body_part: str
    laterality: str
    protocol: str


def code_string(what: str, given: str) -> str:
    """A CS value from what the operator wrote (PS3.5 6.2).

    Raises:
        ExamError: it has characters or a length that CS does not allow.
    """
    word = given.strip().upper().replace("-", "_")
    if not _CODE_STRING.fullmatch(word):
        raise ExamError(f"{what} {given!r}: 1 to 16 letters, digits, blanks and underscores")
    return word


class VxvueExams(Exams):
    """The exams of one VXvue."""

    def facts(self, config: VxvueConfig, exam: Row, step: Row) -> StepFacts:
        """What messages and images say of a step."""
        from ...objects.common import StepFacts

        return StepFacts(
            study_uid=exam["study_uid"],
            study_id=exam["study_id"],
            sop_instance=step["sop_instance"],
            pps_id=step["pps_id"],
            started=datetime.fromisoformat(step["started"]),
            station_ae=config.ae_title,
            station_name=config.station_name,
            location=config.location,
        )

    def series(self, step: Row) -> list[SeriesFacts]:
        """The step's series with their accepted images (ruling D6)."""
        from ...objects.common import SeriesFacts

        found = []
        for series in self._store.rows("SELECT * FROM series WHERE step=? ORDER BY id", step["id"]):
            images = self._store.rows(
                "SELECT sop_instance FROM images WHERE series=? AND state='accepted' ORDER BY id",
                series["id"],
            )
            if images:
                instances = tuple(str(image["sop_instance"]) for image in images)
                found.append(SeriesFacts(series["uid"], series["protocol"], series["description"], instances))
        return found

    def plan_view(self, config: VxvueConfig, args: Mapping[str, Any], previous: View | None) -> View:
        """Check what the operator wants to expose; the previous view fills what is not said.

        Raises:
            ExamError: a word that DICOM cannot carry.
        """
        given = {
            key: str(args[key]) for key in ("view", "body_part", "laterality", "protocol") if args.get(key)
        }
        view = code_string("view", given.get("view") or (previous.view if previous else "PA"))
        body_part = code_string(
            "body part", given.get("body_part") or (previous.body_part if previous else "CHEST")
        )
        laterality = given.get("laterality", config.laterality).upper()
        if laterality not in LATERALITIES:
            raise ExamError(f"laterality {laterality!r}: one of {', '.join(LATERALITIES)}")
        return View(view, body_part, laterality, given.get("protocol") or f"{body_part.capitalize()} {view}")

    def keep(self, config: VxvueConfig, view: View, shot: Shot, *, mpps: bool) -> Row:
        """Make an exposure an image of the open exam: identifiers, file and row.

        Returns:
            The image's row; its ``claim`` is what the operator is told.

        Raises:
            ExamError: no exam is open.
            ValueError: the pixels cannot be an image (see :func:`modality.objects.dx.build`).
        """
        from ...objects import dx

        exam = self.open()
        step = self.step(exam)
        with self._store.transaction():
            series = self.series_for(exam, step, shot.started, view.body_part, view.laterality, view.protocol)
            count = self.next_number(series)
        sop_instance = new_uid()
        facts = dx.ImageFacts(
            sop_instance=sop_instance,
            number=count,
            series_uid=series["uid"],
            series_number=series["number"],
            series_started=datetime.fromisoformat(series["started"]),
            protocol=series["protocol"],
            description=series["description"],
            body_part=view.body_part,
            view=view.view,
            laterality=view.laterality,
            exam_started=datetime.fromisoformat(exam["started"]),
            mpps=mpps,
        )
        header, pixels = dx.build(config, self.order(exam), self.facts(config, exam, step), facts, shot)
        digest = hashlib.sha256()
        hashing = threading.Thread(target=digest.update, args=(pixels,), name="hash")  # beside the disk
        hashing.start()
        self._store.write_object(sop_instance, (header, pixels))
        hashing.join()
        claim = {
            "sop_instance": sop_instance,
            "series_instance": series["uid"],
            "study_instance": exam["study_uid"],
            "sha256": digest.hexdigest(),
            "raw_sha256": getattr(shot, "raw_sha256", ""),
            "rows": int(shot.pixels.shape[0]),
            "columns": int(shot.pixels.shape[1]),
            "bits_stored": shot.bits_stored,
            "view": view.view,
            "body_part": view.body_part,
            "laterality": view.laterality,
            "number": count,
            **{name: getattr(shot, name) for name in ("ei", "target_ei", "di", "kvp", "ma", "ms", "mas")},
            "dap_dgycm2": shot.dap_dgycm2,
        }
        return self.add_image(exam, step, series, count, "acquired", claim)

    def decide(self, sop_instance: str | None, state: str, reason: str = "") -> Row:
        """Accept or reject an image: the one named, else the last one that waits for it.

        Raises:
            ExamError: no such image waits.
        """
        with self._store.transaction():
            exam = self.open()
            waiting = self.images(exam, "acquired")
            chosen = [row for row in waiting if sop_instance in (None, row["sop_instance"])]
            if not chosen:
                raise ExamError("no image waits for acceptance" if sop_instance is None else
                                f"{sop_instance} does not wait for acceptance")  # fmt: skip
            self._store.update("images", chosen[-1]["id"], state=state, reason=reason)
        if state == "rejected":
            self._store.remove_object(chosen[-1]["sop_instance"])
        return {**chosen[-1], "state": state, "reason": reason}
