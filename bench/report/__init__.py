"""Reports of a run folder: for people (HTML), for the quality file (PDF), for build
servers (JUnit), for programs (JSON).

:func:`render` needs no bench: it reads the run folder, old or new, and writes beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.results import collect

FORMATS: Final = {"json": "results.json", "junit": "junit.xml", "html": "index.html", "pdf": "report.pdf"}
"""Formats that can be rendered and the files that they become."""
ALWAYS: Final = ("json", "junit", "html")
"""Formats that every run gets; the PDF is for a quality file, and made when asked for."""


def render(run_dir: str | os.PathLike[str], formats: Iterable[str] = ALWAYS) -> dict[str, Path]:
    """Render reports into a run folder from what lies in it; return the files by format.

    Raises:
        bench.results.ResultsError: there is no readable run.json in the folder.
        ValueError: a format is unknown.
        bench.report.pdf.PdfError: the PDF cannot be made here.
    """
    folder, wanted = Path(run_dir), list(dict.fromkeys(formats))
    for name in wanted:
        if name not in FORMATS:
            raise ValueError(f"unknown report format {name!r}; there are {', '.join(FORMATS)}")
    run = collect(folder, write="json" in wanted)
    written = {}
    for name in wanted:
        path = folder / FORMATS[name]
        if name == "junit":
            from bench.report.junit import junit

            _replace(path, junit(run))
        elif name == "html":
            from bench.report.html import pages

            for page, text in pages(run, folder):
                _replace(folder / page, _bytes(text))
        elif name == "pdf":
            from bench.report.pdf import pdf

            _replace(path, pdf(run))
        written[name] = path
    return written


def render_alone(run_dir: str | os.PathLike[str], file: str | os.PathLike[str]) -> Path:
    """Write the page of a run as one file that stands alone, without links to the run folder: to mail or to keep.

    Raises:
        bench.results.ResultsError: there is no readable run.json in the folder.
    """
    from bench.report.html import page_alone

    folder, path = Path(run_dir), Path(file)
    _replace(path, _bytes(page_alone(collect(folder, write=False), folder)))
    return path


def _bytes(page: str) -> bytes:
    return page.encode("utf-8", errors="backslashreplace")


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)  # a cell that left nothing has a page, too
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_bytes(content)
    partial.replace(path)
