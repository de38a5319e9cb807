"""The console: what the operator can do with either product.

Rules of this file:

* A verb either returns what it did or raises :class:`Refused` with one sentence; verb ``x`` is the method ``_do_x``.
* A service that fails is a warning and never stops the exam.
* Slow libraries are loaded in the background; a verb that needs one waits for it.
* Network work happens outside every lock.
* What only one product has is in ``products/NAME/console.py``: its own verbs, and the methods under "for the products"
  here, which are called at the right moment and do nothing by themselves.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from .arguments import mapping_of, number_of, overlay, text_of
from .config import Config, ConfigError, Peer
from .control import Refused
from .exam import KINDS, ExamError, Exams
from .notices import Notices, ServiceFailure
from .order import typed_order
from .sendqueue import Sender, SendQueue
from .settings import Section
from .settings import load as load_settings
from .store import Row, Store

Settings = TypeVar("Settings", bound=Config)
TheExams = TypeVar("TheExams", bound=Exams)


_OWNER: Final = (
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
    "RequestedProcedureID", "StudyInstanceUID",
)  # fmt: skip
"""What says whose a worklist item is, and of which order."""


def _owner(shown: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(shown.get(key, "")) for key in _OWNER)


class Console(Generic[Settings, TheExams]):
    """One running product; ``stop`` is called by the ``shutdown`` verb."""

    changeable: ClassVar[frozenset[str]] = frozenset(
        {
            "ae_title", "station_name", "worklist", "storage", "charset", "timeouts", "auto_send", "auto_retry",
            "retry_interval", "institution", "institution_address", "department", "manufacturer", "operator",
            "modality",
        }
    )  # fmt: skip
    """Settings that the operator may change while the console runs."""
    with_dicom: ClassVar[frozenset[str]] = frozenset(
        {"verify", "query_worklist", "start_exam", "append", "complete", "discontinue", "send"}
    )
    """Verbs that need the DICOM libraries; the others are answered while those are still being loaded."""
    with_everything: ClassVar[frozenset[str]] = frozenset()
    """Verbs that need what :meth:`load` imports: two threads must not import one knot of modules at a time."""

    def __init__(
        self,
        path: Path,
        config: Settings,
        stop: Callable[[], None],
        read: Callable[[Section], Settings],
        exams: Callable[[Store], TheExams],
        sender: Sender,
    ) -> None:
        self._path, self._read, self._stop = path, read, stop
        self.store = Store(config.data_dir)
        changes = json.loads(self.store.get("settings", "{}"))
        self.config = load_settings(path, read, changes) if changes else config
        self.notices = Notices(self.store)
        self.exams = exams(self.store)
        self.queue = SendQueue(self.store, self.notices, lambda: self.config, sender)
        self._dicom_ready = threading.Event()
        self.loaded = threading.Event()
        self._selected: tuple[str, tuple[str, ...]] | None = None
        """Key of the selected worklist item, and whose it was when the operator saw it."""
        self._exam_lock = threading.RLock()
        self.recovered = self.store.recover()

    # -- for the products

    @property
    def reports_steps(self) -> bool:
        """Whether a performed procedure step is reported of an exam that begins now."""
        return False

    def open_devices(self) -> None:
        """Begin to open what is attached, in the background."""

    def close_devices(self) -> None:
        """End what is attached; may hang, and is then left behind."""

    def load(self) -> None:
        """Import what the product's verbs need; the DICOM services are there already."""

    def close_services(self) -> None:
        """End what listens."""

    def forget(self) -> None:
        """An exam begins, goes on or ends: nothing from before counts any more (the exam's lock is held)."""

    def begun(self, exam: Row) -> Mapping[str, Any]:
        """An exam was started or appended to; what comes back is part of the verb's claim."""
        return {}

    def ending(self, state: str) -> None:
        """The open exam is about to end, COMPLETED or DISCONTINUED; may refuse."""

    def ended(self, exam: Row, step: Row, jobs: list[int]) -> Mapping[str, Any]:
        """An exam ended with this step and its images are queued; what comes back is part of the verb's claim."""
        return {}

    def status(self) -> Mapping[str, Any]:
        """What ``exam_state`` says of the product's own parts."""
        return {}

    def configured(self, changed: frozenset[str]) -> None:
        """Settings were changed."""

    # -- life

    def start(self) -> None:
        """Begin in the background: devices, DICOM libraries, services, jobs that were never tried."""
        self.open_devices()
        threading.Thread(target=self._load, name="load-dicom", daemon=True).start()

    def close(self) -> None:
        """End what runs, within some seconds whatever hangs; the store is left in order."""
        giving_back = threading.Thread(target=self.close_devices, name="devices-close", daemon=True)
        giving_back.start()
        self.queue.stop()
        self.close_services()
        giving_back.join(4.0)

    def _load(self) -> None:
        try:
            from .dicom import verification, worklist  # noqa: F401 (loaded for later)

            self._dicom_ready.set()
            self.load()
        finally:
            self._dicom_ready.set()
            self.loaded.set()
        if any(self.recovered.values()):
            text = "after the last end: " + ", ".join(
                f"{count} {what}" for what, count in self.recovered.items()
            )
            self.notices.state(what="recovered", text=text, **self.recovered)
        if self.recovered["missing"]:
            text = f"{self.recovered['missing']} images are in the database but no longer on the disk"
            self.notices.warn("store", "disk", text)
        self.notices.state(what="console", state="ready")
        self.queue.wake()

    # -- verbs

    def do(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do one verb of the operator.

        Raises:
            Refused: it cannot be done.
        """
        action: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = (
            getattr(self, f"_do_{verb}", None) if verb.isidentifier() and not verb.startswith("_") else None
        )
        if action is None:
            raise Refused(f"unknown verb {verb[:64]!r}")
        if verb in self.with_dicom and not self._dicom_ready.wait(30):
            raise Refused("the console is still starting")
        if verb in self.with_everything and not self.loaded.wait(30):
            raise Refused("the console is still starting")
        try:
            return action(args)
        except (ExamError, ConfigError) as error:
            raise Refused(str(error)) from error
        except ServiceFailure as failure:
            self.notices.failure(failure)
            raise Refused(failure.text) from failure
        except sqlite3.Error as error:
            text = f"the device's own disk: {error}"
            self.notices.warn("store", "disk", text)
            raise Refused(text) from error

    def _do_verify(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        from .dicom.verification import verify

        peer = self._peer(text_of(args, "peer"))
        return {"peer": peer.name, "seconds": round(verify(self.config, peer), 4)}

    def _peer(self, name: str) -> Peer:
        peers = self.config.peers
        if name not in peers:
            raise Refused(f"unknown peer {name!r}: one of {', '.join(sorted(peers)) or 'none configured'}")
        return peers[name]

    def _do_query_worklist(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        from .dicom import worklist

        peer = self.config.worklist
        if peer is None:
            raise Refused("no worklist is configured")
        wanted = {key: "" if value is None else str(value) for key, value in args.items()}
        try:
            answer = worklist.query(self.config, peer, wanted, datetime.now().date())
        except worklist.KeyFault as fault:
            raise Refused(str(fault)) from fault
        entries = []
        owners: dict[str, tuple[str, ...]] = {}
        for item in answer.items:
            packed = worklist.pack(item)
            shown = worklist.summary(worklist.unpack(packed))
            key, owner = worklist.identity(shown), _owner(shown)
            first = owners.setdefault(key, owner)
            if owner != first:  # both stay: an update of one would be a change of patient
                text = f"{peer.name}: two items of one study and step are not of one patient and order"
                self.notices.warn("worklist", peer.name, text, study_instance=owner[-1])
                key = hashlib.sha256("\x1f".join((key, *owner)).encode()).hexdigest()
            entries.append((key, packed, shown))
        added, updated = self.store.merge_worklist(entries)
        if answer.truncated:
            text = f"{peer.name}: the worklist is longer than {len(entries)} items, the rest is not shown"
            self.notices.warn("worklist", peer.name, text, kept=len(entries))
        self.notices.state(what="worklist", count=len(entries), added=added, updated=updated)
        items = [{"key": key, **shown} for key, _, shown in entries]
        return {"count": len(items), "added": added, "updated": updated, "items": items}

    def _do_worklist(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        items = [{"key": key, **shown} for key, _, shown in self.store.worklist()]
        return {"count": len(items), "items": items}

    def _find(self, keys: Mapping[str, Any]) -> tuple[str, bytes, dict[str, Any]]:
        """The one worklist item whose shown values are those given; an empty value finds nothing."""
        empty = [key for key, value in keys.items() if value is None or value == ""]
        if empty:
            raise Refused(f"{empty[0]} is empty: which worklist item?")
        matches = [
            entry
            for entry in self.store.worklist()
            if all(entry[0] == value if key == "key" else str(entry[2].get(key, "")) == str(value)
                   for key, value in keys.items())
        ]  # fmt: skip
        if len(matches) != 1:
            shown = ", ".join(f"{key}={value}" for key, value in keys.items()) or "no key"
            raise Refused(f"{len(matches) or 'no'} worklist items match {shown}: exactly one is needed")
        return matches[0]

    def _do_select(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        key, _, shown = self._find(args)
        self._selected = key, _owner(shown)
        self.notices.state(what="selected", key=key)
        return {"key": key, **shown}

    def _do_start_exam(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        from .dicom.worklist import pack

        rest = dict(args)
        patient = rest.pop("patient", None)
        kind = str(rest.pop("kind", "") or ("scheduled" if patient is None else "unscheduled"))
        if kind not in KINDS:
            raise Refused(f"unknown kind of exam {kind!r}: one of {', '.join(KINDS)}")
        now = datetime.now()
        shown: Mapping[str, Any] = {}
        if kind == "scheduled":
            if patient is not None:
                raise Refused("a scheduled exam has the patient of its worklist item: none can be typed")
            _, dataset, shown = self._find(rest) if rest else self._as_selected()
            study_uid = str(shown.get("StudyInstanceUID", ""))
            for keyword in (*_OWNER, "ScheduledProcedureStepID"):
                if "\\" in str(shown.get(keyword, "")):  # which one is the patient's?
                    raise Refused(
                        f"the worklist item has more than one value in {keyword}: {shown[keyword]!r}"
                    )
        else:
            number = self.store.next_number("emergency") if kind == "emergency" else 0
            typed = {**rest, **mapping_of(patient, "patient")}
            dataset = pack(typed_order(typed, self.config.charset, (number, now) if number else None))
            study_uid = ""
        with self._exam_lock:
            if study_uid:
                self._refuse_foreign_study(study_uid, shown)
            exam = self.exams.start(kind, dataset, study_uid, mpps=self.reports_steps, now=now)
            self.forget()
            self._selected = None
        self.notices.state(what="exam", state="open", exam=exam["id"], kind=kind)
        more = self.begun(exam)
        return {**self.claim_of(exam), **more}

    def _as_selected(self) -> tuple[str, bytes, dict[str, Any]]:
        """The selected worklist item, if it still is whose it was when the operator selected it."""
        if self._selected is None:
            raise Refused("which worklist item? select one, or give keys")
        key, owner = self._selected
        found = self._find({"key": key})
        if _owner(found[2]) != owner:
            raise Refused("the worklist changed the patient or order of the selected item: select it again")
        return found

    def _refuse_foreign_study(self, study_uid: str, shown: Mapping[str, Any]) -> None:
        """Images of two patients are never in one study, whatever the worklist says."""
        patient = str(shown.get("PatientID", ""))
        others = self.exams.patients_of(study_uid) - {patient}
        if others:
            raise Refused(
                f"the study of this item has images of another patient already ({', '.join(sorted(others))}, not "
                f"{patient}): let the worklist be corrected, or type the patient"
            )

    def _do_append(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._exam_lock:
            exam = self.exams.append(mpps=self.reports_steps, now=datetime.now())
            self.forget()
        self.notices.state(what="exam", state="open", exam=exam["id"], kind="append")
        more = self.begun(exam)
        return {**self.claim_of(exam), **more}

    def _do_complete(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._end("COMPLETED", "")

    def _do_discontinue(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._end("DISCONTINUED", text_of(args, "reason", ""))

    def _end(self, state: str, reason: str) -> Mapping[str, Any]:
        meant = self.exams.open()["id"]
        self.ending(state)
        with self._exam_lock:
            if self.exams.open()["id"] != meant:  # somebody else ended it, and began another
                raise Refused("the exam was ended meanwhile")
            exam, step = self.exams.close(state, reason, datetime.now())
            self.forget()
        self.notices.state(what="exam", state=exam["state"], exam=exam["id"], reason=reason)
        jobs = self._queue_images(exam) if self.config.auto_send != "off" else []
        more = self.ended(exam, step, jobs)
        return {**self.claim_of(exam), **more, "jobs": jobs}

    def _queue_images(self, exam: Row, destination: str | None = None) -> list[int]:
        images = [row["id"] for row in self.exams.images(exam, "accepted")]
        names = [peer.name for peer in self.config.storage if destination in (None, peer.name)]
        return self.queue.add(exam["id"], images, names)

    def _do_send(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        destination = self.destination_of(args)
        jobs: list[int] = []
        for row in self.store.rows("SELECT * FROM exams ORDER BY id"):
            jobs += self._queue_images(row, destination)
        jobs = sorted({*jobs, *self.queue.resend(destination)})
        done = True
        if args.get("wait"):
            done = self.queue.wait(lambda: self.queue.idle(jobs or None), number_of(args, "wait", 0.0))
        return {"jobs": jobs, "done": done and (bool(args.get("wait")) or not jobs)}

    def destination_of(self, args: Mapping[str, Any]) -> str | None:
        """The archive that the operator named; None when it is all of them."""
        destination = args.get("destination")
        if destination is not None and destination not in {peer.name for peer in self.config.storage}:
            raise Refused(f"unknown destination {destination!r}")
        return destination

    def _do_configure(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        wrong = sorted(set(args) - self.changeable)
        if wrong:
            raise Refused(f"cannot be changed while the console runs: {', '.join(wrong)}")
        with self._exam_lock:
            changes = json.loads(self.store.get("settings", "{}"))
            changes = overlay(changes, args)
            config = load_settings(self._path, self._read, changes)
            self.store.put("settings", json.dumps(changes))
            self.config = config
        self.configured(frozenset(args))
        self.notices.state(what="settings", changed=sorted(args))
        self.queue.wake()
        return {"changed": sorted(args)}

    def _do_warnings(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"warnings": self.store.warnings()}

    def _do_queue(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if args.get("wait"):
            self.queue.wait(self.queue.idle, number_of(args, "wait", 0.0))
        return {"jobs": self.queue.jobs(), "idle": self.queue.idle()}

    def _do_exam_state(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        exam = self.exams.current()
        state = {**self.status(), "recovered": self.recovered, "exam": None}
        return state if exam is None else {**state, "exam": self.claim_of(exam)}

    def _do_shutdown(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        threading.Timer(0.05, self._stop).start()
        return {"stopping": True}

    def claim_of(self, exam: Row) -> dict[str, Any]:
        """What the operator sees of an exam."""
        images = [
            {**json.loads(row["claim"]), "state": row["state"], "reason": row["reason"]}
            for row in self.exams.images(exam)
        ]
        return {
            "exam": exam["id"],
            "kind": exam["kind"],
            "state": exam["state"],
            "sent": bool(exam["sent"]),
            "study_instance": exam["study_uid"],
            "study_id": exam["study_id"],
            "images": images,
        }
