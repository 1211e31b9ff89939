"""`tokencalc estimate`: tokens and money of a call, before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import (
    estimating_engine,
    examples,
    json_option,
    ledger_option,
    pairs_as_dict,
    price_options,
    without_nones,
)
from tokencalc.cli.output import dollars, number, put, put_json, table
from tokencalc.cli.reading import read_text
from tokencalc.cli.request import read_request
from tokencalc.errors import CallInvalid
from tokencalc.tool_answers import estimate_answer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@click.command(
    epilog=examples(
        'tokencalc estimate --model gpt-4o "Explain this function"',
        "tokencalc estimate --model claude-sonnet-4-5 --file prompt.txt --json",
        "tokencalc estimate --request body.json",
    )
)
@click.argument("text", required=False)
@click.option("--model", "-m", metavar="MODEL", help="The model; may be left out where --request names it.")
@click.option("--file", "file", metavar="FILE", help="Read the text from a file; - is stdin.")
@click.option("--request", metavar="FILE", help="A request's whole JSON body, with tools and all; - is stdin.")
@click.option("--operation", metavar="TYPE", help="What the call does, as code_generation: decides the likely output.")
@click.option("--label", metavar="NAME", help="The operation that such calls are booked under, where it is another.")
@click.option("--max-output-tokens", type=int, metavar="N", help="The limit that the request would carry.")
@price_options
@ledger_option
@json_option
def estimate(  # noqa: PLR0913  # one argument for each option
    *,
    text: str | None,
    model: str | None,
    file: str | None,
    request: str | None,
    operation: str | None,
    label: str | None,
    max_output_tokens: int | None,
    provider: str | None,
    at: datetime | None,
    context: tuple[tuple[str, str], ...],
    prices: tuple[Path, ...],
    ledger: str | None,
    as_json: bool,
) -> int:
    """Count the tokens of TEXT (or --file, --request, stdin) and price the call."""
    given = without_nones(
        model=model,
        operation_type=operation,
        operation=label,
        max_output_tokens=max_output_tokens,
        provider=provider,
        context=pairs_as_dict(context, name="context") or None,
        at=at,
    )
    arguments = {**_said(text, file, request), **given}
    if "model" not in arguments:
        raise CallInvalid("model: give --model; nothing else names one", path="model", found=None)
    with estimating_engine(ledger, prices) as engine:
        answer = estimate_answer(engine, arguments)
    if as_json:
        put_json(answer)
    else:
        _show(answer)
    return OK


def _said(text: str | None, file: str | None, request: str | None) -> dict[str, Any]:
    if request is None:
        return {"text": read_text(text, file)}
    if text is not None or file is not None:
        raise CallInvalid("request: give either --request, TEXT or --file", path="request", found=request)
    return without_nones(**read_request(request))


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
