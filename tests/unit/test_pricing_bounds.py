"""Plausible prices: what is out of bounds is an error, what is odd a warning that a note answers."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from tokencalc.pricing.bounds import BOUNDS
from tokencalc.pricing.review import review, review_file
from tokencalc.usage import Meter

if TYPE_CHECKING:
    from pathlib import Path

    from tokencalc.pricing.review import Finding

HEAD = 'provider = "acme"\n[[model]]\nid = "rocket"\n'
CARD = '[[model.card]]\neffective_from = 2026-01-01\nsource = "a list"\nchecked_on = 2026-01-02\n'
PLAIN = 'rates = { input_per_mtok = "2", cache_read_per_mtok = "0.2", output_per_mtok = "8" }\n'

TIER = "tiers = [{ over_input_tokens = 1000, " + PLAIN.strip().replace('"2"', '"1"') + " }]\n"


def found(text: str) -> list[Finding]:
    return review(tomllib.loads(text), "t.toml", packaged=False, record={})


def test_every_meter_has_bounds_with_a_reason() -> None:
    assert set(BOUNDS) == set(Meter)
    assert all(bound.low < bound.high and bound.why for bound in BOUNDS.values())


def test_a_plain_card_has_nothing_to_say() -> None:
    assert found(HEAD + CARD + PLAIN) == []


@pytest.mark.parametrize(
    ("message", "rates"),
    [
        ("input: $0.000002 per million tokens is outside $0.001 to $1000", 'input_per_mtok = "0.000002"'),
        ("output: $2000000 per million tokens", 'input_per_mtok = "1", output_per_mtok = "2000000"'),
        (
            "input_audio_second: $0.36 per second is outside $0.001 to $50 per hour",
            'input_audio_second_per_second = "0.36"',
        ),
        ("web_search: $10 per call", 'web_search_per_call = "10"'),
    ],
)
def test_a_price_in_a_wrong_unit_is_an_error(message: str, rates: str) -> None:
    text = HEAD + 'mode = "other"\n' + CARD + f"rates = {{ {rates} }}\nnote = 'it is so'\n"
    (finding,) = found(text)
    assert finding.severity == "error"
    assert message in finding.message


def test_nothing_is_a_price() -> None:
    assert found(HEAD + CARD + 'rates = { input_per_mtok = "0", output_per_mtok = "0" }\n') == []


@pytest.mark.parametrize(
    ("message", "good", "bad"),
    [
        ("input ($9) is dearer than output ($8)", 'input_per_mtok = "2"', 'input_per_mtok = "9"'),
        ("cache_read ($3) is dearer than input that is not cached ($2)", '"0.2"', '"3"'),
        ("a text model without any price for output", ', output_per_mtok = "8"', ""),
        (
            "output processing=batch ($9) is dearer in a batch than at once ($8)",
            "rates =",
            'variants = [{ when = { processing = "batch" }, rates = { output_per_mtok = "9" } }]\nrates =',
        ),
        (
            "input service_tier=flex ($3) is dearer at the flexible tier than ordinarily ($2)",
            "rates =",
            'variants = [{ when = { service_tier = "flex" }, rates = { input_per_mtok = "3" } }]\nrates =',
        ),
        (
            "input from 1,001 input tokens ($1) is cheaper than for a small prompt ($2)",
            "rates =",
            TIER + "rates =",
        ),
    ],
)
def test_what_is_odd_is_a_warning_that_a_note_answers(message: str, good: str, bad: str) -> None:
    text = HEAD + CARD + PLAIN.replace(good, bad, 1)
    assert [("warning", message)] == [(finding.severity, finding.message) for finding in found(text)]
    assert found(text + 'note = "The provider says so."\n') == []
    assert found(text + 'differs_because = "We asked."\n') == []


def test_a_factor_that_is_no_surcharge_is_an_error() -> None:
    (finding,) = found(
        HEAD + CARD + PLAIN + 'multipliers = [{ when = { region = "us" }, factor = "11", meters = "tokens" }]'
    )
    assert "the factor 11 for region=us on tokens is outside 0.1 to 10" in finding.message


def test_a_card_of_ones_own_without_a_source_is_a_warning() -> None:
    (finding,) = found(HEAD + "[[model.card]]\neffective_from = 2026-01-01\n" + PLAIN)
    assert (finding.severity, finding.path) == ("warning", "acme/rocket@2026-01-01")
    assert finding.message.startswith("no source and no checked_on")


def test_each_model_tells_its_first_fault(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    other = '[[model]]\nid = "second"\n[[model.card]]\neffective_from = 2026-01-01\nrates = { inptu_per_mtok = "1" }\n'
    third = other.replace("second", "third").replace('{ inptu_per_mtok = "1" }', "{ input_per_mtok = 1 }")
    path.write_text("spam = 1\n" + HEAD + CARD + PLAIN + other + third, encoding="utf-8")
    assert [(finding.severity, finding.path) for finding in review_file(path)] == [
        ("error", "spam"),
        ("error", "model 'second'.card[0].rates.inptu_per_mtok"),
        ("error", "model 'third'.card[0].rates.input_per_mtok"),
    ]


def test_a_fault_between_models_is_told_where_each_is_good(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(HEAD + CARD + PLAIN + HEAD.split("\n", 1)[1] + CARD + PLAIN, encoding="utf-8")
    (finding,) = review_file(path)
    assert "is taken by model 'rocket'" in finding.message


@pytest.mark.parametrize(("expected", "content"), [("is not valid TOML", b"a = ["), ("is not UTF-8", b'a = "\xff"')])
def test_an_unreadable_file_is_a_finding(expected: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    (finding,) = review_file(path)
    assert expected in finding.message
    (finding,) = review_file(tmp_path / "missing.toml")
    assert "does not exist" in finding.message


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            "'nope' has no prices that a discount could lower",
            'provider = "openai"\n[[discount]]\nfactor = "0.9"\neffective_from = 2026-01-01\nmodels = ["nope"]\n',
        ),
        (
            "'opnai' has no prices that a discount could lower; did you mean 'openai'",
            'provider = "opnai"\n[[discount]]\nfactor = "0.9"\neffective_from = 2026-01-01\n',
        ),
    ],
)
def test_what_every_command_would_refuse_is_an_error_of_the_check(tmp_path: Path, message: str, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    (finding,) = review_file(path)
    assert (finding.severity, message in finding.message) == ("error", True)


def test_a_contract_names_the_dated_versions_that_it_does_not_reach(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('provider = "openai"\n[[model]]\nid = "gpt-4o"\n' + CARD + PLAIN, encoding="utf-8")
    (finding,) = review_file(path)
    assert finding.severity == "warning"
    assert "gpt-4o-2024-08-06" in finding.message
    path.write_text('provider = "acme"\n[[model]]\nid = "gpt-4o"\n' + CARD + PLAIN, encoding="utf-8")
    assert review_file(path) == []
