"""The names that the kernel knows by number, as long as it does: paths of nodes and nodes of paths.

Rules of this file:

* Names are compared without regard to case, as FAT does.
* A node that was removed or renamed over keeps its number, and what it was, until the kernel forgets it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from bench.volumes.fatnames import fold
from bench.volumes.fuseproto import ROOT, Facts


@dataclass(slots=True)
class Node:
    """A name below another; ``gone`` when it was removed while somebody still uses it."""

    parent: int
    name: str
    known: int = 0
    gone: Facts | None = None


class Names:
    """The nodes of one mount."""

    def __init__(self) -> None:
        self._nodes: dict[int, Node] = {ROOT: Node(0, "")}
        self._by_name: dict[tuple[int, str], int] = {}
        self._next = ROOT + 1

    def node(self, number: int) -> Node:
        """The node of a number; OSError(ESTALE)."""
        try:
            return self._nodes[number]
        except KeyError:
            raise OSError(errno.ESTALE, "unknown node") from None

    def path(self, number: int) -> str:
        """Its path from the root; OSError(ENOENT) once it, or what lies above it, is gone."""
        parts: list[str] = []
        while number != ROOT:
            node = self.node(number)
            if node.gone is not None:
                raise OSError(errno.ENOENT, "was removed")
            parts.append(node.name)
            number = node.parent
        return "/" + "/".join(reversed(parts))

    def below(self, parent: int, name: str) -> str:
        """The path of a name in a folder."""
        return f"{self.path(parent).rstrip('/')}/{name}"

    def told(self, parent: int, name: str) -> int:
        """The number of a name; the kernel is told it once more."""
        key = (parent, fold(name))
        number = self._by_name.get(key)
        if number is None:
            number = self._next
            self._next += 1
            self._nodes[number] = Node(parent, name)
            self._by_name[key] = number
        self._nodes[number].known += 1
        return number

    def forget(self, number: int, count: int) -> None:
        """The kernel takes back so many times of having been told."""
        node = self._nodes.get(number)
        if node is None or number == ROOT:
            return
        node.known -= count
        if node.known <= 0:
            del self._nodes[number]
            key = (node.parent, fold(node.name))
            if self._by_name.get(key) == number:
                del self._by_name[key]

    def removed(self, parent: int, name: str, facts: Facts | None) -> None:
        """A name is gone; `facts`: what it was, for those who have it open."""
        number = self._by_name.pop((parent, fold(name)), None)
        if number is not None:
            self._nodes[number].gone = facts or Facts(False, 0, 0.0)

    def moved(self, parent: int, name: str, target: int, new: str) -> None:
        """A name is another now; what had that one is gone already."""
        number = self._by_name.pop((parent, fold(name)), None)
        if number is not None:
            node = self._nodes[number]
            node.parent, node.name = target, new
            self._by_name[target, fold(new)] = number
