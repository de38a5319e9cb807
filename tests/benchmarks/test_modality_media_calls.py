"""What the benchmark of media storage calls: the reference modality is imported by files of this name only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modality.media import Options, add, export


def export_images(medium: Path, images: Sequence[Path], state: Path | None, *, verify: bool = True) -> int:
    """Make a file-set; return how many files were written."""
    return len(export(medium, images, Options(state=state, verify=verify)).files)


def add_images(medium: Path, images: Sequence[Path], state: Path | None) -> int:
    """Update a file-set; return how many files were written."""
    return len(add(medium, images, Options(state=state)).files)
