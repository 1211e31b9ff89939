"""Rules: a condition over a metric, a ratio, the cost of a day or a budget, and what is to be said of it.

A rule looks at *instances*: each series of a metric (a mount, a limiter, a host), each
crossing of a budget, each day. Every instance has its own state.
"""

from __future__ import annotations

import operator as operators
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from tokencalc.context import label_from
from tokencalc.errors import AlertInvalid, CallInvalid
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.ledger.samples import labels_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""
_ALIASES: Mapping[str, Severity] = {"ERROR": "HIGH", "WARNING": "MEDIUM", "INFORMATIONAL": "INFO"}

Operator = Literal[">", ">=", "<", "<=", "==", "!="]
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operators.gt,
    ">=": operators.ge,
    "<": operators.lt,
    "<=": operators.le,
    "==": operators.eq,
    "!=": operators.ne,
}
_WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most", "==": "equal to", "!=": "other than"}

Statistic = Literal["last", "mean", "min", "max", "sum", "increase"]

COOLDOWN_S = 300
"""Seconds after an alert of an instance in which no further one of it begins, where nothing else is said."""
WITHIN_S = 120
"""Seconds back in which a sample is still news, where nothing else is said: four rounds of a monitor."""
_YEAR_S = 366 * 24 * 3600
_MOST_PERCENT = 10**6
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The samples of a metric in the last ``within_s`` seconds, each series by itself.

    ``labels`` keeps the series that have them. "last" takes each process's newest
    sample and of those the one that is nearest to an alert; of a machine's figures
    (``system.``, ``gpu.``) the newest of all, because one process at a time records
    them. "increase" is how much a counter grew, also where it began again from 0.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    statistic: Statistic = "last"
    within_s: int = WITHIN_S

    def __post_init__(self) -> None:
        """Refuse what is no name, no label, no known statistic, no length of time."""
        _label(self.name, "metric")
        try:
            labels_from(dict(self.labels) if hasattr(self.labels, "items") else self.labels)
        except CallInvalid as error:
            raise AlertInvalid(error.message, path="labels", found=self.labels) from None
        _one_of(self.statistic, get_args(Statistic), "statistic")
        _seconds(self.within_s, "within_s", least=1)

    @property
    def shown(self) -> str:
        """What a message calls it."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One metric's figure divided by another's of the same labels and host.

    Nothing is said where the denominator is 0; where it is below ``minimum``, no alert begins.
    """

    numerator: Metric
    denominator: Metric
    minimum: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        """Refuse a minimum that is no number."""
        object.__setattr__(self, "minimum", figure_from(self.minimum, "minimum"))

    @property
    def shown(self) -> str:
        """What a message calls it."""
        return f"{self.numerator.name} / {self.denominator.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was spent since the day began in the settings' time zone, in dollars; ``by`` groups it, as by model."""

    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse keys by which nothing is booked."""
        if not isinstance(self.by, tuple):
            raise AlertInvalid(f"by: expected a list of keys, found {self.by!r:.60}", path="by", found=self.by)
        for key in self.by:
            _one_of(key, DIMENSION_KEYS, "by")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPassed:
    """A budget's spending passed one of its own ``alert_at`` percentages, from one up to, not including, another."""

    from_percent: int = 1
    below_percent: int = _MOST_PERCENT

    def __post_init__(self) -> None:
        """Refuse what is no interval of percent."""
        bounds = (self.from_percent, self.below_percent)
        if any(not isinstance(one, int) or isinstance(one, bool) for one in bounds) or not 1 <= bounds[0] < bounds[1]:
            raise AlertInvalid(
                f"budget_percent: expected whole percentages from 1, the first below the second, found {bounds!r:.60}",
                path="budget_percent",
                found=bounds,
            )


Condition: TypeAlias = "Metric | Ratio | Cost | BudgetPassed | Callable[[], Decimal | float | None]"
"""What a rule looks at; a function gives a figure of its own, or None where it knows none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition that somebody wants to hear of; checked at birth (AlertInvalid).

    It must hold for ``for_s`` seconds, at each sample of that time; after an alert of an
    instance none of it begins for ``cooldown_s``, and none while the alert of the same
    instance of the rule ``unless``, where that is looked at too, fires. ``channels`` are the
    names of those that are told, all if empty. ``operator`` and ``threshold`` are not looked at for `BudgetPassed`.
    """

    name: str
    severity: Severity
    condition: Condition
    operator: Operator = ">"
    threshold: Decimal = Decimal(0)
    for_s: int = 0
    cooldown_s: int = COOLDOWN_S
    channels: tuple[str, ...] = ()
    unless: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _label(self.name, "name")
        object.__setattr__(self, "severity", severity_from(self.severity))
        if not isinstance(self.condition, Metric | Ratio | Cost | BudgetPassed) and (
            not callable(self.condition) or isinstance(self.condition, type)
        ):
            raise _refused("condition", self.condition, "a Metric, a Ratio, a Cost, a BudgetPassed or a function")
        _one_of(self.operator, tuple(_COMPARE), "operator")
        object.__setattr__(self, "threshold", figure_from(self.threshold, "threshold"))
        _seconds(self.for_s, "for_s")
        if self.for_s and not isinstance(self.condition, Metric | Ratio):
            raise AlertInvalid(
                f"for_s: expected none, because only samples prove a time, found {self.for_s}; "
                "a rule over a metric or a ratio may have it",
                path="for_s",
                found=self.for_s,
            )
        _seconds(self.cooldown_s, "cooldown_s")
        if not isinstance(self.channels, tuple):
            raise _refused("channels", self.channels, "a list of names of channels")
        for name in self.channels:
            _label(name, "channels")
        if self.unless is not None:
            _label(self.unless, "unless")

    def is_breached_by(self, value: Decimal) -> bool:
        """Whether a figure is past the threshold."""
        return _COMPARE[self.operator](value, self.threshold)

    def worst(self, values: list[Decimal]) -> Decimal:
        """Return the figure that is nearest to an alert."""
        if self.operator in {">", ">="}:
            return max(values)
        return min(values) if self.operator in {"<", "<="} else next(filter(self.is_breached_by, values), values[0])

    @property
    def threshold_text(self) -> str:
        """The comparison in words, as "above 0.9"."""
        return f"{_WORDS[self.operator]} {self.threshold:f}"


def severity_from(value: object) -> Severity:
    """Return one of the five, of any case or by its alias (warning, error, informational); AlertInvalid else."""
    text = value.upper() if isinstance(value, str) else ""
    for severity in SEVERITIES:
        if text == severity:
            return severity
    if text in _ALIASES:
        return _ALIASES[text]
    raise _refused("severity", value, f"one of {', '.join(SEVERITIES)}")


def figure_from(value: object, name: str) -> Decimal:
    """Return a figure exactly; a float as the shortest text that means it. AlertInvalid for what is no number."""
    found = Decimal("NaN")
    if isinstance(value, Decimal | int | float | str) and not isinstance(value, bool):
        try:
            found = Decimal(repr(value) if isinstance(value, float) else value)
        except ArithmeticError:
            found = Decimal("NaN")
    if not found.is_finite() or (found and not -_MOST_DIGITS <= found.adjusted() <= _MOST_DIGITS):
        raise _refused(name, value, 'a number such as "0.9" or 100')
    return found


def _label(value: object, name: str) -> None:
    try:
        label_from(value, name=name)
    except CallInvalid as error:
        raise AlertInvalid(error.message, path=name, found=value) from None


def _one_of(value: object, allowed: tuple[str, ...], name: str) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise _refused(name, value, f"one of {', '.join(allowed)}")


def _seconds(value: object, name: str, *, least: int = 0) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _YEAR_S:
        raise _refused(name, value, f"whole seconds from {least} to {_YEAR_S}")


def _refused(name: str, value: object, allowed: str) -> AlertInvalid:
    return AlertInvalid(f"{name}: expected {allowed}, found {value!r:.60}", path=name, found=value)
