"""The error tree is the one that its page draws; errors keep their numbers, also on the way between processes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tokencalc import errors
from tokencalc.errors import BudgetExceeded, InvalidInput, TokencalcError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, TokencalcError)]


def drawn() -> dict[str, str]:
    """Return each class of the drawing with the class that it hangs from."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    (?:(?P<indent>(?:\|   |    )*)[|`]-- )?(?P<name>[A-Z]\w+)\b", line)
        if found:
            depth = 0 if found["indent"] is None else len(found["indent"]) // 4 + 1
            path[depth:] = [found["name"]]
            parents[found["name"]] = path[depth - 1] if depth else ""
    return parents


def test_the_drawing_is_the_tree() -> None:
    real = {kind.__name__: kind.__mro__[1].__name__ if kind is not TokencalcError else "" for kind in CLASSES}
    assert real == drawn()


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_code_of_its_own_and_says_what_it_is(kind: type[TokencalcError]) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert [other for other in CLASSES if other.code == kind.code] == [kind]
    assert inspect.getdoc(kind) != inspect.getdoc(kind.__mro__[1])


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if issubclass(kind, InvalidInput)])
def test_a_users_mistake_is_a_value_error_too(kind: type[TokencalcError]) -> None:
    with pytest.raises(ValueError, match=r"^usage\.x: no$"):
        raise kind("usage.x: no", path="usage.x", found=7)


def test_the_numbers_of_a_message_are_attributes() -> None:
    error = BudgetExceeded("daily: no room", budget="daily", available_usd=Decimal("0.10"))
    assert (error.budget, error.available_usd, str(error), error.message) == (
        "daily",
        Decimal("0.10"),
        "daily: no room",
        "daily: no room",
    )
    assert error.values == {"budget": "daily", "available_usd": Decimal("0.10")}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])  # noqa: S301  # our own bytes
def test_an_error_survives_the_way_between_processes(kind: type[TokencalcError], again: object) -> None:
    assert callable(again)
    values = {"path": "usage.x", "found": Decimal("0.1"), "resets_at": datetime(2026, 11, 20, tzinfo=UTC)}
    same = again(kind("no", **values))
    assert (kind, "no", values) == (type(same), str(same), same.values)
    assert same.found == Decimal("0.1")
