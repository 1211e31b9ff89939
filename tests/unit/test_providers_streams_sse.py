"""Server-sent events: parsed as they are sent, cut where they were cut, refused where they are damaged."""

from __future__ import annotations

import json

import pytest

from tests.unit.streams import OBJECTS, Event
from tokencalc.errors import UsageInvalid
from tokencalc.providers.streams.sse import parse_sse


def as_text(events: list[Event], newline: str = "\n") -> str:
    """Write events as a server sends them."""
    return "".join(f"event: x{newline}data: {json.dumps(event)}{newline}{newline}" for event in events)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_events_come_back_as_they_were_sent(name: str, newline: str) -> None:
    text = as_text(OBJECTS[name], newline)
    assert parse_sse(text) == OBJECTS[name]
    assert parse_sse(f": comment{newline}{newline}{text}data: [DONE]{newline}{newline}") == OBJECTS[name]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([], ""),
        ([], "data: [DONE]\n\n"),
        ([{"a": 1}], 'data:{"a": 1}'),
        ([{"a": 1}], 'data: {"a":\ndata: 1}\n\n'),
        ([{"a": 1}, {"b": 2}], '{"a": 1}\n{"b": 2}\n'),
        ([{"a": "\u2028"}], 'data: {"a": "\u2028"}\n\n'),
        ([{"a": 1}], 'id: 7\nretry: 5\ndata: {"a": 1}\n\ndata: {"b": '),
    ],
)
def test_lines_are_joined_and_a_cut_last_event_is_dropped(expected: list[Event], text: str) -> None:
    assert parse_sse(text) == expected


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("expected JSON in the event at line 1", 'data: {"a": \n\ndata: {}\n\n'),
        ("expected an object in the event at line 3, found list", "data: {}\n\ndata: []\n\n"),
        ("expected JSON in the event at line 1", f"data: {'[' * 100_000}\n\ndata: {{}}\n\n"),
    ],
)
def test_damage_in_between_is_refused_with_its_line(message: str, text: str) -> None:
    with pytest.raises(UsageInvalid, match=message):
        parse_sse(text)
