"""JSON Schemas of scenario and testbed files, made from the same declarations that the loaders use.

Rules of this file:

* The schemas are for editors (completion, red lines while typing); the loader is the judge, it knows more.
* What the loader accepts, the schema accepts.  A test compares the committed files with what is made here;
  ``python -m bench.scenario.schema`` writes them.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

from bench.kinds import KINDS
from bench.scenario import loader
from bench.scenario.fields import DURATION, REFERENCE_SCHEMA, SIZE
from bench.scenario.keywords import KEYWORD_PATTERN
from bench.scenario.matchers import OPERATORS
from bench.scenario.reading import MODIFIERS
from bench.scenario.setup import SETUP
from bench.scenario.spec import CHARSET_TERMS, LINK_HOSTS, LINK_MODES, MEDIA, OCCASION, PEERS, PRODUCTS
from bench.scenario.steps import REGISTRY
from bench.testbed import GROUPS, SUT

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean", "null"]}
_NAME: Final[dict[str, Any]] = {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_.-]*$"}


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files."""
    properties: dict[str, dict[str, Any]] = {
        "scenario": {"type": "string", "pattern": f"^{loader.NAME_PATTERN}$"},
        "title": {"type": "string"},
        "purpose": {"type": "string"},
        "product": {"enum": list(PRODUCTS)},
        "covers": _one_or_list({"type": "string", "pattern": "^(VX|MX)-[A-Z0-9-]+$"}),
        "ihe": _one_or_list({"type": "string"}),
        "marks": _one_or_list({"type": "string"}),
        "timeout": DURATION.schema(),
        "messages": loader.MESSAGES.schema(),
        "matrix": _matrix(),
        "exclude": _one_or_list({"type": "object"}),
        "setup": SETUP.schema(),
        "allow": _one_or_list({"anyOf": [{"$ref": "#/$defs/kindPattern"}, {"$ref": "#/$defs/eventTest"}]}),
        "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
    }
    arguments = _arguments()
    return {
        "$schema": _DIALECT,
        "title": "Modality Bench scenario",
        "type": "object",
        "additionalProperties": False,
        "required": ["scenario", "product", "steps"],
        "properties": {
            name: {**schema, "description": loader.TOP_LEVEL[name]} for name, schema in properties.items()
        },
        "$defs": {
            "kind": {"enum": list(KINDS)},
            "kindPattern": {"enum": [*KINDS, *sorted({f"{kind.partition('.')[0]}.*" for kind in KINDS})]},
            "value": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
            "matcher": _matcher(),
            "fields": {
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/matcher"},
            },
            "dataset": {
                "type": "object",
                "patternProperties": {KEYWORD_PATTERN: {"$ref": "#/$defs/matcher"}},
                "additionalProperties": False,
            },
            "eventTest": {
                "type": "object",
                "properties": {
                    "event": {"$ref": "#/$defs/kindPattern"},
                    "where": {"$ref": "#/$defs/fields"},
                    "dataset": {"$ref": "#/$defs/dataset"},
                },
                "required": ["event"],
                "additionalProperties": False,
            },
            "when": _when(),
            **dict(arguments.values()),
            "step": {"anyOf": [*_grammar_steps(), *(_verb_step(verb) for verb in REGISTRY)]},
        },
    }


def testbed_schema() -> dict[str, Any]:
    """Return the JSON Schema of testbed files."""
    groups = {
        group: {
            "type": "object",
            "description": doc,
            "properties": {name: record.schema() for name in names},
            "additionalProperties": False,
        }
        for group, (names, record, doc) in GROUPS.items()
    }
    return {
        "$schema": _DIALECT,
        "title": "Modality Bench testbed",
        "type": "object",
        "additionalProperties": False,
        "required": ["testbed"],
        "properties": {
            "testbed": {"type": "string", "description": "the name of this bench"},
            "sut": {**SUT.schema(), "description": "the system under test"},
            **groups,
        },
    }


testbed_schema.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def _one_or_list(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "array", "items": item}, item]}


def _matrix() -> dict[str, Any]:
    modes = _one_or_list({"enum": list(LINK_MODES)})
    charset = {"anyOf": [{"enum": list(CHARSET_TERMS)}, {"type": "string"}, {"type": "null"}]}
    axes: dict[str, Any] = {
        "link": {**modes, "description": "mode of the hospital LAN"},
        **{f"link.{host}": {**modes, "description": f"mode of {host}'s cable"} for host in LINK_HOSTS},
        "charset": {**_one_or_list(charset), "description": "Specific Character Set"},
        "detector": {
            **_one_or_list({"type": "string", "pattern": r"^\d+x\d+$"}),
            "description": "columns x rows",
        },
        "bits": {**_one_or_list({"enum": [14, 16]}), "description": "pixel format of the detector"},
    }
    return {
        "type": "object",
        "properties": axes,
        "patternProperties": {f"^{loader.AXIS_PATTERN}$": _one_or_list(_SCALAR)},
        "additionalProperties": False,
    }


def _matcher() -> dict[str, Any]:
    value: dict[str, Any] = {"$ref": "#/$defs/value"}
    special: dict[str, Any] = {
        "in": {"type": "array", "minItems": 1},
        "present": {"anyOf": [{"type": "boolean"}, REFERENCE_SCHEMA]},
        "absent": {"anyOf": [{"type": "boolean"}, REFERENCE_SCHEMA]},
        "empty": {"anyOf": [{"type": "boolean"}, REFERENCE_SCHEMA]},
        "any": {"$ref": "#/$defs/matcher"},
        "vm": {"$ref": "#/$defs/matcher"},
    }
    operators = {op: {**special.get(op, value), "description": doc} for op, doc in OPERATORS.items()}
    asked = {"type": "object", "properties": operators, "additionalProperties": False, "minProperties": 1}
    return {"anyOf": [value, asked]}


def _when() -> dict[str, Any]:
    test = {
        "anyOf": [
            {"type": "null"},
            {
                "type": "object",
                "properties": {"where": {"$ref": "#/$defs/fields"}, "dataset": {"$ref": "#/$defs/dataset"}},
                "additionalProperties": False,
            },
        ]
    }
    conditions: dict[str, Any] = {
        "time": {**DURATION.schema(), "description": "so long after arming"},
        "count": {"type": "integer", "minimum": 1, "description": "at the n-th such occasion"},
    }
    for peer in PEERS:
        conditions[f"{peer}.received_bytes"] = SIZE.schema()
        conditions[f"{peer}.request"] = OCCASION.schema()
    conditions |= {f"{place}.written_bytes": SIZE.schema() for place in MEDIA}
    conditions |= {kind: {**test, "description": doc} for kind, doc in KINDS.items()}
    return {"type": "object", "properties": conditions, "additionalProperties": False, "minProperties": 1}


def _grammar_steps() -> list[dict[str, Any]]:
    faults = {verb: _reference(verb) for verb, spec in REGISTRY.items() if spec.fault}
    heads: dict[str, dict[str, Any]] = {
        "arm": {"type": "object", "properties": faults, "additionalProperties": False, "minProperties": 1},
        "expect": {"$ref": "#/$defs/kind"},
        "never": {"$ref": "#/$defs/kindPattern"},
        "order": {"type": "array", "items": _NAME, "minItems": 2},
    }
    return [_step(head, schema, head) for head, schema in heads.items()]


def _verb_step(verb: str) -> dict[str, Any]:
    schema = {**_reference(verb), "description": REGISTRY[verb].summary}
    return _step(verb, schema, "operator" if verb.startswith("operator.") else "act")


@cache
def _arguments() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return name and schema of the arguments of every verb; verbs with the same arguments share them."""
    out: dict[str, tuple[str, dict[str, Any]]] = {}
    names: dict[str, str] = {}
    for verb, spec in REGISTRY.items():
        schema = spec.record.schema()
        name = names.setdefault(json.dumps(schema), f"args.{verb}")
        out[verb] = (name, schema)
    return out


def _reference(verb: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{_arguments()[verb][0]}"}


def _step(head: str, schema: dict[str, Any], group: str) -> dict[str, Any]:
    types: dict[str, Any] = {
        "as": _NAME,
        "save": _NAME,
        "after": _NAME,
        "within": DURATION.schema(),
        "for": {"anyOf": [DURATION.schema(), {"const": "end"}]},
        "count": {"type": "integer", "minimum": 1},
        "where": {"$ref": "#/$defs/fields"},
        "answer": {"$ref": "#/$defs/fields"},
        "dataset": {"$ref": "#/$defs/dataset"},
        "when": {"$ref": "#/$defs/when"},
        "wait": {"type": "boolean"},
        "shared": {"type": "boolean"},
        "fails": {"type": ["boolean", "string"]},
    }
    modifiers = {name: {**types[name], "description": doc} for name, doc in MODIFIERS[group].items()}
    return {
        "type": "object",
        "properties": {head: schema, **modifiers},
        "required": [head, *(["for"] if head == "never" else [])],
        "additionalProperties": False,
    }


def text_of(schema: dict[str, Any]) -> str:
    """Return the text of a committed schema file."""
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=False) + "\n"


FILES: Final = {"scenario.schema.json": scenario_schema, "testbed.schema.json": testbed_schema}


def main(arguments: list[str]) -> int:
    """Write the schemas into the folder that is named (``scenarios/schema``)."""
    folder = Path(arguments[0] if arguments else "scenarios/schema")
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        (folder / name).write_text(text_of(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
