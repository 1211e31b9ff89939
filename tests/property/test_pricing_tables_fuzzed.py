"""A table with anything in any place is refused by its own error, or builds cards: nothing in between."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.plan import PlannedCard
from tokencalc.pricing.schema import TableChecker

GOOD = tomllib.loads(
    """
    provider = "acme"
    aliases = ["a"]
    families = ["rocket"]
    [sources]
    list = "https://example.com"
    [standard]
    service_tier = ["default"]
    [means]
    service_tier = { fast = { service_tier = "priority" } }
    [priced_as]
    reasoning = "output"
    [[alias]]
    name = "rocket-latest"
    target = [{ model = "rocket-1", effective_from = 2026-01-01 }]
    [[model]]
    id = "rocket-1"
    aliases = ["rocket"]
    dated = true
    tokenizer = "llama"
    encoding = "o200k_base"
    encoding_verified = false
    context_window_tokens = 1000
    output_limit_tokens = 100
    mode = "text"
    [[model.card]]
    effective_from = 2026-01-01
    effective_from_known = false
    effective_until = 2026-06-01T12:00:00Z
    rates = { input_per_mtok = "1", output_per_mtok = "2", web_search_per_kcall = "10" }
    tiers = [{ over_input_tokens = 500, rates = { input_per_mtok = "2", output_per_mtok = "4" } }]
    variants = [{ when = { processing = "batch" }, rates = { input_per_mtok = "0.5" }, unchanged = ["output"] }]
    multipliers = [{ when = { region = "us" }, factor = "1.1", meters = "tokens" }]
    priced_as = { cache_write = "input" }
    source = ["list"]
    checked_on = 2026-01-02
    note = "a note"
    """
)

names = st.sampled_from(
    ["input", "output", "batch", "processing", "rocket-1", "tokens", "2026-01-01", "1", "-1", "x" * 300]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | names | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=3)
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        found += _places(value, (*path, key))
    return found


PLACES = _places(GOOD)


def _changed(path: tuple[Any, ...], value: object) -> dict[str, Any]:
    table = copy.deepcopy(GOOD)
    node: Any = table
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return table


def test_the_unchanged_table_is_good() -> None:
    TableChecker("good.toml", packaged=True).table(GOOD)

    assert len(PLACES) >= 2 * 25


@example(path=("alias", 0, "target"), value=[])
@given(path=st.sampled_from(PLACES), value=anything)
def test_anything_in_any_place_is_refused_or_builds(path: tuple[Any, ...], value: object) -> None:
    table = _changed(path, value)

    try:
        TableChecker("fuzzed.toml", packaged=True).table(table)
    except PriceTableInvalid as error:
        shown = error.message
    else:
        shown = ""
        built = ProviderTable(table)
        for model in built.models:
            assert built.facts(model).model == model
            for card in built.cards(model):
                PlannedCard(card, built).plan(("batch", "us", "fast", *(None,) * 5), card.effective_from)

    assert shown == "" or shown.startswith("fuzzed.toml: ")
