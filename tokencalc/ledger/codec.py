"""How usage, cost lines and details become compact JSON text in a row, and back.

The texts are part of what the chain hashes, so a text that was written is never
rewritten in another form; readers accept every form that was ever written.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.cost import CostLine
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokencalc.usage import Quantity

_FACTS = ("model", "service_tier", "region", "speed")


def json_text(value: object) -> str:
    """Compact JSON with keys in the order given; decimals as text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def usage_text(usage: Usage) -> str:
    """Return the usage's leaves, served facts and parts as JSON; raw counter names are left out."""
    return json_text(_usage_value(usage))


def _usage_value(usage: Usage) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if usage.parts:
        value["parts"] = [_usage_value(part) for part in usage.parts]
    else:
        value["q"] = dict(usage.leaves)
    for fact in _FACTS:
        served = getattr(usage, fact)
        if served is not None:
            value[fact] = served
    if usage.conditions:
        value["conditions"] = dict(usage.conditions)
    if usage.billed_usd is not None:
        value["billed"] = str(usage.billed_usd)
    if usage.is_interrupted:
        value["interrupted"] = True
    return value


def usage_from_text(text: str) -> Usage:
    """Read back what `usage_text` wrote."""
    return _usage_from_value(json.loads(text))


def _usage_from_value(value: dict[str, Any]) -> Usage:
    billed = None if "billed" not in value else Decimal(value["billed"])
    interrupted = value.get("interrupted", False)
    if "parts" in value:
        parts = [_usage_from_value(part) for part in value["parts"]]
        return Usage.from_parts(parts, billed_usd=billed, is_interrupted=interrupted)
    leaves = [(Meter(meter), _quantity(quantity)) for meter, quantity in value["q"].items()]
    facts = {fact: value[fact] for fact in _FACTS if fact in value}
    conditions = tuple(value.get("conditions", {}).items())
    return Usage.from_leaves(leaves, billed_usd=billed, is_interrupted=interrupted, conditions=conditions, **facts)


def _quantity(value: int | str) -> Quantity:
    return value if isinstance(value, int) else Decimal(value)


def lines_text(lines: tuple[CostLine, ...]) -> str:
    """Return cost lines as JSON: each card's id once, then one short list for each line."""
    cards = list(dict.fromkeys(line.card for line in lines))
    rows: list[list[object]] = []
    for line in lines:
        row: list[object] = [line.meter, line.quantity, str(line.rate), line.per, line.amount_pico]
        row.append(cards.index(line.card))
        if line.priced_as is not None:
            row.append(line.priced_as)
        rows.append(row)
    return json_text({"cards": cards, "lines": rows})


def lines_from_text(text: str) -> tuple[CostLine, ...]:
    """Read back what `lines_text` wrote."""
    value = json.loads(text)
    cards: list[str] = value["cards"]
    return tuple(
        CostLine(
            meter=Meter(row[0]),
            quantity=_quantity(row[1]),
            rate=Decimal(row[2]),
            per=row[3],
            amount_pico=row[4],
            card=cards[row[5]],
            priced_as=Meter(row[6]) if len(row) > 6 else None,  # noqa: PLR2004  # the seventh field is optional
        )
        for row in value["lines"]
    )


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
