"""One suite for every store: a store joins by one line in `STORES`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc import Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import LedgerClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STORES: dict[str, Callable[[Path], str]] = {
    "sqlite file": lambda folder: str(folder / "ledger.db"),
    "sqlite in memory": lambda _: ":memory:",
}


@dataclass
class Book:
    """One ledger, the clock that its engines share, and the engines that are open."""

    place: str
    clock: ManualClock = field(default_factory=ManualClock)
    opened: list[Engine] = field(default_factory=list)

    def open(self, **options: Any) -> Engine:
        """Open the ledger; it is closed after the test."""
        settings = options.pop("settings", None) or Settings()
        self.opened.append(Engine.open(self.place, clock=self.clock, settings=settings, **options))
        return self.opened[-1]


@pytest.fixture(params=STORES)
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    """Give a ledger of each store; whatever a test did to it, its books must balance in the end."""
    book = Book(STORES[request.param](tmp_path))
    yield book
    for engine in book.opened:
        with suppress(LedgerClosed):
            assert engine.verify().problems == ()
        engine.close()


@pytest.fixture
def engine(book: Book) -> Engine:
    """Give an engine over a ledger of each store."""
    return book.open()


@pytest.fixture
def clock(book: Book) -> ManualClock:
    """Give the clock of the test's ledger."""
    return book.clock
