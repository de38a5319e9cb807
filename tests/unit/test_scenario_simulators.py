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
        if spec.family == "panel" and "vxvue" in spec.products:
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


def mx(step: str) -> Act:
    loaded = load_text(f"scenario: t\nproduct: mx1\nsetup: {{usb: , sd: }}\nsteps:\n  - {step}\n").steps[0]
    assert isinstance(loaded, Act)
    return loaded


ULTRASOUND = (
    "ultrasound.stall: {for: 500 ms, at_bytes: 10 kB, count: 3}",
    "ultrasound.stall:",
    "ultrasound.drop: {count: 4}",
    "ultrasound.bad_crc: {count: 2}",
    "ultrasound.resize: {size: 1024x768}",
    "ultrasound.close: {at_bytes: 100 B}",
)


@pytest.mark.parametrize("text", ULTRASOUND)
def test_the_ultrasound_front_end_takes_the_arguments_of_a_fault(text: str) -> None:
    from simulators.ultrasound.faults import check

    step = mx(text)
    check(step.spec.word, step.args)


def test_every_fault_of_the_ultrasound_front_end_has_a_word() -> None:
    from simulators.ultrasound.faults import FAULTS

    words = {spec.word for spec in REGISTRY.values() if spec.family == "ultrasound" and spec.fault}
    assert words == set(FAULTS)


def test_knobs_and_sizes_are_those_of_the_ultrasound_front_end() -> None:
    from dataclasses import fields

    from bench.scenario.spec import US_MODES, US_PROBES, US_SIZES
    from simulators.ultrasound.config import Config
    from simulators.ultrasound.knobs import MODES, NAMES, SIZES, Knobs
    from simulators.ultrasound.probe import PROBES

    assert (set(US_SIZES), set(US_MODES), set(US_PROBES)) == (set(SIZES), set(MODES), set(PROBES))
    step = mx("ultrasound.set: {depth: 120, gain: -3.5, dynamic_range: 50, mode: colour, probe: P4-2}")
    assert set(step.args) == set(NAMES) - {"freeze"}
    assert Knobs().turned(step.args).depth == 120
    assert configured("ultrasound") <= {item.name for item in fields(Config)}


def test_what_hangs_beside_the_probe_takes_every_word() -> None:
    from bench.runner.devices import Bedside

    told: list[tuple[str, dict[str, Any]]] = []
    bedside = Bedside(lambda kind, /, **data: told.append((kind, data)), {"host": "127.0.0.1"})
    bedside.start()
    try:
        for text in (
            "panel.footswitch:",
            "panel.freeze: {how: press}",
            "panel.freeze: {how: release}",
            'panel.barcode: {text: "P 1", aim: "]C1"}',
        ):
            step = mx(text)
            bedside.command(step.spec.word, step.args)
    finally:
        bedside.stop()
    assert [kind for kind, _ in told] == [
        *("panel.footswitch", "panel.footswitch", "panel.freeze", "panel.freeze", "panel.barcode"),
    ]


def test_words_of_media_become_those_of_the_volume() -> None:
    assert mx("usb.yank: {at_bytes: 4 MB, lose: all}").args == {"at_bytes": 4_000_000, "lose": "all"}
    assert mx("usb.yank: {lose: some}").args == {"lose": "some"}
    assert mx("sd.slow: {rate: 2 MB/s}").args == {"rate": 2_000_000}
    assert mx("usb.replace: {content: [foreign-fileset, 'fill:2 MB']}").args == {
        "content": ("foreign-fileset", "fill:2000000")
    }
    assert mx("usb.replace: {content: empty}").spec.word == "replace_content"


def test_what_may_lie_on_a_medium_is_what_the_volumes_lay() -> None:
    from bench.scenario.vocabulary_mx1 import CONTENTS, FOREIGN
    from bench.volumes.content import WORDS
    from bench.volumes.foreign import VARIANTS

    assert set(CONTENTS) == set(WORDS)
    assert set(FOREIGN) == set(VARIANTS) - {""}


def test_a_medium_takes_what_the_plan_makes_of_a_setup() -> None:
    from pathlib import Path

    from bench.plan import VolumeChoice, make_plan
    from bench.volumes.config import Config

    setup = "{usb: {size: 64 MB, label: STICK, content: ['files:3', 'fill:2 MB']}, sd: {size: 4 GB, format: none}}"
    (cell,) = load_text(
        f"scenario: t\nproduct: mx1\nsetup: {setup}\nsteps:\n  - wait: {{for: 1 s}}\n"
    ).cells()
    for volume in make_plan(cell, backend="veth", volumes={"usb": VolumeChoice("fuse")}).volumes:
        made = Config.from_dict({**volume.config, "mount": str(Path.cwd()), "image": str(Path.cwd() / "x")})
        assert made.shape.size == volume.config["size"]
        assert (made.shape.fat or "none") == volume.config["format"]
