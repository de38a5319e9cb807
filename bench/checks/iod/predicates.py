"""Conditions of attributes, the small sentences of ``conditions.yaml``, and whether they hold for a data set.

``A missing`` (absent or empty), ``A present`` (perhaps empty), ``A has value``, ``A empty``, ``A is TERM``, ``A
has TERM`` (among its values), ``animal``, ``paired body part``, ``never`` (nobody can tell); joined by ``and``
or ``or``. The answer is True, False, or None where data cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from bench.checks.case import SutConfig
    from bench.witness.dataset import DataSet

Answer: TypeAlias = "bool | None"
Predicate: TypeAlias = "Callable[[DataSet, SutConfig], Answer]"

ANIMAL: Final = (
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "PatientSexNeutered",
)
PAIRED: Final = frozenset(
    {
        "ANKLE",
        "BREAST",
        "CALCANEUS",
        "CLAVICLE",
        "EAR",
        "ELBOW",
        "EYE",
        "FEMUR",
        "FINGER",
        "FOOT",
        "FOREARM",
        "HAND",
        "HIP",
        "HUMERUS",
        "KIDNEY",
        "KNEE",
        "LEG",
        "OVARY",
        "PATELLA",
        "RADIUS",
        "SCAPULA",
        "SHOULDER",
        "TESTIS",
        "THIGH",
        "THUMB",
        "TIBIA",
        "TOE",
        "ULNA",
        "WRIST",
        "ARM",
    }
)
"""Body Part Examined terms that name one of two (PS3.16 Annex L, paired structures)."""


@cache
def predicate(sentence: str) -> Predicate:
    """Read a condition; ValueError for one that is none."""
    if " or " in sentence:
        return _any([predicate(part) for part in sentence.split(" or ")])
    if " and " in sentence:
        return _all([predicate(part) for part in sentence.split(" and ")])
    if sentence in _NAMED:
        return _NAMED[sentence]
    keyword, _, rest = sentence.partition(" ")
    simple: Mapping[str, Callable[[str], bool]] = {
        "missing": lambda state: state != "value",
        "empty": lambda state: state != "value",
        "present": lambda state: state != "absent",
        "has value": lambda state: state == "value",
    }
    if rest in simple:
        holds = simple[rest]
        return lambda dataset, _config: holds(dataset.state(keyword))
    verb, _, term = rest.partition(" ")
    if verb not in ("is", "has") or not term:
        raise ValueError(f"{sentence!r} is no condition")
    return lambda dataset, _config: (
        None if dataset.state(keyword) != "value" else term in dataset.texts(keyword)
    )


def _any(parts: list[Predicate]) -> Predicate:
    def holds(dataset: DataSet, config: SutConfig) -> Answer:
        answers = [part(dataset, config) for part in parts]
        return True if True in answers else (None if None in answers else False)

    return holds


def _all(parts: list[Predicate]) -> Predicate:
    def holds(dataset: DataSet, config: SutConfig) -> Answer:
        answers = [part(dataset, config) for part in parts]
        return False if False in answers else (None if None in answers else True)

    return holds


def animal(dataset: DataSet, config: SutConfig) -> Answer:
    """Whether the patient is an animal: by configuration, else by what the object says of its species."""
    species = str(config.get("species") or "").lower()
    if species:
        return species not in ("human", "man")
    return True if any(dataset.state(keyword) == "value" for keyword in ANIMAL) else None


def paired_body_part(dataset: DataSet, config: SutConfig) -> Answer:
    """Whether the body part examined is one of two; None when it is not named."""
    part = dataset.text("BodyPartExamined")
    return part in PAIRED if part else None


_NAMED: Final[Mapping[str, Predicate]] = {
    "animal": animal,
    "paired body part": paired_body_part,
    "never": lambda _dataset, _config: None,
}
