"""Released and accepted cards stay as they were: what an edit is, what is none, and the list of a release."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from scripts.compile_prices import release
from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.history import Broken, broken, corrections, digests_of, released, released_text
from tokencalc.pricing.review import review, review_packaged

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """
provider = "acme"
[priced_as]
reasoning = "output"
[[model]]
id = "rocket"
[[model.card]]
effective_from = 2026-01-01
rates = { input_per_mtok = "2.50", output_per_mtok = "10" }
tiers = [{ over_input_tokens = 1000, rates = { input_per_mtok = "5", output_per_mtok = "20" } }]
variants = [{ when = { processing = "batch" }, rates = { input_per_mtok = "1" }, unchanged = ["output"] }]
multipliers = [{ when = { region = "us" }, factor = "1.1", meters = "tokens" }]
minimums = { input = 10 }
source = ["a list"]
checked_on = 2026-01-02
"""
CARD = "acme/rocket@2026-01-01"
NEXT = '[[model.card]]\neffective_from = 2026-06-01\nrates = { input_per_mtok = "1", output_per_mtok = "5" }\n'


def digests(text: str) -> dict[str, str]:
    return digests_of(ProviderTable(tomllib.loads(text)))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('input_per_mtok = "2.50"', 'input_per_mtok = "2.51"'),
        ('output_per_mtok = "20"', 'output_per_mtok = "21"'),
        ("over_input_tokens = 1000", "from_input_tokens = 1000"),
        ('input_per_mtok = "1"', 'input_per_mtok = "1.1"'),
        ('"batch"', '"async"'),
        ('unchanged = ["output"]', "unchanged = []"),
        ('"1.1"', '"1.2"'),
        ('meters = "tokens"', 'meters = ["output"]'),
        ("input = 10", "input = 11"),
        ("minimums =", 'priced_as = { citation = "input" }\nminimums ='),
        ("minimums =", "effective_until = 2027-01-01\nminimums ="),
        ('rates = { input_per_mtok = "2.50"', 'rates = { web_search_per_kcall = "10", input_per_mtok = "2.50"'),
    ],
)
def test_what_changes_a_charge_is_an_edit(good: str, bad: str) -> None:
    assert good in TABLE
    assert [Broken(CARD, "edited")] == broken(digests(TABLE), digests(TABLE.replace(good, bad, 1)))


@pytest.mark.parametrize(
    ("good", "other"),
    [
        ('"2.50"', '"2.5"'),
        ("over_input_tokens = 1000", "from_input_tokens = 1001"),
        ('["a list"]', '["a list", "another"]'),
        ("checked_on = 2026-01-02", "checked_on = 2026-09-09\nnote = 'looked again'"),
        ('reasoning = "output"', 'reasoning = "output"\ncitation = "input"'),
        ('id = "rocket"', 'id = "rocket"\naliases = ["r"]\ncontext_window_tokens = 5'),
    ],
)
def test_what_changes_no_charge_is_none(good: str, other: str) -> None:
    assert broken(digests(TABLE), digests(TABLE.replace(good, other, 1))) == []


def test_appending_a_card_is_no_edit_and_removing_one_is() -> None:
    assert broken(digests(TABLE), digests(TABLE + NEXT)) == []
    assert broken(digests(TABLE + NEXT), digests(TABLE)) == [Broken("acme/rocket@2026-06-01", "missing")]


def test_a_review_names_the_card_and_what_to_do() -> None:
    found = review(tomllib.loads(TABLE + NEXT), "t", packaged=False, record={CARD: "0", "acme/x@2026-01-01": "1"})
    assert [(item.severity, item.path) for item in found if item.severity == "error"] == [
        ("error", CARD),
        ("error", "acme/x@2026-01-01"),
    ]
    assert "put it back, and append a new card" in found[-2].message
    assert "is gone" in found[-1].message


def test_the_list_of_a_release_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "released.json"
    kept = {"a/b/c@2026-01-01": "1", "a/b@2026-01-01T10:00:00+00:00": "2", "d/e@2026-02-01": "3"}
    path.write_text(released_text(kept, [{"card": "x", "was": "y", "because": "z"}]), encoding="utf-8")
    assert released(path) == kept
    assert corrections(path) == [{"card": "x", "was": "y", "because": "z"}]
    assert released(tmp_path / "none") == {}
    assert corrections(tmp_path / "none") == []


def test_a_release_refuses_what_changed_unless_it_is_named_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "released.json"
    assert release([], None, path) == []
    first = released(path)
    card = "openai/gpt-4o@2024-10-02"
    path.write_text(released_text({**first, card: "0" * 16, "acme/gone@2026-01-01": "1"}, []), encoding="utf-8")

    assert set(release([], None, path)) == {f"{card} is edited", "acme/gone@2026-01-01 is missing"}
    assert "--correct needs --because" in release([card], None, path)
    assert "openai/gpt-4@2023-03-14 did not change" in release(["openai/gpt-4@2023-03-14"], "why", path)

    assert release([card, "acme/gone@2026-01-01"], "a slip", path) == []
    assert released(path) == first
    assert {item["because"] for item in corrections(path)} == {"a slip"}


def test_our_own_tables_pass_the_check() -> None:
    found = review_packaged()
    assert [finding for finding in found.findings if finding.severity == "error"] == []
    assert found.tables > 100
