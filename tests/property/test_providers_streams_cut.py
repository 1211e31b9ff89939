"""For any stream, cut, damaged or out of order: only documented errors, and never other figures that look whole."""

from __future__ import annotations

import copy
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.streams import (
    CHAT,
    COMPLETE,
    MESSAGES,
    OBJECTS,
    as_object,
    chunk,
    gemini,
    realtime_usage,
    response_done,
)
from tokencalc.errors import UsageInvalid, UsageMissing
from tokencalc.providers.registry import read_usage
from tokencalc.providers.streams.merge import merge
from tokencalc.providers.streams.sse import parse_sse
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from tests.unit.streams import Event

COUNTS = st.integers(0, 10**9)
NAMES = st.sampled_from(sorted(COMPLETE))
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.sampled_from(["[DONE]", "response.done", "message_start", "error"]),
    st.just([]),
    st.just({}),
    st.just([1]),
    st.just([None, {}]),
    st.just({"a": {"b": [1]}}),
    st.just({"usage": {}}),
    st.just({"type": "error"}),
    st.just(object()),
    st.just(10**400),
)


def places(value: Any, keys: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the keys that lead to each value of a payload."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [place for key, item in items for place in places(item, (*keys, key))]
    return [keys, *below] if keys else below


@st.composite
def damaged(draw: DrawFn) -> list[Any]:
    """Draw a stream with events lost, told twice or moved, and some values replaced by junk."""
    events = copy.deepcopy(COMPLETE[draw(NAMES)])
    moved: list[Any] = draw(st.permutations(events)) if draw(st.booleans()) else events
    moved = [event for event in moved for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2])))]
    for _ in range(draw(st.integers(0, 3)) if moved else 0):
        keys = draw(st.sampled_from(places(moved)))
        holder: Any = moved
        for key in keys[:-1]:
            holder = holder[key] if isinstance(holder, dict | list) else {}
        if isinstance(holder, dict | list):
            holder[keys[-1]] = copy.deepcopy(draw(JUNK))
    return moved


@given(events=damaged(), provider=st.sampled_from([None, "openai", "anthropic", "google", "groq", "else"]))
def test_a_damaged_stream_is_read_or_refused_by_name(events: list[Any], provider: str | None) -> None:
    for payload in (events, as_object(events)):
        try:
            usage = read_usage(payload, provider)
        except UsageInvalid as error:
            assert error.path  # noqa: PT017  # one of the two outcomes that are right
        else:
            assert all(quantity > 0 for call in usage.calls for _, quantity in call.leaves)
            assert usage.leaves or usage.notes or usage.ignored


@given(junk=st.lists(JUNK, max_size=4))
def test_a_list_of_junk_is_refused_or_costs_nothing_and_says_so(junk: list[Any]) -> None:
    try:
        usage = read_usage(junk)
    except UsageInvalid as error:
        assert error.path  # noqa: PT017  # one of the two outcomes that are right
    else:
        assert usage.leaves == ()
        assert "nothing was used" in usage.notes[0]


@given(name=NAMES, data=st.data())
def test_a_stream_without_its_tail_never_looks_whole_with_other_figures(name: str, data: st.DataObject) -> None:
    events = COMPLETE[name]
    whole = read_usage(events)
    kept = events[: data.draw(st.integers(0, len(events) - 1))]
    try:
        cut = read_usage(kept)
    except UsageMissing:
        return
    # A session that stops between two responses is a shorter session.
    assert cut.is_interrupted or cut.leaves == whole.leaves or len(cut.calls) < len(whole.calls)


@given(name=st.sampled_from(sorted(OBJECTS)))
def test_objects_of_an_sdk_read_as_the_events_do(name: str) -> None:
    events = COMPLETE[name]
    for kept in range(len(events) + 1):
        try:
            expected = read_usage(events[:kept])
        except UsageMissing as error:
            with pytest.raises(UsageMissing, match=f"^{re.escape(str(error))}$"):
                read_usage(as_object(events[:kept]))
        else:
            assert read_usage(as_object(events[:kept])) == expected


@given(counts=st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=5))
def test_the_last_figures_of_a_chat_win(counts: list[tuple[int, int]]) -> None:
    usages = [{"prompt_tokens": tokens_in, "completion_tokens": tokens_out} for tokens_in, tokens_out in counts]
    usage = read_usage([*(chunk("a", usage=said) for said in usages), chunk(finish="stop")])
    assert (usage.input_tokens, usage.output_tokens) == counts[-1]
    assert not usage.is_interrupted
    has_fallen = any(after < before for pair in pairwise(counts) for before, after in zip(*pair, strict=True))
    assert any("fell from" in note for note in usage.notes) == has_fallen


@given(tokens_in=COUNTS, growing=st.lists(COUNTS, min_size=1, max_size=5).map(sorted))
def test_the_last_figures_of_gemini_win(tokens_in: int, growing: list[int]) -> None:
    events = [gemini(tokens_in, count) for count in growing]
    whole = read_usage([*events, gemini(tokens_in, growing[-1], finish="STOP")])
    assert (whole.input_tokens, whole.output_tokens, whole.notes) == (tokens_in, growing[-1], ())
    cut = read_usage(events)
    assert (cut.leaves, cut.is_interrupted) == (whole.leaves, True)


@given(
    start=COUNTS, said=st.dictionaries(st.sampled_from(["input_tokens", "cache_read_input_tokens"]), COUNTS), out=COUNTS
)
def test_what_a_delta_does_not_say_stays_as_the_start_said_it(start: int, said: dict[str, int], out: int) -> None:
    first = {"input_tokens": start, "cache_read_input_tokens": start, "output_tokens": 1}
    events: list[Event] = [
        {"type": "message_start", "message": {"model": "m", "usage": first}},
        {"type": "message_delta", "usage": {**dict.fromkeys(first), **said, "output_tokens": out}},
        MESSAGES[-1],
    ]
    usage = read_usage(events)
    assert usage.uncached_input_tokens == said.get("input_tokens", start)
    assert usage.cache_read_tokens == said.get("cache_read_input_tokens", start)
    assert usage.output_tokens == out


@given(usages=st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), min_size=1, max_size=4))
def test_a_session_is_the_sum_of_its_responses(usages: list[tuple[int, int, int, int]]) -> None:
    events = [response_done(f"r{n}", realtime_usage(*counts)) for n, counts in enumerate(usages)]
    usage = read_usage(events)
    assert len(usage.calls) == len(usages)
    meters = (Meter.INPUT, Meter.INPUT_AUDIO, Meter.OUTPUT, Meter.OUTPUT_AUDIO)
    assert [usage.quantity(meter) for meter in meters] == [sum(column) for column in zip(*usages, strict=True)]


FIELDS = st.recursive(
    st.one_of(st.none(), COUNTS), lambda below: st.dictionaries(st.text(max_size=2), below, max_size=3), max_leaves=8
)


@given(older=st.dictionaries(st.text(max_size=2), FIELDS), newer=st.dictionaries(st.text(max_size=2), FIELDS))
def test_merging_forgets_nothing_and_takes_no_null(older: Event, newer: Event) -> None:
    merged = merge(older, newer)
    assert merged.keys() >= older.keys()
    for key, value in merged.items():
        said = newer.get(key)
        if said is None:
            assert value == older[key]
        elif not isinstance(said, dict):
            assert value == said
    assert merge(merged, newer) == merged
    assert merge(older, {}) == older


@given(text=st.text())
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        events = parse_sse(text)
    except UsageInvalid as error:
        assert error.path  # noqa: PT017  # one of the two outcomes that are right
    else:
        assert all(isinstance(event, dict) for event in events)


def test_damage_does_not_reach_the_payload_of_the_caller() -> None:
    before = copy.deepcopy(COMPLETE)
    for events in COMPLETE.values():
        read_usage(events)
    assert before == COMPLETE
    assert CHAT is COMPLETE["chat"]
