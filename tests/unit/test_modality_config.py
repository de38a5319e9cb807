"""The console's settings: every fault at its line, every scalar as the expected type."""

from __future__ import annotations

from pathlib import Path

import pytest

from modality.main import main
from modality.products.vxvue.config import load, parse
from modality.settings import ConfigError

MINIMAL = "data_dir: /tmp/x\ncontrol: /tmp/y\n"


def problems(source: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(source, "f.yaml")
    return list(caught.value.problems)


def test_defaults_are_those_of_the_statement() -> None:
    config = parse(MINIMAL, "f")
    assert config.ae_title == "VXVUE"
    assert (config.timeouts.connect, config.timeouts.association) == (10, 30)
    assert (config.timeouts.dimse, config.timeouts.idle) == (30, 60)
    assert config.auto_retry is False
    assert config.auto_send == "complete"
    assert config.charset == ("ISO_IR 192",)
    assert (config.bits_stored, config.laterality, config.modality) == (14, "U", "DX")
    assert config.receiver.enabled is False
    assert config.worklist is None
    assert config.mpps is None


def test_every_fault_is_reported_with_its_line() -> None:
    source = (
        MINIMAL
        + "ae_titel: X\nstorage:\n- name: a\n  ae_title: FAR_TOO_LONG_A_TITLE\n  host: h\n  port: 70000\n"
        + "- {name: a, ae_title: B, host: h}\ntimeouts: {dimse: soon}\nauto_retry: perhaps\nlaterality: X\n"
        + "charset: ISO_IR 999\nbits_stored: 16\nreceiver: [1]\n"
    )
    found = problems(source)
    wanted = {
        3: "did you mean 'ae_title'",
        6: "no AE title",
        8: "between 1 and 65535",
        9: "two destinations",
        10: "must be a number",
        11: "true or false",
        12: "one of L, R, U, B",
        13: "'ISO_IR 999'",
        14: "one of 12, 14",
        15: "mapping",
    }
    for line, text in wanted.items():
        assert any(problem.startswith(f"f.yaml:{line}: ") and text in problem for problem in found), (
            line,
            found,
        )
    assert len(found) == len(wanted)


def test_scalars_are_never_guessed() -> None:
    config = parse(
        MINIMAL
        + "ae_title: 0123\nstation_name: NO\ninstitution: 1e3\nworklist: {ae_title: on, host: 10.0}\n",
        "f",
    )
    assert config.ae_title == "0123"
    assert config.station_name == "NO"
    assert config.institution == "1e3"
    assert config.worklist is not None
    assert (config.worklist.ae_title, config.worklist.host, config.worklist.port) == ("on", "10.0", 104)


@pytest.mark.parametrize(
    "source", ["", "[]", "data_dir: [", "a: b: c", "\x00", "data_dir: x\ndata_dir: y\ncontrol: z"]
)
def test_what_is_no_settings_file_is_refused(source: str) -> None:
    assert problems(source)


def test_changes_are_laid_over_the_file_and_keep_types() -> None:
    source = (
        MINIMAL
        + "ae_title: 0123\ndetector: {gvcp_port: 4000, address: 127.0.0.1}\ntimeouts: {dimse: 5, idle: 6}\n"
    )
    config = parse(source, "f", {"timeouts": {"dimse": 9}, "station_name": "S2"})
    assert (config.timeouts.dimse, config.timeouts.idle) == (9, 6)
    assert config.ae_title == "0123"
    assert config.station_name == "S2"
    assert config.acquisition.detector == {"gvcp_port": 4000, "address": "127.0.0.1"}
    with pytest.raises(ConfigError):
        parse(source, "f", {"ae_title": "far too long for an AE title"})


def test_auto_send_words() -> None:
    words = {
        "true": "complete",
        "false": "off",
        "accept": "accept",
        "complete": "complete",
        "off": "off",
        "no": "off",
    }
    for given, meant in words.items():
        assert parse(MINIMAL + f"auto_send: {given}\n", "f").auto_send == meant
    assert problems(MINIMAL + "auto_send: sometimes\n")


def test_a_bad_file_ends_with_2_and_its_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"data_dir: {tmp_path}/d\ncontrol: {tmp_path}/c\nworklist: {{ae_title: RIS}}\n")
    assert main(["vxvue", "--config", str(path)]) == 2
    assert capsys.readouterr().err == f"{path}:3: worklist.host is missing\n"
    assert not (tmp_path / "d").exists()
    assert main(["vxvue", "--config", str(tmp_path / "none.yaml")]) == 2


def test_a_wrong_device_setting_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"data_dir: {tmp_path}/d\ncontrol: {tmp_path}/c\ndetector: {{adress: 1.2.3.4}}\n")
    assert main(["vxvue", "--config", str(path)]) == 2
    assert "did you mean 'address'" in capsys.readouterr().err


def test_load_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(MINIMAL)
    assert load(path).data_dir == Path("/tmp/x")
