"""What the tests of wrapped clients share: a provider on this machine and a ledger in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.client.provider import OPENED, Provider
from tokencalc.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Return a server that answers what `say` queued."""
    with Provider() as server:
        yield server


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Return an engine over a ledger of its own."""
    with Engine.open(":memory:") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _closed_clients() -> Iterator[None]:
    """Close every client that a test opened: a socket that the collector finds is a warning."""
    yield
    while OPENED:
        OPENED.pop().close()
