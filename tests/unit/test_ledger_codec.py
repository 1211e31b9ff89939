"""A usage in a row and back: what a price depended on is not lost."""

from __future__ import annotations

import pytest

from tokencalc.ledger.codec import usage_from_text, usage_text
from tokencalc.usage import Meter, Usage

FACTS = (("search_context_size", "high"),)


@pytest.mark.parametrize(
    ("expected", "usage"),
    [
        ('{"q":{"input":1}}', Usage.from_leaves([(Meter.INPUT, 1)])),
        (
            '{"q":{"input":1},"conditions":{"search_context_size":"high"}}',
            Usage.from_leaves([(Meter.INPUT, 1)], conditions=FACTS),
        ),
    ],
)
def test_served_facts_beyond_the_four_are_written_where_there_are_any_and_read_back(
    expected: str, usage: Usage
) -> None:
    assert expected == usage_text(usage)
    assert usage == usage_from_text(expected)
