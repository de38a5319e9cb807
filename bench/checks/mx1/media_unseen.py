"""MX1's removable media: no capture shows them, a medium does (MX-MED, MX-GEN-004, MX-GEN-005).

Rules of this file: the reason stands where nothing of media was looked at; an image or a mounted medium is judged by
the checks of :mod:`bench.checks.media`.
"""

from __future__ import annotations

from typing import Final

from bench.checks.finding import Unseen
from bench.statements import clause_ids

_FILES: Final = "the files of a USB stick or SD card are not on the network; judge its image or its folder"

UNSEEN: Final = {
    id: Unseen("media", _FILES)
    for id in (*(i for i in clause_ids() if i.startswith("MX-MED")), "MX-GEN-004", "MX-GEN-005")
}
