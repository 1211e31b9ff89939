"""A ledger in memory and a clock that a test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokencalc import Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock("2026-11-20T12:00:00Z")


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine.open(":memory:", clock=clock, settings=Settings()) as opened:
        yield opened
