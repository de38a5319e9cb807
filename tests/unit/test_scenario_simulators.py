"""What the language lets an author write is what the simulators take: names, arguments and their units."""

from __future__ import annotations

from typing import Any

import pytest

from bench.scenario import Act, load_text
from bench.scenario.setup import SETUP
from bench.scenario.spec import PHANTOMS
from bench.scenario.steps import REGISTRY

STEPS = (
    "pacs.reject: {result: transient, source: presentation, reason: 2, count: 3, skip: 1}",
    "pacs.reject:",
    "pacs.abort: {on: C-STORE, at_bytes: 4 MB, source: provider, reason: 1}",
    "pacs.abort: {at_bytes: 100 kB}",
    "pacs.status: {of: C-STORE, status: A700, comment: full, perform: true, count: 0}",
    "ris.delay: {on: N-CREATE, by: 500 ms, count: 2}",
    "ris.stall: {on: C-FIND}",
    "pacs.stall: {at_bytes: 64 KiB}",
    "pacs.close: {on: release, how: rst}",
    "pacs.close: {on: associate}",
    "detector.drop: {percent: 0.5 %, count: 2}",
    "detector.drop: {packets: [5, [10, 20]]}",
    "detector.late: {percent: 1 %, by: 20 ms}",
    "detector.late: {packets: [1]}",
    "detector.reorder: {percent: 100 %}",
    "detector.duplicate: {packets: [1, 2]}",
    "detector.missing_leader:",
    "detector.missing_trailer: {count: 1}",
    "detector.missed_trigger:",
    "detector.control_loss:",
    "detector.over_temperature: {celsius: 62.5}",
    "detector.link_fallback: {mode: 10BASE-T}",
    "detector.link_fallback:",
    "detector.resend_refused: {count: 2}",
    "detector.no_answer: {command: READREG}",
    "detector.pending_ack: {by: 1 s}",
    "generator.interlock:",
    "generator.rotor: {count: 1}",
    "generator.filament:",
    "generator.arc: {fraction: 0.5}",
    "generator.over_dose: {factor: 2}",
    "generator.kv_drift: {percent: -10}",
    "generator.stuck_busy:",
    "generator.no_answer: {command: 22, count: 3}",
    "generator.garbled: {command: 50}",
    "generator.bad_checksum:",
)


def act(step: str) -> Act:
    loaded = load_text(f"scenario: t\nproduct: vxvue\nsteps:\n  - {step}\n").steps[0]
    assert isinstance(loaded, Act)
    return loaded


@pytest.mark.parametrize("text", STEPS)
def test_the_simulator_takes_the_arguments_of_a_fault(text: str) -> None:
    from simulators.detector.faults import check as check_detector
    from simulators.dicom.faults import parse_fault
    from simulators.generator.faults import check as check_generator

    step = act(text)
    if step.host == "detector":
        check_detector(step.what, step.args, {})
    elif step.host == "generator":
        check_generator(step.what, step.args)
    else:
        parse_fault("f1", step.what, step.args, None)


def test_every_fault_of_a_simulator_is_tried_above() -> None:
    families = {"pacs", "detector", "generator"}
    tried = {text.partition(":")[0] for text in STEPS}
    tried |= {f"pacs.{verb.partition('.')[2]}" for verb in tried if verb.startswith("ris.")}
    assert {verb for verb, spec in REGISTRY.items() if spec.fault and spec.family in families} <= tried


def test_units_and_words_become_those_of_the_devices() -> None:
    assert act("detector.late: {percent: 1 %, by: 20 ms}").args == {"percent": 1.0, "ms": 20.0}
    assert act("detector.link_fallback: {mode: 10BASE-T}").args == {"mbps": 10}
    assert act("panel.release_early: {hold: 20 ms}").args == {"after_ms": 20.0}
    assert act("detector.drop: {packets: [5, [10, 20]]}").args == {"packets": [5, [10, 20]]}


def test_the_hand_switch_takes_every_verb_and_argument() -> None:
    from simulators.panel import handswitch

    for verb, spec in REGISTRY.items():
        if spec.family == "panel":
            assert spec.what in handswitch.VERBS, verb
            names = {field.gives or field.name for field in spec.fields}
            assert names <= set(handswitch._ARGS.get(spec.what, ())), verb


def test_phantoms_are_those_of_the_world() -> None:
    from simulators.world.phantom import PHANTOMS as KNOWN

    assert set(PHANTOMS) == set(KNOWN)


def configured(device: str) -> set[str]:
    (field,) = (item for item in SETUP.fields if item.name == device)
    inner: Any = field.type
    return {item.name for item in inner.fields}


def test_devices_have_what_setup_configures() -> None:
    from dataclasses import fields

    from simulators.detector.config import Config as Detector
    from simulators.generator.config import Config as Generator
    from simulators.pacs import Config as Pacs
    from simulators.ris import Config as Ris

    def names(config: Any) -> set[str]:
        return {item.name for item in fields(config)}

    assert configured("detector") <= names(Detector)
    assert {"prep_ms", "cooldown_ms"} <= names(Generator)  # `prep` and `cooldown`, in the words of the plan
    assert configured("generator") - {"prep", "cooldown"} <= names(Generator)
    assert configured("ris") - {"running"} <= names(Ris)
    assert configured("pacs") - {"running"} <= names(Pacs)
    assert configured("pacs2") == configured("pacs")
