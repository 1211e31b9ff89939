"""The verbs that look at the book: status, report, entries, explain, reprice, holds, crossings, verify.

`Engine` is a `BookReader` that also prices, holds and books. What each verb does
is in a room of its own; here its arguments are read and the ledger is lent.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from tokencalc.budgets import setting
from tokencalc.budgets.statuses import read_statuses, the_instance
from tokencalc.clock import instant_from, micros_from_instant
from tokencalc.drafts import Drafts
from tokencalc.errors import LedgerError
from tokencalc.ledger import query, report
from tokencalc.ledger.store import Step
from tokencalc.outputs import OutputHistory
from tokencalc.spooling import Spooling
from tokencalc.verbs import Verbs

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tokencalc.budgets.budget import Budget
    from tokencalc.budgets.checks import Verification
    from tokencalc.budgets.setting import BudgetStatus
    from tokencalc.clock import Clock
    from tokencalc.config import Settings
    from tokencalc.explaining import Explanation
    from tokencalc.ledger.backup import Backup
    from tokencalc.ledger.records import Crossing, Entry, Hold
    from tokencalc.ledger.report import Report
    from tokencalc.ledger.samples import Sample
    from tokencalc.ledger.spool import ReadBack
    from tokencalc.ledger.sqlite import SqliteStore
    from tokencalc.pricing.catalog import Catalog
    from tokencalc.repricing import Repricing

Result = TypeVar("Result")

_SWEEP_EVERY_S = 60.0
_DAY_US = 24 * 3600 * 1_000_000


class BookReader:
    """Answers what can be asked of one open ledger; safe for any number of threads."""

    def __init__(self, store: SqliteStore, catalog: Catalog, settings: Settings, clock: Clock) -> None:
        """Wire the rooms; most callers want `Engine.open`."""
        self.store = store
        self.catalog = catalog
        self.settings = settings
        self.clock = clock
        self.verbs = Verbs(Drafts(catalog, clock, settings, OutputHistory(store, clock)), store.chain_id)
        self.spooling = Spooling(store, clock)
        self._swept_s = float("-inf")

    # budgets

    def budgets(self) -> tuple[Budget, ...]:
        """Return every budget, in the order in which they were first set."""
        return self._run(Step(setting.stored_budgets))

    def budget_status(
        self, name: str, value: str | None = None, *, at: datetime | str | None = None, run: str | None = None
    ) -> BudgetStatus:
        """Return a budget's state in the period that holds ``at`` (now if None).

        ``value`` names the instance of a budget whose scope has a ``*``; each has a limit of its own, so that no sum
        of them means anything: without it CallInvalid names those that exist. "" is that of calls which name the
        budget and lack what stands for the star. Raises BudgetUnknown, with the names that exist.
        """
        found = self._statuses(name, value, at, run)
        return the_instance(name, found) if value is None else found[0]

    def budget_statuses(
        self, name: str | None = None, *, at: datetime | str | None = None, run: str | None = None
    ) -> tuple[BudgetStatus, ...]:
        """Return the state of every instance of one budget, or of all budgets."""
        names = [budget.name for budget in self.budgets()] if name is None else [name]
        return tuple(status for one in names for status in self._statuses(one, None, at, run))

    def _statuses(self, name: str, value: str | None, at: datetime | str | None, run: str | None) -> list[BudgetStatus]:
        at_us = None if at is None else micros_from_instant(instant_from(at, name="at"))
        named = run if run is not None else self.settings.run or ""
        self._sweep()
        return read_statuses(self.store, name, value=value, at_us=at_us, run=named)

    # the book

    def report(
        self,
        *,
        group_by: Sequence[str] = ("provider", "model"),
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        where: Mapping[str, Any] | None = None,
        timezone: str | None = None,
    ) -> Report:
        """Sum what was booked in ``[since, until)``, grouped by keys such as provider, model, agent_id, day."""
        return report.report(
            self.store,
            group_by=group_by,
            since=None if since is None else instant_from(since, name="since"),
            until=None if until is None else instant_from(until, name="until"),
            where=where,
            timezone=timezone or self.settings.timezone,
        )

    def entries(
        self, *, since: datetime | str | None = None, until: datetime | str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Yield entries of ``[since, until)``, the newest written first."""
        return query.entries(
            self.store,
            since=None if since is None else instant_from(since, name="since"),
            until=None if until is None else instant_from(until, name="until"),
            limit=limit,
        )

    def explain(self, entry: Entry | str) -> Explanation:
        """Show how an entry's amount comes about: lines, cards, assumptions, other figures, corrections, its hold.

        ``entry`` is a record or an id; raises EntryUnknown where this ledger has none.
        """
        from tokencalc.explaining import explain  # noqa: PLC0415  # 4 ms that only this verb needs

        return explain(self.store, self.catalog, entry, self.verbs.find_hold)

    def reprice(  # noqa: PLR0913  # keyword only
        self,
        *,
        since: datetime | str,
        until: datetime | str | None = None,
        model: str | None = None,
        provider: str | None = None,
        apply: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Repricing:
        """Price the charges of ``[since, until)`` again by the tables of now, and tell what differs.

        With ``apply`` a correction of the difference is appended for each, in its
        charge's period; without it nothing is written. ``model`` and ``provider`` keep
        only theirs; ``progress`` is called with (charges done, charges in all).
        """
        from tokencalc.repricing import charges_wanted, reprice  # noqa: PLC0415  # 5 ms that only this verb needs

        wanted = charges_wanted(self.catalog, since=since, until=until, model=model, provider=provider)
        return reprice(self.store, self.catalog, wanted, apply=apply, progress=progress)

    def holds(self, state: str | None = None, *, limit: int = 1000) -> tuple[Hold, ...]:
        """Return the newest holds in a state (open, suspect, settled, released, written_off), or in any."""
        return self._run(self.verbs.list_holds(state, limit))

    def crossings(self) -> tuple[Crossing, ...]:
        """Return every threshold that was passed, in the order in which that was noted."""
        with self.store.reading() as connection:
            return query.crossings(connection)

    def verify(self, *, expect: str | None = None, progress: Callable[[int, int], None] | None = None) -> Verification:
        """Check chain, counters and rollups; ``expect`` is a head that must still be part of the chain.

        ``progress`` is called with (rows read, rows in all), where there are many.
        """
        from tokencalc.budgets import checks  # noqa: PLC0415  # 7 ms that only this verb needs

        return checks.verify(self.store, expect=expect, progress=progress)

    def backup(self, path: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None) -> Backup:
        """Copy the ledger, as it is at one moment, to a new file, while others go on writing; checked and synced.

        The copy holds everything that was acknowledged before. ``progress`` is called with (pages done, pages in
        all). Raises CallInvalid where ``path`` is taken; nothing stands there unless all went well.
        """
        from tokencalc.ledger.backup import back_up  # noqa: PLC0415  # only this verb needs it

        return back_up(self.store, path, progress)

    # samples

    def metric_history(  # keyword only
        self,
        name: str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Iterator[Sample]:
        """Yield a metric's samples of ``[since, until)``, the newest first; ``labels`` keeps those that have them."""
        from tokencalc.ledger import sample_history  # noqa: PLC0415  # only this verb needs it

        bounds = sample_history.Bounds.of(since, until)
        return sample_history.history(self.store, name, bounds, limit=limit, labels=labels)

    def metric_average(
        self,
        name: str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> float | None:
        """Return the mean of a metric's samples of ``[since, until)``; None where there is none."""
        from tokencalc.ledger import sample_history  # noqa: PLC0415  # only this verb needs it

        return sample_history.average(self.store, name, sample_history.Bounds.of(since, until), labels=labels)

    def samples_dropped(self) -> int:
        """Return how many samples this ledger has dropped because there was no time to write them."""
        from tokencalc.ledger import sample_history  # noqa: PLC0415  # only this verb needs it

        return sample_history.dropped(self.store)

    # the queue

    def _run(self, step: Step[Result]) -> Result:
        self._sweep()
        return self.store.writer.run(step)

    def _sweep(self) -> None:
        """Once a minute, close holds that were lost long ago, and book what waits in the spool."""
        if self._sweep_is_due():
            with suppress(LedgerError):  # the caller's own step comes next, and says what is wrong
                self.store.writer.run(self.verbs.write_off_lost())
            self.read_spool()

    def sweep_soon(self) -> None:
        """The same without waiting, for callers on an event loop."""
        if self._sweep_is_due():
            self.store.writer.post(self.verbs.write_off_lost(), lambda _: None)
            if self.spooling.waits:
                threading.Thread(target=self.read_spool, name="tokencalc-spool", daemon=True).start()

    def read_spool(self) -> ReadBack:
        """Book what waits in the spool, and return how much; done by itself at the opening and once a minute.

        Books nothing where the ledger or the spool cannot be used, or another process is at it: it stays there,
        and `tokencalc doctor` shows it.
        """
        return self.spooling.read_back(self.verbs)

    def _sweep_is_due(self) -> bool:
        now_s = self.clock.monotonic()
        if is_due := now_s - self._swept_s >= _SWEEP_EVERY_S:
            self._swept_s = now_s
            kept_us = self.settings.sample_retention_days * _DAY_US
            self.store.samples.forget_soon(micros_from_instant(self.clock.now()) - kept_us)
        return is_due
