"""Imports point down: the list in floors.py against the code, and the checker against planted faults."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.architecture import floors
from tests.architecture.imports import (
    ROOT,
    Found,
    by_name,
    cycle,
    file_of,
    foreign,
    imports,
    room_of,
    sources,
    upward,
)

MODULES = sources()
FOUND = imports(MODULES)
LISTED = {room for floor in floors.FLOORS for room in floor}


def test_every_file_belongs_to_a_listed_room() -> None:
    unlisted = sorted({module for module in MODULES if room_of(module) not in LISTED})
    assert unlisted == [], f"add their rooms to tests/architecture/floors.py and docs/architecture.md: {unlisted}"


def test_every_listed_room_exists() -> None:
    empty = sorted(LISTED - {room_of(module) for module in MODULES})
    assert empty == [], f"no file belongs to these rooms any more: {empty}"


def test_no_room_stands_on_two_floors() -> None:
    assert len(LISTED) == sum(map(len, floors.FLOORS))


def test_imports_point_down() -> None:
    wrong = upward(FOUND, floors.FLOORS, floors.SIDEWAYS)
    assert wrong == [], "announce it as an event, or move it: " + "; ".join(wrong)


def test_a_room_imports_sideways_only_from_its_own_floor() -> None:
    floor_of = {room: number for number, floor in enumerate(floors.FLOORS) for room in floor}
    assert [
        (room, other)
        for room, others in floors.SIDEWAYS.items()
        for other in others
        if floor_of[room] != floor_of[other]
    ] == []


def test_there_is_no_import_cycle() -> None:
    assert cycle(FOUND) == ""


def test_libraries_are_imported_only_where_they_are_listed() -> None:
    wrong = foreign(FOUND, {**floors.LIBRARIES, **floors.HOSTS}, MODULES)
    assert wrong == [], "list it in floors.LIBRARIES, with its one room: " + "; ".join(wrong)


def test_modules_are_imported_by_name_only_for_the_lazy_exports() -> None:
    wrong = [
        place for place in by_name(MODULES) if file_of(place.split(":")[0], MODULES) not in floors.MAY_IMPORT_BY_NAME
    ]
    assert wrong == [], f"write a plain import, so that the floors can be checked: {wrong}"


def test_every_dependency_is_imported_and_every_import_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for extra in floors.EXTRAS for name in project["optional-dependencies"][extra]]
    names = {re.split(r"[<>=!~\[ ]", dependency)[0] for dependency in [*project["dependencies"], *extras]}
    declared = {floors.IMPORTED_AS.get(name, name) for name in names} - floors.DATA_ONLY
    used = {one.target.split(".")[0] for one in FOUND} & (declared | set(floors.LIBRARIES))
    assert used == declared, f"unused: {sorted(declared - used)}; undeclared: {sorted(used - declared)}"
    assert set(floors.LIBRARIES) == declared


PLANTED = {
    "tokencalc": "",
    "tokencalc.errors": "",
    "tokencalc.money": "from tokencalc.errors import MoneyInvalid",
    "tokencalc.pricing": "",
    "tokencalc.pricing.card": "import tiktoken\nfrom tokencalc.money import line_pico",
    "tokencalc.ledger": "",
    "tokencalc.ledger.store": "def late():\n    from tokencalc import engine",
    "tokencalc.engine": "if TYPE_CHECKING:\n    from tokencalc.ledger import store\nfrom . import errors",
}
PLANTED_FLOORS = (("errors",), ("money",), ("pricing", "ledger"), ("engine",), ("__init__",))


def test_the_checker_finds_imports_in_functions_type_blocks_and_relative_ones() -> None:
    assert [
        Found("tokencalc.money", 1, "tokencalc.errors"),
        Found("tokencalc.pricing.card", 1, "tiktoken"),
        Found("tokencalc.pricing.card", 2, "tokencalc.money"),
        Found("tokencalc.ledger.store", 2, "tokencalc.engine"),
        Found("tokencalc.engine", 2, "tokencalc.ledger.store"),
        Found("tokencalc.engine", 3, "tokencalc.errors"),
    ] == imports(PLANTED)


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("tokencalc.money", "import tokencalc.pricing.card", ["tokencalc.money:1 imports tokencalc.pricing.card"]),
        ("tokencalc.money", "from tokencalc import Engine", ["tokencalc.money:1 imports tokencalc"]),
        (
            "tokencalc.pricing.card",
            "from ..ledger import store",
            ["tokencalc.pricing.card:1 imports tokencalc.ledger.store"],
        ),
        ("tokencalc.pricing.card", "from tokencalc.pricing import rates", []),
        ("tokencalc.stray", "import tokencalc.errors", ["tokencalc.stray:1 imports tokencalc.errors"]),
    ],
)
def test_the_checker_finds_what_points_up_or_sideways(module: str, source: str, expected: list[str]) -> None:
    found = [one for one in imports({**PLANTED, module: source}) if one.module == module]
    assert expected == upward(found, PLANTED_FLOORS, {})


def test_the_checker_lets_a_listed_room_look_sideways() -> None:
    found = [Found("tokencalc.ledger.store", 1, "tokencalc.pricing.card")]
    assert upward(found, PLANTED_FLOORS, {"ledger": frozenset({"pricing"})}) == []


def test_the_checker_finds_a_cycle_hidden_in_a_function() -> None:
    assert set(cycle(imports(PLANTED)).split(" <- ")) == {"tokencalc.ledger.store", "tokencalc.engine"}


@pytest.mark.parametrize(
    ("libraries", "expected"),
    [
        ({}, ["tokencalc.pricing.card:1 imports tiktoken"]),
        ({"tiktoken": ("tokencalc/tokens/",)}, ["tokencalc.pricing.card:1 imports tiktoken"]),
        ({"tiktoken": ("tokencalc/pricing/",)}, []),
        ({"tiktoken": ("tokencalc/pricing/card.py",)}, []),
    ],
)
def test_the_checker_finds_a_library_outside_its_room(
    libraries: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    assert expected == foreign(imports(PLANTED), libraries, PLANTED)


def test_the_checker_finds_imports_by_name() -> None:
    assert by_name({"tokencalc.money": "import importlib\nimportlib.import_module('tokencalc.engine')"}) == [
        "tokencalc.money:2"
    ]
