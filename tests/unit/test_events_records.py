"""Events are frozen records with names of their own, and every one of them is in the union that listeners take."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest

from tokencalc import events
from tokencalc.events import BudgetCrossed, Event, Listener

RECORDS = [value for value in vars(events).values() if dataclasses.is_dataclass(value)]
CROSSED = BudgetCrossed(
    budget="daily",
    period_key="2026-11-20",
    threshold_percent=75,
    spent_usd=Decimal("7.50"),
    limit_usd=Decimal(10),
    at=datetime(2026, 11, 20, 12, tzinfo=UTC),
)


def test_the_union_holds_every_event() -> None:
    assert set(get_args(Event)) == set(RECORDS)


@pytest.mark.parametrize("record", RECORDS)
def test_an_event_is_frozen_by_keyword_and_says_when(record: type) -> None:
    fields = dataclasses.fields(record)
    assert all(field.kw_only for field in fields)
    assert "at" in {field.name for field in fields}
    assert "__dict__" not in dir(record)
    assert inspect.getdoc(record)


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'budget'"):
        CROSSED.budget = "other"  # type: ignore[misc]  # what is tested


def test_anything_that_can_be_called_with_an_event_is_a_listener() -> None:
    seen: list[Event] = []
    listener: Listener = seen.append
    listener(CROSSED)
    assert seen == [CROSSED]
