"""The reference part of docs/scenarios.md, made from the registry.

Rules of this file:

* What stands between the markers of the page is generated: ``python -m bench.scenario.reference`` writes it, a test
  compares it.  Everything else on the page is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.kinds import KINDS, is_strict
from bench.scenario.loader import TOP_LEVEL
from bench.scenario.matchers import OPERATORS
from bench.scenario.reading import MODIFIERS
from bench.scenario.setup import ONLY, SETUP
from bench.scenario.spec import MEDIA, PEERS, PRODUCTS, StepSpec
from bench.scenario.steps import REGISTRY

_FAMILIES: Final = {
    "operator": "The operator",
    "ris": "The RIS",
    "pacs": "DICOM peers: `ris`, `pacs`, `pacs2`, `printer`",
    "host": "Services",
    "link": "Cables",
    "detector": "The detector",
    "generator": "The generator",
    "panel": "Hand switch, foot switch, freeze key, barcode reader",
    "world": "The world",
    "ultrasound": "The ultrasound front end",
    "usb": "Media: `usb`, `sd`",
    "sut": "The modality's power",
    "bench": "Time",
}


def sections() -> dict[str, str]:
    """Return the generated text of every marker."""
    return {
        "keys": _table(("key", "what it is"), ((f"`{key}`", doc) for key, doc in TOP_LEVEL.items())),
        "matchers": _table(("matcher", "it asks for"), ((f"`{op}`", doc) for op, doc in OPERATORS.items())),
        "modifiers": _table(
            ("step", "key", "what it is"),
            ((f"`{head}`", f"`{key}`", doc) for head, keys in _modifiers() for key, doc in keys.items()),
        ),
        "setup": _table(("key", "value", "what it is"), _setup()),
        "steps": _steps(),
        "events": _table(
            ("event", "strict", "what happened"),
            ((f"`{kind}`", "yes" if is_strict(kind) else "", doc) for kind, doc in KINDS.items()),
        ),
    }


def _modifiers() -> Iterable[tuple[str, dict[str, str]]]:
    names = {"act": "any step that does something", "operator": "operator.…"}
    return ((names.get(head, head), keys) for head, keys in MODIFIERS.items() if keys)


def _setup() -> Iterable[tuple[str, str, str]]:
    for item in SETUP.fields:
        inner = getattr(item.type, "fields", None)
        doc = item.doc + (f". Only {ONLY[item.name]}" if item.name in ONLY else "")
        if inner is None:
            yield f"`{item.name}`", item.type.words, doc
            continue
        yield f"`{item.name}`", "a mapping of:", doc
        for part in inner:
            yield f"`{item.name}: {{{part.name}: …}}`", part.type.words, part.doc


def _steps() -> str:
    out: list[str] = []
    shown: set[str] = set()
    for family, title in _FAMILIES.items():
        specs = [spec for spec in REGISTRY.values() if spec.family == family and spec.verb not in shown]
        if family == "ris":  # what every peer can do is shown once, as pacs.*
            specs = [spec for spec in specs if f"pacs.{spec.what}" not in REGISTRY]
        if not specs:
            continue
        rows = [_row(spec) for spec in specs]
        out.append(f"### {title}\n\n" + _table(("step", "fields", "what it does"), rows))
    assert all(f"pacs.{spec.what}" in REGISTRY for spec in REGISTRY.values() if spec.family in PEERS[2:])
    assert all(f"usb.{spec.what}" in REGISTRY for spec in REGISTRY.values() if spec.family in MEDIA)
    return "\n".join(out)


def _row(spec: StepSpec) -> tuple[str, str, str]:
    fields = [
        f"`{item.name}`{' (needed)' if item.required else ''}: {item.type.words}; {item.doc}"
        for item in spec.fields
        if item.name != "timeout"
    ]
    if spec.keywords is not None:
        fields.insert(0, "any DICOM keyword")
    does = spec.summary
    if spec.fault:
        does += f" Fault; `{spec.undone_by}` ends it."
    if spec.products != PRODUCTS:
        does += f" Only {', '.join(spec.products)}."
    if spec.results:
        does += " Gives " + ", ".join(f"`{name}`" for name in spec.results) + "."
    return f"`{spec.verb}`", "<br>".join(fields), does


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def fill(page: str) -> str:
    """Return the page with its generated parts made anew; ValueError when a marker is missing."""
    for name, text in sections().items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"the page has no part '{name}'")
        before, rest = page.split(begin)
        after = rest.split(end)[1]
        page = f"{before}{begin}\n\n{text}\n{end}{after}"
    return page


def main(arguments: list[str]) -> int:
    """Write the generated parts of the page that is named (docs/scenarios.md)."""
    path = Path(arguments[0] if arguments else "docs/scenarios.md")
    path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
