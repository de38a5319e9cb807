"""What the doctor says: whatever is missing, with a reason and a way to get it, and what it comes to."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from bench import doctor
from bench.doctor import Item, main, summary
from bench.links.probe import BackendReport
from bench.volumes.backends import Backend


def links(monkeypatch: pytest.MonkeyPatch, **there: bool) -> list[Item]:
    reports = tuple(
        BackendReport(name, there.get(name, name == "loopback"), "why", "do this")
        for name in ("veth", "userns", "loopback")
    )
    monkeypatch.setattr("bench.links.probe.probe", lambda: reports)
    return doctor._links()


def media(monkeypatch: pytest.MonkeyPatch, **there: bool) -> list[Item]:
    reports = tuple(
        Backend(name, there.get(name, name == "folder"), "why", (f"limit of {name}",), "do this")
        for name in ("block", "fuse", "image", "folder")
    )
    monkeypatch.setattr("bench.volumes.backends.probe", lambda: reports)
    return doctor._volumes()


def test_one_way_of_each_kind_is_chosen_and_its_limits_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = links(monkeypatch, veth=True, userns=True) + media(monkeypatch, fuse=True, image=True)
    assert [item.name for item in items if item.chosen] == ["links: veth", "volumes: fuse"]
    assert main(items=items) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "it cannot prove: limit of fuse" in said
    assert "limit of image" not in said
    assert "✗ volumes: block why it adds: USB and SD media behind the kernel's own FAT driver" in said
    assert "to get it: do this" in said


@pytest.mark.parametrize(
    ("of_links", "of_media", "said", "never"),
    [
        ({"veth": True}, {"block": True}, ("captured (veth)", "mounted (block)"), "not runnable"),
        ({"userns": True}, {"image": True}, ("captured (userns)", "not mounted here"), "No link is tested"),
        ({"userns": True}, {}, ("captured (userns)", "not mounted here"), "No link is tested"),
        ({}, {"fuse": True}, ("No link is tested here", "not mounted here"), "are mounted"),
    ],
)
def test_the_summary_says_what_a_run_here_proves(
    monkeypatch: pytest.MonkeyPatch,
    of_links: dict[str, bool],
    of_media: dict[str, bool],
    said: tuple[str, ...],
    never: str,
) -> None:
    """Without namespaces nothing is mounted either, whatever the probe of media finds."""
    text = " ".join(summary(links(monkeypatch, **of_links) + media(monkeypatch, **of_media)))
    assert all(words in text for words in said), text
    assert never not in text


def test_root_is_not_missed_where_user_namespaces_prove_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {item.name: item.level for item in links(monkeypatch, userns=True)}["links: veth"] == "limited"
    assert {item.name: item.level for item in links(monkeypatch)}["links: veth"] == "missing"


def test_everything_missing_says_what_it_adds_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "dcmtk", lambda program: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    tools = [doctor._tool(tool, lambda program: None) for tool in doctor.TOOLS]
    for item in [*tools, *(doctor._module(*entry) for entry in doctor.MODULES)]:
        assert item.level == "missing"
        assert item.adds
        assert item.get


def test_a_module_without_its_papers_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", unknown)
    item = doctor._module("x", "json", "adds", "get")
    assert (item.level, item.found) == ("ok", "there, of an unknown version")


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(as_json=True, items=[Item("a", "ok", "found", "adds")]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "name": "a",
            "level": "ok",
            "found": "found",
            "adds": "adds",
            "get": "",
            "limits": "",
            "chosen": False,
        }
    ]


def test_outside_judges_that_are_programs_are_named() -> None:
    assert [item.name for item in doctor._judges()] == ["dsrdump", "PixelMed"]
