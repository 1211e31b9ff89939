"""Foreign names are harmless on a terminal and in Markdown; shares divide by nothing in peace."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.reports.shares import percent_text, share_of
from tokencalc.reports.text import markdown_code, markdown_text, safe_text


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("gpt-4o", "gpt-4o"),
        (r"\x1b[31mred", "\x1b[31mred"),
        (r"two\nlines", "two\nlines"),
        (r"\x9b2J", "\x9b2J"),
        (r"\u202eevil", "\u202eevil"),
        (r"zero\u200bwidth", "zero\u200bwidth"),
        (r"\ud800", "\ud800"),
        ("x" * 197 + "...", "x" * 10_000),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("名前 é", "名前 é"),
        (r"\x3a:error::x", "::error::x"),
        (r"a \x3a:Set-Output name=b::c", "a ::Set-Output name=b::c"),
        (r"\x23#[group]", "##[group]"),
        ("std::vector::errors ::x", "std::vector::errors ::x"),
        ("7", 7),
    ],
)
def test_a_name_is_one_printable_line(expected: str, text: object) -> None:
    assert expected == safe_text(text)


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        ("`gpt-4o`", "gpt-4o"),
        ("``  a`b  ``".replace("  ", " "), "a`b"),
        ("```` ```x ````", "```x"),
        (r"`a\|b`", "a|b"),
        ("`<img src=x>`", "<img src=x>"),
        ("` `", ""),
    ],
)
def test_a_name_in_markdown_is_a_code_span(expected: str, name: str) -> None:
    assert expected == markdown_code(name)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("no rate for output", "no rate for output"),
        (r"\!\[x\](http&#58;//evil)", "![x](http://evil)"),
        ("&lt;script&gt;", "<script>"),
        (r"a\|b \*c\* \`d\`", "a|b *c* `d`"),
        ("see www&#46;evil.example and &#64;team &#35;1", "see www.evil.example and @team #1"),
        ("a &amp; b", "a & b"),
    ],
)
def test_a_sentence_in_markdown_carries_no_markup(expected: str, text: str) -> None:
    assert expected == markdown_text(text)


@given(st.text())
def test_no_name_breaks_a_table_row(name: str) -> None:
    cell = markdown_code(name)
    assert "\n" not in cell
    assert re.search(r"(?<!\\)\|", cell) is None
    assert safe_text(name).isprintable()


@pytest.mark.parametrize(
    ("share", "shown", "part", "whole"),
    [
        (Decimal("0.333333"), "33.3 %", "1", "3"),
        (Decimal("0.500000"), "50.0 %", "2", "4"),
        (Decimal("1.000000"), "100.0 %", "4", "4"),
        (Decimal("0.000000"), "0.0 %", "0", "4"),
        (None, "-", "0", "0"),
    ],
)
def test_a_share_is_exact_to_six_places(share: Decimal | None, shown: str, part: str, whole: str) -> None:
    found = share_of(Decimal(part), Decimal(whole))
    assert (share, shown) == (found, percent_text(found))
