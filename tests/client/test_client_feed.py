"""Bytes of server-sent events, cut anywhere, with line ends of every kind: each event is seen once."""

from __future__ import annotations

import json
import time

from hypothesis import given
from hypothesis import strategies as st

from tokencalc.client.tally import Feed, Tally
from tokencalc.providers.streams.sse import parse_sse

ENDS = [one + other for one in ("\n", "\r\n", "\r") for other in ("\n", "\r\n", "\r") if one + other != "\r\n"]
QUICK_S = 3.0


@given(
    st.lists(st.tuples(st.integers(1, 999), st.sampled_from(ENDS)), min_size=1, max_size=8),
    st.lists(st.integers(1, 40), max_size=20),
)
def test_events_are_those_that_the_parser_of_whole_texts_finds_however_they_are_ended_and_cut(
    said: list[tuple[int, str]], cuts: list[int]
) -> None:
    events = [{"usage": {"total_tokens": count}} for count, _ in said]
    text = "".join(f"data: {json.dumps(event)}{end}" for event, (_, end) in zip(events, said, strict=True))
    content, tally, shown = text.encode(), Tally(), b""
    feed = Feed(tally)
    for cut in cuts:
        shown += feed.take(content[:cut])
        content = content[cut:]
    shown += feed.take(content) + feed.finish()
    assert shown == text.encode()
    assert tally.events == parse_sse(text)


def test_an_event_of_megabytes_in_small_pieces_is_looked_through_once() -> None:
    content = b'data: {"choices": [{"delta": {"content": "' + b"x" * (4 << 20) + b'"}}]}\n\n'
    tally = Tally()
    feed = Feed(tally)
    before = time.process_time()
    for start in range(0, len(content), 4096):
        feed.take(content[start : start + 4096])
    assert time.process_time() - before < QUICK_S
    assert len(tally.text) == 4 << 20
