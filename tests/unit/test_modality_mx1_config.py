"""Settings of the MX1, and what each product does not know of the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modality.main import main
from modality.objects.usfacts import CHARSETS
from modality.products.mx1 import KINDS, LONGEST_PDU, PROFILE, preference, storage_contexts
from modality.products.mx1.config import parse
from modality.products.vxvue.config import parse as parse_vxvue
from modality.settings import ConfigError

BASE = {"data_dir": "/x", "control": "/y"}
EXPLICIT, BASELINE, LOSSLESS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"


def _read(**more: Any) -> Any:
    return parse(json.dumps({**BASE, **more}), "f")


def test_defaults_are_those_of_the_statement() -> None:
    config = _read()
    assert (config.ae_title, config.modality, config.version) == ("MX1", "US", "1.20")
    assert config.charset == ("", "ISO 2022 IR 87")
    assert config.storage_syntax == {"still": "explicit", "clip": "jpeg", "screen": "explicit"}
    assert set(config.media_syntax.values()) == {"explicit"}
    assert config.profile.longest_pdu == 131072
    assert _read(version="1.10").profile.longest_pdu == 20480
    assert set(LONGEST_PDU) == {"1.20", "1.10"}


@pytest.mark.parametrize(
    "more",
    [
        {"receiver": {"enabled": True}},
        {"mpps": {"ae_title": "RIS", "host": "127.0.0.1"}},
        {"detector": {}},
        {"generator": {}},
        {"laterality": "L"},
        {"bits_stored": 14},
        {"version": "2.0"},
        {"media": {"floppy": "/a"}},
        {"storage_syntax": {"clip": "lossless"}},
        {"media_syntax": {"still": "rle"}},
        {"charset": "ISO_IR 144"},
        {"charset": ["ISO 2022 IR 6", "ISO 2022 IR 100"]},
        {"storage": [{"name": "a", "ae_title": "A", "host": "fe80::1"}]},
        {"worklist": {"ae_title": "A", "host": "[::1]"}},
    ],
)
def test_what_the_statement_does_not_have_is_a_fault_with_its_line(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^f:1: "):
        _read(**more)


@pytest.mark.parametrize(
    "key", ["version", "ultrasound", "media", "storage_syntax", "media_syntax", "serial", "body_part"]
)
def test_vxvue_does_not_know_the_mx1s_keys(key: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting '{key}'"):
        parse_vxvue(json.dumps({**BASE, key: "1.20"}), "f")


def test_a_wrong_probe_setting_ends_the_program_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mx1.yaml"
    file.write_text(json.dumps({**BASE, "ultrasound": {"adress": "10.0.0.2"}}))
    assert main(["mx1", "--config", str(file)]) == 2
    assert "did you mean 'address'" in capsys.readouterr().err


def test_changes_of_the_operator_pass_the_same_checks() -> None:
    changed = parse(json.dumps(BASE), "f", {"storage_syntax": {"still": "lossless"}})
    assert changed.storage_syntax["still"] == "lossless"
    assert changed.storage_syntax["clip"] == "jpeg"
    with pytest.raises(ConfigError):
        parse(json.dumps(BASE), "f", {"charset": ["klingon"]})


@pytest.mark.parametrize("word", ["explicit", "implicit", "big", "jpeg"])
def test_contexts_are_always_the_same_eight(word: str) -> None:
    contexts = storage_contexts(dict.fromkeys(KINDS, word))
    found = sorted((c.abstract_syntax, tuple(sorted(c.transfer_syntaxes))) for c in contexts)
    usual = sorted(
        (c.abstract_syntax, tuple(sorted(c.transfer_syntaxes))) for c in PROFILE.contexts["storage"]
    )
    assert found == usual
    assert len(contexts) == 8
    assert (KINDS["clip"], (LOSSLESS,)) not in found


def test_the_wished_syntax_is_offered_first_and_nothing_is_lost_without_need() -> None:
    contexts = storage_contexts({"still": "big", "clip": "jpeg", "screen": "implicit"})
    first = [c.transfer_syntaxes[0] for c in contexts if len(c.transfer_syntaxes) == 3]
    assert first == ["1.2.840.10008.1.2.2", EXPLICIT, "1.2.840.10008.1.2"]
    for kind in KINDS:
        for word in ("explicit", "implicit", "big"):
            assert preference(kind, word)[-1] == BASELINE
    assert preference("clip", "jpeg")[:2] == (BASELINE, EXPLICIT)
    assert LOSSLESS not in preference("clip", "jpeg")
    assert PROFILE.name == "mx1"
    assert len(CHARSETS) == 6
