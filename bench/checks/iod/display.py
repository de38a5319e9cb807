"""How an image is to be shown: Image Type, spacing, window, presentation LUT, rescale, orientation.

Rules of this file:

* Values that are missing or are no numbers are judged elsewhere; here only what values mean together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, deviates, failed, passed
from bench.checks.iod.subjects import Subject, images
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

IMAGE_TYPE: Final = "STD-IOD-021"
SPACING: Final = "STD-IOD-022"
WINDOW: Final = "STD-IOD-023"
SHAPE: Final = "STD-IOD-024"
RESCALE: Final = "STD-IOD-025"
ORIENTATION: Final = "STD-IOD-039"

DX_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.1.1"
DX: Final = (DX_PRESENTATION, "1.2.840.10008.5.1.4.1.1.1.1.1")
SECONDARY: Final = "1.2.840.10008.5.1.4.1.1.7"

CENTIMETRES: Final = 3
LARGEST_DETECTOR: Final = 2000.0
"""Millimetres; stitched images of a whole spine or leg stay below."""
MOST_MAGNIFIED: Final = 4.0
"""Times; what lies on the table or the detector is magnified 1 to 2 times."""

TRUNK: Final = frozenset(
    {
        "CHEST",
        "ABDOMEN",
        "PELVIS",
        "RIB",
        "STERNUM",
        "CSPINE",
        "TSPINE",
        "LSPINE",
        "LSSPINE",
        "TLSPINE",
        "SPINE",
        "SACRUM",
    }
)
BEAMS: Final = {view: frozenset("AP") for view in ("AP", "PA")} | {
    view: frozenset("LR") for view in ("LL", "RL", "LAT")
}
OPPOSITE: Final = {"A": "P", "P": "A", "R": "L", "L": "R", "H": "F", "F": "H"}
ANIMAL: Final = frozenset(
    {"LE", "RT", "D", "V", "CR", "CD", "R", "M", "L", "PR", "PL", "DI", "PA", "PD", "VE"}
)


@check(IMAGE_TYPE, SPACING, WINDOW, SHAPE, RESCALE, ORIENTATION)
def display(case: Case) -> Iterator[Finding]:
    """Every image."""
    for subject in images(case):
        yield from image_type(subject)
        yield from spacing(subject)
        yield from window(subject)
        yield from shape(subject)
        yield from rescale(subject)
        yield from orientation(subject)


def image_type(subject: Subject) -> Iterator[Finding]:
    """Image Type: values 1 and 2 everywhere (PS3.3 C.7.6.1.1.2)."""
    values = subject.dataset.texts("ImageType")
    if not values:
        return
    where, said = subject.at("ImageType"), "\\".join(values)
    first = label("ImageType")
    if len(values) < 2:
        yield failed(IMAGE_TYPE, f"{first} is {said!r}; it has at least two values", *where)
    elif values[0] not in ("ORIGINAL", "DERIVED"):
        yield failed(
            IMAGE_TYPE, f"value 1 of {first} is {values[0]!r}; ORIGINAL or DERIVED is wanted", *where
        )
    elif values[1] not in ("PRIMARY", "SECONDARY"):
        yield failed(
            IMAGE_TYPE, f"value 2 of {first} is {values[1]!r}; PRIMARY or SECONDARY is wanted", *where
        )
    elif subject.sop_class in DX and values[1] != "PRIMARY":
        yield failed(
            IMAGE_TYPE, f"value 2 of {first} is {values[1]!r}; PRIMARY is wanted in DX (C.8.11.3.1.1)", *where
        )
    else:
        yield passed(IMAGE_TYPE, said, *where)


def spacing(subject: Subject) -> Iterator[Finding]:
    """Spacings and aspect ratio are two positive numbers."""
    dataset = subject.dataset
    good = False
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        numbers = dataset.numbers(keyword)
        if not numbers:
            continue
        where = subject.at(keyword)
        if len(numbers) != 2 or min(numbers) <= 0:
            said = "\\".join(dataset.texts(keyword))
            yield failed(SPACING, f"{label(keyword)} is {said!r}; two positive values are wanted", *where)
        else:
            good = True
    pitch, scaled = dataset.numbers("ImagerPixelSpacing"), dataset.numbers("PixelSpacing")
    aspect = dataset.numbers("PixelAspectRatio")
    real = scaled or pitch
    square = len(aspect) == 2 and len(real) == 2 and min(aspect) > 0 and min(real) > 0
    if square and abs(aspect[0] / aspect[1] - real[0] / real[1]) > 0.02 * real[0] / real[1]:
        said = f"{aspect[0]}:{aspect[1]} contradicts the spacing {real[0]} x {real[1]} mm"
        yield failed(SPACING, f"{label('PixelAspectRatio')} {said}", *subject.at("PixelAspectRatio"))
    if len(pitch) == 2 and len(scaled) == 2 and min(pitch) > 0 and scaled[0] > pitch[0] * 1.01:
        factor = dataset.number("EstimatedRadiographicMagnificationFactor")
        if factor is not None and factor > 1:
            said = f"{scaled[0]} mm is larger than the detector's {pitch[0]} mm, magnification is {factor}"
            yield failed(
                SPACING, f"{label('PixelSpacing')} {said}", *subject.at("PixelSpacing", "ImagerPixelSpacing")
            )
    if len(pitch) == 2 and min(pitch) > 0:
        yield from _detector(subject, pitch, scaled)
    yield from _calibrated(subject, scaled, aspect)
    if good:
        yield passed(SPACING, "spacings are positive", *subject.at("ImagerPixelSpacing"))


def _detector(subject: Subject, pitch: Sequence[float], scaled: Sequence[float]) -> Iterator[Finding]:
    """What no detector and no beam can be."""
    dataset = subject.dataset
    for keyword, length in (("Rows", pitch[0]), ("Columns", pitch[1])):
        size = (dataset.number(keyword) or 0) * length
        if size > LARGEST_DETECTOR:
            said = f"with {keyword} the detector would be {size / 1000:.1f} m long"
            yield failed(
                SPACING,
                f"{label('ImagerPixelSpacing')} is {length} mm; {said}",
                *subject.at("ImagerPixelSpacing"),
            )
    if len(scaled) != 2 or min(scaled) <= 0:
        return
    where = subject.at("PixelSpacing", "ImagerPixelSpacing")
    said = (
        f"{label('PixelSpacing')} is {scaled[0]} x {scaled[1]} mm, the detector's {pitch[0]} x {pitch[1]} mm"
    )
    if abs(scaled[0] / scaled[1] - pitch[0] / pitch[1]) > 0.05 * pitch[0] / pitch[1]:
        yield failed(SPACING, f"{said}: a beam magnifies both directions alike", *where)
    elif not 1 / 1.5 <= pitch[0] / scaled[0] <= MOST_MAGNIFIED:
        yield failed(SPACING, f"{said}: that is magnified {pitch[0] / scaled[0]:.2g} times", *where)


def _calibrated(subject: Subject, scaled: Sequence[float], aspect: Sequence[float]) -> Iterator[Finding]:
    """Spacing and aspect of an ultrasound image against the calibration of its only region (C.7.6.3.1.7, C.8.5.5)."""
    regions = subject.dataset.items("SequenceOfUltrasoundRegions")
    if len(regions) != 1:
        return
    region = regions[0]
    units = {region.number("PhysicalUnitsXDirection"), region.number("PhysicalUnitsYDirection")}
    across, down = region.number("PhysicalDeltaX"), region.number("PhysicalDeltaY")
    if region.number("RegionSpatialFormat") != 1 or units != {CENTIMETRES} or not across or not down:
        return
    where = (*subject.at("PhysicalDeltaX", "PhysicalDeltaY", owner=region), *subject.at("PixelSpacing"))
    real = (abs(down) * 10, abs(across) * 10)
    said = f"the region's pixels are {real[0]:.4g} x {real[1]:.4g} mm"
    if len(scaled) == 2 and min(scaled) > 0:
        if any(abs(one - other) > 0.05 * other for one, other in zip(scaled, real, strict=True)):
            reason = f"{label('PixelSpacing')} is {scaled[0]} x {scaled[1]} mm, {said}"
            yield failed(SPACING, reason, *where)
    elif abs(real[0] / real[1] - _ratio(aspect)) > 0.1 * _ratio(aspect):
        told = f"is {aspect[0]:g}:{aspect[1]:g}" if len(aspect) == 2 else "is not there, which says 1:1"
        reason = f"{label('PixelAspectRatio')} {told}; {said}"
        yield failed(SPACING, reason, *where[:2], *subject.at("PixelAspectRatio"))


def _ratio(aspect: Sequence[float]) -> float:
    return aspect[0] / aspect[1] if len(aspect) == 2 and min(aspect) > 0 else 1.0


def window(subject: Subject) -> Iterator[Finding]:
    """Window Center and Window Width."""
    dataset = subject.dataset
    centers, widths = dataset.numbers("WindowCenter"), dataset.numbers("WindowWidth")
    if not widths:
        return
    where = subject.at("WindowWidth")
    linear = (dataset.text("VOILUTFunction") or "LINEAR") == "LINEAR"
    if any(width < 1 if linear else width <= 0 for width in widths):
        said = "\\".join(dataset.texts("WindowWidth"))
        yield failed(WINDOW, f"{label('WindowWidth')} is {said}; at least 1 is wanted", *where)
    elif centers and len(centers) != len(widths):
        yield failed(
            WINDOW,
            f"{len(centers)} window center(s) and {len(widths)} width(s)",
            *subject.at("WindowCenter", "WindowWidth"),
        )
    else:
        yield passed(WINDOW, f"window of {widths[0]}", *where)


def shape(subject: Subject) -> Iterator[Finding]:
    """Presentation LUT Shape against Photometric Interpretation."""
    dataset = subject.dataset
    lut, kind = dataset.text("PresentationLUTShape"), dataset.text("PhotometricInterpretation")
    if lut not in ("IDENTITY", "INVERSE") or kind not in ("MONOCHROME1", "MONOCHROME2"):
        return
    where = subject.at("PresentationLUTShape", "PhotometricInterpretation")
    if (lut == "IDENTITY") != (kind == "MONOCHROME2"):
        yield failed(SHAPE, f"{label('PresentationLUTShape')} is {lut} with {kind}", *where)
    else:
        yield passed(SHAPE, f"{lut} with {kind}", *where)


def rescale(subject: Subject) -> Iterator[Finding]:
    """Rescale of DX for presentation is the identity, in unspecified units."""
    if subject.sop_class != DX_PRESENTATION:
        return
    dataset = subject.dataset
    good = True
    for keyword, wanted in (("RescaleIntercept", 0), ("RescaleSlope", 1)):
        value = dataset.number(keyword)
        if value is not None and value != wanted:
            good = False
            yield failed(RESCALE, f"{label(keyword)} is {value}; {wanted} is wanted", *subject.at(keyword))
    kind = dataset.text("RescaleType")
    if kind and kind != "US":
        good = False
        declared = subject.declared.lists(kind, "RescaleType")
        reason = f"{label('RescaleType')} is {kind!r}; US is wanted"
        make = deviates if declared else failed
        yield make(RESCALE, reason, *subject.at("RescaleType"))
    if good and kind:
        yield passed(RESCALE, "rescale is the identity", *subject.at("RescaleSlope"))


def orientation(subject: Subject) -> Iterator[Finding]:
    """Patient Orientation: two directions that are not parallel (PS3.3 C.7.6.1.1.1)."""
    dataset = subject.dataset
    values = dataset.texts("PatientOrientation")
    if not values:
        return
    where, said = subject.at("PatientOrientation"), "\\".join(values)
    name = label("PatientOrientation")
    animal = dataset.text("AnatomicalOrientationType") == "QUADRUPED"
    if len(values) != 2 or not all(values):
        yield failed(ORIENTATION, f"{name} is {said!r}; it has two values", *where)
        return
    if animal:
        return
    for value in values:
        if any(letter not in OPPOSITE for letter in value) or len(set(value)) != len(value) or len(value) > 3:
            if set(value) <= set("".join(ANIMAL)) and _animal(dataset.has("PatientSpeciesCodeSequence")):
                continue
            yield failed(
                ORIENTATION, f"{name} is {said!r}; directions are made of A, P, R, L, H and F", *where
            )
            return
        if any(OPPOSITE[letter] in value for letter in value):
            yield failed(ORIENTATION, f"{name} is {said!r}: {value} runs two opposite ways", *where)
            return
    row, column = values
    if row[0] in (column[0], OPPOSITE.get(column[0])):
        yield failed(ORIENTATION, f"{name} is {said!r}: rows and columns run the same way", *where)
    elif _through(dataset) & {row[0], column[0]}:
        view = dataset.text("ViewPosition")
        reason = f"{name} is {said!r}, in a {view} view of the trunk, whose beam runs along that axis"
        yield failed(ORIENTATION, reason, *where, *subject.at("ViewPosition"))
    else:
        yield passed(ORIENTATION, said, *where)


def _through(dataset: DataSet) -> frozenset[str]:
    """The axis along which the beam of a view of the trunk runs: no axis of its image is that one."""
    if (
        dataset.text("BodyPartExamined") not in TRUNK
        or dataset.text("AnatomicalOrientationType") == "QUADRUPED"
    ):
        return frozenset()
    return BEAMS.get(dataset.text("ViewPosition") or "", frozenset())


def _animal(species: bool) -> bool:
    return species
