"""The console's ultrasound acquisition: live pictures, freeze, stills, clips, the screen, foot switch and barcode."""

from modality.ultrasound.model import (
    Clip,
    Frame,
    Pixels,
    Region,
    ScannerError,
    Settings,
    UltrasoundConfig,
)
from modality.ultrasound.scanner import Scanner

__all__ = [
    "Clip",
    "Frame",
    "Pixels",
    "Region",
    "Scanner",
    "ScannerError",
    "Settings",
    "UltrasoundConfig",
]
