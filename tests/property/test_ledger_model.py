"""Random work against a model in plain Python: after each step, every counter must agree and verify be clean."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc import Budget, Engine
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import BudgetExceeded, HoldNotOpen
from tokencalc.money import pico_from_usd, usd_from_pico
from tokencalc.periods import period_at

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tokencalc.ledger.records import Hold

STEPS = 120
AGENTS = ("a", "b", None)
SCOPES: tuple[dict[str, str], ...] = ({}, {"agent_id": "a"}, {"agent_id": "*"}, {"tag:team": "x"}, {"project": "p"})
CLOSE_AFTER_S = 3600


@dataclass
class ModelHold:
    """A hold as the model knows it."""

    amount: int
    expected: int
    about: dict[str, Any]
    at: datetime
    expires: datetime
    state: str = "open"
    written_off: int = 0


@dataclass
class Model:
    """What the book must say: entries, holds and budgets as lists, summed anew each time."""

    budgets: dict[str, Budget] = field(default_factory=dict)
    entries: list[tuple[dict[str, Any], datetime, int]] = field(default_factory=list)
    holds: dict[str, ModelHold] = field(default_factory=dict)

    def instance(self, budget: Budget, about: dict[str, Any]) -> str | None:
        """Return which instance of a budget covers a call."""
        found = ""
        for key, wanted in budget.scope.items():
            value = about.get("tags", {}).get(key[4:]) if key.startswith("tag:") else about.get(key)
            if value is None or wanted not in {"*", value}:
                return None
            found = value if wanted == "*" else found
        return found

    def figures(self, budget: Budget, value: str, at: datetime) -> tuple[int, int]:
        """Sum what is spent and held in the period of an instant."""
        key = period_at(budget.period, at, timezone=budget.timezone).key

        def is_in(about: dict[str, Any], when: datetime) -> bool:
            return (
                self.instance(budget, about) == value
                and period_at(budget.period, when, timezone=budget.timezone).key == key
            )

        spent = sum(amount for about, when, amount in self.entries if is_in(about, when))
        held = sum(hold.amount for hold in self.holds.values() if hold.state == "open" and is_in(hold.about, hold.at))
        return spent, held

    def has_room(self, about: dict[str, Any], at: datetime, more: int) -> bool:
        """Whether every hard budget that covers the call has room."""
        for budget in self.budgets.values():
            value = self.instance(budget, about)
            if budget.policy == "hard" and value is not None:
                spent, held = self.figures(budget, value, at)
                if spent + held + more > pico_from_usd(budget.limit_usd, name="limit"):
                    return False
        return True


class Run:
    """One seeded run: each step is done to the engine and to the model."""

    def __init__(self, seed: int, place: str | Path) -> None:
        """Open an empty ledger."""
        self.random = random.Random(seed)  # noqa: S311  # seeded work, no secrets
        self.clock = ManualClock("2026-03-28T20:00:00Z")
        self.place = place
        self.settings = Settings(suspect_close_after_s=CLOSE_AFTER_S)
        self.engine = Engine.open(place, clock=self.clock, settings=self.settings)
        self.model = Model()

    def about(self) -> dict[str, Any]:
        """Return whom a call is about."""
        tags = {"tags": {"team": self.random.choice("xy")}} if self.random.random() < 0.5 else {}
        agent, project = self.random.choice(AGENTS), self.random.choice(["p", None])
        return {"agent_id": agent, "project": project, **tags}

    def amount(self) -> int:
        """Return a sum in pico-dollars, small or large, seldom round."""
        return self.random.randrange(10 ** self.random.randrange(1, 13))

    def any_hold(self) -> str | None:
        """Return a hold's id, of any state."""
        return self.random.choice(list(self.model.holds)) if self.model.holds else None

    def step(self) -> None:
        """Do one random thing."""
        chosen = self.random.choices(
            [
                self.record,
                self.reserve,
                self.settle,
                self.release,
                self.extend,
                self.set_budget,
                self.advance,
                self.reopen,
            ],
            [6, 8, 6, 3, 3, 2, 3, 1],
        )[0]
        chosen()
        self.sweep()

    def sweep(self) -> None:
        """Close in the model what the engine closes: what was suspect for an hour, seen at most a minute late."""
        self.engine._swept_s = float("-inf")
        self.engine.budgets()
        for hold in self.model.holds.values():
            lost_s = (self.clock.now() - hold.expires).total_seconds()
            if hold.state == "open" and lost_s >= CLOSE_AFTER_S:
                hold.state, hold.written_off = "written_off", hold.expected
                self.model.entries.append((hold.about, hold.at, hold.written_off))

    def record(self) -> None:
        """Book a call without a hold."""
        about, amount = self.about(), self.amount()
        at = self.clock.now()
        self.engine.record(model="m", cost_usd=usd_from_pico(amount), at=at, **about)
        self.model.entries.append((about, at, amount))

    def reserve(self) -> None:
        """Ask for a hold; the model says whether there is room."""
        about, amount = self.about(), self.amount()
        lifetime_s = self.random.choice([60, 600, 7200, 100_000])
        expected = self.model.has_room(about, self.clock.now(), amount)
        try:
            hold = self.engine.reserve(model="m", amount_usd=usd_from_pico(amount), lifetime_s=lifetime_s, **about)
        except BudgetExceeded:
            assert not expected
            return
        assert expected
        self.keep(hold, about)

    def keep(self, hold: Hold, about: dict[str, Any]) -> None:
        """Remember a hold that was admitted."""
        self.model.holds[hold.hold_id] = ModelHold(
            hold.amount_pico, hold.expected_pico, about, hold.at, hold.expires_at
        )

    def settle(self) -> None:
        """Settle any hold, in whatever state it is."""
        name, amount = self.any_hold(), self.amount()
        if name is None:
            return
        hold = self.model.holds[name]
        try:
            self.engine.settle(name, cost_usd=usd_from_pico(amount))
        except HoldNotOpen:
            assert hold.state == "settled"
            return
        assert hold.state != "settled" or amount in {each[2] for each in self.model.entries}
        if hold.state == "settled":
            return
        if hold.state == "written_off":
            self.model.entries.append((hold.about, hold.at, -hold.written_off))
        hold.state = "settled"
        self.model.entries.append((hold.about, hold.at, amount))

    def release(self) -> None:
        """Release any hold, in whatever state it is."""
        name = self.any_hold()
        if name is None:
            return
        hold = self.model.holds[name]
        try:
            self.engine.release(name)
        except HoldNotOpen:
            assert hold.state in {"settled", "written_off"}
            return
        assert hold.state in {"open", "released"}
        hold.state = "released"

    def extend(self) -> None:
        """Give any hold another amount and lifetime."""
        name, amount = self.any_hold(), self.amount()
        if name is None:
            return
        hold = self.model.holds[name]
        has_room = amount <= hold.amount or self.model.has_room(hold.about, hold.at, amount - hold.amount)
        try:
            extended = self.engine.extend(name, amount_usd=usd_from_pico(amount), lifetime_s=300)
        except HoldNotOpen:
            assert hold.state != "open"
            return
        except BudgetExceeded:
            assert not has_room
            return
        assert has_room
        hold.amount, hold.expected, hold.expires = amount, min(hold.expected, amount), extended.expires_at

    def set_budget(self) -> None:
        """Set one of three budgets anew."""
        budget = Budget(
            name=self.random.choice(["one", "two", "three"]),
            limit_usd=usd_from_pico(self.amount() * 3),
            period=self.random.choice(["hour", "day", "week", "month", "total"]),
            timezone=self.random.choice(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]),
            scope=self.random.choice(SCOPES),
            policy=self.random.choice(["hard", "hard", "soft", "observe"]),
        )
        self.engine.set_budget(budget)
        self.model.budgets[budget.name] = budget

    def advance(self) -> None:
        """Let time pass."""
        self.clock.advance(self.random.choice([1, 61, 900, 3700, 20_000]))

    def reopen(self) -> None:
        """Close the ledger and open it again."""
        if self.place != ":memory:":
            self.engine.close()
            self.engine = Engine.open(self.place, clock=self.clock, settings=self.settings)

    def check(self) -> None:
        """Compare everything that the book says with the model."""
        assert self.engine.verify().problems == ()
        for name, budget in self.model.budgets.items():
            for value in ["a", "b"] if "*" in budget.scope.values() else [None]:
                status = self.engine.budget_status(name, value)
                expected = self.model.figures(budget, value or "", self.clock.now())
                found = tuple(pico_from_usd(usd, name="found") for usd in (status.spent_usd, status.held_usd))
                assert expected == found, (name, value)
                suspects = sum(
                    hold.amount
                    for hold in self.model.holds.values()
                    if hold.state == "open" and hold.expires <= self.clock.now()
                    and self.model.instance(budget, hold.about) == (value or "") and self.is_now(budget, hold.at)
                )  # fmt: skip
                assert usd_from_pico(suspects) == status.suspect_usd
        total = sum(amount for _, _, amount in self.model.entries)
        assert usd_from_pico(total) == self.engine.report().total.cost_usd
        states = {hold.hold_id: hold.state.replace("suspect", "open") for hold in self.engine.holds(limit=10_000)}
        assert {name: hold.state for name, hold in self.model.holds.items()} == states

    def is_now(self, budget: Budget, at: datetime) -> bool:
        """Whether an instant lies in the budget's current period."""
        return period_at(budget.period, self.clock.now(), timezone=budget.timezone).contains(at)


@pytest.mark.parametrize("seed", range(12))
def test_random_work_agrees_with_the_model(tmp_path: Path, seed: int) -> None:
    run = Run(seed, ":memory:" if seed % 3 else tmp_path / "ledger.db")
    for _ in range(STEPS):
        run.step()
        run.check()
    run.engine.close()
    assert len(run.model.entries) > 20
