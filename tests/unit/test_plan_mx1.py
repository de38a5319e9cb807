"""Plans of the MX1: its own front end, its media with their backends, nothing of VXvue's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.journal import Event
from bench.plan import Plan, PlanError, VolumeChoice, make_plan, not_runnable
from bench.products import PRODUCTS
from bench.runner.media import Media
from bench.runner.settings import settings
from bench.runner.steps import named
from bench.scenario import Cell, load_text
from bench.scenario.problems import ScenarioErrors
from bench.scenario.steps import REGISTRY
from bench.session import choose_volumes
from bench.sut.reference import VERBS
from bench.testbed import VIRTUAL, load_testbed_text

FUSE = VolumeChoice("fuse", ("the kernel's driver",), "no block: no vfat")


def cells(setup: str = "{}", steps: str = "- wait: {for: 1 s}", matrix: str = "{}") -> tuple[Cell, ...]:
    text = f"scenario: t\nproduct: mx1\nmatrix: {matrix}\nsetup: {setup}\nsteps:\n  {steps}\n"
    return load_text(text).cells(mode="full")


def plan(setup: str = "{}", steps: str = "- wait: {for: 1 s}", backend: str = "veth", **more: Any) -> Plan:
    return make_plan(cells(setup, steps)[0], backend=backend, volumes={"usb": FUSE, "sd": FUSE}, **more)


def actors(made: Plan) -> dict[str, dict[str, Any]]:
    return {actor.name: dict(actor.config) for host in made.hosts for actor in host.actors}


def test_the_front_end_is_an_ultrasound_one() -> None:
    made = plan("{ultrasound: {size: 1024x768, fps: 60, probe: L12-4}}")
    assert [host.name for host in made.hosts] == ["ris", "pacs", "frontend"]
    found = actors(made)
    assert set(found) == {"ris", "pacs", "ultrasound", "panel"}
    assert found["ultrasound"]["port"] == 18944
    assert found["ultrasound"]["depth"] == 60.0  # that of the probe
    assert (found["ultrasound"]["size"], found["ultrasound"]["seed"]) == ("1024x768", made.seed)
    assert found["panel"] == {"host": "10.78.0.2", "contacts_port": 5341, "barcode_port": 5342}


def test_the_console_has_no_receiver_and_no_procedure_steps() -> None:
    made = plan('{version: "1.10", storage: [pacs, pacs2], storage_syntax: lossless}')
    assert made.sut["ae_title"] == "MX1"
    assert not {"receiver", "mpps", "detector", "generator"} & set(made.sut)
    assert made.sut["version"] == "1.10"
    assert made.sut["storage_syntax"] == {"still": "lossless", "clip": "explicit", "screen": "lossless"}
    assert [each["name"] for each in made.sut["storage"]] == ["pacs", "pacs2"]


def test_further_worklist_keys_are_added_to_those_of_the_product() -> None:
    made = plan("{worklist_keys: [EthnicGroup, ScheduledProcedureStepSequence.ScheduledStationName]}")
    added = {"EthnicGroup": "", "ScheduledProcedureStepSequence.ScheduledStationName": ""}
    assert made.sut["worklist"] == {"ae_title": "RIS", "keys": {"add": added}}
    assert "worklist_keys" not in made.sut
    assert "keys" not in plan().sut["worklist"]


def test_vxvue_is_as_it_was() -> None:
    scenario = load_text("scenario: t\nproduct: vxvue\nsteps:\n  - wait: {for: 1 s}\n")
    made = make_plan(scenario.cells()[0], backend="veth")
    assert set(actors(made)) == {"ris", "pacs", "world", "detector", "generator", "panel"}
    assert made.sut["receiver"] == {"host": "10.77.0.10", "port": 104, "enabled": True}
    assert (made.sut["ae_title"], made.sut["mpps"]) == ("VXVUE", {"ae_title": "RIS"})
    assert made.volumes == ()


def test_media_are_hosts_without_a_network() -> None:
    made = plan("{usb: {size: 64 MB, content: [files:3]}, sd: {size: 4 GB, inserted: false}}")
    assert [host.name for host in made.hosts][-2:] == ["usb", "sd"]
    assert not {"usb", "sd"} & set(made.network.hosts)
    usb, sd = (actors(made)[name] for name in ("usb", "sd"))
    assert (usb["size"], usb["format"], usb["content"]) == (64_000_000, "FAT16", ["files:3"])
    assert (sd["size"], sd["format"], sd["inserted"]) == (4_000_000_000, "FAT32", False)
    assert usb["backend"] == "fuse"
    text = made.describe()
    assert "volume    usb: fuse: 64 MB FAT16, holds files:3; cannot prove: the kernel's driver" in text
    assert "not inserted" in text
    assert "host      usb" not in text


def test_a_slot_that_is_not_named_has_no_medium() -> None:
    assert [host.name for host in plan("{usb: }").hosts][-1] == "usb"
    assert not plan().volumes


def test_an_archive_of_a_later_setting_is_there_from_the_beginning() -> None:
    made = plan(steps="- operator.configure: {storage: [pacs2]}")
    assert [host.name for host in made.hosts][:3] == ["ris", "pacs", "pacs2"]
    assert [each["name"] for each in made.sut["storage"]] == ["pacs"]


@pytest.mark.parametrize(
    "step",
    [
        "usb.yank: {at_bytes: 1 MB}",
        "arm: {usb.io_error: }",
        "usb.slow: {rate: 1 MB/s}",
        "{arm: {usb.remove: }, when: {usb.written_bytes: 1 MB}}",
    ],
)
def test_faults_of_a_medium_need_one_that_the_bench_serves(step: str) -> None:
    (cell,) = cells("{usb: }", f"- {step}")
    assert not_runnable(cell, "veth", {"usb": FUSE}) == ""
    assert "'image' only" in not_runnable(cell, "veth", {"usb": VolumeChoice("image")})
    assert "needs a medium" in not_runnable(cell, "veth")


@pytest.mark.parametrize("step", ["usb.remove:", "usb.yank:"])
def test_taking_a_medium_out_needs_no_mount(step: str) -> None:
    (cell,) = cells("{usb: }", f"- {step}")
    assert not_runnable(cell, "loopback", {"usb": VolumeChoice("image")}) == ""


@pytest.mark.parametrize("setup", ["{protected: true}", "{format: none}", "{content: [corrupt-fat]}"])
def test_some_media_need_a_mount(setup: str) -> None:
    (cell,) = cells(f"{{usb: {setup}}}")
    assert "such a medium cannot be had" in not_runnable(cell, "veth", {"usb": VolumeChoice("image")})
    assert not_runnable(cell, "veth", {"usb": FUSE}) == ""


def test_nothing_is_mounted_on_loopback() -> None:
    chosen = choose_volumes(VIRTUAL, "loopback", cells("{usb: }"))
    assert chosen["usb"].backend == "image"
    assert "sandbox" in chosen["usb"].why


def test_a_testbed_names_the_backend() -> None:
    bed = load_testbed_text("testbed: b\nvolumes: {usb: {backend: folder}}\n")
    assert choose_volumes(bed, "veth", cells("{usb: }"))["usb"].backend == "folder"
    bed = load_testbed_text("testbed: b\nvolumes: {usb: {backend: usbsdmux}}\n")
    with pytest.raises(PlanError, match="usbsdmux"):
        make_plan(cells()[0], testbed=bed, backend="veth")


def test_nothing_is_probed_for_a_product_without_slots() -> None:
    scenario = load_text("scenario: t\nproduct: vxvue\nsteps:\n  - wait: {for: 1 s}\n")
    assert choose_volumes(VIRTUAL, "veth", scenario.cells()) == {}
    assert PRODUCTS["vxvue"].slots == ()


def test_axes_reach_the_settings() -> None:
    found = {
        cell.values["syntax"]: make_plan(cell, backend="veth").sut["media_syntax"]["still"]
        for cell in cells("{media_syntax: '${matrix.syntax}'}", matrix="{syntax: [explicit, jpeg, big]}")
    }
    assert found == {"explicit": "explicit", "jpeg": "jpeg", "big": "big"}


def test_names_of_peers_become_what_an_operator_types_in() -> None:
    found = {
        name: {"host": f"10.0.0.{n}", "port": 104, "ae_title": name.upper()}
        for n, name in enumerate(("ris", "pacs", "pacs2"))
    }
    assert settings({"storage": ["pacs2"], "ae_title": "X"}, found) == {
        "ae_title": "X",
        "storage": [{"name": "pacs2", "ae_title": "PACS2", "host": "10.0.0.2", "port": 104}],
    }
    changed = settings({"worklist": "pacs", "peer_titles": {"pacs": "OTHER"}}, found)
    assert changed["worklist"] == {"ae_title": "OTHER", "host": "10.0.0.1", "port": 104}
    assert settings({"peer_titles": {"ris": "NEW"}}, found) == {
        "worklist": {"ae_title": "NEW", "host": "10.0.0.0", "port": 104}
    }
    with pytest.raises(LookupError, match="no pacs2"):
        settings({"storage": ["pacs2"]}, {"pacs": found["pacs"]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("setup: {receiver: true}", "3: setup: receiver is nothing that mx1 has"),
        ("setup: {usb: {size: 1 MB}}", "3: setup: usb: size: a medium has 8 MiB"),
        ("setup: {usb: {content: [forein-fileset]}}", "did you mean 'foreign-fileset'?"),
        ("setup: {usb: {content: ['files:x']}}", "write a number of files"),
        ("setup: {usb: {formt: FAT16}}", "unknown key 'formt' (did you mean 'format'?)"),
        ("matrix: {bits: [14]}", "3: matrix: bits is nothing that mx1 has"),
        ("steps: [usb.insert: ]", "3: usb.insert: there is no medium 'usb' (write 'usb:' under 'setup')"),
        ("steps: [{operator.capture_clip: {frames: 2, for: 2 s}}]", "write one of frames or for"),
        ("steps: [operator.expose: ]", "operator.expose is nothing that mx1 can do"),
        ("steps: [{operator.export: {medium: ubs}}]", "unknown medium 'ubs' (did you mean 'usb'?)"),
        ("steps: [{ultrasound.stal: }]", "unknown step 'ultrasound.stal' (did you mean 'ultrasound.stall'?)"),
        ("setup: {usb: }\nsteps: [{usb.yank: {lose: al}}]", "a size looks like"),
        ("setup: {usb: }\nsteps: [{usb.slow: {rate: 2 MB}}]", "a rate looks like '2 MB/s'"),
        ("setup: {usb: }\nsteps: [{arm: {usb.insert: }}]", "usb.insert is no fault"),
        ("setup: {usb: }\nsteps: [{arm: {usb.yank: }, when: {usb.writen_bytes: 4 MB}}]", "usb.written_bytes"),
        ("steps: [{expect: volume.removed, where: {volum: usb}}]", "have no field 'volum'"),
    ],
)
def test_a_fault_of_the_author_is_one_clear_error(text: str, message: str) -> None:
    whole = f"scenario: t\nproduct: mx1\n{text}\n"
    if "steps:" not in text:
        whole += "steps: [wait: {for: 1 s}]\n"
    with pytest.raises(ScenarioErrors) as caught:
        load_text(whole, file="x.yaml")
    assert len(caught.value.problems) == 1, caught.value
    assert message in str(caught.value)


def test_answers_have_names_for_what_a_reference_cannot_say() -> None:
    assert named({"sequence": [3, 9], "files": [{}, {}]}) == {
        "sequence": [3, 9],
        "first": 3,
        "last": 9,
        "files": [{}, {}],
        "count": 2,
    }
    assert named({"sequence": 4}) == {"sequence": 4}


def test_what_media_tell_becomes_their_fidelity(tmp_path: Path) -> None:
    made = plan("{usb: {size: 64 MB}, sd: }")
    media = Media(made.volumes, tmp_path / "place", tmp_path)
    places = media.places("usb")
    assert places == {"mount": str(tmp_path / "place" / "usb"), "image": str(tmp_path / "media" / "usb.img")}
    Path(places["image"]).touch()

    def told(kind: str, **data: Any) -> None:
        media.on_event(Event(seq=1, t=1, src="usb", n=1, kind=kind, data={"volume": "usb", **data}))

    told("volume.inserted", backend="fuse", format="FAT32")
    told("volume.synced", written=100)
    told("volume.removed", how="clean", written=250)
    usb, sd = media.fidelity()
    assert (usb.backend, usb.filesystem, usb.size, usb.written) == ("fuse", "FAT32", 64_000_000, 250)
    assert (usb.image, sd.image, sd.written) == ("media/usb.img", None, None)
    assert usb.cannot_prove == ("the kernel's driver",)
    (tmp_path / "place" / "sd").mkdir(parents=True)
    assert media.close() == ["the medium sd is still there after its process has ended"]


def test_an_armed_fault_that_is_done_at_once_is_a_plain_command() -> None:
    at_once = {verb for verb, spec in REGISTRY.items() if spec.at_once}
    assert at_once == {
        *("link.pull", "link.mode", "host.stop", "sut.kill"),
        *("ultrasound.unplug", "usb.remove", "sd.remove"),
    }
    assert all(REGISTRY[verb].fault for verb in at_once)


def test_operator_words_of_a_product_are_those_of_its_adapter() -> None:
    for product, verbs in VERBS.items():
        words = {
            spec.what for spec in REGISTRY.values() if spec.family == "operator" and product in spec.products
        }
        assert verbs - {"wait_image"} <= words, product
    assert {"export", "add", "freeze", "capture_still", "capture_clip", "knobs"} <= VERBS["mx1"]
    assert not VERBS["mx1"] & {"prepare", "accept", "reject"}
