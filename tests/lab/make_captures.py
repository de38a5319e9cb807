"""Write the known-answer captures: ``python -m tests.lab.make_captures [--into FOLDER] [NAME ...]``.

Every capture gets a manifest ``NAME.yaml`` beside it that says whose it is and what a judge must say.  The same source
always writes the same bytes; a test compares them with what is committed.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import yaml

from tests.lab import files, recipes
from tests.lab.conversation import Lab

LARGE = 20_000
"""Captures above this many bytes are compressed."""
FOLDER = Path(__file__).resolve().parents[1] / "captures"


def load() -> dict[str, recipes.Recipe]:
    """Every recipe by its name."""
    for module in pkgutil.iter_modules(recipes.__path__):
        importlib.import_module(f"{recipes.__name__}.{module.name}")
    return recipes.RECIPES


def manifest(recipe: recipes.Recipe, file: str) -> dict[str, Any]:
    """What is known of a capture."""
    known = {
        "capture": file,
        "statement": recipe.statement,
        "who": recipe.who,
        "description": recipe.description,
        "config": dict(recipe.config),
        "fail": sorted(recipe.fails),
        "may": sorted(recipe.may),
        "pass": sorted(recipe.passes),
    }
    return {key: value for key, value in known.items() if value or key == "fail"}


def write(recipe: recipes.Recipe, folder: Path) -> Path:
    """Write one capture and its manifest."""
    lab = Lab()
    recipe.build(lab)
    path = lab.write(folder / (recipe.name + (recipe.suffix or ".pcapng")), **recipe.write)
    if not recipe.suffix and path.stat().st_size > LARGE:
        small = files.write(path.with_name(path.name + ".gz"), path.read_bytes())
        path.unlink()
        path = small
    text = yaml.safe_dump(manifest(recipe, path.name), allow_unicode=True, sort_keys=False, width=110)
    (folder / f"{recipe.name}.yaml").write_text(text, encoding="utf-8")
    return path


def content(path: Path) -> bytes:
    """The bytes of a capture, unpacked."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def main() -> None:
    """Write all captures, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--into", type=Path, default=FOLDER)
    options = parser.parse_args()
    total = 0
    for name, recipe in load().items():
        if not options.names or name in options.names:
            total += write(recipe, options.into).stat().st_size
    print(f"{total} bytes")


if __name__ == "__main__":
    main()
