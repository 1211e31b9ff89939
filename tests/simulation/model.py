"""The book as it must be, in plain Python: lists of entries and holds, and every figure summed anew.

It follows the rules of docs/budgets.md and knows nothing of the package: money is whole pico-dollars, instants are
aware datetimes, periods are computed here. What a verb must answer is a plain value, or a `No` with what it says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

# What one token costs in pico-dollars, in and out, by price table. What has no rate is None.
RATES: dict[str, dict[str, tuple[int, int | None]]] = {
    "early": {"acme-1": (2_000_000, 8_000_000), "acme-2": (1_000_000, None)},
    "late": {"acme-1": (3_000_000, 8_000_000), "acme-2": (1_500_000, 4_000_000)},
}
CLOCK_TOLERANCE = timedelta(seconds=60)
KEYS = ("provider", "model", "agent_id", "user_id", "project")


@dataclass(frozen=True)
class No:
    """A refusal: the error's name, and the figures that it must carry."""

    error: str
    figures: tuple[object, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A budget as it was set."""

    name: str
    limit: int
    period: str
    timezone: str
    scope: tuple[tuple[str, str], ...]
    policy: str
    alert_at: tuple[int, ...]
    notional: bool

    @property
    def covers(self) -> tuple[object, ...]:
        """What decides which entries count."""
        return (self.scope, self.period, self.timezone, self.notional)


@dataclass(frozen=True)
class About:
    """Whom and what a call is for; ``asked`` is the provider and model of the hold, where others served."""

    provider: str = ""
    model: str = ""
    agent_id: str = ""
    user_id: str = ""
    project: str = ""
    operation: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    run: str = ""
    named: tuple[str, ...] = ()
    notional: bool = False
    asked: tuple[str, str] | None = None


@dataclass(frozen=True)
class Entry:
    """One row of the book; ``number`` is its place."""

    number: int
    kind: str
    at: datetime
    recorded: datetime
    about: About
    amount: int | None = None
    source: str | None = None
    unpriced: int = 0
    caller: int | None = None
    tokens: tuple[int, int] | None = None
    meters: frozenset[str] = frozenset()
    hold: int | None = None
    corrects: int | None = None
    key: str | None = None


@dataclass
class Hold:
    """A hold as it stands."""

    number: int
    amount: int
    expected: int
    about: About
    at: datetime
    expires: datetime
    key: str | None
    over_limit: tuple[str, ...]
    state: str = "open"
    entry: int | None = None

    def seen(self, now: datetime) -> str:
        """Return the state that people see."""
        return "suspect" if self.state == "open" and self.expires <= now else self.state


@dataclass
class Row:
    """One instance of a budget in one period: what is kept beside the sums."""

    limit: int
    start: datetime | None
    end: datetime | None
    crossed: frozenset[int] = frozenset()
    excess: tuple[tuple[object, ...], ...] = ()


@dataclass
class Sums:
    """What one instance comes to in one period."""

    spent: int = 0
    held: int = 0
    suspect: int = 0
    unpriced: int = 0

    @property
    def used(self) -> int:
        """Spent and held."""
        return self.spent + self.held


Place = tuple[str, str]
"""Which instance (the value that stands for the star) in which period (its key)."""


@dataclass
class Model:
    """Everything that the book must say; each verb changes it as one transaction would."""

    rules: dict[str, Rule] = field(default_factory=dict)
    rows: dict[str, dict[Place, Row]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    holds: dict[int, Hold] = field(default_factory=dict)
    keys: dict[str, tuple[object, str, int]] = field(default_factory=dict)
    crossings: list[tuple[object, ...]] = field(default_factory=list)
    last: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def clone(self) -> Model:
        """Return a copy that may go its own way."""
        rows = {name: {place: replace(row) for place, row in rows.items()} for name, rows in self.rows.items()}
        holds = {number: replace(hold) for number, hold in self.holds.items()}
        return Model(
            dict(self.rules), rows, list(self.entries), holds, dict(self.keys), list(self.crossings), self.last
        )

    def tick(self, now: datetime) -> None:
        """Keep the newest instant that was seen, to the second."""
        if now >= self.last + timedelta(seconds=1):
            self.last = now

    # figures

    def sums(self, rule: Rule, now: datetime) -> dict[Place, Sums]:
        """Sum every instance and period of a budget."""
        found: dict[Place, Sums] = {}
        for entry in self.entries:
            if entry.kind != "budget":
                for value in values(rule, entry.about):
                    key = period(rule, entry.at, entry.about.run)[0]
                    sums = found.setdefault((value, key), Sums())
                    sums.spent += entry.amount or 0
                    sums.unpriced += entry.unpriced
        for hold in self.holds.values():
            if hold.state == "open":
                for value in values(rule, hold.about):
                    sums = found.setdefault((value, period(rule, hold.at, hold.about.run)[0]), Sums())
                    sums.held += hold.amount
                    sums.suspect += hold.amount if hold.expires <= now else 0
        return found

    def touch(self, rule: Rule, value: str, at: datetime, run: str, now: datetime) -> Place:
        """Return the place of an instance in the period of an instant; the first look at it makes its row."""
        key, start, end = period(rule, at, run)
        if (value, key) not in self.rows[rule.name]:
            self.rows[rule.name][value, key] = Row(rule.limit, start, end)
            self.note(rule, (value, key), 0, "budget_set", at, None, now)
        return value, key

    def note(  # the facts of one change
        self, rule: Rule, place: Place, before: int, reason: str, at: datetime, entry: int | None, now: datetime
    ) -> None:
        """Note what a change took above the limit, and the thresholds that it passed."""
        row, sums = self.rows[rule.name][place], self.sums(rule, now).get(place, Sums())
        over = sums.used - max(row.limit, before)
        if over > 0 and rule.policy != "observe":
            row.excess += ((reason, over, at, entry),)
        if reason == "soft_reserve":
            return
        for percent in rule.alert_at:
            if sums.spent >= max(1, -(-row.limit * percent // 100)) and percent not in row.crossed:
                row.crossed |= {percent}
                is_open = (row.start is None or row.start <= now) and (row.end is None or now < row.end)
                named = (rule.name, place[0] or None, place[1], percent)
                self.crossings.append((*named, at, now, sums.spent, row.limit, is_open))

    def covering(self, about: About, at: datetime, now: datetime) -> list[tuple[Rule, Place]]:
        """Return what covers a call, each with its row made."""
        found = [(rule, value) for rule in self.rules.values() for value in values(rule, about)]
        return [(rule, self.touch(rule, value, at, about.run, now)) for rule, value in found]

    def used(self, covering: list[tuple[Rule, Place]], now: datetime) -> list[int]:
        """Return what is spent and held in each."""
        return [self.sums(rule, now).get(place, Sums()).used for rule, place in covering]

    # budgets

    def set_budget(self, rule: Rule, now: datetime) -> None:
        """Set a budget, new or changed."""
        old = self.rules.get(rule.name)
        if old == rule:
            return
        self.rules[rule.name] = rule
        if old is not None and old.covers == rule.covers:
            for place, row in self.rows[rule.name].items():
                if row.end is None or row.end > now:
                    used = self.sums(rule, now).get(place, Sums()).used
                    over_before = max(0, used - row.limit)
                    row.limit = rule.limit
                    self.note(rule, place, rule.limit + over_before, "limit_lowered", now, None, now)
        else:
            self.rows[rule.name] = {}
            runs = {about.run for about in self.abouts()} if rule.period == "run" else {""}
            current = {period(rule, now, run)[0]: run for run in runs}
            for value, key in self.sums(rule, now):
                if key in current:
                    self.touch(rule, value, now, current[key], now)
            if rule.period != "run" and all(wanted != "*" for _, wanted in rule.scope):
                self.touch(rule, "", now, "", now)
        self.append("budget", now, About(), now)

    def abouts(self) -> list[About]:
        """Return whom every entry and hold is for."""
        return [*(entry.about for entry in self.entries), *(hold.about for hold in self.holds.values())]

    def status(self, name: str, value: str, at: datetime, run: str, now: datetime) -> dict[str, object]:
        """Return the figures of one instance."""
        rule = self.rules[name]
        place = self.touch(rule, value, at, run, now)
        row, sums = self.rows[name][place], self.sums(rule, now).get(place, Sums())
        return {
            "key": place[1],
            "start": row.start,
            "end": row.end,
            "limit": row.limit,
            "spent": sums.spent,
            "held": sums.held,
            "suspect": sums.suspect,
            "available": max(0, row.limit - sums.used),
            "unpriced": sums.unpriced,
            "excess": row.excess,
            "crossed": row.crossed,
        }

    # before the call

    def reserve(  # what is asked for
        self,
        asked: object,
        about: About,
        amount: int,
        expected: int,
        lifetime: int,
        key: str | None,
        now: datetime,
    ) -> object:
        """Set an amount aside, or say no."""
        if key is not None and key in self.keys:
            first, verb, number = self.keys[key]
            same = (first, verb) == (asked, "reserve")
            return (self.holds[number], "replayed") if same else No("IdempotencyConflict")
        if any(name not in self.rules for name in about.named):
            return No("BudgetUnknown")
        covering = self.covering(about, now, now)
        refusal = self.refusal(covering, amount, now)
        if refusal is not None:
            return refusal
        before = self.used(covering, now)
        limits = [self.rows[rule.name][place].limit for rule, place in covering]
        soft = tuple(
            rule.name
            for (rule, _), used, limit in zip(covering, before, limits, strict=True)
            if rule.policy == "soft" and used + amount > limit
        )
        number = len(self.holds) + 1
        expires = now + timedelta(seconds=lifetime)
        self.holds[number] = Hold(number, amount, expected, about, now, expires, key, soft)
        for (rule, place), used in zip(covering, before, strict=True):
            self.note(rule, place, used, "soft_reserve", now, None, now)
        if key is not None:
            self.keys[key] = (asked, "reserve", number)
        return (self.holds[number], "")

    def refusal(self, covering: list[tuple[Rule, Place]], more: int, now: datetime) -> No | None:
        """Say which hard budget has no room for so much more, the tightest first."""
        hard = [(rule, place) for rule, place in covering if rule.policy == "hard"]
        if hard and now < self.last - CLOCK_TOLERANCE:
            return No("ClockBehind")
        found = []
        for rule, place in hard:
            row, sums = self.rows[rule.name][place], self.sums(rule, now).get(place, Sums())
            if sums.used + more > row.limit:
                left = row.limit - sums.used
                said = (rule.name, place[0] or None, row.limit, sums.spent, sums.held, sums.suspect, more)
                found.append((left, (*said, max(0, left), row.end)))
        return No("BudgetExceeded", min(found, key=lambda one: one[0])[1]) if found else None

    def extend(self, number: int, lifetime: int | None, amount: int | None, now: datetime) -> object:
        """Give a hold more time, another amount, or both."""
        hold = self.holds[number]
        if hold.state != "open":
            return No("HoldNotOpen", (hold.state,))
        if amount is not None and amount != hold.amount:
            covering = self.covering(hold.about, hold.at, now)
            refusal = self.refusal(covering, amount - hold.amount, now) if amount > hold.amount else None
            if refusal is not None:
                return refusal
            before = self.used(covering, now)
            hold.amount, hold.expected = amount, min(hold.expected, amount)
            for (rule, place), used in zip(covering, before, strict=True):
                self.note(rule, place, used, "soft_reserve", now, None, now)
        if lifetime is not None:
            hold.expires = now + timedelta(seconds=lifetime)
        return (hold, "")

    def release(self, number: int) -> object:
        """Give a hold back unused."""
        hold = self.holds[number]
        if hold.state not in {"open", "released"}:
            return No("HoldNotOpen", (hold.state,))
        said = "" if hold.state == "open" else "replayed"
        hold.state = "released"
        return (hold, said)

    # after the call

    def append(self, kind: str, at: datetime, about: About, now: datetime, **rest: Any) -> Entry:
        """Append an entry."""
        self.entries.append(Entry(len(self.entries) + 1, kind, at, now, about, **rest))
        return self.entries[-1]

    def book(  # what is booked
        self, kind: str, at: datetime, about: About, reason: str, now: datetime, ends: Hold | None, **rest: Any
    ) -> Entry:
        """Append an entry and count it; with ``ends``, that hold is counted no longer."""
        about = replace(about, named=tuple(name for name in about.named if name in self.rules))
        covering = self.covering(about, at, now)
        before = self.used(covering, now)
        entry = self.append(kind, at, about, now, **rest)
        if ends is not None:
            ends.state = "written_off" if kind == "write_off" else "settled"
        for (rule, place), used in zip(covering, before, strict=True):
            self.note(rule, place, used, reason, at, entry.number, now)
        return entry

    def record(  # what is asked for
        self, asked: object, about: About, at: datetime, money: dict[str, Any], key: str | None, now: datetime
    ) -> object:
        """Book a call without a hold."""
        if key is not None and key in self.keys:
            first, verb, number = self.keys[key]
            same = (first, verb) == (asked, "record")
            return (self.entries[number - 1], "replayed") if same else No("IdempotencyConflict")
        entry = self.book("charge", at, about, "record_without_hold", now, None, key=key, **money)
        if key is not None:
            self.keys[key] = (asked, "record", entry.number)
        return (entry, "")

    def settle(self, number: int, about: About, money: dict[str, Any], now: datetime) -> object:
        """Replace a hold by its charge."""
        hold = self.holds[number]
        about = replace(about, tags=tuple(sorted({**dict(about.tags), **dict(hold.about.tags)}.items())))
        if hold.state == "settled":
            first = self.entries[(hold.entry or 0) - 1]
            was = (replace(first.about, named=about.named), first.tokens, first.caller)
            same = was == (about, money.get("tokens"), money.get("caller"))
            return (first, "replayed") if same else No("HoldNotOpen", ("settled",))
        if hold.state == "written_off":
            lost = self.entries[(hold.entry or 0) - 1]
            taken_back = {"amount": -(lost.amount or 0), "source": "priced", "corrects": lost.number, "hold": number}
            self.book("correction", hold.at, hold.about, "correction", now, None, **taken_back)
        reason = "overrun" if (money["amount"] or 0) > hold.amount else "record_without_hold"
        ends = hold if hold.state == "open" else None
        entry = self.book("charge", hold.at, about, reason, now, ends, hold=number, key=hold.key, **money)
        hold.state, hold.entry = "settled", entry.number
        return (entry, "")

    def write_off(self, close_after: timedelta, now: datetime) -> None:
        """Close holds that were lost long ago, at what they were expected to cost."""
        lost = [hold for hold in self.holds.values() if hold.state == "open" and hold.expires <= now - close_after]
        for hold in sorted(lost, key=lambda hold: (hold.expires, hold.number)):
            said = {"amount": hold.expected, "source": "priced", "hold": hold.number}
            hold.entry = self.book("write_off", hold.at, hold.about, "write_off", now, hold, **said).number

    def reprice(self, since: datetime, table: str, now: datetime) -> list[int]:
        """Correct every charge that costs something else by a price table; return what each correction adds."""
        added: list[int] = []
        wanted = [entry for entry in self.entries if entry.kind == "charge" and entry.tokens and entry.at >= since]
        for entry in sorted(wanted, key=lambda entry: (entry.at, entry.number)):
            fixes = [fix for fix in self.entries if fix.corrects == entry.number]
            counted = sum(one.amount or 0 for one in (entry, *fixes))
            is_unpriced = sum(one.unpriced for one in (entry, *fixes)) > 0
            money = price(table, entry.about.model, entry.tokens, None)
            if money["unpriced"]:
                meters = (fixes or [entry])[-1].meters
                has_none = entry.amount is None and not fixes
                is_better = money["amount"] is not None and (entry.caller is None or entry.caller < money["amount"])
                is_closer = is_unpriced and counted != money["amount"] and (has_none or money["meters"] <= meters)
                if not (is_better and is_closer):
                    continue
            elif not is_unpriced and counted == money["amount"]:
                continue
            difference = money["amount"] - counted
            said = {"amount": difference, "source": "priced", "corrects": entry.number, "meters": money["meters"]}
            fills = -1 if is_unpriced and not money["unpriced"] else 0
            self.book("correction", entry.at, entry.about, "correction", now, None, unpriced=fills, **said)
            added.append(difference)
        return added


def values(rule: Rule, about: About) -> tuple[str, ...]:
    """Return which instances of a budget cover a call: by who served, by who was asked, or because it was named."""
    if (about.notional and not rule.notional) or (rule.period == "run" and not about.run):
        return ()
    found: list[str] = []
    for provider, model in ((about.provider, about.model), about.asked or (about.provider, about.model)):
        value = _value(rule.scope, replace(about, provider=provider, model=model))
        if value is not None and value not in found:
            found.append(value)
    return tuple(found) or (("",) if rule.name in about.named else ())


def _value(scope: tuple[tuple[str, str], ...], about: About) -> str | None:
    stars = []
    for key, wanted in scope:
        value = dict(about.tags).get(key[4:], "") if key.startswith("tag:") else getattr(about, key)
        if wanted == "*" and value:
            stars.append(value)
        elif wanted != value:
            return None
    return json.dumps(stars, ensure_ascii=False) if len(stars) > 1 else "".join(stars)


Span = tuple[str, datetime | None, datetime | None]


def period(rule: Rule, at: datetime, run: str) -> Span:
    """Return key, start and end of the period that holds an instant."""
    if rule.period in {"total", "run"}:
        return ("total" if rule.period == "total" else f"run {run or 'unnamed'}"), None, None
    return _span(rule.period, rule.timezone, at)


@lru_cache(maxsize=100_000)
def _span(kind: str, timezone: str, at: datetime) -> Span:
    zone = ZoneInfo(timezone)
    if kind == "hour":
        return _hour(zone, at)
    first = at.astimezone(zone).date()
    if kind == "week":
        first -= timedelta(days=first.weekday())
        after = first + timedelta(days=7)
    elif kind == "month":
        first = first.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        after = first + timedelta(days=1)
    key = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}[kind]
    start, end = (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (first, after))
    return first.strftime(key), start, end


def _hour(zone: ZoneInfo, at: datetime) -> Span:
    """Look around in steps of half a minute: an hour is what shares the local hour and the offset."""

    def named(instant: datetime) -> str:
        return instant.astimezone(zone).strftime("%Y-%m-%dT%H%z")

    step = timedelta(seconds=30)
    start = at.replace(second=at.second // 30 * 30, microsecond=0)
    end = start + step
    while named(start - step) == named(at):
        start -= step
    while named(end) == named(at):
        end += step
    return named(at), start, end


def price(table: str, model: str, tokens: tuple[int, int] | None, caller: int | None) -> dict[str, Any]:
    """Return what a charge is booked at: our price, else the caller's, else what has a price, else nothing."""
    said: dict[str, Any] = {"caller": caller, "tokens": tokens, "meters": frozenset(), "unpriced": 0}
    rates = RATES[table].get(model)
    if tokens is None or rates is None:
        return {
            **said,
            "amount": caller,
            "source": caller if caller is None else "caller",
            "unpriced": +(caller is None),
        }
    rate_in, rate_out = rates
    part = tokens[0] * rate_in + tokens[1] * (rate_out or 0)
    if rate_out is not None or tokens[1] == 0:
        return {**said, "amount": part, "source": "priced"}
    said["meters"] = frozenset({"output"})
    if caller is not None and caller >= part:
        return {**said, "amount": caller, "source": "caller"}
    return {**said, "amount": part, "source": "priced", "unpriced": 1}
