"""The console's acquisition: detector, generator, calibration, processing, behind one facade."""

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
    "AcquisitionConfig",
    "AcquisitionError",
    "DetectorInfo",
    "DetectorSettings",
    "GeneratorSettings",
    "Shot",
    "Technique",
]
