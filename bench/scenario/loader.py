"""Reads scenario files.

Rules of this file:

* All faults of a file are found in one go; a file with a fault gives no scenario.
* What a key may hold is declared in the registry and the tables below; nothing is accepted and ignored.
* Loading touches nothing but the file and the worklist items beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from bench.scenario import matrix as matrix_of
from bench.scenario.fields import (
    DURATION,
    INVALID,
    Context,
    Enum,
    Field,
    FieldType,
    ListOf,
    Number,
    Record,
    Text,
)
from bench.scenario.model import Allow, Scenario
from bench.scenario.problems import Problems, ScenarioErrors, did_you_mean, shorten
from bench.scenario.reading import StepReader, read_event_test
from bench.scenario.setup import SETUP, only_others
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node, Scalar, describe, parse, read_text
from bench.scenario.source import Sequence as SequenceNode
from bench.scenario.spec import (
    BENCH_NAMES,
    CHARSET,
    LINK_HOSTS,
    LINK_MODE,
    MEDIA,
    PRODUCT,
    SHORT_REQUESTS,
)
from bench.statements import clause_ids

NAME_PATTERN: Final = r"[a-z0-9]+(-[a-z0-9]+)*"
AXIS_PATTERN: Final = r"[a-z][a-z0-9_]{0,30}"
MAX_STEPS: Final = 2000

_NAME: Final = Text("a name of small letters, digits and single hyphens", NAME_PATTERN, 80)
_IHE: Final = Text(
    "an IHE profile and transaction like `SWF.b RAD-8`", r"[A-Za-z0-9.-]{2,12}( [A-Z]{2,5}-\d{1,3})?", 40
)
_MARK: Final = Text("a pytest mark", r"[a-z_][a-z0-9_]{0,40}", 41)
_DETECTOR_SIZE: Final = Text("a size in pixels like `3072x3072`", r"[1-9]\d{1,4}x[1-9]\d{1,4}")
_BITS: Final = Enum(("14", "16"), "bits")

MESSAGES: Final = Record(
    tuple(
        Field(name, Number(whole=True, low=0, high=1_000_000), f"how many {name}-RQ")
        for name in SHORT_REQUESTS
    )
)

_SIMPLE: Final[dict[str, FieldType]] = {
    "scenario": _NAME,
    "title": Text("a title in one line", r"[^\n]*", 120),
    "purpose": Text("text", longest=4000),
    "product": PRODUCT,
    "ihe": ListOf(_IHE),
    "marks": ListOf(_MARK),
    "timeout": DURATION,
    "messages": MESSAGES,
}
TOP_LEVEL: Final[dict[str, str]] = {
    "scenario": "the name; part of every cell's id",
    "title": "one line for people",
    "purpose": "why this scenario exists: the defect it would find",
    "product": "which product's statement: `vxvue` or `mx1`",
    "covers": "clauses of the statement that it exercises",
    "ihe": "IHE transactions that it exercises",
    "marks": "pytest marks",
    "timeout": "limit of one cell",
    "messages": "how many DIMSE requests of each kind the whole cell carries; what is not named: none",
    "matrix": "axes and their values",
    "exclude": "combinations of axis values that are left out",
    "setup": "settings of the modality and the simulators",
    "allow": "events that need no expectation",
    "steps": "what is done and expected, in order",
}
_REQUIRED: Final = ("scenario", "product", "steps")


def load(path: Path | str, *, label: str | None = None) -> Scenario:
    """Read a scenario file; raises :class:`ScenarioErrors` with every fault.

    `label` is the file's name in messages (else `path` as given).
    """
    path = Path(path)
    problems = Problems(label or str(path))
    text = read_text(path, problems)
    if text is None:
        raise ScenarioErrors(problems.found)
    return _load(text, problems, path.parent)


def load_text(text: str, *, file: str = "<text>", base: Path | None = None) -> Scenario:
    """Read a scenario from text; worklist files are looked for in `base` (None: there are none)."""
    return _load(text, Problems(file), base)


def _load(text: str, problems: Problems, base: Path | None) -> Scenario:
    root = parse(text, problems)
    if root is None:
        if not problems.found:
            problems.add(1, "the file is empty")
        raise ScenarioErrors(problems.found)
    scenario = _Loader(problems, base, text.splitlines()).scenario(root)
    if problems.found or scenario is None:
        raise ScenarioErrors(problems.found)
    return scenario


class _Loader:
    def __init__(self, problems: Problems, base: Path | None, lines: list[str]) -> None:
        self.problems = problems
        self.lines = lines
        names: dict[str, frozenset[str] | None] = {
            name: frozenset({"ae", "host", "port"}) for name in BENCH_NAMES
        }
        names["cell"] = frozenset({"id", "seed"})
        self.ctx = Context(problems, base, names=names)

    def scenario(self, root: Node) -> Scenario | None:
        if not isinstance(root, MappingNode):
            self.problems.add(
                root.line,
                f"a scenario is a mapping with the keys scenario, product, steps, not {describe(root)}",
            )
            return None
        for key, _ in root.items():
            if key.text not in TOP_LEVEL:
                self.problems.unknown(key.line, "key", key.text, TOP_LEVEL)
        for name in _REQUIRED:
            if root.get(name) is None:
                self.problems.add(root.line, f"'{name}' is missing", TOP_LEVEL[name])
        found: dict[str, Any] = {}
        self.ctx.allow_refs = False
        for name, kind in _SIMPLE.items():
            node = root.get(name)
            if node is not None:
                value = kind.read(node, self.ctx, name)
                if value is not INVALID:
                    found[name] = value
        product = found.get("product")
        covers = self._each(root.get("covers"), "covers", lambda node: self._clause(node, product))
        axes = self._matrix(root.get("matrix"))
        if isinstance(root.get("matrix"), MappingNode):
            only_others(root.get("matrix"), product, self.problems, "matrix")  # type: ignore[arg-type]
        exclude = self._exclude(root.get("exclude"), axes)
        self.ctx.axes = axes
        if not self.problems.found:
            self.ctx.cells = matrix_of.cells(axes, exclude, "full", {})
        self.ctx.allow_refs = True
        setup = self._setup(root.get("setup"), product)
        allow = self._each(root.get("allow"), "allow", self._allow)
        steps = StepReader(self.ctx, self.lines, product, self._media(root.get("setup"))).read(
            root.get("steps")
        )
        self._unused_axes(root.get("matrix"), axes)
        if self.problems.found:
            return None
        return Scenario(
            name=found["scenario"],
            file=self.problems.file,
            line=root.line,
            product=found["product"],
            title=found.get("title", ""),
            purpose=found.get("purpose", "").strip(),
            covers=tuple(covers),
            ihe=found.get("ihe", ()),
            marks=found.get("marks", ()),
            timeout_s=found.get("timeout"),
            messages=found.get("messages"),
            matrix=axes,
            exclude=exclude,
            setup=setup,
            allow=tuple(allow),
            steps=steps,
        )

    def _each(self, node: Node | None, what: str, read: Callable[[Node], Any]) -> list[Any]:
        """Read every entry of a list; a single value may stand without brackets."""
        if node is None:
            return []
        nodes: Iterable[Node] = node.items if isinstance(node, SequenceNode) else [node]
        out = []
        for entry in nodes:
            value = read(entry)
            if value is not None:
                if value in out:
                    self.problems.add(entry.line, f"{what}: {describe(entry)} is there twice")
                out.append(value)
        return out

    def _clause(self, node: Node, product: str | None) -> str | None:
        if not isinstance(node, Scalar) or node.is_null:
            self.problems.add(node.line, f"covers: expected the id of a clause, not {describe(node)}")
            return None
        known = clause_ids()
        if node.text not in known:
            self.problems.unknown(node.line, "clause in covers:", node.text, known)
            return None
        if product is not None and not node.text.startswith({"vxvue": "VX-", "mx1": "MX-"}[product]):
            self.problems.add(node.line, f"covers: {node.text} is no clause of {product}")
            return None
        return node.text

    def _matrix(self, node: Node | None) -> dict[str, tuple[str, ...]]:
        axes: dict[str, tuple[str, ...]] = {}
        if node is None:
            return axes
        if not isinstance(node, MappingNode):
            self.problems.add(node.line, f"matrix: expected a mapping of axes to lists, not {describe(node)}")
            return axes
        total = 1
        for key, values_node in node.items():
            kind = self._axis_type(key)
            if kind is None:
                continue
            nodes = values_node.items if isinstance(values_node, SequenceNode) else [values_node]
            values: list[str] = []
            for entry in nodes:
                value = kind.read(entry, self.ctx, f"matrix: {key.text}")
                if value is INVALID:
                    continue
                if value in values:
                    self.problems.add(entry.line, f"matrix: {key.text}: '{shorten(value)}' is there twice")
                values.append(value)
            if not nodes:
                self.problems.add(key.line, f"matrix: {key.text} has no values")
            # An axis with a wrong value stays known, so that one fault is not reported at every use.
            axes[key.text] = tuple(dict.fromkeys(values))
            total *= max(1, len(values))
        if total > matrix_of.MAX_CELLS:
            self.problems.add(node.line, f"matrix: {total} cells, at most {matrix_of.MAX_CELLS} are allowed")
            return {}
        return axes

    def _axis_type(self, key: Scalar) -> FieldType | None:
        name = key.text
        if name == "link" or (name.startswith("link.") and name[5:] in LINK_HOSTS):
            return LINK_MODE
        if name == "charset":
            return CHARSET
        if name == "detector":
            return _DETECTOR_SIZE
        if name == "bits":
            return _BITS
        if re.fullmatch(AXIS_PATTERN, name) and name != "product":
            return Text("a value", longest=200, empty=True)
        known = ["link", "charset", "detector", "bits", *(f"link.{host}" for host in LINK_HOSTS)]
        hint = did_you_mean(name, known) or "small letters, digits and _; or link.<host>"
        self.problems.add(key.line, f"matrix: '{shorten(name)}' cannot be an axis", hint)
        return None

    def _unused_axes(self, node: Node | None, axes: dict[str, tuple[str, ...]]) -> None:
        if not isinstance(node, MappingNode):
            return
        for key, _ in node.items():
            name = key.text
            meaningful = name in ("link", "charset", "detector", "bits") or name.startswith("link.")
            if name in axes and not meaningful and name not in self.ctx.used_axes and not self.problems.found:
                self.problems.add(
                    key.line,
                    f"matrix: '{name}' changes nothing: no ${{matrix.{name}}} is used",
                    did_you_mean(name, ["link", "charset", "detector", "bits"]),
                )

    def _exclude(
        self, node: Node | None, axes: dict[str, tuple[str, ...]]
    ) -> tuple[dict[str, tuple[str, ...]], ...]:
        if node is None:
            return ()
        rules: list[dict[str, tuple[str, ...]]] = []
        for entry in node.items if isinstance(node, SequenceNode) else [node]:
            if not isinstance(entry, MappingNode) or not entry.pairs:
                self.problems.add(entry.line, "exclude: expected mappings of axes to values")
                continue
            rule: dict[str, tuple[str, ...]] = {}
            for key, values_node in entry.items():
                if key.text not in axes:
                    self.problems.unknown(key.line, "axis in exclude:", key.text, axes)
                    continue
                values = []
                for value in values_node.items if isinstance(values_node, SequenceNode) else [values_node]:
                    if not isinstance(value, Scalar) or value.text not in axes[key.text]:
                        self.problems.add(
                            value.line,
                            f"exclude: {key.text} has no value {describe(value)}",
                            did_you_mean(getattr(value, "text", ""), axes[key.text]),
                        )
                    else:
                        values.append(value.text)
                rule[key.text] = tuple(values)
            rules.append(rule)
        if axes and not self.problems.found and not matrix_of.cells(axes, rules, "smoke", {}):
            self.problems.add(node.line, "exclude: no cell is left")
        return tuple(rules)

    @staticmethod
    def _media(node: Node | None) -> tuple[str, ...]:
        """Return the media that the setup names, whether or not it can be read."""
        return tuple(
            place for place in MEDIA if isinstance(node, MappingNode) and node.get(place) is not None
        )

    def _setup(self, node: Node | None, product: str | None) -> dict[str, Any]:
        if node is None:
            return {}
        if isinstance(node, MappingNode):
            only_others(node, product, self.problems, "setup")
        value = SETUP.read(node, self.ctx, "setup")
        return {} if value is INVALID else value

    def _allow(self, node: Node) -> Allow | None:
        if isinstance(node, Scalar):
            test = read_event_test(node, None, None, self.ctx, "allow")
        elif isinstance(node, MappingNode):
            for key, _ in node.items():
                if key.text not in ("event", "where", "dataset"):
                    self.problems.add(
                        key.line,
                        f"allow: unknown key '{shorten(key.text)}'",
                        did_you_mean(key.text, ("event", "where", "dataset"))
                        or "there are event, where, dataset",
                    )
            kind = node.get("event")
            if kind is None:
                self.problems.add(node.line, "allow: 'event' is missing")
                return None
            test = read_event_test(kind, node.get("where"), node.get("dataset"), self.ctx, "allow")
        else:
            self.problems.add(node.line, f"allow: expected an event kind, not {describe(node)}")
            return None
        return None if test is None else Allow(test, node.line)
