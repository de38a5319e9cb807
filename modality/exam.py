"""The exam: what the operator may do when, and what becomes of it in the store.

Rules of this file:

* One exam is open at a time; it survives a restart.  States: ``open`` -> ``completed`` | ``discontinued``; appending
  opens it again with a new step (VX-E-40), never with the old one.
* Every identifier (Study, Series, SOP Instance, step) is made here and committed before anybody else hears of it.
* An exposure is kept from the moment it is processed (state ``acquired``); the operator accepts or rejects it.
* No network here: messages are made and sent by :mod:`modality.console`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .config import LATERALITIES, Config
from .dicom.values import new_uid
from .store import Row, Store

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .objects.common import SeriesFacts, StepFacts
    from .objects.dx import Shot

KINDS: Final = ("scheduled", "unscheduled", "emergency")
_CODE_STRING: Final = re.compile(r"[A-Z0-9_ ]{1,16}")


class ExamError(Exception):
    """The operator asked for something that cannot be done now; the text says why."""


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


class Exams:
    """The exams of one console."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- questions

    def current(self) -> Row | None:
        """The exam being worked on: the last one that was started."""
        return self._store.row("SELECT * FROM exams ORDER BY id DESC LIMIT 1")

    def open(self) -> Row:
        """The open exam.

        Raises:
            ExamError: there is none.
        """
        exam = self.current()
        if exam is None or exam["state"] != "open":
            raise ExamError("no exam is open: start one first")
        return exam

    def step(self, exam: Row) -> Row:
        """The exam's latest step."""
        step = self._store.row("SELECT * FROM steps WHERE exam=? ORDER BY id DESC LIMIT 1", exam["id"])
        assert step is not None, "an exam is stored together with its first step"
        return step

    def images(self, exam: Row, *states: str) -> list[Row]:
        """The exam's images in order, all or those in certain states."""
        rows = self._store.rows(
            "SELECT i.*, s.uid AS series_uid, s.protocol, s.description FROM images i JOIN series s ON s.id=i.series "
            "WHERE i.exam=? ORDER BY i.id",
            exam["id"],
        )
        return [row for row in rows if not states or row["state"] in states]

    def order(self, exam: Row) -> Dataset:
        """The order the exam answers (see :mod:`modality.objects.common`)."""
        from .dicom.worklist import unpack

        return unpack(exam["dataset"])

    def facts(self, config: Config, exam: Row, step: Row) -> StepFacts:
        """What messages and images say of a step."""
        from .objects.common import StepFacts

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
        from .objects.common import SeriesFacts

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

    # -- actions

    def start(self, kind: str, dataset: bytes, study_uid: str, *, mpps: bool, now: datetime) -> Row:
        """Open an exam with its first step.

        Args:
            dataset: the order, packed.
            study_uid: of the worklist item; empty makes a new one.

        Raises:
            ExamError: another exam is open.
        """
        with self._store.transaction():
            current = self.current()
            if current is not None and current["state"] == "open":
                raise ExamError("an exam is open: complete or discontinue it first")
            number = self._store.next_number("study")
            exam = self._store.insert(
                "exams",
                kind=kind,
                state="open",
                study_uid=study_uid or new_uid(),
                study_id=f"S{now:%y%m%d}{number % 10**9:04d}",
                dataset=dataset,
                started=now.isoformat(),
            )
            self._new_step(exam, mpps=mpps, now=now)
        return self.open()

    def append(self, *, mpps: bool, now: datetime) -> Row:
        """Go on with the last exam under a new step (VX-MPPS-013).

        Raises:
            ExamError: there is no exam, or it is still open.
        """
        with self._store.transaction():
            exam = self.current()
            if exam is None:
                raise ExamError("there is no exam to append to")
            if exam["state"] == "open":
                raise ExamError("the exam is still open: nothing to append to")
            self._store.update("exams", exam["id"], state="open", sent=0)
            self._new_step(exam["id"], mpps=mpps, now=now)
        return self.open()

    def _new_step(self, exam: int, *, mpps: bool, now: datetime) -> None:
        number = self._store.next_number("step")
        self._store.insert(
            "steps",
            exam=exam,
            sop_instance=new_uid(),
            pps_id=f"P{now:%y%m%d}{number % 10**9:04d}",
            state="IN PROGRESS",
            started=now.isoformat(),
            create_state="pending" if mpps else "off",
        )

    def plan_view(self, config: Config, args: Mapping[str, Any], previous: View | None) -> View:
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

    def keep(self, config: Config, view: View, shot: Shot, *, mpps: bool) -> Row:
        """Make an exposure an image of the open exam: identifiers, file and row.

        Returns:
            The image's row; its ``claim`` is what the operator is told.

        Raises:
            ExamError: no exam is open.
            ValueError: the pixels cannot be an image (see :func:`modality.objects.dx.build`).
        """
        from .objects import dx

        exam = self.open()
        step = self.step(exam)
        with self._store.transaction():
            series = self._series(exam, step, view, shot.started)
            number = self._store.row("SELECT COUNT(*) AS n FROM images WHERE series=?", series["id"])
            count = int(number["n"]) + 1 if number else 1
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
        row = self._store.insert(
            "images",
            exam=exam["id"],
            step=step["id"],
            series=series["id"],
            number=count,
            sop_instance=sop_instance,
            state="acquired",
            claim=json.dumps(claim),
        )
        return self._store.row("SELECT * FROM images WHERE id=?", row) or {}

    def _series(self, exam: Row, step: Row, view: View, started: datetime) -> Row:
        """The step's series for a body part and side, made at its first image."""
        known = self._store.row(
            "SELECT * FROM series WHERE step=? AND body_part=? AND laterality=? AND protocol=?",
            step["id"], view.body_part, view.laterality, view.protocol,
        )  # fmt: skip
        if known:
            return known
        last = self._store.row(
            "SELECT MAX(s.number) AS n FROM series s JOIN steps p ON p.id=s.step WHERE p.exam=?", exam["id"]
        )
        row = self._store.insert(
            "series",
            step=step["id"],
            uid=new_uid(),
            number=int((last or {}).get("n") or 0) + 1,
            body_part=view.body_part,
            laterality=view.laterality,
            protocol=view.protocol,
            description=view.protocol,
            started=started.isoformat(),
        )
        return self._store.row("SELECT * FROM series WHERE id=?", row) or {}

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

    def close(self, state: str, reason: str, now: datetime) -> tuple[Row, Row]:
        """End the open exam; return it and its step.

        Args:
            state: COMPLETED or DISCONTINUED.

        Raises:
            ExamError: images wait for a decision, or a completed exam would have none.
        """
        with self._store.transaction():
            exam = self.open()
            step = self.step(exam)
            waiting = self.images(exam, "acquired")
            if state == "COMPLETED":
                if waiting:
                    raise ExamError("an image waits for acceptance: accept or reject it first")
                if not self.series(step):
                    raise ExamError("no image of this step was accepted: discontinue it instead")
            for row in waiting:  # nobody accepted them, and the exam is given up
                self._store.update("images", row["id"], state="rejected", reason="exam discontinued")
            self._store.update(
                "steps", step["id"],
                state=state, reason=reason, ended=now.isoformat(),
                set_state="off" if step["create_state"] == "off" else "pending",
            )  # fmt: skip
            self._store.update("exams", exam["id"], state=state.lower())
        for row in waiting:
            self._store.remove_object(row["sop_instance"])
        exam["state"] = state.lower()
        return exam, self.step(exam)
