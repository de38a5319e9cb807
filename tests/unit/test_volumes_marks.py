"""Tests of media that look at every loop device or process of the machine run while no other test does."""

from __future__ import annotations

from pathlib import Path

import pytest

INTEGRATION = Path(__file__).parents[1] / "integration"
WHOLE = ('Path("/sys/block").glob', 'Path("/proc").iterdir', '"fuse.volume" not in mounts')


@pytest.mark.parametrize("path", sorted(INTEGRATION.glob("test_volumes_*.py")), ids=lambda path: path.stem)
def test_who_looks_at_the_whole_machine_has_it_alone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if any(look in text for look in WHOLE):
        assert "\npytestmark = pytest.mark.alone\n" in text
