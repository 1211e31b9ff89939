"""What a run throws dice for: whom calls are about, amounts, instants, budgets. One seed, one run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation.model import RATES, About, Rule, price

if TYPE_CHECKING:
    from random import Random

AGENTS, USERS, PROJECTS, TEAMS = ("a", "b", None), ("u", "v", None), ("p", None), ("x", "y", None)
MODELS = ("acme-1", "acme-1", "acme-2", "ghost-9")
SCOPES: tuple[dict[str, str], ...] = (
    {},
    {},
    {"agent_id": "a"},
    {"agent_id": "*"},
    {"user_id": "*"},
    {"agent_id": "*", "user_id": "*"},
    {"agent_id": "b", "user_id": "*"},
    {"tag:team": "x"},
    {"tag:team": "*"},
    {"project": "p"},
    {"model": "acme-1"},
    {"model": "*"},
    {"provider": "acme"},
    {"provider": "*"},
)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana", "Africa/Monrovia")
# Days on which a zone above moves its clocks, the end of a year, and a plain day.
BEGINNINGS = (
    "2026-03-28T20:00:00Z",
    "2026-10-24T20:00:00Z",
    "2026-04-04T11:00:00Z",
    "2026-10-31T23:00:00Z",
    "2026-12-31T18:00:00Z",
    "2026-11-20T12:00:00Z",
)
RUNS = ("", "nightly")


@dataclass
class Dice:
    """Random values of one seed."""

    random: Random

    def chance(self, share: float) -> bool:
        """Whether something with that share of all cases happens."""
        return self.random.random() < share

    def amount(self) -> int:
        """Return pico-dollars, small or large, seldom round."""
        return self.random.randrange(10 ** self.random.randrange(1, 13))

    def who(self) -> dict[str, Any]:
        """Return arguments that say whom a call is for."""
        team = self.random.choice(TEAMS)
        said: dict[str, Any] = {
            "agent_id": self.random.choice(AGENTS),
            "user_id": self.random.choice(USERS),
            "project": self.random.choice(PROJECTS),
            "tags": None if team is None else {"team": team},
        }
        if self.chance(0.1):
            said["budget"] = self.random.choice(["one", ("two", "three"), "nobody"])
        return {name: value for name, value in said.items() if value is not None}

    def tokens(self) -> dict[str, int]:
        """Return counts of tokens."""
        most = 10 ** self.random.randrange(1, 5)
        return {"input_tokens": self.random.randrange(1, most), "output_tokens": self.random.randrange(most)}

    def spent(self) -> dict[str, Any]:
        """Return arguments that say what a call used: tokens, a figure of the caller's, or both."""
        kind = self.random.choice(["tokens", "cost", "both"])
        said: dict[str, Any] = {} if kind == "cost" else self.tokens()
        if kind != "tokens":
            said["cost_usd"] = self.amount()
        return said

    def rule(self) -> Rule:
        """Return a budget."""
        return Rule(
            name=self.random.choice(["one", "two", "three", "four"]),
            limit=self.amount() * self.random.choice([0, 1, 3, 3, 10, 10]),
            period=self.random.choice(["hour", "day", "week", "month", "total", "run"]),
            timezone=self.random.choice(ZONES),
            scope=tuple(sorted(self.random.choice(SCOPES).items())),
            policy=self.random.choice(["hard", "hard", "hard", "soft", "observe"]),
            alert_at=self.random.choice([(75, 90, 100), (100,), (), (1, 50, 200)]),
            notional=self.chance(0.2),
        )

    def changed(self, rule: Rule, used: int) -> Rule:
        """Return a budget with one thing changed, or nothing."""
        other = self.rule()
        what = self.random.choice(["limit", "below", "raised", "policy", "alert_at", "timezone", "scope", "same"])
        value = {"below": max(0, used - 1 - self.amount() % (used + 1)), "raised": rule.limit + self.amount()}.get(what)
        key = "limit" if what in {"below", "raised"} else what
        if what == "same":
            return rule
        return Rule(**{**_fields(rule), key: getattr(other, key) if value is None else value})

    def span(self) -> timedelta:
        """Return some time: seconds to weeks."""
        return timedelta(seconds=self.random.choice([1, 5, 61, 900, 3700, 20_000, 90_000, 700_000]))

    def instant(self, now: datetime) -> datetime:
        """Return the instant of a call that is recorded: mostly past, sometimes to come, seldom long ago."""
        if self.chance(0.1):  # Monrovia's days began at 00:44:30 UTC then, between two quarter-hours
            first = datetime(1971, 6, 1, tzinfo=UTC) + timedelta(hours=self.random.randrange(48))
            return first + timedelta(minutes=44, seconds=self.random.randrange(60))
        return now - self.span() if self.chance(0.7) else now + self.span()


def _fields(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in Rule.__dataclass_fields__}


def about_of(arguments: dict[str, Any], table: str, run: str) -> About:
    """Return whom and what a call is for, as the model keeps it."""
    named = arguments.get("budget", ())
    return About(
        provider="acme" if arguments["model"] in RATES[table] else "",
        model=arguments["model"],
        agent_id=arguments.get("agent_id", ""),
        user_id=arguments.get("user_id", ""),
        project=arguments.get("project", ""),
        operation=arguments.get("operation", ""),
        tags=tuple(sorted(arguments.get("tags", {}).items())),
        run=run,
        named=(named,) if isinstance(named, str) else tuple(named),
        notional=arguments.get("notional", False),
    )


def money_of(arguments: dict[str, Any], model: str, table: str) -> dict[str, Any]:
    """Return what a charge is booked at."""
    counts = (arguments.get("input_tokens", 0), arguments.get("output_tokens", 0))
    tokens = counts if "input_tokens" in arguments else None
    return price(table, model, tokens, arguments.get("cost_usd"))


def worst_case(arguments: dict[str, Any], table: str) -> tuple[int, int] | str:
    """Return (worst case, expected) of a reserve, or the error's name where the table has no price."""
    if "amount_usd" in arguments:
        return arguments["amount_usd"], arguments["amount_usd"]
    rates = RATES[table].get(arguments["model"])
    if rates is None:
        return "PriceUnknown"
    tokens, limit = arguments["input_tokens"], arguments["max_output_tokens"]
    if rates[1] is None and limit > 0:
        return "MetersUnpriced"
    likely = min(max((tokens * 500 + 500) // 1000, 100), 1000, limit)
    return tokens * rates[0] + limit * (rates[1] or 0), tokens * rates[0] + likely * (rates[1] or 0)
