"""JSON Schema of statement files, made from the declarations that the loader uses.

Rules of this file:

* The schema is for editors (completion, red lines while typing); the loader is the judge, it knows more.
* What the loader accepts, the schema accepts.  A test compares the committed file with what is made here;
  ``python -m bench.statements.schema`` writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from bench.scenario.spec import CHARSET_TERMS
from bench.statements import fields
from bench.statements.model import (
    CONFIDENCE,
    DATASETS,
    KINDS,
    MATCHES,
    MATCHING,
    RELATIONS,
    ROLES,
    SEVERITIES,
    TYPES,
    VALUE_TYPES,
)

FILE: Final = Path(__file__).resolve().parent / "statement.schema.json"
_TEXT: Final[dict[str, Any]] = {"type": ["string", "number"]}
_TEXTS: Final[dict[str, Any]] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_ID: Final[dict[str, Any]] = {"type": "string", "pattern": r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)+$"}


def _words(known: Collection[str]) -> dict[str, Any]:
    """Return the schema of a closed list; words that are numbers may stand without quotes."""
    return {"enum": [*known, *(int(word) for word in known if word.isdigit())]}


def _explained(known: Mapping[str, str]) -> dict[str, Any]:
    return {"oneOf": [{"const": word, "description": meaning} for word, meaning in known.items()]}


def _mapping(
    keys: Mapping[str, str], special: Mapping[str, Any], required: Collection[str] = ()
) -> dict[str, Any]:
    """Return the schema of a mapping with these keys; a key without a special schema holds a text."""
    made: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            key: {**special.get(key, _TEXT), "description": description} for key, description in keys.items()
        },
    }
    if required:
        made["required"] = list(required)
    return made


def statement_schema() -> dict[str, Any]:
    """Return the JSON Schema of statement files."""
    standard = {"type": ["string", "number"], "pattern": f"^({'|'.join(TYPES)})( \\(.+\\))?$"}
    types = _mapping(fields.TYPES, {"printed": _words(TYPES), "standard": standard, "product": _words(TYPES)})
    key = _mapping(fields.KEY, {"matching": _words(MATCHING), "return": _words(TYPES)})
    charset = "|".join(CHARSET_TERMS)
    clause = _mapping(
        fields.CLAUSE,
        {
            "id": _ID,
            "kind": _explained(KINDS),
            "of": _TEXTS,
            "errata": _TEXTS,
            "confidence": _words(CONFIDENCE),
            "attribute": {
                "type": "string",
                "pattern": r"^\([0-9A-Fa-fxX]{4},[0-9A-Fa-fxX]{4}\) \S+ [A-Z]{2}(/[A-Z]{2})* [0-9n-]+$",
            },
            "inside": _TEXTS,
            "sop_classes": _TEXTS,
            "types": types,
            "key": key,
            "usage": {"type": "string", "pattern": "^(M|MC|U)/(M|MC|U)$"},
            "values": _TEXTS,
            "match": _explained(MATCHES),
            "range": {"type": "string", "pattern": r"^[+-]?\d+\.\.[+-]?\d+$"},
            "level": {"type": ["string", "integer"]},
            "relationship": _words(RELATIONS),
            "value_type": _words(VALUE_TYPES),
            "codes": _TEXTS,
            "role": {"anyOf": [_words(ROLES), {"type": "array", "items": _words(ROLES), "minItems": 1}]},
            "transfer_syntaxes": _TEXTS,
            "exact": {"enum": ["true", "false", True, False]},
            "charset": {"type": "string", "pattern": rf"^({charset})?(\\({charset}))*$"},
            "printed": _mapping(fields.PRINTED, {}),
        },
        ["id"],
    )
    section = _mapping(
        fields.SECTION,
        {
            "of": _TEXTS,
            "kind": _explained(KINDS),
            "dataset": _explained(DATASETS),
            "sop_classes": _TEXTS,
            "clauses": {"type": "array", "items": {"$ref": "#/$defs/clause"}},
        },
        ["number", "title", "of"],
    )
    erratum = _mapping(
        fields.ERRATUM,
        {
            "id": _ID,
            "severity": _words(SEVERITIES),
            "overrules": {
                "anyOf": [
                    _words(fields.OVERRULES),
                    {"type": "array", "items": _words(fields.OVERRULES), "minItems": 1},
                ]
            },
        },
        ["id", "severity", "statement", "standard", "reading"],
    )
    held = {"type": "object", "additionalProperties": _words(TYPES)}
    default = _mapping(
        fields.DEFAULT,
        {"id": _ID, "attributes": {"type": "object", "additionalProperties": held}},
        ["id", "fact", "value", "why"],
    )
    variants = {"type": "object", "additionalProperties": _TEXT}
    top = _mapping(
        fields.TOP,
        {
            "edition": _mapping(fields.EDITION, {}, ["document", "revision", "date"]),
            "product": _mapping(fields.PRODUCT, {"variants": variants}, ["name", "vendor", "kind"]),
            "sections": {"type": "array", "items": section, "minItems": 1},
            "errata": {"type": ["array", "null"], "items": erratum},
            "defaults": {"type": ["array", "null"], "items": default},
        },
        ["statement", "prefix", "edition", "product", "sections"],
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Modality Bench conformance statement",
        **top,
        "$defs": {"clause": clause},
    }


def text_of(schema: Mapping[str, Any]) -> str:
    """Return the text of the committed file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text_of(statement_schema()), encoding="utf-8")
    sys.exit(0)
