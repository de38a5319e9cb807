"""The console: the operator's verbs over the exam, the store, the queue, the acquisition and the DICOM services.

Rules of this file:

* A verb either returns what it did or raises :class:`Refused` with one sentence.
* A service that fails is a warning and never stops the exam: images are sent even when the MPPS is not (VX-D-18).
* Slow libraries are loaded in the background; a verb that needs one waits for it.
* Network work happens outside every lock.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from .config import Config, ConfigError, Peer
from .config import load as load_config
from .control import Refused
from .devices import Devices
from .exam import KINDS, ExamError, Exams, View
from .notices import Notices, ServiceFailure
from .sendqueue import SendQueue
from .store import Row, Store

_CHANGEABLE: Final = frozenset(
    {
        "ae_title", "station_name", "receiver", "worklist", "mpps", "storage", "charset", "timeouts", "auto_send",
        "auto_retry", "retry_interval", "institution", "institution_address", "department", "location", "manufacturer",
        "operator", "laterality", "modality",
    }
)  # fmt: skip
_WITH_DICOM: Final = frozenset(
    {"verify", "query_worklist", "start_exam", "append", "wait_image", "complete", "discontinue", "send"}
)
"""Verbs that need the DICOM libraries; the others are answered while those are still being loaded."""
_UNSENT_STEPS: Final = (
    "SELECT * FROM steps WHERE create_state IN ('pending', 'failed') "
    "OR set_state IN ('pending', 'failed') ORDER BY id"
)
_ORDER_KEYS: Final = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")


class Console:
    """One running VXvue; ``stop`` is called by the ``shutdown`` verb."""

    def __init__(self, path: Path, config: Config, stop: Callable[[], None]) -> None:
        self._path = path
        self.store = Store(config.data_dir)
        changes = json.loads(self.store.get("settings", "{}"))
        self.config = load_config(path, changes) if changes else config
        self.notices = Notices(self.store)
        self.exams = Exams(self.store)
        self.queue = SendQueue(self.store, self.notices, lambda: self.config)
        self.devices = Devices(lambda: self.config, self.notices)
        self._stop = stop
        self._dicom_ready = threading.Event()
        self._receiver: Any = None
        self._selected: str | None = None
        self._view: View | None = None
        self._unsaved: tuple[int, View, Any] | None = None  # exam, view, exposure
        self._mpps_lock = threading.Lock()
        self._exam_lock = threading.RLock()
        self.recovered = self.store.recover()

    def start(self) -> None:
        """Begin in the background: devices, DICOM libraries, receiver, jobs that were never tried."""
        self.devices.start()
        threading.Thread(target=self._load, name="load-dicom", daemon=True).start()

    def close(self) -> None:
        """End what runs, within some seconds whatever hangs; the store is left in order."""
        giving_back = threading.Thread(target=self.devices.close, name="acquisition-close", daemon=True)
        giving_back.start()
        self.queue.stop()
        if self._receiver is not None:
            self._receiver.close()
        giving_back.join(4.0)

    def _load(self) -> None:
        try:
            from .dicom import mpps, storage, verification, worklist  # noqa: F401 (loaded for later)

            self._dicom_ready.set()
            self._start_receiver()
            from .objects import dx  # noqa: F401
            from .objects import mpps as _  # noqa: F401
        finally:
            self._dicom_ready.set()
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

    def _start_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None
        if not self.config.receiver.enabled:
            return
        from .dicom.receiver import DicomReceiver

        try:
            self._receiver = DicomReceiver(self.config)
        except OSError as error:
            where = f"{self.config.receiver.host}:{self.config.receiver.port}"
            self.notices.warn("receiver", where, f"the DICOM Receiver cannot listen at {where}: {error}")
        else:
            self.notices.state(what="receiver", state="listening", port=self._receiver.port)

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
        if verb in _WITH_DICOM and not self._dicom_ready.wait(30):
            raise Refused("the console is still starting")
        try:
            return action(args)
        except (ExamError, ConfigError) as error:
            raise Refused(str(error)) from error
        except ServiceFailure as failure:
            self.notices.failure(failure)
            raise Refused(failure.text) from failure

    def _do_verify(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        from .dicom.verification import verify

        peer = self._peer(_text(args, "peer"))
        return {"peer": peer.name, "seconds": round(verify(self.config, peer), 4)}

    def _peer(self, name: str) -> Peer:
        peers: dict[str, Peer] = {peer.name: peer for peer in self.config.storage}
        if self.config.worklist:
            peers["worklist"] = self.config.worklist
        if self.config.mpps:
            peers["mpps"] = self.config.mpps
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
        for item in answer.items:
            packed = worklist.pack(item)
            shown = worklist.summary(worklist.unpack(packed))
            entries.append((worklist.identity(shown), packed, shown))
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
        """The one worklist item whose shown values are those given."""
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
        self._selected = key
        self.notices.state(what="selected", key=key)
        return {"key": key, **shown}

    def _do_start_exam(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        from .dicom.worklist import pack

        rest = dict(args)
        patient = rest.pop("patient", None)
        kind = str(rest.pop("kind", "") or self._likely_kind(rest, patient))
        if kind not in KINDS:
            raise Refused(f"unknown kind of exam {kind!r}: one of {', '.join(KINDS)}")
        now = datetime.now()
        if kind == "scheduled":
            if not rest and not self._selected:
                raise Refused("which worklist item? select one, or give keys")
            _, dataset, shown = self._find(rest or {"key": self._selected})
            study_uid = str(shown.get("StudyInstanceUID", ""))
        else:
            dataset = pack(self._typed_order(kind, {**rest, **_mapping(patient)}, now))
            study_uid = ""
        with self._exam_lock:
            exam = self.exams.start(kind, dataset, study_uid, mpps=self.config.mpps is not None, now=now)
            self._view = None
            self._selected = None
        self.notices.state(what="exam", state="open", exam=exam["id"], kind=kind)
        mpps = self._send_mpps(exam)
        return {**self._exam_claim(exam), "mpps": mpps}

    def _likely_kind(self, keys: Mapping[str, Any], patient: Any) -> str:
        """What the operator means without saying: a typed patient is unscheduled, keys or a selection are scheduled."""
        return "scheduled" if patient is None and (keys or self._selected) else "unscheduled"

    def _typed_order(self, kind: str, typed: Mapping[str, Any], now: datetime) -> Any:
        """An order from what the operator typed, in the configured character set (VX-D-16)."""
        from pydicom.datadict import dictionary_VR
        from pydicom.dataset import Dataset

        from .dicom.charset import seal
        from .dicom.values import da, tm

        order = Dataset()
        for keyword in _ORDER_KEYS:
            setattr(order, keyword, "")
        if kind == "emergency":
            number = self.store.next_number("emergency")
            order.PatientID = f"EMG-{da(now)}-{number}"
            order.PatientName = f"EMERGENCY^{da(now)}-{tm(now)}"
        for keyword, value in typed.items():
            try:
                if dictionary_VR(keyword) == "SQ":
                    raise KeyError
                setattr(order, keyword, "" if value is None else str(value))
            except KeyError:
                raise Refused(f"{keyword!r} is nothing that can be typed for a patient or order") from None
            except (ValueError, TypeError) as error:
                raise Refused(f"{keyword}: {value!r} does not fit: {error}") from None
        seal(order, self.config.charset)
        return order

    def _do_append(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._exam_lock:
            exam = self.exams.append(mpps=self.config.mpps is not None, now=datetime.now())
        self.notices.state(what="exam", state="open", exam=exam["id"], kind="append")
        mpps = self._send_mpps(exam)
        return {**self._exam_claim(exam), "mpps": mpps}

    def _do_prepare(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        self.exams.open()
        self._view = self.exams.plan_view(self.config, args, self._view)
        return self.devices.prepare(self._view, args)

    def _do_wait_image(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        exam = self.exams.open()["id"]
        waiting = self._unsaved
        if waiting is None or waiting[0] != exam:
            view = self._view
            if view is None:
                raise Refused("nothing is prepared")
            waiting = exam, view, self.devices.wait(_number(args, "timeout", 30.0))
        _, view, shot = waiting
        with self._exam_lock:
            if self.exams.open()["id"] != exam:  # never an exposure of one patient in the exam of another
                raise Refused("the exam was ended before its exposure came")
            try:
                row = self.exams.keep(self.config, view, shot, mpps=self.config.mpps is not None)
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
            row = self.exams.decide(args.get("image"), "rejected", _text(args, "reason", ""))
        self.notices.state(
            what="image", state="rejected", sop_instance=row["sop_instance"], reason=row["reason"]
        )
        return {"sop_instance": row["sop_instance"], "state": "rejected"}

    def _do_complete(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._end("COMPLETED", "")

    def _do_discontinue(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._end("DISCONTINUED", _text(args, "reason", ""))

    def _end(self, state: str, reason: str) -> Mapping[str, Any]:
        self.exams.open()
        self.devices.cancel()
        with self._exam_lock:
            exam, _ = self.exams.close(state, reason, datetime.now())
            self._view = self._unsaved = None
        self.notices.state(what="exam", state=exam["state"], exam=exam["id"], reason=reason)
        jobs = self._queue_images(exam) if self.config.auto_send != "off" else []
        if (
            jobs
        ):  # the first C-STORE goes before the final N-SET (ruling D5), but no archive may delay it for long
            self.queue.wait(lambda: self.queue.begun(jobs), 2.0)
        mpps = self._send_mpps(exam)
        return {**self._exam_claim(exam), "mpps": mpps, "jobs": jobs}

    def _queue_images(self, exam: Row, destination: str | None = None) -> list[int]:
        images = [row["id"] for row in self.exams.images(exam, "accepted")]
        names = [peer.name for peer in self.config.storage if destination in (None, peer.name)]
        return self.queue.add(exam["id"], images, names)

    def _do_send(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        destination = args.get("destination")
        what = _text(args, "what", "all")
        if what not in ("all", "images", "mpps"):
            raise Refused(f"send {what!r}: one of all, images, mpps")
        if destination is not None and destination not in {peer.name for peer in self.config.storage}:
            raise Refused(f"unknown destination {destination!r}")
        steps: list[str] = []
        if what != "images" and destination is None:
            steps = self._resend_mpps()
        jobs: list[int] = []
        if what != "mpps":
            for row in self.store.rows("SELECT * FROM exams ORDER BY id"):
                jobs += self._queue_images(row, destination)
            jobs = sorted({*jobs, *self.queue.resend(destination)})
        done = True
        if args.get("wait"):
            done = self.queue.wait(lambda: self.queue.idle(jobs or None), _number(args, "wait", 0.0))
        return {"jobs": jobs, "mpps": steps, "done": done and (bool(args.get("wait")) or not jobs)}

    def _do_configure(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        wrong = sorted(set(args) - _CHANGEABLE)
        if wrong:
            raise Refused(f"cannot be changed while the console runs: {', '.join(wrong)}")
        with self._exam_lock:
            changes = json.loads(self.store.get("settings", "{}"))
            changes = _overlay(changes, args)
            self.config = load_config(self._path, changes)
            self.store.put("settings", json.dumps(changes))
        if "receiver" in args or "ae_title" in args:
            self._start_receiver()
        self.notices.state(what="settings", changed=sorted(args))
        self.queue.wake()
        return {"changed": sorted(args)}

    def _do_warnings(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"warnings": self.store.warnings()}

    def _do_queue(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if args.get("wait"):
            self.queue.wait(self.queue.idle, _number(args, "wait", 0.0))
        steps = self.store.rows(_UNSENT_STEPS)
        return {
            "jobs": self.queue.jobs(),
            "mpps": [
                {"sop_instance": s["sop_instance"], "create": s["create_state"], "set": s["set_state"]}
                for s in steps
            ],
            "idle": self.queue.idle(),
        }

    def _do_exam_state(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        exam = self.exams.current()
        state = {
            "acquisition": self.devices.state,
            "awaiting_image": self.devices.waiting,
            "receiver": self._receiver.port if self._receiver is not None else None,
            "recovered": self.recovered,
            "exam": None,
        }
        return state if exam is None else {**state, "exam": self._exam_claim(exam)}

    def _do_shutdown(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        threading.Timer(0.05, self._stop).start()
        return {"stopping": True}

    def _exam_claim(self, exam: Row) -> dict[str, Any]:
        """What the operator sees of an exam."""
        step = self.exams.step(exam)
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
            "step": {
                "sop_instance": step["sop_instance"], "pps_id": step["pps_id"], "state": step["state"],
                "create": step["create_state"], "set": step["set_state"], "reason": step["reason"],
            },
            "images": images,
        }  # fmt: skip

    # -- MPPS

    def _send_mpps(self, exam: Row, step: Row | None = None) -> str:
        """Send what a step still has to say; return ``sent``, ``failed`` or ``off``."""
        step_id = (step or self.exams.step(exam))["id"]
        with self._mpps_lock:
            row = self.store.row("SELECT * FROM steps WHERE id=?", step_id)
            if row is None or self.config.mpps is None or row["create_state"] == "off":
                return "off"
            try:
                if row["create_state"] != "sent":
                    self._send_create(exam, row)
                if row["state"] != "IN PROGRESS" and row["set_state"] != "sent":
                    self._send_set(exam, row)
            except ServiceFailure as failure:
                self.notices.failure(failure)
                return "failed"
            return "sent"

    def _send_create(self, exam: Row, step: Row) -> None:
        from .dicom import mpps
        from .dicom.charset import seal, terms_of
        from .objects.mpps import in_progress

        order = self.exams.order(exam)
        attributes = in_progress(order, self.exams.facts(self.config, exam, step))
        seal(attributes, terms_of(order), self.config.charset, ascii_too=False)
        self._send_message(step, "create_state", lambda peer: mpps.create(
            self.config, peer, step["sop_instance"], attributes))  # fmt: skip

    def _send_set(self, exam: Row, step: Row) -> None:
        from .dicom import mpps
        from .dicom.charset import seal, terms_of
        from .objects.common import text
        from .objects.mpps import final

        order = self.exams.order(exam)
        storage = self.config.storage
        changes = final(
            order,
            step["state"],
            datetime.fromisoformat(step["ended"]),
            self.exams.series(step),
            text(order, "OperatorsName") or self.config.operator,
            storage[0].ae_title if storage else "",
        )
        seal(changes, terms_of(order), self.config.charset, ascii_too=False)
        self._send_message(step, "set_state", lambda peer: mpps.set_final(
            self.config, peer, step["sop_instance"], changes))  # fmt: skip

    def _send_message(self, step: Row, column: str, send: Callable[[Peer], int]) -> None:
        peer = self.config.mpps
        assert peer is not None, "asked for only when a peer is configured"
        self.store.update("steps", step["id"], **{column: "sending"})
        outcome = "failed"
        try:
            status = send(peer)
            outcome = "sent"
        finally:
            self.store.update("steps", step["id"], **{column: outcome})
        if status:
            text = f"{peer.name}: the procedure step was taken with a warning, status {status:04X}"
            self.notices.warn("mpps", peer.name, text, status=f"{status:04X}")
        self.notices.state(
            what="mpps", sop_instance=step["sop_instance"], message=column.split("_")[0], state="sent"
        )

    def _resend_mpps(self) -> list[str]:
        """Send every MPPS message that did not go; return the instances concerned."""
        touched = []
        for step in self.store.rows(_UNSENT_STEPS):
            exam = self.store.row("SELECT * FROM exams WHERE id=?", step["exam"])
            if exam is not None and self._send_mpps(exam, step) == "failed":
                touched.append(step["sop_instance"])
                break  # the peer is not there: once is enough
            touched.append(step["sop_instance"])
        return touched


def _text(args: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = args.get(key, default)
    if value is None:
        raise Refused(f"{key} is missing")
    return str(value)


def _number(args: Mapping[str, Any], key: str, default: float) -> float:
    value = args.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise Refused(f"{key} must be seconds, not {value!r}")
    return float(value)


def _mapping(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused("patient must be an object of keywords")
    return value


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = _overlay(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
