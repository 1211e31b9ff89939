"""Fail expressions: ``cost:10%``, ``cost:0.05usd``, ``output_tokens_per_call:20%``, ``calls:2``, ``metric:NAME<=X``.

The first kind is the most by which a figure may be above the baseline's, the last
one a bound on a figure that was recorded beside the ledger.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tokencalc.errors import CallInvalid, MoneyInvalid
from tokencalc.money import amount_from, decimal_text, pico_from_usd

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from tokencalc.gate.figures import Figures

COST = "cost"
COUNTS = (
    "calls",
    "tokens",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""The figures besides the cost that an expression may name."""

_PER_CALL = "_per_call"
_FIGURES = (COST, *COUNTS, *(f"{figure}{_PER_CALL}" for figure in (COST, *COUNTS) if figure != "calls"))
_EACH = "each:"
_METRIC = "metric:"
_BOUND = re.compile(r"(?P<name>.+?)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[^<>=]+)")
_AVERAGE = re.compile(r"avg\((?P<name>.+)\)")
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How much a figure may grow over the baseline: by a share of it, or by an amount.

    ``percent`` or ``most`` is given; ``most`` is in pico-dollars for the cost, else a count. ``each`` holds it
    for every name by itself, else it holds for the sum over the names that both sides have. ``per_call`` divides
    each side by its calls, so that it does not matter how many there were.
    """

    text: str
    figure: str
    percent: Decimal | None = None
    most: int | None = None
    each: bool = False
    per_call: bool = False

    def value_of(self, figures: Figures) -> Fraction | None:
        """Return what this is about, the cost in pico-dollars of now; None per call where there was no call."""
        value = figures.now_pico if self.figure == COST else getattr(figures, self.figure)
        if not self.per_call:
            return Fraction(value)
        return Fraction(value, figures.calls) if figures.calls else None

    def allows(self, base: Fraction, run: Fraction) -> bool:
        """Whether the run's figure is within what is allowed over the baseline's; from nothing no percent leads on."""
        if run <= base:
            return True
        if self.percent is None:
            return run - base <= (self.most or 0)
        # In exact fractions, because the caller's decimal context may round.
        return (run - base) * 100 <= base * Fraction(self.percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricBound:
    """A bound on a metric's newest sample, or on the mean of its samples; NaN and infinity are no bounds."""

    text: str
    name: str
    sign: str
    bound: float
    average: bool = False

    def allows(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return _SIGNS[self.sign](value, self.bound)


def expression_from(text: str) -> Growth | MetricBound:
    """Read one expression; CallInvalid says which there are."""
    if text.strip().startswith(_METRIC):
        return _metric(text.strip())
    given = "".join(text.split())
    figure, colon, limit = given.removeprefix(_EACH).partition(":")
    if not colon or figure not in _FIGURES:
        raise _refused(text, f"expected one of {', '.join(_FIGURES)} or metric before the colon")
    percent, most = _limit(limit, text, is_cost=figure.startswith(COST))
    return Growth(
        text=given,
        figure=figure.removesuffix(_PER_CALL),
        percent=percent,
        most=most,
        each=given.startswith(_EACH),
        per_call=figure.endswith(_PER_CALL),
    )


def _limit(limit: str, text: str, *, is_cost: bool) -> tuple[Decimal | None, int | None]:
    """The share, or the amount, by which a figure may grow."""
    try:
        if limit.endswith("%"):
            return amount_from(limit[:-1], name="percent"), None
        if is_cost:
            return None, _pico(limit, text)
    except MoneyInvalid as error:
        raise _refused(text, error.message) from error
    if not limit.isascii() or not limit.isdigit() or len(limit) > 18:  # noqa: PLR2004  # what 64 bits hold
        raise _refused(text, f"expected a whole number or a percentage, found {limit!r:.40}")
    return None, int(limit)


def _pico(limit: str, text: str) -> int:
    amount, unit = limit.strip()[:-3], limit.strip()[-3:].lower()
    if unit != "usd":
        raise _refused(text, f"expected a percentage as 10% or dollars as 0.05usd, found {limit!r:.40}")
    return pico_from_usd(amount_from(amount.strip(), name="cost"), name="cost")


def _metric(text: str) -> MetricBound:
    found = _BOUND.fullmatch(text[len(_METRIC) :])
    if found is None:
        raise _refused(text, "expected metric:NAME<=X, with <=, <, >= or >")
    try:
        bound = float(found["bound"])
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise _refused(text, f"expected a finite number as the bound, found {found['bound']!r:.40}")
    average = _AVERAGE.fullmatch(found["name"])
    name = average["name"] if average else found["name"]
    return MetricBound(text=text, name=name, sign=found["sign"], bound=bound, average=average is not None)


def _refused(text: str, why: str) -> CallInvalid:
    return CallInvalid(
        f"fail: {text!r:.80}: {why}; write cost:10%, cost:0.05usd, output_tokens:20%, calls:2, "
        "cost_per_call:10%, each:cost:25% or metric:NAME<=X",
        path="fail",
        found=text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that a run, or one name of it, may cost in dollars."""

    limit_usd: Decimal
    name: str | None = None

    @property
    def text(self) -> str:
        """The cap as it is given on the command line."""
        amount = decimal_text(self.limit_usd)
        return amount if self.name is None else f"{self.name}={amount}"


def cap_from(text: str) -> Cap:
    """Read ``USD`` or ``NAME=USD``; CallInvalid for anything else."""
    name, equals, amount = text.rpartition("=")
    if equals and not name:
        raise CallInvalid(f"budget: expected USD or NAME=USD, found {text!r:.80}", path="budget", found=text)
    try:
        return Cap(limit_usd=amount_from(amount.strip(), name="budget"), name=name or None)
    except MoneyInvalid as error:
        raise CallInvalid(
            f"budget: expected USD or NAME=USD, found {text!r:.80}: {error.message}", path="budget", found=text
        ) from error
