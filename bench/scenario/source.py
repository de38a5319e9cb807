"""YAML text into nodes with positions; nothing is guessed.

Rules of this file:

* Every scalar stays the text that was written: ``NO``, ``1e3``, ``010``, ``1.2.840`` are strings.  Whether a text is
  a number is decided by the field that reads it.
* Refused, with the line: duplicate keys, tags, several documents, keys that are no scalars, merge keys, files above
  :data:`MAX_BYTES`, deeper than :data:`MAX_DEPTH`, or larger than :data:`MAX_NODES` after aliases are followed.
* The tree is built from parser events without recursion, so that no input can exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bench.scenario.problems import Problems, shorten

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 24
MAX_NODES: Final = 50_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset({"", "~", "null"})


@dataclass(slots=True)
class Scalar:
    """A scalar as written; `plain` means without quotes."""

    text: str
    plain: bool
    line: int

    @property
    def is_null(self) -> bool:
        """Tell whether nothing was written (``key:``, ``~`` or ``null`` without quotes)."""
        return self.plain and self.text in _NULLS


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """A mapping; keys are unique."""

    line: int
    pairs: list[tuple[Scalar, Node]] = field(default_factory=list)

    def get(self, key: str) -> Node | None:
        """Return the value of `key`, or None."""
        return next((value for name, value in self.pairs if name.text == key), None)

    def items(self) -> Iterator[tuple[Scalar, Node]]:
        """Yield key and value in the order of the file."""
        return iter(self.pairs)


Node = Scalar | Sequence | Mapping


def describe(node: Node) -> str:
    """Say what a node is, for messages."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    return "nothing" if node.is_null else f"'{shorten(node.text)}'"


def read_text(path: Path, problems: Problems, line: int = 1) -> str | None:
    """Read a file of at most :data:`MAX_BYTES` as UTF-8; a fault is recorded at `line` of the file being read."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(line, f"cannot be read: {error.strerror or error}")
        return None
    if len(raw) > MAX_BYTES:
        problems.add(line, f"larger than {MAX_BYTES // 1000} kB")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add(raw.count(b"\n", 0, error.start) + 1, f"not UTF-8 (byte {raw[error.start]:#04x})")
        return None


def parse(text: str, problems: Problems) -> Node | None:
    """Parse one YAML document; None when it is empty or beyond repair (then a fault is recorded)."""
    if len(text) > MAX_BYTES:
        problems.add(1, f"larger than {MAX_BYTES // 1000} kB")
        return None
    try:
        return _Builder(problems).build(text)
    except _Refused:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        problems.add(mark.line + 1 if mark else 1, f"not YAML: {what}", _yaml_hint(error.problem or ""))
    except yaml.YAMLError as error:  # the reader: characters that YAML does not allow
        position = getattr(error, "position", 0)
        problems.add(text.count("\n", 0, position) + 1, "not YAML: a control character")
    return None


def _yaml_hint(problem: str) -> str:
    if "start any token" in problem:
        return "a text that begins with @, `, % or a tab needs quotes"
    if "mapping values are not allowed" in problem:
        return "a text with ': ' in it needs quotes; otherwise check the indentation"
    return ""


class _Refused(Exception):
    """The document as a whole is refused; the fault is recorded."""


@dataclass(slots=True)
class _Open:
    node: Sequence | Mapping
    anchor: str | None
    before: int
    key: Scalar | None = None
    seen: dict[str, int] = field(default_factory=dict)


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.anchors: dict[str, tuple[Node, int, int]] = {}  # name -> node, nodes in it, its depth
        self.open: list[_Open] = []
        self.depths: list[int] = []  # deepest level below each open node
        self.total = 0
        self.documents = 0
        self.root: Node | None = None

    def refuse(self, line: int, message: str) -> _Refused:
        self.problems.add(line, message)
        return _Refused()

    def build(self, text: str) -> Node | None:
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1 if event.start_mark is not None else 1
            if isinstance(event, yaml.ScalarEvent):
                if event.tag is not None:
                    self.tag(event.tag, line)
                self.count(1, line)
                self.place(Scalar(event.value, not event.style, line), event.anchor, 1, 1, line)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self.tag(event.tag, line)
                self.count(1, line)
                mapping = isinstance(event, yaml.MappingStartEvent)
                fresh: Mapping | Sequence = Mapping(line) if mapping else Sequence(line)
                self.open.append(_Open(fresh, event.anchor, self.total))
                self.depths.append(0)
                if len(self.open) > MAX_DEPTH:
                    raise self.refuse(line, f"nested deeper than {MAX_DEPTH} levels")
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                done = self.open.pop()
                depth = self.depths.pop() + 1
                self.place(done.node, done.anchor, self.total - done.before + 1, depth, done.node.line)
            elif isinstance(event, yaml.AliasEvent):
                self.alias(event.anchor or "", line)
            elif isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    raise self.refuse(line, "a second document ('---'): one file holds one document")
        return self.root

    def tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag != "!":
            self.problems.add(line, f"YAML tag '{shorten(tag)}': tags are not used here")

    def count(self, nodes: int, line: int) -> None:
        self.total += nodes
        if self.total > MAX_NODES:
            raise self.refuse(line, f"more than {MAX_NODES} values (aliases followed)")

    def alias(self, name: str, line: int) -> None:
        if any(level.anchor == name for level in self.open):
            raise self.refuse(line, f"alias '*{shorten(name)}' stands inside its own anchor")
        if name not in self.anchors:
            raise self.refuse(line, f"alias '*{shorten(name)}' has no anchor")
        node, nodes, depth = self.anchors[name]
        self.count(nodes, line)
        if len(self.open) + depth > MAX_DEPTH:
            raise self.refuse(line, f"nested deeper than {MAX_DEPTH} levels")
        self.place(node, None, nodes, depth, line)

    def place(self, node: Node, anchor: str | None, nodes: int, depth: int, line: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (node, nodes, depth)
        if not self.open:
            self.root = node
            return
        self.depths[-1] = max(self.depths[-1], depth)
        level = self.open[-1]
        if isinstance(level.node, Sequence):
            level.node.items.append(node)
            return
        if level.key is None:
            if not isinstance(node, Scalar):
                self.problems.add(line, "a key must be a plain word")
                node = Scalar(f"\0{line}", False, line)  # keeps pairing; never equals a real key
            elif node.text in level.seen:
                first = level.seen[node.text]
                self.problems.add(line, f"key '{shorten(node.text)}' is there twice (first in line {first})")
            level.key = node
            return
        key, level.key = level.key, None
        if key.text in level.seen or key.text.startswith("\0"):
            return
        level.seen[key.text] = key.line
        level.node.pairs.append((key, node))


def plain(text: str) -> Any:
    """Return the values of one of the project's own data files (safe YAML, with the quick parser where it is there)."""
    return yaml.load(text, Loader=_LOADER)  # noqa: S506  # one of the two safe loaders
