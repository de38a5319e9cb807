"""VXvue's own part of the console: exposures and the operator's decision, procedure steps, the DICOM Receiver.

Rules of this file: an MPPS that fails is a warning and never stops the exam: images are sent all the same (VX-D-18).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ...arguments import number_of, text_of
from ...console import Console
from ...control import Refused
from ...store import Row
from .config import VxvueConfig, read
from .devices import Devices
from .exam import View, VxvueExams
from .procedure import ProcedureSteps


class VxvueConsole(Console[VxvueConfig, VxvueExams]):
    """One running VXvue."""

    changeable = Console.changeable | {"receiver", "mpps", "location", "laterality"}
    with_dicom = Console.with_dicom | {"wait_image"}
    with_everything = frozenset({"wait_image"})

    def __init__(self, path: Path, config: VxvueConfig, stop: Callable[[], None]) -> None:
        super().__init__(path, config, stop, read, VxvueExams, _send_set)
        self.devices = Devices(lambda: self.config, self.notices)
        self.steps = ProcedureSteps(self.store, self.notices, self.exams, lambda: self.config)
        self._receiver: Any = None
        self._view: View | None = None
        """The view planned last in this exam: what the next one does not say is as it was."""
        self._unsaved: tuple[int, View, Any] | None = None
        """Exam, view and exposure that could not be stored."""

    def _start_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None
        if not self.config.receiver.enabled:
            return
        from ...dicom.receiver import DicomReceiver

        try:
            self._receiver = DicomReceiver(self.config)
        except OSError as error:
            where = f"{self.config.receiver.host}:{self.config.receiver.port}"
            self.notices.warn("receiver", where, f"the DICOM Receiver cannot listen at {where}: {error}")
        else:
            self.notices.state(what="receiver", state="listening", port=self._receiver.port)

    # -- at the console's moments

    @property
    def reports_steps(self) -> bool:
        return self.config.mpps is not None

    def open_devices(self) -> None:
        self.devices.start()

    def close_devices(self) -> None:
        self.devices.close()

    def load(self) -> None:
        from ...dicom import mpps, storage  # noqa: F401 (loaded for later)

        self._start_receiver()
        from ...objects import dx  # noqa: F401
        from ...objects import mpps as _  # noqa: F401

    def close_services(self) -> None:
        if self._receiver is not None:
            self._receiver.close()

    def forget(self) -> None:
        self._view = self._unsaved = None

    def begun(self, exam: Row) -> Mapping[str, Any]:
        return {"mpps": self.steps.send(exam)}

    def ending(self, state: str) -> None:
        if state == "COMPLETED" and self._unsaved is not None:
            raise Refused("an exposure is not stored yet: wait_image tries again, or discontinue the exam")
        self.devices.cancel()

    def ended(self, exam: Row, step: Row, jobs: list[int]) -> Mapping[str, Any]:
        if (
            jobs
        ):  # the first C-STORE goes before the final N-SET (ruling D5), but no archive may delay it for long
            self.queue.wait(lambda: self.queue.begun(jobs), 2.0)
        return {"mpps": self.steps.send(exam, step)}  # this one, though the exam may have gone on already

    def configured(self, changed: frozenset[str]) -> None:
        if changed & {"receiver", "ae_title"}:
            self._start_receiver()

    def status(self) -> Mapping[str, Any]:
        return {
            "acquisition": self.devices.state,
            "awaiting_image": self.devices.waiting,
            "receiver": self._receiver.port if self._receiver is not None else None,
        }

    def claim_of(self, exam: Row) -> dict[str, Any]:
        return {**super().claim_of(exam), "step": self.steps.claim(exam)}

    # -- verbs

    def _do_prepare(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._exam_lock:
            exam = self.exams.open()["id"]
            self._view = view = self.exams.plan_view(self.config, args, self._view)
        claim = self.devices.prepare(exam, view, args)
        with self._exam_lock:
            now = self.exams.current()
            if self._view is not None and now is not None and now["id"] == exam:
                return claim
        self.devices.cancel()
        raise Refused("the exam was ended while the devices were prepared for it")

    def _do_wait_image(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        exam = self.exams.open()["id"]
        waiting = self._unsaved
        if waiting is None or waiting[0] != exam:
            waiting = exam, *self.devices.wait(exam, number_of(args, "timeout", 30.0))
        _, view, shot = waiting
        with self._exam_lock:
            if self.exams.open()["id"] != exam:  # never an exposure of one patient in the exam of another
                raise Refused("the exam was ended before its exposure came")
            try:
                row = self.exams.keep(self.config, view, shot, mpps=self.reports_steps)
            except ValueError as error:
                self._unsaved = None
                self.notices.warn("acquisition", "detector", f"the exposure cannot become an image: {error}")
                raise Refused(f"the exposure cannot become an image: {error}") from error
            except (
                OSError,
                sqlite3.Error,
            ) as error:  # a full disk must not cost the patient a second exposure
                self._unsaved = waiting
                text = f"the image cannot be stored ({error}); it is kept in memory: wait_image tries again"
                self.notices.warn("acquisition", "disk", text)
                raise Refused(text) from error
            self._unsaved = None
        claim = {**json.loads(row["claim"]), "state": row["state"]}
        self.notices.emit("modality.image", claim)
        return claim

    def _do_accept(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._exam_lock:
            row = self.exams.decide(args.get("image"), "accepted")
        self.notices.state(what="image", state="accepted", sop_instance=row["sop_instance"])
        jobs = []
        if self.config.auto_send == "accept":
            jobs = self.queue.add(row["exam"], [row["id"]], [peer.name for peer in self.config.storage])
        return {"sop_instance": row["sop_instance"], "state": "accepted", "jobs": jobs}

    def _do_reject(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._exam_lock:
            row = self.exams.decide(args.get("image"), "rejected", text_of(args, "reason", ""))
        self.notices.state(
            what="image", state="rejected", sop_instance=row["sop_instance"], reason=row["reason"]
        )
        return {"sop_instance": row["sop_instance"], "state": "rejected"}

    def _do_send(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        what = text_of(args, "what", "all")
        if what not in ("all", "images", "mpps"):
            raise Refused(f"send {what!r}: one of all, images, mpps")
        destination = self.destination_of(args)
        steps = self.steps.resend() if what != "images" and destination is None else []
        if what == "mpps":
            return {"jobs": [], "mpps": steps, "done": True}
        return {**super()._do_send(args), "mpps": steps}

    def _do_queue(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**super()._do_queue(args), "mpps": self.steps.unsent()}


def _send_set(*args: Any) -> None:
    from ...dicom.storage import send_set

    send_set(*args)


CONSOLE: Final = VxvueConsole
