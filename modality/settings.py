"""Settings files: YAML read strictly, every fault with its line.

Rules of this file:

* Every fault is reported as ``FILE:LINE: message``, all of them at once; nothing is started on a bad file.
* Scalars are read as the *expected* type, never as the type YAML would guess: an AE title ``0123`` or ``NO``
  stays text.
* An unknown key is an error with a suggestion.
* What an operator changed in the preference dialog is laid over the file and passes the same checks.
* Nothing here knows what a setting means: that is :mod:`modality.config` and the products' own.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

Settings = TypeVar("Settings")


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` has one line per fault."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Section:
    """One YAML mapping: typed access with every fault noted at its line, and unknown keys at the end."""

    def __init__(self, name: str, path: str, node: yaml.Node | None, problems: list[str]) -> None:
        self._name, self._path, self._problems = name, path, problems
        self._seen: set[str] = set()
        self._entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self.line = node.start_mark.line + 1 if node is not None else 1
        if node is None or is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{path or 'the file'} must be a mapping of settings")
            return
        for key, value in node.value:
            if key.value in self._entries:
                self._fault(key, f"{self._full(key.value)} is given twice")
            self._entries[key.value] = (key, value)

    def _full(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _fault(self, node: yaml.Node | None, text: str) -> None:
        line = node.start_mark.line + 1 if node is not None else self.line
        self._problems.append(f"{self._name}:{line}: {text}")

    def node(self, key: str) -> yaml.Node | None:
        """The value's node, or None when the key is absent or null."""
        self._seen.add(key)
        entry = self._entries.get(key)
        return None if entry is None or is_null(entry[1]) else entry[1]

    def _scalar(self, key: str, what: str) -> tuple[yaml.Node, str] | None:
        node = self.node(key)
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, f"{self._full(key)} must be {what}")
            return None
        return node, str(node.value)

    def text(self, key: str, default: str = "", *, required: bool = False, limit: int = 1024) -> str:
        """A string of at most ``limit`` characters, as written."""
        found = self._scalar(key, "text")
        if found is None:
            if required and key not in self._entries:
                self._fault(None, f"{self._full(key)} is missing")
            elif required:
                self._fault(self._entries[key][0], f"{self._full(key)} must have a value")
            return default
        node, value = found
        if len(value) > limit:
            self._fault(node, f"{self._full(key)} is longer than {limit} characters")
        return value

    def ae(self, key: str, default: str = "", *, required: bool = False) -> str:
        """An AE title: 1 to 16 characters of the default repertoire without backslash (PS3.5 6.2)."""
        value = self.text(key, default, required=required)
        node = self.node(key)
        good = value.strip() and len(value) <= 16 and "\\" not in value
        if node is not None and not (good and all(" " <= c <= "~" for c in value)):
            self._fault(
                node, f"{self._full(key)}: {value!r} is no AE title (1 to 16 ASCII characters, no \\)"
            )
        return value

    def integer(self, key: str, default: int, low: int, high: int, *, required: bool = False) -> int:
        """A decimal integer between ``low`` and ``high``."""
        found = self._scalar(key, "an integer")
        if found is None:
            if required:
                self._fault(None, f"{self._full(key)} is missing")
            return default
        node, value = found
        if not value.lstrip("-").isascii() or not value.lstrip("-").isdigit():
            self._fault(node, f"{self._full(key)} must be an integer, not {value!r}")
            return default
        if not low <= int(value) <= high:
            self._fault(node, f"{self._full(key)} must be between {low} and {high}")
            return default
        return int(value)

    def number(self, key: str, default: float, low: float = 0.001, high: float = 86400.0) -> float:
        """A finite number between ``low`` and ``high``."""
        found = self._scalar(key, "a number")
        if found is None:
            return default
        node, value = found
        try:
            number = float(value)
        except ValueError:
            self._fault(node, f"{self._full(key)} must be a number, not {value!r}")
            return default
        if not low <= number <= high:
            self._fault(node, f"{self._full(key)} must be between {low:g} and {high:g}")
            return default
        return number

    def boolean(self, key: str, default: bool) -> bool:
        """``true`` or ``false`` (also yes, no, on, off)."""
        found = self._scalar(key, "true or false")
        if found is None:
            return default
        node, value = found
        if value.lower() in ("true", "yes", "on"):
            return True
        if value.lower() not in ("false", "no", "off"):
            self._fault(node, f"{self._full(key)} must be true or false, not {value!r}")
        return False if value.lower() in ("false", "no", "off") else default

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        """One of the given words."""
        value = self.text(key, default)
        if value not in choices:
            self._fault(
                self.node(key), f"{self._full(key)} must be one of {', '.join(choices)}, not {value!r}"
            )
            return default
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of strings; a single string is a list of one."""
        node = self.node(key)
        if node is None:
            return default
        if isinstance(node, yaml.ScalarNode):
            return (str(node.value),)
        if isinstance(node, yaml.SequenceNode) and all(isinstance(n, yaml.ScalarNode) for n in node.value):
            return tuple("" if is_null(n) else str(n.value) for n in node.value)
        self._fault(node, f"{self._full(key)} must be a list of texts")
        return default

    def section(self, key: str) -> Section:
        """A nested mapping (empty when absent)."""
        return Section(self._name, self._full(key), self.node(key), self._problems)

    def sections(self, key: str) -> list[Section]:
        """A list of mappings."""
        node = self.node(key)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._fault(node, f"{self._full(key)} must be a list")
            return []
        return [
            Section(self._name, f"{self._full(key)}[{index}]", item, self._problems)
            for index, item in enumerate(node.value)
        ]

    def plain(self, key: str) -> dict[str, Any]:
        """A mapping that another part checks (driver settings), with YAML's own types."""
        node = self.node(key)
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{self._full(key)} must be a mapping of settings")
            return {}
        loader = yaml.SafeLoader("")
        try:
            value = loader.construct_document(node)
        finally:
            loader.dispose()
        return dict(value)

    def fault(self, key: str, text: str) -> None:
        """Note a fault at the value of ``key``."""
        self._fault(self.node(key), f"{self._full(key)}: {text}")

    def __contains__(self, key: str) -> bool:
        return self.node(key) is not None

    def given(self) -> list[str]:
        """The keys that were given."""
        return list(self._entries)

    def done(self) -> None:
        """Report every key that nobody asked for."""
        for key, (node, _) in self._entries.items():
            if key not in self._seen:
                near = difflib.get_close_matches(key, self._seen, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self._fault(node, f"unknown setting {self._full(key)!r}{hint}")


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~", "null")


def _lay(below: yaml.Node | None, above: yaml.Node) -> yaml.Node:
    """The settings of ``above`` over those of ``below`` (mappings merge, everything else replaces)."""
    if not isinstance(below, yaml.MappingNode) or not isinstance(above, yaml.MappingNode):
        return above
    entries = {key.value: (key, value) for key, value in below.value}
    for key, value in above.value:
        known = entries.get(key.value)
        entries[key.value] = (known[0] if known else key, _lay(known[1] if known else None, value))
    return yaml.MappingNode(below.tag, list(entries.values()), below.start_mark, below.end_mark)


def load(
    path: Path, read: Callable[[Section], Settings], changes: Mapping[str, Any] | None = None
) -> Settings:
    """Read a settings file with the product's own reader; ``changes`` are settings the operator made since.

    Raises:
        ConfigError: the file cannot be read or has faults; nothing of it is used then.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    return parse(source, str(path), read, changes)


def parse(
    source: str,
    name: str,
    read: Callable[[Section], Settings],
    changes: Mapping[str, Any] | None = None,
) -> Settings:
    """Check YAML text and build the settings; ``name`` stands in error messages.

    Raises:
        ConfigError: with every fault found.
    """
    try:
        node = yaml.compose(source, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ConfigError([f"{name}:{line}: no valid YAML: {getattr(error, 'problem', error)}"]) from None
    if changes and node is not None:
        above = yaml.compose(json.dumps(changes), Loader=yaml.SafeLoader)
        assert above is not None
        node = _lay(node, above)
    problems: list[str] = []
    top = Section(name, "", node, problems)
    settings = read(top)
    top.done()
    if problems:
        raise ConfigError(problems)
    return settings
