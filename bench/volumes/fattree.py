"""Paths of a FAT volume: from the root through directories to files.

Rules of this file:
- Directories are read when a path leads through them, once; a directory that two entries point to is corrupt,
  so a medium that loops back to its root ends there.
- The caller holds the volume's lock and has seen that the volume is mounted.
"""

from __future__ import annotations

import errno

from bench.volumes import fatnames as names
from bench.volumes.fatdir import Access, Directory, Node


def parent_of(node: Node) -> Directory:
    """The directory that holds the node's entry."""
    assert node.parent is not None
    return node.parent


class Tree:
    """The directories of one volume."""

    def __init__(self, access: Access) -> None:
        """Read the root directory; OSError(EIO) if it is corrupt."""
        self._access = access
        self.root = Directory(access, access.layout.root_cluster, None)
        self._directories: dict[int, Node] = {}  # by first cluster, those read

    def forget(self, node: Node) -> None:
        """A directory is gone; its first cluster may become another's."""
        self._directories.pop(node.start, None)
        if node.content is not None:
            node.content.forget()

    def find(self, path: str) -> Node | None:
        """The node of a path; None is the root."""
        parts = [part for part in path.split("/") if part]
        node: Node | None = None
        for part in parts:
            if part in (".", ".."):
                raise OSError(errno.EINVAL, f"{path!r}: a path has no {part!r}")
            node = (self.root if node is None else self.content(node)).find(part)
            if node is None:
                raise OSError(errno.ENOENT, f"{path} does not exist")
        return node

    def directory(self, path: str) -> Directory:
        """The directory at a path."""
        node = self.find(path)
        return self.root if node is None else self.content(node)

    def place(self, path: str) -> tuple[Directory, str]:
        """Where a new name goes: its directory, and the name as it is stored."""
        parts = [part for part in path.split("/") if part]
        if not parts:
            raise OSError(errno.EEXIST, "the root directory exists")
        if parts[-1] in (".", ".."):
            raise OSError(errno.EINVAL, f"{path!r}: a path has no {parts[-1]!r}")
        return self.directory("/".join(parts[:-1])), names.clean(parts[-1])

    def content(self, node: Node) -> Directory:
        """What a directory's node holds."""
        if not node.is_dir:
            raise OSError(errno.ENOTDIR, f"{node.name} is no directory")
        if node.content is None:
            other = self._directories.get(node.start)
            if node.start in (0, self._access.layout.root_cluster) or (
                other is not None and other is not node
            ):
                raise self._access.corrupt(f"the directory {node.name} is linked twice or begins nowhere")
            node.content = Directory(self._access, node.start, node)
            self._directories[node.start] = node
        return node.content

    def dotdot(self, directory: Directory) -> int:
        """What ".." of a directory in `directory` says: 0 for the root."""
        return 0 if directory.node is None else directory.node.start
