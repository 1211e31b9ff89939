"""`tokencalc explain`: how an entry's amount comes about, so that it can be added up by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.lines import exact_dollars, meter_text, quantity_text
from tokencalc.cli.options import examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import number, put, put_json, rate_text, table
from tokencalc.clock import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from tokencalc.cost import CostLine
    from tokencalc.explaining import CardUsed, Explanation
    from tokencalc.ledger.records import Entry

_SOURCES = {"caller": "the caller's figure", "billed": "what the response says it was billed"}
_ABOUT = ("agent_id", "user_id", "project", "api_key_id", "operation")


@click.command(epilog=examples("tokencalc explain ENTRY_ID", "tokencalc explain 12 --ledger usage.db --json"))
@click.argument("entry")
@ledger_option
@json_option
def explain(*, entry: str, ledger: str | None, as_json: bool) -> int:
    """Show how the amount of ENTRY comes about: quantity x rate / per, line by line.

    ENTRY is an entry's id, as every booking answers it and reprice lists it, or only its number.
    """
    with open_ledger(ledger, needs_prices=False) as engine:
        found = engine.explain(entry)
    if as_json:
        put_json({"schema": "tokencalc.explanation/1", **_as_document(found)})
    else:
        _show(found)
    return OK


def _as_document(found: Explanation) -> dict[str, object]:
    return {
        "entry": found.entry,
        "lines_usd": found.lines_usd,
        "price_usd": found.price_usd,
        "counted_usd": found.counted_usd,
        "cards": found.cards,
        "assumed": found.assumed,
        "unpriced": found.entry.unpriced,
        "unpriced_reason": found.unpriced_reason,
        "caller_cost_usd": found.entry.caller_cost_usd,
        "caller_gap_usd": found.caller_gap_usd,
        "billed_usd": found.entry.billed_usd,
        "billed_gap_usd": found.billed_gap_usd,
        "corrects": found.corrected,
        "counted_before_usd": found.counted_before_usd,
        "corrections": found.corrections,
        "hold": found.hold,
    }


def _show(found: Explanation) -> None:
    entry = found.entry
    put(f"{entry.kind.replace('_', '-').capitalize()} {entry.entry_id}")
    for line in _about(entry):
        put(line)
    put()
    if entry.lines:
        _show_lines(found)
    for line in (*_amounts(found), *_others(found), *_history(found)):
        put(line)
    if found.corrections:
        _show_corrections(found)


def _about(entry: Entry) -> Iterator[str]:
    if entry.model:
        asked = f", asked for as {entry.requested_model}" if entry.requested_model else ""
        yield f"{entry.model} ({entry.provider or 'provider unknown'}){asked}"
    written = "" if entry.at == entry.recorded_at else f", written {instant_text(entry.recorded_at)}"
    yield f"{instant_text(entry.at)}{written}"
    said = [f"{name.removesuffix('_id')} {getattr(entry, name)}" for name in _ABOUT if getattr(entry, name)]
    said += [f"{key}={value}" for key, value in (*entry.context.items(), *entry.tags.items())]
    if entry.notional:
        said.append("notional: paid by a subscription")
    if said:
        yield ", ".join(said)


def _show_lines(found: Explanation) -> None:
    lines = found.entry.lines
    numbers = {used.card: place for place, used in enumerate(found.cards, 1)}
    *amounts, total = exact_dollars([*(line.amount_usd for line in lines), found.lines_usd])
    table(
        ("meter", "quantity", "x rate", "/ per", "= amount", "card"),
        [
            (
                meter_text(line),
                quantity_text(line),
                rate_text(line.rate),
                number(line.per),
                amount,
                f"[{numbers[line.card]}]",
            )
            for line, amount in zip(lines, amounts, strict=True)
        ],
        total=("sum", "", "", "", total, ""),
    )
    put()
    if any(_is_rounded(line) for line in lines):
        put("Each line is rounded once, half to even, to 12 decimals.")
    for used in found.cards:
        put(f"[{numbers[used.card]}] {used.card}{_about_card(used)}")
        for source in used.source:
            put(f"    {source}")
    put()


def _about_card(used: CardUsed) -> str:
    if used.has_other_rates:
        return ": a card of this id has other rates now"
    if not used.is_known:
        return ": the price tables have no card of that id any more"
    checked = "not checked" if used.checked_on is None else f"checked on {used.checked_on.isoformat()}"
    return f", {checked}" if used.source else f", {checked}; no source given"


def _is_rounded(line: CostLine) -> bool:
    return Fraction(line.amount_usd) * line.per != Fraction(line.quantity) * Fraction(line.rate)


def _amounts(found: Explanation) -> Iterator[str]:
    entry = found.entry
    if entry.kind == "budget":
        yield "A budget was set; it costs nothing."
    elif entry.kind == "correction" and found.counted_before_usd is not None and entry.lines:
        new, before, amount = exact_dollars([found.lines_usd, found.counted_before_usd, entry.counted_usd])
        yield f"Amount: {amount} = {new} (the sum) - {before} (counted before)"
    elif entry.amount_pico is None:
        yield "Amount: unknown; totals and budgets count nothing for it."
    else:
        (amount,) = exact_dollars([entry.counted_usd])
        source = _SOURCES.get(entry.amount_source or "", "")
        partly = "; the rest is unknown" if entry.is_partly_priced else ""
        yield f"Amount: {amount}{f', {source}' if source else ''}{partly}"
    if found.unpriced_reason is not None:
        yield _without_price(found.unpriced_reason, [meter.value for meter in entry.unpriced])
    for note in found.assumed:
        yield f"Note: {note}"


def _without_price(reason: str, meters: list[str]) -> str:
    if reason.startswith(tuple(f"{meter}: " for meter in meters)):
        return f"No price for {reason}"
    about = f" for {', '.join(meters)}" if meters else " of ours"
    return f"No price{about}: {reason}"


def _others(found: Explanation) -> Iterator[str]:
    entry = found.entry
    for said, other, gap in (
        ("The caller said", entry.caller_cost_usd, found.caller_gap_usd),
        ("The response says that it was billed", entry.billed_usd, found.billed_gap_usd),
    ):
        if other is not None:
            (text,) = exact_dollars([other])
            yield f"{said} {text}{_gap(gap)}"


def _gap(gap: Decimal | None) -> str:
    if gap is None:
        return "; there is no whole price of ours to compare it with."
    if not gap:
        return ", as our price."
    (text,) = exact_dollars([abs(gap)])
    return f": {text} {'more' if gap > 0 else 'less'} than our price."


def _history(found: Explanation) -> Iterator[str]:
    if found.corrected is not None:
        yield f"It corrects {found.corrected.kind.replace('_', '-')} {found.corrected.entry_id}."
    hold = found.hold
    if hold is not None:
        held, expected = exact_dollars([hold.amount_usd, hold.expected_usd])
        yield f"Its hold {hold.hold_id} ({hold.state}) had set {held} aside; {expected} were expected."


def _show_corrections(found: Explanation) -> None:
    entry = found.entry
    first, *amounts, total = exact_dollars(
        [entry.counted_usd, *(one.counted_usd for one in found.corrections), found.counted_usd]
    )
    put()
    put("It was corrected; what counts is the sum:")
    put()
    rows = [(entry.entry_id, instant_text(entry.recorded_at), "unknown" if entry.amount_pico is None else first)]
    rows += [
        (one.entry_id, instant_text(one.recorded_at), amount)
        for one, amount in zip(found.corrections, amounts, strict=True)
    ]
    table(("entry", "written", "amount"), rows, texts=(0, 1), total=("sum", "", total))
