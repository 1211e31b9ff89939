"""Bedrock's Converse format (and Nova's native one, which counts alike): input without cache, in camelCase.

``inputTokens`` exclude what was read from and written to the cache; the total
includes it. ``cacheDetails`` split the writes by lifetime. The tier and the model
that a router chose are said beside the usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.counts import remainder
from tokencalc.providers.dialect import Dialect
from tokencalc.providers.payload import (
    payload_int,
    payload_section,
    payload_sections,
    payload_text,
    require_any,
    said,
    total_notes,
)
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body

_READ = ("cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITE = ("cacheWriteInputTokens", "cacheWriteInputTokenCount")
_BY_LIFETIME = {"5m": Meter.CACHE_WRITE_5M, "1h": Meter.CACHE_WRITE_1H}
_COUNTERS = Counters(
    frozenset(
        {"usage.inputTokens", "usage.outputTokens", "usage.cacheDetails[].inputTokens"}
        | {f"usage.{name}" for name in (_READ[0], _WRITE[0])}
    ),
    frozenset({"usage.totalTokens", f"usage.{_READ[1]}", f"usage.{_WRITE[1]}"}),
)
_ORDINARY = frozenset({"standard"})


def read(usage: Body, body: Body) -> Usage:
    """Read a Converse usage; raises UsageInvalid where the lifetimes say more than was written."""
    total_in, total_out = payload_int(usage, "inputTokens", at="usage"), payload_int(usage, "outputTokens", at="usage")
    total = payload_int(usage, "totalTokens", at="usage")
    if total_out is None and total is not None and total == total_in:
        total_out = 0  # embeddings: the total says that there is no output
    missing = require_any({"inputTokens": total_in, "outputTokens": total_out}, at="usage")
    (cached, read_notes), (written, write_notes) = _either(usage, _READ), _either(usage, _WRITE)
    writes, split_notes = _writes(usage, written)
    sums = total_notes(
        total,
        said(total_in) + said(total_out) + said(cached) + sum(writes.values()),
        path="usage.totalTokens",
        rule="inputTokens + outputTokens + cache reads + cache writes",
    )
    found = survey(usage, _COUNTERS.with_mapped(*_spelled(usage)))
    return Usage.from_leaves(
        (
            (Meter.INPUT, said(total_in)),
            (Meter.CACHE_READ, said(cached)),
            *writes.items(),
            (Meter.OUTPUT, said(total_out)),
        ),
        model=_served_model(body),
        service_tier=_tier(body),
        speed=_speed(body),
        ignored=tuple(found.ignored),
        notes=(*missing, *sums, *read_notes, *write_notes, *split_notes, *_guardrail(body), *found.notes),
    )


def _spelled(usage: Body) -> list[str]:
    """Return the older names of cache counts where only those are there."""
    return [f"usage.{older}" for newer, older in (_READ, _WRITE) if usage.get(newer) is None]


def _either(usage: Body, names: tuple[str, str]) -> tuple[int | None, tuple[str, ...]]:
    """Return a count that is said under two names; where they disagree the larger one counts, with a note."""
    counts = [count for name in names if (count := payload_int(usage, name, at="usage")) is not None]
    if not counts:
        return None, ()
    if min(counts) == max(counts):
        return counts[0], ()
    return max(counts), (f"usage.{names[0]} and {names[1]} say {counts[0]} and {counts[1]}; the larger was counted",)


def _writes(usage: Body, written: int | None) -> tuple[dict[Meter, int], tuple[str, ...]]:
    writes = {Meter.CACHE_WRITE: 0, Meter.CACHE_WRITE_5M: 0, Meter.CACHE_WRITE_1H: 0}
    notes = []
    for index, item in enumerate(payload_sections(usage, "cacheDetails", at="usage")):
        count = said(payload_int(item, "inputTokens", at=f"usage.cacheDetails[{index}]"))
        lifetime = payload_text(item, "ttl")
        if lifetime not in _BY_LIFETIME and count:
            notes.append(f"usage.cacheDetails[{index}].ttl ({lifetime}) is not known: a write of unstated lifetime")
        writes[_BY_LIFETIME.get(lifetime or "", Meter.CACHE_WRITE)] += count
    stated = sum(writes.values())
    if written is not None:
        writes[Meter.CACHE_WRITE] += remainder(written, _WRITE[0], cacheDetails=stated)
    return writes, tuple(notes)


def _served_model(body: Body) -> str | None:
    """Return the model that a prompt router chose, by the last part of its name, or the body's own."""
    router = payload_section(payload_section(body, "trace", at="body"), "promptRouter", at="trace")
    chosen = payload_text(router, "invokedModelId")
    return chosen.rpartition("/")[2] or None if chosen else payload_text(body, "model")


def _tier(body: Body) -> str | None:
    tier = payload_section(body, "serviceTier", at="body") if not isinstance(body.get("serviceTier"), str) else body
    return payload_text(tier, "type") if tier is not body else payload_text(body, "serviceTier")


def _speed(body: Body) -> str | None:
    latency = payload_text(payload_section(body, "performanceConfig", at="body"), "latency")
    return None if latency in _ORDINARY else latency


def _guardrail(body: Body) -> tuple[str, ...]:
    if not payload_section(payload_section(body, "trace", at="body"), "guardrail", at="trace"):
        return ()
    return ("trace.guardrail: guardrails are billed by text units, apart from the model: not in the cost",)


DIALECT = Dialect(
    "bedrock",
    read,
    usage_marks=frozenset({"inputTokens", "outputTokens", *_READ, *_WRITE, "cacheDetails", "serverToolUsage"}),
)
