"""The JSON Schema of statement files is committed, matches the loader's tables, and the page's example is whole."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bench.scenario.problems import Problems
from bench.scenario.source import Mapping, Node, Scalar, parse
from bench.statements import BUNDLED, fields
from bench.statements.loader import HERE, load_text
from bench.statements.model import DATASETS, KINDS, MATCHES
from bench.statements.schema import FILE, statement_schema, text_of

PAGE = Path(__file__).parents[2] / "docs" / "statements.md"
SCHEMA = statement_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def example() -> str:
    """Return the complete example of the page."""
    found = list(re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    assert len(found) == 1
    return str(found[0])


def plain(node: Node) -> Any:
    """Turn nodes into plain data, texts as texts."""
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.items()}
    if isinstance(node, Scalar):
        return None if node.is_null else node.text
    return [plain(item) for item in node.items]


def texts() -> dict[str, str]:
    """Return the text of every statement file."""
    return {name: (HERE / f"{name}.yaml").read_text(encoding="utf-8") for name in BUNDLED} | {
        "page": example()
    }


def test_the_committed_schema_is_this_one() -> None:
    """`python -m bench.statements.schema` writes it."""
    assert FILE.read_text(encoding="utf-8") == text_of(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", ["vxvue", "mx1", "page"])
def test_what_the_loader_accepts_the_schema_accepts(name: str) -> None:
    """As texts (how the loader reads) and as editors read YAML."""
    text = texts()[name]
    node = parse(text, Problems(name))
    assert node is not None
    for data in (plain(node), yaml.safe_load(text)):
        errors = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in VALIDATOR.iter_errors(data)
        ]
        assert not errors, errors[:5]


def test_plain_yaml_gives_the_same_words() -> None:
    """Words that YAML would take for yes, no, a date or an octal number are in quotes, for other readers' sake."""
    for name in BUNDLED:
        text = texts()[name]
        node = parse(text, Problems(name))
        assert node is not None

        def compare(ours: Any, theirs: Any, where: str) -> None:
            if isinstance(ours, dict):
                for key in ours:
                    compare(ours[key], theirs[key], f"{where}/{key}")
            elif isinstance(ours, list):
                for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                    compare(one, other, f"{where}/{number}")
            else:
                assert not isinstance(theirs, bool) or ours in ("true", "false"), where
                assert isinstance(theirs, bool) or str(theirs) == ours, where

        compare(plain(node), yaml.safe_load(text), name)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sections", 0, "kind"), "atribute"),
        (("sections", 0, "sektion"), "x"),
        (("sections", 4, "clauses", 0, "attribute"), "Modality"),
        (("sections", 4, "clauses", 0, "types", "product"), 4),
        (("sections", 4, "clauses", 0, "match"), "some"),
        (("sections", 2, "clauses", 0, "role"), "SCX"),
        (("prefix",), {}),
        (("errata", 0, "overrules"), ["tag"]),
        (("defaults", 0, "why"), None),
    ],
)
def test_the_schema_marks_faults(path: tuple[str | int, ...], value: Any) -> None:
    """An editor underlines what the loader would refuse."""
    data = yaml.safe_load(example())
    assert VALIDATOR.is_valid(data)
    broken = copy.deepcopy(data)
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(broken)


def test_the_example_of_the_page_loads() -> None:
    """A vendor's third statement, as the page shows it."""
    statement = load_text(example(), "acme-cr.yaml")
    assert statement.name == "acme-cr"
    assert len(statement.by_id) == 9
    assert {one.kind for one in statement.clauses} == {"service", "association", "context", "attribute"}
    view = statement.by_id["AC-IMG-02"]
    assert view.attribute is not None
    assert (view.attribute.tag, view.printed.tag, view.errata) == ("(0018,5101)", "(0018,5100)", ("AC-E-01",))
    nested = statement.by_id["AC-IMG-04"].attribute
    assert nested is not None
    assert nested.dotted == "RequestAttributesSequence.ScheduledProcedureStepID"
    assert nested.types.standard_note == "when the step was scheduled"


def test_the_page_names_every_word() -> None:
    """Kinds, data sets and comparisons of the loader are on the page, and every key of a clause."""
    page = PAGE.read_text(encoding="utf-8")
    for word in (*KINDS, *DATASETS, *MATCHES):
        assert f"`{word}`" in page, word
    for key in fields.CLAUSE:
        assert re.search(rf"`{key}[`:]|^ +(- )?{key}:", page, re.MULTILINE), key


def test_the_schema_is_json_with_words() -> None:
    """Every key is explained where an editor shows it."""
    clause = json.loads(FILE.read_text(encoding="utf-8"))["$defs"]["clause"]["properties"]
    assert set(clause) == set(fields.CLAUSE)
    assert all(entry["description"] for entry in clause.values())
