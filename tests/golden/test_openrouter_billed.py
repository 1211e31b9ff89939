"""What OpenRouter says it billed, beside our price of the same answer on its own day.

The recordings lie beside the checkout and are read, never copied. Where the two
differ, the reason stands here with both figures, and the figures are checked too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.unit.recorded import RECORDED, payloads
from tokencalc.errors import PriceUnknown
from tokencalc.money import pico_from_usd
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.providers.registry import read_usage
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.cost import Cost

CATALOG = Catalog.packaged()


class Difference(NamedTuple):
    """What we price (None where we know no price), what stays unpriced, and why that is not what was billed."""

    priced: str | None
    unpriced: tuple[Meter, ...]
    why: str


_SEARCH = "no list says what this search costs: it depends on the engine that the router chose"
_ADVISOR = "the advisor ran on another model inside the answer, whose tokens the usage does not say"
_OWN_KEY = "the caller's own key paid the provider: the router billed nothing, our price is what the provider asks"

_GONE = "the set does not have the model any more"
_LATER = "the set has this model's price from a later day only"

DIFFERENCES = {
    "test_openai_responses_raw_cot_stream_openrouter_0": Difference(None, (), _LATER),
    "test_openrouter_advisor_tool_0": Difference("0.0001764", (), _ADVISOR),
    "test_openrouter_advisor_tool_stream_0": Difference("0.0001776", (), _ADVISOR),
    "test_openrouter_file_annotation_0": Difference(
        "0.00016775", (), "a plug-in read the file for another 0.002 dollars, which the usage does not say"
    ),
    "test_openrouter_google_nested_schema_0": Difference("0.0003253", (), _OWN_KEY),
    "test_openrouter_google_nested_schema_1": Difference("0.0002265", (), _OWN_KEY),
    "test_openrouter_stream_error_0": Difference(None, (), _GONE),
    "test_openrouter_stream_with_native_options_0": Difference(None, (), _GONE),
    "test_openrouter_thinking_false_profile_gated_model_0": Difference(None, (), _LATER),
    "test_openrouter_web_search_annotations_0": Difference(None, (), _LATER),
    "test_openrouter_web_search_annotations_stream_0": Difference(None, (), _LATER),
    "test_openrouter_web_search_tool_full_params_0": Difference(None, (), _LATER),
    "test_openrouter_web_search_tool_usage_0": Difference("0.0033176", (Meter.WEB_SEARCH,), _SEARCH),
    "test_openrouter_web_search_tool_usage_stream_0": Difference("0.0033176", (Meter.WEB_SEARCH,), _SEARCH),
}


def _billed() -> dict[str, tuple[Usage, datetime]]:
    """Return the usage and the day of each recorded answer that says what was billed."""
    found = {}
    for name, payload in payloads("openrouter"):
        usage = read_usage(payload, "openrouter")
        if usage.billed_usd is not None:
            found[name.partition("/")[2]] = (usage, _day(payload))
    return found


def _day(payload: Any) -> datetime:
    for body in payload if isinstance(payload, list) else [payload]:
        created = body.get("created") or (body.get("response") or {}).get("created_at") or body.get("created_at")
        if created:
            return datetime.fromtimestamp(created, UTC)
    raise AssertionError("a recorded answer does not say its day")


def _price(usage: Usage, day: datetime) -> Cost | None:
    model = usage.calls[0].model
    assert model is not None
    try:
        return evaluate(CATALOG, usage, model=model, provider="openrouter", at=day)
    except PriceUnknown:
        return None


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded answers are not beside this checkout")
def test_what_was_billed_is_our_price_to_the_last_digit_or_the_difference_is_explained() -> None:
    billed = _billed()
    assert len(billed) > 30
    agreeing = 0
    for name, (usage, day) in billed.items():
        cost = _price(usage, day)
        said = DIFFERENCES.get(name)
        if said is None:
            assert cost is not None, name
            # A bill with thirds of a cent in it has no last digit: ours is the pico-dollar.
            billed_pico = pico_from_usd(usage.billed_usd, name="billed")
            assert (billed_pico, ()) == (cost.priced_pico, cost.unpriced), name
            agreeing += 1
        elif said.priced is None:
            assert cost is None, name
        else:
            assert cost is not None, name
            assert (Decimal(said.priced), said.unpriced) == (cost.priced_usd, cost.unpriced), name
            assert cost.priced_usd != usage.billed_usd, f"{name} agrees by now: take it off the list"
    assert agreeing == len(billed) - len(DIFFERENCES)
