"""DICOM attributes as fields: worklist items, matching keys, patient data.

Rules of this file:

* Keys are keywords of PS3.6, or paths like ``ScheduledProcedureStepSequence[0].Modality``.
* Values stay texts for VRs that are texts; they become numbers only for VRs that are numbers (US, FD, …).
* Every value is checked against its VR when the file is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from bench.scenario import dicom
from bench.scenario.dictionary import elements
from bench.scenario.fields import INVALID, Context, read_scalar
from bench.scenario.problems import Problems, shorten
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node, Scalar, describe, parse, read_text
from bench.scenario.source import Sequence as SequenceNode

KEYWORD_PATTERN: Final = r"^[A-Z][A-Za-z0-9]*(\[(\d+|\*)\])?(\.[A-Z][A-Za-z0-9]*(\[(\d+|\*)\])?)*$"
_VALUE_SCHEMA: Final[dict[str, Any]] = {"type": ["string", "number", "boolean", "null", "array", "object"]}
_NUMERIC: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})


@dataclass(frozen=True)
class Keywords:
    """Open fields of a step: any DICOM keyword; with `matching` the values may be wildcards and ranges."""

    matching: bool = False

    def takes(self, key: str) -> bool:
        """Tell whether a key looks like a keyword."""
        return key[:1].isupper()

    def keys_known(self) -> Iterable[str]:
        """Return all keywords."""
        return elements()

    def read_value(self, key: Scalar, node: Node, ctx: Context, what: str) -> Any:
        """Read the value of one keyword."""
        return read_attribute(key, node, ctx, what, matching=self.matching)

    def pattern_schema(self) -> dict[str, Any]:
        """Keywords begin with a capital letter."""
        return {KEYWORD_PATTERN: _VALUE_SCHEMA}


def read_attribute(key: Scalar, node: Node, ctx: Context, what: str, *, matching: bool = False) -> Any:
    """Read one attribute's value: text, number, list of them, or list of items."""
    try:
        path = dicom.parse_path(key.text)
    except ValueError as error:
        ctx.problems.add(key.line, f"{what}: {error}")
        return INVALID
    if any(step.item is not None and step.item < 0 for step in path):
        ctx.problems.add(key.line, f"{what}: {key.text}: write a number in [ ]")
        return INVALID
    element = path[-1]
    here = f"{what}: {key.text}"
    if element.vr == "SQ":
        if element.item is not None:
            return _read_item(node, ctx, here, matching=matching)
        nodes = node.items if isinstance(node, SequenceNode) else [node]
        if len(nodes) == 1 and isinstance(nodes[0], Scalar) and nodes[0].is_null:
            return []
        items = [_read_item(entry, ctx, here, matching=matching) for entry in nodes]
        return INVALID if any(item is INVALID for item in items) else items
    if isinstance(node, SequenceNode):
        values = [read_value(entry, element.vr, ctx, here, matching=matching) for entry in node.items]
        return INVALID if any(value is INVALID for value in values) else values
    return read_value(node, element.vr, ctx, here, matching=matching)


def read_value(node: Node, vr: str, ctx: Context, what: str, *, matching: bool = False) -> Any:
    """Read one value of a VR; nothing written is an empty value."""
    if isinstance(node, Scalar) and node.is_null:
        return ""

    def convert(text: str) -> Any:
        parts = [dicom.check_text(part, vr, matching=matching) for part in dicom.split_values(text, vr)]
        if vr in _NUMERIC:
            numbers = [float(part) if vr in ("FL", "FD") else int(part) for part in parts]
            return numbers[0] if len(numbers) == 1 else numbers or ""
        return "\\".join(parts)

    return read_scalar(node, ctx, what, convert, "a value", text=vr not in _NUMERIC)


def _read_item(node: Node, ctx: Context, what: str, *, matching: bool = False) -> Any:
    if not isinstance(node, MappingNode):
        return ctx.bad(node, f"{what}: expected an item (a mapping of DICOM keywords), not {describe(node)}")
    return read_item(node, ctx, what, matching=matching)


def read_item(node: MappingNode, ctx: Context, what: str, *, matching: bool = False) -> Any:
    """Read a mapping of keywords; paths are unfolded into nested items."""
    out: dict[str, Any] = {}
    valid = True
    for key, value_node in node.items():
        value = read_attribute(key, value_node, ctx, what, matching=matching)
        if value is INVALID:
            valid = False
        elif not _put(out, dicom.parse_path(key.text), value):
            ctx.problems.add(key.line, f"{what}: {key.text} contradicts another key of this item")
            valid = False
    return out if valid else INVALID


def _put(out: dict[str, Any], path: tuple[dicom.PathStep, ...], value: Any) -> bool:
    level = out
    for step in path[:-1]:
        items = level.setdefault(step.keyword, [])
        index = step.item or 0
        if not isinstance(items, list) or index > len(items):
            return False
        if index == len(items):
            items.append({})
        level = items[index]
    last = path[-1]
    if last.item is not None:
        items = level.setdefault(last.keyword, [])
        if not isinstance(items, list) or last.item != len(items):
            return False
        items.append(value)
        return True
    if last.keyword in level:
        return False
    level[last.keyword] = value
    return True


@dataclass(frozen=True)
class Items:
    """A list of worklist items: mappings of keywords, or names of YAML files beside the scenario."""

    most: int = 2000

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read all items, from files too, into a list of dicts."""
        nodes = node.items if isinstance(node, SequenceNode) else [node]
        out: list[Any] = []
        valid = True
        for entry in nodes:
            if isinstance(entry, Scalar) and not entry.is_null:
                items = self._file(entry, ctx, what)
            elif isinstance(entry, MappingNode):
                items = [read_item(entry, ctx, what)]
            else:
                items = [ctx.bad(entry, f"{what}: expected a mapping of DICOM keywords or a file name")]
            valid = valid and not any(item is INVALID for item in items)
            out.extend(items)
        if len(out) > self.most:
            return ctx.bad(node, f"{what}: at most {self.most} items")
        return out if valid else INVALID

    def _file(self, node: Scalar, ctx: Context, what: str) -> list[Any]:
        name = PurePosixPath(node.text)
        if (
            name.is_absolute()
            or "\\" in node.text
            or ":" in node.text
            or name.suffix not in (".yaml", ".yml")
        ):
            return [
                ctx.bad(
                    node, f"{what}: '{shorten(node.text)}' is no name of a .yaml file beside the scenario"
                )
            ]
        if ctx.base is None:
            return [ctx.bad(node, f"{what}: '{shorten(node.text)}': no files can be read here")]
        path = ctx.base / name
        if not path.is_file():
            near = ""
            if path.parent.is_dir():
                from bench.scenario.problems import did_you_mean

                near = did_you_mean(path.name, sorted(p.name for p in path.parent.glob("*.y*ml")))
            return [ctx.bad(node, f"{what}: there is no file '{shorten(node.text)}'", near)]
        if path not in ctx.files:
            ctx.files[path] = self._read_file(path, node, ctx)
        return list(ctx.files[path])

    def _read_file(self, path: Path, node: Scalar, ctx: Context) -> list[Any]:
        folder = Path(ctx.problems.file).parent
        problems = Problems(str(folder / node.text) if str(folder) != "." else node.text)
        inner = Context(problems, axes=ctx.axes, names=ctx.names, used_axes=ctx.used_axes)
        text = read_text(path, problems)
        root = parse(text, problems) if text is not None else None
        nodes = root.items if isinstance(root, SequenceNode) else [root]
        items: list[Any] = []
        for entry in nodes:
            if isinstance(entry, MappingNode):
                items.append(read_item(entry, inner, "worklist item"))
            elif not problems.found:
                problems.add(
                    entry.line if entry else 1, "expected a worklist item: a mapping of DICOM keywords"
                )
        ctx.problems.found.extend(problems.found)
        return [INVALID] if problems.found else items

    def schema(self) -> dict[str, Any]:
        """Give both kinds of entries."""
        item = {
            "type": "object",
            "patternProperties": {KEYWORD_PATTERN: _VALUE_SCHEMA},
            "additionalProperties": False,
        }
        entry = {"anyOf": [{"type": "string", "pattern": r"\.ya?ml$"}, item]}
        return {"anyOf": [{"type": "array", "items": entry}, entry]}

    @property
    def words(self) -> str:
        """Say it."""
        return "a list of worklist items: mappings of DICOM keywords, or names of `.yaml` files beside the scenario"
