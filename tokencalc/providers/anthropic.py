"""Anthropic's wire format: input without cache, writes by lifetime, and iterations that are calls of their own.

``input_tokens`` exclude cached and written tokens here, so they are a leaf
already. The totals of a response leave out compactions and advisors: those are
found only in ``iterations``, and each is a part, priced with its own model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.counts import MAX_QUANTITY, remainder
from tokencalc.providers.dialect import items
from tokencalc.providers.iterations import OUTSIDE_TOTALS, covered_by_totals, exceed_totals, share_totals
from tokencalc.providers.payload import (
    payload_int,
    payload_section,
    payload_sections,
    payload_text,
    require_any,
    said,
)
from tokencalc.providers.survey import Counters, Shapes, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_INPUT, _CACHE_READ, _CACHE_WRITE = Meter.INPUT, Meter.CACHE_READ, Meter.CACHE_WRITE
_CACHE_WRITE_5M, _CACHE_WRITE_1H = Meter.CACHE_WRITE_5M, Meter.CACHE_WRITE_1H
_OUTPUT, _REASONING, _WEB_SEARCH = Meter.OUTPUT, Meter.REASONING, Meter.WEB_SEARCH
_NOTHING: dict[str, Any] = {}

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "output_tokens_details.thinking_tokens",
    "server_tool_use.web_search_requests",
)
COUNTERS = Counters(
    mapped=frozenset(f"usage.{name}" for name in _COUNTS) | {f"usage.iterations[].{name}" for name in _COUNTS},
    # Fetching a page and searching among tools cost nothing beside their tokens.
    known=frozenset(
        f"usage.{where}server_tool_use.{tool}_requests"
        for where in ("", "iterations[].")
        for tool in ("web_fetch", "tool_search")
    ),
    facts=frozenset({"usage.service_tier", "usage.inference_geo", "usage.speed"}),
)
MARKS = frozenset(
    {
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "server_tool_use",
        "inference_geo",
        "iterations",
    }
)
"""Keys of a usage object that only Anthropic's has."""

_shapes = Shapes(COUNTERS)
_NOWHERE = "not_available"


def read(usage: Body, body: Body) -> Usage:
    """Read the usage of a message; the quick way when nothing is unusual, else the careful one."""
    plain = read_plain(usage, body) if body.get("container") is None else None
    return plain or read_any(usage, body)


def read_plain(usage: Body, body: Body) -> Usage | None:
    """Read a usage of known shape, of one call and with whole counts; None when it is any other."""
    get = usage.get
    split, details = get("cache_creation", _NOTHING), get("output_tokens_details", _NOTHING)
    tools = get("server_tool_use", _NOTHING)
    if type(split) is not dict or type(details) is not dict or type(tools) is not dict:
        return None
    ignored = _shapes.find((tuple(usage), tuple(split), tuple(details), tuple(tools)))
    iterations = get("iterations")
    if ignored is None or (iterations is not None and not _restates(iterations, usage)):
        return None
    total_in, total_out = get("input_tokens"), get("output_tokens")
    cached, thinking = get("cache_read_input_tokens", 0), details.get("thinking_tokens", 0)
    write_5m, write_1h = split.get("ephemeral_5m_input_tokens", 0), split.get("ephemeral_1h_input_tokens", 0)
    written, searches = get("cache_creation_input_tokens"), tools.get("web_search_requests", 0)
    # One chain, because this runs for every call: exact ints only, so no booleans and no floats.
    if not (
        int is type(total_in) is type(total_out) is type(cached) is type(write_5m) is type(write_1h) is type(thinking)
        and int is type(written) is type(searches)
    ):
        return None
    unstated, plain = written - write_5m - write_1h, total_out - thinking
    if (
        total_in < 0 or cached < 0 or write_5m < 0 or write_1h < 0 or unstated < 0
        or plain < 0 or thinking < 0 or searches < 0
        or total_in + cached + written + total_out + searches > MAX_QUANTITY
    ):  # fmt: skip
        return None
    model, tier, region, speed = body.get("model"), get("service_tier"), get("inference_geo"), get("speed")
    return Usage.from_leaves(
        (
            (_INPUT, total_in),
            (_CACHE_READ, cached),
            (_CACHE_WRITE, unstated),
            (_CACHE_WRITE_5M, write_5m),
            (_CACHE_WRITE_1H, write_1h),
            (_OUTPUT, plain),
            (_REASONING, thinking),
            (_WEB_SEARCH, searches),
        ),
        model=model if type(model) is str and model else None,
        service_tier=tier if type(tier) is str and tier else None,
        region=None if region is None else _region(usage),
        speed=speed if type(speed) is str and speed else None,
        ignored=ignored,
    )


def _restates(iterations: object, usage: Body) -> bool:
    """Tell whether the only iteration says again what the totals say, to the field."""
    if type(iterations) is not list or len(iterations) != 1:
        return False
    only = iterations[0]
    if type(only) is not dict or only.get("type") != "message" or not only.keys() <= _RESTATED:
        return False
    return all(
        only.get(name, 0) == usage.get(name, 0) and type(only.get(name, 0)) is int for name in _FLAT_COUNTS
    ) and (only.get("cache_creation", _NOTHING) == usage.get("cache_creation", _NOTHING))


_FLAT_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_RESTATED = frozenset({*_FLAT_COUNTS, "cache_creation", "type"})


def read_any(usage: Body, body: Body) -> Usage:
    """Read any usage of a message, iterations as parts; raises UsageInvalid with the path of what cannot be."""
    counts = {name: payload_int(usage, name, at="usage") for name in ("input_tokens", "output_tokens")}
    notes = require_any(counts, at="usage")
    leaves = _leaves(usage, at="usage")
    found = survey(usage, COUNTERS)
    iterations = payload_sections(usage, "iterations", at="usage")
    notes = (*notes, *_container_notes(body), *found.notes)
    whole = _served(leaves, usage, body, ignored=tuple(found.ignored), notes=notes)
    sections = (payload_section(usage, name, at="usage") for name in _SECTIONS)
    flat = {name: value for name, value in usage.items() if name != "iterations"}
    _shapes.remember((tuple(usage), *map(tuple, sections)), flat, found)
    return _with_iterations(whole, leaves, iterations, usage, body) if iterations else whole


def _container_notes(body: Body) -> tuple[str, ...]:
    """Note code that ran in a container, which is billed by the hour beyond a free allowance."""
    runs = [item for item in items(body, "content") if str(item.get("type")).endswith("code_execution_tool_result")]
    if body.get("container") is None or not runs:
        return ()
    return (f"content has {len(runs)} results of code execution, billed by time: unmapped, not in the cost",)


_SECTIONS = ("cache_creation", "output_tokens_details", "server_tool_use")


def _leaves(usage: Body, *, at: str) -> dict[Meter, int]:
    split = payload_section(usage, "cache_creation", at=at)
    write_5m = said(payload_int(split, "ephemeral_5m_input_tokens", at=f"{at}.cache_creation"))
    write_1h = said(payload_int(split, "ephemeral_1h_input_tokens", at=f"{at}.cache_creation"))
    flat = payload_int(usage, "cache_creation_input_tokens", at=at)
    total = write_5m + write_1h if flat is None else flat
    unstated = remainder(
        total, "cache_creation_input_tokens", ephemeral_5m_input_tokens=write_5m, ephemeral_1h_input_tokens=write_1h
    )
    details = payload_section(usage, "output_tokens_details", at=at)
    thinking = said(payload_int(details, "thinking_tokens", at=f"{at}.output_tokens_details"))
    tools = payload_section(usage, "server_tool_use", at=at)
    return {
        _INPUT: said(payload_int(usage, "input_tokens", at=at)),
        _CACHE_READ: said(payload_int(usage, "cache_read_input_tokens", at=at)),
        _CACHE_WRITE: unstated,
        _CACHE_WRITE_5M: write_5m,
        _CACHE_WRITE_1H: write_1h,
        _OUTPUT: remainder(said(payload_int(usage, "output_tokens", at=at)), "output_tokens", thinking_tokens=thinking),
        _REASONING: thinking,
        _WEB_SEARCH: said(payload_int(tools, "web_search_requests", at=f"{at}.server_tool_use")),
    }


def _region(usage: Body) -> str | None:
    region = payload_text(usage, "inference_geo")
    return None if region == _NOWHERE else region


def _served(  # noqa: PLR0913  # what a usage is made of
    leaves: dict[Meter, int],
    usage: Body,
    body: Body,
    *,
    model: str | None = None,
    ignored: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Usage:
    return Usage.from_leaves(
        leaves,
        model=model or payload_text(body, "model"),
        service_tier=payload_text(usage, "service_tier"),
        region=_region(usage),
        speed=payload_text(usage, "speed"),
        ignored=ignored,
        notes=notes,
    )


def _with_iterations(whole: Usage, totals: dict[Meter, int], iterations: list[Body], usage: Body, body: Body) -> Usage:
    """Split a response into its calls; a single one that the totals cover stays whole."""
    calls = [_leaves(item, at=f"usage.iterations[{index}]") for index, item in enumerate(iterations)]
    kinds = [payload_text(item, "type") or "untyped" for item in iterations]
    models = [payload_text(item, "model") for item in iterations]
    covered = covered_by_totals(totals, calls, kinds)
    if covered is not None and len(covered) == len(calls) == 1:
        return _served(totals, usage, body, model=models[0], ignored=whole.ignored, notes=whole.notes)
    notes = list(whole.notes)
    if covered is None and exceed_totals(totals, calls):
        notes.append("usage.iterations are more than the totals: each was priced as a call of its own")
        covered = frozenset(range(len(calls)))
    if covered is None:
        notes.append("usage.iterations do not add up to the totals: the totals were priced as one call")
        parts = [_served(totals, usage, body)]
        inside = frozenset(index for index, kind in enumerate(kinds) if kind not in OUTSIDE_TOTALS)
    else:
        notes += share_totals(totals, calls, covered)
        parts = [_served(calls[index], usage, body, model=models[index]) for index in sorted(covered)]
        inside = covered
    for index in sorted(set(range(len(calls))) - inside):
        parts.append(_served(calls[index], usage, body, model=models[index]))
        notes.append(f"usage.iterations[{index}] ({kinds[index]}) is outside the totals: priced as a call of its own")
    return Usage.from_parts(parts, ignored=whole.ignored, notes=tuple(notes))
