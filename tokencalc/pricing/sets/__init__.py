"""The two public price sets as facts in the shape of our own tables, and how they differ from ours.

Neither set is needed at run time, and neither is ever imported or run: genai-prices' data module
is read as a syntax tree of constructor calls, litellm's data is JSON. Both may be given as the wheel
file or as the one file inside it.
"""

from tokencalc.pricing.sets.appending import append_new, new_card, new_model
from tokencalc.pricing.sets.difference import (
    Comparison,
    Difference,
    PriceSet,
    compare,
    differences,
    is_for_us,
    known_as,
    models_of,
)
from tokencalc.pricing.sets.genai import genai_facts
from tokencalc.pricing.sets.litellm import litellm_facts

__all__ = [
    "Comparison",
    "Difference",
    "PriceSet",
    "append_new",
    "compare",
    "differences",
    "genai_facts",
    "is_for_us",
    "known_as",
    "litellm_facts",
    "models_of",
    "new_card",
    "new_model",
]
