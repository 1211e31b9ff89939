"""Shortening a prompt: what goes, what stays, and that each change says what it saved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.tokens.count import count_text
from tokencalc.tokens.shortening import FILLERS, KINDS, shorten


def words(text: str) -> int:
    """Count as a model would that takes each character for a token, so that every change saves."""
    return len(text)


def tokens(text: str) -> int:
    return count_text(text, tokenizer="openai", encoding="o200k_base").tokens


RULE = "You must always answer in the language of the user."


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("one\ntwo\r\nthree", "one  \ntwo\t\r\nthree "),
        ("one two three", "one   two \t three"),
        ("  * kept indent", "  * kept   indent"),
        ("a\n\nb", "a\n\n\n\n\nb"),
        ("a\r\n\r\nb", "a\r\n\r\n\r\n\r\nb"),
        (f"{RULE}\n- yes\n- yes", f"{RULE}\n- yes\n- yes\n{RULE}"),
        (f"{RULE}\nWrite.", f"{RULE}\n  {RULE}\nWrite."),
        (
            "请始终用用户的语言来回答所有的问题并且给出完整的例子。\n好",
            "请始终用用户的语言来回答所有的问题并且给出完整的例子。\n" * 2 + "好",
        ),
        ("Summarize this.", "Please summarize this."),
        ("Summarize this.", "Please, summarize this, please."),
        ("Because it rains, we stay.", "Due to the fact that it rains, we stay."),
        ("Say so to win if it fails.", "Say so in order to win in the event that it fails."),
        ("Name it!", "I would like you to name it!"),
        ("To win", "In order  to win"),
    ],
)
def test_white_space_repeats_and_filler_go(expected: str, text: str) -> None:
    assert expected == shorten(text, words).text


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx  =  1   \n\n\n\n# please\n```",
        "~~~\nplease  a\n~~~",
        "before\n\n   ```\nx  =  1\n   never closed, please  ",
        "Call `f(a,   b)` and ``please  `x` `` now.",
        'Answer "please   wait" in order',
        "He said \u201cplease  wait\u201d.",
        "    x  =  please  1",
        "\tx  =  please  1",
        '{"text":   "please",  "n":  1}',
        "if (a   ==  b) { return  please; }",
        "It is our aim to please users; pleased, unpleased, please-o-meter, /please/x.",
        "end\nend\n}\n}\n- yes\n- yes",
        "It is not very good, just really simple.",
    ],
)
def test_code_quotes_structure_and_words_with_a_meaning_stay(text: str) -> None:
    assert (text, ()) == (shorten(text, words).text, shorten(text, words).changes)


def test_a_line_is_no_repeat_of_one_in_a_code_block() -> None:
    text = f"```\n{RULE}\n```\n{RULE}\n```\n{RULE}\n```"
    assert text == shorten(text, words).text


def test_each_change_says_what_it_is_and_what_it_saves() -> None:
    found = shorten(f"Please write.   \n{RULE}\n{RULE}\nGo on  now in order to win, in order to stay.", words)
    assert [
        ("white_space", "spaces at the ends of lines", 1, 3),
        ("white_space", "several spaces between two words", 1, 1),
        ("repeated_lines", "lines that stand above word for word", 1, len(RULE) + 1),
        ("filler", "please -> (nothing)", 1, 7),
        ("filler", "in order to -> to", 2, 18),
    ] == list(found.changes)
    assert found.tokens_before - found.tokens_after == sum(change.tokens_saved for change in found.changes)


def test_a_change_that_saves_no_token_is_not_made() -> None:
    # Three line feeds are one token of o200k, as two are.
    assert shorten("a\n\n\nb", tokens).text == "a\n\n\nb"
    assert shorten("a\n\n\nb", tokens).changes == ()


@pytest.mark.parametrize("text", ["please", " \n \n", "", "kindly "])
def test_some_text_is_always_left(text: str) -> None:
    assert shorten(text, words).text.strip() == text.strip()


def test_longer_phrases_come_before_those_that_they_contain() -> None:
    phrases = list(FILLERS)
    for index, phrase in enumerate(phrases):
        assert not any(phrase in later for later in phrases[index + 1 :]), phrase


@pytest.mark.parametrize(
    "text",
    [
        "`" * 50_000,
        "` `` ``` " * 5_000,
        " " * 100_000 + "x",
        '"' * 50_001,
        "```\n" * 20_001,
        "\n" * 100_000,
        "a\t \t" * 30_000,
    ],
    ids=["ticks", "odd_ticks", "spaces", "quotes", "fences", "lines", "gaps"],
)
def test_texts_made_to_be_slow_are_not(text: str) -> None:
    found = shorten(text + " please", len)
    assert found.tokens_after <= found.tokens_before


PARTS = [
    "please",
    "Please,",
    " ",
    "  ",
    "\n",
    "\r\n",
    "```",
    "`",
    '"',
    RULE,
    "in order to",
    "x = 1;",
    "    ",
    "\t",
    "你好",
    ".",
]


@given(text=st.lists(st.sampled_from(PARTS), max_size=40).map("".join) | st.text(max_size=60))
def test_savings_add_up_and_shortening_twice_changes_little_more(text: str) -> None:
    found = shorten(text, words)
    assert found.tokens_before - found.tokens_after == sum(change.tokens_saved for change in found.changes)
    assert (words(text), words(found.text)) == (found.tokens_before, found.tokens_after)
    assert all(change.tokens_saved > 0 and change.places > 0 and change.kind in KINDS for change in found.changes)
    assert bool(found.text.strip()) == bool(text.strip())
    # A fence that was closed stays where it was, with everything in it.
    assert found.text.count("```") == text.count("```")
