"""VXvue's performed procedure steps: what of them was reported, and sending what was not (VX-MPPS-001 … 013).

Rules of this file:

* A message that fails is a warning and stays unsent; it goes again when the operator sends (VX-D-09, VX-D-18).
* One message at a time; nothing else waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from ...config import Peer
from ...notices import Notices, ServiceFailure
from ...store import Row, Store
from .config import VxvueConfig
from .exam import VxvueExams

_UNSENT_STEPS: Final = (
    "SELECT * FROM steps WHERE create_state IN ('pending', 'failed') "
    "OR set_state IN ('pending', 'failed') ORDER BY id"
)


class ProcedureSteps:
    """The steps of one console."""

    def __init__(
        self, store: Store, notices: Notices, exams: VxvueExams, config: Callable[[], VxvueConfig]
    ) -> None:
        self._store, self._notices, self._exams, self._config = store, notices, exams, config
        self._lock = threading.Lock()

    def claim(self, exam: Row) -> dict[str, Any]:
        """What the operator sees of an exam's latest step."""
        step = self._exams.step(exam)
        return {
            "sop_instance": step["sop_instance"], "pps_id": step["pps_id"], "state": step["state"],
            "create": step["create_state"], "set": step["set_state"], "reason": step["reason"],
        }  # fmt: skip

    def unsent(self) -> list[dict[str, Any]]:
        """The steps with a message that did not go."""
        return [
            {"sop_instance": s["sop_instance"], "create": s["create_state"], "set": s["set_state"]}
            for s in self._store.rows(_UNSENT_STEPS)
        ]

    def send(self, exam: Row, step: Row | None = None) -> str:
        """Send what a step still has to say; return ``sent``, ``failed`` or ``off``."""
        step_id = (step or self._exams.step(exam))["id"]
        with self._lock:
            row = self._store.row("SELECT * FROM steps WHERE id=?", step_id)
            if row is None or self._config().mpps is None or row["create_state"] == "off":
                return "off"
            try:
                if row["create_state"] != "sent":
                    self._send_create(exam, row)
                if row["state"] != "IN PROGRESS" and row["set_state"] != "sent":
                    self._send_set(exam, row)
            except ServiceFailure as failure:
                self._notices.failure(failure)
                return "failed"
            return "sent"

    def _send_create(self, exam: Row, step: Row) -> None:
        from ...dicom import mpps
        from ...dicom.charset import seal, terms_of
        from ...objects.mpps import in_progress

        order = self._exams.order(exam)
        attributes = in_progress(order, self._exams.facts(self._config(), exam, step))
        seal(attributes, terms_of(order), self._config().charset, ascii_too=False)
        self._send_message(step, "create_state", lambda peer: mpps.create(
            self._config(), peer, step["sop_instance"], attributes))  # fmt: skip

    def _send_set(self, exam: Row, step: Row) -> None:
        from ...dicom import mpps
        from ...dicom.charset import seal, terms_of
        from ...objects.common import text
        from ...objects.mpps import final

        order = self._exams.order(exam)
        storage = self._config().storage
        changes = final(
            order,
            step["state"],
            datetime.fromisoformat(step["ended"]),
            self._exams.series(step),
            text(order, "OperatorsName") or self._config().operator,
            storage[0].ae_title if storage else "",
        )
        seal(changes, terms_of(order), self._config().charset, ascii_too=False)
        self._send_message(step, "set_state", lambda peer: mpps.set_final(
            self._config(), peer, step["sop_instance"], changes))  # fmt: skip

    def _send_message(self, step: Row, column: str, send: Callable[[Peer], int]) -> None:
        peer = self._config().mpps
        assert peer is not None, "asked for only when a peer is configured"
        self._store.update("steps", step["id"], **{column: "sending"})
        outcome = "failed"
        try:
            status = send(peer)
            outcome = "sent"
        finally:
            self._store.update("steps", step["id"], **{column: outcome})
        if status:
            text = f"{peer.name}: the procedure step was taken with a warning, status {status:04X}"
            self._notices.warn("mpps", peer.name, text, status=f"{status:04X}")
        self._notices.state(
            what="mpps", sop_instance=step["sop_instance"], message=column.split("_")[0], state="sent"
        )

    def resend(self) -> list[str]:
        """Send every MPPS message that did not go; return the instances concerned."""
        touched = []
        for step in self._store.rows(_UNSENT_STEPS):
            exam = self._store.row("SELECT * FROM exams WHERE id=?", step["exam"])
            if exam is not None and self.send(exam, step) == "failed":
                touched.append(step["sop_instance"])
                break  # the peer is not there: once is enough
            touched.append(step["sop_instance"])
        return touched
