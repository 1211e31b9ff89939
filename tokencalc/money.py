"""Exact decimal money: parsing, pico-dollars, and the only rounding in tokencalc.

Amounts are computed and kept as whole pico-dollars (1e-12 USD, an ``int``) and
shown as ``Decimal`` dollars. A float handed in by a caller is read through its
shortest decimal text, so ``0.000375`` means exactly 0.000375. Nothing here
reads or changes the caller's decimal context.
"""

from __future__ import annotations

from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)
from math import gcd

from tokencalc.errors import MoneyInvalid

PICO_PER_USD = 10**12
"""Pico-dollars in one dollar."""

MAX_PICO = 2**63 - 1
"""The largest counter that a 64-bit column holds: about 9.2 million dollars."""

ZERO_USD = Decimal(0)

EXACT = Context(
    prec=60,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, FloatOperation],
)
"""Arithmetic that is exact or stops."""

# Enough for any price (litellm's longest has 17 decimals) and far below what makes text a weapon.
_MAX_DIGITS = 40
_MAX_EXPONENT = 18


def decimal_from(value: object, *, name: str) -> Decimal:
    """Read an exact decimal number from a Decimal, an int, text, or a float by its shortest text.

    Raises MoneyInvalid for booleans, NaN, infinities, other types, and numbers of
    more than 40 digits or from 1e18 on; ``name`` says in the message what was read.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str | float):
        raise _refused(value, name)
    if isinstance(value, int) and value.bit_length() > 4 * _MAX_DIGITS:
        raise _refused(value, name)
    # float's own repr: a subclass may write itself in another way, as numpy's does.
    text = float.__repr__(value) if isinstance(value, float) else value
    if isinstance(text, str):
        text = text.strip()
        if len(text) > 2 * _MAX_DIGITS or "_" in text:
            raise _refused(value, name)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _refused(value, name) from None
    if not number.is_finite():
        raise _refused(value, name)
    if not number:
        # Plain zero: one of "0e-999999999" would cost gigabytes in the first power of ten.
        return ZERO_USD
    sign_digits = number.as_tuple()
    if len(sign_digits.digits) > _MAX_DIGITS or number.adjusted() >= _MAX_EXPONENT:
        raise _refused(value, name)
    if number.adjusted() < -_MAX_DIGITS:
        raise _refused(value, name)
    return number


def _refused(value: object, name: str) -> MoneyInvalid:
    shown = repr(value) if not isinstance(value, int) or value.bit_length() < 256 else "a huge integer"  # noqa: PLR2004
    if len(shown) > 60:  # noqa: PLR2004
        shown = f"{shown[:57]}..."
    return MoneyInvalid(
        f"{name}: expected a finite decimal number of at most {_MAX_DIGITS} digits, below 1e18, found {shown}; "
        f'write it as text, for example "0.15"',
        path=name,
        found=value,
    )


def amount_from(value: object, *, name: str) -> Decimal:
    """Read an amount in dollars of at least 0; the rest as `decimal_from`."""
    amount = decimal_from(value, name=name)
    if amount < 0:
        raise MoneyInvalid(f"{name}: expected an amount of at least 0, found {amount}", path=name, found=amount)
    return amount


def round_half_even(numerator: int, denominator: int) -> int:
    """Divide two integers (denominator above zero) and round once, half to even."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def pico_from_usd(value: object, *, name: str) -> int:
    """Whole pico-dollars of an amount in dollars, rounded once, half to even."""
    number = decimal_from(value, name=name)
    sign, digits, exponent = number.as_tuple()
    whole = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    shift = int(exponent) + 12
    return whole * 10**shift if shift >= 0 else round_half_even(whole, 10**-shift)


def usd_from_pico(pico: int) -> Decimal:
    """Exact dollars of whole pico-dollars, without trailing zeros and never in exponent form."""
    number = Decimal(pico).scaleb(-12, EXACT) if pico else ZERO_USD
    shorter = number.normalize(EXACT)
    exponent = shorter.as_tuple().exponent
    return shorter.quantize(Decimal(1), context=EXACT) if isinstance(exponent, int) and exponent > 0 else shorter


def rate_fraction(rate: Decimal, per: int) -> tuple[int, int]:
    """A rate as (numerator, denominator): pico-dollars for one unit of the meter, in lowest terms.

    The amount of a line is ``round_half_even(quantity * numerator, denominator)``.
    """
    numerator, denominator = rate.as_integer_ratio()
    top, bottom = numerator * PICO_PER_USD, denominator * per
    divisor = gcd(top, bottom)
    return top // divisor, bottom // divisor


def line_pico(quantity: int | Decimal, numerator: int, denominator: int) -> int:
    """Pico-dollars of a quantity at a rate from `rate_fraction`: the one rounding of a cost line."""
    if isinstance(quantity, int):
        return round_half_even(quantity * numerator, denominator)
    top, bottom = quantity.as_integer_ratio()
    return round_half_even(top * numerator, bottom * denominator)


_SMALLEST_SHOWN_PICO = 10**6


def display_usd(amount: Decimal | None) -> str:
    """Dollars for people: six decimals with thousands separators, ``<0.000001`` below that, ``unknown`` for None."""
    if amount is None:
        return "unknown"
    pico = pico_from_usd(amount, name="amount")
    if 0 < abs(pico) < _SMALLEST_SHOWN_PICO:
        return "<0.000001" if pico > 0 else "-<0.000001"
    micro = round_half_even(pico, _SMALLEST_SHOWN_PICO)
    sign, whole = ("-", -micro) if micro < 0 else ("", micro)
    return f"{sign}{whole // 10**6:,}.{whole % 10**6:06d}"


def dollars_text(amount: Decimal | None) -> str:
    """Dollars for people with their sign: ``$1.234500``, ``-$1.234500``, ``<$0.000001``, ``unknown`` for None."""
    text = display_usd(amount)
    return text if amount is None else f"${text}".replace("$-", "-$").replace("$<", "<$")


def decimal_text(number: Decimal) -> str:
    """Plain decimal text without exponent, for machines."""
    return format(number, "f")
