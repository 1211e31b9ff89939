"""`tokencalc prices compare`: our tables beside a public price set, every difference with both values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import Instant, examples, json_option
from tokencalc.cli.output import counted, number, put, put_json, table
from tokencalc.clock import SystemClock
from tokencalc.pricing.layers import ImportedLayer, PackagedLayer
from tokencalc.pricing.loader import packaged_raw
from tokencalc.pricing.sets.difference import compare
from tokencalc.pricing.sets.finding import SET_NAMES, price_set

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.pricing.sets.difference import Comparison, Difference, PriceSet


@click.command(
    "compare",
    epilog=examples(
        "tokencalc prices compare --with genai-prices",
        "tokencalc prices compare --with litellm --file litellm-1.109.1-py3-none-any.whl",
    ),
)
@click.option("--with", "name", type=click.Choice(SET_NAMES), required=True, help="The public set.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Its wheel, or the data file out of it; where it is installed, if not given.",
)
@click.option("--provider", "providers", multiple=True, metavar="NAME", help="Only this provider; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="The imported tables too, not only those that people keep.")
@click.option(
    "--at", type=Instant(), metavar="DATE", help="The day for whose prices the set stands; today if not given."
)
@json_option
def compare_prices(  # noqa: PLR0913  # one argument for each option
    *,
    name: str,
    file: Path | None,
    providers: tuple[str, ...],
    everything: bool,
    at: datetime | None,
    as_json: bool,
) -> int:
    """Compare our rate cards with a public price set. Nothing of the set is imported or run."""
    day = (at or SystemClock().now()).date()
    theirs = price_set(name, file=file, day=day)
    found = [
        compare(provider, packaged_raw(provider), theirs) for provider in _chosen(providers, everything=everything)
    ]
    if as_json:
        put_json(_values(theirs, found))
    else:
        _show(theirs, found)
    return OK


def _chosen(providers: tuple[str, ...], *, everything: bool) -> list[str]:
    layers = (PackagedLayer(), ImportedLayer())
    if not providers:
        return [provider for layer in layers[: 2 if everything else 1] for provider in layer.providers]
    names: dict[str, str] = {}
    for layer in reversed(layers):
        names |= layer.providers_by_name
    unknown = [provider for provider in providers if provider.lower() not in names]
    if unknown:
        raise click.BadParameter(f"no table of {unknown[0]!r}; see: tokencalc prices list", param_hint="--provider")
    return [names[provider.lower()] for provider in providers]


def _values(theirs: PriceSet, found: list[Comparison]) -> dict[str, Any]:
    return {
        "set": theirs.name,
        "day": theirs.day,
        "agreements": sum(item.agreements for item in found),
        "differences": [
            {"provider": item.provider, **difference._asdict()} for item in found for difference in item.differences
        ],
        "providers": [
            {
                "provider": item.provider,
                "agreements": item.agreements,
                "only_ours": item.only_ours,
                "not_ours": item.not_ours,
            }
            for item in found
        ],
    }


def _show(theirs: PriceSet, found: list[Comparison]) -> None:
    put(f"Our tables beside {theirs.name}, prices of {theirs.day}", style="bold")
    undecided = [(item.provider, one) for item in found for one in item.differences if one.because is None]
    kept = [(item.provider, one) for item in found for one in item.differences if one.because is not None]
    rows = [
        (
            item.provider,
            number(item.agreements),
            number(sum(one.because is not None for one in item.differences)),
            number(sum(one.because is None for one in item.differences)),
            number(item.only_ours),
            number(len(item.not_ours)),
        )
        for item in found
    ]
    totals = [sum(int(row[place].replace(",", "")) for row in rows) for place in range(1, 6)]
    table(
        ("provider", "agree", "kept", "differ", "only ours", "not ours"),
        rows,
        total=("all", *(number(total) for total in totals)),
    )
    _show_differences("Differences that nobody has decided on", undecided)
    _show_differences("Differences that we keep", kept)
    for because in dict.fromkeys(f"{provider}/{one.model}: {one.because}" for provider, one in kept):
        put(f"  {because}")
    put("agree: rates that are the same; only ours: rates that the set lacks; not ours: names that we lack.")
    if undecided:
        put(f"{counted(len(undecided), 'difference')} to decide on.")


def _show_differences(title: str, found: list[tuple[str, Difference]]) -> None:
    if not found:
        return
    put()
    put(title, style="bold")
    for provider, one in found:
        ours, theirs = (value or "none" for value in (one.ours, one.theirs))
        put(f"  {provider}/{one.model} on {one.day}, {one.key}: ours {ours}, theirs {theirs}")
