"""Cohere's wire formats, v1 (in ``meta``) and v2 (in ``usage``): what is billed is said apart from what was processed.

``billed_units`` are what the invoice counts; ``tokens`` include the prompt's
preamble and special tokens, and ``cached_tokens`` are some of those. Only the
billed ones become quantities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.providers.dialect import Dialect, Whole
from tokencalc.providers.payload import payload_int, payload_section, payload_text, require_any, said
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_UNITS = {
    "input_tokens": Meter.INPUT,
    "output_tokens": Meter.OUTPUT,
    "image_tokens": Meter.INPUT_IMAGE,
    "images": Meter.INPUT_IMAGE_PIECE,
    "search_units": Meter.SEARCH_UNIT,
    # One text that was classified; there is no other thing in such a call.
    "classifications": Meter.REQUEST,
}
_TOKENS = ("input_tokens", "output_tokens")


def read(usage: Body, body: Body) -> Usage:
    """Read the usage of v2."""
    return _read(usage, body, at="usage")


def read_meta(body: Body) -> Usage | None:
    """Read a body whose usage is in ``meta``: chat and generate of v1, and embed, rerank and classify of both."""
    meta = payload_section(body, "meta", at="body")
    if "billed_units" not in meta and "tokens" not in meta:
        return None
    return _read(meta, body, at="meta")


def _read(usage: Body, body: Body, *, at: str) -> Usage:
    billed = payload_section(usage, "billed_units", at=at)
    counts = {name: payload_int(billed, name, at=f"{at}.billed_units") for name in _UNITS}
    notes: tuple[str, ...] = ()
    mapped = "billed_units"
    if all(count is None for count in counts.values()):
        tokens = payload_section(usage, "tokens", at=at)
        counts = {name: payload_int(tokens, name, at=f"{at}.tokens") for name in _TOKENS}
        require_any(counts, at=f"{at}.tokens")
        notes = (f"{at}.billed_units are not said; all tokens were counted, of which Cohere bills fewer",)
        mapped = "tokens"
    found = survey(usage, _counters(at, mapped), at=at)
    return Usage.from_leaves(
        tuple((_UNITS[name], said(count)) for name, count in counts.items()),
        model=payload_text(body, "model"),
        ignored=tuple(found.ignored),
        notes=(*notes, *found.notes),
    )


def _counters(at: str, mapped: str) -> Counters:
    # What was processed carries no money of its own, and neither do cached tokens: the billed units leave them out.
    processed = {f"{at}.tokens.{name}" for name in _TOKENS} | {f"{at}.cached_tokens"}
    units = {f"{at}.{mapped}.{name}" for name in (_UNITS if mapped == "billed_units" else _TOKENS)}
    return Counters(frozenset(units), frozenset(processed) - units)


DIALECT = Dialect("cohere", read, usage_marks=frozenset({"billed_units"}))
META = Whole(frozenset({"meta"}), read_meta)
