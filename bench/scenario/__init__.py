"""Scenario files: the language, its loader, its matrix, its step registry (docs/scenarios.md)."""

from bench.scenario.lint import lint
from bench.scenario.loader import load, load_text
from bench.scenario.matchers import DatasetTest, EventTest, FieldTest, field_mismatches
from bench.scenario.model import Act, Allow, Arm, Cell, Expect, Never, Order, Scenario, Step, When
from bench.scenario.problems import InputErrors, Problem, ScenarioErrors
from bench.scenario.refs import Ref, Scope, Unresolved
from bench.scenario.steps import REGISTRY

__all__ = [
    "REGISTRY",
    "Act",
    "Allow",
    "Arm",
    "Cell",
    "DatasetTest",
    "EventTest",
    "Expect",
    "FieldTest",
    "InputErrors",
    "Never",
    "Order",
    "Problem",
    "Ref",
    "Scenario",
    "ScenarioErrors",
    "Scope",
    "Step",
    "Unresolved",
    "When",
    "field_mismatches",
    "lint",
    "load",
    "load_text",
]
