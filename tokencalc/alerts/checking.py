"""Looking at all rules once: what each found is compared with what is stored, and written in small pieces."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from tokencalc.alerts import book, retention
from tokencalc.alerts.readings import readings_of
from tokencalc.alerts.rules import Metric, Ratio, Rule
from tokencalc.clock import micros_from_instant
from tokencalc.errors import AlertInvalid, LedgerCorrupt, LedgerError, TokencalcError
from tokencalc.ledger.sample_figures import has_series
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tokencalc.alerts.records import Alert, Readings
    from tokencalc.engine import Engine
    from tokencalc.ledger.sqlite import SqliteStore

_US = 1_000_000
_PIECE = 50
"""Alerts that begin or end in one transaction: money waits for some milliseconds at most."""
_LONGEST_PROBLEM = 300


class Checker:
    """Looks at rules; what each thread does here is decided in the ledger, so any number may look."""

    def __init__(self, engine: Engine, rules: Sequence[Rule], told_by: Mapping[str, tuple[str, ...]]) -> None:
        """Take the rules, and the channels that each of them tells."""
        self._engine, self._store, self._told_by = engine, engine.store, told_by
        names = {rule.name for rule in rules}
        # What a rule left firing when it was taken out must not keep another one silent for ever.
        ordered = in_order(
            [rule if rule.unless is None or rule.unless in names else replace(rule, unless=None) for rule in rules]
        )
        # Somebody's function may hang: what the ledger alone answers is decided and on its way before any is asked.
        own = [rule for rule in ordered if callable(rule.condition)]
        self._looks = [[rule for rule in ordered if not callable(rule.condition)], *([rule] for rule in own)]
        self._kept_us = max([retention.KEPT_S, *(rule.cooldown_s for rule in rules)]) * _US
        self._problems: dict[str, str] = {}
        self._forgotten = 0

    @property
    def problems(self) -> tuple[str, ...]:
        """Rules that could not be looked at the last time, one text each."""
        return tuple(self._problems.values())

    def check(self, send: Callable[[], object] | None = None) -> tuple[Alert, ...]:
        """Look at every rule once, and return the alerts that began or ended by that.

        ``send`` is called before each function of somebody's own is asked.
        """
        now = self._engine.clock.now()
        self._store.samples.flush()
        told: list[Alert] = []
        for number, rules in enumerate(self._looks):
            if number and send is not None:
                send()
            told += self._look(rules, now)
        self._forget(micros_from_instant(now) - self._kept_us)
        return tuple(told)

    def _look(self, rules: Sequence[Rule], now: datetime) -> list[Alert]:
        now_us = micros_from_instant(now)
        read = [(rule, found) for rule in rules if (found := self._asked(rule, now)) is not None]
        with self._store.reading() as connection:
            waiting = iter(book.changes(connection, read, now_us))
        told: list[Alert] = []
        while piece := list(islice(waiting, _PIECE)):
            work = partial(
                book.write, found=piece, channels_of=self._told_by, chain=self._store.chain_id, now_us=now_us
            )
            told += self._store.aside(work)
        return told

    def _asked(self, rule: Rule, now: datetime) -> Readings | None:
        """Return what a rule finds; None where it cannot be looked at, which is told once."""
        try:
            found = readings_of(self._engine, rule, now)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # bulk: a damaged row or somebody's function must not stop the other rules
            # What a function raises is its own: an exit, or the error of another ledger.
            is_its_own = callable(rule.condition) or isinstance(error, LedgerCorrupt)
            if not is_its_own and (isinstance(error, LedgerError) or not isinstance(error, Exception)):
                raise
            self._tell(rule.name, error.message if isinstance(error, TokencalcError) else type(error).__name__)
            return None
        self._problems.pop(rule.name, None)
        return found

    def _tell(self, name: str, why: str) -> None:
        text = safe_text(f"rule {name} cannot be looked at: {why}", longest=_LONGEST_PROBLEM)
        if name not in self._problems:
            logging.getLogger("tokencalc").warning("%s; told once", text)
        self._problems[name] = text

    def _forget(self, before_us: int) -> None:
        """Remove some of the alerts that ended long ago; the next look goes on where this one ended."""
        with self._store.reading() as connection:
            found, self._forgotten = retention.forgettable(connection, self._forgotten, before_us)
        if found:
            self._store.aside(partial(retention.forget, numbers=found))


def unseen_of(store: SqliteStore, rules: Iterable[Rule]) -> list[tuple[str, str]]:
    """Return (rule, metric) where the ledger has no sample of the metric."""
    with store.reading() as connection:
        wanted = [(rule.name, name) for rule in rules for name in _metrics_of(rule)]
        return [(rule, name) for rule, name in wanted if not has_series(connection, name)]


def _metrics_of(rule: Rule) -> Iterator[str]:
    if isinstance(rule.condition, Metric):
        yield rule.condition.name
    elif isinstance(rule.condition, Ratio):
        yield from (rule.condition.numerator.name, rule.condition.denominator.name)


def in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules so that each comes after the one in its ``unless``; AlertInvalid where they wait for each other."""
    by_name = {rule.name: rule for rule in rules}
    found: dict[str, Rule] = {}
    for rule in by_name.values():
        chain = [rule]
        while (before := by_name.get(chain[-1].unless or "")) is not None and before.name not in found:
            if before in chain:
                raise AlertInvalid(
                    f"unless: the rules {', '.join(one.name for one in chain)} wait for each other; "
                    "the worst of them needs none",
                    path="unless",
                    found=before.name,
                )
            chain.append(before)
        found.update((one.name, one) for one in reversed(chain))
    return tuple(found.values())
