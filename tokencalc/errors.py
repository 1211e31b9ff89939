"""Every exception that tokencalc raises on purpose, in one tree.

::

    TokencalcError
    |-- InvalidInput (also a ValueError)    a caller handed in something we refuse
    |   |-- MoneyInvalid                    an amount, a rate or a limit
    |   |-- TimeInvalid                     an instant, a zone, a period
    |   |-- UsageInvalid                    counts, or a provider's payload
    |   |   `-- UsageMissing                a payload or stream that says no usage at all
    |   |-- TextInvalid                     text or messages to count
    |   |-- BudgetInvalid                   a budget's definition
    |   |-- CallInvalid                     arguments of a verb or an action
    |   |-- AlertInvalid                    a rule's or a channel's definition
    |   |-- ConfigInvalid                   a settings file or variable
    |   `-- PriceTableInvalid               a price table file
    |-- PriceUnknown                        no rate card for (provider, model, instant)
    |-- MetersUnpriced                      a card without a rate for a meter that is needed
    |-- Refused                             we say no before the call
    |   |-- BudgetExceeded                  a hard budget has no room
    |   |-- Throttled                       no permit left in a limiter
    |   |-- BreakerOpen                     a breaker is open
    |   |-- PriceJump                       an update moves a price by ten times or more
    |   `-- ClockBehind                     the clock is behind the ledger's last instant
    |-- LedgerError                         the book itself
    |   |-- LedgerUnavailable               cannot be opened, locked, read-only, disk full
    |   |   |-- UsageSpooled                the ledger failed after a call; its usage waits in a file
    |   |   `-- UsageLost                   the same, and that file cannot be written either
    |   |-- LedgerCorrupt                   damaged, or not a ledger
    |   |-- LedgerVersionUnsupported        written by a newer tokencalc
    |   |-- LedgerClosed                    used after close
    |   |-- BudgetUnknown                   no budget of that name
    |   |-- HoldUnknown                     no hold of that id
    |   |-- EntryUnknown                    no entry of that id
    |   |-- AlertUnknown                    no alert of that id
    |   |-- AlertNotOpen                    the alert was resolved before, or has not fired
    |   |-- HoldNotOpen                     the hold was settled, released or closed before
    |   `-- IdempotencyConflict             same key, other arguments
    |-- DeliveryFailed                      a channel did not take a message
    |-- FeatureUnavailable                  known to us, not in this version
    `-- ExtraMissing                        needs an optional dependency

Each class has a ``code`` for machines, and keeps the numbers of its message as
attributes; ``values`` holds the same as a dictionary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


class TokencalcError(Exception):
    """Root of the tree; ``str(error)`` says what was found, what is allowed and what to do next."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **values: object) -> None:
        """Keep the message, and each value as an attribute of its own."""
        super().__init__(message)
        self.message = message
        self.values = values
        self.__dict__.update(values)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling with all values, so that worker processes can hand errors back."""
        return (_rebuild, (type(self), self.message, self.values))


def _rebuild(kind: type[TokencalcError], message: str, values: dict[str, object]) -> TokencalcError:
    return kind(message, **values)


class InvalidInput(TokencalcError, ValueError):
    """Something a caller handed in is refused; ``path`` names it and ``found`` holds it."""

    code = "invalid_input"
    path: str
    found: object


class MoneyInvalid(InvalidInput):
    """An amount, a rate or a limit that is no exact, finite, sensible decimal number."""

    code = "money_invalid"


class TimeInvalid(InvalidInput):
    """An instant without a zone, an unknown zone, an unknown period."""

    code = "time_invalid"


class UsageInvalid(InvalidInput):
    """Counts that cannot be (negative, fractional, parts above their total) or an unreadable payload."""

    code = "usage_invalid"


class UsageMissing(UsageInvalid):
    """A payload or a stream that can be read and says no usage: the call may have cost something."""

    code = "usage_missing"


class TextInvalid(InvalidInput):
    """Text or messages that cannot be counted."""

    code = "text_invalid"


class BudgetInvalid(InvalidInput):
    """A budget's definition that cannot be: unknown period, scope key, policy or threshold."""

    code = "budget_invalid"


class CallInvalid(InvalidInput):
    """Arguments of a verb or an action that are missing, unknown or of the wrong kind."""

    code = "call_invalid"


class AlertInvalid(InvalidInput):
    """An alert, its rule or its channel that cannot be: an unknown operator, severity or kind, a bad address."""

    code = "alert_invalid"


class ConfigInvalid(InvalidInput):
    """A settings file or variable; ``file`` and ``path`` name the place."""

    code = "config_invalid"
    file: str


class PriceTableInvalid(InvalidInput):
    """A price table with a misspelt key, an overlap of dates or a price that is no quoted decimal."""

    code = "price_table_invalid"
    file: str


class PriceUnknown(TokencalcError):
    """No rate card answers for this provider, model and instant; ``nearest`` names known models.

    ``at`` is None where no other day would help: the name itself is unknown or ambiguous.
    """

    code = "price_unknown"
    provider: str | None
    model: str
    at: datetime | None
    nearest: tuple[str, ...]


class MetersUnpriced(TokencalcError):
    """The rate card has no rate for ``meters``, and the verb needs a full amount."""

    code = "meters_unpriced"
    model: str
    meters: tuple[str, ...]


class Refused(TokencalcError):
    """We say no before the call; nothing was written."""

    code = "refused"


class BudgetExceeded(Refused):
    """A hard budget has no room: spent + held + requested would pass the limit."""

    code = "budget_exceeded"
    budget: str
    limit_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    suspect_usd: Decimal
    requested_usd: Decimal
    available_usd: Decimal
    resets_at: datetime | None


class Throttled(Refused):
    """A limiter has no permit left; ``retry_after_s`` says when one comes back."""

    code = "throttled"
    retry_after_s: float


class BreakerOpen(Refused):
    """A circuit breaker is open after repeated failures; ``retry_after_s`` says when it probes again."""

    code = "breaker_open"
    retry_after_s: float


class PriceJump(Refused):
    """An update of prices moves some by ten times or more, or from or to nothing; ``jumps`` names each."""

    code = "price_jump"
    jumps: tuple[str, ...]


class ClockBehind(Refused):
    """The clock is more than a minute behind the last instant in the ledger; hard budgets refuse."""

    code = "clock_behind"
    now: datetime
    last: datetime


class LedgerError(TokencalcError):
    """The book itself: opening, reading, writing, or a request about rows that it holds."""

    code = "ledger_error"


class LedgerUnavailable(LedgerError):
    """The ledger cannot be used now: missing rights, a full disk, a network file system, or a lock (``locked``)."""

    code = "ledger_unavailable"
    ledger: str
    locked: bool = False


class UsageSpooled(LedgerUnavailable):
    """The ledger failed after a call: nothing was booked yet, nothing is lost.

    The usage waits in the file ``path`` and is booked once, by itself, when the ledger works again. ``key`` is the
    idempotency key under which it will be: the caller's own, or one that was made; ``keys`` has those of all calls
    where many were recorded. The ledger's own error is the cause.
    """

    code = "usage_spooled"
    path: str
    key: str
    keys: tuple[str, ...]


class UsageLost(LedgerUnavailable):
    """The ledger failed after a call and its spool at ``path`` cannot be written: keep ``usage`` yourself.

    ``usage`` holds the arguments' usage of each call (None where only its cost was given), ``lines`` the texts
    that were to be appended to the file at ``path``; record the calls again when the ledger works.
    """

    code = "usage_lost"
    path: str
    usage: tuple[object, ...]
    lines: tuple[str, ...]


class LedgerCorrupt(LedgerError):
    """The file is damaged or is not a tokencalc ledger; it was left as it is.

    ``row`` names the row that cannot be read, None where it is more than one row.
    """

    code = "ledger_corrupt"
    ledger: str
    row: str | None = None


class LedgerVersionUnsupported(LedgerError):
    """The ledger was written by a newer tokencalc; it was left as it is."""

    code = "ledger_version_unsupported"
    ledger: str
    found_version: int
    supported_version: int


class LedgerClosed(LedgerError):
    """The engine or its ledger was closed before this call."""

    code = "ledger_closed"


class BudgetUnknown(LedgerError):
    """No budget has that name; ``known`` lists those that exist."""

    code = "budget_unknown"
    budget: str
    known: tuple[str, ...]


class HoldUnknown(LedgerError):
    """No hold has that id."""

    code = "hold_unknown"
    hold_id: str


class EntryUnknown(LedgerError):
    """No entry has that id."""

    code = "entry_unknown"
    entry_id: str


class AlertUnknown(LedgerError):
    """No alert has that id."""

    code = "alert_unknown"
    alert_id: str


class AlertNotOpen(LedgerError):
    """The alert is not firing; ``state`` says what it is."""

    code = "alert_not_open"
    alert_id: str
    state: str


class HoldNotOpen(LedgerError):
    """The hold came to its end before; ``state`` is settled, released or written_off."""

    code = "hold_not_open"
    hold_id: str
    state: str


class IdempotencyConflict(LedgerError):
    """The idempotency key was used before with other arguments; nothing was written."""

    code = "idempotency_conflict"
    idempotency_key: str


class DeliveryFailed(TokencalcError):
    """A channel did not take a message; it is tried again, for some days.

    ``only_this`` says that the receiver refused this message and may take others, ``for_good`` that it
    never will take this one. ``retry_after_s`` is how long it asked to be left alone, None where it did not.
    """

    code = "delivery_failed"
    channel: str
    only_this: bool = False
    for_good: bool = False
    retry_after_s: float | None = None


class FeatureUnavailable(TokencalcError):
    """A feature that is planned under this name but is not in this version."""

    code = "feature_unavailable"
    feature: str


class ExtraMissing(TokencalcError):
    """An optional dependency is not installed; ``install`` is the command that adds it."""

    code = "extra_missing"
    extra: str
    install: str
