"""No room left: the call is refused with the reason, what was acknowledged stays, and it goes on when there is room."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.faults.processes import ROOT
from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import LedgerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

FULL = "the disk is full: free some space; what was acknowledged is safe, this call wrote nothing"


def limit_pages(engine: Engine, pages: int | None) -> None:
    """Let SQLite answer that the disk is full past so many pages more, or lift that."""
    with engine.store._gate:
        connection = engine.store._open_writing()
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {2**30 if pages is None else now + pages}")


@pytest.fixture(params=["ledger.db", ":memory:"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Give an engine over a file and over memory, with a budget."""
    place = ":memory:" if request.param == ":memory:" else tmp_path / "ledger.db"
    engine = Engine.open(place, clock=ManualClock(), settings=Settings())
    engine.set_budget(Budget(name="b", limit_usd=1000))
    return engine


def test_a_full_disk_refuses_and_keeps_what_was_acknowledged(engine: Engine) -> None:
    kept = [spend(engine) for _ in range(3)]
    limit_pages(engine, 0)
    with pytest.raises(LedgerUnavailable, match=FULL):
        kept.extend(spend(engine) for _ in range(500))
    assert [entry.entry_id for entry in engine.entries()] == kept[::-1]
    assert engine.budget_status("b").spent_usd == len(kept)
    assert engine.verify().problems == ()

    limit_pages(engine, None)
    kept.append(spend(engine))
    assert engine.report().total.cost_usd == engine.budget_status("b").spent_usd == Decimal(len(kept))
    assert engine.verify().problems == ()
    engine.close()


def spend(engine: Engine) -> str:
    """Record a dollar with enough beside it to fill pages; return the entry's id."""
    return engine.record(model="acme-1", cost_usd=1, tags={str(n): "x" * 200 for n in range(4)}).entry_id


def test_threads_on_a_full_disk_each_get_their_own_answer(engine: Engine) -> None:
    limit_pages(engine, 40)

    def attempt(_: int) -> str | None:
        try:
            return spend(engine)
        except LedgerUnavailable as full:
            return None if FULL in str(full) else str(full)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(attempt, range(400)))
    acknowledged = [one for one in found if one is not None]
    assert 0 < len(acknowledged) < 400
    assert not engine.store.writer._queue, "what was refused is with its caller, not in memory for later"
    assert {entry.entry_id for entry in engine.entries()} == set(acknowledged)
    assert engine.verify().problems == ()
    engine.close()


FILLING = """
import json, resource, signal, sys
from tokencalc import Engine
from tokencalc.config import Settings
from tokencalc.errors import TokencalcError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
engine = Engine.open(sys.argv[1], settings=Settings())
kept = [engine.record(model="acme-1", cost_usd="0.01").entry_id]
resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, resource.RLIM_INFINITY))
error = None
for _ in range(2000):
    try:
        kept.append(engine.record(model="acme-1", cost_usd="0.01").entry_id)
    except TokencalcError as found:
        error = [type(found).__name__, str(found)]
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kept.append(engine.record(model="acme-1", cost_usd="0.01").entry_id)
print(json.dumps({"kept": kept, "error": error, "problems": engine.verify().problems}))
"""


def test_a_file_that_may_not_grow_is_an_error_of_ours_and_goes_on_when_it_may(tmp_path: Path) -> None:
    """The kernel itself refuses the write here: the limit on a file's size, with its signal ignored."""
    ledger = tmp_path / "ledger.db"
    result = subprocess.run(
        [sys.executable, "-c", FILLING, str(ledger)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = json.loads(result.stdout)
    name, message = said["error"]
    assert name == "UsageSpooled"
    assert "what was acknowledged" in message
    assert said["problems"] == []
    with Engine.open(ledger, settings=Settings()) as engine:
        assert engine.verify().problems == ()
        spooled, *kept = [entry.entry_id for entry in engine.entries()]
        assert kept == said["kept"][::-1]
        assert spooled not in kept
