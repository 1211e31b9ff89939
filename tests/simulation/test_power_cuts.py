"""The power goes: what was acknowledged is there afterwards, nothing is there by half, and the chain is whole.

SQLite writes through a layer that forgets what was not synced; see `disk.py`. What the disk then holds is opened anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, get_args

import pytest

from tests.simulation.disk import Disk, Fault, Left, seeded, watched
from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import LedgerUnavailable

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from tokencalc.ledger.sqlite import Durability

LEDGER = "new/folder/ledger.db"
FAILED = "the disk answered with an error|the disk is full|unable to open"


@dataclass
class Life:
    """What one process did before the power went: what was asked for, and what was acknowledged."""

    asked: int = 0
    entries: list[str] = field(default_factory=list)
    holds: dict[str, str] = field(default_factory=dict)

    def work(self, engine: Engine, rounds: int) -> None:
        """Reserve, record, settle, release; each answer is an acknowledgement."""
        for number in range(self.asked, self.asked + rounds):
            self.asked += 1
            hold = engine.reserve(model="acme-1", amount_usd="0.02", agent_id=f"a{number % 3}")
            self.holds[hold.hold_id] = "open"
            self.entries.append(engine.record(model="acme-1", cost_usd="0.01", tags={"n": "x" * 50}).entry_id)
            if number % 3 == 0:
                self.entries.append(engine.settle(hold, cost_usd="0.03").entry_id)
                self.holds[hold.hold_id] = "settled"
            elif number % 3 == 1:
                self.holds[hold.hold_id] = engine.release(hold).state

    def lost(self, engine: Engine) -> list[str]:
        """Return what was acknowledged and is not there, or is there in an older state."""
        found = {entry.entry_id for entry in engine.entries()}
        states = {hold.hold_id: hold.state for hold in engine.holds(limit=10_000)}
        # A step that was cut off may have been written; a state that was acknowledged may only have moved on.
        stale = [name for name, state in self.holds.items() if states.get(name) != state and state != "open"]
        return [
            *(name for name in self.entries if name not in found),
            *stale,
            *(name for name in self.holds if name not in states),
        ]


def opened(ledger: Path, durability: Durability = "full") -> Engine:
    """Open a ledger with a budget."""
    engine = Engine.open(ledger, clock=ManualClock(), settings=Settings(), durability=durability, prices=None)
    try:
        engine.set_budget(Budget(name="b", limit_usd=1000, scope={"agent_id": "*"}))
    except LedgerUnavailable:
        engine.close()
        raise
    return engine


def check(left: Path, life: Life, *, may_miss: bool = False) -> int:
    """Open what is left; return how much was lost."""
    with watched(Disk(left)), opened(left / LEDGER) as engine:
        assert engine.verify().problems == ()
        lost = life.lost(engine)
        assert may_miss or lost == []
        engine.record(model="acme-1", cost_usd="0.01")
        assert engine.verify().problems == ()
    return len(lost)


@pytest.mark.parametrize("left", get_args(Left))
@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int, left: Left) -> None:
    random = seeded(seed)
    root = tmp_path / "disk"
    root.mkdir()
    life = Life()
    with watched(Disk(root)) as disk:
        engine = opened(root / LEDGER)
        life.work(engine, random.randrange(1, 120))
        disk.image(tmp_path / "left", left, random)
        engine.close()
    assert check(tmp_path / "left", life) == 0


def test_a_power_cut_at_any_write_of_a_ledgers_first_moments_loses_nothing(tmp_path: Path) -> None:
    """From the making of the file on: each write, each sync, each truncation is the last one once."""
    for after in count():
        root, left = tmp_path / f"disk-{after}", tmp_path / f"left-{after}"
        root.mkdir()
        life = Life()
        with watched(Disk(root, fault=Fault(after))) as disk:
            was_cut = live_until_cut(root / LEDGER, life, rounds=3)
            disk.image(left, "part", seeded(after))
        check(left, life)
        if not was_cut:
            break
    assert after > 60


def live_until_cut(ledger: Path, life: Life, rounds: int) -> bool:
    """Work until the disk fails; return whether it did."""
    try:
        engine = opened(ledger)
    except LedgerUnavailable:
        return True
    try:
        life.work(engine, rounds)
    except LedgerUnavailable:
        return True
    finally:
        engine.close()
    return False


@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_in_the_middle_of_checkpoints_and_closings_loses_nothing(tmp_path: Path, seed: int) -> None:
    """One power cut after the other, each somewhere in the work of the next life; the write-ahead log is kept short."""
    random = seeded(seed)
    life = Life()
    place = tmp_path / "disk-0"
    place.mkdir()
    for number in range(1, 5):
        with watched(Disk(place)) as disk:
            live_with_checkpoints(disk, place / LEDGER, life, random)
            place = tmp_path / f"disk-{number}"
            disk.image(place, random.choice(get_args(Left)), random)
    check(place, life)


def live_with_checkpoints(disk: Disk, ledger: Path, life: Life, random: Random) -> None:
    """Work with a checkpoint every few pages, and close, until the power goes somewhere in all that."""
    engine = opened(ledger)
    with engine.store._gate:
        engine.store._open_writing().execute("PRAGMA wal_autocheckpoint = 20")
    disk.fault = Fault(random.randrange(200, 900))
    try:
        life.work(engine, 40)
    except LedgerUnavailable:
        pass
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [(Fault(3, once=True), "the disk answered with an error"), (Fault(3, once=True, is_full=True), "the disk is full")],
)
def test_a_write_that_fails_is_an_error_of_ours_and_the_ledger_goes_on(
    tmp_path: Path, fault: Fault, message: str
) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    life = Life()
    with watched(Disk(root)) as disk:
        engine = opened(root / LEDGER)
        life.work(engine, 3)
        disk.fault = fault
        with pytest.raises(LedgerUnavailable, match=message):
            engine.record(model="acme-1", cost_usd=1)
        assert engine.report().total.cost_usd * 100 == sum((1, 3, 1, 1))
        life.work(engine, 3)
        disk.image(tmp_path / "left", "synced", seeded(1))
        engine.close()
    assert check(tmp_path / "left", life) == 0


@pytest.mark.parametrize(
    ("left", "missing"),
    [
        pytest.param("synced", True, id="a power cut loses the last moments, and the chain stays whole"),
        pytest.param("all", False, id="a killed process loses nothing"),
    ],
)
def test_what_normal_durability_is_worth(left: Left, tmp_path: Path, *, missing: bool) -> None:
    """The first row is what the stronger promise is worth: the same test without it loses entries."""
    root = tmp_path / "disk"
    root.mkdir()
    life = Life()
    with watched(Disk(root)) as disk:
        engine = opened(root / LEDGER, "normal")
        life.work(engine, 30)
        disk.image(tmp_path / "left", left, seeded(1))
        engine.close()
    assert (check(tmp_path / "left", life, may_miss=missing) > 0) is missing
