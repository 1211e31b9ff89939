"""Two hundred times kill -9 of one of four processes: what was acknowledged is there, once and whole."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.faults.processes import ROOT, Worker, end, line_of
from tokencalc import Budget, Engine
from tokencalc.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS = 200
SLOTS = ("0", "1", "2", "3")
LANES = [f"{slot}-{thread}" for slot in SLOTS for thread in (0, 1)]


@contextmanager
def nursery(ledger: Path) -> Iterator[Worker]:
    """Start the process that starts workers; closing its stdin ends them all."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.nursery", str(ledger)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        assert started.stdin is not None
        started.stdin.close()
        started.wait(30)
        end(started)


class Killing:
    """What four workers acknowledged, and the orders to start and to kill them."""

    def __init__(self, process: Worker) -> None:
        """Begin with nothing acknowledged."""
        self.process = process
        self.acknowledged = dict.fromkeys(LANES, 0)

    def order(self, *words: object) -> None:
        """Give an order to the process that starts and kills."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()

    def start(self, slot: str) -> None:
        """Start a worker where the last one of its slot was; a call that was not acknowledged is made again."""
        self.order("start", slot, *(self.acknowledged[f"{slot}-{thread}"] for thread in (0, 1)))

    def read(self) -> list[str]:
        """Read one line, note what it acknowledges, and return its words."""
        words = line_of(self.process).split()
        if words[0] in self.acknowledged:
            assert int(words[1]) == self.acknowledged[words[0]], "each is acknowledged once, in order"
            self.acknowledged[words[0]] += 1
        return words

    def kill(self, slot: str) -> None:
        """Kill a worker, and note what it still acknowledged."""
        self.order("kill", slot)
        while (words := self.read())[0] != "killed":
            pass
        assert words == ["killed", slot, "-9"], "nobody ends by themselves"


def test_two_hundred_kills_lose_nothing_and_leave_nothing_half_done(tmp_path: Path) -> None:
    moments = random.Random(20261121)  # noqa: S311  # victims and moments, no secrets
    ledger = tmp_path / "ledger.db"
    with Engine.open(ledger, settings=Settings()) as engine:
        engine.set_budget(Budget(name="all", limit_usd=9000, period="total"))
        engine.set_budget(Budget(name="users", limit_usd=5000, period="total", scope={"user_id": "*"}))
        engine.set_budget(Budget(name="agents", limit_usd=5000, scope={"agent_id": "*"}))
    with nursery(ledger) as process:
        killing = Killing(process)
        for slot in SLOTS:
            killing.start(slot)
        for number in range(KILLS):
            for _ in range(moments.randrange(25)):
                killing.read()
            victim = moments.choice(SLOTS)
            killing.kill(victim)
            killing.start(victim)
            if number % 20 == 19:
                with Engine.open(ledger, settings=Settings()) as engine:
                    engine.record(model="acme-1", cost_usd="0.01", idempotency_key=f"between-{number}")
                    assert engine.verify().problems == (), "in the middle of it all, too"
        for slot in SLOTS:
            killing.kill(slot)
    with Engine.open(ledger, settings=Settings()) as engine:
        check(engine, killing.acknowledged)


def check(engine: Engine, acknowledged: dict[str, int]) -> None:
    """Compare the book with what was acknowledged: each call once, at most one more in each lane, all in balance."""
    assert engine.verify().problems == ()
    charges = Counter(entry.idempotency_key for entry in engine.entries() if entry.kind == "charge")
    holds = {hold.idempotency_key: hold.state for hold in engine.holds(limit=10**9)}
    assert set(charges.values()) == {1}
    assert len(holds) == len(engine.holds(limit=10**9))
    for lane, numbers in acknowledged.items():
        assert numbers > 0
        for number in range(numbers):
            key, kind = f"{lane}-{number}", number % 3
            assert charges[key] == (kind != 2)
            assert holds.get(key) == (None, "settled", "released")[kind]
        begun = {key for key in (*charges, *holds) if key and key.startswith(f"{lane}-")}
        assert begun - {f"{lane}-{number}" for number in range(numbers)} <= {f"{lane}-{numbers}"}
    open_holds = sum(state == "open" for state in holds.values())
    status = engine.budget_status("all")
    assert Decimal("0.01") * len(charges) == status.spent_usd == engine.report().total.cost_usd
    assert Decimal("0.02") * open_holds == status.held_usd
    assert open_holds <= len(LANES)
