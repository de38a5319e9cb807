"""Strict reading of YAML nodes: every fault is recorded with its line, and reading goes on.

A fault never raises: a part that cannot be read is replaced by something empty, so that all faults of a file are told
together.  The file is refused when any was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, TypeVar

from bench.scenario import source
from bench.scenario.problems import Problems, did_you_mean, shorten

T = TypeVar("T")
_UID: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


class Fields:
    """The keys of one mapping: unknown keys are faults, and every reader below names the key it reads."""

    def __init__(
        self, problems: Problems, node: source.Node | None, known: Collection[str], what: str
    ) -> None:
        self.problems = problems
        self.what = what
        self.line = node.line if node is not None else 1
        self.nodes: dict[str, source.Node] = {}
        if isinstance(node, source.Mapping):
            for key, value in node.items():
                if key.text in known:
                    self.nodes[key.text] = value
                else:
                    problems.unknown(key.line, f"key of {what}", key.text, known)
        elif node is not None:
            self.fault(node.line, f"{what} must be a mapping, not {source.describe(node)}")

    def __contains__(self, key: str) -> bool:
        return key in self.nodes

    def line_of(self, key: str) -> int:
        """Return the line of a key's value, or that of the mapping."""
        node = self.nodes.get(key)
        return node.line if node is not None else self.line

    def fault(self, line: int, message: str, hint: str = "") -> None:
        """Record a fault."""
        self.problems.add(line, message, hint)

    def require(self, *keys: str) -> None:
        """Record a fault for every key that is missing."""
        for key in keys:
            if key not in self.nodes:
                self.fault(self.line, f"{self.what} has no '{key}'")

    def text(self, key: str, *, empty: bool = False) -> str:
        """Return a text; '' when the key is absent or at fault."""
        node = self.nodes.get(key)
        return "" if node is None else self._scalar(node, key, empty=empty)

    def one_of(self, key: str, known: Collection[str], what: str) -> str:
        """Return one of the known words; '' when absent or at fault."""
        word = self.text(key)
        if word and word not in known:
            self._unknown(self.line_of(key), what, word, known)
            return ""
        return word

    def texts(self, key: str, check: Callable[[str, int], None] | None = None) -> tuple[str, ...]:
        """Return a list of texts (a single text counts as a list of one), each checked."""
        node = self.nodes.get(key)
        if node is None:
            return ()
        items = node.items if isinstance(node, source.Sequence) else [node]
        if not items:
            self.fault(node.line, f"'{key}' is an empty list")
        found = []
        for item in items:
            if text := self._scalar(item, key):
                found.append(text)
                if check is not None:
                    check(text, item.line)
        if len(set(found)) < len(found):
            twice = next(text for text in found if found.count(text) > 1)
            self.fault(node.line, f"'{shorten(twice)}' is listed twice in '{key}'")
        return tuple(found)

    def number(self, key: str) -> int:
        """Return a number from 0; 0 when absent or at fault."""
        text = self.text(key)
        if text and not re.fullmatch(r"\d{1,4}", text):
            self.fault(self.line_of(key), f"'{key}' must be a number, not '{shorten(text)}'")
            return 0
        return int(text or 0)

    def truth(self, key: str) -> bool:
        """Return true or false; false when absent or at fault."""
        return self.one_of(key, ("true", "false"), f"value of '{key}'") == "true"

    def uid(self, key: str, text: str, line: int, types: Mapping[str, str], wanted: str) -> str:
        """Check a UID: its syntax, and for the standard's own that it exists and is of the wanted type."""
        if not _UID.fullmatch(text) or len(text) > 64:
            self.fault(line, f"'{shorten(text)}' in '{key}' is no UID")
        elif text.startswith("1.2.840.10008."):
            if text not in types:
                near = (uid for uid, kind in types.items() if wanted in kind)
                self.fault(line, f"unknown UID '{text}' in '{key}'", did_you_mean(text, near))
            elif wanted not in types[text]:
                self.fault(line, f"UID '{text}' in '{key}' is a {types[text]}, not a {wanted}")
        return text

    def items(self, key: str) -> Iterator[source.Node]:
        """Yield the members of a list."""
        node = self.nodes.get(key)
        if isinstance(node, source.Sequence):
            yield from node.items
        elif node is not None and not (isinstance(node, source.Scalar) and node.is_null):
            self.fault(node.line, f"'{key}' must be a list, not {source.describe(node)}")

    def pairs(self, key: str) -> Iterator[tuple[source.Scalar, source.Node]]:
        """Yield keys and values of a mapping with free keys."""
        node = self.nodes.get(key)
        if isinstance(node, source.Mapping):
            yield from node.items()
        elif node is not None:
            self.fault(node.line, f"'{key}' must be a mapping, not {source.describe(node)}")

    def _scalar(self, node: source.Node, key: str, *, empty: bool = False) -> str:
        if not isinstance(node, source.Scalar):
            self.fault(node.line, f"'{key}' must be a text, not {source.describe(node)}")
            return ""
        if node.is_null or (not node.text.strip() and not empty):
            self.fault(node.line, f"'{key}' is empty")
            return ""
        return node.text

    def _unknown(self, line: int, what: str, word: str, known: Collection[str]) -> None:
        hint = did_you_mean(word, known)
        if not hint and len(known) <= 8:
            hint = "known: " + ", ".join(known)
        self.fault(line, f"unknown {what} '{shorten(word)}'", hint)
