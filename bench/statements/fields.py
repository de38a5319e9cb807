"""The keys of a statement file: what each one holds, and which clauses may have it.

The loader and the JSON Schema are made from these tables, so that they cannot disagree.
"""

from __future__ import annotations

from typing import Final

from bench.statements.model import KINDS

Keys = dict[str, str]

TOP: Final[Keys] = {
    "statement": "short name of the statement, as in `modbench statement show NAME`",
    "prefix": "what every id of this statement begins with",
    "edition": "which paper this is",
    "product": "whose statement this is",
    "sections": "the clauses, table by table, in the order of the report",
    "errata": "where the paper cannot be meant: what it says, what the standard says, the reading to use",
    "defaults": "choices where the paper is silent",
}
EDITION: Final[Keys] = {
    "document": "title of the paper",
    "revision": "its revision, or 'unknown'",
    "date": "its date (YYYY-MM-DD), or 'unknown'",
    "language": "language of the paper (en, ja, ...)",
    "remark": "anything to know about this copy",
}
PRODUCT: Final[Keys] = {
    "name": "name of the product",
    "vendor": "who makes it",
    "kind": "what it is, in a few words",
    "variants": "states of the product that single clauses are limited to (only_for): name and meaning",
}
SECTION: Final[Keys] = {
    "number": "number of this section; the texts refer to it; 5.2 is a part of 5",
    "title": "title of this section",
    "prefix": "what the ids of its clauses begin with: VX-STO-DX for VX-STO-DX-001",
    "of": "section numbers of the paper",
    "kind": "kind of its clauses, unless a clause says otherwise",
    "dataset": "the data set that its attributes stand in",
    "sop_classes": "the SOP classes of the objects meant (dataset: object)",
    "note": "how to read this table",
    "clauses": "the rows",
}
_COMMON: Final[Keys] = {
    "id": "permanent id; never renumbered, never reused",
    "kind": "what the clause is about",
    "of": "section numbers of the paper, when they are not those of the section",
    "title": "the clause in a few words",
    "text": "the requirement in the statement's words",
    "check": "how to check it",
    "errata": "ids of the errata that touch this clause",
    "confidence": "how sure the reading of a damaged paper is: A readable, B reconstructed, C ambiguous",
    "remark": "anything to know about this row of the paper",
    "only_for": "the product's variant that the clause is limited to",
    "printed": "what the paper prints where the reading differs",
}
_SOP: Final[Keys] = {
    "sop_class": "UID and name of the SOP class",
    "role": "role or roles of the product: SCU, SCP; on media FSC, FSU, FSR",
    "words": "the statement's words where they say more",
}
_ATTRIBUTE: Final[Keys] = {
    "attribute": "(GGGG,EEEE) Keyword VR VM, as in the dictionary",
    "inside": "the sequences around it, outermost first; absent = top level",
    "sop_classes": "the SOP classes of the objects meant, when not all of the section",
    "types": "attribute types (PS3.5 7.4) as printed, in the standard today, and as the product promises",
    "key": "query key: matching and return type as printed, and the standard's",
    "usage": "usage of SCU and SCP in print services (PS3.4 H), such as U/M",
    "values": "the allowed values, in the reading that is used",
    "match": "how the element's value is compared with the values",
    "range": "the allowed numbers, such as 1..4096",
    "condition": "when the element must, or may, be there",
    "words": "the statement's words about the value where the list cannot say it",
    "maps_to": "where a returned value goes in the images",
    "module": "module or information entity",
}
_CONTENT: Final[Keys] = {
    "template": "template id (TID) that the row belongs to",
    "level": "depth below the template's container; 0 = the container itself",
    "relationship": "relationship with the parent item",
    "value_type": "value type of the content item, or INCLUDE",
    "concept": '(code, scheme, "meaning") of the concept name',
    "include": "the template that an INCLUDE row names: id and title",
    "vm": "value multiplicity, or 'lost' when the paper cannot be read",
    "codes": "the allowed codes",
    "unit": "the unit of measurement, as a code",
    "words": "the statement's words about the value",
    "standard": "what the standard says about the row",
}
_CHARSET: Final[Keys] = {
    "charset": "values of Specific Character Set (0008,0005), parted by a backslash",
    "repertoire": "name of the repertoire",
    "words": "the statement's words where they say more",
}
_CONTEXT: Final[Keys] = _SOP | {
    "transfer_syntaxes": "UIDs of the transfer syntaxes",
    "syntax": "name of the transfer syntax",
    "exact": "true = exactly these transfer syntaxes",
}

#: kind of a clause -> its own keys besides the common ones
OWN: Final[dict[str, Keys]] = {
    **{kind: {} for kind in KINDS},
    "service": _SOP,
    "context": _CONTEXT,
    "media-syntax": _CONTEXT,
    "attribute": _ATTRIBUTE,
    "key": _ATTRIBUTE,
    "content": _CONTENT,
    "charset": _CHARSET,
}
CLAUSE: Final[Keys] = {**_CHARSET, **_CONTENT, **_CONTEXT, **_ATTRIBUTE, **_COMMON}
COMMON: Final[Keys] = _COMMON
TYPES: Final[Keys] = {
    "printed": "type that the paper prints as the standard's",
    "standard": "type in the standard today; a note may follow in brackets: 3 (1 in dx-image)",
    "product": "type that the product promises",
}
KEY: Final[Keys] = {
    "matching": "matching key type as printed: R required, O optional, U unique",
    "return": "return key type as printed",
    "standard": "matching/return in the standard",
}
PRINTED: Final[Keys] = {
    "tag": "tag that the paper prints; an erratum must say what is meant",
    "name": "name that the paper prints, when it is not the dictionary's",
    "value": "value as printed",
    "matching": "matching key type as printed",
    "relationship": "relationship as printed, or 'lost'",
}
ERRATUM: Final[Keys] = {
    "id": "permanent id: PREFIX-E-01",
    "severity": "contradiction (with the standard, or with itself), typo, or ambiguous",
    "statement": "what the paper says",
    "standard": "what the standard says",
    "reading": "the reading that the bench uses",
    "overrules": "what of the dictionary the clauses of this erratum may contradict",
}
DEFAULT: Final[Keys] = {
    "id": "permanent id: PREFIX-D-01",
    "fact": "what the paper leaves open",
    "value": "the value that is used",
    "why": "the reason",
    "attributes": "what an object must hold as well: object kind -> keyword -> type",
}
OVERRULES: Final = ("keyword", "vr", "vm")
