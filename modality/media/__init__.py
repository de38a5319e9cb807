"""Images on USB sticks and SD cards: a file-set is made (export, FSC) or updated (add, FSU).

    saved = export(Path("/media/usb"), images, Options(state=Path("/var/lib/console/media")))

Rules of this package:

* After each operation, whatever interrupts it, the medium holds the old or the new file-set, whole.
* What others wrote stays byte for byte; a medium that is not understood is refused with a reason.
* Errors are :class:`MediaError` with a code and one sentence for the operator; images stay on the device.
"""

from __future__ import annotations

from .model import CODES, KINDS, MediaError, Options, Progress, Saved, SavedFile, Stop
from .service import add, export

__all__ = [
    "CODES",
    "KINDS",
    "MediaError",
    "Options",
    "Progress",
    "Saved",
    "SavedFile",
    "Stop",
    "add",
    "export",
]
