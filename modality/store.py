"""The console's memory: worklist, exams, images, steps, jobs, media and warnings, in SQLite and plain files.

Rules of this file:

* What was answered to the operator is on the disk: WAL with ``synchronous=FULL``; an image's file is written, fsynced,
  renamed and its folder fsynced *before* the row that names it commits.
* Identifiers (UIDs, numbers) are given once, stored with the row, and never made again from a row.
* At start nothing is resent by itself: an interrupted job is put back and waits for the operator (VX-D-09).
* One console per folder: a second one is refused as long as the first one lives.
* Names of files are our own UIDs; nothing that a peer or operator sent becomes part of a path.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS worklist (
  key TEXT PRIMARY KEY, dataset BLOB NOT NULL, summary TEXT NOT NULL, received REAL NOT NULL);
CREATE TABLE IF NOT EXISTS exams (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, study_uid TEXT NOT NULL, study_id TEXT NOT NULL,
  dataset BLOB NOT NULL, started TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS steps (
  id INTEGER PRIMARY KEY, exam INTEGER NOT NULL REFERENCES exams(id), sop_instance TEXT NOT NULL UNIQUE,
  pps_id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  started TEXT NOT NULL, ended TEXT, create_state TEXT NOT NULL, set_state TEXT NOT NULL DEFAULT 'none');
CREATE TABLE IF NOT EXISTS series (
  id INTEGER PRIMARY KEY, step INTEGER NOT NULL REFERENCES steps(id), uid TEXT NOT NULL UNIQUE,
  number INTEGER NOT NULL, body_part TEXT NOT NULL, laterality TEXT NOT NULL, protocol TEXT NOT NULL,
  description TEXT NOT NULL, started TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
  id INTEGER PRIMARY KEY, exam INTEGER NOT NULL REFERENCES exams(id), step INTEGER NOT NULL REFERENCES steps(id),
  series INTEGER NOT NULL REFERENCES series(id), number INTEGER NOT NULL, sop_instance TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', claim TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY, exam INTEGER NOT NULL REFERENCES exams(id), destination TEXT NOT NULL,
  state TEXT NOT NULL, hold INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '', retry_at REAL);
CREATE TABLE IF NOT EXISTS job_images (
  job INTEGER NOT NULL REFERENCES jobs(id), image INTEGER NOT NULL REFERENCES images(id),
  state TEXT NOT NULL DEFAULT 'queued', status INTEGER, PRIMARY KEY (job, image));
CREATE TABLE IF NOT EXISTS saved (
  id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES images(id), medium TEXT NOT NULL,
  file_id TEXT NOT NULL, sha256 TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS warnings (id INTEGER PRIMARY KEY, at TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS images_of_exam ON images(exam);
CREATE INDEX IF NOT EXISTS saved_of_image ON saved(image);
CREATE INDEX IF NOT EXISTS images_of_job ON job_images(image);
"""

_WARNINGS_KEPT: Final = 10_000
_OBJECT_NAME: Final = re.compile(r"[0-9.]{1,64}\.dcm")


class StoreError(Exception):
    """The store cannot do what was asked; the text is for the operator."""


class Store:
    """One console's database and image folder (created when missing); safe to use from every thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._own = (folder / "lock").open("w")
        try:
            fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._own.close()
            raise StoreError(f"another console works with {folder}") from None
        try:
            self._db = sqlite3.connect(
                folder / "console.db", check_same_thread=False, isolation_level=None, timeout=10
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"the database in {folder} cannot be opened: {error}") from error

    def close(self) -> None:
        """Close the database; idempotent."""
        with self._lock:
            self._db.close()
            self._own.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, also when the disk refuses the end of it; nested transactions join the outer one."""
        with self._lock:
            if self._depth:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite ends some failed transactions by itself, and some not
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def rows(self, sql: str, *args: Any) -> list[Row]:
        """Read rows as dictionaries."""
        with self._lock:
            return [dict(row) for row in self._db.execute(sql, args).fetchall()]

    def row(self, sql: str, *args: Any) -> Row | None:
        """Read one row."""
        found = self.rows(sql, *args)
        return found[0] if found else None

    def execute(self, sql: str, *args: Any) -> None:
        """Change rows; the statement comes from this package only."""
        with self._lock:
            self._db.execute(sql, args)

    def insert(self, table: str, **values: Any) -> int:
        """Insert one row and return its id.  ``table`` and columns come from this package only."""
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self._lock:
            cursor = self._db.execute(
                f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608
                tuple(values.values()),
            )
            return int(cursor.lastrowid or 0)

    def update(self, table: str, row: int, **values: Any) -> None:
        """Change one row by id.  ``table`` and columns come from this package only."""
        columns = ", ".join(f"{column}=?" for column in values)
        with self._lock:
            self._db.execute(
                f"UPDATE {table} SET {columns} WHERE id=?",  # noqa: S608
                (*values.values(), row),
            )

    # -- settings and numbers

    def get(self, key: str, default: str = "") -> str:
        """A remembered setting."""
        row = self.row("SELECT value FROM meta WHERE key=?", key)
        return str(row["value"]) if row else default

    def put(self, key: str, value: str) -> None:
        """Remember a setting."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def next_number(self, counter: str) -> int:
        """The next value of a counter that never goes back, not even after a crash."""
        with self.transaction():
            number = int(self.get(f"counter.{counter}", "0")) + 1
            self.put(f"counter.{counter}", str(number))
        return number

    # -- worklist (VX-MWL-004: added or updated, not duplicated)

    def merge_worklist(self, items: Sequence[tuple[str, bytes, Mapping[str, Any]]]) -> tuple[int, int]:
        """Add or update items; return how many were added and updated."""
        added = updated = 0
        with self.transaction():
            for key, dataset, summary in items:
                known = self.row("SELECT 1 FROM worklist WHERE key=?", key)
                added, updated = (added, updated + 1) if known else (added + 1, updated)
                self._db.execute(
                    "INSERT OR REPLACE INTO worklist VALUES (?, ?, ?, ?)",
                    (key, dataset, json.dumps(summary, ensure_ascii=False), time.time()),
                )
        return added, updated

    def worklist(self) -> list[tuple[str, bytes, dict[str, Any]]]:
        """All items known, oldest first."""
        return [
            (row["key"], row["dataset"], json.loads(row["summary"]))
            for row in self.rows("SELECT * FROM worklist ORDER BY rowid")
        ]

    # -- objects

    def object_path(self, sop_instance: str) -> Path:
        """Where the file of one of our own instances lies."""
        return self.images / f"{sop_instance}.dcm"

    def write_object(self, sop_instance: str, parts: Sequence[bytes | memoryview]) -> None:
        """Write a file so that it is either whole and durable under its name, or not there and takes no space."""
        target = self.object_path(sop_instance)
        partial = target.with_suffix(".part")
        try:
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                for part in parts:
                    view = memoryview(part).cast("B")
                    while view:
                        view = view[os.write(handle, view) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            partial.rename(target)
            self._sync_folder()
        except BaseException:
            for path in (partial, target):
                with suppress(OSError):
                    path.unlink()
            raise

    def remove_object(self, sop_instance: str) -> None:
        """Delete an instance's file; nothing happens when it is gone."""
        self.object_path(sop_instance).unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        handle = os.open(self.images, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    # -- warnings (VX-D-10)

    def add_warning(self, at: str, data: Mapping[str, Any]) -> None:
        """Keep one line of the operator's log; the oldest go when there are too many."""
        with self.transaction():
            self.insert("warnings", at=at, data=json.dumps(data, ensure_ascii=False))
            self._db.execute(
                "DELETE FROM warnings WHERE id <= (SELECT MAX(id) FROM warnings) - ?", (_WARNINGS_KEPT,)
            )

    def warnings(self) -> list[dict[str, Any]]:
        """The operator's log, oldest first."""
        return [
            {"at": r["at"], **json.loads(r["data"])} for r in self.rows("SELECT * FROM warnings ORDER BY id")
        ]

    # -- start

    def recover(self) -> dict[str, int]:
        """Bring the store into order after whatever happened before; return what was found.

        Interrupted jobs wait for the operator; an MPPS message whose answer was never seen counts as not sent
        (a repeated N-CREATE under the same UID is harmless); files without a row go; rows without a file are lost
        images and are marked as such, which never happens unless the disk lied.  A file that is there again (its
        disk was not, the last time) makes its image what it was.
        """
        found = {"interrupted": 0, "orphans": 0, "missing": 0}
        with self.transaction():
            for job in self.rows("SELECT id FROM jobs WHERE state='sending'"):
                self.update("jobs", job["id"], state="queued", hold=1, last_error="interrupted by a restart")
                found["interrupted"] += 1
            self._db.execute("UPDATE steps SET create_state='failed' WHERE create_state='sending'")
            self._db.execute("UPDATE steps SET set_state='failed' WHERE set_state='sending'")
            wanted = self.rows("SELECT id, sop_instance, state, reason FROM images WHERE state<>'rejected'")
            for image in wanted:
                here = self.object_path(image["sop_instance"]).exists()
                if image["state"] == "missing":
                    if here:
                        self.update("images", image["id"], state=image["reason"] or "acquired", reason="")
                elif not here:
                    self.update("images", image["id"], state="missing", reason=image["state"])
                    found["missing"] += 1
            known = {image["sop_instance"] for image in wanted}
        for path in self.images.iterdir():
            if path.suffix == ".part" or (_OBJECT_NAME.fullmatch(path.name) and path.stem not in known):
                path.unlink(missing_ok=True)
                found["orphans"] += 1
        return found
