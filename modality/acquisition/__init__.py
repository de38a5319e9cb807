"""The console's acquisition: detector, generator, calibration, processing, behind one facade."""

from modality.acquisition.facade import Acquisition
from modality.acquisition.model import (
    AcquisitionConfig,
    AcquisitionError,
    DetectorInfo,
    DetectorSettings,
    GeneratorSettings,
    Shot,
    Technique,
)

__all__ = [
    "Acquisition",
    "AcquisitionConfig",
    "AcquisitionError",
    "DetectorInfo",
    "DetectorSettings",
    "GeneratorSettings",
    "Shot",
    "Technique",
]
