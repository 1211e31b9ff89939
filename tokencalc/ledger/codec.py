"""How usage, cost lines and details become compact JSON text in a row, and back.

What many entries share, rates and served facts, is a `Basis` that is stored once;
a row then keeps quantities only, such as ``[1000,500]``. Everything that explains
an amount is in the ledger itself, whatever becomes of the price tables.

The texts are part of what the chain hashes, so a text that was written is never
rewritten in another form; readers accept every form that was ever written.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.cost import CostLine
from tokencalc.money import rate_fraction
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.usage import Leaves, Quantity

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str)
_FACTS = ("model", "service_tier", "region", "speed")


def json_text(value: object) -> str:
    """Compact JSON with keys in the order given; decimals as text."""
    return _ENCODER.encode(value)


def usage_text(usage: Usage) -> str:
    """Return the usage's leaves, served facts and parts as JSON; raw counter names are left out."""
    return json_text(_usage_value(usage))


def _usage_value(usage: Usage) -> dict[str, Any]:
    if usage.parts:
        return {"parts": [_usage_value(part) for part in usage.parts], **_served_value(usage), **_end_value(usage)}
    return {"q": dict(usage.leaves), **_served_value(usage), **_end_value(usage)}


def _served_value(usage: Usage) -> dict[str, Any]:
    """What a response said of how it was served: the same for many calls."""
    value: dict[str, Any] = {}
    for fact in _FACTS:
        served = getattr(usage, fact)
        if served is not None:
            value[fact] = served
    if usage.conditions:
        value["conditions"] = dict(usage.conditions)
    return value


def _end_value(usage: Usage) -> dict[str, Any]:
    """What is said of one call alone."""
    value: dict[str, Any] = {}
    if usage.billed_usd is not None:
        value["billed"] = str(usage.billed_usd)
    if usage.is_interrupted:
        value["interrupted"] = True
    return value


def usage_from_text(text: str) -> Usage:
    """Read back what `usage_text` wrote."""
    return _usage_from_value(json.loads(text))


def _usage_from_value(value: dict[str, Any]) -> Usage:
    if "parts" in value:
        parts = [_usage_from_value(part) for part in value["parts"]]
        return Usage.from_parts(parts, billed_usd=_billed(value), is_interrupted=value.get("interrupted", False))
    leaves = tuple([(Meter(meter), _quantity(quantity)) for meter, quantity in value["q"].items()])
    return _usage_of_leaves(leaves, value)


def _usage_of_leaves(leaves: Leaves, value: dict[str, Any]) -> Usage:
    facts = {fact: value[fact] for fact in _FACTS if fact in value}
    return Usage.from_leaves(
        leaves,
        billed_usd=_billed(value),
        is_interrupted=value.get("interrupted", False),
        conditions=tuple(value.get("conditions", {}).items()),
        **facts,
    )


def _billed(value: dict[str, Any]) -> Decimal | None:
    return None if "billed" not in value else Decimal(value["billed"])


def _quantity(value: int | str) -> Quantity:
    return value if isinstance(value, int) else Decimal(value)


class Basis:
    """What the cost lines of many entries have in common, stored once: rates, and what responses said of themselves.

    The text is ``{"rates":[[METER,RATE,PER,CARD],...]}``, one for each line, with a fifth
    item where the card says that another meter's rate is used. It has ``"served":{...}``
    where the quantities of the lines are the usage's, which is then not written again.
    """

    __slots__ = ("rates", "served", "text")

    def __init__(self, text: str) -> None:
        """Read a basis; what is no basis raises one of the errors that `rows.decoding` knows."""
        value = json.loads(text)
        self.text = text
        self.rates = tuple(_rate(*row) for row in value["rates"])
        served = value.get("served")
        self.served: dict[str, Any] | None = None if served is None else dict(served)

    def lines_text(self, lines: tuple[CostLine, ...]) -> str:
        """Return what this basis does not say of its lines: quantities, and amounts that had to be rounded.

        An amount is left out where quantity x rate / per is a whole number of pico-dollars.
        """
        found: list[object] = []
        for (_, quantity, _, _, amount_pico, _, _), rate in zip(lines, self.rates, strict=True):
            is_exact = type(quantity) is int and amount_pico == quantity * rate.whole_pico
            found.append(quantity if is_exact else (quantity, amount_pico))
        return json_text(found)

    def lines(self, text: str) -> tuple[CostLine, ...]:
        """Read back what `lines_text` wrote."""
        return tuple(
            [
                rate.line(item, item * rate.whole_pico) if type(item) is int else rate.line(*_rounded(item))
                for item, rate in zip(json.loads(text), self.rates, strict=True)
            ]
        )


class _Rate(NamedTuple):
    """A rate with the whole pico-dollars of one unit, or 0 where that is a fraction."""

    meter: Meter
    rate: Decimal
    per: int
    card: str
    priced_as: Meter | None
    whole_pico: int

    def line(self, quantity: Quantity, amount_pico: int) -> CostLine:
        return CostLine(self.meter, quantity, self.rate, self.per, amount_pico, self.card, self.priced_as)


def _rate(meter: str, rate: str, per: int, card: str, priced_as: str | None = None) -> _Rate:
    numerator, denominator = rate_fraction(Decimal(rate), per)
    other = None if priced_as is None else Meter(priced_as)
    return _Rate(Meter(meter), Decimal(rate), per, card, other, numerator if denominator == 1 else 0)


def _rounded(item: list[Any]) -> tuple[Quantity, int]:
    quantity, amount = item
    return _quantity(quantity), int(amount)


_read_basis = lru_cache(maxsize=1024)(Basis)
"""Reads each basis once."""

BasisKey = tuple[object, ...]


def basis_key(usage: Usage | None, lines: tuple[CostLine, ...]) -> BasisKey:
    """Return what decides the basis of an entry, as something to look it up by."""
    rates = tuple([(line.meter, line.rate, line.per, line.card, line.priced_as) for line in lines])
    if usage is None or usage.parts or usage.leaves != tuple([line[:2] for line in lines]):
        return (rates, False)
    return (rates, True, usage.model, usage.service_tier, usage.region, usage.speed, usage.conditions)


def basis_from(usage: Usage | None, lines: tuple[CostLine, ...]) -> Basis:
    """Make the basis of lines for the first entry that has it; ``usage`` is None where it is written beside."""
    rows = [
        [line.meter, str(line.rate), line.per, line.card, *([] if line.priced_as is None else [line.priced_as])]
        for line in lines
    ]
    served = {} if usage is None else {"served": _served_value(usage)}
    return Basis(json_text({"rates": rows, **served}))


def usage_beside(usage: Usage, basis: Basis | None) -> str | None:
    """Return what a row has to say of a usage beside its basis and lines; None where they say it all."""
    if basis is None or basis.served is None:
        return usage_text(usage)
    beside = _end_value(usage)
    return json_text(beside) if beside else None


def money_texts(usage: Usage | None, lines: tuple[CostLine, ...]) -> tuple[str | None, str | None, str | None]:
    """Return the three texts that `money_from_row` reads, for a file that keeps no bases of its own."""
    if not lines:
        return None, None if usage is None else usage_text(usage), None
    basis = basis_from(usage if basis_key(usage, lines)[1] else None, lines)
    return basis.text, None if usage is None else usage_beside(usage, basis), basis.lines_text(lines)


def money_from_row(
    basis: str | None, usage: str | None, lines: str | None
) -> tuple[Usage | None, tuple[CostLine, ...]]:
    """Read the usage and the cost lines of a row, whichever of its three texts they are in."""
    if basis is None or lines is None:
        return (None if usage is None else usage_from_text(usage)), ()
    shared = _read_basis(basis)
    found = shared.lines(lines)
    if shared.served is None:
        return (None if usage is None else usage_from_text(usage)), found
    beside = {} if usage is None else json.loads(usage)
    leaves = tuple([(line.meter, line.quantity) for line in found])
    return _usage_of_leaves(leaves, {**shared.served, **beside}), found


def fingerprint(verb: str, arguments: Mapping[str, object]) -> bytes:
    """Hash a caller's arguments, as given, so that a repeated idempotency key can be compared.

    Arguments that are None count as not given. Objects without a JSON form are
    compared by their repr, records by their fields.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        text = json.dumps([verb, given], sort_keys=True, default=repr, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):  # keys that JSON has no order or form for, or a circle
        text = repr([verb, given])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
