"""The page about tokens says what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

from tokencalc.tokens.cache import CHARS_MIN, COUNTS_MAX
from tokencalc.tokens.factors import FAMILIES
from tokencalc.tokens.output import DEFAULT_RULE, OUTPUT_RULES

PAGE = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text(encoding="utf-8")


def test_the_page_has_the_output_table_as_it_is() -> None:
    for name, rule in {**{f"`{name}`": rule for name, rule in OUTPUT_RULES.items()}, "not said": DEFAULT_RULE}.items():
        share = f"{rule.thousandths // 10} %" if rule.thousandths else "0"
        assert f"| {name} | {share} | {rule.least:,} | {rule.most:,} |" in PAGE


def test_the_page_names_every_family() -> None:
    table = re.findall(r"^\| (`.*?) \|", PAGE.partition("## Families")[2].partition("## Messages")[0], re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(table))) - {"tokenizer"}
    assert {*FAMILIES, "openai", "gpt_oss"} == named


def test_the_page_has_the_bounds_of_the_store() -> None:
    assert f"from {CHARS_MIN} characters" in PAGE
    assert f"({COUNTS_MAX:,} counts" in PAGE
