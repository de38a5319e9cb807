"""Reads the steps of a scenario.

Rules of this file:

* A step is a mapping with one verb and the modifiers that this verb may have; the order of keys does not matter.
* A name must be given above the place where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from bench.kinds import KINDS
from bench.scenario import units
from bench.scenario.events import fields_of_pattern, kinds_of
from bench.scenario.fields import DURATION, INVALID, SIZE, Bool, Context, Number, Text
from bench.scenario.matchers import DatasetTest, EventTest, FieldTest
from bench.scenario.matching import check_has_dataset, read_dataset_tests, read_field_tests
from bench.scenario.model import DEFAULT_WITHIN_S, Act, Arm, Expect, Never, Order, Step, When
from bench.scenario.problems import did_you_mean, shorten
from bench.scenario.refs import NAME
from bench.scenario.setup import only_others
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node, Scalar, describe
from bench.scenario.source import Sequence as SequenceNode
from bench.scenario.spec import MEDIA, OCCASION, PEERS
from bench.scenario.steps import FAULTS, GRAMMAR, REGISTRY
from bench.scenario.writable import unwritable

MODIFIERS: Final[dict[str, dict[str, str]]] = {
    "act": {"as": "a name for this step and what it gives"},
    "operator": {
        "as": "a name for this step and what it gives",
        "answer": "what the answer must hold: fields and matchers",
        "fails": "`true`, or a regular expression on the reason: the modality must refuse",
    },
    "arm": {"when": "the moment (else the next occasion)", "as": "a name for the fault"},
    "expect": {
        "within": f"limit, counted from the anchor ({units.format_duration(DEFAULT_WITHIN_S)} unless said)",
        "after": "anchor: a named step (else the end of the step before)",
        "count": "exactly so many in the whole cell",
        "where": "plain fields of the event",
        "dataset": "attributes of its data set",
        "save": "a name for the event",
        "as": "a name for this step and its event",
        "shared": "`true`: may look at an event that another expectation has taken",
    },
    "never": {
        "for": "length of the window, or `end` for the rest of the cell",
        "after": "anchor: a named step (else the end of the step before)",
        "where": "plain fields of the event",
        "dataset": "attributes of its data set",
        "wait": "`true`: the next step begins when the window is over",
    },
    "order": {},
}
_HEADS: Final = (*GRAMMAR, *REGISTRY)
_NAME: Final = Text("a name of letters, digits, _ and -", NAME.pattern, 40)
_COUNT: Final = Number(whole=True, low=1, high=100000)
_RESERVED: Final = ("matrix", "cell", "modality", *PEERS)


def read_event_test(
    kind_node: Node, where: Node | None, dataset: Node | None, ctx: Context, what: str
) -> EventTest | None:
    """Read a predicate on events; None when a fault was recorded."""
    before = len(ctx.problems.found)
    if not isinstance(kind_node, Scalar) or kind_node.is_null:
        ctx.bad(kind_node, f"{what}: expected an event kind, not {describe(kind_node)}")
        return None
    kind = kind_node.text
    if not kinds_of(kind):
        ctx.problems.unknown(kind_node.line, "event kind", kind, KINDS)
        if where is not None:
            read_field_tests(where, ctx, "where", None)
        if dataset is not None:
            read_dataset_tests(dataset, ctx, "dataset")
        return None
    fields = read_field_tests(where, ctx, "where", kind) if where is not None else ()
    attributes: tuple[DatasetTest, ...] = ()
    if dataset is not None and check_has_dataset(dataset, ctx, kind):
        attributes = read_dataset_tests(dataset, ctx, "dataset")
    return EventTest(kind, fields, attributes) if len(ctx.problems.found) == before else None


class StepReader:
    """Reads the list of steps; faults go to the context's problems."""

    def __init__(
        self, ctx: Context, lines: list[str], product: str | None, media: Collection[str] | None = None
    ) -> None:
        self.ctx = ctx
        self.media = media  # media that the setup names; None: not asked
        self.problems = ctx.problems
        self.lines = lines
        self.product = product
        self.names: dict[str, str] = {}  # name -> kind of step: act, fault:<host>, expect
        self.steps: list[Step] = []

    def read(self, node: Node | None) -> tuple[Step, ...]:
        """Read all steps."""
        if node is None:
            return ()
        if not isinstance(node, SequenceNode) or not node.items:
            self.problems.add(node.line, f"steps: expected a list of steps, not {describe(node)}")
            return ()
        for index, entry in enumerate(node.items):
            self._step(index, entry)
        return tuple(self.steps)

    def _step(self, index: int, node: Node) -> None:
        if isinstance(node, Scalar) and not node.is_null:
            hint = did_you_mean(node.text, _HEADS)
            if node.text in _HEADS:
                hint = f"write '{node.text}:'"
            self.problems.add(node.line, f"step: expected a mapping, not {describe(node)}", hint)
            return
        if not isinstance(node, MappingNode) or not node.pairs:
            self.problems.add(node.line, f"step: expected a mapping with one verb, not {describe(node)}")
            return
        heads = [(key, value) for key, value in node.items() if _is_head(key.text, node)]
        if not heads:
            key = node.pairs[0][0]
            self.problems.unknown(key.line, "step", key.text, _HEADS)
            return
        if len(heads) > 1:
            self.problems.add(
                heads[1][0].line,
                f"step: both '{shorten(heads[0][0].text)}' and '{shorten(heads[1][0].text)}' in one step",
                "begin a new step with '- '",
            )
            return
        key, value = heads[0]
        if key.text not in GRAMMAR and key.text not in REGISTRY:
            self.problems.unknown(key.line, "step", key.text, _HEADS)
            return
        group = self._group(key.text)
        for other, _ in node.items():
            if other is not key and other.text not in MODIFIERS[group]:
                allowed = MODIFIERS[group]
                hint = did_you_mean(other.text, allowed) or (
                    "there are " + ", ".join(allowed) if allowed else "it has no further keys"
                )
                self.problems.add(other.line, f"{key.text}: unknown key '{shorten(other.text)}'", hint)
        text = self.lines[key.line - 1].strip().removeprefix("- ") if key.line <= len(self.lines) else ""
        text = re.sub(r"\s+#.*", "", text)
        place = {"index": index, "file": self.problems.file, "line": key.line, "text": text}
        step = getattr(self, f"_read_{'act' if group == 'operator' else group}")(key, value, node, place)
        if step is not None:
            self.steps.append(step)

    @staticmethod
    def _group(head: str) -> str:
        if head in GRAMMAR:
            return head
        return "operator" if head.startswith("operator.") else "act"

    # -- names ---------------------------------------------------------------------------------------------

    def _new_name(self, node: Node | None, what: str, kind: str, gives: frozenset[str] | None) -> str | None:
        if node is None:
            return None
        allow, self.ctx.allow_refs = self.ctx.allow_refs, False
        name = _NAME.read(node, self.ctx, what)
        self.ctx.allow_refs = allow
        if name is INVALID:
            return None
        if name in _RESERVED:
            self.problems.add(node.line, f"{what}: '{name}' is a name of the bench")
        elif name in self.names:
            self.problems.add(node.line, f"{what}: '{name}' is already the name of a step above")
        self.names[name] = kind
        if kind != "fault":
            self.ctx.names[name] = gives
        return str(name)

    def _known_name(self, node: Node, what: str, kinds: tuple[str, ...] = ()) -> str | None:
        if not isinstance(node, Scalar) or node.is_null:
            self.ctx.bad(node, f"{what}: expected the name of a step above, not {describe(node)}")
            return None
        known = [name for name, kind in self.names.items() if not kinds or kind.partition(":")[0] in kinds]
        if node.text not in known:
            hint = did_you_mean(node.text, known)
            if node.text in self.names:
                hint = f"'{node.text}' is no {' or '.join(kinds)}"
            elif not hint and known:
                hint = "there are " + ", ".join(known)
            self.problems.add(node.line, f"{what}: no step above is named '{shorten(node.text)}'", hint)
            return None
        return node.text

    def _anchor(self, node: Node | None) -> str | None:
        if node is None:
            return None
        if isinstance(node, Scalar) and node.text.endswith(".end"):
            name = self._known_name(Scalar(node.text[:-4], node.plain, node.line), "after", ("act", "fault"))
            return f"{name}.end" if name else None
        return self._known_name(node, "after")

    def _modifier(self, node: MappingNode, key: str, kind: Any, default: Any) -> Any:
        value_node = node.get(key)
        if value_node is None:
            return default
        value = kind.read(value_node, self.ctx, key)
        return default if value is INVALID else value

    # -- steps ---------------------------------------------------------------------------------------------

    def _verb(self, verb: str, key: Scalar, value: Node) -> dict[str, Any] | None:
        spec = REGISTRY[verb]
        if self.product is not None and self.product not in spec.products:
            self.problems.add(key.line, f"{verb} is nothing that {self.product} can do")
        elif spec.family in MEDIA:
            self._medium(spec.family, key, verb)
        args = spec.record.read(value, self.ctx, verb)
        if args is INVALID:
            return None
        if spec.one_of:
            given = [name for name in spec.one_of if name in args]
            if len(given) != 1:
                said = {item.gives or item.name: item.name for item in spec.fields}
                self.problems.add(
                    key.line, f"{verb}: write one of {' or '.join(said[name] for name in spec.one_of)}"
                )
        if spec.verb == "operator.configure" and isinstance(value, MappingNode):
            only_others(value, self.product, self.problems, "operator.configure")
        if verb == "ris.worklist":
            why = unwritable(args, self.ctx.cells)
            if why:
                self.problems.add(
                    key.line, f"{verb}: {why}", "another 'charset', or 'exclude' the combination"
                )
        if spec.what == "recover" and "fault" in args:
            fault_node = value.get("fault") if isinstance(value, MappingNode) else None
            known = [name for name, kind in self.names.items() if kind == f"fault:{spec.family}"]
            if args["fault"] not in known:
                line = fault_node.line if fault_node is not None else key.line
                hint = did_you_mean(str(args["fault"]), known) or "name it with 'as' where it is armed"
                self.problems.add(
                    line, f"{verb}: no fault of {spec.family} above is named '{args['fault']}'", hint
                )
        return dict(args)

    def _medium(self, place: str, key: Scalar, what: str) -> None:
        """A medium must be named by the setup: without it there is none."""
        if self.media is not None and place not in self.media:
            self.problems.add(
                key.line, f"{what}: there is no medium '{place}'", f"write '{place}:' under 'setup'"
            )

    def _read_act(self, key: Scalar, value: Node, node: MappingNode, place: dict[str, Any]) -> Act | None:
        spec = REGISTRY[key.text]
        args = self._verb(key.text, key, value)
        kind = f"fault:{spec.family}" if spec.fault else "act"
        name = self._new_name(node.get("as"), "as", kind, frozenset(spec.results) if spec.results else None)
        answer_node, fails_node = node.get("answer"), node.get("fails")
        answer: tuple[FieldTest, ...] = ()
        fails: bool | str = False
        if key.text.startswith("operator."):
            answer = (
                read_field_tests(answer_node, self.ctx, "answer", None) if answer_node is not None else ()
            )
            if fails_node is not None:
                fails = self._fails(fails_node)
                if answer_node is not None:
                    self.problems.add(answer_node.line, "answer: a step that 'fails' has no answer")
        if args is None:
            return None
        return Act(verb=key.text, args=args, answer=answer, fails=fails, name=name, **place)

    def _fails(self, node: Node) -> bool | str:
        if isinstance(node, Scalar) and node.plain and node.text in ("true", "false"):
            return node.text == "true"
        text = Text("true, or a regular expression").read(node, self.ctx, "fails")
        if text is INVALID:
            return False
        try:
            re.compile(text)
        except re.error as error:
            self.problems.add(node.line, f"fails: '{shorten(text)}' is no regular expression: {error}")
        return str(text)

    def _read_arm(self, key: Scalar, value: Node, node: MappingNode, place: dict[str, Any]) -> Arm | None:
        if not isinstance(value, MappingNode) or len(value.pairs) != 1:
            self.problems.add(
                value.line,
                f"arm: expected one fault like {{link.pull: {{host: pacs}}}}, not {describe(value)}",
            )
            return None
        verb_key, args_node = value.pairs[0]
        verb = verb_key.text
        args: dict[str, Any] | None = None
        if verb not in REGISTRY:
            self.problems.unknown(verb_key.line, "fault", verb, FAULTS)
        elif not REGISTRY[verb].fault:
            self.problems.add(
                verb_key.line, f"arm: {verb} is no fault, it cannot be armed", did_you_mean(verb, FAULTS)
            )
        else:
            args = self._verb(verb, verb_key, args_node)
        when_node = node.get("when")
        when = self._when(when_node) if when_node is not None else None
        name = self._new_name(node.get("as"), "as", f"fault:{verb.partition('.')[0]}", None)
        if args is None or (when_node is not None and when is None):
            return None
        return Arm(verb=verb, args=args, when=when, name=name, **place)

    def _when(self, node: Node) -> When | None:
        if not isinstance(node, MappingNode) or not node.pairs:
            self.problems.add(
                node.line,
                f"when: expected a condition like {{pacs.received_bytes: 4 MB}}, not {describe(node)}",
            )
            return None
        count = 1
        conditions = []
        for key, value in node.items():
            if key.text == "count":
                read = _COUNT.read(value, self.ctx, "when: count")
                count = 1 if read is INVALID else read
            else:
                conditions.append((key, value))
        if len(conditions) != 1:
            self.problems.add(node.line, "when: exactly one condition")
            return None
        key, value = conditions[0]
        host, _, what = key.text.rpartition(".")
        result: Any
        if key.text == "time":
            result = DURATION.read(value, self.ctx, "when: time")
            return None if result is INVALID else When("time", value=result, line=key.line)
        if what == "received_bytes" and host in PEERS:
            result = SIZE.read(value, self.ctx, f"when: {key.text}")
            return (
                None
                if result is INVALID
                else When("received_bytes", host, result, count=count, line=key.line)
            )
        if what == "request" and host in PEERS:
            result = OCCASION.read(value, self.ctx, f"when: {key.text}")
            return None if result is INVALID else When("request", host, result, count=count, line=key.line)
        if what == "written_bytes" and host in MEDIA:
            self._medium(host, key, f"when: {key.text}")
            result = SIZE.read(value, self.ctx, f"when: {key.text}")
            return (
                None if result is INVALID else When("written_bytes", host, result, count=count, line=key.line)
            )
        if key.text in KINDS:
            where = dataset = None
            if isinstance(value, MappingNode):
                for inner, inner_node in value.items():
                    if inner.text == "where":
                        where = inner_node
                    elif inner.text == "dataset":
                        dataset = inner_node
                    else:
                        self.problems.add(
                            inner.line,
                            f"when: {key.text}: unknown key '{shorten(inner.text)}'",
                            "there are where, dataset",
                        )
            elif not (isinstance(value, Scalar) and value.is_null):
                self.problems.add(
                    value.line, f"when: {key.text}: expected where and dataset, not {describe(value)}"
                )
            test = read_event_test(Scalar(key.text, True, key.line), where, dataset, self.ctx, "when")
            return None if test is None else When("event", host, match=test, count=count, line=key.line)
        known = [
            "time",
            *KINDS,
            *(f"{peer}.{word}" for peer in PEERS for word in ("received_bytes", "request")),
            *(f"{place}.written_bytes" for place in MEDIA),
        ]
        self.problems.unknown(key.line, "condition", key.text, known)
        return None

    def _read_expect(
        self, key: Scalar, value: Node, node: MappingNode, place: dict[str, Any]
    ) -> Expect | None:
        after = self._anchor(node.get("after"))
        test = read_event_test(value, node.get("where"), node.get("dataset"), self.ctx, "expect")
        within = self._modifier(node, "within", DURATION, DEFAULT_WITHIN_S)
        count = self._modifier(node, "count", _COUNT, None)
        shared = self._modifier(node, "shared", Bool(), False)
        gives = fields_of_pattern(value.text) if test is not None and isinstance(value, Scalar) else None
        save = self._new_name(node.get("save"), "save", "expect", gives)
        name = self._new_name(node.get("as"), "as", "expect", gives)
        if test is not None and test.kind.endswith(".*"):
            self.problems.add(value.line, f"expect: '{test.kind}' is no single kind of event")
        if test is None:
            return None
        return Expect(
            kind=test.kind,
            where=test.where,
            dataset=test.dataset,
            within_s=within,
            after=after,
            count=count,
            shared=shared,
            save=save,
            name=name,
            **place,
        )

    def _read_never(self, key: Scalar, value: Node, node: MappingNode, place: dict[str, Any]) -> Never | None:
        after = self._anchor(node.get("after"))
        test = read_event_test(value, node.get("where"), node.get("dataset"), self.ctx, "never")
        wait = self._modifier(node, "wait", Bool(), False)
        for_node = node.get("for")
        for_s: float | None = None
        if for_node is None:
            self.problems.add(key.line, "never: 'for' is missing", "a duration like '5 s', or 'end'")
        elif isinstance(for_node, Scalar) and for_node.text == "end":
            if wait is True:
                self.problems.add(
                    for_node.line, "never: a window to the end of the cell cannot be waited for"
                )
        else:
            for_s = self._modifier(node, "for", DURATION, None)
        if test is None:
            return None
        return Never(
            kind=test.kind,
            where=test.where,
            dataset=test.dataset,
            for_s=for_s,
            wait=wait,
            after=after,
            **place,
        )

    def _read_order(self, key: Scalar, value: Node, node: MappingNode, place: dict[str, Any]) -> Order | None:
        if not isinstance(value, SequenceNode) or len(value.items) < 2:
            self.problems.add(
                value.line, f"order: expected a list of two or more names, not {describe(value)}"
            )
            return None
        names = [self._known_name(entry, "order", ("expect",)) for entry in value.items]
        if any(name is None for name in names):
            return None
        if len(set(names)) < len(names):
            self.problems.add(value.line, "order: a name is there twice")
        return Order(names=tuple(str(name) for name in names), **place)


def _is_head(key: str, node: MappingNode) -> bool:
    """Tell whether a key is the verb of its step; ``wait`` is also a modifier of ``never``."""
    if key == "wait":
        return node.get("never") is None
    return key in GRAMMAR or "." in key
