"""The images against what the generator delivered, where a run's journal tells it (ruling E12).

Rules of this file:

* Only the simulators' own events are truth (``generator.exposure``); what the console says of itself is a
  claim, used only to find out which image belongs to which exposure.
* Without a journal nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from bench.checks.crossobject.story import Made, story
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.tables import label

if TYPE_CHECKING:
    from bench.checks.case import Case

RULE: Final = "STD-X-080"
PIXELS: Final = "STD-X-081"
# attribute -> (key of the event, factor from the attribute to the event's unit, coarseness of the attribute)
COMPARED: Final = (
    ("KVP", "kvp", 1.0, 0.5),
    ("XRayTubeCurrent", "ma", 1.0, 1.0),
    ("XRayTubeCurrentInuA", "ma", 1e-3, 0.01),
    ("ExposureTime", "ms", 1.0, 1.0),
    ("ExposureTimeInuS", "ms", 1e-3, 0.01),
    ("Exposure", "mas", 1.0, 1.0),
    ("ExposureInuAs", "mas", 1e-3, 0.01),
    ("ImageAndFluoroscopyAreaDoseProduct", "dap_dgycm2", 1.0, 0.01),
)


@check(RULE, PIXELS)
def generator_truth(case: Case) -> Iterator[Finding]:
    """Every image of a run whose exposure is known."""
    exposures = _exposures(case)
    if not exposures:
        return
    for made in story(case).images():
        claim = exposures.get(made.uid)
        if claim is None:
            continue
        delivered, pixels = claim
        yield from _one(case, made, delivered)
        seen = made.dataset.pixels
        if pixels and seen is not None and seen.sha256 is not None:
            where = case.at(made.message, made.dataset.get("PixelData"))
            if seen.sha256 == pixels:
                yield passed(PIXELS, "the pixels are those that were acquired", where)
            else:
                yield failed(
                    PIXELS, "the pixels are not those that the console acquired for this instance", where
                )


def _exposures(case: Case) -> dict[str, tuple[dict[str, Any], str | None]]:
    """Instance -> the exposure before the console told of the image, and the digest of the pixels that it told."""
    found: dict[str, tuple[dict[str, Any], str | None]] = {}
    last: dict[str, Any] | None = None
    for event in case.happened("generator.exposure", "modality.image"):
        if event.kind == "generator.exposure":
            last = event.data
            continue
        uid = event.data.get("sop_instance")
        if (
            last is not None
            and isinstance(uid, str)
            and uid not in found
            and event.data.get("state") == "acquired"
        ):
            found[uid] = (last, event.data.get("sha256"))
            last = None
    return found


def _one(case: Case, made: Made, delivered: dict[str, Any]) -> Iterator[Finding]:
    for keyword, key, factor, coarse in COMPARED:
        value, true = made.dataset.number(keyword), delivered.get(key)
        if value is None or not isinstance(true, int | float):
            continue
        where = case.at(made.message, made.dataset.get(keyword))
        if abs(value * factor - true) <= coarse + 0.02 * abs(true):
            yield passed(RULE, f"{label(keyword)} is what the generator delivered", where)
        else:
            yield failed(
                RULE, f"{label(keyword)} is {value:g}; the generator delivered {true:g} ({key})", where
            )
