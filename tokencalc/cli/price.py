"""`tokencalc price`: what a usage costs, line by line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK, UNPRICED
from tokencalc.cli.lines import meter_text, quantity_text
from tokencalc.cli.options import examples, json_option, pairs_as_dict, price_options, pricing_engine
from tokencalc.cli.output import dollars, put, put_json, rate_text, say, table
from tokencalc.cli.reading import read_text
from tokencalc.errors import CallInvalid, UsageInvalid
from tokencalc.providers.registry import read_usage
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from tokencalc.cost import Cost, CostLine

_COUNTS = (
    ("input_tokens", "All input tokens, cached ones included."),
    ("output_tokens", "All output tokens, reasoning included."),
    ("cache_read_tokens", "Input tokens read from the cache."),
    ("cache_write_5m_tokens", "Input tokens written to the cache for 5 minutes."),
    ("cache_write_1h_tokens", "Input tokens written to the cache for 1 hour."),
    ("reasoning_tokens", "Output tokens spent on reasoning."),
    ("web_searches", "Web searches that the provider ran."),
)


def _count_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in reversed(_COUNTS):
        command = click.option(f"--{name.replace('_', '-')}", name, type=int, metavar="N", help=text)(command)
    return command


@click.command(
    epilog=examples(
        "tokencalc price --model gpt-4o --input-tokens 1200 --output-tokens 300",
        "tokencalc price --model claude-sonnet-4-5 --file response.json --at 2025-10-01",
    )
)
@click.option("--model", "-m", metavar="MODEL", help="The model; may be left out where the response names it.")
@click.option("--file", "file", metavar="FILE", help="A provider's JSON response, or its usage object; - is stdin.")
@_count_options
@price_options
@click.option("--strict-prices", is_flag=True, help="Exit with 5 if anything has no price.")
@json_option
def price(  # noqa: PLR0913  # one argument for each option
    *,
    model: str | None,
    file: str | None,
    provider: str | None,
    at: datetime | None,
    context: tuple[tuple[str, str], ...],
    prices: tuple[Path, ...],
    strict_prices: bool,
    as_json: bool,
    **counts: int | None,
) -> int:
    """Price token counts, or the usage in a provider's response."""
    usage = _usage(file, {name: count for name, count in counts.items() if count is not None}, provider)
    if model is None and not any(call.model for call in usage.calls):
        raise CallInvalid("model: give --model; the usage does not name one", path="model", found=None)
    with pricing_engine(prices) as engine:
        cost = engine.price(
            model=model, provider=provider, usage=usage, at=at, context=pairs_as_dict(context, name="context") or None
        )
        stale = engine.catalog.stale_note(cost.provider, cost.at)
    if stale is not None:
        cost = cost._replace(notes=(*cost.notes, stale))
    if as_json:
        put_json(cost)
    else:
        _show(cost)
    return UNPRICED if strict_prices and cost.unpriced else OK


def _usage(file: str | None, counts: dict[str, int], provider: str | None) -> Usage:
    if file is not None and counts:
        raise UsageInvalid("usage: give either --file or token counts, not both", path="usage", found=file)
    if file is None:
        if not counts:
            raise UsageInvalid(
                "usage: give --input-tokens and --output-tokens, or --file with a response", path="usage", found=None
            )
        return Usage(**counts)  # type: ignore[arg-type]  # the keys are those of _COUNTS, which are all counts
    text = read_text(None, file)
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        name = "stdin" if file == "-" else file
        raise UsageInvalid(f"{name}: expected JSON: {error}", path="file", found=name) from error
    return read_usage(payload, provider)


def _show(cost: Cost) -> None:
    put(f"{cost.model} ({cost.provider}), {cost.at:%Y-%m-%d}")
    put()
    table(
        ("meter", "quantity", "rate", "cost"),
        [(meter_text(line), quantity_text(line), _rate(line), dollars(line.amount_usd)) for line in cost.lines],
        total=("total" if cost.total_usd is not None else "priced part", "", "", dollars(cost.priced_usd)),
    )
    put()
    for card in cost.cards:
        put(f"Rate card: {card}")
    for note in cost.notes:
        put(f"Note: {note}")
    if cost.unpriced:
        say(f"No price for: {', '.join(meter.value for meter in cost.unpriced)}. The total is unknown.")


def _rate(line: CostLine) -> str:
    per = {1: "each", 1_000: "a thousand", 1_000_000: "a million"}.get(line.per, f"for {line.per:,}")
    return f"{rate_text(line.rate)} {per}"
