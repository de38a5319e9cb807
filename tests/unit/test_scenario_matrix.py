"""Cells: order, modes, filters, exclusions, ids."""

from __future__ import annotations

import itertools

import pytest

from bench.scenario import Scenario, load_text

MATRIX = """\
matrix:
  link: [10BASE-T, 100BASE-T, 1000BASE-T]
  charset: [ISO_IR 100, ISO_IR 192, "\\\\ISO 2022 IR 87"]
  detector: [3072x3072, 4096x4096]
"""


def scenario(head: str = "") -> Scenario:
    return load_text(f"scenario: name\nproduct: vxvue\n{head}\nsteps: [operator.send: ]\n")


def test_without_a_matrix_there_is_one_cell_with_the_name_as_id() -> None:
    (cell,) = scenario().cells("full")
    assert (cell.id, dict(cell.values)) == ("name", {})


def test_full_is_the_product_in_the_order_of_the_file() -> None:
    cells = scenario(MATRIX).cells("full")
    assert len(cells) == 18
    assert cells[0].id == "name[link=10BASE-T,charset=ISO_IR-100,detector=3072x3072]"
    assert cells[1].values["detector"] == "4096x4096"
    assert cells[4].id == "name[link=10BASE-T,charset=ISO-2022-IR-87,detector=3072x3072]"
    assert len({cell.id for cell in cells}) == 18


def test_smoke_is_the_first_cell_that_passes_the_filters() -> None:
    assert [cell.values["link"] for cell in scenario(MATRIX).cells()] == ["10BASE-T"]
    (cell,) = scenario(MATRIX).cells("smoke", {"link": "1000BASE-T", "nothing": "here"})
    assert cell.values["link"] == "1000BASE-T"
    assert scenario(MATRIX).cells("smoke", {"link": "10GBASE-T"}) == ()


def test_filters_take_several_values_and_the_spelling_of_the_id() -> None:
    cells = scenario(MATRIX).cells("full", {"charset": ["ISO_IR-192", "ISO_IR 100"], "detector": "3072x3072"})
    assert len(cells) == 6


def test_exclude_leaves_out_combinations() -> None:
    cells = scenario(MATRIX + "exclude: [{link: [10BASE-T, 100BASE-T], detector: 4096x4096}]\n").cells("full")
    assert len(cells) == 12
    assert all(c.values["link"] == "1000BASE-T" for c in cells if c.values["detector"] == "4096x4096")


def test_pairwise_has_every_possible_pair_and_is_smaller() -> None:
    whole = scenario(MATRIX + "exclude: [{link: 10BASE-T, charset: ISO_IR 192}]\n")

    def pairs(mode: str) -> set[tuple[tuple[str, str], ...]]:
        return {
            pair
            for cell in whole.cells(mode)
            for pair in itertools.combinations(sorted(cell.values.items()), 2)
        }

    assert pairs("pairwise") == pairs("full")
    assert 8 <= len(whole.cells("pairwise")) < len(whole.cells("full")) == 16
    assert [c.id for c in whole.cells("pairwise")] == [c.id for c in whole.cells("pairwise")]


def test_ids_stay_unique_when_values_differ_only_in_what_a_file_name_cannot_hold() -> None:
    text = (
        "scenario: name\nproduct: vxvue\nmatrix: {x: ['a b', 'a/b', 'A:b', '']}\n"
        "steps: [operator.reject: {reason: 'because ${matrix.x}'}]\n"
    )
    ids = [cell.id for cell in load_text(text).cells("full")]
    assert ids[0] == "name[x=a-b]"
    assert len({cell_id.casefold() for cell_id in ids}) == 4
    assert all(not set(cell_id) & set('/\\:*?"<>| ') for cell_id in ids)
    one = load_text(text).cells("full", {"x": "a/b"})
    assert one[0].id == ids[1]  # an id does not depend on what else was selected


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown matrix mode 'all': there are smoke, pairwise, full"):
        scenario().cells("all")
