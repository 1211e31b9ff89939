"""Which of a response's iterations its totals cover; pure arithmetic over leaves.

Anthropic lists the model calls inside a response. Ordinary ones add up to the
totals; a compaction or an advisor does not show there. The kinds say which is
which, and the sum has to agree, because new kinds appear without notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.usage import CACHE_WRITE_METERS, OUTPUT_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Leaves = dict[Meter, int]

OUTSIDE_TOTALS = frozenset({"compaction", "advisor_message"})
"""Kinds of iterations that are billed beside the totals."""


def covered_by_totals(totals: Leaves, calls: Sequence[Leaves], kinds: Sequence[str]) -> frozenset[int] | None:
    """Return the indexes of the calls that add up to the totals, or None where no reading does.

    First the ordinary messages are tried, then everything but the kinds that are
    known to be outside, then everything.
    """
    everything = range(len(calls))
    readings = (
        [index for index in everything if kinds[index] == "message"],
        [index for index in everything if kinds[index] not in OUTSIDE_TOTALS],
        list(everything),
    )
    wanted = _billed(totals)
    for reading in readings:
        if tuple(map(sum, zip(*(_billed(calls[index]) for index in reading), strict=True))) == wanted:
            return frozenset(reading)
    return None


def exceed_totals(totals: Leaves, calls: Sequence[Leaves]) -> bool:
    """Tell whether calls that do not add up to the totals are more than them in every count that is billed."""
    sums = map(sum, zip(*map(_billed, calls), strict=True))
    return all(listed >= total for listed, total in zip(sums, _billed(totals), strict=True))


def _billed(leaves: Mapping[Meter, int]) -> tuple[int, int, int, int]:
    # Lifetimes of writes and thinking may be said in one place only: compare what they are parts of.
    return (
        leaves.get(Meter.INPUT, 0),
        leaves.get(Meter.CACHE_READ, 0),
        sum(leaves.get(meter, 0) for meter in CACHE_WRITE_METERS),
        sum(leaves.get(meter, 0) for meter in OUTPUT_METERS),
    )


def share_totals(totals: Leaves, calls: Sequence[Leaves], inside: Iterable[int]) -> list[str]:
    """Move what only the totals say (thinking, searches) into the covered calls; return notes on what was assumed."""
    covered = [calls[index] for index in sorted(inside)]
    notes = []
    searches = totals.get(Meter.WEB_SEARCH, 0) - sum(call.get(Meter.WEB_SEARCH, 0) for call in covered)
    if searches > 0:
        covered[-1][Meter.WEB_SEARCH] = covered[-1].get(Meter.WEB_SEARCH, 0) + searches
    thinking = totals.get(Meter.REASONING, 0) - sum(call.get(Meter.REASONING, 0) for call in covered)
    if thinking > 0 and len(covered) == 1 and covered[0][Meter.OUTPUT] >= thinking:
        covered[0][Meter.OUTPUT] -= thinking
        covered[0][Meter.REASONING] += thinking
    elif thinking > 0:
        notes.append(
            f"usage.output_tokens_details.thinking_tokens ({thinking}) are not said for each iteration; "
            "they were counted as output"
        )
    return notes
