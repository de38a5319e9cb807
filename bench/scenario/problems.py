"""What is wrong with a file: one sentence per fault, with file and line.

Rules of this file:

* A fault is reported once, where a person would repair it; all faults of a file are reported together.
* The text says what was found and what would be right; a hint names the nearest known word.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Problem:
    """One fault of an input file."""

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}: {self.message}{tail}"


class InputErrors(ValueError):
    """A file cannot be used; :attr:`problems` lists every fault that was found, in order of lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class ScenarioErrors(InputErrors):
    """A scenario file cannot be used."""


class TestbedErrors(InputErrors):
    """A testbed file cannot be used."""

    __test__ = False  # pytest must not take the name for a test class


@dataclass
class Problems:
    """Collects faults of one file while it is being read."""

    file: str
    found: list[Problem] = field(default_factory=list)

    def add(self, line: int, message: str, hint: str = "", *, file: str | None = None) -> None:
        """Record a fault at `line` (from 1) of this file, or of `file`."""
        self.found.append(Problem(file or self.file, line, message, hint))

    def unknown(self, line: int, what: str, word: str, known: Iterable[str]) -> None:
        """Record a word that nobody knows, with the nearest known ones."""
        self.add(line, f"unknown {what} '{shorten(word)}'", did_you_mean(word, known))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the known words nearest to `word`, or an empty string."""
    by_fold: dict[str, str] = {}
    for name in known:
        by_fold.setdefault(name.casefold(), name)
    folded = word.casefold()[:80]
    near = difflib.get_close_matches(folded, by_fold, n=2, cutoff=0.6)
    if len(near) == 2:
        first, second = (difflib.SequenceMatcher(None, name, folded).ratio() for name in near)
        near = near if first - second < 0.05 else near[:1]
    if not near and len(word) >= 4:
        near = [fold for fold in by_fold if fold.rpartition(".")[2] == word.casefold().rpartition(".")[2]][:2]
    if not near:
        return ""
    return "did you mean " + " or ".join(f"'{by_fold[fold]}'" for fold in near) + "?"


def shorten(text: str, limit: int = 60) -> str:
    """Make any text fit into a message of one line."""
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"
