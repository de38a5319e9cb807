"""Statement files into `Statement`: every fault of a file is told at once, as file:line with 'did you mean'.

Rules of this file:

* Ids are unique over clauses, errata and defaults, and begin with the prefix of their section or of the statement.
* A clause has the keys of its kind and no others; what it refers to (errata, variants, sequences) exists.
* Loading is strict and pure: the same file gives the same statement or the same faults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bench.scenario import source
from bench.scenario.problems import Problem, Problems, did_you_mean, shorten
from bench.statements import BUNDLED, dictionary, fields, rules
from bench.statements.model import (
    CONFIDENCE,
    DATASETS,
    KINDS,
    SEVERITIES,
    TYPES,
    Clause,
    Default,
    Edition,
    Erratum,
    Product,
    Section,
    Statement,
    StatementErrors,
)
from bench.statements.reading import Fields
from bench.statements.words import title_of

HERE: Final = Path(__file__).resolve().parent
TITLE_MAX: Final = 80
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")
_PREFIX: Final = re.compile(r"[A-Z][A-Z0-9]{0,7}")
_SECTION: Final = re.compile(r"\d{1,3}(\.\d{1,3}){0,4}")
_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?|unknown")


def load(name_or_file: str | Path) -> Statement:
    """Return a statement of this project by its name (kept after the first time), or that of a file.

    Raises:
        StatementErrors: no such statement, or the file has faults (all of them are told).
    """
    if isinstance(name_or_file, str) and name_or_file in BUNDLED:
        return _bundled(name_or_file)
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        known = ", ".join(BUNDLED)
        hint = did_you_mean(str(name_or_file), BUNDLED) or f"known: {known}; or give a .yaml file"
        raise StatementErrors([Problem(str(name_or_file), 1, "no such statement", hint)])
    return load_file(path)


@cache
def _bundled(name: str) -> Statement:
    return load_file(HERE / f"{name}.yaml")


def load_file(path: Path) -> Statement:
    """Load a statement file.

    Raises:
        StatementErrors: the file cannot be read, or has faults.
    """
    problems = Problems(str(path))
    text = source.read_text(path, problems)
    if text is None:
        raise StatementErrors(problems.found)
    return load_text(text, str(path))


def load_text(text: str, file: str = "<text>") -> Statement:
    """Load a statement from the text of its file.

    Raises:
        StatementErrors: the text has faults.
    """
    problems = Problems(file)
    root = source.parse(text, problems)
    statement = None
    if root is None:
        if not problems.found:
            problems.add(1, "the file is empty")
    else:
        statement = _Loader(problems, root).statement()
    if problems.found or statement is None:
        raise StatementErrors(problems.found)
    return statement


class _Loader:
    """One file on its way to a statement."""

    def __init__(self, problems: Problems, root: source.Node) -> None:
        self.problems = problems
        self.top = Fields(problems, root, fields.TOP, "the file")
        self.ids: dict[str, int] = {}  # every id -> line
        self.errata: dict[str, Erratum] = {}
        self.variants: Mapping[str, str] = {}
        self.private: Mapping[str, str] = {}
        self.prefix = ""

    def statement(self) -> Statement:
        top = self.top
        top.require("statement", "prefix", "edition", "product", "sections")
        name = self._shaped(top, "statement", _NAME, "small letters, digits and hyphens")
        self.prefix = self._shaped(top, "prefix", _PREFIX, "capital letters and digits")
        edition = self._edition()
        product = self._product()
        self.variants = product.variants
        self.errata = {
            erratum.id: erratum for node in top.items("errata") if (erratum := self._erratum(node))
        }
        defaults = {default.id: default for node in top.items("defaults") if (default := self._default(node))}
        self.private = self._private_sequences()
        sections = tuple(self._section(node) for node in top.items("sections"))
        if "sections" in top and not any(section.clauses for section in sections):
            top.fault(top.line_of("sections"), "the statement has no clauses")
        self._unique_sections(sections)
        by_id = {clause.id: clause for section in sections for clause in section.clauses}
        return Statement(
            name,
            self.prefix,
            edition,
            product,
            sections,
            MappingProxyType(self.errata),
            MappingProxyType(defaults),
            MappingProxyType(by_id),
            self.problems.file,
        )

    def _shaped(self, read: Fields, key: str, shape: re.Pattern[str], say: str) -> str:
        text = read.text(key)
        if text and not shape.fullmatch(text):
            read.fault(read.line_of(key), f"'{shorten(text)}' cannot be the {key}", say)
        return text

    def _edition(self) -> Edition:
        read = Fields(self.problems, self.top.nodes.get("edition"), fields.EDITION, "edition")
        if "edition" in self.top:
            read.require("document", "revision", "date")
        date = self._shaped(read, "date", _DATE, "write: 2026-01-31, or unknown")
        return Edition(
            read.text("document"), read.text("revision"), date, read.text("language"), read.text("remark")
        )

    def _product(self) -> Product:
        read = Fields(self.problems, self.top.nodes.get("product"), fields.PRODUCT, "product")
        if "product" in self.top:
            read.require("name", "vendor", "kind")
        variants = Fields(
            self.problems,
            read.nodes.get("variants"),
            [key.text for key, _ in read.pairs("variants")],
            "variants",
        )
        meanings = {name: variants.text(name) for name in variants.nodes}
        return Product(read.text("name"), read.text("vendor"), read.text("kind"), meanings)

    def _id(self, read: Fields, prefix: str) -> str:
        """Read an id that begins with `prefix` and was not used before; '' when it cannot stand."""
        read.require("id")
        text, line = read.text("id"), read.line_of("id")
        if not text:
            return ""
        if not re.fullmatch(re.escape(prefix) + r"-\d{2,4}", text):
            read.fault(
                line, f"id '{shorten(text)}' does not fit here", f"it must be {prefix}- and 2 to 4 digits"
            )
        if text in self.ids:
            read.fault(line, f"id '{shorten(text)}' is used twice", f"first in line {self.ids[text]}")
            return ""
        self.ids[text] = line
        return text

    def _erratum(self, node: source.Node) -> Erratum | None:
        read = Fields(self.problems, node, fields.ERRATUM, "an erratum")
        read.require("severity", "statement", "standard", "reading")
        severity = read.one_of("severity", SEVERITIES, "severity")
        overrules = read.texts("overrules")
        for word in overrules:
            if word not in fields.OVERRULES:
                line = read.line_of("overrules")
                read.fault(
                    line, f"'{shorten(word)}' cannot be overruled", "known: " + ", ".join(fields.OVERRULES)
                )
        number = self._id(read, f"{self.prefix}-E")
        words = (read.text("statement"), read.text("standard"), read.text("reading"))
        return Erratum(number, severity, *words, overrules, read.line) if number else None

    def _default(self, node: source.Node) -> Default | None:
        read = Fields(self.problems, node, fields.DEFAULT, "a default")
        read.require("fact", "value", "why")
        attributes: dict[str, dict[str, str]] = {}
        for kind, members in read.pairs("attributes"):
            entries = attributes[kind.text] = {}
            if not isinstance(members, source.Mapping):
                read.fault(members.line, f"'{shorten(kind.text)}' must map keywords to types")
                continue
            for keyword, value in members.items():
                if keyword.text not in dictionary.by_keyword():
                    self.problems.unknown(keyword.line, "keyword", keyword.text, dictionary.by_keyword())
                word = value.text if isinstance(value, source.Scalar) else ""
                if word not in TYPES:
                    read.fault(value.line, f"impossible type '{shorten(word)}'", "known: " + ", ".join(TYPES))
                entries[keyword.text] = word
        number = self._id(read, f"{self.prefix}-D")
        words = (read.text("fact"), read.text("value"), read.text("why"))
        return Default(number, *words, attributes, read.line) if number else None

    def _private_sequences(self) -> Mapping[str, str]:
        """Return keyword -> tag of the private sequences that clauses of this file declare."""
        found: dict[str, str] = {}
        for node in self.top.items("sections"):
            clauses = node.get("clauses") if isinstance(node, source.Mapping) else None
            for row in clauses.items if isinstance(clauses, source.Sequence) else ():
                text = row.get("attribute") if isinstance(row, source.Mapping) else None
                parts = text.text.split() if isinstance(text, source.Scalar) else []
                if len(parts) == 4 and parts[2] == "SQ" and len(parts[0]) == 11:
                    tag = rules.canonical(parts[0])
                    if rules.is_private(tag):
                        found[parts[1]] = tag
        return found

    def _section(self, node: source.Node) -> Section:
        read = Fields(self.problems, node, fields.SECTION, "a section")
        read.require("number", "title", "of")
        number = self._shaped(read, "number", _SECTION, "such as 5 or 5.2")
        read.what = f"section {number}" if number else read.what
        kind = read.one_of("kind", KINDS, "kind")
        dataset = read.one_of("dataset", DATASETS, "data set")
        prefix = read.text("prefix")
        if prefix and not re.fullmatch(re.escape(self.prefix) + r"(-[A-Z0-9]+)+", prefix):
            read.fault(
                read.line_of("prefix"), f"prefix '{shorten(prefix)}' does not begin with {self.prefix}-"
            )
        if prefix in (f"{self.prefix}-E", f"{self.prefix}-D"):
            read.fault(read.line_of("prefix"), f"prefix '{prefix}' belongs to errata and defaults")
        section = Section(
            number=number,
            title=read.text("title"),
            prefix=prefix,
            original=read.texts("of"),
            kind=kind,
            dataset=dataset,
            sop_classes=rules.sop_classes(read),
            note=read.text("note"),
            line=read.line,
        )
        if dataset == "object":
            read.require("sop_classes")
        clauses = tuple(found for row in read.items("clauses") if (found := self._clause(row, section)))
        if any(True for _ in read.items("clauses")):
            read.require("prefix")
        elements = [clause for clause in clauses if clause.attribute or clause.content]
        if elements and not dataset:
            read.fault(
                read.line,
                f"section {number} has attributes but no 'dataset'",
                "known: " + ", ".join(DATASETS),
            )
        return replace(section, clauses=clauses)

    def _clause(self, node: source.Node, section: Section) -> Clause | None:
        read = Fields(self.problems, node, fields.CLAUSE, "a clause")
        kind = read.one_of("kind", KINDS, "kind") or section.kind
        number = self._id(read, section.prefix or self.prefix)
        read.what = f"clause {number}" if number else read.what
        if not kind:
            if "kind" not in read:
                read.fault(read.line, "the clause has no kind, and its section names none")
            return None
        own = fields.OWN[kind]
        for key in read.nodes:
            if key not in own and key not in fields.COMMON:
                kinds = ", ".join(k for k, keys in fields.OWN.items() if key in keys)
                read.fault(
                    read.line_of(key),
                    f"'{key}' does not belong to a clause of kind {kind}",
                    f"it is for {kinds}",
                )
        errata = read.texts("errata", lambda text, line: self._known(text, line, "erratum", self.errata))
        overruled = {part for name in errata if name in self.errata for part in self.errata[name].overrules}
        attribute = content = sop = charset = None
        if kind in ("attribute", "key"):
            if "attribute" not in read:
                read.require("text")
            attribute = rules.attribute(read, overruled, self.private)
        elif kind == "content":
            content = rules.content(read)
        elif kind in ("service", "context", "media-syntax"):
            sop = rules.sop(read, kind)
        elif kind == "charset":
            charset = rules.charset(read)
        if not (
            attribute or content or sop or "charset" in read or "attribute" in read or "sop_class" in read
        ):
            read.require("title", "text")
        only_for = read.text("only_for")
        if only_for:
            self._known(only_for, read.line_of("only_for"), "variant of the product", self.variants)
        clause = Clause(
            id=number,
            kind=kind,
            section=section.number,
            original=read.texts("of") or section.original,
            title=read.text("title"),
            text=read.text("text"),
            check=read.text("check"),
            errata=errata,
            confidence=read.one_of("confidence", CONFIDENCE, "confidence"),
            remark=read.text("remark"),
            only_for=only_for,
            printed=rules.printed(read),
            attribute=attribute,
            content=content,
            sop=sop,
            charset=charset,
            line=read.line,
        )
        if not clause.title:
            clause = replace(clause, title=title_of(clause))
        elif len(clause.title) > TITLE_MAX:
            read.fault(read.line_of("title"), f"the title is longer than {TITLE_MAX} characters")
        return clause if number else None

    def _known(self, text: str, line: int, what: str, known: Mapping[str, object]) -> None:
        if text not in known:
            self.problems.unknown(line, what, text, known)

    def _unique_sections(self, sections: tuple[Section, ...]) -> None:
        seen: dict[str, int] = {}
        for section in sections:
            if section.number in seen:
                first = seen[section.number]
                self.problems.add(
                    section.line, f"section {section.number} is there twice", f"first in line {first}"
                )
            seen.setdefault(section.number, section.line)
