"""Clauses in words: titles, and the statement's words as one text that a report can show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.statements import dictionary
from bench.statements.model import AttributeRule, Clause, ContentRule, Section, SopRule, Statement


@dataclass(frozen=True, slots=True)
class ClauseText:
    """What a report shows beside a clause: a title in a few words, its section, and the statement's words."""

    id: str
    title: str
    section: str
    words: str


def name_of(keyword: str) -> str:
    """Return the name that PS3.6 gives a keyword; the keyword itself for private elements."""
    entry = dictionary.by_keyword().get(keyword)
    return entry.name if entry is not None and entry.name else keyword


def title_of(clause: Clause) -> str:
    """Make the title of a clause that is no sentence, from what it is about."""
    if clause.attribute is not None:
        return f"{name_of(clause.attribute.keyword)} {clause.attribute.tag}"
    if clause.content is not None:
        concept = clause.content.concept
        return concept.meaning if concept is not None else f"TID {clause.content.include}"
    if clause.sop is not None:
        return ": ".join(part for part in (clause.sop.name, clause.sop.syntax_name) if part)
    if clause.charset is not None:
        terms = "\\".join(clause.charset.terms) or "empty or absent"
        return f"{clause.charset.repertoire}: {terms}" if clause.charset.repertoire else terms
    return clause.id


def section_title(statement: Statement, number: str) -> str:
    """Return the title of a section behind those of the sections it is a part of: ``Storage: Image Pixel``."""
    return ": ".join(section.title for section in _chain(statement, number))


def notes_of(statement: Statement, number: str) -> str:
    """Return what is to know about a section's table, its own note behind those of the sections it is a part of."""
    return " ".join(section.note for section in _chain(statement, number) if section.note)


def _chain(statement: Statement, number: str) -> list[Section]:
    """Return the sections that a section is a part of, from the outermost to itself."""
    sections = {section.number: section for section in statement.sections}
    parts = number.split(".")
    numbers = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return [sections[one] for one in numbers if one in sections]


def words_of(clause: Clause) -> str:
    """Return what the statement says in a clause, as sentences."""
    return " ".join(
        sentence if sentence.endswith((".", "!", "?")) else f"{sentence}." for sentence in _says(clause)
    )


def _says(clause: Clause) -> Iterator[str]:
    if clause.text:
        yield clause.text
    if clause.attribute is not None:
        yield from _attribute(clause.attribute)
    elif clause.content is not None:
        yield from _content(clause.content)
    elif clause.sop is not None:
        yield from _sop(clause.sop)
    elif clause.charset is not None:
        yield "Specific Character Set (0008,0005): " + ("\\".join(clause.charset.terms) or "empty or absent")
        yield from filter(None, (clause.charset.repertoire, clause.charset.words))
    if clause.only_for:
        yield f"Only for: {clause.only_for}"
    printed = clause.printed
    for what, text in (
        ("tag", printed.tag),
        ("name", printed.name),
        ("value", printed.value),
        ("matching key type", printed.matching),
        ("relationship", printed.relationship),
    ):
        if text:
            yield f"Printed {what}: {text}"


def _attribute(rule: AttributeRule) -> Iterator[str]:
    where = "".join(f" in {name_of(keyword)}" for keyword in reversed(rule.path_keywords))
    yield f"{name_of(rule.keyword)} {rule.tag}{where}, {' or '.join(rule.vrs)}, VM {rule.vm}"
    types = rule.types
    columns = (("product", types.product), ("printed", types.printed), ("standard", types.standard))
    said = [f"{column} {value}" for column, value in columns if value is not None]
    if said:
        note = f" ({types.standard_note})" if types.standard_note else ""
        yield f"Type: {', '.join(said)}{note}"
    if rule.key is not None:
        flags = (
            ("matching", rule.key.matching),
            ("return", rule.key.returned),
            ("standard", rule.key.standard),
        )
        yield "Key: " + ", ".join(f"{column} {value}" for column, value in flags if value)
    if rule.usage is not None:
        yield f"Usage SCU/SCP: {'/'.join(rule.usage)}"
    if rule.values:
        lead = {"prefix": "Begins with", "form": "Form", "leading": "First values"}.get(rule.match, "Values")
        yield f"{lead}: {', '.join(rule.values)}"
    if rule.range is not None:
        yield f"Range: {rule.range[0]} to {rule.range[1]}"
    if rule.words:
        yield rule.words
    if rule.condition:
        yield f"Condition: {rule.condition}"
    if rule.maps_to:
        yield f"Goes to: {rule.maps_to}"


def _content(rule: ContentRule) -> Iterator[str]:
    what = f"TID {rule.include}" if rule.include else str(rule.concept)
    lead = " ".join(part for part in (rule.relationship, rule.value_type, what) if part)
    vm = {"": "", "lost": ", VM not readable"}.get(rule.vm, f", VM {rule.vm}")
    yield f"TID {rule.template}: {lead}{vm}"
    if rule.codes:
        yield "Value: " + " or ".join(map(str, rule.codes))
    if rule.unit is not None:
        yield f"Unit: {rule.unit}"
    if rule.words:
        yield f"Value: {rule.words}"
    if rule.standard:
        yield f"Standard: {rule.standard}"


def _sop(rule: SopRule) -> Iterator[str]:
    roles = f", {', '.join(rule.roles)}" if rule.roles else ""
    yield f"{rule.name} {rule.uid}{roles}"
    if rule.transfer_syntaxes:
        names = (f"{dictionary.uid_names().get(uid, 'private')} {uid}" for uid in rule.transfer_syntaxes)
        yield "Transfer syntax: " + ", ".join(names) + (" and no other" if rule.exact else "")
    if rule.words:
        yield rule.words


def explain(number: str, statement: Statement) -> ClauseText | None:
    """Return title, section and words of a clause, default or erratum of `statement`."""
    clause = statement.by_id.get(number)
    if clause is not None:
        return ClauseText(number, clause.title, section_title(statement, clause.section), words_of(clause))
    default = statement.defaults.get(number)
    if default is not None:
        words = f"The statement is silent. Value used: {default.value}. Why: {default.why}."
        return ClauseText(number, default.fact, "Defaults", words)
    erratum = statement.errata.get(number)
    if erratum is not None:
        words = f"Statement: {erratum.statement}. Standard: {erratum.standard}. Reading: {erratum.reading}."
        return ClauseText(number, f"Erratum {number}", "Errata", words)
    return None
