"""`tokencalc estimate`: tokens and money of a call, before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import examples, json_option, pairs_as_dict, price_options, pricing_engine, without_nones
from tokencalc.cli.output import dollars, number, put, put_json, table
from tokencalc.cli.reading import read_text
from tokencalc.tool_answers import estimate_answer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@click.command(
    epilog=examples(
        'tokencalc estimate --model gpt-4o "Explain this function"',
        "tokencalc estimate --model claude-sonnet-4-5 --file prompt.txt --json",
    )
)
@click.argument("text", required=False)
@click.option("--model", "-m", required=True, metavar="MODEL", help="The model that would be called.")
@click.option("--file", "file", metavar="FILE", help="Read the text from a file; - is stdin.")
@click.option("--operation", metavar="TYPE", help="What the call does, as code_generation: decides the likely output.")
@click.option("--max-output-tokens", type=int, metavar="N", help="The limit that the request would carry.")
@price_options
@json_option
def estimate(  # noqa: PLR0913  # one argument for each option
    *,
    text: str | None,
    model: str,
    file: str | None,
    operation: str | None,
    max_output_tokens: int | None,
    provider: str | None,
    at: datetime | None,
    context: tuple[tuple[str, str], ...],
    prices: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Count the tokens of TEXT (or --file, or stdin) and price the call."""
    arguments = without_nones(
        model=model,
        text=read_text(text, file),
        operation_type=operation,
        max_output_tokens=max_output_tokens,
        provider=provider,
        context=pairs_as_dict(context, name="context") or None,
        at=at,
    )
    with pricing_engine(prices) as engine:
        answer = estimate_answer(engine, arguments)
    if as_json:
        put_json(answer)
    else:
        _show(answer)
    return OK


def _show(answer: dict[str, Any]) -> None:
    put(f"{answer['model']} ({answer['provider']}), prices checked on {answer['price_table_checked_on']}")
    put()
    expected = answer["input_tokens"] + answer["output_tokens"]
    table(
        ("", "tokens", "cost"),
        [
            (f"input, {answer['method']}", number(answer["input_tokens"]), dollars(answer["input_cost_usd"])),
            ("output, expected", number(answer["output_tokens"]), dollars(answer["output_cost_usd"])),
        ],
        total=("expected", number(expected), dollars(answer["cost_usd"])),
    )
    put()
    most = answer["output_tokens_max"]
    worst = f"At most {dollars(answer['cost_max_usd'])}"
    put(f"{worst}, with {number(most)} tokens of output." if most is not None else f"{worst}.")
    low, high = answer["input_tokens_low"], answer["input_tokens_high"]
    if low != high:
        put(f"The input is between {number(low)} and {number(high)} tokens.")
    for note in (*answer["unaccounted"], *answer["notes"]):
        put(f"Note: {note}")
