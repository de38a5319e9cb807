"""The exam: what the operator may do when, and what becomes of it in the store.

Rules of this file:

* One exam is open at a time; it survives a restart.  States: ``open`` -> ``completed`` | ``discontinued``; appending
  opens it again with a new step (VX-E-40), never with the old one.
* Every identifier (Study, Series, SOP Instance, step) is made here or by the product's part, and committed before
  anybody else hears of it.
* How an image is made is the product's own: ``products/NAME/exam.py``.  No network here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .dicom.values import new_uid
from .store import Row, Store

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

KINDS: Final = ("scheduled", "unscheduled", "emergency")


class ExamError(Exception):
    """The operator asked for something that cannot be done now; the text says why."""


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

    def patients_of(self, study_uid: str) -> set[str]:
        """Patient ID of every exam of a study that has images; empty for one without ID."""
        from .objects.common import text

        rows = self._store.rows(
            "SELECT * FROM exams e WHERE study_uid=? AND EXISTS (SELECT 1 FROM images i WHERE i.exam=e.id)",
            study_uid,
        )
        return {text(self.order(row), "PatientID") for row in rows}

    # -- actions

    def start(self, kind: str, dataset: bytes, study_uid: str, *, now: datetime, mpps: bool = False) -> Row:
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

    def append(self, *, now: datetime, mpps: bool = False) -> Row:
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

    def _new_step(self, exam: int, *, now: datetime, mpps: bool = False) -> None:
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

    # -- images

    def series_for(
        self, exam: Row, step: Row, started: datetime, body_part: str, laterality: str, protocol: str
    ) -> Row:
        """The step's series for a body part, side and protocol, made at its first image."""
        known = self._store.row(
            "SELECT * FROM series WHERE step=? AND body_part=? AND laterality=? AND protocol=?",
            step["id"], body_part, laterality, protocol,
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
            body_part=body_part,
            laterality=laterality,
            protocol=protocol,
            description=protocol,
            started=started.isoformat(),
        )
        return self._store.row("SELECT * FROM series WHERE id=?", row) or {}

    def next_number(self, series: Row) -> int:
        """The Instance Number of the next image of a series."""
        number = self._store.row("SELECT COUNT(*) AS n FROM images WHERE series=?", series["id"])
        return int(number["n"]) + 1 if number else 1

    def add_image(
        self, exam: Row, step: Row, series: Row, number: int, state: str, claim: Mapping[str, Any]
    ) -> Row:
        """The row of an image whose file lies in the store; ``claim`` is what the operator is told of it."""
        row = self._store.insert(
            "images",
            exam=exam["id"],
            step=step["id"],
            series=series["id"],
            number=number,
            sop_instance=claim["sop_instance"],
            state=state,
            claim=json.dumps(claim),
        )
        return self._store.row("SELECT * FROM images WHERE id=?", row) or {}

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
                if not self._kept(step):
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

    def _kept(self, step: Row) -> bool:
        """Tell whether the step has an accepted image."""
        found = self._store.row("SELECT 1 FROM images WHERE step=? AND state='accepted' LIMIT 1", step["id"])
        return found is not None
