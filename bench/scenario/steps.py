"""The step registry: every verb of the language, by name.

Rules of this file:

* The registry is closed; a scenario with another verb is refused when it is loaded.
* ``expect``, ``never``, ``order`` and ``arm`` are the grammar around the verbs (:mod:`bench.scenario.loader`).
"""

from __future__ import annotations

from typing import Final

from bench.scenario.spec import StepSpec
from bench.scenario.vocabulary_bench import (
    DETECTOR_STEPS,
    GENERATOR_STEPS,
    HOST_STEPS,
    LINK_STEPS,
    OTHER_STEPS,
    PANEL_STEPS,
    PEER_STEPS,
)
from bench.scenario.vocabulary_mx1 import BEDSIDE_STEPS, ULTRASOUND_STEPS, VOLUME_STEPS
from bench.scenario.vocabulary_operator import OPERATOR_STEPS

REGISTRY: Final[dict[str, StepSpec]] = {
    spec.verb: spec
    for group in (
        OPERATOR_STEPS,
        PEER_STEPS,
        HOST_STEPS,
        LINK_STEPS,
        DETECTOR_STEPS,
        GENERATOR_STEPS,
        PANEL_STEPS,
        ULTRASOUND_STEPS,
        BEDSIDE_STEPS,
        VOLUME_STEPS,
        OTHER_STEPS,
    )
    for spec in group
}
GRAMMAR: Final = ("expect", "never", "order", "arm")
FAULTS: Final = tuple(verb for verb, spec in REGISTRY.items() if spec.fault)
