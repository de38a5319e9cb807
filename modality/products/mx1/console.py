"""MX1's own part of the console: freeze, stills, clips and screens, the probe's knobs, and media.

Rules of this file:

* An image is accepted as soon as it is on the disk; discontinuing an exam keeps its images.
* The foot switch takes a still of the picture that was there when it was pressed.
* A barcode is the patient of the next worklist query or selection that names none, until one of them was done; an exam
  that begins ends it.
* An exam begins with a running picture: what was frozen or remembered before is never its image.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ...arguments import number_of, text_of
from ...behind import Behind
from ...config import Config, Peer
from ...console import Console
from ...control import Refused
from ...exam import ExamError
from ...sendqueue import Begin, Report
from ...store import Row
from ...ultrasound import Scanner, UltrasoundConfig
from . import KINDS, preference
from .captures import Captures, operator_hears
from .config import Mx1Config, read
from .exam import Mx1Exams
from .keeping import Keeping


class Mx1Console(Console[Mx1Config, Mx1Exams]):
    """One running MX1."""

    changeable = Console.changeable | {"storage_syntax", "media_syntax", "body_part", "serial"}
    with_everything = frozenset({"capture_still", "capture_clip", "export", "add", "send"})

    def __init__(self, path: Path, config: Mx1Config, stop: Callable[[], None]) -> None:
        super().__init__(path, config, stop, read, Mx1Exams, self._send_set)
        self.scanner = Scanner(UltrasoundConfig.from_settings(self.config.ultrasound), self._on_event)
        self.captures = Captures(self.scanner, self.exams, self.notices, lambda: self.config, self._exam_lock)
        self.keeping = Keeping(self.store, self.exams, self.notices, lambda: self.config)
        self._barcode: str | None = None

    # -- at the console's moments

    def open_devices(self) -> None:
        self.scanner.open()

    def close_devices(self) -> None:
        self.scanner.close()

    def load(self) -> None:
        from ... import media  # noqa: F401 (loaded for later)
        from ...dicom import transfer  # noqa: F401
        from ...objects import sc, us, usmf  # noqa: F401
        from ...ultrasound import overlay  # noqa: F401

    def status(self) -> Mapping[str, Any]:
        state = self.scanner.state()
        return {
            "acquisition": state["state"],
            "ultrasound": state,
            "media": self.keeping.present(),
            "barcode": self._barcode,
        }

    def claim_of(self, exam: Row) -> dict[str, Any]:
        claim = super().claim_of(exam)
        saved: dict[str, list[str]] = {}
        for row in self.store.rows(
            "SELECT i.sop_instance, s.medium FROM saved s JOIN images i ON i.id=s.image WHERE i.exam=? ORDER BY s.id",
            exam["id"],
        ):
            media = saved.setdefault(row["sop_instance"], [])
            if row["medium"] not in media:
                media.append(row["medium"])
        for image in claim["images"]:
            image["saved_on"] = saved.get(image["sop_instance"], [])
        return claim

    def forget(self) -> None:
        self.captures.anew()

    def begun(self, exam: Row) -> Mapping[str, Any]:
        self._barcode = None
        self.captures.begin()
        return {}

    # -- what the devices tell

    def _on_event(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == "warning":
            rest = {key: value for key, value in data.items() if key not in ("service", "peer", "text")}
            self.notices.warn("acquisition", str(data["peer"]), str(data["text"]), **rest)
        elif kind == "barcode":
            self._barcode = str(data["text"])
            self.notices.state(what="barcode", **data)
        elif kind == "footswitch":
            self.notices.state(what="footswitch", **data)
            if data.get("pressed"):
                threading.Thread(
                    target=self._foot, args=(data.get("sequence"),), name="footswitch", daemon=True
                ).start()
        else:
            self.notices.state(**{"what": "ultrasound" if kind == "state" else kind, **data})

    def _foot(self, sequence: int | None) -> None:
        self.loaded.wait(30)
        try:
            self._captured(self.captures.still(sequence))
        except (Refused, ExamError, sqlite3.Error) as error:
            text = f"the foot switch took no picture: {error}"
            self.notices.warn("acquisition", "footswitch", text, code="no-still")

    # -- verbs

    def _do_query_worklist(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._scanned(args, "PatientID" not in args) as asked:
            return super()._do_query_worklist(asked)

    def _do_select(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._scanned(args, not args) as asked:
            return super()._do_select(asked)

    @contextmanager
    def _scanned(self, args: Mapping[str, Any], wanted: bool) -> Iterator[Mapping[str, Any]]:
        """What is asked for, with the patient of the barcode where none is named; it counts until it was of use."""
        code = self._barcode if wanted else None
        yield args if code is None else {**args, "PatientID": code}
        if code is not None and self._barcode == code:  # nobody else's was read meanwhile
            self._barcode = None

    def _do_freeze(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        on = _switch(args, "on", True)
        with operator_hears():
            self.scanner.freeze(on)
        return {"frozen": on, "sequence": self.scanner.state()["sequence"]}

    def _do_knobs(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        with operator_hears():
            self.scanner.set(**args)
        return self.scanner.state()

    def _do_capture_still(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        of = text_of(args, "of", "image")
        if of not in ("image", "screen"):
            raise Refused(f"a still of {of!r}: image or screen")
        return self._captured(self.captures.screen() if of == "screen" else self.captures.still())

    def _do_capture_clip(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        frames = _count(args, "frames")
        seconds = number_of(args, "seconds", 0.0) if args.get("seconds") is not None else None
        if (frames is None) == (seconds is None):
            raise Refused("how long is the clip? give frames or seconds")
        trim = _count(args, "start_trim") or 1
        return self._captured(self.captures.clip(frames, seconds, trim, _switch(args, "before", False)))

    def _captured(self, row: Row) -> dict[str, Any]:
        claim = {**json.loads(row["claim"]), "state": row["state"]}
        self.notices.emit("modality.image", claim)
        if self.config.auto_send == "accept":
            self.queue.add(row["exam"], [row["id"]], [peer.name for peer in self.config.storage])
        return claim

    def _do_export(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.keeping.save("export", args)

    def _do_add(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.keeping.save("add", args)

    # -- sending

    def _send_set(
        self, config: Config, peer: Peer, images: list[tuple[str, Path]], begin: Begin, report: Report
    ) -> None:
        from ...dicom.transfer import send_set

        words = self.config.storage_syntax
        kinds = {sop_class: kind for kind, sop_class in KINDS.items()}
        spool = self.store.folder / "sending"
        spool.mkdir(exist_ok=True)
        classes = {sop_instance: self._class_of(sop_instance) for sop_instance, _ in images}
        with Behind(report) as noted:  # the disk's work of noting an answer goes on beside the next image
            send_set(
                config,
                peer,
                images,
                begin,
                noted,
                class_of=classes.__getitem__,
                preference=lambda sop_class: preference(kinds[sop_class], words[kinds[sop_class]]),
                spool=spool,
            )

    def _class_of(self, sop_instance: str) -> str:
        row = self.store.row("SELECT claim FROM images WHERE sop_instance=?", sop_instance)
        assert row is not None, "only images of the store are sent"
        return str(json.loads(row["claim"])["sop_class"])


def _switch(args: Mapping[str, Any], key: str, default: bool) -> bool:
    value = args.get(key, default)
    if not isinstance(value, bool):
        raise Refused(f"{key} must be true or false, not {value!r}")
    return value


def _count(args: Mapping[str, Any], key: str) -> int | None:
    value = args.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(f"{key} must be a number from 1, not {value!r}")
    return value


CONSOLE: Final = Mx1Console
