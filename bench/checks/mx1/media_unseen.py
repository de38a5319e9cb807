"""MX1's removable media: no capture shows them (MX-MED, MX-GEN-004, MX-GEN-005)."""

from __future__ import annotations

from typing import Final

from bench.checks.finding import Unseen
from bench.statements import clause_ids

_FILES: Final = "the files of a USB stick or SD card are not on the network"

UNSEEN: Final = {
    id: Unseen("media", _FILES)
    for id in (*(i for i in clause_ids() if i.startswith("MX-MED")), "MX-GEN-004", "MX-GEN-005")
}
