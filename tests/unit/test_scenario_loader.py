"""The loader: typed values, references, and one clear error per fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.scenario import Act, Arm, Expect, Never, Order, Ref, Scenario, ScenarioErrors, load, load_text
from bench.scenario.refs import Choice
from bench.scenario.spec import PEERS
from bench.scenario.steps import REGISTRY

DESIGN_EXAMPLE = """\
scenario: store-after-lost-association
covers: [VX-STO-004, VX-STO-007, VX-D-09]
product: vxvue
matrix: {link: [100BASE-T, 1000BASE-T], charset: [ISO_IR 100, ISO_IR 192]}
steps:
  - ris.worklist: {items: [worklists/chest-pa.yaml]}
  - operator.query_worklist:
  - operator.start_exam: {AccessionNumber: A1}
  - arm: {link.pull: {host: pacs}}                  # armed before the stimulus
    when: {pacs.received_bytes: 4 MB}
  - operator.expose: {view: PA}
    as: shot
  - expect: modality.warning                        # the association failed; TCP alone would heal a short pull
    within: 120 s
  - link.plug: {host: pacs}
  - operator.send:                                  # no automatic retry (VX-D-09)
  - expect: pacs.stored
    within: 30 s
    count: 1
    dataset: {AccessionNumber: A1, PixelData: {sha256: "${shot.sha256}"}}
"""
ITEM = """\
PatientName: Yamada^Tarou=山田^太郎=やまだ^たろう
PatientID: 010
AccessionNumber: A1
ScheduledProcedureStepSequence:
  - Modality: DX
    ScheduledProcedureStepStartDate: 20261121
"""


def one(steps: str, head: str = "") -> Scenario:
    return load_text(f"scenario: t\nproduct: vxvue\n{head}\nsteps:\n{steps}", file="t.yaml")


def faults(text: str) -> list[str]:
    with pytest.raises(ScenarioErrors) as caught:
        load_text(text, file="t.yaml")
    return [str(problem) for problem in caught.value.problems]


def step_faults(steps: str, head: str = "") -> list[str]:
    """Faults of a scenario whose steps begin in line 5."""
    return faults(f"scenario: t\nproduct: vxvue\n{head}\nsteps:\n{steps}")


def test_the_example_of_the_design_loads(tmp_path: Path) -> None:
    (tmp_path / "worklists").mkdir()
    (tmp_path / "worklists" / "chest-pa.yaml").write_text(ITEM, encoding="utf-8")
    file = tmp_path / "store.yaml"
    file.write_text(DESIGN_EXAMPLE, encoding="utf-8")
    scenario = load(file)
    assert [type(step) for step in scenario.steps] == [Act, Act, Act, Arm, Act, Expect, Act, Act, Expect]
    worklist, _, start, arm, expose, warning, plug, _, stored = scenario.steps
    assert isinstance(worklist, Act)
    assert isinstance(start, Act)
    assert isinstance(arm, Arm)
    assert isinstance(warning, Expect)
    assert isinstance(stored, Expect)
    assert worklist.args["items"][0]["PatientID"] == "010"
    assert worklist.args["items"][0]["ScheduledProcedureStepSequence"][0]["Modality"] == "DX"
    assert start.args == {"AccessionNumber": "A1"}
    assert (arm.verb, arm.args) == ("link.pull", {"host": "pacs"})
    assert arm.when is not None
    assert (arm.when.kind, arm.when.host, arm.when.value) == ("received_bytes", "pacs", 4_000_000)
    assert expose.name == "shot"
    assert warning.within_s == 120.0
    assert (stored.count, stored.within_s) == (1, 30.0)
    assert stored.dataset[1].tests[0].value == Ref("shot", "sha256")
    assert (plug.line, plug.text, plug.where_it_is) == (15, "link.plug: {host: pacs}", f"{file}:15")
    assert arm.text == "arm: {link.pull: {host: pacs}}"


@pytest.mark.parametrize(
    "word",
    ["NO", "yes", "on", "1e3", "010", "0x10", "1.2.840.10008.1.1", "12:30:45", "2026-11-21", "3.10", "true"],
)
def test_a_plain_scalar_of_a_text_is_never_guessed_at(word: str) -> None:
    scenario = one(f"  - operator.reject: {{reason: {word}}}\n  - operator.select: {{PatientID: {word}}}\n")
    reject, select = scenario.steps
    assert isinstance(reject, Act)
    assert isinstance(select, Act)
    assert reject.args == {"reason": word}
    assert select.args == {"PatientID": word}


def test_fields_are_typed_as_the_registry_says() -> None:
    scenario = one(
        "  - operator.prepare: {view: PA, kvp: 120, ma: 2.5e2, timeout: 2 min}\n"
        "  - pacs.status: {of: C-STORE, status: A700, count: 2}\n"
        "  - pacs.reject: {result: transient, source: presentation, reason: 2}\n"
        "  - detector.drop: {percent: 0.5 %}\n"
        "  - pacs.delay: {on: C-ECHO-RQ, by: 500 ms}\n"
        "  - pacs.close: {at_bytes: 16 KiB, how: rst}\n",
        head="setup: {auto_send: false, bits_stored: 12, storage: [pacs, pacs2], pacs: {running: false}}",
    )
    args = [step.args for step in scenario.steps if isinstance(step, Act)]
    assert args[0] == {"view": "PA", "kvp": 120.0, "ma": 250.0, "timeout": 120.0}
    assert args[1] == {"of": "C-STORE-RQ", "status": 0xA700, "count": 2}
    assert args[2] == {"result": 2, "source": 3, "reason": 2}
    assert args[3] == {"percent": 0.5}
    assert args[4] == {"on": "C-ECHO-RQ", "by": 0.5}
    assert args[5] == {"at_bytes": 16384, "how": "rst"}
    assert scenario.setup == {
        "auto_send": "off",
        "bits_stored": 12,
        "storage": ("pacs", "pacs2"),
        "pacs": {"running": False},
    }


def test_all_faults_of_a_file_come_at_once_with_their_lines() -> None:
    found = faults(
        "scenario: Bad_Name\n"
        "product: vxvu\n"
        "covers: [VX-STO-04]\n"
        "stepz: 1\n"
        "matrix: {link: [100BASET]}\n"
        "steps:\n"
        "  - operator.exposee: {view: PA}\n"
        "  - operator.expose: {view: PA, kv: 3}\n"
        "  - expect: pacs.store\n"
        "    within: 3\n"
        "    dataset: {AccesionNumber: A, StudyDate: 2026-01-01}\n"
    )
    assert [line.split(":")[1] for line in found] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "7",
        "8",
        "9",
        "10",
        "11",
        "11",
    ]
    for number, hint in (
        (1, "'vxvue'"),
        (2, "'VX-STO-004'"),
        (3, "'steps'"),
        (4, "'100BASE-T'"),
        (5, "'operator.expose'"),
        (6, "'kvp'"),
        (7, "'pacs.stored'"),
        (10, "'AccessionNumber'"),
    ):
        assert f"did you mean {hint}" in found[number], found[number]
    assert found[9] == "t.yaml:11: StudyDate: DA is YYYYMMDD, not '2026-01-01'"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("  - operator.send\n", "step: expected a mapping, not 'operator.send' (write 'operator.send:')"),
        (
            "  - {operator.send: , operator.accept: }\n",
            "step: both 'operator.send' and 'operator.accept' in one step",
        ),
        (
            "  - operator.send: {destination: pac}\n",
            "operator.send: destination: unknown storage destination 'pac' (did you mean",
        ),
        ("  - operator.send:\n    within: 3 s\n", "operator.send: unknown key 'within'"),
        ("  - operator.freeze:\n", "operator.freeze is nothing that vxvue can do"),
        ("  - operator.verify:\n", "operator.verify: 'peer' is missing"),
        (
            "  - operator.accept: {image: '${shot.uid}'}\n",
            "operator.accept: image: '${shot.uid}' is not resolved",
        ),
        (
            "  - pacs.status: {of: C-STORE, status: A70}\n",
            "pacs.status: status: a DIMSE status is four hexadecimal",
        ),
        ("  - pacs.delay: {on: C-STORE, by: 5}\n", "pacs.delay: by: a duration looks like '120 s'"),
        ("  - pacs.abort: {at_bytes: 4}\n", "pacs.abort: at_bytes: a size looks like '4 MB'"),
        ("  - detector.drop:\n", "detector.drop: write one of packets or percent"),
        ("  - detector.drop: {percent: 101 %}\n", "detector.drop: percent: a share looks like '0.5 %'"),
        ("  - pacs.recover: {fault: f}\n", "pacs.recover: no fault of pacs above is named 'f'"),
        ("  - arm: {operator.send: }\n", "arm: operator.send is no fault"),
        ("  - arm: {pacs.abrt: }\n", "unknown fault 'pacs.abrt' (did you mean 'pacs.abort'"),
        (
            "  - arm: {pacs.abort: }\n    when: {pacs.recieved_bytes: 4 MB}\n",
            "unknown condition 'pacs.recieved_bytes'",
        ),
        (
            "  - arm: {pacs.abort: }\n    when: {pacs.request: C-STOR}\n",
            "when: pacs.request: unknown occasion",
        ),
        ("  - expect: pacs.*\n", "expect: 'pacs.*' is no single kind of event"),
        ("  - expect: pacs.stored\n    where: {msid: 1}\n", "where: events pacs.stored have no field 'msid'"),
        ("  - expect: pacs.stored\n    where: {Rows: 1}\n", "(DICOM keywords stand under 'dataset')"),
        (
            "  - expect: pacs.echoed\n    dataset: {Rows: 1}\n",
            "dataset: events pacs.echoed carry no data set",
        ),
        ("  - expect: pacs.stored\n    after: shot\n", "after: no step above is named 'shot'"),
        ("  - expect: pacs.stored\n    count: 0\n", "count: expected a whole number from 1"),
        ("  - expect: pacs.stored\n    dataset: {Rows: {'>': x}}\n", "Rows: >: 'x' is no number"),
        (
            "  - expect: pacs.stored\n    dataset: {Rows: 70000}\n",
            "Rows: US is a whole number from 0 to 65535",
        ),
        (
            "  - expect: pacs.stored\n    dataset: {PatientName: {'>': x}}\n",
            "does not fit PN: its values have no order",
        ),
        (
            "  - expect: pacs.stored\n    dataset: {PatientName: {gt: x}}\n",
            "PatientName: unknown matcher 'gt'",
        ),
        ("  - expect: pacs.stored\n    dataset: {PatientName: {re: '('}}\n", "is no regular expression"),
        ("  - expect: pacs.stored\n    dataset: {PixelData: abc}\n", "PixelData: OB holds bytes"),
        (
            "  - expect: pacs.stored\n    dataset: {PixelData: {sha256: abc}}\n",
            "a SHA-256 has 64 hexadecimal digits",
        ),
        (
            "  - expect: pacs.stored\n    dataset: {SOPClassUID: DigitalXRayImageStorage}\n",
            "unknown UID name 'DigitalXRayImageStorage' (did you mean",
        ),
        ("  - expect: pacs.stored\n    dataset: {SOPClassUID: 1.02.3}\n", "'1.02.3' is no UID"),
        (
            "  - expect: pacs.stored\n    dataset: {RequestAttributesSequence.StudyID: x}\n",
            "which item of RequestAttributesSequence? write RequestAttributesSequence[0] or [*]",
        ),
        (
            "  - expect: pacs.stored\n    dataset: {'PatientName[0].StudyID': x}\n",
            "PatientName is PN, not a sequence",
        ),
        (
            "  - expect: pacs.stored\n    dataset: {RequestAttributesSequence: {StudyID: x}}\n",
            "Sequence[0].Keyword",
        ),
        ("  - never: pacs.stored\n", "never: 'for' is missing"),
        (
            "  - never: pacs.stored\n    for: end\n    wait: true\n",
            "to the end of the cell cannot be waited for",
        ),
        ("  - order: [a]\n", "order: expected a list of two or more names"),
        ("  - expect: pacs.stored\n    as: b\n  - order: [a, b]\n", "order: no step above is named 'a'"),
        ("  - wait: {for: a while}\n", "wait: for: a duration looks like"),
        (
            "  - operator.send:\n    fails: true\n    answer: {a: 1}\n",
            "answer: a step that 'fails' has no answer",
        ),
        ("  - operator.send:\n    as: matrix\n", "as: 'matrix' is a name of the bench"),
        ("  - operator.select: {PatientID: '${cell.sed}'}\n", "'cell' has no 'sed' (did you mean 'seed'?)"),
        ("  - operator.select: {PatientID: '${cell}'}\n", "is no reference like ${name.field}"),
        ("  - operator.select: {PatientID: '${matrix.x}'}\n", "the matrix has no axis 'x'"),
        ("  - operator.select: {PatientID: '${cell.seed'}\n", "has a '${' that is no ${name.field}"),
        ("  - ris.worklist: {items: [nowhere.yaml]}\n", "no files can be read here"),
        ("  - ris.worklist: {items: [/etc/passwd]}\n", "is no name of a .yaml file beside the scenario"),
        (
            "  - ris.worklist: {items: [{PatientNme: x}]}\n",
            "unknown DICOM keyword 'PatientNme' (did you mean",
        ),
        ("  - ris.worklist: {items: [{StudyDate: 2026}]}\n", "DA is YYYYMMDD"),
        ("  - ris.worklist: {items: [], charset: UTF-8}\n", "unknown character set 'UTF-8'"),
        ("  - wait: {for: !!python/object:os.system 1 s}\n", "tags are not used here"),
        (
            "  - wait: {for: 1 s}\n    as: a\n  - wait: {for: 1 s}\n    as: a\n",
            "'a' is already the name of a step above",
        ),
    ],
)
def test_a_fault_in_a_step_is_one_clear_error(steps: str, message: str) -> None:
    found = step_faults(steps)
    assert len(found) == 1, found
    assert message in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.yaml:1: the file is empty"),
        ("- a\n", "t.yaml:1: a scenario is a mapping"),
        ("scenario: t\n", "'steps' is missing"),
        ("scenario: t\nscenario: u\n", "t.yaml:2: key 'scenario' is there twice (first in line 1)"),
        ("scenario: t\n---\nscenario: u\n", "t.yaml:2: a second document"),
        ("scenario: [\n", "not YAML"),
        ("scenario: *a\n", "alias '*a' has no anchor"),
        ("scenario: &a [*a]\n", "alias '*a' stands inside its own anchor"),
        ("[a]: b\n", "a key must be a plain word"),
        ("scenario: t\x07\n", "not YAML: a control character"),
    ],
)
def test_a_fault_of_the_file_as_a_whole(text: str, message: str) -> None:
    assert any(message in line for line in faults(text))


def test_an_alias_bomb_deep_nesting_and_a_huge_file_are_refused_quickly() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 20)
    )
    assert any("more than 50000 values" in line for line in faults(bomb))
    assert any("nested deeper than 24 levels" in line for line in faults("[" * 100_000))
    assert faults("# " + "x" * 1_000_001) == ["t.yaml:1: larger than 1000 kB"]


def test_aliases_are_followed() -> None:
    scenario = one("  - operator.select: &who {PatientID: P1}\n  - operator.start_exam: *who\n")
    assert [step.args for step in scenario.steps if isinstance(step, Act)] == [{"PatientID": "P1"}] * 2


def test_a_matrix_value_is_checked_and_typed_for_every_cell() -> None:
    head = "matrix: {charset: [ISO_IR 100, ISO_IR 192], kv: [80, 120]}"
    steps = "  - ris.worklist: {items: [{AccessionNumber: 'A-${matrix.kv}'}], charset: '${matrix.charset}'}\n"
    steps += "  - operator.prepare: {kvp: '${matrix.kv}'}\n"
    scenario = one(steps, head)
    prepare = scenario.steps[1]
    assert isinstance(prepare, Act)
    assert prepare.args["kvp"] == Choice("kv", (("80", 80.0), ("120", 120.0)))
    last = scenario.cells("full")[-1]
    worklist, prepare = last.steps
    assert isinstance(worklist, Act)
    assert isinstance(prepare, Act)
    assert worklist.args == {"items": [{"AccessionNumber": "A-120"}], "charset": "ISO_IR 192"}
    assert prepare.args == {"kvp": 120.0}
    found = step_faults(steps, "matrix: {charset: [ISO_IR 100], kv: [80, high]}")
    assert found == [
        "t.yaml:6: operator.prepare: kvp: with kv = high: expected a number of kV from 20 to 150, not 'high'"
    ]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("matrix: {kv: [80, 120]}", "matrix: 'kv' changes nothing: no ${matrix.kv} is used"),
        ("matrix: {link: [100BASE-T, 100BASE-T]}", "'100BASE-T' is there twice"),
        ("matrix: {link: []}", "matrix: link has no values"),
        ("matrix: {link.pax: [100BASE-T]}", "matrix: 'link.pax' cannot be an axis (did you mean"),
        ("matrix: {detector: [3072]}", "is not a size in pixels like `3072x3072`"),
        ("matrix: {link: [10BASE-T]}\nexclude: [{lnk: 10BASE-T}]", "unknown axis in exclude: 'lnk'"),
        (
            "matrix: {link: [10BASE-T]}\nexclude: [{link: 100BASE-T}]",
            "exclude: link has no value '100BASE-T'",
        ),
        ("matrix: {link: [10BASE-T]}\nexclude: [{link: 10BASE-T}]", "exclude: no cell is left"),
        ("allow: [pacs.echo]", "unknown event kind 'pacs.echo' (did you mean 'pacs.echoed'?)"),
        ("allow: [{event: pacs.echoed, were: {}}]", "allow: unknown key 'were' (did you mean 'where'?)"),
        ("covers: [VX-STO-004, VX-STO-004]", "covers: 'VX-STO-004' is there twice"),
        ("covers: [MX-GEN-001]", "covers: MX-GEN-001 is no clause of vxvue"),
        ("setup: {auto_sent: true}", "setup: unknown key 'auto_sent' (did you mean 'auto_send'?)"),
        ("setup: {auto_send: yes}", "setup: auto_send: unknown moment 'yes'"),
        ("timeout: 5", "timeout: a duration looks like"),
        ("marks: [Slow-One]", "marks: 'Slow-One' is not a pytest mark"),
    ],
)
def test_a_fault_above_the_steps(head: str, message: str) -> None:
    found = step_faults("  - operator.send:\n", head)
    assert len(found) == 1, found
    assert message in found[0]


def test_a_fault_in_a_worklist_file_is_told_with_that_file(tmp_path: Path) -> None:
    (tmp_path / "item.yaml").write_text("PatientName: A\nPatientBirthDate: 1970\n", encoding="utf-8")
    file = tmp_path / "s.yaml"
    file.write_text(
        "scenario: t\nproduct: vxvue\nsteps:\n  - ris.worklist: {items: [item.yaml]}\n"
        "  - ris.worklist: {items: [itm.yaml]}\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioErrors) as caught:
        load(file, label="scenarios/s.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "scenarios/item.yaml:2: worklist item: PatientBirthDate: DA is YYYYMMDD, not '1970'",
        "scenarios/s.yaml:5: ris.worklist: items: there is no file 'itm.yaml' (did you mean 'item.yaml'?)",
    ]


def test_paths_in_items_are_unfolded_and_contradictions_refused() -> None:
    scenario = one(
        "  - ris.worklist: {items: [{'ScheduledProcedureStepSequence[0].Modality': DX,"
        " 'ScheduledProcedureStepSequence[0].ScheduledStationAETitle': VXVUE, Rows: 5}]}\n"
    )
    step = scenario.steps[0]
    assert isinstance(step, Act)
    assert step.args["items"] == [
        {
            "ScheduledProcedureStepSequence": [{"Modality": "DX", "ScheduledStationAETitle": "VXVUE"}],
            "Rows": 5,
        }
    ]
    found = step_faults(
        "  - ris.worklist: {items: [{ScheduledProcedureStepSequence: [{Modality: DX}],"
        " 'ScheduledProcedureStepSequence[0].Modality': CR}]}\n"
    )
    assert "contradicts another key" in found[0]


def test_observations_and_their_modifiers() -> None:
    scenario = one(
        "  - operator.send:\n    as: go\n"
        "  - never: pacs.*\n    for: 5 s\n    after: go.end\n    wait: true\n"
        "  - expect: pacs.stored\n    as: a\n    shared: true\n"
        "  - expect: ris.mpps_set\n    as: b\n    where: {status: 0000, src: ris}\n"
        "  - order: [a, b]\n"
        "  - operator.queue:\n    answer: {'jobs[0].state': failed, count: {'>=': 1}}\n"
        "  - operator.prepare:\n    fails: interlock\n"
    )
    _, never, expect, second, order, queue, prepare = scenario.steps
    assert isinstance(never, Never)
    assert (never.kind, never.for_s, never.after, never.wait) == ("pacs.*", 5.0, "go.end", True)
    assert isinstance(expect, Expect)
    assert (expect.shared, expect.within_s) == (True, 10.0)
    assert isinstance(second, Expect)
    assert second.where[0].tests[0].value == "0000"
    assert isinstance(order, Order)
    assert order.names == ("a", "b")
    assert isinstance(queue, Act)
    assert queue.answer[0].path == ("jobs", 0, "state")
    assert queue.answer[0].check({"jobs": [{"state": "sent"}]}) == "jobs[0].state: expected failed, got sent"
    assert queue.answer[1].check({"count": 1}) == ""
    assert isinstance(prepare, Act)
    assert prepare.fails == "interlock"


def test_every_word_of_the_operator_is_there() -> None:
    words = [
        *("verify", "query_worklist", "select", "start_exam", "prepare"),
        *("expose", "freeze", "capture_still", "capture_clip", "accept"),
        *("reject", "complete", "discontinue", "append", "send"),
        *("commit", "print", "query_archive", "send_dose", "export"),
        *("add", "configure", "restart", "warnings", "queue"),
        *("exam_state",),
    ]
    assert {f"operator.{word}" for word in words} <= REGISTRY.keys()
    for peer in PEERS:
        assert {
            f"{peer}.{word}" for word in ["reject", "abort", "status", "delay", "stall", "close", "recover"]
        } <= REGISTRY.keys()


def test_what_undoes_a_fault_exists_and_faults_name_it() -> None:
    for spec in REGISTRY.values():
        assert not spec.fault or spec.undone_by in REGISTRY, spec.verb


@pytest.mark.parametrize(
    ("charset", "matrix", "fault"),
    [
        ("ISO_IR 192", "", ""),
        (r"\ISO 2022 IR 87", "", ""),
        ("ISO_IR 100", "", "PatientName '山田^太郎' cannot be written in 'ISO_IR 100'"),
        (
            "'${matrix.charset}'",
            "matrix: {charset: [ISO_IR 192, ISO_IR 144]}",
            "cannot be written in 'ISO_IR 144' with charset = ISO_IR 144",
        ),
        ("''", "", "cannot be written in 'ISO_IR 6'"),
    ],
)
def test_a_worklist_text_that_its_character_set_does_not_have_is_a_fault(
    charset: str, matrix: str, fault: str
) -> None:
    step = f"  - ris.worklist: {{items: [{{PatientName: 山田^太郎, PatientID: A}}], charset: {charset}}}\n"
    if not fault:
        assert one(step, matrix).steps
        return
    (found,) = step_faults(step, matrix)
    assert fault in found


def test_an_excluded_combination_of_name_and_character_set_is_no_fault() -> None:
    step = "  - ris.worklist: {items: [{PatientName: '${matrix.name}'}], charset: '${matrix.charset}'}\n"
    matrix = "matrix: {name: [Doe, 山田], charset: [ISO_IR 192, ISO_IR 100]}"
    (found,) = step_faults(step, matrix)
    assert (
        "PatientName '山田' cannot be written in 'ISO_IR 100' with name = 山田 with charset = ISO_IR 100"
        in found
    )
    assert len(one(step, f"{matrix}\nexclude: [{{name: 山田, charset: ISO_IR 100}}]").cells("full")) == 3


def test_a_worklist_file_may_use_references(tmp_path: Path) -> None:
    (tmp_path / "item.yaml").write_text(
        "AccessionNumber: A-${matrix.kv}\nStudyID: ${modality.ae}\nPatientID: ${shot.sha256}\n",
        encoding="utf-8",
    )
    text = "scenario: t\nproduct: vxvue\nmatrix: {kv: [80]}\nsteps:\n  - ris.worklist: {items: item.yaml}\n"
    with pytest.raises(ScenarioErrors) as caught:
        load_text(text, file="t.yaml", base=tmp_path)
    (problem,) = caught.value.problems
    assert str(problem).startswith("item.yaml:3: worklist item: PatientID: '${shot.sha256}' is not resolved")
    (tmp_path / "item.yaml").write_text(
        "AccessionNumber: A-${matrix.kv}\nStudyID: ${modality.ae}\n", encoding="utf-8"
    )
    step = load_text(text, base=tmp_path).cells()[0].steps[0]
    assert isinstance(step, Act)
    assert step.args["items"] == [{"AccessionNumber": "A-80", "StudyID": Ref("modality", "ae")}]


def test_predicted_messages_are_read_and_misspelt_ones_are_found() -> None:
    """A prediction is a number for each request; a request that does not exist is an error with a hint."""
    text = "scenario: s\nproduct: vxvue\nmessages: {C-STORE: 3, N-SET: 1}\nsteps:\n  - operator.query_worklist:\n"
    assert load_text(text).messages == {"C-STORE": 3, "N-SET": 1}
    with pytest.raises(ScenarioErrors, match=r"3: messages: unknown key 'C-STOR'.*C-STORE"):
        load_text(text.replace("C-STORE: 3", "C-STOR: 3"))
    with pytest.raises(ScenarioErrors, match=r":3: messages: N-SET"):
        load_text(text.replace("N-SET: 1", "N-SET: many"))
