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
        ("We go.\nYou stay.\r\nThey come.", "We go. \nYou stay. \r\nThey come. "),
        ("A break in Markdown.  \nNext.", "A break in Markdown.    \nNext."),
        ("One two three. Four.", "One   two  three.  Four."),
        ("* It is kept. So is this.", "* It is kept.   So is this."),
        ("We go.\n\nYou stay.", "We go.\n\n\n \n\nYou stay."),
        ("We go.\r\n\r\nYou stay.", "We go.\r\n\r\n\r\n\r\nYou stay."),
        (f"{RULE}\n\n- yes\n- yes\n\n", f"{RULE}\n\n- yes\n- yes\n\n{RULE}"),
        (f"{RULE}\nWrite.", f"{RULE}\n{RULE}\nWrite."),
        (f"{RULE}\nSo it goes.\n\nGo.", f"{RULE}\n{RULE}\nSo it goes.\n\nGo."),
        (f"{RULE}\n{RULE[:-1]}!\n\nGo.", f"{RULE}\n{RULE[:-1]}!\n\n{RULE}\n{RULE[:-1]}!\n\nGo."),
        (
            "请始终用用户的语言来回答所有的问题并且为每一个答案给出完整的例子。\n好",
            "请始终用用户的语言来回答所有的问题并且为每一个答案给出完整的例子。\n" * 2 + "好",
        ),
        ("Summarize this.", "Please summarize this."),
        ("- Summarize this.", "- Please summarize this."),
        ("Summarize this.", "Please, summarize this, please."),
        ("We wait. Summarize this.", "We wait. Kindly summarize this."),
        ("Because it rains, we stay.", "Due to the fact that it rains, we stay."),
        ("Say so to win if it fails.", "Say so in order to win in the event that it fails."),
        ("Name it!", "I would like you to name it!"),
        ("To win, we try.", "In order  to win, we try."),
        ("write a poem about autumn", "please write a poem about autumn"),
        ("Say it (in short). Go on.", "Say it (in short). Please go on."),
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
        # words with a meaning
        "Do not say please to users.",
        "How can I please my boss?",
        "Do as you please.",
        "Use the prior to compute it.",
        "Open please.txt now.",
        "Sort the cards in order to the left.",
        # code without a fence
        "print('please  wait, in order to go')",
        "msg = 'Kindly   wait'",
        "GREETING=please   wait",
        "please wait,please,wait",
        'def f():\n    """Please wait.\n\nPlease   wait in order to win.\n"""',
        "> ```\n> Please   wait.\n> ```\n",
        "diff --git a/x b/x\n@@ -1 +1 @@\n Please wait.\nPlease   wait.",
        "<pre>\nPlease   wait.\n</pre>",
        "# Please   wait.",
        "// Please   wait.",
        # data
        "1\tAnn\t\tx",
        "- image: web\n  name: a\n- image: web\n  name: b",
        "| Ann | one  |\n| Ann | one  |",
        "Please wait,Ann,1\nPlease wait,Ann,1",
        "Ann Smith   Berlin.\nBob Jones   London.",
        "Input: Say what follows in French, please.\nOutput: x\nInput: Say what follows in French, please.\nOutput: y",
        "2026-11-20 12:00 The job has been started.\n2026-11-20 12:00 The job has been started.",
        "def f():\n    pass\n\n\n\ndef g():\n    pass",
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
        ("white_space", "spaces at the ends of lines", 1, 1),
        ("white_space", "several spaces between two words", 1, 1),
        ("repeated_lines", "paragraphs and lines that stand above word for word", 1, len(RULE) + 1),
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
        "\u201ca" * 60_000,
        "Go on.  " * 30_000,
        "We go, please. " * 20_000,
        "We go on  now.\n" * 10_000,
        "a, " * 60_000,
        "a-" * 60_000,
        "Go in order to win. " * 10_000,
    ],
    ids=[
        "ticks",
        "odd_ticks",
        "spaces",
        "quotes",
        "fences",
        "lines",
        "gaps",
        "open",
        "stops",
        "please",
        "same",
        "commas",
        "dashes",
        "orders",
    ],
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
    "We go on",
    "\n\n",
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
