"""How figures of one stream add up to one usage: the last one that was said wins, key by key, and null says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokencalc.errors import UsageMissing
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokencalc.providers.payload import Body

_DEPTH_MAX = 8
UNSTATED = "model-not-said"
"""The model of a call that some other model served, nobody says which: without a price, instead of the caller's."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A stream as the bodies of its calls: one, unless several answers are in the list.

    ``notes`` say what was assumed or is missing; ``is_interrupted`` when the last
    figure of a call never came; ``ignored`` are counters that say again what a body says.
    A call may be a usage already where no body has its shape.
    """

    calls: tuple[Body | Usage, ...]
    notes: tuple[str, ...] = ()
    is_interrupted: bool = False
    ignored: tuple[str, ...] = ()


def merge(older: Body, newer: Body, depth: int = 0) -> dict[str, Any]:
    """Return both, where the newer one's keys replace the older one's, and what it does not say (null) stays."""
    merged = dict(older)
    for key, value in newer.items():
        if value is None:
            continue
        before = merged.get(key)
        deeper = isinstance(before, Mapping) and isinstance(value, Mapping) and depth < _DEPTH_MAX
        merged[key] = merge(before, value, depth + 1) if deeper else value  # type: ignore[arg-type]  # deeper says so
    return merged


def section(body: Body, *keys: str) -> Body:
    """Return the object that the keys lead to, an empty one where there is none: events are envelopes, not counts."""
    for key in keys:
        value = body.get(key)
        if not isinstance(value, Mapping):
            return {}
        body = value
    return body


def sections(body: Body, key: str) -> list[Body]:
    """Return the objects of a list, none where there is none."""
    value = body.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [item for item in value if isinstance(item, Mapping)]


def text(body: Body, key: str) -> str:
    """Return the text under ``key``, "" where there is none."""
    value = body.get(key)
    return value if isinstance(value, str) else ""


def facts(body: Body, event: Body, *, without: Iterable[str]) -> dict[str, Any]:
    """Return a body with what an event says beside content; an empty text is no fact."""
    said = ((key, value) for key, value in event.items() if key not in without)
    return {
        **body,
        **{key: value for key, value in said if value is not None and not (type(value) is str and not value)},
    }


def fell(older: Body, newer: Body) -> list[tuple[str, int, int]]:
    """Return the counts that are lower than they were: figures of one answer only grow, unless they were restarted."""
    return [
        (key, before, now)
        for key, now in newer.items()
        if type(now) is int and type(before := older.get(key)) is int and now < before
    ]


def missing(found: str, *, remedy: str = "") -> UsageMissing:
    """Return the error of a stream that says no usage: what was found, and how to ask for it."""
    hint = f"; {remedy}" if remedy else ""
    return UsageMissing(f"usage: {found}, so that what the call cost is not known{hint}", path="usage", found=None)


def cut_note(end: str, error: str | None) -> str:
    """Return the note of a stream that ended before ``end``, by an error of the given kind, or without a word."""
    how = "ended" if error is None else f"broke off with an error{f' ({error})' if error else ''}"
    return f"the stream {how} before {end}: the figures are those that had been said until then"


def finish(folded: Folded, usages: Sequence[Usage]) -> Usage:
    """Return the usage of a stream from those of its calls, which are parts where there are several."""
    only = usages[0] if len(usages) == 1 else None
    if only is not None and not (folded.notes or folded.is_interrupted or folded.ignored):
        return only
    ignored = tuple(dict.fromkeys([*(path for usage in usages for path in usage.ignored), *folded.ignored]))
    notes = tuple(dict.fromkeys([*(note for usage in usages for note in usage.notes), *folded.notes]))
    if only is None or only.parts:
        calls = [call for usage in usages for call in usage.calls]
        billed = [usage.billed_usd for usage in usages if usage.billed_usd is not None]
        return Usage.from_parts(
            calls,
            ignored=ignored,
            notes=notes,
            billed_usd=sum(billed[1:], billed[0]) if billed and len(billed) == len(usages) else None,
            is_interrupted=folded.is_interrupted,
        )
    return only.replace(ignored=ignored, notes=notes, is_interrupted=folded.is_interrupted)
