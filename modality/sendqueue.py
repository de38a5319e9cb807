"""The send queue: one job per set of images and destination, one thread per destination.

Rules of this file:

* Job states: ``queued`` -> ``sending`` -> ``sent`` | ``failed`` (the peer refused an image) | ``queued`` again with
  ``hold`` (no association or a lost one): then the operator sends it (VX-D-09), or the clock when auto_retry is on.
* Destinations do not wait for each other (VX-ASC-003); jobs of one destination go one after another.
* Only images without a success are sent again; each is sent under its one UID.
* An image that cannot be sent, or at which two tries broke off, goes last in the next one: it must not keep the others
  back for ever.
* A job whose destination is no longer configured waits for the operator.
* A disk that cannot take a note for a while delays what comes next, and ends no thread.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from .config import Config, Peer
from .notices import Notices, ServiceFailure
from .store import Row, Store

Begin = Callable[[], None]
Report = Callable[[str, int | None, str], None]
Sender = Callable[[Config, Peer, list[tuple[str, Path]], Begin, Report], None]
"""How a product sends a set: see :func:`modality.dicom.storage.send_set`, :func:`modality.dicom.transfer.send_set`."""

_DISK_PAUSE_S: Final = 1.0
"""How long a disk that cannot take a note is left alone."""


def _is_sent(status: int) -> bool:
    return status == 0 or status & 0xF000 == 0xB000


class SendQueue:
    """The jobs of one console and the threads that work on them."""

    def __init__(self, store: Store, notices: Notices, config: Callable[[], Config], sender: Sender) -> None:
        self._store, self._notices, self._config, self._send = store, notices, config, sender
        self._changed = threading.Condition()
        self._workers: dict[str, threading.Thread] = {}
        self._begun: set[int] = set()
        self._broke: dict[tuple[int, int], int] = {}
        """(job, image) -> how often sending broke off at it since the start; more than once: it goes last."""
        self._stopping = False

    # -- jobs

    def add(self, exam: int, images: Iterable[int], destinations: Iterable[str]) -> list[int]:
        """Queue a set of images for each destination, leaving out what a job for it has already."""
        jobs = []
        wanted = list(images)
        with self._store.transaction():
            for destination in destinations:
                taken = {
                    row["image"]
                    for row in self._store.rows(
                        "SELECT ji.image FROM job_images ji JOIN jobs j ON j.id=ji.job WHERE j.destination=?",
                        destination,
                    )
                }
                new = [image for image in wanted if image not in taken]
                if new:
                    job = self._store.insert("jobs", exam=exam, destination=destination, state="queued")
                    for image in new:
                        self._store.insert("job_images", job=job, image=image)
                    self._store.update("exams", exam, sent=0)
                    jobs.append(job)
        self.wake()
        return jobs

    def resend(self, destination: str | None = None) -> list[int]:
        """Let every job that waits for the operator and has its destination go again; return their ids."""
        names = {peer.name for peer in self._config().storage}
        with self._store.transaction():
            rows = self._store.rows("SELECT * FROM jobs WHERE state='failed' OR (state='queued' AND hold=1)")
            chosen = [
                row["id"]
                for row in rows
                if row["destination"] in names and destination in (None, row["destination"])
            ]
            for job in chosen:
                self._store.update("jobs", job, state="queued", hold=0, retry_at=None)
                self._set_images(job, "failed", "queued")
        self.wake()
        return chosen

    def _set_images(self, job: int, before: str, after: str) -> None:
        for row in self._store.rows("SELECT image FROM job_images WHERE job=? AND state=?", job, before):
            self._mark(job, row["image"], after, None)

    def _mark(self, job: int, image: int, state: str, status: int | None) -> None:
        self._store.execute(
            "UPDATE job_images SET state=?, status=? WHERE job=? AND image=?", state, status, job, image
        )

    def jobs(self) -> list[dict[str, Any]]:
        """Every job with its images, for the operator."""
        jobs = []
        for job in self._store.rows("SELECT * FROM jobs ORDER BY id"):
            images = self._images(job["id"])
            jobs.append(
                {
                    "job": job["id"],
                    "exam": job["exam"],
                    "destination": job["destination"],
                    "state": job["state"],
                    "waits_for_operator": bool(job["hold"]),
                    "attempts": job["attempts"],
                    "last_error": job["last_error"],
                    "images": [
                        {
                            "sop_instance": image["sop_instance"],
                            "state": image["state"],
                            "status": None if image["status"] is None else f"{image['status']:04X}",
                        }
                        for image in images
                    ],
                }
            )
        return jobs

    def _images(self, job: int) -> list[Row]:
        return self._store.rows(
            "SELECT ji.image, ji.state, ji.status, i.sop_instance FROM job_images ji JOIN images i ON i.id=ji.image "
            "WHERE ji.job=? ORDER BY i.id",
            job,
        )

    def idle(self, jobs: Iterable[int] | None = None) -> bool:
        """Tell whether nothing is going on or about to (in some jobs or all)."""
        wanted = None if jobs is None else set(jobs)
        busy = self._store.rows("SELECT id FROM jobs WHERE state='sending' OR (state='queued' AND hold=0)")
        return not any(wanted is None or row["id"] in wanted for row in busy)

    def begun(self, jobs: Iterable[int]) -> bool:
        """Tell whether every one of these jobs is on its way to the peer, or was tried without success."""
        return set(jobs) <= self._begun

    def wait(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait until ``done`` holds; it is asked again after every change of a job."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not done():
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping:
                    return False
                self._changed.wait(min(left, 1.0))
        return True

    # -- work

    def wake(self) -> None:
        """Look at the jobs again: start threads for destinations that have work."""
        names = {peer.name for peer in self._config().storage}
        for job in self._store.rows("SELECT * FROM jobs WHERE state='queued' AND hold=0"):
            if job["destination"] not in names:
                self._homeless(job)
        with self._changed:
            if not self._stopping:
                for peer in self._config().storage:
                    worker = self._workers.get(peer.name)
                    if worker is None or not worker.is_alive():
                        worker = threading.Thread(
                            target=self._work, args=(peer.name,), name=f"send-{peer.name}", daemon=True
                        )
                        self._workers[peer.name] = worker
                        worker.start()
            self._changed.notify_all()

    def stop(self, grace: float = 3.0) -> None:
        """Begin no further job and give what is on its way ``grace`` seconds; the rest waits for the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            deadline = time.monotonic() + grace
            while self._store.row("SELECT 1 FROM jobs WHERE state='sending'") and time.monotonic() < deadline:
                self._changed.wait(0.1)

    def _work(self, destination: str) -> None:
        while True:
            with self._changed:
                job = None
                while job is None:
                    if self._stopping:
                        return
                    try:
                        job = self._take(destination)
                        pause = None if job else self._next_retry()
                    except sqlite3.Error:
                        pause = _DISK_PAUSE_S
                    if job is None:
                        self._changed.wait(pause)
            peer = next((p for p in self._config().storage if p.name == destination), None)
            if peer is None:
                self._homeless(job)
            else:
                self._run(job, peer)

    def _homeless(self, job: Row) -> None:
        """Its destination was taken out of the settings: the job stays for the operator."""
        self._finish(job, "queued", f"{job['destination']} is no longer configured", hold=True)

    def _next_retry(self) -> float | None:
        row = self._store.row("SELECT MIN(retry_at) AS at FROM jobs WHERE state='queued' AND hold=1")
        if not self._config().auto_retry or not row or row["at"] is None:
            return None
        return float(min(max(0.05, row["at"] - time.time()), self._config().retry_interval))

    def _take(self, destination: str) -> Row | None:
        with self._store.transaction():
            rows = self._store.rows(
                "SELECT * FROM jobs WHERE destination=? AND state='queued' ORDER BY id", destination
            )
            retry, now, interval = self._config().auto_retry, time.time(), self._config().retry_interval
            for row in rows:
                at = row["retry_at"]  # further away than the interval: the clock was set back
                due = retry and at is not None and not now < at <= now + interval
                if not row["hold"] or due:
                    self._store.update(
                        "jobs",
                        row["id"],
                        state="sending",
                        hold=0,
                        retry_at=None,
                        attempts=row["attempts"] + 1,
                    )
                    self._set_images(row["id"], "failed", "queued")
                    return row
        return None

    def _run(self, job: Row, peer: Peer) -> None:
        rows = [row for row in self._images(job["id"]) if row["state"] != "sent"]
        rows.sort(key=lambda row: max(1, self._broke.get((job["id"], row["image"]), 0)))
        by_uid = {row["sop_instance"]: row["image"] for row in rows}
        unanswered = dict(by_uid)
        began = False
        refused: list[str] = []
        self._notices.state(
            what="job", job=job["id"], destination=peer.name, state="sending", images=len(rows)
        )

        def begin() -> None:
            nonlocal began
            began = True
            with self._changed:
                self._begun.add(job["id"])
                self._changed.notify_all()

        def report(sop_instance: str, status: int | None, comment: str) -> None:
            unanswered.pop(sop_instance, None)
            if status is None:  # it could not be offered to this peer at all
                self._mark(job["id"], by_uid[sop_instance], "failed", None)
                self._notices.warn("storage", peer.name, comment, sop_instance=sop_instance)
                refused.append(comment)
                return
            sent = _is_sent(status)
            self._mark(job["id"], by_uid[sop_instance], "sent" if sent else "failed", status)
            if status != 0:
                verb = "kept with a warning" if sent else "refused"
                text = f"{peer.name}: an image was {verb}, status {status:04X}{comment}"
                self._notices.warn(
                    "storage", peer.name, text, status=f"{status:04X}", sop_instance=sop_instance
                )
            if not sent:
                refused.append(f"status {status:04X}{comment}")

        def broke_off(*, by_peer: bool) -> None:
            if began and unanswered:
                at = job["id"], next(iter(unanswered.values()))
                self._broke[at] = self._broke.get(at, 0) + (1 if by_peer else 2)

        images = []
        for uid in by_uid:
            path = self._store.object_path(uid)
            if path.exists():
                images.append((uid, path))
            else:
                report(uid, None, f"{peer.name}: an image cannot be sent: it is no longer on the disk")
        try:
            if images:
                self._send(self._config(), peer, images, begin, report)
        except ServiceFailure as failure:
            broke_off(by_peer=bool(failure.details))
            self._notices.failure(failure)  # told before the job shows that it waits
            self._finish(job, "queued", failure.text, hold=True)
        except Exception as error:  # a fault of ours must not end the thread or lose the job
            broke_off(by_peer=False)
            self._notices.warn(
                "storage", peer.name, f"{peer.name}: sending failed: {error!r}", error=repr(error)
            )
            self._finish(job, "queued", f"internal error: {error!r}", hold=True)
        else:
            self._finish(job, "failed" if refused else "sent", refused[-1] if refused else "")

    def _finish(self, job: Row, state: str, error: str, *, hold: bool = False) -> None:
        retry_at = time.time() + self._config().retry_interval if hold and self._config().auto_retry else None
        while True:
            try:
                with self._store.transaction():
                    self._store.update(
                        "jobs", job["id"], state=state, last_error=error, hold=int(hold), retry_at=retry_at
                    )
                    query = "SELECT 1 FROM jobs WHERE exam=? AND state<>'sent'"
                    open_jobs = self._store.row(query, job["exam"])
                    if not open_jobs:
                        self._store.update("exams", job["exam"], sent=1)  # VX-STO-004
                break
            except sqlite3.Error:
                with self._changed:
                    if self._stopping:
                        return  # the next start finds it as it was: interrupted
                    self._changed.wait(_DISK_PAUSE_S)
        self._notices.state(
            what="job", job=job["id"], destination=job["destination"], state=state, exam_sent=not open_jobs
        )
        with self._changed:
            self._begun.add(job["id"])
            self._changed.notify_all()
