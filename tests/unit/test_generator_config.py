"""Configuration and faults by name: unknown words get a hint, wrong values a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from simulators import panel
from simulators.base import CommandError
from simulators.generator import Config, create
from simulators.world import World


def nothing(kind: str, /, **data: Any) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"prepms": 5}, "did you mean 'prep_ms'"),
        ({"transport": "usb"}, "transport must be one of"),
        ({"port": "12"}, "port must be int"),
        ({"pace": 1}, "pace must be bool"),
        ({"port": True}, "port must be int"),
        ({"prep_ms": 9000}, "prep_ms must be 0-5000"),
        ({"baud": 3}, "baud"),
        ({"port": 70000}, "port"),
        ({"max_kw": -1.0}, "positive"),
    ],
)
def test_wrong_configuration(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config.from_dict(data)


def test_good_configuration() -> None:
    config = Config.from_dict({"transport": "socket", "prep_ms": 100, "max_kw": 50})
    assert config.limits.prep_ms == 100
    assert config.limits.max_kw == 50


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"id": "a", "fault": "rotr"}, "did you mean 'rotor'"),
        ({"fault": "rotor"}, "an id is needed"),
        ({"id": "a", "fault": "arc", "args": {"fraction": 2}}, "fraction"),
        ({"id": "a", "fault": "arc", "args": {"bogus": 2}}, "bogus"),
        ({"id": "a", "fault": "rotor", "args": {"count": 0}}, "count"),
        ({"id": "a", "fault": "rotor", "when": {"moon": "full"}}, "moon"),
        ({"id": "a", "fault": "rotor", "when": {"state": "asleep"}}, "asleep"),
        ({"id": "a", "fault": "rotor", "when": {"count": 2}}, "needs state"),
        ({"id": "a", "fault": "rotor", "args": 5}, "mappings"),
    ],
)
def test_wrong_arming(args: dict[str, Any], words: str) -> None:
    generator = create(Config(), nothing)
    with pytest.raises(CommandError, match=words):
        generator.command("arm", args)


def test_wrong_verbs() -> None:
    world = World()
    generator = create(Config(), nothing, world)
    switch = panel.create(panel.Config(), nothing, world, generator)
    with pytest.raises(CommandError, match="can arm"):
        generator.command("explode", {})
    with pytest.raises(CommandError, match="can press_prep"):
        switch.command("shake", {})
    with pytest.raises(CommandError, match="unknown argument"):
        switch.command("expose", {"tiemout": 3})
    with pytest.raises(CommandError, match="nothing is armed"):
        generator.command("disarm", {"id": "x"})
    with pytest.raises(ValueError, match="unknown key"):
        panel.Config.from_dict({"time": 3})
