"""The committed JSON Schemas and pages are those of the registry, and accept what the loader accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.scenario import load_text
from bench.scenario.problems import Problems
from bench.scenario.reference import fill
from bench.scenario.schema import FILES, scenario_schema, testbed_schema, text_of
from bench.scenario.source import Mapping, Node, Scalar, parse
from bench.statements import clause_ids
from bench.testbed import load_testbed_text

ROOT = Path(__file__).parents[2]
EXAMPLES = (
    """\
# yaml-language-server: $schema=../schema/scenario.schema.json
scenario: store-after-lost-association
covers: [VX-STO-004, VX-STO-007, VX-D-09]
product: vxvue
matrix: {link: [100BASE-T, 1000BASE-T], charset: [ISO_IR 100, ISO_IR 192]}
steps:
  - ris.worklist: {items: [{AccessionNumber: A1, PatientName: "Y^T=山田^太郎"}]}
  - operator.query_worklist:
  - operator.start_exam: {AccessionNumber: A1}
  - arm: {link.pull: {host: pacs}}
    when: {pacs.received_bytes: 4 MB}
  - operator.expose: {view: PA}
    as: shot
  - expect: modality.warning
    within: 120 s
  - link.plug: {host: pacs}
  - operator.send:
  - expect: pacs.stored
    within: 30 s
    count: 1
    dataset: {AccessionNumber: A1, PixelData: {sha256: "${shot.sha256}"}}
""",
    """\
scenario: everything
title: Uses every kind of key
purpose: |
  Shows what the schema must accept.
product: vxvue
ihe: [SWF.b RAD-8]
marks: [slow]
timeout: 5 min
matrix: {link.detector: [100BASE-T], detector: [3072x3072], bits: [14, 16], kv: [80, 120]}
exclude: [{bits: 16, kv: 80}]
setup: {auto_send: false, bits_stored: 12, storage: [pacs, pacs2], timeouts: {dimse: 5 s}, pacs: {running: false}}
allow: [pacs.echoed, modality.*, {event: ris.queried, where: {matches: 0}}]
steps:
  - operator.verify: {peer: pacs}
    answer: {status: 0, "steps[0].ok": true}
  - operator.prepare: {view: PA, kvp: "${matrix.kv}", ma: 200, ms: 10}
    fails: true
  - pacs.status: {of: C-STORE, status: 0122, count: 2}
    as: refused
  - arm: {generator.arc: {fraction: 0.5}}
    when: {generator.state: {where: {to: exposing}}, count: 2}
  - arm: {sut.kill: }
    when: {time: 1.5 s}
  - never: pacs.stored
    for: end
  - expect: ris.mpps_set
    as: done
    save: mpps
    dataset:
      PerformedProcedureStepStatus: {in: [COMPLETED, DISCONTINUED]}
      "PerformedSeriesSequence[0].SeriesInstanceUID": {present: true}
      "PerformedSeriesSequence[*].Modality": DX
      PerformedSeriesSequence: {vm: {">=": 1}}
      PatientName: {pn: =山田^太郎}
      PatientBirthDate:
      ImageType: {any: PRIMARY}
  - expect: pacs.stored
    as: image
    after: done
    shared: true
  - order: [done, image]
  - pacs.recover: {fault: refused}
  - host.stop: {host: ris}
  - wait: {for: 500 ms}
""",
)
TESTBED = """\
testbed: bench-3                                    # what stands in the lab
sut: {adapter: operator, product: vxvue, serial: VX-0042, version: 3.8.1, ae: VXVUE, address: 10.0.0.5}
links: {modality: {backend: nic, interface: enp3s0}, detector: {backend: nic, interface: enp4s0}}
serial: {generator: {url: /dev/ttyUSB0}}
volumes: {usb: {backend: usbsdmux, serial: "00048.00643"}}
"""


def as_json(text: str) -> Any:
    """Read YAML as editors do: plain scalars that look like numbers or booleans are such (YAML 1.2 core)."""

    def convert(node: Node | None) -> Any:
        assert node is not None
        if isinstance(node, Mapping):
            return {key.text: convert(value) for key, value in node.items()}
        if not isinstance(node, Scalar):
            return [convert(item) for item in node.items]
        if node.is_null:
            return None
        if node.plain and node.text in ("true", "false"):
            return node.text == "true"
        for kind in (int, float) if node.plain else ():
            try:
                return kind(node.text)
            except ValueError:
                pass
        return node.text

    problems = Problems("t")
    root = parse(text, problems)
    assert not problems.found
    return convert(root)


def accepts(schema: dict[str, Any], document: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(document))


@pytest.mark.parametrize("name", FILES)
def test_the_committed_schema_is_the_generated_one(name: str) -> None:
    committed = (ROOT / "scenarios" / "schema" / name).read_text(encoding="utf-8")
    assert committed == text_of(FILES[name]()), "run: python -m bench.scenario.schema"


@pytest.mark.parametrize("make", FILES.values())
def test_the_schemas_are_valid_schemas(make: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(make())


@pytest.mark.parametrize("text", EXAMPLES)
def test_what_the_loader_accepts_the_schema_accepts(text: str) -> None:
    load_text(text)
    schema = scenario_schema()
    document = as_json(text)
    validator = jsonschema.Draft202012Validator(schema)
    for step in document["steps"]:  # one by one, so that a failure names its step
        validator.validate({**document, "steps": [step]})
    validator.validate(document)


def test_the_schema_accepts_the_testbed() -> None:
    load_testbed_text(TESTBED)
    jsonschema.validate(as_json(TESTBED), testbed_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"stepz": []},
        {"steps": [{"operator.exposee": {}}]},
        {"steps": [{"operator.expose": {"view": "PX"}}]},
        {"steps": [{"operator.expose": {"kv": 80}}]},
        {"steps": [{"expect": "pacs.store"}]},
        {"steps": [{"expect": "pacs.stored", "within": 3}]},
        {"steps": [{"never": "pacs.stored"}]},
        {"steps": [{"expect": "pacs.stored", "dataset": {"Rows": {"gt": 3}}}]},
        {"matrix": {"link": ["100BASET"]}},
        {"setup": {"auto_sent": True}},
    ],
)
def test_the_schema_refuses_what_an_editor_should_mark(change: dict[str, Any]) -> None:
    document = {"scenario": "t", "product": "vxvue", "steps": [{"operator.send": None}]}
    assert accepts(scenario_schema(), document)
    assert not accepts(scenario_schema(), {**document, **change})


def test_clause_ids_are_sorted_and_complete() -> None:
    listed = json.loads((ROOT / "bench" / "statements" / "ids.json").read_text(encoding="utf-8"))
    assert listed == sorted(set(listed))
    assert clause_ids() == frozenset(listed)
    assert {"VX-GEN-001", "MX-GEN-006", "VX-D-41", "MX-D-30"} <= clause_ids()
    assert len(listed) == 569 + 201 + 41 + 30


def test_the_page_about_scenarios_is_current() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert page == fill(page), "run: python -m bench.scenario.reference"


def yaml_blocks(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [block.split("```")[0] for block in text.split("```yaml\n")[1:]]


def test_the_worked_examples_of_the_pages_load() -> None:
    whole = [block for block in yaml_blocks("scenarios.md") if "\nscenario:" in f"\n{block}"]
    scenario, media = map(load_text, whole)
    assert media.product == "mx1"
    assert len(scenario.cells("full")) == 4
    (testbed,) = yaml_blocks("testbeds.md")
    assert load_testbed_text(testbed).name == "bench-3"


def test_the_fragments_of_the_page_load_where_they_belong() -> None:
    fragments = [block for block in yaml_blocks("scenarios.md") if "\nscenario:" not in f"\n{block}"]
    head = "scenario: t\nproduct: vxvue\n"
    for block in fragments:
        if block.startswith("- "):
            load_text(f"{head}steps:\n{block}")
        elif block.startswith("dataset:"):
            before = "steps:\n- operator.expose: {view: PA}\n  as: shot\n- expect: ris.mpps_set\n"
            load_text(head + before + "".join(f"  {line}\n" for line in block.splitlines()))
        elif block.startswith("matrix:"):
            load_text(f"{head}{block}steps: [operator.prepare: {{kvp: '${{matrix.kv}}'}}]\n")
        else:
            load_text(f"{head}{block}steps: [operator.send: ]\n")
    assert len(fragments) == 4
