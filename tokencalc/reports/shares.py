"""Shares of a whole, as exact decimals of six places; no division by zero."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

_PLACES = Decimal("0.000001")
_SHARES = Context(prec=60, rounding=ROUND_HALF_EVEN)


def share_of(part: Decimal, whole: Decimal) -> Decimal | None:
    """Return part / whole to six places, half to even; None where the whole is 0."""
    return _SHARES.divide(part, whole).quantize(_PLACES, context=_SHARES) if whole else None


def ratio_of(part: int, whole: int) -> Decimal | None:
    """Return one count for each of another, to six places, half to even; None where the other is 0."""
    return share_of(Decimal(part), Decimal(whole))


def percent_text(share: Decimal | None) -> str:
    """Return a share for people: ``12.3 %``, or a dash where there is no whole."""
    if share is None:
        return "-"
    return f"{_SHARES.multiply(share, Decimal(100)).quantize(Decimal('0.1'), context=_SHARES)} %"
