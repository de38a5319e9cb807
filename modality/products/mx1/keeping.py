"""Images onto USB sticks and SD cards: which, in which syntax, and what becomes known of it (MX-MED-001 … 007).

Rules of this file:

* Whatever goes wrong is a warning of service ``media`` and a refusal, a fault of our own too (code ``internal``, logged
  with its traceback); the images stay on the device.
* One operation at a time on a medium.  What was saved is remembered for each image.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ...arguments import text_of
from ...control import Refused
from ...notices import Notices
from ...store import Row, Store
from . import COMPRESSED, KINDS, MEDIA_IMPLEMENTATION, SYNTAXES, UNCOMPRESSED
from .config import Mx1Config
from .exam import Mx1Exams

if TYPE_CHECKING:
    from ...media import Options, Saved

_LOG: Final = logging.getLogger(__name__)
_TELL_EVERY_S: Final = 0.25


def _is_in(path: Path) -> bool:
    """Whether a medium's folder is there, without touching the medium: one that hangs must not hang the console."""
    try:
        return path.name in os.listdir(path.parent)
    except OSError:
        return False


class Keeping:
    """Export and add."""

    def __init__(
        self, store: Store, exams: Mx1Exams, notices: Notices, config: Callable[[], Mx1Config]
    ) -> None:
        self._store, self._exams, self._notices, self._config = store, exams, notices, config
        self._busy: dict[str, threading.Lock] = {}

    def present(self) -> dict[str, bool]:
        """Which of the configured media are in."""
        return {name: _is_in(path) for name, path in self._config().media.items()}

    def save(self, action: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Write images on a medium and say which files they became.

        Args:
            action: ``export`` (a new file-set) or ``add`` (to the one that is there).

        Raises:
            Refused: it could not be done; the warning says why.
        """
        from ...media import MediaError, add, export

        medium = text_of(args, "medium")
        root = self._config().media.get(medium)
        if root is None:
            known = ", ".join(sorted(self._config().media)) or "none is configured"
            raise Refused(f"unknown medium {medium!r}: {known}")
        which, wished = text_of(args, "exam", "current"), args.get("syntax")
        lock = self._busy.setdefault(medium, threading.Lock())
        if not lock.acquire(blocking=False):
            raise Refused(f"{medium} is being written to")
        saved: Saved | None = None
        try:
            images = self._chosen(which)
            options = self._options(medium, wished)
            self._notices.state(what="media", state="writing", medium=medium, images=len(images))
            paths = [self._store.object_path(image["sop_instance"]) for image in images]
            write = export if action == "export" else add
            saved = write(root, paths, options, self._teller(medium))
            return self._remember(medium, images, saved)
        except Refused:
            raise
        except MediaError as error:
            self._fail(medium, error.code, error.text, error)
        except Exception as error:
            if isinstance(error, OSError) and saved is None:
                self._fail(medium, "io", f"{medium}: {error.strerror or error}", error)
            _LOG.exception("%s on %s", action, medium)
            done = "was not finished" if saved is None else "is on the medium, but could not be noted"
            why = f"{type(error).__name__}: {error}"[:200]
            text = f"{medium}: the {action} {done} ({why}). The images are still on the device."
            self._fail(medium, "internal", text, error)
        finally:
            lock.release()

    def _fail(self, medium: str, code: str, text: str, error: Exception) -> NoReturn:
        self._notices.warn("media", medium, text, code=code)
        self._notices.state(what="media", state="failed", medium=medium, code=code)
        raise Refused(text) from error

    def _chosen(self, which: str) -> list[Row]:
        if which not in ("current", "all"):
            raise Refused(f"exam {which!r}: current or all")
        current = self._exams.current()
        exams = self._store.rows("SELECT * FROM exams ORDER BY id") if which == "all" else [current]
        images = [image for exam in exams if exam for image in self._exams.images(exam, "accepted")]
        if not images:
            raise Refused("there is no image to save")
        return images

    def _options(self, medium: str, wished: Any) -> Options:
        from ...media import Options

        words = dict(self._config().media_syntax)
        if wished is not None:
            word = str(wished)
            if word not in SYNTAXES:
                raise Refused(f"syntax {word!r}: one of {', '.join(SYNTAXES)}")
            for kind in words:  # what a kind does not have stays as it is configured (clips: no lossless)
                if SYNTAXES[word] in (*UNCOMPRESSED, *COMPRESSED[kind]):
                    words[kind] = word
        state = self._store.folder / f"media-{medium}"
        state.mkdir(exist_ok=True)
        return Options(
            syntaxes={kind: SYNTAXES[words[kind]] for kind in KINDS},
            implementation=MEDIA_IMPLEMENTATION,
            state=state,
        )

    def _teller(self, medium: str) -> Callable[[int, int], None]:
        last = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _TELL_EVERY_S:
                last = time.monotonic()
                self._notices.state(what="media", state="writing", medium=medium, done=done, total=total)

        return tell

    def _remember(self, medium: str, images: list[Row], saved: Saved) -> dict[str, Any]:
        rows = {image["sop_instance"]: image["id"] for image in images}
        now = datetime.now().isoformat(timespec="milliseconds")
        with self._store.transaction():
            for file in saved.files:
                self._store.insert(
                    "saved",
                    image=rows[file.sop_instance],
                    medium=medium,
                    file_id=file.file_id,
                    sha256=file.sha256,
                    at=now,
                )
        claim = {"medium": medium, **asdict(saved)}
        self._notices.emit("modality.media", claim)
        self._notices.state(what="media", state="saved", medium=medium, files=len(saved.files))
        for note in saved.notes:
            self._notices.state(what="media", state="note", medium=medium, text=note)
        return claim
